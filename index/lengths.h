/* index/lengths.h - which chunks of a collection exist, and how many words each has.
 *
 * A tree of two fixed steps under a table that never moves: readers look
 * without a lock while the one writer sets entries after its commit, so a
 * chunk exists for searches from the moment its document is acknowledged, and
 * not a moment longer than its removal is.
 * Threads   many readers and one writer. Memory  lengths_deinit releases. */
#ifndef CARREL_INDEX_LENGTHS_H
#define CARREL_INDEX_LENGTHS_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

#define LENGTHS_BITS 12
#define LENGTHS_PAGE (1 << LENGTHS_BITS)
#define LENGTHS_TOP  1024
#define LENGTHS_MAX  ((int64_t)LENGTHS_TOP << 2 * LENGTHS_BITS)   /* chunk ids below */

struct lengths_page { _Atomic uint32_t plus_one[LENGTHS_PAGE]; };   /* 0: no such chunk */
struct lengths_shelf { struct lengths_page *_Atomic page[LENGTHS_PAGE]; };
struct lengths {
    struct lengths_shelf *_Atomic top[LENGTHS_TOP];
    _Atomic int64_t chunks, words, last;   /* how many, all their words, the greatest id ever */
};

void lengths_deinit(struct lengths *l);
/* Memory for chunks [first, first + n), so that lengths_set cannot fail. */
enum err_code lengths_reserve(struct lengths *l, int64_t first, int64_t n, struct err *err);
void lengths_set(struct lengths *l, int64_t chunk, uint32_t words);
void lengths_cut(struct lengths *l, int64_t chunk);

/* True when the chunk exists; its words. */
static inline bool lengths_find(const struct lengths *l, int64_t chunk, uint32_t *words)
{
    if (chunk < 0 || chunk >= LENGTHS_MAX)
        return false;
    struct lengths_shelf *s =
        atomic_load_explicit(&l->top[chunk >> 2 * LENGTHS_BITS], memory_order_acquire);
    if (!s)
        return false;
    struct lengths_page *p = atomic_load_explicit(
        &s->page[chunk >> LENGTHS_BITS & (LENGTHS_PAGE - 1)], memory_order_acquire);
    if (!p)
        return false;
    uint32_t v = atomic_load_explicit(&p->plus_one[chunk & (LENGTHS_PAGE - 1)],
                                      memory_order_relaxed);
    *words = v - 1;
    return v > 0;
}
#endif
