/* tests/unit/test_mat_float.c - products with F32 and BF16 weights against
 * sums in double by every set of kernels, and the promise that a row's bits are
 * its own. */
#include <math.h>
#include "base/cpu.h"
#include "base/rng.h"
#include "model/mat_float_int.h"
#include "model/mat_int.h"
#include "tests/test.h"

struct kernel_case {
    const struct mat_float_kernels *kern;
    enum mat_float_type type;
    const struct mat_kind *kind;
};

static const struct mat_kind *kind_of(enum tensor_type type)
{
    for (int i = 0; i < mat_n_kinds_float; i++)
        if (mat_kinds_float[i].type == type)
            return &mat_kinds_float[i];
    test_fail(__FILE__, __LINE__, "no kind for type %d", (int)type);
}

static void each_case(void (*check)(const struct kernel_case *c))
{
    const struct cpu *cpu = cpu_get();
    const struct mat_float_kernels *sets[] = {&mat_float_plain, &mat_float_avx2, &mat_float_avx512};
    int n = cpu->avx512 ? 3 : cpu->avx2 ? 2 : 1;
    for (int i = 0; i < n; i++) {
        check(&(struct kernel_case){sets[i], MAT_FLOAT_F32, kind_of(TENSOR_F32)});
        check(&(struct kernel_case){sets[i], MAT_FLOAT_BF16, kind_of(TENSOR_BF16)});
    }
    if (cpu->avx512 && cpu->bf16)
        check(&(struct kernel_case){&mat_float_avx512, MAT_FLOAT_DOT, kind_of(TENSOR_BF16)});
}

static uint16_t to_bf16(float f)
{
    uint32_t b;
    memcpy(&b, &f, 4);
    return (uint16_t)((b + 0x7fff + (b >> 16 & 1)) >> 16);
}

/* Weights and rows of one shape, as mat.c would hand them over. */
struct fixture {
    int m, n, k, k_pad;
    uint8_t *file;       /* [n] rows as a file has them */
    uint8_t *panels;
    float *w;            /* [n][k] as the file means them */
    float *x, *bias;     /* [m][k], [n] */
    uint16_t *x16;       /* [m][k_pad] */
    struct mat_x rows;
};

static void *aligned(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    memset(p, 0, (bytes + 63) / 64 * 64 + 64);
    return p;
}

static void fill_file(struct fixture *f, const struct mat_kind *kind, struct rng *rng)
{
    size_t size = kind->type == TENSOR_F32 ? 4 : 2, n = (size_t)f->n * (size_t)f->k;
    f->file = malloc(n * size);
    f->w = malloc(n * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        float v = (float)rng_normal(rng);
        uint16_t half = to_bf16(v);
        memcpy(f->file + i * size, size == 4 ? (void *)&v : (void *)&half, size);
    }
    tensor_dequant(kind->type, f->file, (int64_t)n, f->w);
}

static void pack(struct fixture *f, const struct mat_kind *kind)
{
    size_t row = tensor_row_bytes(kind->type, f->k), bytes = kind->panel_bytes(f->k);
    int n_panels = (f->n + 15) / 16;
    f->panels = aligned(bytes * (size_t)n_panels);
    for (int p = 0; p < n_panels; p++) {
        const uint8_t *src[MAT_LANES];
        for (int l = 0; l < MAT_LANES; l++)
            src[l] = p * 16 + l < f->n ? f->file + (size_t)(p * 16 + l) * row : NULL;
        kind->pack(src, f->k, f->panels + (size_t)p * bytes);
    }
}

static struct fixture *fixture_new(const struct kernel_case *c, int m, int n, int k, uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    struct fixture *f = calloc(1, sizeof(*f));
    *f = (struct fixture){.m = m, .n = n, .k = k, .k_pad = (k + 31) / 32 * 32};
    fill_file(f, c->kind, &rng);
    pack(f, c->kind);
    f->x = malloc((size_t)(m * k) * sizeof(float));
    f->x16 = aligned((size_t)(m * f->k_pad) * 2);
    f->bias = malloc((size_t)n * sizeof(float));
    for (int i = 0; i < m * k; i++) {
        f->x[i] = (float)rng_normal(&rng);
        f->x16[i / k * f->k_pad + i % k] = to_bf16(f->x[i]);
    }
    for (int i = 0; i < n; i++)
        f->bias[i] = (float)rng_normal(&rng);
    f->rows = (struct mat_x){.m = m, .k = k, .k_pad = f->k_pad, .f32 = f->x, .ld_f32 = (size_t)k,
                             .bf16 = f->x16};
    return f;
}

static void fixture_free(struct fixture *f)
{
    free(f->file);
    free(f->panels);
    free(f->w);
    free(f->x);
    free(f->x16);
    free(f->bias);
    free(f);
}

/* Rows [row, row + m) of x against panels [panel, panel + n_panels). */
static void multiply(const struct kernel_case *c, const struct fixture *f, int row, int m,
                     int panel, int n_panels, float *y, size_t ldy)
{
    struct mat_x x = f->rows;
    x.m = m;
    x.f32 += (size_t)row * x.ld_f32;
    x.bf16 += (size_t)row * (size_t)x.k_pad;
    int columns = f->n - 16 * panel < 16 * n_panels ? f->n - 16 * panel : 16 * n_panels;
    struct mat_job job = {
        .panels = f->panels + (size_t)panel * c->kind->panel_bytes(f->k),
        .panel_bytes = c->kind->panel_bytes(f->k),
        .n_panels = n_panels, .columns = columns, .x = &x, .bias = f->bias + 16 * panel,
        .y = y + (size_t)row * ldy + 16 * panel, .ldy = ldy,
    };
    mat_float_mul(c->kern, c->type, &job);
}

/* Largest error over sqrt(k): numbers are normal, so that a chain of k float
 * roundings is off by some 1e-7 k / sqrt k. */
static double worst(const struct kernel_case *c, const struct fixture *f, const float *y)
{
    double top = 0;
    for (int i = 0; i < f->m; i++)
        for (int j = 0; j < f->n; j++) {
            double sum = f->bias[j];
            for (int l = 0; l < f->k; l++) {
                float x = f->x[i * f->k + l];
                if (c->type == MAT_FLOAT_DOT)
                    tensor_dequant(TENSOR_BF16, f->x16 + i * f->k_pad + l, 1, &x);
                sum += (double)x * f->w[j * f->k + l];
            }
            top = fmax(top, fabs(sum - y[i * f->n + j]) / sqrt(f->k));
        }
    return top;
}

static void check_shape(const struct kernel_case *c, int m, int n, int k)
{
    struct fixture *f = fixture_new(c, m, n, k, (uint64_t)(m * 1000 + n + k));
    float *y = malloc((size_t)(m * n + 1) * sizeof(float));
    y[m * n] = 77;
    multiply(c, f, 0, m, 0, (n + 15) / 16, y, (size_t)n);
    double off = worst(c, f, y);
    CHECK_MSG(off < 6e-6, "%s type %d, m %d n %d k %d: off by %g", c->kern->name, c->type, m, n, k,
              off);
    CHECK(y[m * n] == 77);
    free(y);
    fixture_free(f);
}

static void check_shapes(const struct kernel_case *c)
{
    for (int m = 1; m <= 27; m++)
        check_shape(c, m, 5 + 13 * (m % 7), 1 + 19 * (m % 5));
    check_shape(c, 1, 172, 512);
    check_shape(c, 3, 64, 172);
    check_shape(c, 5, 80, 333);
    check_shape(c, 40, 33, 259);
    check_shape(c, 14, 48, 777);
    check_shape(c, 530, 17, 520);
}

TEST(mat_float_products_are_the_sums_of_products_of_any_shape)
{
    each_case(check_shapes);
}

/* All rows at once against one row at a time, panels in two parts. */
static void check_bits(const struct kernel_case *c)
{
    static const int shapes[][3] = {{13, 100, 40}, {12, 64, 33}, {37, 90, 701}, {5, 16, 9},
                                    {600, 40, 300}, {25, 20, 4501}};
    for (size_t s = 0; s < sizeof(shapes) / sizeof(*shapes); s++) {
        int m = shapes[s][0], n = shapes[s][1], k = shapes[s][2], panels = (n + 15) / 16;
        struct fixture *f = fixture_new(c, m, n, k, s);
        size_t bytes = (size_t)(m * n) * sizeof(float);
        float *whole = malloc(bytes), *parts = malloc(bytes);
        multiply(c, f, 0, m, 0, panels, whole, (size_t)n);
        for (int row = 0; row < m; row++) {
            multiply(c, f, row, 1, 0, panels / 2, parts, (size_t)n);
            multiply(c, f, row, 1, panels / 2, panels - panels / 2, parts, (size_t)n);
        }
        CHECK_MSG(!memcmp(whole, parts, bytes), "%s type %d, m %d n %d k %d", c->kern->name,
                  c->type, m, n, k);
        for (int row = 0; row < m; row += 3)
            multiply(c, f, row, m - row < 3 ? m - row : 3, 0, panels, parts, (size_t)n);
        CHECK(!memcmp(whole, parts, bytes));
        free(whole);
        free(parts);
        fixture_free(f);
    }
}

TEST(mat_float_row_has_the_same_bits_whatever_is_computed_beside_it)
{
    each_case(check_bits);
}

TEST(mat_float_panels_give_back_the_rows_of_the_file)
{
    for (int i = 0; i < mat_n_kinds_float; i++) {
        struct kernel_case c = {mat_float_kernels(), MAT_FLOAT_F32, &mat_kinds_float[i]};
        int n = 37, k = 21;
        struct fixture *f = fixture_new(&c, 1, n, k, 9);
        float row[21];
        for (int r = 0; r < n; r++) {
            c.kind->row(f->panels + (size_t)(r / 16) * c.kind->panel_bytes(k), r % 16, k, row);
            CHECK(!memcmp(row, f->w + r * k, sizeof(row)));
        }
        fixture_free(f);
    }
}
