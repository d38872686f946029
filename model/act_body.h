/* model/act_body.h - the bodies of act.h, included once by each act*.c after it
 * set LANES, the floats in a vector. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include "model/act_int.h"

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t veci __attribute__((vector_size(4 * LANES)));

static inline vec load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline void store(float *p, vec v)
{
    memcpy(p, &v, sizeof(v));
}

/* The last n < LANES floats; the other lanes hold `fill`. */
static inline vec load_rest(const float *p, size_t n, float fill)
{
    vec v = fill - (vec){0};
    memcpy(&v, p, n * sizeof(float));
    return v;
}

static inline vec pick(veci mask, vec yes, vec no)
{
    return (vec)((mask & (veci)yes) | (~mask & (veci)no));
}

static inline vec larger(vec a, vec b)
{
    return pick(a > b, a, b);
}

static inline float sum_of(vec v)
{
    float s[LANES];
    memcpy(s, &v, sizeof(v));
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            s[i] += s[i + half];
    return s[0];
}

/* exp(x) for x <= 88: 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2, and
 * the Taylor series of e^r to r^7 (remainder below 6e-9). Below -87 it stays
 * at e^-87, about 1e-38. */
static inline vec exp_of(vec x)
{
    const vec zero = {0};
    const float shift = 0x1.8p23f;         /* adding it rounds to an integer */
    x = larger(x, zero - 87.0f);
    vec n = x * 0x1.715476p0f + shift - shift;
    vec r = x - n * 0x1.62e4p-1f;          /* ln 2 in two parts: the first is exact times n */
    r = r - n * 0x1.7f7d1cp-20f;
    vec p = r * (1.0f / 5040) + (1.0f / 720);
    p = p * r + (1.0f / 120);
    p = p * r + (1.0f / 24);
    p = p * r + (1.0f / 6);
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    veci bits = (__builtin_convertvector(n, veci) + 127) << 23;
    return p * (vec)bits;
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
