/* tests/unit/test_act.c - every kernel against the formula in double. */
#include <math.h>
#include "base/cpu.h"
#include "base/rng.h"
#include "model/act.h"
#include "model/act_int.h"
#include "tests/test.h"

#define N_MAX 70

static void each_kernel(void (*check)(const struct act_kernels *k))
{
    const struct cpu *c = cpu_get();
    check(&act_plain);
    if (c->avx2)
        check(&act_avx2);
    if (c->avx512)
        check(&act_avx512);
}

static void check_softmax(const struct act_kernels *k)
{
    struct rng rng;
    rng_init(&rng, 5);
    for (int n = 1; n <= N_MAX; n++) {
        float x[N_MAX + 1];
        double want[N_MAX], sum = 0, top = -1e30;
        for (int i = 0; i < n; i++) {
            x[i] = (float)(rng_normal(&rng) * 20);
            top = fmax(top, x[i]);
        }
        for (int i = 0; i < n; i++)
            sum += want[i] = exp(x[i] - top);
        x[n] = 77;
        k->softmax(x, n);
        for (int i = 0; i < n; i++)
            CHECK_NEAR(x[i], want[i] / sum, 4e-6 * want[i] / sum + 1e-37);
        CHECK(x[n] == 77);
    }
}

TEST(act_softmax_is_the_softmax)
{
    each_kernel(check_softmax);
    float far[3] = {-3e38f, 0, 3e38f};
    act_softmax(far, 3);
    CHECK(far[0] <= 1e-30f && far[1] <= 1e-30f && far[2] == 1);
}

static void check_gelu(const struct act_kernels *k)
{
    for (int i = -2000; i <= 2000; i++) {
        float x = (float)i * 0.01f;
        double want = 0.5 * x * (1 + erf(x / sqrt(2)));
        k->gelu(&x, 1);
        CHECK_NEAR(x, want, 1e-6);
    }
    for (size_t n = 0; n <= N_MAX; n++) {
        float x[N_MAX + 1];
        for (size_t i = 0; i <= n; i++)
            x[i] = (float)i - 20;
        k->gelu(x, n);
        for (size_t i = 0; i < n; i++)
            CHECK_NEAR(x[i], 0.5 * ((double)i - 20) * (1 + erf(((double)i - 20) / sqrt(2))), 1e-5);
        CHECK(x[n] == (float)n - 20);
    }
}

TEST(act_gelu_is_x_times_the_normal_distribution)
{
    each_kernel(check_gelu);
}

static void check_add_norm(const struct act_kernels *k)
{
    struct rng rng;
    rng_init(&rng, 6);
    for (int n = 1; n <= N_MAX; n++) {
        float x[N_MAX], add[N_MAX], gain[N_MAX], bias[N_MAX];
        double v[N_MAX], mean = 0, var = 0;
        bool with = n % 2;
        for (int i = 0; i < n; i++) {
            x[i] = (float)(rng_normal(&rng) + 3);
            add[i] = (float)rng_normal(&rng);
            gain[i] = (float)rng_normal(&rng);
            bias[i] = (float)rng_normal(&rng);
            v[i] = (double)x[i] + (with ? add[i] : 0);
            mean += v[i] / n;
        }
        for (int i = 0; i < n; i++)
            var += (v[i] - mean) * (v[i] - mean) / n;
        k->add_norm(x, with ? add : NULL, gain, bias, n, 1e-3f);
        for (int i = 0; i < n; i++)
            CHECK_NEAR(x[i], (v[i] - mean) / sqrt(var + 1e-3) * gain[i] + bias[i], 2e-5);
    }
}

TEST(act_add_norm_is_the_layer_norm_of_the_sum)
{
    each_kernel(check_add_norm);
}
