#include "query/join.h"
#include <string.h>

struct run {
    int first, last;
}; /* ordinals that a kept hit covers */

static bool beside(const struct hit *h, struct run r, const struct hit *c)
{
    if (strcmp(h->chunk.document, c->chunk.document) != 0)
        return false;
    if (r.last - r.first + 1 >= JOIN_CHUNKS)
        return false;
    return c->chunk.ordinal == r.last + 1 || c->chunk.ordinal == r.first - 1;
}

static void take_in(struct hit *h, struct run *r, const struct hit *c)
{
    if (c->start < h->start)
        h->start = c->start;
    if (c->end > h->end)
        h->end = c->end;
    r->first = c->chunk.ordinal < r->first ? c->chunk.ordinal : r->first;
    r->last = c->chunk.ordinal > r->last ? c->chunk.ordinal : r->last;
    h->text = (struct str){NULL, 0};
}

/* One pass over the hits behind `at` joins what touches its run; as a run grows
 * others may touch it, so passes repeat until one joins nothing. */
static void absorb(struct hit *hits, int at, int *n)
{
    struct run r = {hits[at].chunk.ordinal, hits[at].chunk.ordinal};
    bool grew = true;
    while (grew) {
        grew = false;
        int kept = at + 1;
        for (int i = at + 1; i < *n; i++) {
            if (beside(&hits[at], r, &hits[i])) {
                take_in(&hits[at], &r, &hits[i]);
                grew = true;
            } else {
                hits[kept++] = hits[i];
            }
        }
        *n = kept;
    }
}

void join_hits(struct hit *hits, int *n)
{
    for (int i = 0; i < *n; i++) {
        absorb(hits, i, n);
        hits[i].n = i + 1;
    }
}
