/* model/act_vec.h - vectors of LANES floats (4, 8 or 16, set before the
 * inclusion) and the exponential, for the bodies of act.h and attn.h. */
#include <float.h>
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define ACT_INLINE static inline __attribute__((always_inline, unused))
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t veci __attribute__((vector_size(4 * LANES)));

ACT_INLINE vec load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof(v));
    return v;
}

ACT_INLINE void store(float *p, vec v)
{
    memcpy(p, &v, sizeof(v));
}

/* The last n < LANES floats; the other lanes hold `fill`. */
ACT_INLINE vec load_rest(const float *p, size_t n, float fill)
{
    vec v = fill - (vec){0};
    memcpy(&v, p, n * sizeof(float));
    return v;
}

ACT_INLINE vec pick(veci mask, vec yes, vec no)
{
    return (vec)((mask & (veci)yes) | (~mask & (veci)no));
}

/* Where neither is larger (also where one is no number): b. */
ACT_INLINE vec larger(vec a, vec b)
{
#if LANES == 16
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif LANES == 8
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return (vec)_mm_max_ps((__m128)a, (__m128)b);
#endif
}

ACT_INLINE vec smaller(vec a, vec b)
{
    return -larger(-a, -b);
}

/* v with each lane's neighbour `half` lanes up, a constant, in its place. */
#if LANES == 16
#define UP(v, half)                                                                            \
    __builtin_shufflevector(v, v, (half), (half) + 1, (half) + 2, (half) + 3, (half) + 4,      \
                            (half) + 5, (half) + 6, (half) + 7, (half) + 8, (half) + 9,        \
                            (half) + 10, (half) + 11, (half) + 12, (half) + 13, (half) + 14,   \
                            (half) + 15)
#elif LANES == 8
#define UP(v, half)                                                                            \
    __builtin_shufflevector(v, v, (half), (half) + 1, (half) + 2, (half) + 3, (half) + 4,      \
                            (half) + 5, (half) + 6, (half) + 7)
#else
#define UP(v, half) \
    __builtin_shufflevector(v, v, (half), (half) + 1, (half) + 2, (half) + 3)
#endif

ACT_INLINE float largest_of(vec v)
{
#if LANES == 16
    v = larger(UP(v, 8), v);
#endif
#if LANES >= 8
    v = larger(UP(v, 4), v);
#endif
    v = larger(UP(v, 2), v);
    return larger(UP(v, 1), v)[0];
}

/* Halves are added to each other until one lane is left. */
ACT_INLINE float sum_of(vec v)
{
#if LANES == 16
    v += UP(v, 8);
#endif
#if LANES >= 8
    v += UP(v, 4);
#endif
    v += UP(v, 2);
    return v[0] + v[1];
}

/* exp(x) for x <= 88: 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2, and
 * the Taylor series of e^r to r^7 (remainder below 6e-9). Below -87 it stays
 * at e^-87, about 1e-38. */
ACT_INLINE vec exp_of(vec x)
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

/* 1 / (1 + e^-x). */
ACT_INLINE vec logistic_of(vec x)
{
    return 1.0f / (1.0f + exp_of(smaller(-x, (vec){0} + 88.0f)));
}

/* By the logistic curve: absolute error below 3e-7. */
ACT_INLINE vec tanh_of(vec x)
{
    return 2.0f * logistic_of(2.0f * x) - 1.0f;
}
