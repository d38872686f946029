/* The graph's snapshot: links only, for vectors stay where the truth is.
 *
 * Little-endian; everything lies at a multiple of 4 (labels: of 8).
 *   header   struct head, 96 bytes
 *   labels   u64[slots]; 0 where a slot was freed
 *   levels   i8[slots], padded with zeros to a multiple of 8; -1: freed
 *   links    for each slot that is not freed, for each layer 0..level:
 *            u32 count, u32 ids[count]
 * `hash` is XXH3-64 of the header with `hash` itself zero, seeded with the
 * XXH3-64 of all that follows: it finds accidents. It proves nothing about intent, so the loader believes none of
 * the numbers: the length must come out exactly, a level must be the one that
 * the label's hash gives, links must lie in range, go both ways and be there
 * once, the entry must be the lowest slot on the top level, and the vectors
 * come from the caller. What passes all that is the graph that was saved, or
 * one whose links were rewritten with care, which is still safe to walk.
 *
 * Recovery: a save writes a temporary neighbour, syncs and renames it. A file
 * that is missing, torn or refused costs time only: the caller rebuilds. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
#include "index/hnsw_int.h"

static const char MAGIC[8] = "carrelHN";
#define VERSION 1
#define ENDIAN  0x01020304u

struct head {
    char magic[8];
    uint32_t version, endian;
    uint32_t dim, m, ef_construction, slots;
    uint32_t count, entry;
    int32_t top;
    uint32_t zero;
    uint64_t seed, tag, bytes, hash;
    uint64_t reserved[2];
};
_Static_assert(sizeof(struct head) == 96, "the header is 96 bytes on disk");

static size_t padded(size_t n)
{
    return (n + 7) / 8 * 8;
}

static uint64_t hash_of(const uint8_t *bytes, size_t n)
{
    struct head head;
    memcpy(&head, bytes, sizeof(head));
    head.hash = 0;
    return hash64(&head, sizeof(head), hash64(bytes + sizeof(head), n - sizeof(head), 0));
}

/* ---- writing */

static void put_nodes(const struct hnsw *h, struct buf *b)
{
    static const uint64_t zero;
    for (uint32_t i = 0; i < h->slots; i++)
        buf_add(b, h->levels[i] < 0 ? &zero : &h->labels[i], sizeof(uint64_t));
    buf_add(b, h->levels, h->slots);
    buf_add(b, &zero, padded(h->slots) - h->slots);
    for (uint32_t i = 0; i < h->slots; i++)
        for (int layer = 0; layer <= h->levels[i]; layer++) {
            uint32_t n = (uint32_t)hnsw_degree(h, i, layer);
            buf_add(b, &n, sizeof(n));
            buf_add(b, hnsw_links(h, i, layer), n * sizeof(n));
        }
}

enum err_code hnsw_save(const struct hnsw *h, const char *path, uint64_t tag, struct err *err)
{
    struct buf b = {.max = (size_t)1 << 40};
    struct head head = {
        .version = VERSION, .endian = ENDIAN, .dim = (uint32_t)h->opt.dim,
        .m = (uint32_t)h->opt.m, .ef_construction = (uint32_t)h->opt.ef_construction,
        .slots = h->slots, .count = h->count, .entry = h->entry, .top = h->top,
        .seed = h->opt.seed, .tag = tag,
    };
    memcpy(head.magic, MAGIC, sizeof(MAGIC));
    buf_reserve(&b, sizeof(head) + (size_t)h->slots * (12 + (size_t)h->opt.m * 6));
    buf_add(&b, &head, sizeof(head));
    put_nodes(h, &b);
    enum err_code rc = buf_ok(&b, "graph snapshot", err);
    if (!rc) {
        struct head *at = (struct head *)(void *)b.ptr;
        at->bytes = b.len;
        at->hash = hash_of((const uint8_t *)b.ptr, b.len);
        rc = file_write_atomic(path, buf_view(&b), err);
    }
    buf_free(&b);
    return rc;
}

/* ---- reading */

struct reader {
    const uint8_t *base;
    size_t at, len;
};

/* The next u32, or HNSW_NONE past the end (no count or id may be that). */
static uint32_t take(struct reader *r)
{
    uint32_t v = HNSW_NONE;
    if (r->len - r->at >= sizeof(v)) {
        memcpy(&v, r->base + r->at, sizeof(v));
        r->at += sizeof(v);
    }
    return v;
}

static enum err_code check_head(const uint8_t *bytes, size_t n, const struct head *head,
                                const struct hnsw_options *want, struct err *err)
{
    if (memcmp(head->magic, MAGIC, sizeof(MAGIC)) != 0 || head->version != VERSION ||
        head->endian != ENDIAN || head->zero || head->reserved[0] || head->reserved[1])
        return err_set(err, ERR_FORMAT, "graph: not a snapshot of version %d", VERSION);
    if (head->bytes != n || head->hash != hash_of(bytes, n))
        return err_set(err, ERR_FORMAT, "graph: torn or damaged (checksum)");
    if (head->dim != (uint32_t)want->dim || head->m != (uint32_t)want->m ||
        head->ef_construction != (uint32_t)want->ef_construction || head->seed != want->seed)
        return err_set(err, ERR_FORMAT, "graph: made with dim %u, m %u, ef %u", head->dim,
                       head->m, head->ef_construction);
    if (head->slots > HNSW_SLOTS_MAX || head->slots > n / 9 || head->count > head->slots)
        return err_set(err, ERR_FORMAT, "graph: %u slots in %zu bytes", head->slots, n);
    return OK;
}

static enum err_code read_slots(struct hnsw *h, const struct head *head, struct reader *r,
                                struct err *err)
{
    size_t labels = r->at, levels = labels + (size_t)head->slots * 8;
    if (r->len - r->at < (size_t)head->slots * 8 + padded(head->slots))
        return err_set(err, ERR_FORMAT, "graph: ends among its labels");
    r->at = levels + padded(head->slots);
    for (size_t i = levels + head->slots; i < r->at; i++)
        if (r->base[i])
            return err_set(err, ERR_FORMAT, "graph: padding is not zero");
    enum err_code rc = hnsw_grow(h, head->slots, err);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < head->slots; i++) {
        memcpy(&h->labels[i], r->base + labels + (size_t)i * 8, 8);
        h->levels[i] = -1;
        h->upper[i] = NULL;
    }
    h->slots = head->slots;
    for (uint32_t i = 0; i < head->slots; i++) {
        int8_t level = (int8_t)r->base[levels + i];
        if (level < 0 ? level != -1 || h->labels[i] != 0
                      : level != hnsw_level_of(&h->opt, h->labels[i]))
            return err_set(err, ERR_FORMAT, "graph: node %u on level %d", i, level);
        if (level < 0)
            continue;
        if (hnsw_find(h, h->labels[i]) != HNSW_NONE)
            return err_set(err, ERR_FORMAT, "graph: label %llu twice",
                           (unsigned long long)h->labels[i]);
        if (level > 0 && !(h->upper[i] = malloc((size_t)level * (size_t)h->opt.m * 4)))
            return err_set(err, ERR_NOMEM, "a graph of %u nodes", head->slots);
        h->levels[i] = level;
        h->count++;
        hnsw_map_put(h, i);
    }
    return OK;
}

static enum err_code read_links(struct hnsw *h, struct reader *r, struct err *err)
{
    for (uint32_t i = 0; i < h->slots; i++)
        for (int layer = 0; layer <= h->levels[i]; layer++) {
            uint32_t *links = hnsw_links(h, i, layer), n = take(r);
            int room = hnsw_room(h, layer);
            if (n > (uint32_t)room)
                return err_set(err, ERR_FORMAT, "graph: node %u with %u links", i, n);
            for (int k = 0; k < room; k++)
                links[k] = k < (int)n ? take(r) : HNSW_NONE;
            for (uint32_t k = 0; k < n; k++)
                if (links[k] >= h->slots)
                    return err_set(err, ERR_FORMAT, "graph: node %u links to %u", i, links[k]);
        }
    if (r->at != r->len)
        return err_set(err, ERR_FORMAT, "graph: %zu bytes too many", r->len - r->at);
    return OK;
}

/* Fill in the vectors; labels that are gone are listed in gone[0..*n). */
static enum err_code read_vectors(struct hnsw *h, const struct hnsw_source *source, uint64_t *gone,
                                  uint32_t *n, struct err *err)
{
    for (uint32_t i = 0; i < h->slots; i++) {
        if (h->levels[i] < 0)
            continue;
        struct err why = {0};
        float *vec = hnsw_at(h, i);
        enum err_code rc = source->vector(source->arg, h->labels[i], vec, &why);
        if (rc == ERR_NOTFOUND) {
            memset(vec, 0, (size_t)h->opt.dim * sizeof(*vec));
            vec[0] = 1;   /* any direction will do until it is removed, below */
            gone[(*n)++] = h->labels[i];
        } else if (rc) {
            return err_set(err, rc, "%s", why.msg);
        }
    }
    return OK;
}

static enum err_code load_nodes(struct hnsw *h, const struct head *head, struct reader *r,
                                const struct hnsw_source *source, struct err *err)
{
    uint32_t n = 0;
    enum err_code rc = read_slots(h, head, r, err);
    if (!rc)
        rc = read_links(h, r, err);
    if (rc)
        return rc;
    hnsw_choose_entry(h);
    if (h->count != head->count || h->entry != head->entry || h->top != head->top)
        return err_set(err, ERR_FORMAT, "graph: entry %u on level %d, want %u on %d", head->entry,
                       head->top, h->entry, h->top);
    uint64_t *gone = malloc(((size_t)h->count + 1) * sizeof(*gone));
    if (!gone)
        return err_set(err, ERR_NOMEM, "a graph of %u nodes", h->count);
    rc = read_vectors(h, source, gone, &n, err);
    if (!rc)
        rc = hnsw_check(h, err);
    for (uint32_t i = 0; i < n && !rc; i++)
        rc = hnsw_remove(h, gone[i], err);
    free(gone);
    return rc;
}

enum err_code hnsw_load_bytes(const void *bytes, size_t n, const struct hnsw_options *want,
                              const struct hnsw_source *source, struct hnsw **out, uint64_t *tag,
                              struct err *err)
{
    struct head head;
    struct hnsw *h = NULL;
    *out = NULL;
    if (n < sizeof(head))
        return err_set(err, ERR_FORMAT, "graph: %zu bytes, want at least %zu", n, sizeof(head));
    memcpy(&head, bytes, sizeof(head));
    enum err_code rc = check_head(bytes, n, &head, want, err);
    if (!rc)
        rc = hnsw_new(want, &h, err);
    if (rc)
        return rc;
    struct reader r = {bytes, sizeof(head), n};
    rc = load_nodes(h, &head, &r, source, err);
    if (rc) {
        hnsw_free(h);
        return rc;
    }
    *out = h;
    *tag = head.tag;
    return OK;
}

enum err_code hnsw_load(const char *path, const struct hnsw_options *want,
                        const struct hnsw_source *source, struct hnsw **out, uint64_t *tag,
                        struct err *err)
{
    struct map map;
    *out = NULL;
    enum err_code rc = map_open(path, &map, err);
    if (rc)
        return rc;
    rc = hnsw_load_bytes(map.ptr, map.len, want, source, out, tag, err);
    map_close(&map);
    return rc;
}
