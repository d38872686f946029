/* Adding: algorithm 1, with neighbours chosen by algorithm 4.
 *
 * Links go both ways. The paper lets a node that has no room left forget its
 * newest links one-sidedly; here both ends forget, so that removal finds
 * everyone who knows a node without a scan. Which link is forgotten: the
 * longest one that a nearer neighbour makes redundant (the test of algorithm
 * 4, applied from the far end), never one that would leave the other end with
 * fewer than m/2 links while there is another choice.
 *
 * Twins (the same vector under many labels, as boilerplate makes them) would
 * prune every link out of their crowd: a twin at distance 0 is at least as
 * near to everything as the node itself. So a twin speaks only against twins. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/vec.h"
#include "index/hnsw_int.h"

#define TWIN 1e-6f   /* two unit vectors this near differ by rounding only */

static float between(const struct hnsw *h, uint32_t a, uint32_t b)
{
    return hnsw_distance(h, hnsw_at(h, a), b);
}

/* Does the neighbour `r` stand for `e`, seen from a node at these distances? */
static bool stands_for(const struct hnsw *h, struct item r, struct item e)
{
    if (r.d <= TWIN)
        return e.d <= TWIN;
    return between(h, e.id, r.id) < e.d;
}

int hnsw_select(const struct hnsw *h, const struct item *v, int n, int room, uint32_t *out)
{
    bool taken[4096] = {false};
    int chosen[2 * HNSW_M_MAX], n_chosen = 0, total = 0;
    for (int i = 0; i < n && n_chosen < room; i++) {
        bool diverse = true;
        for (int k = 0; k < n_chosen && diverse; k++)
            diverse = !stands_for(h, v[chosen[k]], v[i]);
        if (diverse) {
            chosen[n_chosen++] = i;
            taken[i] = true;
        }
    }
    total = n_chosen;   /* keepPrunedConnections: fill up with the nearest others */
    for (int i = 0; i < n && total < room; i++)
        if (!taken[i]) {
            taken[i] = true;
            total++;
        }
    total = 0;
    for (int i = 0; i < n; i++)
        if (taken[i])
            out[total++] = v[i].id;
    return total;
}

/* ---- links */

int hnsw_degree(const struct hnsw *h, uint32_t slot, int layer)
{
    const uint32_t *links = hnsw_links(h, slot, layer);
    int n = 0, room = hnsw_room(h, layer);
    while (n < room && links[n] != HNSW_NONE)
        n++;
    return n;
}

bool hnsw_linked(const struct hnsw *h, uint32_t a, uint32_t b, int layer)
{
    const uint32_t *links = hnsw_links(h, a, layer);
    for (int i = 0; i < hnsw_room(h, layer) && links[i] != HNSW_NONE; i++)
        if (links[i] == b)
            return true;
    return false;
}

void hnsw_link(struct hnsw *h, uint32_t a, uint32_t b, int layer)
{
    hnsw_links(h, a, layer)[hnsw_degree(h, a, layer)] = b;
    hnsw_links(h, b, layer)[hnsw_degree(h, b, layer)] = a;
}

/* The last link takes the place of the one that goes. */
static void cut(struct hnsw *h, uint32_t a, uint32_t b, int layer)
{
    uint32_t *links = hnsw_links(h, a, layer);
    int n = hnsw_degree(h, a, layer), i = 0;
    while (i < n && links[i] != b)
        i++;
    if (i == n)
        return;
    links[i] = links[n - 1];
    links[n - 1] = HNSW_NONE;
}

void hnsw_unlink(struct hnsw *h, uint32_t a, uint32_t b, int layer)
{
    cut(h, a, b, layer);
    cut(h, b, a, layer);
}

/* The links of `a` and the newcomer, sorted by distance to `a`. */
static int crowd(const struct hnsw *h, uint32_t a, uint32_t newcomer, int layer, struct item *v)
{
    const uint32_t *links = hnsw_links(h, a, layer);
    int n = hnsw_degree(h, a, layer);
    for (int i = 0; i <= n; i++) {
        uint32_t id = i < n ? links[i] : newcomer;
        struct item it = {between(h, a, id), id};
        int k = i;
        for (; k > 0 && (v[k - 1].d > it.d || (v[k - 1].d == it.d && v[k - 1].id > id)); k--)
            v[k] = v[k - 1];
        v[k] = it;
    }
    return n + 1;
}

static bool redundant(const struct hnsw *h, const struct item *v, int i)
{
    for (int k = 0; k < i; k++)
        if (stands_for(h, v[k], v[i]))
            return true;
    return false;
}

/* Who of the crowd around the full node `a` goes; perhaps the newcomer. */
static uint32_t victim(const struct hnsw *h, uint32_t a, uint32_t newcomer, int layer)
{
    struct item v[2 * HNSW_M_MAX + 1];
    int n = crowd(h, a, newcomer, layer, v), spare[2 * HNSW_M_MAX + 1];
    for (int i = 0; i < n; i++)
        spare[i] = hnsw_degree(h, v[i].id, layer) + (v[i].id == newcomer);
    for (int i = n - 1; i > 0; i--)
        if (spare[i] > h->opt.m / 2 && redundant(h, v, i))
            return v[i].id;
    for (int i = n - 1; i >= 0; i--)
        if (spare[i] > 1)
            return v[i].id;
    return v[n - 1].id == newcomer ? v[n - 2].id : v[n - 1].id;
}

void hnsw_connect(struct hnsw *h, uint32_t a, uint32_t b, int layer)
{
    uint32_t pair[2] = {a, b}, gone[2] = {HNSW_NONE, HNSW_NONE};
    int room = hnsw_room(h, layer);
    if (a == b || hnsw_linked(h, a, b, layer))
        return;
    for (int i = 0; i < 2; i++)
        if (hnsw_degree(h, pair[i], layer) == room) {
            gone[i] = victim(h, pair[i], pair[1 - i], layer);
            if (gone[i] == pair[1 - i] || (hnsw_degree(h, gone[i], layer) == 1 &&
                                           hnsw_degree(h, pair[1 - i], layer) + 1 >= room))
                return;
        }
    if (gone[0] != HNSW_NONE && gone[0] == gone[1] && hnsw_degree(h, gone[0], layer) <= 2)
        return;   /* both would drop the same one, and it knows nobody else */
    for (int i = 0; i < 2; i++)
        if (gone[i] != HNSW_NONE)
            hnsw_unlink(h, pair[i], gone[i], layer);
    hnsw_link(h, a, b, layer);
    /* Around a star all of whose points know nobody else, the one that had to
     * go holds on to the newcomer. */
    for (int i = 0; i < 2; i++)
        if (gone[i] != HNSW_NONE && hnsw_degree(h, gone[i], layer) == 0 &&
            hnsw_degree(h, pair[1 - i], layer) < room)
            hnsw_link(h, gone[i], pair[1 - i], layer);
}

/* ---- a new node */

void hnsw_plan_free(const struct hnsw *h, struct hnsw_plan *plan)
{
    (void)h;
    if (plan)
        free(plan->vec);
    free(plan);
}

static struct hnsw_plan *plan_new(const struct hnsw *h, uint64_t label, const float *vec)
{
    struct hnsw_plan *plan = calloc(1, sizeof(*plan));
    if (plan)
        plan->vec = aligned_alloc(64, (size_t)h->stride * sizeof(float));
    if (!plan || !plan->vec) {
        free(plan);
        return NULL;
    }
    memset(plan->vec, 0, (size_t)h->stride * sizeof(float));
    memcpy(plan->vec, vec, (size_t)h->opt.dim * sizeof(float));
    plan->label = label;
    plan->level = hnsw_level_of(&h->opt, label);
    return plan;
}

static bool find_links(const struct hnsw *h, struct hnsw_plan *plan)
{
    struct hnsw_scratch *s = hnsw_scratch_take(h, h->opt.ef_construction);
    if (!s)
        return false;
    bool ok = true;
    uint32_t from = hnsw_descend(h, plan->vec, h->entry, h->top, plan->level + 1);
    for (int layer = plan->level < h->top ? plan->level : h->top; layer >= 0 && ok; layer--) {
        ok = hnsw_beam(h, s, plan->vec, from, h->opt.ef_construction, layer, NULL, NULL);
        int n = ok ? hnsw_beam_sort(s) : 0;
        plan->n[layer] = hnsw_select(h, s->sorted, n, h->opt.m, plan->ids[layer]);
        from = n ? s->sorted[0].id : from;
    }
    hnsw_scratch_give(h, s);
    return ok;
}

enum err_code hnsw_plan(const struct hnsw *h, uint64_t label, const float *vec,
                        struct hnsw_plan **out, struct err *err)
{
    *out = NULL;
    if (hnsw_find(h, label) != HNSW_NONE)
        return err_set(err, ERR_ARG, "hnsw: label %llu is there already",
                       (unsigned long long)label);
    if (!hnsw_unit(vec, h->opt.dim))
        return err_set(err, ERR_ARG, "hnsw: the vector of label %llu is not of unit length",
                       (unsigned long long)label);
    struct hnsw_plan *plan = plan_new(h, label, vec);
    if (!plan || (h->top >= 0 && !find_links(h, plan))) {
        hnsw_plan_free(h, plan);
        return err_set(err, ERR_NOMEM, "linking a vector");
    }
    *out = plan;
    return OK;
}

static uint32_t next_slot(const struct hnsw *h)
{
    uint32_t slot = h->lowest_free;
    while (slot < h->slots && h->levels[slot] >= 0)
        slot++;
    return slot;
}

static void occupy(struct hnsw *h, uint32_t slot, const struct hnsw_plan *plan, uint32_t *upper)
{
    size_t m = (size_t)h->opt.m;
    h->upper[slot] = upper;
    h->labels[slot] = plan->label;
    h->levels[slot] = (int8_t)plan->level;
    h->lowest_free = slot + 1;
    if (slot == h->slots)
        h->slots++;
    h->count++;
    memset(h->links0 + slot * 2 * m, 0xff, 2 * m * sizeof(uint32_t));
    if (upper)
        memset(upper, 0xff, (size_t)plan->level * m * sizeof(uint32_t));
    memcpy(hnsw_at(h, slot), plan->vec, (size_t)h->stride * sizeof(float));
    hnsw_map_put(h, slot);
}

enum err_code hnsw_apply(struct hnsw *h, struct hnsw_plan *plan, struct err *err)
{
    uint32_t slot = next_slot(h), *upper = NULL;
    enum err_code rc = hnsw_grow(h, slot < h->slots ? h->slots : slot + 1, err);
    if (!rc && plan->level > 0) {
        upper = malloc((size_t)plan->level * (size_t)h->opt.m * sizeof(*upper));
        if (!upper)
            rc = err_set(err, ERR_NOMEM, "a node on level %d", plan->level);
    }
    if (rc)
        return rc;
    occupy(h, slot, plan, upper);
    for (int layer = plan->level; layer >= 0; layer--)
        for (int i = 0; i < plan->n[layer]; i++)
            hnsw_connect(h, plan->ids[layer][i], slot, layer);
    if (plan->level > h->top || (plan->level == h->top && slot < h->entry)) {
        h->top = plan->level;
        h->entry = slot;
    }
    return OK;
}

enum err_code hnsw_add(struct hnsw *h, uint64_t label, const float *vec, struct err *err)
{
    struct hnsw_plan *plan;
    enum err_code rc = hnsw_plan(h, label, vec, &plan, err);
    if (rc)
        return rc;
    rc = hnsw_apply(h, plan, err);
    hnsw_plan_free(h, plan);
    return rc;
}
