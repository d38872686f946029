#include "base/vec.h"
#include <math.h>
#include "base/cpu.h"
#include "base/rng.h"
#include "base/vec_int.h"
#include "tests/test.h"

enum { MAX = 1100 };

static float a[MAX + 1], b[MAX + 1], y[MAX + 1];

static void fill(uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed);
    for (int i = 0; i <= MAX; i++) {
        a[i] = (float)rng_normal(&r);
        b[i] = (float)rng_normal(&r);
    }
}

/* Every length, and one float off alignment; the bound is n roundings of the
 * sum of magnitudes. */
static void check_kernels(const struct vec_kernels *k)
{
    for (int n = 0; n < MAX; n += n < 140 ? 1 : 37) {
        fill((uint64_t)n);
        double want = 0, size = 0;
        for (int i = 0; i < n; i++) {
            want += (double)a[i + 1] * b[i];
            size += fabs((double)a[i + 1] * b[i]);
        }
        CHECK_NEAR(k->dot(a + 1, b, n), want, size * 6e-8 * (n / 8 + 4));
        memcpy(y, b, sizeof(y));
        k->axpy(y, 0.37f, a + 1, n);
        for (int i = 0; i < n; i++)
            CHECK_NEAR(y[i], (double)b[i] + (double)0.37f * a[i + 1], 1e-6);
        for (int i = n; i <= MAX; i++)
            CHECK(y[i] == b[i]);
    }
}

TEST(vec_plain_kernels_agree_with_sums_of_doubles)
{
    check_kernels(&vec_plain);
}

TEST(vec_avx2_kernels_agree_with_sums_of_doubles)
{
    if (!cpu_get()->avx2)
        SKIP("no AVX2 here");
    check_kernels(&vec_avx2);
}

TEST(vec_avx512_kernels_agree_with_sums_of_doubles)
{
    if (!cpu_get()->avx512)
        SKIP("no AVX-512 here");
    check_kernels(&vec_avx512);
}

TEST(vec_dot_gives_the_same_bits_twice)
{
    fill(5);
    float first = vec_dot(a, b, 384);
    for (int i = 0; i < 100; i++)
        CHECK(vec_dot(a, b, 384) == first);
}

TEST(vec_normalize_makes_unit_length_at_any_scale)
{
    const float scale[] = {1, 1e-30f, 1e30f, 1e-3f};
    for (int s = 0; s < 4; s++) {
        fill(9);
        double square = 0, length = 0;
        for (int i = 0; i < 384; i++) {
            a[i] *= scale[s];
            square += (double)a[i] * a[i];
        }
        CHECK_NEAR(vec_normalize(a, 384) / sqrt(square), 1, 1e-5);
        for (int i = 0; i < 384; i++)
            length += (double)a[i] * a[i];
        CHECK_NEAR(length, 1, 1e-5);
    }
}

TEST(vec_normalize_leaves_zeros)
{
    float zero[5] = {0};
    CHECK_NEAR(vec_normalize(zero, 5), 0, 0);
    for (int i = 0; i < 5; i++)
        CHECK(zero[i] == 0);
}
