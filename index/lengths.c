#include "index/lengths.h"
#include <stdlib.h>

void lengths_deinit(struct lengths *l)
{
    for (int i = 0; i < LENGTHS_TOP; i++) {
        struct lengths_shelf *s = l->top[i];
        for (int k = 0; s && k < LENGTHS_PAGE; k++)
            free(s->page[k]);
        free(s);
        l->top[i] = NULL;
    }
}

static struct lengths_page *page_of(struct lengths *l, int64_t chunk, bool make)
{
    struct lengths_shelf *s = l->top[chunk >> 2 * LENGTHS_BITS];
    if (!s && make) {
        s = calloc(1, sizeof(*s));
        atomic_store_explicit(&l->top[chunk >> 2 * LENGTHS_BITS], s, memory_order_release);
    }
    if (!s)
        return NULL;
    struct lengths_page *_Atomic *at = &s->page[chunk >> LENGTHS_BITS & (LENGTHS_PAGE - 1)];
    struct lengths_page *p = *at;
    if (!p && make) {
        p = calloc(1, sizeof(*p));
        atomic_store_explicit(at, p, memory_order_release);
    }
    return p;
}

enum err_code lengths_reserve(struct lengths *l, int64_t first, int64_t n, struct err *err)
{
    if (first < 0 || n < 0 || first > LENGTHS_MAX - n)
        return err_set(err, ERR_LIMIT, "chunk %lld, at most %lld", (long long)(first + n),
                       (long long)LENGTHS_MAX);
    for (int64_t id = first; id < first + n; id = (id | (LENGTHS_PAGE - 1)) + 1)
        if (!page_of(l, id, true))
            return err_set(err, ERR_NOMEM, "the lengths of %lld chunks", (long long)n);
    return OK;
}

void lengths_set(struct lengths *l, int64_t chunk, uint32_t words)
{
    struct lengths_page *p = page_of(l, chunk, false);
    uint32_t want = words < UINT32_MAX ? words + 1 : UINT32_MAX;
    uint32_t was = p ? atomic_exchange(&p->plus_one[chunk & (LENGTHS_PAGE - 1)], want) : 1;
    if (was)
        return;   /* no memory was reserved, or it is there already */
    l->chunks++;
    l->words += words;
    if (chunk > l->last)
        l->last = chunk;
}

void lengths_cut(struct lengths *l, int64_t chunk)
{
    struct lengths_page *p = page_of(l, chunk, false);
    uint32_t was = p ? atomic_exchange(&p->plus_one[chunk & (LENGTHS_PAGE - 1)], 0) : 0;
    if (!was)
        return;
    l->chunks--;
    l->words -= was - 1;
}
