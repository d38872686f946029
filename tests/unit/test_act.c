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

static void check_exp(const struct act_kernels *k)
{
    for (int i = -86990; i <= 88000; i += 7) {
        float x = (float)i * 1e-3f, y = x;
        k->exps(&y, 1);
        double want = exp((double)x), ulp = ldexp(1, ilogb(want) - 23);
        CHECK_NEAR(y, want, 2 * ulp);
    }
    float ends[3] = {-INFINITY, 3e38f, 0};
    k->exps(ends, 3);
    CHECK(ends[0] >= 0 && ends[0] < 2e-38f && ends[1] > 1e38f && ends[2] == 1);
}

TEST(act_exp_is_right_to_two_units_in_the_last_place)
{
    each_kernel(check_exp);
}

static void check_gates(const struct act_kernels *k)
{
    for (size_t n = 1; n <= N_MAX; n++) {
        float silu[N_MAX + 1], gelu[N_MAX + 1], cap[N_MAX + 1], sum[N_MAX + 1], up[N_MAX + 1];
        for (size_t i = 0; i <= n; i++) {
            silu[i] = gelu[i] = cap[i] = sum[i] = ((float)i - 35) * 0.37f;
            up[i] = (float)i * 0.1f - 2;
        }
        k->silu_mul(silu, up, n);
        k->gelu_tanh_mul(gelu, up, n);
        k->softcap(cap, n, 5);
        k->add(sum, up, n);
        for (size_t i = 0; i < n; i++) {
            double x = ((float)i - 35) * 0.37f, u = sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
            CHECK_NEAR(silu[i], x / (1 + exp(-x)) * up[i], 1e-5);
            CHECK_NEAR(gelu[i], 0.5 * x * (1 + tanh(u)) * up[i], 1e-5);
            CHECK_NEAR(cap[i], 5 * tanh(x / 5), 3e-6);
            CHECK_NEAR(sum[i], x + up[i], 1e-5);
        }
        float past = ((float)n - 35) * 0.37f;
        CHECK(silu[n] == past && gelu[n] == past && cap[n] == past && sum[n] == past);
    }
    float far[4] = {-1000, 1000, -1e30f, 1e30f}, one[4] = {1, 1, 1, 1};
    k->silu_mul(far, one, 4);
    CHECK_NEAR(far[0], 0, 1e-20);
    CHECK(far[1] == 1000 && far[3] == 1e30f && isfinite(far[2]));
}

TEST(act_gates_and_caps_are_their_formulas)
{
    each_kernel(check_gates);
}

static void check_rms_norm(const struct act_kernels *k)
{
    struct rng rng;
    rng_init(&rng, 8);
    for (int n = 1; n <= N_MAX; n++) {
        float x[N_MAX], weight[N_MAX], out[N_MAX + 1];
        double mean = 0;
        for (int i = 0; i < n; i++) {
            x[i] = (float)(rng_normal(&rng) * 3);
            weight[i] = (float)rng_normal(&rng);
            mean += (double)x[i] * x[i] / n;
        }
        out[n] = 77;
        k->rms_norm(out, x, n % 2 ? weight : NULL, n, 1e-3f);
        for (int i = 0; i < n; i++)
            CHECK_NEAR(out[i], x[i] / sqrt(mean + 1e-3) * (n % 2 ? weight[i] : 1), 1e-5);
        CHECK(out[n] == 77);
    }
}

TEST(act_rms_norm_divides_by_the_root_of_the_mean_square)
{
    each_kernel(check_rms_norm);
}

static void check_rope(const struct act_kernels *k)
{
    for (int n = 2; n <= 40; n += 2)
        for (int adjacent = 0; adjacent < 2; adjacent++) {
            float x[41], was[41], cosine[20], sine[20];
            for (int i = 0; i <= n; i++)
                x[i] = was[i] = (float)(i * i % 17) - 8;
            for (int i = 0; i < n / 2; i++) {
                cosine[i] = (float)cos(i * 0.3 + 1);
                sine[i] = (float)sin(i * 0.3 + 1);
            }
            k->rope(x, cosine, sine, n, adjacent);
            for (int i = 0; i < n / 2; i++) {
                int a = adjacent ? 2 * i : i, b = adjacent ? 2 * i + 1 : i + n / 2;
                double angle = i * 0.3 + 1;
                CHECK_NEAR(x[a], was[a] * cos(angle) - was[b] * sin(angle), 1e-5);
                CHECK_NEAR(x[b], was[a] * sin(angle) + was[b] * cos(angle), 1e-5);
            }
            CHECK(x[n] == was[n]);
        }
}

TEST(act_rope_turns_pairs_by_their_angles)
{
    each_kernel(check_rope);
}
