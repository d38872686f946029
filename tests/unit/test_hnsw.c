#include "index/hnsw.h"
#include "tests/clusters.h"
#include "tests/test.h"

enum { DIM = 32 };

static struct hnsw *graph(int dim, int m, int ef)
{
    struct hnsw_options opt = {.dim = dim, .m = m, .ef_construction = ef, .seed = 42};
    struct hnsw *h;
    struct err err = {0};
    CHECK_OK(hnsw_new(&opt, &h, &err), &err);
    return h;
}

static struct hnsw *graph_of(const float *v, int n, int dim)
{
    struct hnsw *h = graph(dim, 16, 100);
    struct err err = {0};
    for (int i = 0; i < n; i++)
        CHECK_OK(hnsw_add(h, (uint64_t)i + 1, v + (size_t)i * (size_t)dim, &err), &err);
    return h;
}

/* Labels 1..n that are not dead, nearest first, by looking at all of them. */
static void exact(const float *v, const bool *dead, int n, int dim, const float *q, int k,
                  uint64_t *out)
{
    float best[100];
    int found = 0;
    for (int i = 0; i < n; i++) {
        if (dead && dead[i])
            continue;
        float score = vec_dot(q, v + (size_t)i * (size_t)dim, dim);
        if (found == k && score <= best[k - 1])
            continue;
        int at = found < k ? found++ : k - 1;
        for (; at > 0 && best[at - 1] < score; at--) {
            best[at] = best[at - 1];
            out[at] = out[at - 1];
        }
        best[at] = score;
        out[at] = (uint64_t)i + 1;
    }
}

/* Share of the 10 true nearest that a search finds, over n_q questions. */
static double recall(const struct hnsw *h, const float *v, const bool *dead, int n, int dim,
                     const float *q, int n_q, int ef)
{
    struct err err = {0};
    int right = 0;
    for (int i = 0; i < n_q; i++) {
        struct hnsw_hit hits[10];
        uint64_t want[10];
        int found;
        CHECK_OK(hnsw_search(h, q + (size_t)i * (size_t)dim, 10, ef, NULL, NULL, hits, &found, &err),
                 &err);
        CHECK_INT(found, 10);
        exact(v, dead, n, dim, q + (size_t)i * (size_t)dim, 10, want);
        for (int a = 0; a < 10; a++) {
            CHECK(!dead || !dead[hits[a].label - 1]);
            for (int b = 0; b < 10; b++)
                right += hits[a].label == want[b];
        }
    }
    return right / (10.0 * n_q);
}

TEST(hnsw_options_out_of_range_are_refused)
{
    static const struct hnsw_options bad[] = {
        {.dim = 0, .m = 16, .ef_construction = 100},   {.dim = 4097, .m = 16, .ef_construction = 100},
        {.dim = 8, .m = 1, .ef_construction = 100},    {.dim = 8, .m = 129, .ef_construction = 200},
        {.dim = 8, .m = 16, .ef_construction = 15},    {.dim = 8, .m = 16, .ef_construction = 5000},
    };
    struct hnsw *h;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK_ERR(hnsw_new(&bad[i], &h, NULL), ERR_ARG);
}

TEST(hnsw_search_of_an_empty_graph_finds_nothing)
{
    struct hnsw *h = graph(DIM, 16, 100);
    struct hnsw_hit hits[5];
    float q[DIM] = {1};
    int n = 9;
    CHECK_ERR(hnsw_search(h, q, 5, 10, NULL, NULL, hits, &n, NULL), OK);
    CHECK_INT(n, 0);
    hnsw_free(h);
}

TEST(hnsw_search_wants_ef_of_at_least_k)
{
    struct hnsw *h = graph(DIM, 16, 100);
    struct hnsw_hit hits[5];
    float q[DIM] = {1};
    int n;
    CHECK_ERR(hnsw_search(h, q, 5, 4, NULL, NULL, hits, &n, NULL), ERR_ARG);
    CHECK_ERR(hnsw_search(h, q, 0, 4, NULL, NULL, hits, &n, NULL), ERR_ARG);
    hnsw_free(h);
}

TEST(hnsw_add_refuses_a_label_twice_and_vectors_not_of_unit_length)
{
    struct hnsw *h = graph(DIM, 16, 100);
    float one[DIM] = {1}, two[DIM] = {2}, none[DIM] = {0}, nan[DIM] = {NAN}, inf[DIM] = {INFINITY};
    CHECK_ERR(hnsw_add(h, 7, one, NULL), OK);
    CHECK_ERR(hnsw_add(h, 7, one, NULL), ERR_ARG);
    CHECK_ERR(hnsw_add(h, 8, two, NULL), ERR_ARG);
    CHECK_ERR(hnsw_add(h, 8, none, NULL), ERR_ARG);
    CHECK_ERR(hnsw_add(h, 8, nan, NULL), ERR_ARG);
    CHECK_ERR(hnsw_add(h, 8, inf, NULL), ERR_ARG);
    CHECK_INT(hnsw_count(h), 1);
    CHECK(hnsw_has(h, 7) && !hnsw_has(h, 8));
    hnsw_free(h);
}

TEST(hnsw_search_finds_what_brute_force_finds)
{
    int n = test_slow() ? 100000 : 4000, dim = test_slow() ? 384 : DIM, n_q = 200;
    float *v = clustered_vectors(n + n_q, dim, 11);
    struct hnsw *h = graph(dim, 16, 200);
    struct err err = {0};
    for (int i = 0; i < n; i++)
        CHECK_OK(hnsw_add(h, (uint64_t)i + 1, v + (size_t)i * (size_t)dim, &err), &err);
    double r = recall(h, v, NULL, n, dim, v + (size_t)n * (size_t)dim, n_q, 200);
    CHECK_MSG(r >= 0.99, "recall@10 %.4f at ef 200", r);
    CHECK_OK(hnsw_check(h, &err), &err);
    hnsw_free(h);
    free(v);
}

TEST(hnsw_recall_holds_after_a_fifth_is_removed)
{
    int n = test_slow() ? 100000 : 4000, dim = test_slow() ? 384 : DIM, n_q = 200;
    float *v = clustered_vectors(n + n_q, dim, 12);
    bool *dead = calloc((size_t)n, sizeof(*dead));
    struct hnsw *h = graph_of(v, n, dim);
    struct err err = {0};
    struct rng r;
    rng_init(&r, 5);
    for (int i = 0; i < n; i++)
        if (rng_below(&r, 5) == 0) {
            dead[i] = true;
            CHECK_OK(hnsw_remove(h, (uint64_t)i + 1, &err), &err);
        }
    double got = recall(h, v, dead, n, dim, v + (size_t)n * (size_t)dim, n_q, 200);
    CHECK_MSG(got >= 0.98, "recall@10 %.4f at ef 200", got);
    CHECK_OK(hnsw_check(h, &err), &err);
    hnsw_free(h);
    free(dead);
    free(v);
}

TEST(hnsw_built_again_in_the_same_order_is_the_same_graph)
{
    float *v = clustered_vectors(1500, DIM, 13);
    struct hnsw *a = graph_of(v, 1500, DIM), *b = graph_of(v, 1500, DIM);
    CHECK(hnsw_equal(a, b));
    CHECK_ERR(hnsw_remove(b, 700, NULL), OK);
    CHECK(!hnsw_equal(a, b));
    hnsw_free(a);
    hnsw_free(b);
    free(v);
}

TEST(hnsw_of_another_seed_is_another_graph)
{
    struct hnsw_options opt = {.dim = DIM, .m = 8, .ef_construction = 50, .seed = 1};
    float *v = clustered_vectors(500, DIM, 14);
    struct hnsw *h[2];
    for (int g = 0; g < 2; g++, opt.seed++) {
        CHECK_ERR(hnsw_new(&opt, &h[g], NULL), OK);
        for (int i = 0; i < 500; i++)
            CHECK_ERR(hnsw_add(h[g], (uint64_t)i, v + i * DIM, NULL), OK);
    }
    CHECK(!hnsw_equal(h[0], h[1]));
    hnsw_free(h[0]);
    hnsw_free(h[1]);
    free(v);
}

/* Few links and few nodes: every rare path is walked. */
static void check_mix(int n_labels, int m, uint64_t seed)
{
    float *v = clustered_vectors(n_labels, DIM, 15);
    bool *in = calloc((size_t)n_labels, sizeof(*in));
    size_t count = 0;
    struct hnsw *h = graph(DIM, m, 20);
    struct err err = {0};
    struct rng r;
    rng_init(&r, seed);
    for (int step = 0; step < 6000; step++) {
        int i = (int)rng_below(&r, (uint64_t)n_labels);
        uint64_t label = (uint64_t)i * 1000003;
        if (in[i])
            CHECK_OK(hnsw_remove(h, label, &err), &err);
        else
            CHECK_OK(hnsw_add(h, label, v + i * DIM, &err), &err);
        in[i] = !in[i];
        count += in[i] ? 1 : (size_t)-1;
        CHECK_INT(hnsw_count(h), count);
        if (step % (n_labels / 6) == 0)
            CHECK_OK(hnsw_check(h, &err), &err);
    }
    for (int i = 0; i < n_labels; i++) {
        CHECK(hnsw_has(h, (uint64_t)i * 1000003) == in[i]);
        CHECK_ERR(in[i] ? hnsw_remove(h, (uint64_t)i * 1000003, &err) : OK, OK);
        CHECK_OK(hnsw_check(h, &err), &err);
    }
    CHECK_INT(hnsw_count(h), 0);
    hnsw_free(h);
    free(in);
    free(v);
}

TEST(hnsw_keeps_its_promises_through_any_mix_of_adding_and_removing)
{
    check_mix(600, 4, 99);
    for (uint64_t seed = 0; seed < (test_slow() ? 200 : 10); seed++)
        check_mix(40, 2, seed);
}

TEST(hnsw_uses_freed_slots_again)
{
    float *v = clustered_vectors(300, DIM, 16);
    struct hnsw *h = graph_of(v, 200, DIM);
    for (uint64_t l = 1; l <= 50; l++)
        CHECK_ERR(hnsw_remove(h, l * 4, NULL), OK);
    CHECK_INT(hnsw_freed(h), 50);
    CHECK_ERR(hnsw_remove(h, 4, NULL), ERR_NOTFOUND);
    for (int i = 200; i < 250; i++)
        CHECK_ERR(hnsw_add(h, (uint64_t)i + 1, v + i * DIM, NULL), OK);
    CHECK_INT(hnsw_freed(h), 0);
    CHECK_ERR(hnsw_check(h, NULL), OK);
    hnsw_free(h);
    free(v);
}

TEST(hnsw_many_copies_of_one_text_do_not_hide_the_others)
{
    enum { N = 1500, TWINS = 1500 };
    float *v = clustered_vectors(N, DIM, 17);
    struct hnsw *h = graph(DIM, 16, 100);
    for (int i = 0; i < N + TWINS; i++)   /* every second one is the same boilerplate */
        CHECK_ERR(hnsw_add(h, (uint64_t)i, i % 2 ? v : v + i / 2 * DIM, NULL), OK);
    struct hnsw_hit hit;
    int n, missed = 0;
    for (int i = 0; i < N; i++) {
        CHECK_ERR(hnsw_search(h, v + i * DIM, 1, 64, NULL, NULL, &hit, &n, NULL), OK);
        missed += n == 0 || hit.distance > 1e-5f;
    }
    /* Twins fill a beam of 64 and block some ways: 0.8 % here. Without the rule
     * for twins in hnsw_build.c a third is missed. */
    CHECK_MSG(missed <= N / 50, "%d of %d are not found by their own vector", missed, N);
    CHECK_ERR(hnsw_check(h, NULL), OK);
    hnsw_free(h);
    free(v);
}

static bool every_tenth(void *arg, uint64_t label)
{
    ++*(int *)arg;
    return label % 10 == 0;
}

TEST(hnsw_search_returns_only_what_the_caller_keeps)
{
    float *v = clustered_vectors(2000, DIM, 18);
    struct hnsw *h = graph_of(v, 2000, DIM);
    struct hnsw_hit hits[20];
    int n, asked = 0;
    CHECK_ERR(hnsw_search(h, v, 20, 200, every_tenth, &asked, hits, &n, NULL), OK);
    CHECK_INT(n, 20);
    CHECK(asked > 20);
    for (int i = 0; i < n; i++) {
        CHECK_INT(hits[i].label % 10, 0);
        CHECK(i == 0 || hits[i - 1].distance <= hits[i].distance);
    }
    hnsw_free(h);
    free(v);
}

TEST(hnsw_plan_and_apply_are_add)
{
    float *v = clustered_vectors(400, DIM, 19);
    struct hnsw *a = graph_of(v, 400, DIM), *b = graph(DIM, 16, 100);
    for (int i = 0; i < 400; i++) {
        struct hnsw_plan *plan;
        CHECK_ERR(hnsw_plan(b, (uint64_t)i + 1, v + i * DIM, &plan, NULL), OK);
        CHECK(!hnsw_has(b, (uint64_t)i + 1));
        CHECK_ERR(hnsw_apply(b, plan, NULL), OK);
        hnsw_plan_free(b, plan);
    }
    CHECK(hnsw_equal(a, b));
    hnsw_free(a);
    hnsw_free(b);
    free(v);
}
