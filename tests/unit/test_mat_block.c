/* tests/unit/test_mat_block.c - every set of kernels of quantized weights that this
 * processor can run, against the bits of plain C (whose sums test_mat.c judges). */
#include "model/mat_block.h"
#include "base/cpu.h"
#include "base/rng.h"
#include "model/mat_input.h"
#include "tests/test.h"

enum { N = 41, PANELS = 3, M = 37 };

static int sets_here(const struct mat_block_kernels *sets[3])
{
    const struct cpu *c = cpu_get();
    int n = 0;
    if (c->avx2)
        sets[n++] = &mat_block_avx2;
    if (c->avxvnni)
        sets[n++] = &mat_block_avxvnni;
    if (c->vnni)
        sets[n++] = &mat_block_vnni;
    return n;
}

static size_t panel_bytes(const struct mat_layout *l, int k)
{
    int wide = 32 * l->blocks;
    return (size_t)((k + wide - 1) / wide) * mat_group_bytes(l);
}

/* Panels of one byte, or of any (-1), under scales of sane size. */
static uint8_t *panels_of(const struct mat_layout *l, int k, int byte, uint64_t seed)
{
    size_t bytes = PANELS * panel_bytes(l, k), group = mat_group_bytes(l);
    size_t halves = l->scales == MAT_HALF ? mat_scale_bytes(l) : l->min ? 64 : 32;
    uint8_t *p = aligned_alloc(64, bytes + 64);
    struct rng rng;
    CHECK(p);
    rng_init(&rng, seed);
    for (size_t i = 0; i < bytes; i++)
        p[i] = byte >= 0 ? (uint8_t)byte : (uint8_t)rng_next(&rng);
    for (size_t g = 0; g < bytes; g += group)
        for (size_t i = 0; i < halves; i += 2) {
            uint16_t h = tensor_f32_to_f16((float)(rng_unit(&rng) - 0.3) * 0.02f);
            memcpy(p + g + i, &h, 2);
        }
    return p;
}

struct product {
    const struct mat_layout *l;
    const uint8_t *panels;
    struct mat_input *in;
    int k;
    const float *x;     /* [M][k] */
};

static void multiply(const struct product *p, const struct mat_block_kernels *kern, int m,
                     int columns, float *y)
{
    mat_input_set(p->in, m, p->k, p->x, (size_t)p->k);
    mat_input_need(p->in, NULL, MAT_I8, p->l->fix);
    struct mat_job job = {.panels = p->panels,
                          .panel_bytes = panel_bytes(p->l, p->k),
                          .n_panels = (columns + MAT_LANES - 1) / MAT_LANES,
                          .columns = columns,
                          .x = mat_input_x(p->in),
                          .y = y,
                          .ldy = N + 1};
    mat_block_mul(kern, p->l, &job);
}

/* All sets: outputs of m rows and `columns` columns, and none beside them. */
static void check_product(const struct product *p, int m, int columns)
{
    static float want[M * (N + 1)], got[M * (N + 1)];
    const struct mat_block_kernels *sets[3];
    memset(want, 0xff, sizeof(want));
    multiply(p, &mat_block_plain, m, columns, want);
    for (int i = sets_here(sets) - 1; i >= 0; i--) {
        memset(got, 0xff, sizeof(got));
        multiply(p, sets[i], m, columns, got);
        for (int at = 0; at < M * (N + 1); at++)
            CHECK_MSG(memcmp(got + at, want + at, 4) == 0,
                      "%s, %s: row %d of %d, column %d of %d is %.9g, in plain C %.9g",
                      tensor_type_name(p->l->type), sets[i]->name, at / (N + 1), m, at % (N + 1),
                      columns, (double)got[at], (double)want[at]);
    }
}

static void check_layout(const struct mat_layout *l, int k, int byte, const float *x)
{
    struct product p = {l, panels_of(l, k, byte, (uint64_t)k), NULL, k, x};
    struct err err;
    CHECK_OK(mat_input_new(M, k, &p.in, &err), &err);
    for (int m = 1; m <= M; m += m < 17 ? 1 : 5)
        check_product(&p, m, N);
    for (int columns = 1; columns < N; columns += 6)
        check_product(&p, columns % 5 + 1, columns);
    mat_input_free(p.in);
    free((void *)p.panels);
}

TEST(mat_block_kernels_give_the_bits_of_plain_c)
{
    static float x[M * 2304];
    struct rng rng;
    rng_init(&rng, 3);
    for (int i = 0; i < M * 2304; i++)
        x[i] = (float)rng_normal(&rng);
    for (int i = 0; i < MAT_LAYOUTS; i++) {
        const struct mat_layout *l = &mat_layouts[i];
        check_layout(l, 256, -1, x);
        check_layout(l, 2304, -1, x);      /* more blocks than a part has */
        if (l->blocks == 2)
            check_layout(l, 96, -1, x);
    }
}

/* Where sums in 16 bits would overflow, and where a sign would be lost. */
TEST(mat_block_kernels_give_the_bits_of_plain_c_at_the_ends_of_their_ranges)
{
    static float x[M * 256];
    static const int bytes[] = {0x00, 0x01, 0x7f, 0x80, 0x81, 0xff};
    for (int i = 0; i < M * 256; i++)
        x[i] = i / 256 % 3 == 2 ? (i & 1 ? 1.0f : -1.0f) : i / 256 % 3 ? 1.0f : -1.0f;
    for (int i = 0; i < MAT_LAYOUTS; i++)
        for (size_t b = 0; b < sizeof(bytes) / sizeof(*bytes); b++)
            check_layout(&mat_layouts[i], 256, bytes[b], x);
}

TEST(mat_block_kernels_are_the_best_that_the_processor_runs)
{
    static const char *const names[] = {"plain", "avx2", "avx2 vnni"};
    const struct mat_block_kernels *const sets[] = {&mat_block_plain, &mat_block_avx2,
                                                    &mat_block_avxvnni};
    const struct cpu *c = cpu_get();
    CHECK((mat_block_kernels() == &mat_block_vnni) == c->vnni);
    for (int level = CPU_AVXVNNI; level >= CPU_PLAIN; level--) {
        cpu_limit((enum cpu_level)level);
        int best = c->avxvnni ? CPU_AVXVNNI : c->avx2 ? CPU_AVX2 : CPU_PLAIN;
        CHECK(best <= level && mat_block_kernels() == sets[best]);
        CHECK_STR(str_of(mat_kernels()), names[best]);
    }
}

TEST(mat_block_kernels_round_activations_as_plain_c_does)
{
    enum { K = 128, STRIDE = 3 };
    const struct mat_block_kernels *sets[3];
    struct rng rng;
    rng_init(&rng, 5);
    for (int round = 0; round < 2000; round++) {
        float x[K], scale[2][STRIDE * K / 32];
        int8_t q[2][STRIDE * K];
        int32_t sum[2][STRIDE * K / 16];
        for (int i = 0; i < K; i++)
            x[i] = (float)rng_normal(&rng) * (round % 3 ? 1.0f : 1e30f);
        x[round % K] = round % 7 ? x[round % K] : 0x1p-130f;
        memset(q, 0, sizeof(q));
        memset(scale, 0, sizeof(scale));
        memset(sum, 0, sizeof(sum));
        mat_block_plain.quantize(x, K, STRIDE, q[0], scale[0], sum[0]);
        for (int i = sets_here(sets) - 1; i >= 0; i--) {
            sets[i]->quantize(x, K, STRIDE, q[1], scale[1], sum[1]);
            CHECK(memcmp(q[0], q[1], sizeof(q[0])) == 0);
            CHECK(memcmp(scale[0], scale[1], sizeof(scale[0])) == 0);
            CHECK(memcmp(sum[0], sum[1], sizeof(sum[0])) == 0);
        }
    }
}
