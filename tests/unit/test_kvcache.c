/* tests/unit/test_kvcache.c - pages promised, shared, thrown away and compared,
 * against a simple model of what a page may hold. */
#include "base/hash.h"
#include "base/rng.h"
#include "llm/kvcache.h"
#include "tests/test.h"

static struct kvcache *make(int pages, bool no_share)
{
    struct kvcache_options opt = {ATTN_F32, 1, 1, 2, 0, no_share};
    struct kvcache *c;
    struct err err = {0};
    opt.memory_bytes = kvcache_page_bytes(&opt) * (size_t)pages + 1;
    CHECK_OK(kvcache_new(&opt, &c, &err), &err);
    CHECK_INT(kvcache_pages(c), pages);
    CHECK_INT(kvcache_pages_free(c), pages);
    return c;
}

/* ids[i] = from + i */
static void count_up(int32_t *ids, int n, int from)
{
    for (int i = 0; i < n; i++)
        ids[i] = from + i;
}

static struct kv_seq begin(struct kvcache *c, const int32_t *ids, int n, int n_max, int shared)
{
    struct kv_seq s = {0};
    struct err err = {0};
    int got;
    CHECK_OK(kv_begin(c, &s, ids, n, n_max, &got, &err), &err);
    CHECK_INT(got, shared);
    return s;
}

/* Begin, compute all of ids, end. */
static void compute(struct kvcache *c, const int32_t *ids, int n, int shared)
{
    struct kv_seq s = begin(c, ids, n, n, shared);
    kv_grow(c, &s, n);
    kv_commit(c, &s, ids, n);
    kv_end(c, &s);
}

TEST(kvcache_refuses_memory_for_less_than_a_page_and_shapes_that_are_none)
{
    struct kvcache_options opt = {ATTN_F16, 4, 2, 64, 0, false};
    struct kvcache *c;
    struct err err = {0};
    opt.memory_bytes = kvcache_page_bytes(&opt) - 1;
    CHECK_ERR(kvcache_new(&opt, &c, &err), ERR_LIMIT);
    CHECK(strstr(err.msg, "need") && !c);
    opt.memory_bytes++;
    opt.head_dim = 7;
    CHECK_ERR(kvcache_new(&opt, &c, &err), ERR_ARG);
    opt.head_dim = 64;
    opt.n_layers = 0;
    CHECK_ERR(kvcache_new(&opt, &c, &err), ERR_ARG);
    opt.n_layers = 4;
    CHECK_OK(kvcache_new(&opt, &c, &err), &err);
    CHECK_INT(kvcache_pages(c), 1);
    CHECK(kvcache_part(c, 1, 1) == 3 * attn_page_bytes(ATTN_F16, 64));
    CHECK_INT(kvcache_type(c), ATTN_F16);
    kvcache_free(c);
    kvcache_free(NULL);
}

TEST(kvcache_keeps_promises_and_refuses_those_it_cannot_keep)
{
    struct kvcache *c = make(10, false);
    struct err err = {0};
    struct kv_seq none = {0};
    int32_t ids[1] = {7};
    int shared;
    struct kv_seq a = begin(c, ids, 1, 6 * ATTN_PAGE, 0);
    CHECK_INT(kvcache_pages_free(c), 4);
    CHECK_ERR(kv_begin(c, &none, ids, 1, 5 * ATTN_PAGE, &shared, &err), ERR_BUSY);
    CHECK_ERR(kv_begin(c, &none, ids, 1, 10 * ATTN_PAGE + 1, &shared, &err), ERR_LIMIT);
    CHECK_ERR(kv_begin(c, &none, ids, 0, 5, &shared, &err), ERR_ARG);
    CHECK_ERR(kv_begin(c, &none, ids, 2, 1, &shared, &err), ERR_ARG);
    kv_end(c, &none);
    struct kv_seq b = begin(c, ids, 1, 4 * ATTN_PAGE, 0);
    CHECK_INT(kvcache_pages_free(c), 0);
    kv_grow(c, &a, 1);
    kv_grow(c, &b, 4 * ATTN_PAGE);
    kv_grow(c, &a, 6 * ATTN_PAGE);
    CHECK(a.n_pages == 6 && b.n_pages == 4 && kvcache_pages_free(c) == 0);
    kv_end(c, &a);
    CHECK_INT(kvcache_pages_free(c), 6);
    kv_end(c, &b);
    CHECK_INT(kvcache_pages_free(c), 10);
    kvcache_free(c);
}

TEST(kvcache_shares_whole_pages_of_equal_beginnings_but_never_the_last_token)
{
    int32_t ids[4 * ATTN_PAGE + 3];
    struct kvcache *c = make(40, false);
    count_up(ids, 4 * ATTN_PAGE + 3, 0);
    struct kv_seq a = begin(c, ids, 4 * ATTN_PAGE + 3, 200, 0);
    kv_grow(c, &a, 4 * ATTN_PAGE + 3);
    kv_commit(c, &a, ids, 3 * ATTN_PAGE + 5);      /* three whole ones */
    CHECK_INT(a.n_whole, 3);
    struct kv_seq b = begin(c, ids, 4 * ATTN_PAGE + 3, 200, 3 * ATTN_PAGE);
    CHECK(!memcmp(a.pages, b.pages, 3 * sizeof(*a.pages)));
    struct kv_seq d = begin(c, ids, 3 * ATTN_PAGE, 200, 2 * ATTN_PAGE);
    struct kv_seq e = begin(c, ids, 3 * ATTN_PAGE + 1, 200, 3 * ATTN_PAGE);
    ids[ATTN_PAGE]++;
    struct kv_seq f = begin(c, ids, 4 * ATTN_PAGE, 140, ATTN_PAGE);
    ids[ATTN_PAGE]--;
    ids[0]++;
    struct kv_seq g = begin(c, ids, 4 * ATTN_PAGE, 4 * ATTN_PAGE, 0);
    kv_end(c, &a), kv_end(c, &b), kv_end(c, &d), kv_end(c, &e), kv_end(c, &f), kv_end(c, &g);
    CHECK_INT(kvcache_pages_free(c), 40);
    ids[0]--;
    compute(c, ids, 4 * ATTN_PAGE + 3, 3 * ATTN_PAGE);   /* kept, though nobody holds them */
    kvcache_free(c);
}

TEST(kvcache_without_sharing_shares_nothing)
{
    int32_t ids[3 * ATTN_PAGE];
    struct kvcache *c = make(8, true);
    count_up(ids, 3 * ATTN_PAGE, 0);
    compute(c, ids, 3 * ATTN_PAGE, 0);
    compute(c, ids, 3 * ATTN_PAGE, 0);
    kvcache_free(c);
}

TEST(kvcache_lets_a_timeline_catch_up_with_what_another_has_computed_since)
{
    int32_t ids[5 * ATTN_PAGE];
    struct kvcache *c = make(12, false);
    count_up(ids, 5 * ATTN_PAGE, 0);
    struct kv_seq a = begin(c, ids, 5 * ATTN_PAGE, 5 * ATTN_PAGE, 0);
    struct kv_seq b = begin(c, ids, 5 * ATTN_PAGE, 5 * ATTN_PAGE, 0);
    CHECK_INT(kvcache_pages_free(c), 2);
    kv_grow(c, &b, ATTN_PAGE);
    kv_commit(c, &b, ids, ATTN_PAGE);
    kv_grow(c, &b, ATTN_PAGE + 9);                 /* one page and a piece of its own */
    kv_grow(c, &a, 4 * ATTN_PAGE);
    kv_commit(c, &a, ids, 4 * ATTN_PAGE);
    CHECK(a.pages[0] == b.pages[0]);               /* the same twice: kept once */
    CHECK_INT(kvcache_pages_free(c), 3);
    CHECK_INT(kv_catch_up(c, &b, ids, ATTN_PAGE + 9, 5 * ATTN_PAGE), 4 * ATTN_PAGE);
    CHECK(!memcmp(a.pages, b.pages, 4 * sizeof(*a.pages)) && b.n_whole == 4 && b.hash == a.hash);
    CHECK_INT(kv_catch_up(c, &b, ids, 4 * ATTN_PAGE + 3, 5 * ATTN_PAGE), 4 * ATTN_PAGE + 3);
    CHECK_INT(kvcache_pages_free(c), 6);
    kv_grow(c, &b, 5 * ATTN_PAGE);
    kv_end(c, &a);
    kv_end(c, &b);
    CHECK_INT(kvcache_pages_free(c), 12);
    kvcache_free(c);
}

TEST(kvcache_throws_away_the_longest_unused_first_and_ends_before_beginnings)
{
    int32_t x[3 * ATTN_PAGE + 1], y[2 * ATTN_PAGE + 1], z[2 * ATTN_PAGE];
    struct kvcache *c = make(6, false);
    count_up(x, 3 * ATTN_PAGE + 1, 0);
    count_up(y, 2 * ATTN_PAGE + 1, 1000);
    count_up(z, 2 * ATTN_PAGE, 2000);
    compute(c, x, 3 * ATTN_PAGE, 0);
    compute(c, y, 2 * ATTN_PAGE, 0);               /* one blank page is left */
    compute(c, z, 2 * ATTN_PAGE, 0);               /* throws away the third of x */
    compute(c, y, 2 * ATTN_PAGE + 1, 2 * ATTN_PAGE);   /* throws away the second of x */
    compute(c, x, ATTN_PAGE + 1, ATTN_PAGE);
    struct kv_seq s = begin(c, x, 3 * ATTN_PAGE, 3 * ATTN_PAGE, ATTN_PAGE);
    kv_grow(c, &s, 3 * ATTN_PAGE);                 /* throws away the second of z, not y */
    kv_end(c, &s);
    compute(c, y, 2 * ATTN_PAGE + 1, 2 * ATTN_PAGE);
    compute(c, z, 2 * ATTN_PAGE, ATTN_PAGE);
    kvcache_free(c);
}

/* XXH3 multiplies words of the input, each after an exclusive-or with a known
 * constant, in pairs: where the first of a pair becomes zero, the second says
 * nothing any more. So anybody can make pages with equal hashes. */
TEST(kvcache_tells_pages_with_equal_hashes_apart_by_their_tokens)
{
    enum { N = 2 * ATTN_PAGE + 1 };
    int32_t one[N] = {0}, two[N];
    const uint64_t constant = 0xbe4ba423396cfeb8;  /* the first of XXH3's secret */
    memcpy(one, &constant, sizeof(constant));
    memcpy(two, one, sizeof(one));
    two[2] = 12345;
    CHECK(hash64(one, ATTN_PAGE * sizeof(*one), 0) == hash64(two, ATTN_PAGE * sizeof(*two), 0));
    struct kvcache *c = make(12, false);
    compute(c, one, N, 0);
    compute(c, two, N, 0);                         /* its second page is equal, what lies before is not */
    struct kv_seq a = begin(c, one, N, N, 2 * ATTN_PAGE), b = begin(c, two, N, N, 2 * ATTN_PAGE);
    CHECK(a.pages[0] != b.pages[0] && a.pages[1] != b.pages[1]);
    kv_end(c, &a);
    kv_end(c, &b);
    kvcache_free(c);
}

TEST(kvcache_pages_are_shared_within_a_circle_only)
{
    enum { N = 3 * ATTN_PAGE };
    struct kvcache *c = make(12, false);
    int32_t ids[N];
    int shared;
    struct err err = {0};
    count_up(ids, N, 0);
    compute(c, ids, N, 0);
    compute(c, ids, N, 2 * ATTN_PAGE);
    struct kv_seq a = {.circle = 1}, b = {.circle = 1}, other = {.circle = 2};
    CHECK_OK(kv_begin(c, &a, ids, N, N, &shared, &err), &err);
    CHECK_INT(shared, 0);
    CHECK_OK(kv_begin(c, &b, ids, N, N, &shared, &err), &err);
    kv_grow(c, &a, N);
    kv_commit(c, &a, ids, N);
    CHECK_INT(kv_catch_up(c, &b, ids, 0, N), 2 * ATTN_PAGE);
    CHECK(a.pages[0] == b.pages[0]);
    CHECK_OK(kv_begin(c, &other, ids, N, N, &shared, &err), &err);
    CHECK_INT(shared, 0);
    CHECK_INT(kv_catch_up(c, &other, ids, 0, N), 0);
    kv_end(c, &a);
    kv_end(c, &b);
    kv_end(c, &other);
    kvcache_free(c);
}

/* ---- random operations against a model ---- */

enum { LIVE = 6, LONGEST = 5 * ATTN_PAGE, PAGES = 14, OPS = 20000 };

/* A page's memory holds, for each position, the hash of all tokens up to it (what a real
 * page's keys and values depend on) and of its circle. */
struct line {
    bool live;
    int32_t ids[LONGEST];
    int n, n_max, done;        /* prompt, promise, computed */
    struct kv_seq s;
};

static uint64_t truth(const struct line *l, int pos)
{
    return hash64(l->ids, (size_t)(pos + 1) * sizeof(*l->ids), 1 + l->s.circle);
}

static void check_line(const struct line *l)
{
    for (int pos = 0; pos < l->done; pos++) {
        const uint64_t *page = l->s.pages[pos / ATTN_PAGE];
        CHECK_MSG(page[pos % ATTN_PAGE] == truth(l, pos), "position %d of %d is another's", pos,
                  l->done);
    }
    CHECK(l->s.n_pages + l->s.reserved == (l->n_max + ATTN_PAGE - 1) / ATTN_PAGE);
}

/* Few different beginnings, so that many are equal. */
static void draw_line(struct line *l, struct rng *rng)
{
    l->n = 1 + (int)rng_below(rng, LONGEST - 1);
    l->n_max = l->n + (int)rng_below(rng, (uint64_t)(LONGEST - l->n + 1));
    l->done = 0;
    int32_t kind = (int32_t)rng_below(rng, 2);
    for (int i = 0; i < LONGEST; i++) {
        if (rng_below(rng, 150) == 0)
            kind = (int32_t)rng_below(rng, 3);
        l->ids[i] = kind;
    }
}

static void try_begin(struct kvcache *c, struct line *l, struct rng *rng, int *hits)
{
    struct err err = {0};
    int shared, before = kvcache_pages_free(c);
    draw_line(l, rng);
    int want = (l->n_max + ATTN_PAGE - 1) / ATTN_PAGE;
    l->s.circle = rng_below(rng, 4) / 3;
    enum err_code rc = kv_begin(c, &l->s, l->ids, l->n, l->n_max, &shared, &err);
    if (rc) {
        CHECK_INT(rc, ERR_BUSY);
        CHECK(kvcache_pages_free(c) == before && want > before);
        return;
    }
    CHECK(shared % ATTN_PAGE == 0 && shared < l->n && kvcache_pages_free(c) >= before - want);
    l->live = true;
    l->done = shared;
    *hits += shared > 0;
}

static void go_on(struct kvcache *c, struct line *l, struct rng *rng)
{
    if (rng_below(rng, 2) && l->done < l->n)
        l->done = kv_catch_up(c, &l->s, l->ids, l->done, l->n);
    int to = l->done + (int)rng_below(rng, 50);
    to = to < l->n_max ? to : l->n_max;
    kv_grow(c, &l->s, to);
    CHECK(l->s.n_pages * ATTN_PAGE >= to);
    for (int pos = l->done; pos < to; pos++)
        ((uint64_t *)l->s.pages[pos / ATTN_PAGE])[pos % ATTN_PAGE] = truth(l, pos);
    l->done = to;
    kv_commit(c, &l->s, l->ids, to);
}

/* Pages that live timelines hold, each once, and those promised to them. */
static int count_taken(const struct line *lines)
{
    void *held[LIVE * PAGES];
    int n = 0, promised = 0;
    for (int i = 0; i < LIVE; i++) {
        for (int p = 0; lines[i].live && p < lines[i].s.n_pages; p++) {
            int k = 0;
            while (k < n && held[k] != lines[i].s.pages[p])
                k++;
            held[k] = lines[i].s.pages[p];
            n += k == n;
        }
        promised += lines[i].live ? lines[i].s.reserved : 0;
    }
    return n + promised;
}

TEST(kvcache_under_random_operations_loses_no_page_and_mixes_no_timelines)
{
    static struct line lines[LIVE];
    struct rng rng;
    int hits = 0;
    rng_init(&rng, 11);
    struct kvcache *c = make(PAGES, false);
    for (int op = 0; op < OPS; op++) {
        struct line *l = &lines[rng_below(&rng, LIVE)];
        if (!l->live)
            try_begin(c, l, &rng, &hits);
        else if (rng_below(&rng, 8) == 0) {
            kv_end(c, &l->s);
            l->live = false;
        } else
            go_on(c, l, &rng);
        for (int i = 0; i < LIVE; i++)
            if (lines[i].live)
                check_line(&lines[i]);
        CHECK_INT(kvcache_pages_free(c), PAGES - count_taken(lines));
    }
    CHECK_MSG(hits > OPS / 100, "only %d beginnings were shared: the test tests little", hits);
    for (int i = 0; i < LIVE; i++)
        kv_end(c, &lines[i].s);
    CHECK_INT(kvcache_pages_free(c), PAGES);
    kvcache_free(c);
}
