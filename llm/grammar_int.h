/* llm/grammar_int.h - the inside of a grammar: nodes, and places in them.
 *
 * A node is a kind of JSON value; a text stands at one or several spots, each a
 * place in a node with the nodes around it below (a stack whose cells are shared).
 * What a grammar takes is part of what its schema allows, never more: sizes that
 * the schema leaves open have bounds of ours. */
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
bool texts_sort(struct texts *t);                      /* by bytes; false: no memory */
/* Where a sequence of letters leads: the hash that names are compared by. */
#define NAME_HASH_START UINT64_C(0xcbf29ce484222325)
static inline uint64_t name_hash(uint64_t h, uint8_t byte)
{
    return (h ^ byte) * UINT64_C(0x100000001b3);       /* FNV-1a */
}
/* Narrow [lo, hi) to those with `byte` at `at`. */
void texts_step(const struct texts *t, uint32_t at, uint8_t byte, uint32_t *lo, uint32_t *hi);

/* A JSON value against a schema as such: exact, for enums. False with err->code set:
 * it cannot be told. */
struct checker { const json_t *root; struct err *err; int work; const char *pattern; struct dfa *dfa; };
/* dfa_free(c->dfa) when done. */
bool grammar_check(struct checker *c, const json_t *schema, const json_t *value, int depth);
bool grammar_same(const json_t *a, const json_t *b);   /* as JSON Schema says: 1 is 1.0 */
const json_t *grammar_ref(const json_t *root, const char *ref);   /* or NULL */

/* ---- spots ---- */

enum phase { AT_START, AT_START_SPACE, AT_IN, AT_FIRST, AT_AFTER, AT_NEXT, AT_NEXT_QUOTE,
             AT_KEY, AT_NEW_KEY, AT_COLON, AT_DONE };

struct cell;
struct used { const struct used *prev; uint64_t hash; uint32_t n; };   /* n: how many */
struct spot {
    const struct cell *up;    /* what it is in; NULL: nothing */
    const struct used *used;  /* names or strings that are taken */
    uint64_t bits;            /* picks that are taken; the hash of a new name so far */
    uint32_t node, at;        /* at: state of an automaton, bytes of a name */
    uint32_t lo, hi;          /* texts that may still come; lo: code points of a new name,
                                 and behind a name its value's node */
    uint32_t i, n;            /* next property, items; members, code points */
    uint16_t depth;
    uint8_t phase;
};
struct cell { struct spot s; int32_t dist; };

struct block;
struct pool { struct block *first, *last; size_t total; };
struct mark { struct block *block; size_t used; };
struct mark grammar_pool_mark(const struct pool *p);
void grammar_pool_release(struct pool *p, struct mark m);
void grammar_pool_free(struct pool *p);

struct spots { struct spot *v; uint32_t n; };
/* Where `from` stands behind one more byte; `to` has room for SPOTS_MAX, of which
 * `spare` are left alone. False: some ways were left out for want of room. */
bool spots_step(const struct grammar *g, struct pool *p, const struct spots *from, uint32_t spare,
                uint8_t byte, struct spots *to);
/* Fewest bytes to a whole text, or DFA_FAR. */
int32_t spots_dist(const struct grammar *g, const struct spots *s);
bool spots_whole(const struct grammar *g, const struct spots *s);

/* The tokens of a mask are tried along a trie; a level for every byte. */
#define TOKEN_BYTES_MAX 128
struct walker {
    struct spot *level[TOKEN_BYTES_MAX + 1];    /* [SPOTS_MAX], made when first needed */
    uint32_t n[TOKEN_BYTES_MAX + 1];
    struct mark mark[TOKEN_BYTES_MAX + 1];
    struct pool pool;
};

struct gstate {
    const struct grammar *g;
    struct spots now;         /* v[SPOTS_MAX] */
    struct pool pool, spare;  /* cells of `now`; what is left when they are moved */
    size_t live;              /* bytes after the last move */
    struct walker *walker;    /* scratch of a mask */
};
#endif
