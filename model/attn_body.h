/* model/attn_body.h - the softmax of a tile and the rounding of keys and values,
 * included once by each attn_*.c after it set LANES, the floats in a vector. */
#include "model/act_vec.h"
#include "model/attn_int.h"
#include "model/tensor.h"
#include "model/attn_tile.h"

static inline veci lane_numbers(void)
{
    veci v;
    for (int i = 0; i < LANES; i++)
        v[i] = i;
    return v;
}

/* One query of a step, and the positions in the tile that it sees. */
struct query {
    const struct attn_step *a;
    float *s, *base, *sums, *out;
    int lo, hi;
};

/* Lanes c, c + 1, ... that lie in [lo, hi). */
static inline veci seen(const struct query *q, int c)
{
    veci at = lane_numbers() + c;
    return (at >= q->lo) & (at < q->hi);
}

static inline bool all_seen(const struct query *q, int c)
{
    return c >= q->lo && c + LANES <= q->hi;
}

static inline bool any_above(vec v, float limit)
{
    veci above = v > limit;
#if LANES == 16
    return _mm512_movepi32_mask((__m512i)above) != 0;
#elif LANES == 8
    return _mm256_movemask_ps((__m256)above) != 0;
#else
    return _mm_movemask_ps((__m128)above) != 0;
#endif
}

/* Final scores of the lanes from c on; far below all others where it sees nothing. */
ACT_INLINE vec score_at(const struct query *q, int c, bool whole)
{
    vec v = load(q->s + c);
    if (q->a->k_scale)
        v *= load(q->a->k_scale + c);
    if (q->a->softcap > 0)
        v = q->a->softcap * tanh_of(v / q->a->softcap);
    return whole || all_seen(q, c) ? v : pick(seen(q, c), v, (vec){0} - FLT_MAX);
}

/* A vector that holds the largest scores. Constants: whole, it sees all positions; bare,
 * there is nothing to make of the scores. */
ACT_INLINE vec tops(const struct query *q, int begin, int end, bool whole, bool bare)
{
    vec top = (vec){0} - FLT_MAX;
#pragma GCC unroll 8
    for (int c = begin; c < end; c += LANES) {
        vec v = whole && bare ? load(q->s + c) : score_at(q, c, whole);
        if (!whole || !bare)
            store(q->s + c, v);
        top = larger(v, top);
    }
    return top;
}

/* e^x for x <= ATTN_ABOVE: 2^n 2^r with n = round(x / ln 2), |r| <= 1/2, and of 2^r the
 * polynomial whose largest relative error is the least (9e-8; 1 where r is 0). Adding
 * `shift` rounds to an integer, which then lies in the lowest bits. Below -87 it
 * stays at e^-87, about 1e-38. */
ACT_INLINE vec weight_of(vec x)
{
    const vec zero = {0}, shift = zero + 0x1.8p23f;
    x = larger(x, zero - 87.0f);
    vec n = x * 0x1.715476p0f + shift;
    vec r = x * 0x1.715476p0f - (n - shift);
    vec p = r * 0x1.5bba14p-10f + 0x1.3cea88p-7f;
    p = p * r + 0x1.c6b752p-5f;
    p = p * r + 0x1.ebf9bcp-3f;
    p = p * r + 0x1.62e42ap-1f;
    p = p * r + 1.0f;
    return (vec)((veci)p + ((veci)n << 23));
}

static void raise_base(const struct query *q, float base)
{
    vec by = weight_of((vec){0} + (*q->base - base));
    for (int i = 0; i < q->a->ld_out && q->out; i += LANES)
        store(q->out + i, load(q->out + i) * by);
    for (int i = 0; i < 16; i += LANES)
        store(q->sums + i, load(q->sums + i) * by);
    *q->base = base;
}

/* Sums run in lanes by position, so that which of the tile's positions it does not
 * see changes no bit. */
ACT_INLINE void weights(const struct query *q, int begin, int end, bool whole, bool bare)
{
    const float *v_scale = q->a->v_scale;
    float base = *q->base;
    vec sums[16 / LANES];
    for (int i = 0; i < 16 / LANES; i++)
        sums[i] = load(q->sums + i * LANES);
#pragma GCC unroll 8
    for (int c = begin; c < end; c += 16)
        for (int i = 0; i < 16 / LANES; i++) {
            int at = c + i * LANES;
            vec e = weight_of(load(q->s + at) - base);
            if (!whole && !all_seen(q, at))
                e = pick(seen(q, at), e, (vec){0});
            sums[i] += e;
            store(q->s + at, !bare && v_scale ? e * load(v_scale + at) : e);
        }
    for (int i = 0; i < 16 / LANES; i++)
        store(q->sums + i * LANES, sums[i]);
}

ACT_INLINE void step_over(const struct query *q, int begin, int end, bool whole, bool bare)
{
    vec top = tops(q, begin, end, whole, bare);
    if (any_above(top, *q->base + ATTN_ABOVE))
        raise_base(q, largest_of(top));
    weights(q, begin, end, whole, bare);
}

__attribute__((noinline)) static void step_part(const struct query *q)
{
    int from = q->a->from, to = q->a->to, begin = q->lo / 16 * 16, end = (q->hi + 15) / 16 * 16;
    if (q->lo >= q->hi)
        begin = end = from;
    for (int i = from; i < begin; i++)
        q->s[i] = 0;
    for (int i = end; i < to; i++)
        q->s[i] = 0;
    if (begin < end)
        step_over(q, begin, end, false, false);
}

ACT_INLINE void step_query(const struct query *q, bool bare)
{
    if (q->lo > 0 || q->hi < ATTN_TILE)
        step_part(q);
    else
        step_over(q, 0, ATTN_TILE, true, bare);
}

ACT_INLINE void step_rows(const struct attn_step *a, bool bare)
{
    struct query q = {.a = a, .s = a->s, .base = a->base, .sums = a->sums, .out = a->out};
    for (int row = 0; row < a->rows; row++) {
        int hi = a->row_pos + row + 1 - a->tile, lo = a->window > 0 ? hi - a->window : 0;
        q.lo = lo > 0 ? lo : 0;
        q.hi = hi < ATTN_TILE ? hi : ATTN_TILE;
        for (int head = 0; head < a->group; head++) {
            step_query(&q, bare);
            q.s += ATTN_TILE;
            q.base++;
            q.sums += 16;
            q.out += a->out ? a->ld_out : 0;
        }
    }
}

static void step(const struct attn_step *a)
{
    if (a->k_scale || a->softcap > 0)
        step_rows(a, false);
    else
        step_rows(a, true);
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

#define KERNELS(name)                                                                    \
    const struct attn_kernels attn_##name = {                                            \
        #name, WHOLE_ROWS, {EACH_SHAPE(PANELS_OF)}, {tile_f32, tile_f16, tile_q8},       \
        widen, step, times, to_f16}
