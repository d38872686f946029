/* tests/unit/test_attn.c - attention against the formula in double over the keys
 * and values as their type rounds them, by every set of kernels, and the promise
 * that a row's bits are its own. */
#include <math.h>
#include "base/cpu.h"
#include "base/rng.h"
#include "model/attn_int.h"
#include "model/tensor.h"
#include "tests/test.h"

static void each_kernel(void (*check)(const struct attn_kernels *k))
{
    const struct cpu *c = cpu_get();
    check(&attn_plain);
    if (c->avx2)
        check(&attn_avx2);
    if (c->avx512)
        check(&attn_avx512);
}

/* A timeline of one KV head. Pages lie in no order, with something before each
 * part; slots that were never put hold numbers of other times. */
struct timeline {
    struct attn_job job;
    int end;
    float *q, *k, *v;        /* [end][group][head_dim], [end][head_dim] */
    void **pages;
    int n_pages;
};

static void *aligned(size_t bytes)
{
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static float *normals(struct rng *rng, size_t n)
{
    float *x = malloc(n * sizeof(*x));
    for (size_t i = 0; i < n; i++)
        x[i] = (float)rng_normal(rng);
    return x;
}

/* Old numbers: what a page held before. */
static void litter(struct timeline *t, const struct attn_kernels *kern, void *part)
{
    float old[ATTN_HEAD_MAX];
    for (int i = 0; i < t->job.head_dim; i++)
        old[i] = 900.0f + (float)i;
    for (int slot = 0; slot < ATTN_PAGE; slot++)
        attn_put_with(kern, t->job.type, t->job.head_dim, part, slot, old, old);
}

static struct timeline timeline_new(const struct attn_kernels *kern, enum attn_type type, int end,
                                    int head_dim, int group, uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    struct timeline t = {.end = end, .n_pages = (end + ATTN_PAGE - 1) / ATTN_PAGE};
    size_t d = (size_t)head_dim, n = (size_t)end;
    t.job = (struct attn_job){.type = type, .head_dim = head_dim, .group = group, .part = 192,
                              .scale = 1 / sqrtf((float)head_dim), .ldq = d * (size_t)group + 3,
                              .ldo = d * (size_t)group + 5};
    t.q = normals(&rng, n * t.job.ldq);
    t.k = normals(&rng, n * d);
    t.v = normals(&rng, n * d);
    t.pages = calloc((size_t)t.n_pages, sizeof(*t.pages));
    for (int p = t.n_pages - 1; p >= 0; p--) {
        t.pages[p] = aligned(t.job.part + attn_page_bytes(type, head_dim));
        litter(&t, kern, (char *)t.pages[p] + t.job.part);
    }
    for (int p = 0; p < end; p++)
        attn_put_with(kern, type, head_dim, (char *)t.pages[p / ATTN_PAGE] + t.job.part,
                      p % ATTN_PAGE, t.k + (size_t)p * d, t.v + (size_t)p * d);
    t.job.pages = t.pages;
    return t;
}

static void timeline_free(struct timeline *t)
{
    for (int i = 0; i < t->n_pages; i++)
        free(t->pages[i]);
    free(t->pages);
    free(t->q);
    free(t->k);
    free(t->v);
}

/* Rows [pos0, pos0 + n) into out, laid out for the whole timeline. */
static void run_rows(const struct attn_kernels *kern, const struct timeline *t, int pos0, int n,
                     float *out)
{
    struct attn_job j = t->job;
    j.pos0 = pos0;
    j.n_rows = n;
    j.q = t->q + (size_t)pos0 * j.ldq;
    j.out = out + (size_t)pos0 * j.ldo;
    size_t bytes = attn_scratch_bytes(&j);
    void *scratch = malloc(bytes);
    memset(scratch, 0xff, bytes);        /* NaNs */
    attn_run_with(kern, &j, scratch);
    free(scratch);
}

/* x[n] as the cache's type keeps it; codes by float arithmetic, since a value half-way
 * between two of them would fall to the other side in doubles. */
static void kept(enum attn_type type, const float *x, int n, double *out)
{
    float top = 0;
    for (int i = 0; i < n; i++)
        top = fmaxf(top, fabsf(x[i]));
    for (int i = 0; i < n; i++) {
        out[i] = type == ATTN_F16  ? tensor_f16_to_f32(tensor_f32_to_f16(x[i]))
                 : type == ATTN_Q8 ? (double)rintf(x[i] * (127 / top)) * (double)(top / 127)
                                   : x[i];
    }
}

/* The formula, for one query; exact: keys and values are not rounded. */
static void naive(const struct timeline *t, bool exact, int pos, int head, double *out)
{
    const struct attn_job *j = &t->job;
    int d = j->head_dim, lo = j->window && pos >= j->window ? pos - j->window + 1 : 0;
    double *w = malloc((size_t)(pos + 1) * sizeof(*w)), top = -1e300, sum = 0;
    double row[ATTN_HEAD_MAX];
    const float *q = t->q + (size_t)pos * j->ldq + (size_t)(head * d);
    for (int p = lo; p <= pos; p++) {
        kept(exact ? ATTN_F32 : j->type, t->k + p * d, d, row);
        w[p] = 0;
        for (int i = 0; i < d; i++)
            w[p] += q[i] * row[i];
        w[p] *= j->scale;
        if (j->softcap > 0)
            w[p] = j->softcap * tanh(w[p] / j->softcap);
        top = fmax(top, w[p]);
    }
    for (int i = 0; i < d; i++)
        out[i] = 0;
    for (int p = lo; p <= pos; p++) {
        kept(exact ? ATTN_F32 : j->type, t->v + p * d, d, row);
        sum += w[p] = exp(w[p] - top);
        for (int i = 0; i < d; i++)
            out[i] += w[p] * row[i];
    }
    for (int i = 0; i < d; i++)
        out[i] /= sum;
    free(w);
}

static double worst(const struct timeline *t, bool exact, const float *out, int pos0, int n)
{
    double want[ATTN_HEAD_MAX], off = 0;
    for (int pos = pos0; pos < pos0 + n; pos++)
        for (int g = 0; g < t->job.group; g++) {
            naive(t, exact, pos, g, want);
            for (int i = 0; i < t->job.head_dim; i++)
                off = fmax(off, fabs(want[i] - out[(size_t)pos * t->job.ldo +
                                                   (size_t)(g * t->job.head_dim + i)]));
        }
    return off;
}

static float *outputs(const struct timeline *t)
{
    return calloc((size_t)t->end * t->job.ldo, sizeof(float));
}

static void check_shapes(const struct attn_kernels *k)
{
    static const int dims[] = {64, 2, 80, 96, 128, 30, 256, 16, 18, 100};
    static const int ends[] = {1, 31, 32, 33, 127, 128, 129, 300, 17, 64};
    for (int i = 0; i < 30; i++) {
        enum attn_type type = (enum attn_type)(i % 3);
        int end = ends[i % 10], group = 1 + i % 5;
        struct timeline t = timeline_new(k, type, end, dims[(i + i / 10) % 10], group, (uint64_t)i);
        t.job.window = i % 4 == 3 ? 1 + i * 3 : 0;
        t.job.softcap = i % 5 == 4 ? 1.5f : 0;
        float *out = outputs(&t);
        run_rows(k, &t, 0, end, out);
        double off = worst(&t, false, out, 0, end);
        CHECK_MSG(off < 6e-6, "%s: case %d is off by %g", k->name, i, off);
        free(out);
        timeline_free(&t);
    }
}

TEST(attn_is_the_softmax_weighted_mean_of_values_for_any_shape)
{
    each_kernel(check_shapes);
}

static void check_random(const struct attn_kernels *k)
{
    struct rng rng;
    rng_init(&rng, 77);
    for (int i = 0; i < (test_slow() ? 400 : 40); i++) {
        enum attn_type type = (enum attn_type)rng_below(&rng, 3);
        int dim = 2 + 2 * (int)rng_below(&rng, 128), end = 1 + (int)rng_below(&rng, 420);
        int group = 1 + (int)rng_below(&rng, 9), n = 1 + (int)rng_below(&rng, 9);
        struct timeline t = timeline_new(k, type, end, dim, group, rng_next(&rng));
        t.job.window = (int)rng_below(&rng, 2) * (1 + (int)rng_below(&rng, (uint64_t)end));
        t.job.softcap = rng_below(&rng, 3) ? 0 : 30;
        int pos0 = n < end ? end - n : 0;
        float *out = outputs(&t);
        run_rows(k, &t, pos0, end - pos0, out);
        double off = worst(&t, false, out, pos0, end - pos0);
        CHECK_MSG(off < 6e-6, "%s: round %d, type %d dim %d end %d group %d: off by %g", k->name, i,
                  (int)type, dim, end, group, off);
        free(out);
        timeline_free(&t);
    }
}

TEST(attn_holds_for_random_shapes_at_the_end_of_a_timeline)
{
    each_kernel(check_random);
}

/* Each position's score lies above the one before, each tile's far above: what has been
 * summed must be brought down every time. */
static void check_rising(const struct attn_kernels *k)
{
    struct timeline t = timeline_new(k, ATTN_F32, 600, 16, 3, 5);
    for (int p = 0; p < t.end; p++) {
        t.k[p * 16] = (float)p * 0.25f;
        attn_put_with(k, ATTN_F32, 16, (char *)t.pages[p / ATTN_PAGE] + t.job.part,
                      p % ATTN_PAGE, t.k + p * 16, t.v + p * 16);
    }
    for (size_t i = 0; i < (size_t)t.end * t.job.ldq; i++)
        t.q[i] = fabsf(t.q[i]) + 2;
    float *out = outputs(&t);
    run_rows(k, &t, 0, t.end, out);
    double off = worst(&t, true, out, 0, t.end);
    CHECK_MSG(off < 2e-4, "%s: off by %g", k->name, off);    /* scores of 200: 1e-5 each */
    free(out);
    timeline_free(&t);
}

TEST(attn_follows_scores_that_rise_along_the_timeline)
{
    each_kernel(check_rising);
}

static bool same_rows(const struct timeline *t, const float *a, const float *b)
{
    size_t row = (size_t)(t->job.group * t->job.head_dim) * sizeof(float);
    for (int pos = 0; pos < t->end; pos++)
        if (memcmp(a + (size_t)pos * t->job.ldo, b + (size_t)pos * t->job.ldo, row))
            return false;
    return true;
}

/* All rows in one run, one by one, and in slices that begin anywhere. */
static void check_bits(const struct attn_kernels *k)
{
    static const int shapes[][4] = {{300, 64, 4, 0}, {290, 80, 1, 0}, {270, 64, 3, 100},
                                    {140, 34, 13, 31}};
    for (int i = 0; i < 12; i++) {
        const int *s = shapes[i / 3];
        struct timeline t = timeline_new(k, (enum attn_type)(i % 3), s[0], s[1], s[2], (uint64_t)i);
        t.job.window = s[3];
        t.job.scale = i % 2 ? 4 : t.job.scale;    /* tiles that lie far above those before */
        float *whole = outputs(&t), *single = outputs(&t), *slices = outputs(&t);
        run_rows(k, &t, 0, t.end, whole);
        for (int pos = 0; pos < t.end; pos++)
            run_rows(k, &t, pos, 1, single);
        CHECK_MSG(same_rows(&t, whole, single), "%s: case %d, one by one", k->name, i);
        for (int pos = 0, n = 1; pos < t.end; pos += n, n = n * 2 % 67)
            run_rows(k, &t, pos, pos + n < t.end ? n : t.end - pos, slices);
        CHECK_MSG(same_rows(&t, whole, slices), "%s: case %d, in slices", k->name, i);
        free(whole);
        free(single);
        free(slices);
        timeline_free(&t);
    }
}

TEST(attn_row_has_the_same_bits_alone_and_in_any_slice)
{
    each_kernel(check_bits);
}

/* Numbers are normal, so a mean over some hundred of them is some tenths: halves
 * (11 bits) are off by less than 1e-3, int8 (a step is 1/127 of the largest of 64)
 * by less than 2e-2. */
TEST(attn_in_halves_and_int8_stays_near_the_unrounded)
{
    static const double bound[] = {[ATTN_F32] = 6e-6, [ATTN_F16] = 1e-3, [ATTN_Q8] = 2e-2};
    for (int type = 0; type < 3; type++) {
        struct timeline t = timeline_new(&attn_plain, (enum attn_type)type, 500, 64, 4, 3);
        float *out = outputs(&t);
        run_rows(&attn_plain, &t, 200, 300, out);
        double off = worst(&t, true, out, 200, 300);
        CHECK_MSG(off < bound[type], "type %d is off by %g", type, off);
        free(out);
        timeline_free(&t);
    }
}

TEST(attn_keeps_halves_finite_whatever_is_put)
{
    static float huge[16] = {1e30f, -1e30f, 65520, -65520, INFINITY};
    struct timeline t = timeline_new(&attn_plain, ATTN_F16, 3, 16, 1, 1);
    attn_put(ATTN_F16, 16, (char *)t.pages[0] + t.job.part, 2, t.k, huge);
    float *out = outputs(&t);
    run_rows(&attn_plain, &t, 0, 3, out);
    for (int i = 0; i < 16; i++)
        CHECK(isfinite(out[2 * t.job.ldo + (size_t)i]));
    CHECK(out[2 * t.job.ldo] > 0 && out[2 * t.job.ldo + 1] < 0);
    free(out);
    timeline_free(&t);
}

TEST(attn_sees_scores_of_any_size)
{
    for (int i = 0; i < 2; i++) {
        struct timeline t = timeline_new(&attn_plain, ATTN_F32, 200, 16, 1, 2);
        t.job.scale = i ? 1e-6f : 3e4f;
        float *out = outputs(&t);
        run_rows(&attn_plain, &t, 0, 200, out);
        double want[16];
        naive(&t, true, 199, 0, want);
        for (int c = 0; c < 16; c++)
            CHECK_NEAR(out[199 * t.job.ldo + (size_t)c], want[c], 1e-4);
        free(out);
        timeline_free(&t);
    }
}
