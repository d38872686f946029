/* Removing: the node goes, those who knew it meet each other.
 *
 * The neighbours of a removed node have lost one link each, and with it the
 * roads that led through it. Each gets a link to that one of the others which
 * algorithm 4 likes best; a node left without any is searched a new place. */
#include <stdlib.h>
#include <string.h>
#include "index/hnsw_int.h"

static void sort(struct item *v, int n)
{
    for (int i = 1; i < n; i++) {
        struct item it = v[i];
        int k = i;
        for (; k > 0 && (v[k - 1].d > it.d || (v[k - 1].d == it.d && v[k - 1].id > it.id)); k--)
            v[k] = v[k - 1];
        v[k] = it;
    }
}

/* The others of the orphaned, not yet known to `a`, nearest first. */
static int strangers(const struct hnsw *h, uint32_t a, const uint32_t *orphans, int n, int layer,
                     struct item *v)
{
    int count = 0;
    for (int i = 0; i < n; i++)
        if (orphans[i] != a && !hnsw_linked(h, a, orphans[i], layer))
            v[count++] = (struct item){hnsw_distance(h, hnsw_at(h, a), orphans[i]), orphans[i]};
    sort(v, count);
    return count;
}

/* No neighbour of `a` is nearer to `it` than `a` is. */
static bool diverse(const struct hnsw *h, uint32_t a, struct item it, int layer)
{
    const uint32_t *links = hnsw_links(h, a, layer);
    for (int i = 0; i < hnsw_room(h, layer) && links[i] != HNSW_NONE; i++)
        if (hnsw_distance(h, hnsw_at(h, it.id), links[i]) < it.d)
            return false;
    return true;
}

static void mend(struct hnsw *h, uint32_t a, const uint32_t *orphans, int n, int layer)
{
    struct item v[2 * HNSW_M_MAX];
    int count = strangers(h, a, orphans, n, layer, v), pick = 0;
    if (count == 0)
        return;
    while (pick < count && !diverse(h, a, v[pick], layer))
        pick++;
    if (pick == count)   /* none brings something new: the nearest with room */
        for (pick = 0; pick < count; pick++)
            if (hnsw_degree(h, v[pick].id, layer) < hnsw_room(h, layer))
                break;
    if (pick < count)
        hnsw_connect(h, a, v[pick].id, layer);
}

static bool skip(void *arg, uint64_t label)
{
    return label != *(uint64_t *)arg;
}

/* A node that nobody knows: search its place as if it were new. Without memory
 * it is linked to the entry, which is correct if not good. */
static void resettle(struct hnsw *h, uint32_t a, int layer)
{
    uint32_t ids[HNSW_M_MAX], from = h->entry;
    int n = 0, ef = h->opt.ef_construction;
    struct hnsw_scratch *s = hnsw_scratch_take(h, ef);
    if (from == a || h->levels[from] < layer)
        from = HNSW_NONE;
    for (uint32_t i = 0; i < h->slots && from == HNSW_NONE; i++)
        if (i != a && h->levels[i] >= layer)
            from = i;
    if (s && from != HNSW_NONE) {
        uint32_t start = hnsw_descend(h, hnsw_at(h, a), from, h->levels[from], layer + 1);
        from = start == a ? from : start;   /* above, it may be known well */
        if (hnsw_beam(h, s, hnsw_at(h, a), from, ef, layer, skip, &h->labels[a]))
            n = hnsw_select(h, s->sorted, hnsw_beam_sort(s), h->opt.m, ids);
    }
    for (int i = 0; i < n; i++)
        hnsw_connect(h, ids[i], a, layer);
    if (from != HNSW_NONE && hnsw_degree(h, a, layer) == 0)
        hnsw_connect(h, from, a, layer);
    hnsw_scratch_give(h, s);
}

static int leave(struct hnsw *h, uint32_t slot, int layer, uint32_t *orphans)
{
    int n = hnsw_degree(h, slot, layer);
    memcpy(orphans, hnsw_links(h, slot, layer), (size_t)n * sizeof(*orphans));
    for (int i = 0; i < n; i++)
        hnsw_unlink(h, slot, orphans[i], layer);
    return n;
}

enum err_code hnsw_remove(struct hnsw *h, uint64_t label, struct err *err)
{
    uint32_t slot = hnsw_find(h, label);
    if (slot == HNSW_NONE)
        return err_set(err, ERR_NOTFOUND, "hnsw: no label %llu", (unsigned long long)label);
    uint32_t orphans[HNSW_LEVEL_MAX + 1][2 * HNSW_M_MAX];
    int n[HNSW_LEVEL_MAX + 1], level = h->levels[slot];
    for (int layer = level; layer >= 0; layer--)
        n[layer] = leave(h, slot, layer, orphans[layer]);
    hnsw_map_cut(h, label);
    free(h->upper[slot]);
    h->upper[slot] = NULL;
    h->levels[slot] = -1;
    h->count--;
    if (slot < h->lowest_free)
        h->lowest_free = slot;
    if (slot == h->entry)
        hnsw_choose_entry(h);
    for (int layer = level; layer >= 0; layer--) {
        for (int i = 0; i < n[layer]; i++)
            mend(h, orphans[layer][i], orphans[layer], n[layer], layer);
        for (int i = 0; i < n[layer]; i++)
            if (hnsw_degree(h, orphans[layer][i], layer) == 0)
                resettle(h, orphans[layer][i], layer);
    }
    return OK;
}
