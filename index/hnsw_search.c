/* Searching: algorithms 2 (one layer) and 5 (all of them). */
#include <stdlib.h>
#include <string.h>
#include "base/vec.h"
#include "index/hnsw_int.h"

float hnsw_distance(const struct hnsw *h, const float *vec, uint32_t slot)
{
    return 1.0f - vec_dot(vec, hnsw_at(h, slot), h->opt.dim);
}

/* ---- scratch */

static struct hnsw_scratch *pool_pop(struct hnsw_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct hnsw_scratch *s = pool->free;
    if (s)
        pool->free = s->next;
    pthread_mutex_unlock(&pool->lock);
    return s ? s : calloc(1, sizeof(*s));
}

void hnsw_scratch_give(const struct hnsw *h, struct hnsw_scratch *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&h->pool->lock);
    s->next = h->pool->free;
    h->pool->free = s;
    pthread_mutex_unlock(&h->pool->lock);
}

static bool room_seen(const struct hnsw *h, struct hnsw_scratch *s)
{
    if (s->seen_cap >= h->slots && s->seen_cap > 0)
        return true;
    uint32_t cap = h->cap ? h->cap : 1;
    uint16_t *seen = calloc(cap, sizeof(*seen));
    if (!seen)
        return false;
    free(s->seen);
    s->seen = seen;
    s->seen_cap = cap;
    s->epoch = 0;
    return true;
}

static bool room_found(struct hnsw_scratch *s, int ef)
{
    if (s->found_cap > ef)
        return true;
    struct item *v = realloc(s->found.v, ((size_t)ef + 1) * sizeof(*v));
    if (v)
        s->found.v = v;
    struct item *sorted = realloc(s->sorted, ((size_t)ef + 1) * sizeof(*sorted));
    if (sorted)
        s->sorted = sorted;
    if (!v || !sorted)
        return false;
    s->found_cap = ef + 1;
    return true;
}

static bool room_near(struct hnsw_scratch *s, int more)
{
    if (s->near.n + more <= s->near_cap)
        return true;
    int cap = s->near_cap ? 2 * s->near_cap : 1024;
    while (cap < s->near.n + more)
        cap *= 2;
    struct item *v = realloc(s->near.v, (size_t)cap * sizeof(*v));
    if (!v)
        return false;
    s->near.v = v;
    s->near_cap = cap;
    return true;
}

struct hnsw_scratch *hnsw_scratch_take(const struct hnsw *h, int ef)
{
    struct hnsw_scratch *s = pool_pop(h->pool);
    if (s && (!room_seen(h, s) || !room_found(s, ef))) {
        hnsw_scratch_give(h, s);
        return NULL;
    }
    if (s)
        s->found.far = true;
    return s;
}

static void begin(struct hnsw_scratch *s)
{
    s->near.n = s->found.n = 0;
    if (++s->epoch == 0) {
        memset(s->seen, 0, s->seen_cap * sizeof(*s->seen));
        s->epoch = 1;
    }
}

/* ---- one layer */

static uint32_t step(const struct hnsw *h, const float *vec, uint32_t at, int layer, float *best)
{
    const uint32_t *links = hnsw_links(h, at, layer);
    for (int i = 0; i < hnsw_room(h, layer) && links[i] != HNSW_NONE; i++) {
        float d = hnsw_distance(h, vec, links[i]);
        if (d < *best) {
            *best = d;
            at = links[i];
        }
    }
    return at;
}

uint32_t hnsw_descend(const struct hnsw *h, const float *vec, uint32_t from, int high, int low)
{
    float best = hnsw_distance(h, vec, from);
    for (int layer = high; layer >= low; layer--)
        for (uint32_t at = HNSW_NONE; at != from;) {
            at = from;
            from = step(h, vec, at, layer, &best);
        }
    return from;
}

/* The links of `at` not seen before, marked as seen; their vectors on the way. */
static int unseen(const struct hnsw *h, struct hnsw_scratch *s, uint32_t at, int layer,
                  uint32_t *out)
{
    const uint32_t *links = hnsw_links(h, at, layer);
    int n = 0;
    for (int i = 0; i < hnsw_room(h, layer) && links[i] != HNSW_NONE; i++) {
        if (s->seen[links[i]] == s->epoch)
            continue;
        s->seen[links[i]] = s->epoch;
        const char *vec = (const char *)hnsw_at(h, links[i]);
        for (int line = 0; line < 4; line++)   /* the processor fetches the rest by itself */
            __builtin_prefetch(vec + 64 * line);
        out[n++] = links[i];
    }
    return n;
}

static void offer(const struct hnsw *h, struct hnsw_scratch *s, struct item it, int ef,
                  bool (*keep)(void *arg, uint64_t label), void *arg)
{
    if (s->found.n == ef && it.d >= s->found.v[0].d)
        return;
    heap_push(&s->near, it);
    if (keep && !keep(arg, h->labels[it.id]))
        return;
    if (s->found.n == ef)
        heap_pop(&s->found);
    heap_push(&s->found, it);
}

bool hnsw_beam(const struct hnsw *h, struct hnsw_scratch *s, const float *vec, uint32_t from,
               int ef, int layer, bool (*keep)(void *arg, uint64_t label), void *arg)
{
    uint32_t fresh[2 * HNSW_M_MAX];
    begin(s);
    if (!room_near(s, 1))
        return false;
    s->seen[from] = s->epoch;
    offer(h, s, (struct item){hnsw_distance(h, vec, from), from}, ef, keep, arg);
    while (s->near.n > 0) {
        struct item at = heap_pop(&s->near);
        if (s->found.n == ef && at.d > s->found.v[0].d)
            break;
        int n = unseen(h, s, at.id, layer, fresh);
        if (!room_near(s, n))
            return false;
        for (int i = 0; i < n; i++)
            offer(h, s, (struct item){hnsw_distance(h, vec, fresh[i]), fresh[i]}, ef, keep, arg);
    }
    return true;
}

int hnsw_beam_sort(struct hnsw_scratch *s)
{
    int n = s->found.n;
    for (int i = n - 1; i >= 0; i--)
        s->sorted[i] = heap_pop(&s->found);
    return n;
}

enum err_code hnsw_search(const struct hnsw *h, const float *query, int k, int ef,
                          bool (*keep)(void *arg, uint64_t label), void *arg,
                          struct hnsw_hit *hits, int *n, struct err *err)
{
    *n = 0;
    if (k < 1 || ef < k)
        return err_set(err, ERR_ARG, "k %d and ef %d: need 1 <= k <= ef", k, ef);
    if (h->top < 0)
        return OK;
    struct hnsw_scratch *s = hnsw_scratch_take(h, ef);
    if (!s)
        return err_set(err, ERR_NOMEM, "a beam of %d", ef);
    uint32_t start = hnsw_descend(h, query, h->entry, h->top, 1);
    bool done = hnsw_beam(h, s, query, start, ef, 0, keep, arg);
    int found = done ? hnsw_beam_sort(s) : 0;
    for (int i = 0; i < found && i < k; i++)
        hits[(*n)++] = (struct hnsw_hit){h->labels[s->sorted[i].id], s->sorted[i].d};
    hnsw_scratch_give(h, s);
    return done ? OK : err_set(err, ERR_NOMEM, "a beam of %d", ef);
}
