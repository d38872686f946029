/* llm/grammar.c - where a text stands in a grammar: states, and the cells they lie on.
 *
 * A state is a list of spots: ways to read the text so far. A byte moves each of
 * them to none, one or several (grammar_step.c); the text can always be ended from a spot,
 * because nothing is entered that cannot be (heights and lengths of nodes, DEPTH_MAX). */
#include "llm/grammar.h"
#include <stdlib.h>
#include <string.h>
#include "llm/grammar_spot.h"

/* ---- a pool: cells are never freed one by one ---- */

#define BLOCK_BYTES 16384
struct block {
    struct block *next;
    size_t used;
    char bytes[BLOCK_BYTES];
};

void *grammar_pool_alloc(struct pool *p, size_t n)
{
    n = (n + 15) & ~(size_t)15;
    if (!p->last || p->last->used + n > BLOCK_BYTES) {
        struct block *next = p->last ? p->last->next : p->first;
        if (!next) {
            next = malloc(sizeof(*next));
            if (!next)
                return NULL;
            next->next = NULL;
            *(p->last ? &p->last->next : &p->first) = next;
        }
        next->used = 0;
        p->last = next;
    }
    void *at = p->last->bytes + p->last->used;
    p->last->used += n;
    p->total += n;
    return at;
}

struct mark grammar_pool_mark(const struct pool *p)
{
    return (struct mark){p->last, p->last ? p->last->used : 0};
}

void grammar_pool_release(struct pool *p, struct mark m)
{
    p->last = m.block;
    if (m.block)
        m.block->used = m.used;
}

static void grammar_pool_empty(struct pool *p)
{
    p->last = NULL;
    p->total = 0;
}

void grammar_pool_free(struct pool *p)
{
    while (p->first) {
        struct block *next = p->first->next;
        free(p->first);
        p->first = next;
    }
    *p = (struct pool){0};
}

/* ---- states ---- */

static const struct used *copy_used(struct pool *p, const struct used *u)
{
    uint64_t hashes[WORDS_MAX];
    uint32_t n = 0;
    const struct used *kept = NULL;
    for (; u && n < WORDS_MAX; u = u->prev)
        hashes[n++] = u->hash;
    for (uint32_t i = n; i-- > 0;) {
        struct used *next = grammar_pool_alloc(p, sizeof(*next));
        if (!next)
            return NULL;
        *next = (struct used){kept, hashes[i], n - i};
        kept = next;
    }
    return kept;
}

/* The cells below `up`, in another pool. */
static bool copy_cells(struct pool *p, const struct cell *up, const struct cell **out)
{
    const struct cell *chain[DEPTH_MAX + 2];
    uint32_t n = 0;
    const struct cell *kept = NULL;
    for (; up && n < DEPTH_MAX + 2; up = up->s.up)
        chain[n++] = up;
    while (n-- > 0) {
        struct cell *c = grammar_pool_alloc(p, sizeof(*c));
        if (!c)
            return false;
        *c = *chain[n];
        c->s.up = kept;
        if (c->s.used && !(c->s.used = copy_used(p, c->s.used)))
            return false;
        kept = c;
    }
    *out = kept;
    return true;
}

/* Cells that spots share stay shared, as spots are told apart by them. */
static bool copy_spots(struct pool *p, const struct spots *from, struct spots *to)
{
    for (uint32_t i = 0; i < from->n; i++) {
        struct spot s = from->v[i];
        uint32_t k = 0;
        while (k < i && from->v[k].up != s.up)
            k++;
        if (k < i)
            s.up = to->v[k].up;
        else if (!copy_cells(p, s.up, &s.up))
            return false;
        if (s.used && !(s.used = copy_used(p, s.used)))
            return false;
        to->v[i] = s;
    }
    to->n = from->n;
    return true;
}

enum err_code gstate_new(const struct grammar *g, struct gstate **out, struct err *err)
{
    struct gstate *s = calloc(1, sizeof(*s));
    *out = NULL;
    if (s) {
        s->g = g;
        s->walker = calloc(1, sizeof(*s->walker));
        s->now.v = calloc(SPOTS_MAX, sizeof(*s->now.v));
    }
    if (!s || !s->walker || !s->now.v) {
        gstate_free(s);
        return err_set(err, ERR_NOMEM, "a place in a grammar");
    }
    s->now.v[0] = (struct spot){.node = g->root, .phase = AT_START};
    s->now.n = 1;
    *out = s;
    return OK;
}

void gstate_free(struct gstate *s)
{
    if (!s)
        return;
    grammar_pool_free(&s->pool);
    grammar_pool_free(&s->spare);
    for (int i = 0; s->walker && i <= TOKEN_BYTES_MAX; i++)
        free(s->walker->level[i]);
    if (s->walker)
        grammar_pool_free(&s->walker->pool);
    free(s->walker);
    free(s->now.v);
    free(s);
}

enum err_code gstate_copy(struct gstate *to, const struct gstate *from, struct err *err)
{
    grammar_pool_empty(&to->spare);
    struct spot v[SPOTS_MAX];
    struct spots now = {v, 0};
    if (!copy_spots(&to->spare, &from->now, &now))
        return err_set(err, ERR_NOMEM, "a place in a grammar");
    struct pool was = to->pool;
    to->pool = to->spare;
    to->spare = was;
    to->live = to->pool.total;
    to->g = from->g;
    to->now.n = now.n;
    memcpy(to->now.v, v, now.n * sizeof(*v));
    return OK;
}

/* Cells pile up behind each value: what is still needed moves to a fresh pool. */
static void tidy(struct gstate *s)
{
    if (s->pool.total > 4 * s->live + BLOCK_BYTES)
        gstate_copy(s, s, NULL); /* without memory: another time */
}

bool gstate_take(struct gstate *s, struct str bytes)
{
    struct spot a[SPOTS_MAX], b[SPOTS_MAX];
    struct spots from = {a, s->now.n}, to = {b, 0};
    struct mark m = grammar_pool_mark(&s->pool);
    size_t total = s->pool.total;
    memcpy(a, s->now.v, s->now.n * sizeof(*a));
    for (size_t i = 0; i < bytes.len && from.n; i++) {
        grammar_spots_step(s->g, &s->pool, &from, 0, (uint8_t)bytes.ptr[i], &to);
        struct spots swap = from;
        from = to;
        to = swap;
    }
    if (from.n == 0) {
        grammar_pool_release(&s->pool, m);
        s->pool.total = total;
        return false;
    }
    memcpy(s->now.v, from.v, from.n * sizeof(*a));
    s->now.n = from.n;
    tidy(s);
    return true;
}

bool gstate_may_end(const struct gstate *s)
{
    return grammar_spots_whole(s->g, &s->now);
}

bool gstate_must_end(const struct gstate *s)
{
    if (!gstate_may_end(s))
        return false;
    struct spot b[SPOTS_MAX];
    struct spots to = {b, 0};
    for (int byte = 0; byte < 256; byte++) {
        grammar_pool_release(&s->walker->pool, (struct mark){0});
        grammar_spots_step(s->g, &s->walker->pool, &s->now, 0, (uint8_t)byte, &to);
        if (to.n)
            return false;
    }
    return true;
}
