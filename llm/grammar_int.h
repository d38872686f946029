/* llm/grammar_int.h - the inside of a grammar: nodes, each a kind of JSON value.
 *
 * Places in them are in grammar_spot.h. What a grammar takes is part of what its schema
 * allows, never more: sizes that the schema leaves open have bounds of ours. */
#ifndef CARREL_LLM_GRAMMAR_INT_H
#define CARREL_LLM_GRAMMAR_INT_H
#include "base/arena.h"
#include "llm/grammar.h"
#include "llm/grammar_dfa.h"

#define NODES_MAX 6000
#define DEPTH_MAX 32          /* values in values */
#define SPOTS_MAX 64          /* ways in which one text may be read */
#define FRESH_MAX 64          /* code points of a name that the schema does not know */
#define WORDS_MAX 15          /* such names in one object, unique strings in one array:
                                 fewer than the least choice of a next byte (16) */
#define TEXT_MAX (1 << 22)    /* bytes of the shortest text of a schema */
#define NO_NODE UINT32_MAX
#define NO_END UINT32_MAX

enum node_kind {
    NODE_NONE,                /* nothing: `why` */
    NODE_CHOICE,              /* one of `of` */
    NODE_DFA,                 /* bytes that `dfa` takes */
    NODE_STRING,              /* any string of min..max code points */
    NODE_FRESH,               /* the same, that its array does not hold yet */
    NODE_PICK,                /* one of `texts`, that its array does not hold yet */
    NODE_ARRAY,
    NODE_OBJECT
};

/* Sorted byte strings: a prefix is a range of them. */
struct texts { struct str *text; uint32_t *id; uint32_t n; };

struct property { struct str name; uint32_t node; bool required, alive; int32_t key; };

struct node {
    enum node_kind kind;
    int32_t height, len;      /* of its flattest value and that one's bytes, or DFA_FAR */
    bool strict;              /* stands for what may be, not for what is written */
    const char *why;          /* in the grammar's arena; may be NULL */
    uint32_t *of, n_of;
    struct dfa *dfa;          /* owned by the grammar's list */
    uint32_t min, max;        /* code points, items, members; NO_END: no bound */
    struct texts texts;       /* of a pick; of an object's names with their end quote */
    uint32_t *prefix, n_prefix, items;     /* array */
    int64_t *sums;            /* [n_prefix + 1] bytes of the first items and commas */
    struct property *props; uint32_t n_props, extra;
    uint32_t n_required, wanted;           /* wanted: minProperties */
    uint32_t *required_from;  /* [n_props + 1] required ones from there on */
    uint64_t *hashes; uint32_t name_max;   /* [n_props] of names, sorted; longest other name */
    int32_t *tail;            /* [n_props + 1] bytes to end the object from there */
};

struct grammar {
    struct arena mem;
    struct node *nodes;       /* [NODES_MAX] grown */
    uint32_t n, cap, root;
    struct dfa **dfas;
    uint32_t n_dfas, cap_dfas, dfa_states;
    struct dfa *letter;       /* one character of a string */
    struct dfa *plain;        /* the same without escapes */
};

/* Take over `d`; ERR_LIMIT when the automata of one schema are too large. */
enum err_code grammar_own(struct grammar *g, struct dfa *d, struct err *err);
/* Heights, lengths and choices, with the bytes that a vocabulary has (NULL: all). */
enum err_code grammar_finish(struct grammar *g, const bool *has, struct err *err);
bool grammar_texts_sort(struct texts *t);                      /* by bytes; false: no memory */
/* Where a sequence of letters leads: the hash that names are compared by. */
#define NAME_HASH_START UINT64_C(0xcbf29ce484222325)
static inline uint64_t name_hash(uint64_t h, uint8_t byte)
{
    return (h ^ byte) * UINT64_C(0x100000001b3);       /* FNV-1a */
}
/* Narrow [lo, hi) to those with `byte` at `at`. */
void grammar_texts_step(const struct texts *t, uint32_t at, uint8_t byte, uint32_t *lo,
                        uint32_t *hi);

/* A JSON value against a schema as such: exact, for enums. False with err->code set:
 * it cannot be told. */
struct checker {
    const json_t *root;
    struct err *err;
    int work;
    const char *pattern;
    struct dfa *dfa;          /* of `pattern`, kept for the next value */
};
/* dfa_free(c->dfa) when done. */
bool grammar_check(struct checker *c, const json_t *schema, const json_t *value, int depth);
bool grammar_same(const json_t *a, const json_t *b);   /* as JSON Schema says: 1 is 1.0 */
const json_t *grammar_ref(const json_t *root, const char *ref);   /* or NULL */
#endif
