/* tests/unit/test_gemm.c - products against sums in double, and the promise that
 * a row's bits are its own. */
#include <math.h>
#include "base/cpu.h"
#include "base/rng.h"
#include "model/gemm.h"
#include "model/gemm_int.h"
#include "tests/test.h"

static float *normals(struct rng *rng, size_t n)
{
    float *x = malloc((n ? n : 1) * sizeof(*x));
    for (size_t i = 0; i < n; i++)
        x[i] = (float)rng_normal(rng);
    return x;
}

static float *packed(int n, int k, const float *w)
{
    size_t bytes = gemm_packed_floats(n, k) * sizeof(float);
    float *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    memset(p, 0, bytes);
    for (int r = 0; r < n; r++)
        gemm_pack_row(r, n, k, w + (size_t)r * (size_t)k, p);
    return p;
}

/* Largest |y - (x w^T + bias)| over the square root of k: numbers are normal,
 * so a float sum in order is off by some 1e-7 k / sqrt k. */
static double worst(int m, int n, int k, const float *x, const float *w, const float *bias,
                    const float *y)
{
    double top = 0;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = bias ? bias[j] : 0;
            for (int l = 0; l < k; l++)
                sum += (double)x[i * k + l] * w[j * k + l];
            top = fmax(top, fabs(sum - y[i * n + j]) / sqrt(k));
        }
    return top;
}

TEST(gemm_multiplies_in_all_four_orientations)
{
    struct err err = {0};
    struct rng rng;
    rng_init(&rng, 1);
    CHECK_OK(gemm_init(&err), &err);
    CHECK(gemm_kernel()[0]);
    enum { M = 13, N = 9, K = 21 };
    float *x = normals(&rng, M * K), *w = normals(&rng, N * K), xt[M * K], wt[N * K], y[M * N];
    for (int i = 0; i < M; i++)
        for (int l = 0; l < K; l++)
            xt[l * M + i] = x[i * K + l];
    for (int j = 0; j < N; j++)
        for (int l = 0; l < K; l++)
            wt[l * N + j] = w[j * K + l];
    for (int form = 0; form < 4; form++) {
        bool ta = form & 1, tb = form & 2;
        for (int i = 0; i < M * N; i++)
            y[i] = 1;
        gemm(ta, tb, M, N, K, 2, ta ? xt : x, ta ? M : K, tb ? w : wt, tb ? K : N, -1, y, N);
        for (int i = 0; i < M * N; i++)
            y[i] = (y[i] + 1) / 2;
        CHECK_NEAR(worst(M, N, K, x, w, NULL, y), 0, 1e-6);
    }
    free(x);
    free(w);
}

TEST(gemm_rows_are_sums_of_products_whatever_the_shape)
{
    struct rng rng;
    rng_init(&rng, 2);
    for (int round = 0; round < 60; round++) {
        int m = 1 + (int)rng_below(&rng, 40), n = 1 + (int)rng_below(&rng, 200);
        int k = 1 + (int)rng_below(&rng, round % 4 ? 100 : 900);
        float *x = normals(&rng, (size_t)(m * k)), *w = normals(&rng, (size_t)(n * k));
        float *bias = normals(&rng, (size_t)n), *y = normals(&rng, (size_t)(m * n));
        float *p = packed(n, k, w);
        gemm_rows(NULL, m, n, k, x, p, round % 3 ? bias : NULL, y);
        CHECK_NEAR(worst(m, n, k, x, w, round % 3 ? bias : NULL, y), 0, 5e-6);
        free(x);
        free(w);
        free(bias);
        free(y);
        free(p);
    }
}

TEST(gemm_rows_give_a_row_the_same_bits_in_any_company)
{
    struct err err = {0};
    struct rng rng;
    struct team *team;
    rng_init(&rng, 3);
    CHECK_OK(team_new(3, &team, &err), &err);
    for (int round = 0; round < (test_slow() ? 300 : 40); round++) {
        int m = 1 + (int)rng_below(&rng, 250), n = 1 + (int)rng_below(&rng, 400);
        int k = 1 + (int)rng_below(&rng, round % 4 ? 200 : 1600);
        float *x = normals(&rng, (size_t)(m * k)), *w = normals(&rng, (size_t)(n * k));
        float *bias = normals(&rng, (size_t)n), *y = normals(&rng, (size_t)(m * n));
        float *again = normals(&rng, (size_t)(m * n)), *p = packed(n, k, w);
        gemm_rows(team, m, n, k, x, p, bias, y);
        for (int part = 0; part < 6; part++) {
            int few = 1 + (int)rng_below(&rng, (uint64_t)m);
            int from = (int)rng_below(&rng, (uint64_t)(m - few + 1));
            gemm_rows(part % 2 ? team : NULL, few, n, k, x + from * k, p, bias, again);
            CHECK_MSG(memcmp(again, y + from * n, (size_t)(few * n) * sizeof(float)) == 0,
                      "round %d: rows %d..%d of %d differ (n %d, k %d)", round, from, from + few,
                      m, n, k);
        }
        free(x);
        free(w);
        free(bias);
        free(y);
        free(again);
        free(p);
    }
    team_free(team);
}

TEST(gemm_tile_kernels_agree_with_the_plain_one)
{
    const struct cpu *c = cpu_get();
    const struct gemm_kernels *all[] = {&gemm_plain, c->avx2 ? &gemm_avx2 : NULL,
                                        c->avx512 ? &gemm_avx512 : NULL};
    struct rng rng;
    rng_init(&rng, 4);
    for (int i = 0; i < 3; i++) {
        if (!all[i])
            continue;
        enum { K = 57 };
        float w[K * 32] __attribute__((aligned(64))), y[12 * 40];
        float *x = normals(&rng, 12 * K), *bias = normals(&rng, 32);
        for (int j = 0; j < K * 32; j++)
            w[j] = (float)rng_normal(&rng);
        for (int rows = 1; rows <= all[i]->rows; rows++) {
            for (int from = 0; from < K; from += 30)      /* in two parts */
                all[i]->tile(&(struct gemm_tile){
                    .x = x + from, .w = w + from * all[i]->width, .bias = bias, .y = y, .ldx = K,
                    .ldy = 40, .rows = rows, .k = K - from < 30 ? K - from : 30,
                    .first = from == 0});
            for (int r = 0; r < rows; r++)
                for (int j = 0; j < all[i]->width; j++) {
                    double sum = bias[j];
                    for (int l = 0; l < K; l++)
                        sum += (double)x[r * K + l] * w[l * all[i]->width + j];
                    CHECK_NEAR(y[r * 40 + j], sum, 1e-5);
                }
        }
        free(x);
        free(bias);
    }
}
