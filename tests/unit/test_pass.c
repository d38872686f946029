/* tests/unit/test_pass.c - a row's numbers are its own: the same bits whether a
 * sequence is computed at once or token by token from the cache, in slices of any
 * size, in the company of other timelines, on one thread or several. */
#include <math.h>
#include <unistd.h>
#include "base/rng.h"
#include "tests/random_model.h"
#include "tests/unit/decoder_net.h"

/* Committed files, for every part that a net can have. */
static const char *const nets[] = {"gemma2", "gemma3", "mistral", "qwen3", "phi3", "biases",
                                   "experts", "merged"};
#define NETS (int)(sizeof(nets) / sizeof(*nets))

static const char *net_path(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "tests/golden/decoder_%s.gguf", name);
    return path;
}

static void random_ids(int32_t *ids, int n, int vocab, uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)rng_below(&rng, (uint64_t)vocab);
}

static void check_same(const char *what, const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK_MSG(memcmp(&got[i], &want[i], sizeof(float)) == 0 && !isnan(want[i]),
                  "%s: number %zu is %.9g, want %.9g", what, i, (double)got[i], (double)want[i]);
}

/* ---- slices ---- */

static void check_slices(const char *path, enum attn_type type, int n, const int *slices, int count)
{
    int32_t ids[512];
    struct net net = net_open(path, type, n, 1);
    random_ids(ids, n, net.s->n_vocab, 5);
    float *want = net_logits(&net, ids, n, n);
    for (int i = 0; i < count; i++) {
        float *got = net_logits(&net, ids, n, slices[i]);
        check_same(path, got, want, (size_t)n * (size_t)net.s->n_vocab);
        free(got);
    }
    free(want);
    net_close(&net);
}

TEST(pass_gives_the_same_bits_token_by_token_and_in_slices_of_any_size)
{
    static const int slices[] = {1, 2, 3, 5, 7, 8, 9, 16, 31, 32, 33, 40, 63};
    for (int i = 0; i < NETS; i++)
        for (int type = ATTN_F32; type <= ATTN_Q8; type++)
            check_slices(net_path(nets[i]), (enum attn_type)type, 64, slices, 13);
}

static const char *random_model(enum tensor_type type)
{
    static char path[256];
    struct err err = {0};
    snprintf(path, sizeof(path), "%s/%s.gguf", scratch_dir(), tensor_type_name(type));
    CHECK_OK(random_model_write(random_shape_find("tiny"), type, path, &err), &err);
    return path;
}

TEST(pass_gives_the_same_bits_in_slices_for_every_type_of_weights)
{
    static const enum tensor_type types[] = {
        TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_Q8_0, TENSOR_Q4_0, TENSOR_Q4_1, TENSOR_Q5_0,
        TENSOR_Q5_1, TENSOR_Q2_K, TENSOR_Q3_K, TENSOR_Q4_K, TENSOR_Q5_K, TENSOR_Q6_K};
    static const int slices[] = {1, 3, 17, 64};
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        const char *path = random_model(types[i]);
        check_slices(path, ATTN_F16, 100, slices, 4);
        unlink(path);
    }
}

/* ---- company ---- */

/* Five timelines of different lengths, some with a past: all in one pass, and each alone. */
static void check_company(const char *path, int threads)
{
    enum { TIMELINES = 5, CONTEXT = 64 };
    static const int past[TIMELINES] = {0, 13, 40, 0, 31}, now[TIMELINES] = {1, 20, 1, 33, 2};
    static const int wanted[TIMELINES] = {1, 3, 1, 0, 2};
    struct net net = net_open(path, ATTN_F16, CONTEXT, threads);
    size_t vocab = (size_t)net.s->n_vocab, rows = 0;
    int32_t ids[TIMELINES][CONTEXT];
    struct kv_seq seq[TIMELINES];
    struct pass_part part[TIMELINES];
    float *alone = malloc(16 * vocab * sizeof(*alone)), *all = malloc(64 * vocab * sizeof(*all));
    const float *logits;
    for (int t = 0; t < TIMELINES; t++) {
        int end = past[t] + now[t];
        random_ids(ids[t], end, net.s->n_vocab, (uint64_t)t);
        float *whole = net_logits(&net, ids[t], end, end);
        memcpy(alone + rows * vocab, whole + (size_t)(end - wanted[t]) * vocab,
               (size_t)wanted[t] * vocab * sizeof(*alone));
        rows += (size_t)wanted[t];
        free(whole);
        seq[t] = net_begin(&net);
        if (past[t])
            net_run(&net, &seq[t], ids[t], 0, past[t], false, all);
        kv_grow(net.kv, &seq[t], end);
        part[t] = (struct pass_part){ids[t] + past[t], now[t], past[t], wanted[t], &seq[t]};
    }
    pass_run(net.pass, net.kv, part, TIMELINES, &logits);
    check_same(path, logits, alone, rows * vocab);
    for (int t = 0; t < TIMELINES; t++)
        kv_end(net.kv, &seq[t]);
    free(alone);
    free(all);
    net_close(&net);
}

TEST(pass_gives_a_timeline_the_same_bits_alone_and_in_company)
{
    for (int i = 0; i < NETS; i++)
        check_company(net_path(nets[i]), 1);
    check_company(random_model(TENSOR_Q8_0), 1);
    check_company(random_model(TENSOR_Q4_K), 1);
}

TEST(pass_gives_the_same_bits_on_one_thread_and_on_several)
{
    const char *path = random_model(TENSOR_Q6_K);
    int32_t ids[200];
    float *want = NULL;
    for (int threads = 1; threads <= 4; threads++) {
        struct net net = net_open(path, ATTN_Q8, 200, threads);
        random_ids(ids, 200, net.s->n_vocab, 8);
        float *got = net_logits(&net, ids, 200, 70);
        if (want)
            check_same(path, got, want, (size_t)200 * (size_t)net.s->n_vocab);
        free(want);
        want = got;
        net_close(&net);
    }
    free(want);
    for (int i = 0; i < NETS; i++)
        check_company(net_path(nets[i]), 3);
}

TEST(pass_without_wanted_rows_leaves_a_cache_that_goes_on_alike)
{
    for (int i = 0; i < NETS; i++) {
        int32_t ids[64];
        struct net net = net_open(net_path(nets[i]), ATTN_F32, 64, 1);
        size_t vocab = (size_t)net.s->n_vocab;
        random_ids(ids, 50, net.s->n_vocab, 2);
        float *want = net_logits(&net, ids, 50, 50);
        struct kv_seq s = net_begin(&net);
        const float *logits;
        struct pass_part part[2] = {{ids, 49, 0, 0, &s}, {ids + 49, 1, 49, 1, &s}};
        kv_grow(net.kv, &s, 50);
        pass_run(net.pass, net.kv, &part[0], 1, &logits);
        pass_run(net.pass, net.kv, &part[1], 1, &logits);
        check_same(nets[i], logits, want + 49 * vocab, vocab);
        kv_end(net.kv, &s);
        free(want);
        net_close(&net);
    }
}

/* ---- real weights, long ---- */

/* Greedy from ids[0, from): one by one, from the cache. */
static void go_on(struct net *n, int32_t *ids, int from, int to, float *last)
{
    struct kv_seq s = net_begin(n);
    float *row = malloc((size_t)n->s->n_vocab * sizeof(*row));
    net_run(n, &s, ids, 0, from, true, row);
    for (int at = from; at < to; at++) {
        ids[at] = (int32_t)net_best(row, n->s->n_vocab);
        net_run(n, &s, ids, at, at + 1, true, row);
    }
    memcpy(last, row, (size_t)n->s->n_vocab * sizeof(*row));
    free(row);
    kv_end(n->kv, &s);
}

static void check_long(const char *name, enum attn_type type)
{
    enum { FROM = 7, TO = 511 };
    static const int32_t prompt[FROM] = {1, 80, 147, 201, 282, 57, 8};
    int32_t ids[2][512];
    char path[128];
    float *last[2];
    snprintf(path, sizeof(path), "models/TinyStories-656K/TinyStories-656K-%s.gguf", name);
    for (int threads = 1; threads <= 2; threads++) {
        struct net n = net_open(data_path(path), type, 512, threads);
        int32_t *own = ids[threads - 1];
        size_t vocab = (size_t)n.s->n_vocab;
        memcpy(own, prompt, sizeof(prompt));
        last[threads - 1] = malloc(vocab * sizeof(float));
        go_on(&n, own, FROM, TO, last[threads - 1]);
        float *again = net_logits(&n, own, TO, TO);   /* all of it anew, without a cache */
        for (int i = FROM; i < TO; i++)
            CHECK_INT(net_best(again + (size_t)(i - 1) * vocab, (int)vocab), own[i]);
        check_same(name, again + (size_t)(TO - 1) * vocab, last[threads - 1], vocab);
        free(again);
        net_close(&n);
    }
    for (int i = 0; i < TO; i++)
        CHECK_INT(ids[1][i], ids[0][i]);
    check_same(name, last[1], last[0], 2048);
    free(last[0]);
    free(last[1]);
}

/* Cached, recomputed, and on two threads: one test for each type, for their time. */
TEST(pass_tells_504_tokens_of_a_story_alike_in_f32) { check_long("f32", ATTN_F32); }
TEST(pass_tells_504_tokens_of_a_story_alike_in_f16) { check_long("f16", ATTN_F16); }
TEST(pass_tells_504_tokens_of_a_story_alike_in_q8) { check_long("q8_0", ATTN_Q8); }

/* ---- limits ---- */

TEST(pass_refuses_sizes_that_are_none_and_states_what_it_takes)
{
    struct net n = net_open(net_path("mistral"), ATTN_F32, 64, 1);
    struct pass *p;
    struct err err = {0};
    CHECK_ERR(pass_new(n.d, NULL, 0, 0, 64, &p, &err), ERR_ARG);
    CHECK_ERR(pass_new(n.d, NULL, 8, 9, 64, &p, &err), ERR_ARG);
    CHECK_ERR(pass_new(n.d, NULL, 8, 1, 0, &p, &err), ERR_ARG);
    CHECK(!p);
    CHECK(pass_bytes(n.s, 512, 8, 4096, 2) > pass_bytes(n.s, 64, 8, 4096, 2));
    CHECK(pass_bytes(n.s, 512, 500, 4096, 2) >= pass_bytes(n.s, 512, 8, 4096, 2) +
                                                    492 * sizeof(float) * (size_t)n.s->n_vocab);
    net_close(&n);
}
