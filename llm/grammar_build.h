/* llm/grammar_build.h - from schemas to nodes: what grammar_schema.c, grammar_tree.c,
 * grammar_members.c and grammar_value.c share while a grammar is made.
 *
 * The unit of work is a conjunction: schemas that hold all at once, $ref and allOf
 * opened. anyOf and oneOf are taken out one by one (a conjunction for each branch).
 * What is left is one set of facts for every type of value. A conjunction is one node,
 * so that recursion ends. */
#ifndef CARREL_LLM_GRAMMAR_BUILD_H
#define CARREL_LLM_GRAMMAR_BUILD_H
#include "llm/grammar_int.h"

#define TOGETHER_MAX 24       /* schemas in one conjunction */

enum { TAKEN_ANY = 1, TAKEN_ONE = 2 };        /* whose branch is chosen already */
struct member { const json_t *s; unsigned taken; };
/* strict: asks whether anything at all satisfies it (for oneOf), so nothing may be
 * left out that the schemas allow. never: `false` is among them, found at `at`. */
struct together { struct member m[TOGETHER_MAX]; int n; bool strict, never; };

struct memo { struct member *m; int n; bool strict; uint64_t hash; uint32_t node; };
struct pair { uint32_t node; const json_t *at; int a, b; };
struct build {
    const json_t *root;
    struct grammar *g;
    struct memo *memos; uint32_t n_memos, cap_memos;
    struct pair *pairs; uint32_t n_pairs, cap_pairs;
    uint32_t constants[3];    /* null; true or false; any number: shared */
    struct err *err;
};

enum { TYPE_NULL = 1, TYPE_BOOLEAN = 2, TYPE_INTEGER = 4, TYPE_REAL = 8, TYPE_STRING = 16,
       TYPE_ARRAY = 32, TYPE_OBJECT = 64, TYPE_ALL = 127 };

/* "/properties/a: `not` is not supported" */
enum err_code grammar_build_refuse(struct build *b, const json_t *at, const char *word,
                                   const char *why);
char *grammar_build_why(struct build *b, const json_t *at, const char *word, const char *why);
enum err_code grammar_build_node(struct build *b, enum node_kind kind, uint32_t *out);
enum err_code grammar_build_none(struct build *b, const char *why, uint32_t *out);
/* Open $ref and allOf, check every keyword. */
enum err_code grammar_build_open(struct build *b, struct together *t);
void grammar_together_add(struct together *t, const json_t *s);
/* The node of a conjunction, made later. */
enum err_code grammar_build_later(struct build *b, struct together *t, uint32_t *out);
/* Types that all allow. */
int grammar_build_types(const struct together *t);
/* The first member with this keyword, or NULL; its value in *v. */
const json_t *grammar_together_find(const struct together *t, const char *word, const json_t **v);
/* The values of enum and const that satisfy all, as texts; *any: there is such a keyword. */
enum err_code grammar_build_values(struct build *b, const struct together *t, bool *any,
                                   struct texts *out);

/* grammar_members.c */
enum err_code grammar_build_array(struct build *b, struct together *t, uint32_t *out);
enum err_code grammar_build_object(struct build *b, struct together *t, uint32_t *out);
/* grammar_value.c */
enum err_code grammar_build_literals(struct build *b, const struct texts *t, uint32_t *out);
enum err_code grammar_build_string(struct build *b, const struct together *t, uint32_t *out);
enum err_code grammar_build_number(struct build *b, const struct together *t, bool whole,
                                   uint32_t *out);
/* Greatest of a count's least bounds, least of its greatest ones; *at: who said it. */
uint32_t grammar_together_most(const struct together *t, const char *word, uint32_t none,
                               bool least);
#endif
