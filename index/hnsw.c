/* A graph's life, its slots and its labels. Searching, linking, removing and
 * the file have their own hnsw_*.c. */
#include "index/hnsw_int.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/vec.h"

static enum err_code check_options(const struct hnsw_options *o, struct err *err)
{
    if (o->dim < 1 || o->dim > 4096)
        return err_set(err, ERR_ARG, "hnsw: dim %d, want 1..4096", o->dim);
    if (o->m < 2 || o->m > HNSW_M_MAX)
        return err_set(err, ERR_ARG, "hnsw: m %d, want 2..%d", o->m, HNSW_M_MAX);
    if (o->ef_construction < o->m || o->ef_construction > 4096)
        return err_set(err, ERR_ARG, "hnsw: ef_construction %d, want %d..4096",
                       o->ef_construction, o->m);
    return OK;
}

enum err_code hnsw_new(const struct hnsw_options *opt, struct hnsw **out, struct err *err)
{
    *out = NULL;
    enum err_code rc = check_options(opt, err);
    if (rc)
        return rc;
    struct hnsw *h = calloc(1, sizeof(*h));
    if (h)
        h->pool = calloc(1, sizeof(*h->pool));
    if (!h || !h->pool) {
        free(h);
        return err_set(err, ERR_NOMEM, "a graph");
    }
    pthread_mutex_init(&h->pool->lock, NULL);
    h->opt = *opt;
    h->stride = (opt->dim + 15) / 16 * 16;
    h->entry = HNSW_NONE;
    h->top = -1;
    *out = h;
    return OK;
}

static void free_pool(struct hnsw_pool *pool)
{
    for (struct hnsw_scratch *s = pool->free, *next; s; s = next) {
        next = s->next;
        free(s->seen);
        free(s->near.v);
        free(s->found.v);
        free(s->sorted);
        free(s);
    }
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void hnsw_free(struct hnsw *h)
{
    if (!h)
        return;
    for (uint32_t i = 0; i < h->n_blocks; i++)
        free(h->blocks[i]);
    for (uint32_t i = 0; i < h->slots; i++)
        free(h->upper[i]);
    free(h->blocks);
    free(h->upper);
    free(h->labels);
    free(h->levels);
    free(h->links0);
    free(h->map);
    free_pool(h->pool);
    free(h);
}

size_t hnsw_count(const struct hnsw *h)
{
    return h->count;
}

size_t hnsw_freed(const struct hnsw *h)
{
    return h->slots - h->count;
}

bool hnsw_has(const struct hnsw *h, uint64_t label)
{
    return hnsw_find(h, label) != HNSW_NONE;
}

const float *hnsw_vector(const struct hnsw *h, uint64_t label)
{
    uint32_t slot = hnsw_find(h, label);
    return slot == HNSW_NONE ? NULL : hnsw_at(h, slot);
}

void hnsw_each(const struct hnsw *h, void (*fn)(void *arg, uint64_t label), void *arg)
{
    for (uint32_t i = 0; i < h->slots; i++)
        if (h->levels[i] >= 0)
            fn(arg, h->labels[i]);
}

/* Each level keeps one label in m: the lottery of the paper's section 4.1 with
 * m_L = 1 / ln m, drawn in whole numbers so that no libm has a say in it. */
int hnsw_level_of(const struct hnsw_options *opt, uint64_t label)
{
    uint64_t draw = hash64(&label, sizeof(label), opt->seed);
    int level = 0;
    while (level < HNSW_LEVEL_MAX && draw < UINT64_MAX / (uint64_t)opt->m) {
        draw = hash64(&draw, sizeof(draw), opt->seed);
        level++;
    }
    return level;
}

bool hnsw_unit(const float *vec, int dim)
{
    float square = vec_dot(vec, vec, dim);
    return square > 0.96f && square < 1.04f;   /* false for NaN and infinity too */
}

/* ---- labels */

static uint32_t home(const struct hnsw *h, uint64_t label)
{
    return (uint32_t)(label * 0x9e3779b97f4a7c15u >> 32) & (h->map_cap - 1);
}

uint32_t hnsw_find(const struct hnsw *h, uint64_t label)
{
    if (h->map_cap == 0)
        return HNSW_NONE;
    for (uint32_t i = home(h, label);; i = (i + 1) & (h->map_cap - 1)) {
        uint32_t slot = h->map[i];
        if (slot == HNSW_NONE || h->labels[slot] == label)
            return slot;
    }
}

void hnsw_map_put(struct hnsw *h, uint32_t slot)
{
    uint32_t i = home(h, h->labels[slot]);
    while (h->map[i] != HNSW_NONE)
        i = (i + 1) & (h->map_cap - 1);
    h->map[i] = slot;
}

/* Knuth 6.4, algorithm R: close the gap, so that no search meets it. */
void hnsw_map_cut(struct hnsw *h, uint64_t label)
{
    uint32_t mask = h->map_cap - 1, gap = home(h, label);
    while (h->labels[h->map[gap]] != label)
        gap = (gap + 1) & mask;
    for (uint32_t i = (gap + 1) & mask; h->map[i] != HNSW_NONE; i = (i + 1) & mask) {
        uint32_t from = home(h, h->labels[h->map[i]]);
        if (((i - from) & mask) >= ((i - gap) & mask)) {
            h->map[gap] = h->map[i];
            gap = i;
        }
    }
    h->map[gap] = HNSW_NONE;
}

/* ---- room */

static bool grow_map(struct hnsw *h, uint32_t labels)
{
    uint32_t cap = h->map_cap ? h->map_cap : 64;
    while (cap / 2 < labels)
        cap *= 2;
    if (cap == h->map_cap)
        return true;
    uint32_t *map = malloc((size_t)cap * sizeof(*map));
    if (!map)
        return false;
    memset(map, 0xff, (size_t)cap * sizeof(*map));
    free(h->map);
    h->map = map;
    h->map_cap = cap;
    for (uint32_t i = 0; i < h->slots; i++)
        if (h->levels[i] >= 0)
            hnsw_map_put(h, i);
    return true;
}

/* realloc keeps what was there when it fails; so each array may be ahead of cap. */
static bool grow_array(void **array, size_t n, size_t size)
{
    void *p = realloc(*array, n * size);
    if (p)
        *array = p;
    return p != NULL;
}

static bool grow_links(struct hnsw *h, uint32_t cap)
{
    size_t row = 2 * (size_t)h->opt.m * sizeof(*h->links0);
    uint32_t *p = aligned_alloc(64, ((size_t)cap * row + 63) / 64 * 64);
    if (!p)
        return false;
    if (h->links0)
        memcpy(p, h->links0, h->slots * row);
    free(h->links0);
    h->links0 = p;
    return true;
}

static bool grow_blocks(struct hnsw *h, uint32_t slots)
{
    uint32_t n = (slots + HNSW_BLOCK - 1) / HNSW_BLOCK;
    if (n > h->n_blocks && !grow_array((void **)&h->blocks, n, sizeof(*h->blocks)))
        return false;
    size_t bytes = (size_t)HNSW_BLOCK * (size_t)h->stride * sizeof(float);
    for (; h->n_blocks < n; h->n_blocks++) {
        float *block = aligned_alloc(64, bytes);
        if (!block)
            return false;
        memset(block, 0, bytes);
        h->blocks[h->n_blocks] = block;
    }
    return true;
}

enum err_code hnsw_grow(struct hnsw *h, uint32_t slots, struct err *err)
{
    if (slots > HNSW_SLOTS_MAX)
        return err_set(err, ERR_LIMIT, "a graph of %u nodes, at most %u", slots, HNSW_SLOTS_MAX);
    if (!grow_blocks(h, slots) || !grow_map(h, slots))
        return err_set(err, ERR_NOMEM, "a graph of %u nodes", slots);
    if (slots <= h->cap)
        return OK;
    uint64_t cap = h->cap ? h->cap + (uint64_t)h->cap / 2 : 256;
    cap = cap < slots ? slots : cap > HNSW_SLOTS_MAX ? HNSW_SLOTS_MAX : cap;
    if (!grow_links(h, (uint32_t)cap) ||
        !grow_array((void **)&h->labels, cap, sizeof(*h->labels)) ||
        !grow_array((void **)&h->levels, cap, sizeof(*h->levels)) ||
        !grow_array((void **)&h->upper, cap, sizeof(*h->upper)))
        return err_set(err, ERR_NOMEM, "a graph of %u nodes", slots);
    h->cap = (uint32_t)cap;
    return OK;
}

void hnsw_choose_entry(struct hnsw *h)
{
    h->entry = HNSW_NONE;
    h->top = -1;
    for (uint32_t i = 0; i < h->slots; i++)
        if (h->levels[i] > h->top) {
            h->top = h->levels[i];
            h->entry = i;
        }
}

/* ---- sameness and soundness */

static bool same_node(const struct hnsw *a, const struct hnsw *b, uint32_t i)
{
    if (a->levels[i] != b->levels[i])
        return false;
    if (a->levels[i] < 0)
        return true;
    if (a->labels[i] != b->labels[i] ||
        memcmp(hnsw_at(a, i), hnsw_at(b, i), (size_t)a->opt.dim * sizeof(float)) != 0)
        return false;
    for (int layer = 0; layer <= a->levels[i]; layer++) {
        const uint32_t *la = hnsw_links(a, i, layer), *lb = hnsw_links(b, i, layer);
        int n = hnsw_degree(a, i, layer);
        if (n != hnsw_degree(b, i, layer) || memcmp(la, lb, (size_t)n * sizeof(*la)) != 0)
            return false;
    }
    return true;
}

bool hnsw_equal(const struct hnsw *a, const struct hnsw *b)
{
    if (a->opt.dim != b->opt.dim || a->opt.m != b->opt.m || a->slots != b->slots ||
        a->count != b->count || a->entry != b->entry || a->top != b->top)
        return false;
    for (uint32_t i = 0; i < a->slots; i++)
        if (!same_node(a, b, i))
            return false;
    return true;
}

static enum err_code check_links(const struct hnsw *h, uint32_t a, int layer, struct err *err)
{
    const uint32_t *links = hnsw_links(h, a, layer);
    int n = hnsw_degree(h, a, layer);
    for (int i = 0; i < n; i++) {
        uint32_t b = links[i];
        if (b >= h->slots || b == a || h->levels[b] < layer)
            return err_set(err, ERR_FORMAT, "hnsw: node %u links to %u on layer %d", a, b, layer);
        for (int k = 0; k < i; k++)
            if (links[k] == b)
                return err_set(err, ERR_FORMAT, "hnsw: node %u links to %u twice", a, b);
        if (!hnsw_linked(h, b, a, layer))
            return err_set(err, ERR_FORMAT, "hnsw: node %u links to %u, not back", a, b);
    }
    return OK;
}

static enum err_code check_node(const struct hnsw *h, uint32_t i, struct err *err)
{
    if (h->levels[i] != hnsw_level_of(&h->opt, h->labels[i]))
        return err_set(err, ERR_FORMAT, "hnsw: node %u on level %d", i, h->levels[i]);
    if (hnsw_find(h, h->labels[i]) != i)
        return err_set(err, ERR_FORMAT, "hnsw: node %u shares its label", i);
    if (!hnsw_unit(hnsw_at(h, i), h->opt.dim))
        return err_set(err, ERR_FORMAT, "hnsw: node %u is not of unit length", i);
    if (h->count > 1 && hnsw_degree(h, i, 0) == 0)
        return err_set(err, ERR_FORMAT, "hnsw: node %u stands alone", i);
    for (int layer = 0; layer <= h->levels[i]; layer++) {
        enum err_code rc = check_links(h, i, layer, err);
        if (rc)
            return rc;
    }
    return OK;
}

enum err_code hnsw_check(const struct hnsw *h, struct err *err)
{
    uint32_t live = 0, entry = HNSW_NONE;
    int top = -1;
    for (uint32_t i = 0; i < h->slots; i++) {
        if (h->levels[i] < 0)
            continue;
        live++;
        if (h->levels[i] > top) {
            top = h->levels[i];
            entry = i;
        }
        enum err_code rc = check_node(h, i, err);
        if (rc)
            return rc;
    }
    if (live != h->count || top != h->top || entry != h->entry)
        return err_set(err, ERR_FORMAT, "hnsw: %u nodes of %u, entry %u of %u", live, h->count,
                       entry, h->entry);
    return OK;
}
