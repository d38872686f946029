/* model/attn_body.h - the softmax of a tile and the rounding of keys and values,
 * included once by each attn_*.c after it set LANES, the floats in a vector. */
#include "model/act_vec.h"
#include "model/attn_int.h"
#include "model/tensor.h"

static inline veci lane_numbers(void)
{
    veci v;
    for (int i = 0; i < LANES; i++)
        v[i] = i;
    return v;
}

/* Lanes c, c + 1, ... that lie in [lo, hi). */
static inline veci seen(const struct attn_step *a, int c)
{
    veci at = lane_numbers() + c;
    return (at >= a->lo) & (at < a->hi);
}

static inline bool all_seen(const struct attn_step *a, int c)
{
    return c >= a->lo && c + LANES <= a->hi;
}

/* Final scores of the lanes from c on; far below all others where it sees nothing. */
ACT_INLINE vec score_at(const struct attn_step *a, int c, bool plain)
{
    vec v = load(a->s + c);
    if (plain)
        return v;
    if (a->k_scale)
        v *= load(a->k_scale + c);
    if (a->softcap > 0)
        v = a->softcap * tanh_of(v / a->softcap);
    return all_seen(a, c) ? v : pick(seen(a, c), v, (vec){0} - FLT_MAX);
}

ACT_INLINE float scores(const struct attn_step *a, int begin, int end, bool plain)
{
    vec top = (vec){0} - FLT_MAX;
    for (int c = begin; c < end; c += LANES) {
        vec v = score_at(a, c, plain);
        if (!plain)
            store(a->s + c, v);
        top = larger(v, top);
    }
    return largest_of(top);
}

ACT_INLINE float weights(const struct attn_step *a, int begin, int end, float max, bool plain)
{
    vec sum = {0};
#pragma GCC unroll 2
    for (int c = begin; c < end; c += LANES) {
        vec e = exp_of(load(a->s + c) - max);
        if (!plain && !all_seen(a, c))
            e = pick(seen(a, c), e, (vec){0});
        sum += e;
        store(a->s + c, !plain && a->v_scale ? e * load(a->v_scale + c) : e);
    }
    return sum_of(sum);
}

static void rescale(const struct attn_step *a, float max)
{
    if (*a->max == max)
        return;
    vec by = exp_of((vec){0} + (*a->max - max));
    for (int i = 0; i < a->n_out; i += LANES)
        store(a->out + i, load(a->out + i) * by);
    *a->sum *= by[0];
    *a->max = max;
}

/* plain, a constant: nothing but scores to take, and it sees all of them. */
ACT_INLINE void step_over(const struct attn_step *a, int begin, int end, bool plain)
{
    float top = scores(a, begin, end, plain);
    rescale(a, top > *a->max ? top : *a->max);
    *a->sum += weights(a, begin, end, *a->max, plain);
}

/* Sums of weights run in lanes by position, so that which of the tile's
 * positions it does not see changes no bit. */
static void step(const struct attn_step *a)
{
    int begin = a->lo / LANES * LANES, end = (a->hi + LANES - 1) / LANES * LANES;
    if (a->lo >= a->hi)
        begin = end = a->from;
    for (int i = a->from; i < begin; i++)
        a->s[i] = 0;
    for (int i = end; i < a->to; i++)
        a->s[i] = 0;
    if (begin == end)
        return;
    if (begin == a->lo && end == a->hi && !a->k_scale && !(a->softcap > 0))
        step_over(a, begin, end, true);
    else
        step_over(a, begin, end, false);
}

static void times(const float *x, int n, float by, float *out)
{
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        store(out + i, load(x + i) * by);
    for (; i < n; i++)
        out[i] = x[i] * by;
}

static void to_f16(const float *x, int n, uint16_t *out)
{
    for (int i = 0; i < n; i += LANES) {
        size_t here = (size_t)(n - i < LANES ? n - i : LANES);
        vec v = here == LANES ? load(x + i) : load_rest(x + i, here, 0);
        v = smaller(larger(v, (vec){0} - 65504.0f), (vec){0} + 65504.0f);
        uint16_t h[LANES];
#if LANES == 16
        _mm256_storeu_si256((__m256i *)h, _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
#elif LANES == 8
        _mm_storeu_si128((__m128i *)h, _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
#else
        for (int j = 0; j < LANES; j++)
            h[j] = tensor_f32_to_f16(v[j]);
#endif
        memcpy(out + i, h, here * sizeof(*h));
    }
}

#define KERNELS(name)                                                                \
    const struct attn_kernels attn_##name = {#name, &mat_float_##name, step, times, to_f16}
