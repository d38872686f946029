/* llm/grammar_spot.h - places in a grammar: what grammar.c (states), grammar_step.c (one more
 * byte), grammar_left.c (how far to the end) and grammar_mask.c share.
 *
 * A text stands at one or several spots, each a place in a node with the nodes around
 * it below (a stack whose cells are shared). Memory  cells lie in a pool and are never
 * freed one by one. */
#ifndef CARREL_LLM_GRAMMAR_SPOT_H
#define CARREL_LLM_GRAMMAR_SPOT_H
#include "llm/grammar_int.h"

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
void *grammar_pool_alloc(struct pool *p, size_t n);    /* until released; NULL: no memory */

struct spots { struct spot *v; uint32_t n; };
/* Where `from` stands behind one more byte; `to` has room for SPOTS_MAX, of which
 * `spare` are left alone. False: some ways were left out for want of room. */
bool grammar_spots_step(const struct grammar *g, struct pool *p, const struct spots *from,
                        uint32_t spare, uint8_t byte, struct spots *to);
/* Fewest bytes to a whole text, or DFA_FAR. */
int32_t grammar_spots_dist(const struct grammar *g, const struct spots *s);
bool grammar_spots_whole(const struct grammar *g, const struct spots *s);

/* ---- what steps ask about the way to the end (grammar_left.c) ---- */

static inline const struct node *node_of(const struct grammar *g, const struct spot *s)
{
    return &g->nodes[s->node];
}
static inline uint32_t item_of(const struct node *n, uint32_t k)
{
    return k < n->n_prefix ? n->prefix[k] : n->items;
}
/* As grammar_spots_dist, of one. */
int32_t grammar_spot_dist(const struct grammar *g, const struct spot *s);
/* Bytes to the end of the object behind a first quote of a member that must come; behind
 * part of a known name; to the end of a pick. DFA_FAR: there is no way. */
int64_t grammar_next_left(const struct grammar *g, const struct spot *s);
int64_t grammar_key_left(const struct grammar *g, const struct spot *s);
int64_t grammar_pick_left(const struct node *n, const struct spot *s);
/* A member that the schema does not name. */
bool grammar_extra_may_come(const struct grammar *g, const struct spot *s);
/* Whether a new name or string is one that is there already: equal hashes count
 * as equal, which forbids a little too much and never too little. */
bool grammar_is_taken(const struct node *n, const struct spot *s);

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
