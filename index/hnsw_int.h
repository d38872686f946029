/* index/hnsw_int.h - the graph's memory, for the hnsw_*.c files only.
 *
 * A node is a slot number. Slots [0, slots) hold a node or were freed
 * (level -1). Vectors lie in blocks, so that growing moves none of them. */
#ifndef CARREL_INDEX_HNSW_INT_H
#define CARREL_INDEX_HNSW_INT_H
#include <pthread.h>
#include "base/heap.h"
#include "index/hnsw.h"

#define HNSW_NONE      UINT32_MAX
#define HNSW_LEVEL_MAX 12         /* 16^12 nodes would be needed to miss a 13th */
#define HNSW_BLOCK     2048u      /* vectors of one allocation */
#define HNSW_SLOTS_MAX 0x7fffffffu
#define HNSW_M_MAX     128

/* One search's working memory; taken from a pool and put back. */
struct hnsw_scratch {
    struct hnsw_scratch *next;
    uint16_t *seen;               /* [seen_cap]; == epoch: visited by this search */
    uint32_t seen_cap;
    uint16_t epoch;
    struct heap near;             /* candidates to expand, nearest on top */
    int near_cap;
    struct heap found;            /* the beam, farthest on top */
    int found_cap;
    struct item *sorted;          /* [found_cap] */
};

struct hnsw_pool {
    pthread_mutex_t lock;
    struct hnsw_scratch *free;
};

struct hnsw {
    struct hnsw_options opt;
    int stride;                   /* floats from one vector to the next: dim to a multiple of 16 */
    uint32_t slots, cap, count;
    uint32_t lowest_free;         /* no freed slot lies below it */
    uint64_t *labels;             /* [cap] */
    int8_t *levels;               /* [cap]; -1: freed */
    uint32_t *links0;             /* [cap][2*m], HNSW_NONE after the last */
    uint32_t **upper;             /* [cap] -> [level][m], the same; NULL on level 0 */
    float **blocks;               /* [n_blocks] -> [HNSW_BLOCK][stride], aligned to 64 */
    uint32_t n_blocks;
    uint32_t *map;                /* label -> slot, open addressing; HNSW_NONE: empty */
    uint32_t map_cap;             /* a power of two, at least twice `count` */
    uint32_t entry;               /* the lowest slot on the top level; HNSW_NONE when empty */
    int top;                      /* -1 when empty */
    struct hnsw_pool *pool;
};

struct hnsw_plan {
    uint64_t label;
    int level;
    float *vec;                             /* [stride], yours to copy */
    int n[HNSW_LEVEL_MAX + 1];
    uint32_t ids[HNSW_LEVEL_MAX + 1][HNSW_M_MAX];   /* links per layer, nearest first */
};

static inline float *hnsw_at(const struct hnsw *h, uint32_t slot)
{
    return h->blocks[slot / HNSW_BLOCK] + (size_t)(slot % HNSW_BLOCK) * (size_t)h->stride;
}

static inline uint32_t *hnsw_links(const struct hnsw *h, uint32_t slot, int layer)
{
    if (layer == 0)
        return h->links0 + (size_t)slot * 2 * (size_t)h->opt.m;
    return h->upper[slot] + (size_t)(layer - 1) * (size_t)h->opt.m;
}

static inline int hnsw_room(const struct hnsw *h, int layer)
{
    return layer ? h->opt.m : 2 * h->opt.m;
}

int hnsw_degree(const struct hnsw *h, uint32_t slot, int layer);
int hnsw_level_of(const struct hnsw_options *opt, uint64_t label);
uint32_t hnsw_find(const struct hnsw *h, uint64_t label);    /* HNSW_NONE without */
bool hnsw_unit(const float *vec, int dim);
/* Make room for slot h->slots and one more label; ERR_NOMEM changes nothing seen. */
enum err_code hnsw_grow(struct hnsw *h, uint32_t slots, struct err *err);
void hnsw_map_put(struct hnsw *h, uint32_t slot);
void hnsw_map_cut(struct hnsw *h, uint64_t label);
void hnsw_choose_entry(struct hnsw *h);                      /* after a node left or all were loaded */

float hnsw_distance(const struct hnsw *h, const float *vec, uint32_t slot);
struct hnsw_scratch *hnsw_scratch_take(const struct hnsw *h, int ef);   /* NULL without memory */
void hnsw_scratch_give(const struct hnsw *h, struct hnsw_scratch *s);
/* The nearest node that greedy steps reach from `from` on layers [low, high]. */
uint32_t hnsw_descend(const struct hnsw *h, const float *vec, uint32_t from, int high, int low);
/* Algorithm 2: fill s->found with up to `ef` kept nodes of `layer`, from `from` on. */
bool hnsw_beam(const struct hnsw *h, struct hnsw_scratch *s, const float *vec, uint32_t from,
               int ef, int layer, bool (*keep)(void *arg, uint64_t label), void *arg);
/* Empty s->found into s->sorted, nearest first; returns how many. */
int hnsw_beam_sort(struct hnsw_scratch *s);

/* Both-way links. */
bool hnsw_linked(const struct hnsw *h, uint32_t a, uint32_t b, int layer);
void hnsw_link(struct hnsw *h, uint32_t a, uint32_t b, int layer);      /* both have room */
void hnsw_unlink(struct hnsw *h, uint32_t a, uint32_t b, int layer);
/* Link a and b, dropping a link of whoever has no room left; see hnsw_build.c. */
void hnsw_connect(struct hnsw *h, uint32_t a, uint32_t b, int layer);
/* Algorithm 4 over v[0..n) sorted by distance to `vec`: writes up to `room` ids. */
int hnsw_select(const struct hnsw *h, const struct item *v, int n, int room, uint32_t *out);
#endif
