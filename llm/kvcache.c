/* llm/kvcache.c - pages, who holds them, and under which beginning they are known.
 *
 * A page is in one of three states:
 *   held    by one timeline or several (`refs` counts them); off every list
 *   kept    by none, but known under its tokens: on the list `old`, the longest
 *           unused first, until its memory is wanted
 *   blank   by none and not known: on the list `blank`
 * A timeline's promise (`reserved`) is counted against the pages that are kept or
 * blank, so that kv_grow cannot fail: promised <= idle at all times.
 * A known page is found by the hash of all tokens up to its end, and believed
 * only when its own tokens are equal and it was computed behind the very page
 * that was matched before it (`serial`, never given twice): by induction all
 * tokens are compared, and so are circles: in front of a timeline's first page stands
 * its circle's number with a bit that no serial has. A timeline lets go of its last page
 * first, so that a page is never thrown away before those that can only be found through it. */
#include "llm/kvcache.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/hash.h"

#define NONE (-1)
#define CIRCLE ((uint64_t)1 << 63)
#define HUGE_PAGE ((size_t)2 << 20)

struct page {
    int32_t ids[ATTN_PAGE];    /* its tokens, once it is known */
    uint64_t hash;             /* of all tokens up to its end */
    uint64_t serial, before;   /* its own, and that of the page in front, or its circle's */
    int refs;
    bool known;
    int next, prev;            /* on `old` or `blank` */
    int chain;                 /* the next in its bucket */
};

struct list { int first, last; };

struct kvcache {
    struct kvcache_options opt;
    size_t part_bytes, page_bytes, map_bytes;
    uint8_t *map;
    struct page *page;         /* [n] */
    int n, idle, promised;
    struct list old, blank;
    int *bucket;               /* [n_buckets]: first page of a chain */
    int n_buckets;             /* a power of two */
    uint64_t serials;          /* given so far */
};

size_t kvcache_page_bytes(const struct kvcache_options *opt)
{
    return attn_page_bytes(opt->type, opt->head_dim) * (size_t)opt->n_layers *
           (size_t)opt->n_kv_heads;
}

enum attn_type kvcache_type(const struct kvcache *c)
{
    return c->opt.type;
}

size_t kvcache_part(const struct kvcache *c, int layer, int head)
{
    return c->part_bytes * ((size_t)layer * (size_t)c->opt.n_kv_heads + (size_t)head);
}

int kvcache_pages(const struct kvcache *c)
{
    return c->n;
}

int kvcache_pages_free(const struct kvcache *c)
{
    return c->idle - c->promised;
}

/* ---- lists and buckets ---- */

static void list_append(struct kvcache *c, struct list *l, int i)
{
    c->page[i].next = NONE;
    c->page[i].prev = l->last;
    if (l->last == NONE)
        l->first = i;
    else
        c->page[l->last].next = i;
    l->last = i;
}

static void list_remove(struct kvcache *c, struct list *l, int i)
{
    struct page *p = &c->page[i];
    if (p->prev == NONE)
        l->first = p->next;
    else
        c->page[p->prev].next = p->next;
    if (p->next == NONE)
        l->last = p->prev;
    else
        c->page[p->next].prev = p->prev;
}

static int *bucket_of(const struct kvcache *c, uint64_t hash)
{
    return &c->bucket[hash & (uint64_t)(c->n_buckets - 1)];
}

static void forget(struct kvcache *c, int i)
{
    int *at = bucket_of(c, c->page[i].hash);
    while (*at != i)
        at = &c->page[*at].chain;
    *at = c->page[i].chain;
    c->page[i].known = false;
}

/* The known page of these tokens behind the page of serial `before`, or NONE. */
static int find(const struct kvcache *c, uint64_t hash, uint64_t before, const int32_t *ids)
{
    for (int i = *bucket_of(c, hash); i != NONE; i = c->page[i].chain) {
        const struct page *p = &c->page[i];
        if (p->hash == hash && p->before == before && !memcmp(p->ids, ids, sizeof(p->ids)))
            return i;
    }
    return NONE;
}

static void know(struct kvcache *c, int i, uint64_t hash, uint64_t before, const int32_t *ids)
{
    struct page *p = &c->page[i];
    int *at = bucket_of(c, hash);
    memcpy(p->ids, ids, sizeof(p->ids));
    p->hash = hash;
    p->before = before;
    p->serial = ++c->serials;
    p->known = true;
    p->chain = *at;
    *at = i;
}

/* ---- holding and letting go ---- */

static int index_of(const struct kvcache *c, const void *page)
{
    return (int)((size_t)((const uint8_t *)page - c->map) / c->page_bytes);
}

static void hold(struct kvcache *c, int i)
{
    struct page *p = &c->page[i];
    if (p->refs++ > 0)
        return;
    list_remove(c, p->known ? &c->old : &c->blank, i);
    c->idle--;
}

static void let_go(struct kvcache *c, int i)
{
    struct page *p = &c->page[i];
    if (--p->refs > 0)
        return;
    list_append(c, p->known ? &c->old : &c->blank, i);
    c->idle++;
}

/* A page for new positions: a blank one, or the longest unused. */
static int take(struct kvcache *c)
{
    int i = c->blank.first;
    if (i == NONE) {
        i = c->old.first;
        list_remove(c, &c->old, i);
        forget(c, i);
        list_append(c, &c->blank, i);
    }
    hold(c, i);
    return i;
}

static void append(struct kvcache *c, struct kv_seq *s, int i)
{
    s->pages[s->n_pages++] = c->map + (size_t)i * c->page_bytes;
    s->reserved--;
    c->promised--;
}

static uint64_t page_hash(uint64_t before, const int32_t *ids)
{
    return hash64(ids, ATTN_PAGE * sizeof(*ids), before);
}

static uint64_t serial_before(const struct kvcache *c, const struct kv_seq *s, int page)
{
    return page ? c->page[index_of(c, s->pages[page - 1])].serial : CIRCLE | s->circle;
}

/* ---- the cache ---- */

static enum err_code make(struct kvcache *c, struct err *err)
{
    c->map_bytes = (size_t)c->n * c->page_bytes;
    c->n_buckets = 1;
    while (c->n_buckets < c->n)
        c->n_buckets *= 2;
    c->page = calloc((size_t)c->n, sizeof(*c->page));
    c->bucket = malloc((size_t)c->n_buckets * sizeof(*c->bucket));
    void *map = mmap(NULL, c->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                     -1, 0);
    c->map = map == MAP_FAILED ? NULL : map;
    if (!c->page || !c->bucket || !c->map)
        return err_set(err, ERR_NOMEM, "%zu bytes for the memory of %d pages", c->map_bytes, c->n);
    if (c->map_bytes >= HUGE_PAGE)
        madvise(c->map, c->map_bytes, MADV_HUGEPAGE);   /* fewer misses; may be refused */
    for (int i = 0; i < c->n_buckets; i++)
        c->bucket[i] = NONE;
    c->old = c->blank = (struct list){NONE, NONE};
    for (int i = 0; i < c->n; i++)
        list_append(c, &c->blank, i);
    c->idle = c->n;
    return OK;
}

static bool options_fit(const struct kvcache_options *o)
{
    return o->n_layers >= 1 && o->n_layers <= 1 << 16 && o->n_kv_heads >= 1 &&
           o->n_kv_heads <= 1 << 16 && o->head_dim >= 2 && o->head_dim <= ATTN_HEAD_MAX &&
           o->head_dim % 2 == 0;
}

enum err_code kvcache_new(const struct kvcache_options *opt, struct kvcache **out,
                          struct err *err)
{
    *out = NULL;
    if (!options_fit(opt))
        return err_set(err, ERR_ARG, "a cache of %d layers, %d heads of %d", opt->n_layers,
                       opt->n_kv_heads, opt->head_dim);
    size_t page = kvcache_page_bytes(opt), n = opt->memory_bytes / page;
    if (n < 1)
        return err_set(err, ERR_LIMIT, "%zu bytes for the memory of timelines: need %zu at least",
                       opt->memory_bytes, page);
    struct kvcache *c = calloc(1, sizeof(*c));
    if (!c)
        return err_set(err, ERR_NOMEM, "the memory of timelines");
    c->opt = *opt;
    c->page_bytes = page;
    c->part_bytes = attn_page_bytes(opt->type, opt->head_dim);
    c->n = n < 1 << 26 ? (int)n : 1 << 26;
    enum err_code rc = make(c, err);
    if (rc)
        kvcache_free(c);
    else
        *out = c;
    return rc;
}

void kvcache_free(struct kvcache *c)
{
    if (!c)
        return;
    if (c->map)
        munmap(c->map, c->map_bytes);
    free(c->page);
    free(c->bucket);
    free(c);
}

/* ---- timelines ---- */

static int pages_for(int positions)
{
    return (int)(((int64_t)positions + ATTN_PAGE - 1) / ATTN_PAGE);
}

/* Would page `at` from another leave a token of n to compute, whose logits are wanted? */
static bool leaves_one(int at, int n)
{
    return (at + 1) * (int64_t)ATTN_PAGE < n;
}

/* How many pages at the beginning of ids[n] are known, the last token left out;
 * `idle` of them nobody holds. */
static int count_shared(const struct kvcache *c, uint64_t circle, const int32_t *ids, int n,
                        int *idle)
{
    uint64_t hash = circle, before = CIRCLE | circle;
    int k = 0;
    *idle = 0;
    for (; !c->opt.no_share && leaves_one(k, n); k++) {
        hash = page_hash(hash, ids + k * ATTN_PAGE);
        int i = find(c, hash, before, ids + k * ATTN_PAGE);
        if (i == NONE)
            break;
        *idle += c->page[i].refs == 0;
        before = c->page[i].serial;
    }
    return k;
}

enum err_code kv_begin(struct kvcache *c, struct kv_seq *s, const int32_t *ids, int n, int n_max,
                       int *n_shared, struct err *err)
{
    *s = (struct kv_seq){.circle = s->circle, .hash = s->circle};
    *n_shared = 0;
    if (n < 1 || n_max < n)
        return err_set(err, ERR_ARG, "a timeline of %d tokens, %d at most", n, n_max);
    int want = pages_for(n_max), idle;
    if (want > c->n)
        return err_set(err, ERR_LIMIT, "%d positions need %d pages, the cache has %d", n_max, want,
                       c->n);
    int shared = count_shared(c, s->circle, ids, n, &idle);
    if (want - shared + idle > kvcache_pages_free(c))
        return err_set(err, ERR_BUSY, "%d pages are wanted, %d are free", want - shared + idle,
                       kvcache_pages_free(c));
    s->pages = malloc((size_t)want * sizeof(*s->pages));
    if (!s->pages)
        return err_set(err, ERR_NOMEM, "a timeline of %d pages", want);
    s->cap = s->reserved = want;
    c->promised += want;
    *n_shared = kv_catch_up(c, s, ids, 0, n);
    return OK;
}

/* Page `at` of the timeline is known page `i` from now on. */
static void adopt(struct kvcache *c, struct kv_seq *s, int at, int i)
{
    hold(c, i);
    if (at == s->n_pages) {
        append(c, s, i);
        return;
    }
    let_go(c, index_of(c, s->pages[at]));
    s->pages[at] = c->map + (size_t)i * c->page_bytes;
}

int kv_catch_up(struct kvcache *c, struct kv_seq *s, const int32_t *ids, int n_done, int n)
{
    if (c->opt.no_share || s->n_whole < n_done / ATTN_PAGE)
        return n_done;
    while (leaves_one(s->n_whole, n) && s->n_whole < s->cap) {
        const int32_t *own = ids + s->n_whole * ATTN_PAGE;
        uint64_t hash = page_hash(s->hash, own);
        int i = find(c, hash, serial_before(c, s, s->n_whole), own);
        if (i == NONE)
            break;
        adopt(c, s, s->n_whole++, i);
        s->hash = hash;
    }
    int known = s->n_whole * ATTN_PAGE;
    return known > n_done ? known : n_done;
}

void kv_grow(struct kvcache *c, struct kv_seq *s, int n)
{
    while (s->n_pages < pages_for(n) && s->reserved > 0)
        append(c, s, take(c));
}

void kv_commit(struct kvcache *c, struct kv_seq *s, const int32_t *ids, int n)
{
    for (; s->n_whole < n / ATTN_PAGE && s->n_whole < s->n_pages; s->n_whole++) {
        const int32_t *own = ids + s->n_whole * ATTN_PAGE;
        if (c->opt.no_share)
            continue;
        uint64_t before = serial_before(c, s, s->n_whole);
        s->hash = page_hash(s->hash, own);
        int twin = find(c, s->hash, before, own);
        if (twin == NONE)
            know(c, index_of(c, s->pages[s->n_whole]), s->hash, before, own);
        else       /* computed at the same time by another: the same bits, kept once */
            adopt(c, s, s->n_whole, twin);
    }
}

void kv_end(struct kvcache *c, struct kv_seq *s)
{
    while (s->n_pages > 0)
        let_go(c, index_of(c, s->pages[--s->n_pages]));
    c->promised -= s->reserved;
    free(s->pages);
    *s = (struct kv_seq){0};
}
