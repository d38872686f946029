/* model/act_body.h - the bodies of act.h, included once by each act*.c after it
 * set LANES, the floats in a vector. */
#include "model/act_int.h"
#include "model/act_vec.h"

/* exp over the whole range of floats that have one. */
static inline vec bounded_exp_of(vec x)
{
    return exp_of(smaller(x, (vec){0} + 88.0f));
}

static void softmax(float *x, int n)
{
    int whole = n / LANES * LANES;
    size_t rest = (size_t)(n - whole);
    vec top = load_rest(x + whole, rest, -FLT_MAX);
    for (int i = 0; i < whole; i += LANES)
        top = larger(load(x + i), top);
    float max = -FLT_MAX;
    for (int i = 0; i < LANES; i++)
        max = top[i] > max ? top[i] : max;
    vec sum = {0};
    for (int i = 0; i < whole; i += LANES) {
        vec e = exp_of(load(x + i) - max);
        store(x + i, e);
        sum += e;
    }
    if (rest) {
        vec e = exp_of(load_rest(x + whole, rest, -FLT_MAX) - max);
        memcpy(x + whole, &e, rest * sizeof(float));
        sum += e;
    }
    float scale = 1 / sum_of(sum);
    for (int i = 0; i < n; i++)
        x[i] *= scale;
}

/* With z = |x| / sqrt 2: 1 - erf(z) = (a1 t + ... + a5 t^5) exp(-z z), where
 * t = 1 / (1 + p z), to 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26). For x < 0
 * that is 1 + erf itself, so that nothing cancels. */
static inline vec gelu_of(vec x)
{
    vec size = larger(x, -x);
    vec t = 1.0f / (1.0f + size * (0.3275911f * 0.70710678f));
    vec a = t * 1.061405429f - 1.453152027f;
    a = a * t + 1.421413741f;
    a = a * t - 0.284496736f;
    a = a * t + 0.254829592f;
    vec tail = a * t * exp_of(x * x * -0.5f);
    return 0.5f * x * pick(x < 0, tail, 2.0f - tail);
}

static void gelu(float *x, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(x + i, gelu_of(load(x + i)));
    if (i < n) {
        vec v = gelu_of(load_rest(x + i, n - i, 0));
        memcpy(x + i, &v, (n - i) * sizeof(float));
    }
}

static void add_norm(float *x, const float *add, const float *gain, const float *bias, int n,
                     float eps)
{
    int whole = n / LANES * LANES;
    vec sums = {0}, squares = {0};
    for (int i = 0; i < whole; i += LANES) {
        vec v = add ? load(x + i) + load(add + i) : load(x + i);
        store(x + i, v);
        sums += v;
    }
    float sum = sum_of(sums), square = 0;
    for (int i = whole; i < n; i++) {
        x[i] += add ? add[i] : 0;
        sum += x[i];
    }
    float mean = sum / (float)n;
    for (int i = 0; i < whole; i += LANES) {
        vec v = load(x + i) - mean;
        squares += v * v;
    }
    for (int i = whole; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean);
    float scale = 1 / sqrtf((sum_of(squares) + square) / (float)n + eps);
    for (int i = 0; i < n; i++)
        x[i] = (x[i] - mean) * scale * gain[i] + bias[i];
}

/* 0.5 x (1 + tanh(u)) = x * logistic(2 u) (Hendrycks and Gimpel 2016,
 * arXiv:1606.08415, section 2). */
static inline vec gelu_tanh_of(vec x)
{
    vec u = x * (0.79788456f + 0.79788456f * 0.044715f * x * x);
    return x * logistic_of(2.0f * u);
}

static inline vec silu_of(vec x)
{
    return x * logistic_of(x);
}

/* out[i] = f(x[i]), the last few as a whole vector like the others. */
#define EACH(f)                                                                      \
    size_t i = 0;                                                                    \
    for (; i + LANES <= n; i += LANES)                                               \
        store(x + i, f(load(x + i)));                                                \
    if (i < n) {                                                                     \
        vec v_ = f(load_rest(x + i, n - i, 0));                                      \
        memcpy(x + i, &v_, (n - i) * sizeof(float));                                 \
    }

#define EACH_TIMES(f)                                                                \
    size_t i = 0;                                                                    \
    for (; i + LANES <= n; i += LANES)                                               \
        store(x + i, f(load(x + i)) * load(up + i));                                 \
    if (i < n) {                                                                     \
        vec v_ = f(load_rest(x + i, n - i, 0)) * load_rest(up + i, n - i, 0);        \
        memcpy(x + i, &v_, (n - i) * sizeof(float));                                 \
    }

static void exps(float *x, size_t n)
{
    EACH(bounded_exp_of)
}

static void silu_mul(float *x, const float *up, size_t n)
{
    EACH_TIMES(silu_of)
}

static void gelu_tanh_mul(float *x, const float *up, size_t n)
{
    EACH_TIMES(gelu_tanh_of)
}

static void softcap(float *x, size_t n, float cap)
{
#define CAPPED(v) (cap * tanh_of((v) / cap))
    EACH(CAPPED)
#undef CAPPED
}

static void add(float *x, const float *y, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(x + i, load(x + i) + load(y + i));
    for (; i < n; i++)
        x[i] += y[i];
}

static void rms_norm(float *out, const float *x, const float *weight, int n, float eps)
{
    int whole = n / LANES * LANES;
    vec squares = {0};
    for (int i = 0; i < whole; i += LANES)
        squares += load(x + i) * load(x + i);
    if (whole < n) {
        vec v = load_rest(x + whole, (size_t)(n - whole), 0);
        squares += v * v;
    }
    float scale = 1 / sqrtf(sum_of(squares) / (float)n + eps);
    for (int i = 0; i < whole; i += LANES)
        store(out + i, load(x + i) * scale * (weight ? load(weight + i) : (vec){0} + 1.0f));
    for (int i = whole; i < n; i++)
        out[i] = x[i] * scale * (weight ? weight[i] : 1);
}

static void turn(float *a, float *b, float cosine, float sine)
{
    float x = *a, y = *b;
    *a = x * cosine - y * sine;
    *b = x * sine + y * cosine;
}

/* Pairs lie n / 2 apart, or side by side. */
static void rope(float *x, const float *cosine, const float *sine, int n, bool adjacent)
{
    int half = n / 2, i = 0;
    for (; !adjacent && i + LANES <= half; i += LANES) {
        vec a = load(x + i), b = load(x + half + i), c = load(cosine + i), s = load(sine + i);
        store(x + i, a * c - b * s);
        store(x + half + i, a * s + b * c);
    }
    int step = adjacent ? 2 : 1, apart = adjacent ? 1 : half;
    for (; i < half; i++)
        turn(x + step * i, x + step * i + apart, cosine[i], sine[i]);
}

#define KERNELS(name)                                                                \
    const struct act_kernels act_##name = {                                          \
        #name, softmax, gelu, add_norm, exps, silu_mul, gelu_tanh_mul, softcap, add, \
        rms_norm, rope}
