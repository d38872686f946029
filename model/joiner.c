/* model/joiner.c - a list of symbols and a heap of wishes.
 *
 * A wish says "join the symbol at `left` with its right neighbour" and is
 * outdated when either has changed since. Symbols only grow, to the right, and
 * swallow whole neighbours, so the wish is current exactly when `left` is there
 * and the two lengths still add up to the wish's. */
#include "model/joiner.h"
#include <assert.h>
#include <stdlib.h>

enum err_code joiner_begin(struct joiner *j, size_t n, struct err *err)
{
    assert(n <= JOINER_WORD_MAX);
    j->n = j->n_heap = 0;
    if (n <= j->cap)
        return OK;
    size_t cap = j->cap ? j->cap : 64;
    while (cap < n)
        cap *= 2;
    joiner_free(j);
    j->links = malloc(cap * sizeof(*j->links));
    j->heap = malloc(2 * cap * sizeof(*j->heap));   /* n - 1 wishes, and a join adds one net */
    if (!j->links || !j->heap) {
        joiner_free(j);
        return err_set(err, ERR_NOMEM, "tokens of a word of %zu bytes", n);
    }
    j->cap = cap;
    return OK;
}

void joiner_free(struct joiner *j)
{
    free(j->links);
    free(j->heap);
    *j = (struct joiner){0};
}

void joiner_push(struct joiner *j, size_t at, size_t len, int32_t sym)
{
    assert(j->n < j->cap && len > 0);
    int32_t i = (int32_t)j->n++;
    j->links[i] = (struct joiner_link){(uint32_t)at, (uint32_t)len, sym, i - 1, -1};
    if (i > 0)
        j->links[i - 1].next = i;
}

static void heap_add(struct joiner *j, struct joiner_wish w)
{
    size_t i = j->n_heap++;
    while (i > 0 && w.key < j->heap[(i - 1) / 2].key) {
        j->heap[i] = j->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    j->heap[i] = w;
}

static struct joiner_wish heap_take(struct joiner *j)
{
    struct joiner_wish top = j->heap[0], last = j->heap[--j->n_heap];
    size_t i = 0, n = j->n_heap;
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && j->heap[child + 1].key < j->heap[child].key)
            child++;
        if (last.key <= j->heap[child].key)
            break;
        j->heap[i] = j->heap[child];
    }
    j->heap[i] = last;
    return top;
}

static void wish(struct joiner *j, struct str word, const struct joiner_rule *rule, int32_t left)
{
    uint32_t rank;
    int32_t sym;
    const struct joiner_link *l = &j->links[left];
    if (l->next < 0)
        return;
    const struct joiner_link *r = &j->links[l->next];
    if (!rule->join(rule->arg, word, l, r, &rank, &sym))
        return;
    uint64_t key = (uint64_t)rank << 32 | (uint32_t)left;
    heap_add(j, (struct joiner_wish){key, l->len + r->len, sym});
}

void joiner_run(struct joiner *j, struct str word, const struct joiner_rule *rule)
{
    for (size_t i = 0; i + 1 < j->n; i++)
        wish(j, word, rule, (int32_t)i);
    while (j->n_heap) {
        struct joiner_wish w = heap_take(j);
        int32_t left = (int32_t)(uint32_t)w.key;
        struct joiner_link *l = &j->links[left];
        if (l->len == 0 || l->next < 0)
            continue;
        struct joiner_link *r = &j->links[l->next];
        if (l->len + r->len != w.len)
            continue;
        l->len = w.len;
        l->sym = w.sym;
        l->next = r->next;
        r->len = 0;
        if (l->next >= 0)
            j->links[l->next].prev = left;
        if (l->prev >= 0)
            wish(j, word, rule, l->prev);
        wish(j, word, rule, left);
    }
}
