#include "llm/sampler.h"
#include <math.h>
#include "base/rng.h"
#include "tests/test.h"

enum { V = 200, WORDS = (V + 63) / 64 };

static void random_logits(struct rng *r, float *x, int n, double spread)
{
    for (int i = 0; i < n; i++)
        x[i] = (float)(spread * rng_normal(r));
}

static struct sampler *make(const struct llm_sampling *o, int n)
{
    struct sampler *s;
    struct err err;
    CHECK_OK(sampler_new(o, n, &s, &err), &err);
    return s;
}

static int32_t pick_once(const struct llm_sampling *o, const float *x, int n,
                         const uint64_t *allowed)
{
    struct sampler *s = make(o, n);
    int32_t id = sampler_pick(s, x, allowed);
    sampler_free(s);
    return id;
}

/* ---- the truth: sorted whole, in double precision ---- */

struct rank {
    double x;
    int id;
};

static int by_rank(const void *a, const void *b)
{
    const struct rank *p = a, *q = b;
    if (p->x != q->x)
        return p->x > q->x ? -1 : 1;
    return p->id - q->id;
}

/* Probabilities of all tokens under `o`, bias and penalties aside. */
static void probabilities(const struct llm_sampling *o, const float *x, int n, double *p)
{
    struct rank *v = calloc((size_t)n, sizeof(*v));
    int kept = 0;
    for (int i = 0; i < n; i++) {
        p[i] = 0;
        if (!isnan(x[i]) && x[i] > -INFINITY)
            v[kept++] = (struct rank){(double)x[i] / o->temperature, i};
    }
    qsort(v, (size_t)kept, sizeof(*v), by_rank);
    if (o->top_k > 0 && o->top_k < kept)
        kept = o->top_k;
    double sum = 0, run = 0, top = v[0].x;
    for (int i = 0; i < kept; i++)
        sum += exp(v[i].x - top);
    if (o->top_p > 0 && o->top_p < 1) {
        int k = 0;
        while (k < kept && (run += exp(v[k].x - top)) < o->top_p * sum)
            k++;
        kept = k + 1 < kept ? k + 1 : kept;
    }
    int m = 0;
    for (; m < kept && exp(v[m].x - top) >= o->min_p; m++)
        continue;
    kept = m;
    sum = 0;
    for (int i = 0; i < kept; i++)
        sum += exp(v[i].x - top);
    for (int i = 0; i < kept; i++)
        p[v[i].id] = exp(v[i].x - top) / sum;
    free(v);
}

/* Draws of one sampler against the truth: Pearson's chi-square over the tokens expected five
 * times or oftener, the others together; the bound is mean + 4.5 deviations (p about 1e-5; seeds
 * are fixed). A token that the truth excludes must never come. */
static void check_distribution(const struct llm_sampling *o, const float *x, int draws)
{
    double p[V], rest = 0, chi = 0;
    int count[V] = {0}, n_rest = 0, cells = 0;
    struct sampler *s = make(o, V);
    probabilities(o, x, V, p);
    for (int i = 0; i < draws; i++) {
        int32_t id = sampler_pick(s, x, NULL);
        CHECK(id >= 0 && id < V);
        CHECK_MSG(p[id] > 0, "token %d came, which is cut off", id);
        count[id]++;
    }
    for (int i = 0; i < V; i++) {
        if (p[i] * draws < 5) {
            rest += p[i] * draws;
            n_rest += count[i];
            continue;
        }
        chi += (count[i] - p[i] * draws) * (count[i] - p[i] * draws) / (p[i] * draws);
        cells++;
    }
    if (rest >= 5) {
        chi += (n_rest - rest) * (n_rest - rest) / rest;
        cells++;
    }
    double free_cells = cells - 1;
    CHECK_MSG(chi <= free_cells + 4.5 * sqrt(2 * free_cells + 1), "chi-square %g of %g cells", chi,
              free_cells);
    sampler_free(s);
}

TEST(draws_have_the_distribution_that_temperature_and_cuts_say)
{
    const struct llm_sampling table[] = {
        {.temperature = 1},
        {.temperature = 0.3, .seed = 1},
        {.temperature = 2, .seed = 2},
        {.temperature = 1, .top_k = 1, .seed = 3},
        {.temperature = 1, .top_k = 7, .seed = 4},
        {.temperature = 1, .top_p = 0.9, .seed = 5},
        {.temperature = 1.5, .top_p = 0.5, .seed = 6},
        {.temperature = 1, .min_p = 0.1, .seed = 7},
        {.temperature = 1.2, .top_k = 40, .top_p = 0.95, .min_p = 0.02, .seed = 8},
        {.temperature = 0.7, .top_p = 1e-9, .seed = 9},
        {.temperature = 1, .top_k = 1000, .seed = 10},
    };
    struct rng r;
    float x[V];
    rng_init(&r, 42);
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        random_logits(&r, x, V, 2);
        check_distribution(&table[i], x, 20000);
    }
}

TEST(ties_fall_to_the_lower_id_in_every_cut)
{
    float x[V];
    for (int i = 0; i < V; i++)
        x[i] = (float)(i % 5);
    CHECK_INT(pick_once(&(struct llm_sampling){0}, x, V, NULL), 4);
    check_distribution(&(struct llm_sampling){.temperature = 1, .top_k = 3}, x, 3000);
    check_distribution(&(struct llm_sampling){.temperature = 1, .top_p = 0.31}, x, 3000);
}

TEST(the_kept_tokens_are_those_of_a_full_sort_on_large_vocabularies)
{
    enum { BIG = 5000 };
    float *x = malloc(BIG * sizeof(*x));
    double *p = malloc(BIG * sizeof(*p));
    bool *seen = calloc(BIG, 1);
    struct rng r;
    rng_init(&r, 5);
    random_logits(&r, x, BIG, 3);
    for (int i = 0; i < BIG; i += 3)
        x[i] = x[(i + 1) % BIG]; /* many ties */
    struct llm_sampling o = {.temperature = 2, .top_k = 200, .top_p = 0.9};
    probabilities(&o, x, BIG, p);
    struct sampler *s = make(&o, BIG);
    int want = 0, got = 0;
    for (int i = 0; i < 30000; i++) {
        int32_t id = sampler_pick(s, x, NULL);
        CHECK_MSG(p[id] > 0, "token %d is cut off", id);
        got += !seen[id];
        seen[id] = true;
    }
    for (int i = 0; i < BIG; i++)
        want += p[i] > 0;
    CHECK_INT(got, want);
    sampler_free(s);
    free(x);
    free(p);
    free(seen);
}

TEST(greedy_takes_the_greatest_wherever_it_stands)
{
    float x[V];
    struct rng r;
    rng_init(&r, 3);
    for (int n = 1; n <= V; n++) {
        random_logits(&r, x, n, 1);
        for (int at = 0; at < n; at += 7) {
            float was = x[at];
            x[at] = 100;
            CHECK_INT(pick_once(&(struct llm_sampling){0}, x, n, NULL), at);
            x[at] = was;
        }
    }
}

TEST(nan_and_infinity_neither_crash_nor_win_where_they_should_not)
{
    const double heat[] = {0, 1, 1e-300, 2};
    for (int t = 0; t < 4; t++) {
        struct llm_sampling o = {.temperature = heat[t], .top_k = 50, .top_p = 0.9, .min_p = 0.01};
        float x[V];
        for (int i = 0; i < V; i++)
            x[i] = NAN;
        CHECK_INT(pick_once(&o, x, V, NULL), 0); /* all alike: the lowest */
        x[33] = -3e38f;
        CHECK_INT(pick_once(&o, x, V, NULL), 33);
        x[50] = -INFINITY;
        x[60] = 3e38f;
        CHECK_INT(pick_once(&o, x, V, NULL), 60);
        x[70] = INFINITY;
        CHECK_INT(pick_once(&o, x, V, NULL), 70);
        uint64_t allowed[WORDS] = {0};
        CHECK_INT(pick_once(&o, x, V, allowed), -1);
        allowed[2] = 1 | 2; /* 128 is NaN, and all there is */
        CHECK_INT(pick_once(&o, x, V, allowed), 128);
    }
    struct llm_sampling o = {.temperature = 1};
    float x[V] = {0};
    x[5] = x[9] = INFINITY;
    int five = 0;
    struct sampler *s = make(&o, V);
    for (int i = 0; i < 1000; i++) {
        int32_t id = sampler_pick(s, x, NULL);
        CHECK(id == 5 || id == 9);
        five += id == 5;
    }
    CHECK(five > 420 && five < 580);
    sampler_free(s);
}

TEST(only_allowed_tokens_come_even_when_all_of_them_are_unlikely)
{
    float x[V];
    struct rng r;
    rng_init(&r, 8);
    random_logits(&r, x, V, 1);
    x[199] = -500;
    x[64] = 50;
    uint64_t allowed[WORDS] = {0};
    allowed[199 / 64] |= (uint64_t)1 << 199 % 64;
    CHECK_INT(pick_once(&(struct llm_sampling){0}, x, V, allowed), 199);
    CHECK_INT(pick_once(&(struct llm_sampling){.temperature = 1}, x, V, allowed), 199);
    allowed[1] |= 2; /* 65 */
    CHECK_INT(pick_once(&(struct llm_sampling){.temperature = 1}, x, V, allowed), 65);
}

TEST(bias_and_penalties_change_logits_as_their_definitions_say)
{
    float x[V] = {0};
    struct llm_bias bias[] = {{7, 5}, {8, -100}};
    struct llm_sampling o = {.bias = bias, .n_bias = 2};
    CHECK_INT(pick_once(&o, x, V, NULL), 7);
    x[8] = 99;
    CHECK_INT(pick_once(&o, x, V, NULL), 7);

    /* repetition 2: 6 -> 3 and -1 -> -2, once however often a token was seen */
    float y[V];
    for (int i = 0; i < V; i++)
        y[i] = -50;
    y[1] = 6, y[2] = 3.1f;
    struct sampler *s = make(&(struct llm_sampling){.repetition = 2}, V);
    CHECK_INT(sampler_pick(s, y, NULL), 1);
    sampler_saw(s, 1, false);
    sampler_saw(s, 1, true);
    CHECK_INT(sampler_pick(s, y, NULL), 2);
    y[2] = 2.9f;
    CHECK_INT(sampler_pick(s, y, NULL), 1);
    y[1] = -1, y[2] = -1.9f;
    CHECK_INT(sampler_pick(s, y, NULL), 2);
    for (int i = 0; i < 64; i++)
        sampler_saw(s, 100 + i, true);
    CHECK_INT(sampler_pick(s, y, NULL), 1); /* 64 tokens ago is forgotten */
    sampler_free(s);

    /* presence and frequency: of the answer alone, mu - c * frequency - presence */
    y[1] = 6, y[2] = 4.4f;
    s = make(&(struct llm_sampling){.presence = 1, .frequency = 0.5}, V);
    for (int i = 0; i < 9; i++)
        sampler_saw(s, 1, false);
    CHECK_INT(sampler_pick(s, y, NULL), 1);
    sampler_saw(s, 1, true);
    CHECK_INT(sampler_pick(s, y, NULL), 1); /* 6 - 1 - 0.5 = 4.5 */
    sampler_saw(s, 1, true);
    CHECK_INT(sampler_pick(s, y, NULL), 2); /* 4.0 */
    sampler_free(s);
}

TEST(the_same_seed_draws_the_same_tokens_and_another_others)
{
    float x[V];
    struct rng r;
    rng_init(&r, 77);
    random_logits(&r, x, V, 1);
    struct llm_sampling o = {.temperature = 1, .seed = 123}, p = o;
    p.seed = 124;
    struct sampler *a = make(&o, V), *b = make(&o, V), *c = make(&p, V);
    int differ = 0;
    for (int i = 0; i < 100; i++) {
        int32_t id = sampler_pick(a, x, NULL);
        CHECK_INT(sampler_pick(b, x, NULL), id);
        differ += sampler_pick(c, x, NULL) != id;
    }
    CHECK(differ > 50);
    sampler_free(a);
    sampler_free(b);
    sampler_free(c);
}

/* Recorded once from this arithmetic: a change of any rounding on any machine shows. */
TEST(draws_are_the_same_on_every_machine)
{
    float x[V];
    for (int i = 0; i < V; i++)
        x[i] = (float)((i * 7919) % 1000) / 128.0f;
    struct sampler *s =
        make(&(struct llm_sampling){.temperature = 0.8, .top_p = 0.95, .seed = 9}, V);
    uint64_t hash = 0;
    for (int i = 0; i < 1000; i++)
        hash = hash * 31 + (uint64_t)sampler_pick(s, x, NULL);
    CHECK_MSG(hash == 0x96b091389420ffaf, "%016llx", (unsigned long long)hash);
    sampler_free(s);
}

TEST(logprobs_are_those_of_a_softmax_in_double_precision)
{
    enum { N = 5000 };
    float x[N];
    struct rng r;
    struct sampler_logprob top[20];
    rng_init(&r, 21);
    random_logits(&r, x, N, 4);
    double best = -INFINITY, sum = 0;
    for (int i = 0; i < N; i++)
        best = x[i] > best ? x[i] : best;
    for (int i = 0; i < N; i++)
        sum += exp(x[i] - best);
    CHECK_NEAR(sampler_logprobs(x, N, 17, top, 20), x[17] - best - log(sum), 2e-6);
    struct rank v[N];
    for (int i = 0; i < N; i++)
        v[i] = (struct rank){x[i], i};
    qsort(v, N, sizeof(*v), by_rank);
    for (int i = 0; i < 20; i++) {
        CHECK_INT(top[i].id, v[i].id);
        CHECK_NEAR(top[i].logprob, v[i].x - best - log(sum), 2e-6);
    }
}

TEST(logprobs_of_broken_logits_are_numbers)
{
    float x[40];
    struct sampler_logprob top[3];
    for (int i = 0; i < 40; i++)
        x[i] = i % 2 ? NAN : -INFINITY;
    CHECK_NEAR(sampler_logprobs(x, 40, 3, top, 3), -9999, 0);
    CHECK_NEAR(top[2].logprob, -9999, 0);
    x[9] = 1;
    CHECK_NEAR(sampler_logprobs(x, 40, 9, top, 3), 0, 0);
    CHECK_INT(top[0].id, 9);
    CHECK_NEAR(top[1].logprob, -9999, 0);
    x[4] = x[5] = INFINITY;
    CHECK_NEAR(sampler_logprobs(x, 40, 5, top, 3), log(0.5), 1e-6);
    CHECK_NEAR(sampler_logprobs(x, 40, 9, top, 3), -9999, 0);
    CHECK_INT(top[1].id, 5);
}

TEST(options_out_of_range_are_refused_by_name)
{
    struct llm_bias far = {200, 1}, heavy = {1, 101};
    const struct {
        struct llm_sampling o;
        const char *says;
    } bad[] = {
        {{.temperature = -0.1}, "temperature is -0.1: need 0 to 2"},
        {{.temperature = NAN}, "temperature is nan: need 0 to 2"},
        {{.top_p = 1.5}, "top_p is 1.5: need 0 to 1"},
        {{.min_p = -1}, "min_p is -1: need 0 to 1"},
        {{.presence = 2.5}, "presence_penalty is 2.5: need -2 to 2"},
        {{.frequency = -3}, "frequency_penalty is -3: need -2 to 2"},
        {{.repetition = 0.01}, "repetition_penalty is 0.01: need 0 (none) or 0.1 to 10"},
        {{.repetition = NAN}, "repetition_penalty is nan: need 0 (none) or 0.1 to 10"},
        {{.top_k = -1}, "top_k is -1: need 0 to 1.07374e+09"},
        {{.bias = &far, .n_bias = 1}, "logit_bias names token 200: need 0 to 199"},
        {{.bias = &heavy, .n_bias = 1}, "logit_bias of token 1 is 101: need -100 to 100"},
    };
    struct err err;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        CHECK_ERR(sampler_check(&bad[i].o, V, &err), ERR_ARG);
        CHECK_STR(str_of(err.msg), bad[i].says);
    }
    CHECK_OK(sampler_check(&(struct llm_sampling){0}, V, &err), &err);
}
