/* tests/unit/test_mat_fixed.c - 16-bit whole numbers: what rounding to them may cost, that no
 * dot overflows, and that every set of kernels computes the same bits. */
#include "model/mat_fixed.h"
#include <float.h>
#include <math.h>
#include "base/cpu.h"
#include "base/rng.h"
#include "model/mat_input.h"
#include "tests/test.h"

#define BLOCK MAT_FIXED_BLOCK

static int kernel_sets(const struct mat_fixed_kernels *sets[3])
{
    const struct cpu *c = cpu_get();
    int n = 0;
    sets[n++] = &mat_fixed_plain;
    if (c->avx2)
        sets[n++] = &mat_fixed_avx2;
    if (c->vnni)
        sets[n++] = &mat_fixed_vnni;
    return n;
}

static double length_of(const float *x)
{
    double sum = 0;
    for (int i = 0; i < BLOCK; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

static double top_of(const float *x)
{
    double top = 0;
    for (int i = 0; i < BLOCK; i++)
        top = fmax(top, fabs((double)x[i]));
    return top;
}

/* The promises of mat_fixed.h about one block. */
static void check_block(const float *x, const int16_t *q, float scale, const char *what)
{
    int64_t square = 0;
    uint32_t bits;
    double s = (double)scale, most = fmax(top_of(x) / 32767, length_of(x) / 46280);
    memcpy(&bits, &scale, 4);
    CHECK_MSG((bits & 0xffff) == 0, "%s: a scale of %a", what, s);
    CHECK_MSG(s <= 1.01 * most, "%s: a scale of %g, %g would do", what, s, most);
    for (int i = 0; i < BLOCK; i++) {
        CHECK_MSG(q[i] > INT16_MIN, "%s: %d", what, q[i]);
        CHECK_MSG(fabs((double)x[i] - q[i] * s) <= .505 * s, "%s: %g became %g", what,
                  (double)x[i], q[i] * s);
        square += (int64_t)q[i] * q[i];
    }
    CHECK_MSG(square < (int64_t)1 << 31, "%s: squares add up to %lld", what, (long long)square);
}

/* By every set: the promises, and the same bits. */
static void check_quantized(const float *x, const char *what)
{
    const struct mat_fixed_kernels *sets[3];
    int16_t q[3][BLOCK];
    float scale[3];
    int n = kernel_sets(sets);
    for (int i = 0; i < n; i++) {
        sets[i]->quantize(x, BLOCK, 1, q[i], &scale[i]);
        check_block(x, q[i], scale[i], what);
        CHECK_MSG(!memcmp(&scale[i], &scale[0], 4) && !memcmp(q[i], q[0], sizeof(q[0])),
                  "%s: %s and %s differ", what, sets[i]->name, sets[0]->name);
    }
}

static void fill(float *x, struct rng *rng, float size)
{
    for (int i = 0; i < BLOCK; i++)
        x[i] = size * (float)rng_normal(rng);
}

TEST(mat_fixed_numbers_are_near_and_no_longer_than_a_dot_allows)
{
    static const float sizes[] = {1, 1e-3f, 65504, 6e-8f, 1e-20f, 1e20f, 1e37f, 0x1p-98f};
    struct rng rng;
    float x[BLOCK];
    rng_init(&rng, 1);
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++)
        for (int round = 0; round < 200; round++) {
            fill(x, &rng, sizes[s]);
            check_quantized(x, "normal");
            x[round % BLOCK] *= 1000;
            if (fabsf(x[round % BLOCK]) <= FLT_MAX)
                check_quantized(x, "one stands out");
            for (int i = 0; i < BLOCK; i++)     /* between the two bounds */
                x[i] = copysignf(i <= round % BLOCK ? sizes[s] : sizes[s] / 100, x[i]);
            check_quantized(x, "two sizes");
        }
    for (int i = 0; i < BLOCK; i++)
        x[i] = i % 3 ? FLT_MAX : -FLT_MAX;
    check_quantized(x, "the largest floats");
}

TEST(mat_fixed_takes_what_it_cannot_divide_by_for_nothing_and_shows_what_is_no_number)
{
    const struct mat_fixed_kernels *sets[3];
    int n = kernel_sets(sets);
    for (int i = 0; i < n; i++) {
        float x[BLOCK] = {0}, scale = 1;
        int16_t q[BLOCK];
        static const int16_t none[BLOCK];
        sets[i]->quantize(x, BLOCK, 1, q, &scale);
        CHECK(scale == 0 && !memcmp(q, none, sizeof(q)));
        x[7] = -1e-40f;
        sets[i]->quantize(x, BLOCK, 1, q, &scale);
        CHECK(scale < 1e-30f && !memcmp(q, none, sizeof(q)));
        x[9] = -INFINITY;
        sets[i]->quantize(x, BLOCK, 1, q, &scale);
        CHECK(!isfinite(scale) && !memcmp(q, none, sizeof(q)));
        x[63] = NAN;
        sets[i]->quantize(x, BLOCK, 1, q, &scale);
        CHECK(!isfinite(scale) && !memcmp(q, none, sizeof(q)));
    }
}

/* ---- products ---- */

/* Weights and rows of one shape, as mat.c would hand them over. */
struct fixture {
    int m, n, k;
    uint16_t *file;            /* [n][k] */
    uint8_t *panels;
    float *w, *x, *bias;       /* [n][k], [m][k], [n] */
    struct mat_input *in;
};

static int panels_of(const struct fixture *f)
{
    return (f->n + MAT_LANES - 1) / MAT_LANES;
}

static void pack(struct fixture *f)
{
    size_t bytes = mat_kind_fixed.panel_bytes(f->k);
    f->panels = aligned_alloc(64, bytes * (size_t)panels_of(f));
    CHECK(f->panels && bytes % 64 == 0);
    for (int p = 0; p < panels_of(f); p++) {
        const uint8_t *src[MAT_LANES];
        for (int l = 0; l < MAT_LANES; l++) {
            size_t row = (size_t)(p * MAT_LANES + l);
            src[l] = row < (size_t)f->n ? (const uint8_t *)(f->file + row * (size_t)f->k) : NULL;
        }
        mat_kind_fixed.pack(src, f->k, f->panels + (size_t)p * bytes);
    }
}

/* Normal numbers; every `outlier`-th of w and of x 1000 times as large (0: none). */
static struct fixture *fixture_new(int m, int n, int k, int outlier)
{
    struct rng rng;
    struct err err;
    struct fixture *f = calloc(1, sizeof(*f));
    size_t nk = (size_t)n * (size_t)k, mk = (size_t)m * (size_t)k;
    rng_init(&rng, (uint64_t)(m + n + k));
    *f = (struct fixture){.m = m, .n = n, .k = k, .file = malloc(nk * 2), .w = malloc(nk * 4),
                          .x = malloc(mk * 4), .bias = malloc((size_t)n * 4)};
    for (size_t i = 0; i < nk; i++)
        f->file[i] = tensor_f32_to_f16((float)rng_normal(&rng) *
                                       (outlier && (int)i % outlier == 1 ? 1000.0f : 1.0f));
    tensor_dequant(TENSOR_F16, f->file, (int64_t)nk, f->w);
    for (size_t i = 0; i < mk; i++)
        f->x[i] = (float)rng_normal(&rng) * (outlier && (int)i % outlier == 2 ? 1000.0f : 1.0f);
    for (int i = 0; i < n; i++)
        f->bias[i] = (float)rng_normal(&rng);
    pack(f);
    CHECK_OK(mat_input_new(m, k, &f->in, &err), &err);
    return f;
}

static void fixture_free(struct fixture *f)
{
    free(f->file);
    free(f->panels);
    free(f->w);
    free(f->x);
    free(f->bias);
    mat_input_free(f->in);
    free(f);
}

/* Rows [row, row + m) of x against panels [panel, panel + n_panels); y[m][n] whole. */
static void multiply(const struct mat_fixed_kernels *kern, const struct fixture *f, int row, int m,
                     int panel, int n_panels, float *y)
{
    int column = MAT_LANES * panel, left = f->n - column;
    mat_input_set(f->in, m, f->k, f->x + (size_t)row * (size_t)f->k, (size_t)f->k);
    mat_input_need(f->in, NULL, MAT_I16, MAT_FIX_NONE);
    struct mat_job job = {
        .panel_bytes = mat_kind_fixed.panel_bytes(f->k),
        .n_panels = n_panels,
        .columns = left < MAT_LANES * n_panels ? left : MAT_LANES * n_panels,
        .x = mat_input_x(f->in),
        .bias = f->bias + column,
        .y = y + (size_t)row * (size_t)f->n + column,
        .ldy = (size_t)f->n,
    };
    job.panels = f->panels + (size_t)panel * job.panel_bytes;
    mat_fixed_mul(kern, &job);
}

/* The most that a scale may be, by mat_fixed.h, of a block cut off after n numbers. */
static double scale_bound(const float *x, int n)
{
    float whole[BLOCK] = {0};
    memcpy(whole, x, (size_t)n * sizeof(*x));
    return 1.01 * fmax(top_of(whole) / 32767, length_of(whole) / 46280);
}

/* Output (r, c) against a sum in doubles. Roundings are noise, of a twelfth of a scale's square
 * each: six times its deviation, and a few roundings of the chain in floats. */
static void check_output(const struct fixture *f, int r, int c, double got)
{
    const float *x = f->x + (size_t)r * (size_t)f->k, *w = f->w + (size_t)c * (size_t)f->k;
    double sum = (double)f->bias[c], noise = 0, size = fabs(sum);
    for (int at = 0; at < f->k; at += BLOCK) {
        int n = f->k - at < BLOCK ? f->k - at : BLOCK;
        double sx = scale_bound(x + at, n), sw = scale_bound(w + at, n);
        for (int i = at; i < at + n; i++) {
            double a = (double)x[i], b = (double)w[i];
            sum += a * b;
            size += fabs(a * b);
            noise += (sw * sw * a * a + sx * sx * b * b + sw * sw * sx * sx) / 12;
        }
    }
    CHECK_NEAR(got, sum, 6 * sqrt(noise) + size * 0x1p-22);
}

static void check_shape(int m, int n, int k, int outlier)
{
    const struct mat_fixed_kernels *sets[3];
    int n_sets = kernel_sets(sets);
    struct fixture *f = fixture_new(m, n, k, outlier);
    size_t outputs = (size_t)m * (size_t)n;
    float *y[3];
    for (int s = 0; s < n_sets; s++) {
        y[s] = malloc((outputs + 1) * sizeof(float));
        y[s][outputs] = 77;
        multiply(sets[s], f, 0, m, 0, panels_of(f), y[s]);
        CHECK(y[s][outputs] == 77);
        CHECK_MSG(!memcmp(y[s], y[0], outputs * sizeof(float)), "%s, m %d n %d k %d", sets[s]->name,
                  m, n, k);
    }
    for (int r = 0; r < m; r++)
        for (int c = 0; c < n; c++)
            check_output(f, r, c, (double)y[0][(size_t)r * (size_t)n + (size_t)c]);
    for (int s = 0; s < n_sets; s++)
        free(y[s]);
    fixture_free(f);
}

TEST(mat_fixed_products_are_sums_within_the_noise_of_16_bits)
{
    for (int m = 1; m <= 27; m++)
        check_shape(m, 5 + 13 * (m % 7), 1 + 37 * (m % 9), 0);
    check_shape(3, 64, 64, 0);
    check_shape(2, 17, 128, 0);
    check_shape(1, 40, 896, 0);
    check_shape(5, 33, 4864, 0);
    check_shape(49, 35, 2113, 0);
    check_shape(200, 18, 333, 0);
}

TEST(mat_fixed_products_keep_their_bound_where_numbers_stand_out)
{
    check_shape(4, 33, 700, 97);
    check_shape(13, 20, 65, 13);
    check_shape(60, 20, 2200, 501);
}

/* All rows at once against fewer rows and panels at a time. */
TEST(mat_fixed_row_has_the_same_bits_whatever_is_computed_beside_it)
{
    static const int shapes[][3] = {{13, 100, 40}, {37, 90, 701}, {5, 16, 9}, {110, 40, 300},
                                    {60, 52, 4501}};
    const struct mat_fixed_kernels *sets[3];
    int n_sets = kernel_sets(sets);
    for (int i = 0; i < n_sets * 5; i++) {
        const struct mat_fixed_kernels *kern = sets[i % n_sets];
        int m = shapes[i / n_sets][0], n = shapes[i / n_sets][1], k = shapes[i / n_sets][2];
        struct fixture *f = fixture_new(m, n, k, 0);
        int panels = panels_of(f), some = (panels + 1) / 2;
        size_t bytes = (size_t)m * (size_t)n * sizeof(float);
        float *whole = malloc(bytes), *parts = malloc(bytes);
        multiply(kern, f, 0, m, 0, panels, whole);
        for (int row = 0, rows = 1; row < m; row += rows, rows = rows % 14 + 1) {
            rows = rows < m - row ? rows : m - row;
            multiply(kern, f, row, rows, 0, some, parts);
            if (some < panels)
                multiply(kern, f, row, rows, some, panels - some, parts);
        }
        CHECK_MSG(!memcmp(whole, parts, bytes), "%s, m %d n %d k %d", kern->name, m, n, k);
        free(whole);
        free(parts);
        fixture_free(f);
    }
}

/* Two blocks of the same direction, where Cauchy and Schwarz' inequality is an equation. */
TEST(mat_fixed_sums_of_the_largest_numbers_do_not_overflow)
{
    const struct mat_fixed_kernels *sets[3];
    int n_sets = kernel_sets(sets);
    struct fixture *f = fixture_new(14, 40, 128, 0);
    float y[14 * 40];
    for (int i = 0; i < f->n * f->k; i++) {
        f->w[i] = i / f->k % 2 ? 1 : i % 64 ? .5f : -3;
        f->file[i] = tensor_f32_to_f16(f->w[i]);
    }
    for (int i = 0; i < f->m * f->k; i++)
        f->x[i] = f->w[i] * (i / f->k % 3 ? 65504 : -1e-9f);
    free(f->panels);
    pack(f);
    for (int s = 0; s < n_sets; s++) {
        multiply(sets[s], f, 0, f->m, 0, panels_of(f), y);
        for (int r = 0; r < f->m; r++)
            for (int c = 0; c < f->n; c++) {
                double sum = (double)f->bias[c], size = 0;
                for (int i = 0; i < f->k; i++) {
                    double a = (double)f->x[r * f->k + i] * (double)f->w[c * f->k + i];
                    sum += a;
                    size += fabs(a);
                }
                CHECK_NEAR(y[r * f->n + c], sum, size * 2e-4 + 1e-6);
            }
    }
    fixture_free(f);
}

/* What a row gives is what products of that row mean, and near the file's. */
TEST(mat_fixed_rows_are_near_the_files)
{
    enum { N = 37, K = 333 };
    struct fixture *f = fixture_new(1, N, K, 41);
    size_t bytes = mat_kind_fixed.panel_bytes(K);
    float row[K];
    for (int r = 0; r < N; r++) {
        const float *w = f->w + (size_t)r * K;
        mat_kind_fixed.row(f->panels + (size_t)(r / MAT_LANES) * bytes, r % MAT_LANES, K, row);
        for (int i = 0; i < K; i++) {
            int at = i / BLOCK * BLOCK;
            double most = scale_bound(w + at, K - at < BLOCK ? K - at : BLOCK);
            CHECK_NEAR(row[i], (double)w[i], .505 * most);
        }
    }
    fixture_free(f);
}
