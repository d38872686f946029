/* model/mat_block_vnni.c - the kernels of quantized weights for AVX-512 with
 * VNNI: one vector is a step of a panel, 16 lanes of 4 codes, and VPDPBUSD adds
 * its products with 4 elements of x to 16 sums. */
#include <immintrin.h>
#include <float.h>
#include <string.h>
#include "model/mat_block.h"

#define INLINE static inline __attribute__((always_inline))
#define DIRECT_ROWS 8

INLINE __m512i load(const uint8_t *p)
{
    return _mm512_loadu_si512(p);
}

INLINE __m512 halves_at(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

INLINE __m512 bytes_at(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

/* (a & mask) | b */
INLINE __m512i masked_or(__m512i a, int mask, __m512i b)
{
    return _mm512_ternarylogic_epi32(a, _mm512_set1_epi8((char)mask), b, 0xea);
}

/* Bits of v that stand at `from`, at `to`; other bits are anywhere. */
INLINE __m512i shifted(__m512i v, int from, int to)
{
    return from > to   ? _mm512_srli_epi16(v, (unsigned)(from - to))
           : from < to ? _mm512_slli_epi16(v, (unsigned)(to - from))
                       : v;
}

INLINE __m512i masked(__m512i v, int mask)
{
    return _mm512_and_si512(v, _mm512_set1_epi8((char)mask));
}

/* The eight steps of a block. */
INLINE void codes_at(const struct mat_layout *l, const uint8_t *p, __m512i w[8])
{
    if (l->planes & 8) {
#pragma GCC unroll 8
        for (int t = 0; t < 8; t++)
            w[t] = load(p + 64 * t);
        return;
    }
    if (l->planes & 4) {
#pragma GCC unroll 4
        for (int t = 0; t < 4; t++) {
            __m512i v = load(p + 64 * t);
            w[t] = masked(v, 15);
            w[t + 4] = masked(_mm512_srli_epi16(v, 4), 15);
        }
        p += 256;
    }
    if (l->planes & 2) {
        __m512i two[2] = {load(p), load(p + 64)};
        int to = l->planes & 4 ? 4 : 0;
#pragma GCC unroll 8
        for (int t = 0; t < 8; t++) {
            __m512i v = shifted(two[t / 4], t % 4 * 2, to);
            w[t] = l->planes & 4 ? masked_or(v, 3 << to, w[t]) : masked(v, 3);
        }
        p += 128;
    }
    if (l->planes & 1) {
        __m512i one = load(p);
        int to = l->planes & 4 ? 4 : 2;
#pragma GCC unroll 8
        for (int t = 0; t < 8; t++)
            w[t] = masked_or(shifted(one, t, to), 1 << to, w[t]);
    }
}

/* What all blocks of a group share. */
struct head {
    const uint8_t *scales;   /* behind the F16 of a k-quant */
    __m512 d, dmin;
};

INLINE struct head head_at(const struct mat_layout *l, const uint8_t *group)
{
    const uint8_t *s = group;
    struct head h = {s, _mm512_setzero_ps(), _mm512_setzero_ps()};
    if (l->scales == MAT_HALF)
        return h;
    h.d = halves_at(s);
    if (l->min)
        h.dmin = halves_at(s + 32);
    h.scales = s + (l->min ? 64 : 32);
    return h;
}

/* Scales of a block, and what its sums of x are multiplied by. */
INLINE void scales_at(const struct mat_layout *l, const struct head *h, int b, __m512 s[2],
                      __m512 min[2])
{
    const __m512 minus = _mm512_set1_ps(-0.0f);
    if (l->scales == MAT_HALF) {
        s[0] = halves_at(h->scales + 32 * b);
        if (l->min)
            min[0] = halves_at(h->scales + 32 * (l->blocks + b));
        return;
    }
#pragma GCC unroll 2
    for (int i = 0; i < l->halves; i++) {
        const uint8_t *p = h->scales + 16 * (l->halves * b + i);
        __m128i bytes = _mm_loadu_si128((const __m128i *)p);
        if (l->scales == MAT_K8) {
            s[i] = _mm512_mul_ps(h->d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)));
        } else if (l->scales == MAT_K6) {
            s[i] = _mm512_mul_ps(h->d, bytes_at(p));
            min[i] = _mm512_xor_ps(minus, _mm512_mul_ps(h->dmin, bytes_at(p + 128)));
        } else {
            __m512i both = _mm512_cvtepu8_epi32(bytes);
            __m512i low = _mm512_and_si512(both, _mm512_set1_epi32(15));
            s[i] = _mm512_mul_ps(h->d, _mm512_cvtepi32_ps(low));
            min[i] = _mm512_mul_ps(h->dmin, _mm512_cvtepi32_ps(_mm512_srli_epi32(both, 4)));
            min[i] = _mm512_xor_ps(minus, min[i]);
        }
    }
}

INLINE __m512i four_at(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, 4);
    return _mm512_set1_epi32(four);
}

/* One block of rows [row, row + rows); the block's units begin at block_unit. */
INLINE void add_block(const struct mat_layout *l, const __m512i w[8], const __m512 s[2],
                      const __m512 min[2], const struct mat_tile *t, size_t block_unit, int row,
                      int rows, __m512 acc[])
{
    const int halves = l->halves, steps = 8 / halves;
    const size_t unit = block_unit + (size_t)row;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        size_t at = unit + (size_t)r;
        const int8_t *q = t->q + 32 * at;
        __m512 scale = _mm512_set1_ps(t->scale[at]);
        at += (size_t)(halves - 1) * block_unit;
#pragma GCC unroll 2
        for (int h = 0; h < halves; h++, at += (size_t)t->stride) {
            __m512i sum = l->min ? _mm512_setzero_si512()
                                 : _mm512_set1_epi32(((const int32_t *)t->fix)[at]);
#pragma GCC unroll 8
            for (int i = h * steps; i < (h + 1) * steps; i++)
                sum = _mm512_dpbusd_epi32(sum, w[i], four_at(q + 4 * i));
            acc[r] = _mm512_fmadd_ps(_mm512_mul_ps(s[h], scale), _mm512_cvtepi32_ps(sum), acc[r]);
            if (l->min)
                acc[r] = _mm512_fmadd_ps(min[h], _mm512_set1_ps(((const float *)t->fix)[at]),
                                         acc[r]);
        }
    }
}

/* The columns of y that panel `p` of the tile has. */
INLINE __mmask16 columns_of(const struct mat_tile *t, int p)
{
    int n = t->columns - MAT_LANES * p;
    return n >= MAT_LANES ? 0xffff : n > 0 ? (__mmask16)((1u << n) - 1) : 0;
}

INLINE __m512 sums_at(const struct mat_tile *t, int row, int p)
{
    const float *y = t->y + (size_t)row * t->ldy + MAT_LANES * p;
    return t->first ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(columns_of(t, p), y);
}

INLINE void put_sums(const struct mat_tile *t, int row, int p, __m512 sums)
{
    _mm512_mask_storeu_ps(t->y + (size_t)row * t->ldy + MAT_LANES * p, columns_of(t, p), sums);
}

#define ROWS 6           /* x 2 panels: sums of a block and of all are 24 registers */

/* Half h of block b (the whole block of most kinds) of rows [row, row + rows), a
 * constant. Against add_block: a step of x is read once for two panels. */
INLINE void add_half(const struct mat_layout *l, const struct mat_part *const parts[2], int b, int h,
                     const struct mat_tile *t, int row, int rows, __m512 (*acc)[2])
{
    const int halves = l->halves, steps = 8 / halves, at = b * halves + h;
    size_t unit = (size_t)b * (size_t)t->stride + (size_t)row;
    size_t fix = (size_t)at * (size_t)t->stride + (size_t)row;
    const int8_t *q = t->q + 32 * unit;
    __m512i sum[ROWS][2];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
        sum[r][0] = sum[r][1] = l->min ? _mm512_setzero_si512()
                                       : _mm512_set1_epi32(((const int32_t *)t->fix)[fix + (size_t)r]);
#pragma GCC unroll 8
    for (int i = h * steps; i < (h + 1) * steps; i++) {
        __m512i w[2] = {load(parts[0]->codes[b][i]), load(parts[1]->codes[b][i])};
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            __m512i four = four_at(q + 32 * r + 4 * i);
            sum[r][0] = _mm512_dpbusd_epi32(sum[r][0], w[0], four);
            sum[r][1] = _mm512_dpbusd_epi32(sum[r][1], w[1], four);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < 2 * rows; i++) {
        size_t r = (size_t)(i / 2);
        int p = i % 2;
        __m512 scale = _mm512_mul_ps(_mm512_load_ps(parts[p]->scale[at]),
                                     _mm512_set1_ps(t->scale[unit + r]));
        acc[r][p] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(sum[r][p]), acc[r][p]);
        if (l->min)
            acc[r][p] = _mm512_fmadd_ps(_mm512_load_ps(parts[p]->min[at]),
                                        _mm512_set1_ps(((const float *)t->fix)[fix + r]), acc[r][p]);
    }
}

INLINE void part_rows(const struct mat_layout *l, const struct mat_part *const parts[2],
                      const struct mat_tile *t, int row, int rows)
{
    __m512 acc[ROWS][2];
#pragma GCC unroll 12
    for (int i = 0; i < 2 * rows; i++)
        acc[i / 2][i % 2] = sums_at(t, row + i / 2, i % 2);
    for (int b = 0; b < parts[0]->blocks; b++)
#pragma GCC unroll 2
        for (int h = 0; h < l->halves; h++)
            add_half(l, parts, b, h, t, row, rows, acc);
#pragma GCC unroll 12
    for (int i = 0; i < 2 * rows; i++)
        put_sums(t, row + i / 2, i % 2, acc[i / 2][i % 2]);
}

/* A tile that has one panel meets it twice. */
INLINE void parts_tile(const struct mat_layout *l, const struct mat_part *parts,
                       const struct mat_tile *t)
{
    const struct mat_part *const two[2] = {parts, t->columns > MAT_LANES ? parts + 1 : parts};
    int row = 0;
    for (; row + 6 <= t->rows; row += 6)
        part_rows(l, two, t, row, 6);
    if (row + 3 <= t->rows) {
        part_rows(l, two, t, row, 3);
        row += 3;
    }
    for (; row < t->rows; row++)
        part_rows(l, two, t, row, 1);
}

/* Parts differ only in halves and minima: one kind stands for all of its sort. */
#define SORT(name, kind)                                                                 \
    static void name(const struct mat_part *parts, const struct mat_tile *t)             \
    {                                                                                    \
        parts_tile(&mat_layouts[MAT_LAYOUT_##kind], parts, t);                           \
    }
SORT(tile_whole, Q4_0)
SORT(tile_whole_min, Q4_1)
SORT(tile_halves, Q6_K)
SORT(tile_halves_min, Q2_K)

static void tile(const struct mat_layout *l, const struct mat_part *parts, const struct mat_tile *t)
{
    if (l->halves == 1)
        (l->min ? tile_whole_min : tile_whole)(parts, t);
    else
        (l->min ? tile_halves_min : tile_halves)(parts, t);
}

INLINE void unpack_kind(const struct mat_layout *l, const uint8_t *group, struct mat_part *part)
{
    for (int b = 0; b < part->blocks; group += mat_group_bytes(l)) {
        struct head head = head_at(l, group);
        for (int i = 0; i < l->blocks; i++, b++) {
            __m512i w[8];
            __m512 s[2], min[2];
            codes_at(l, mat_codes(l, group, i), w);
            scales_at(l, &head, i, s, min);
#pragma GCC unroll 8
            for (int t = 0; t < 8; t++)
                _mm512_store_si512(part->codes[b][t], w[t]);
#pragma GCC unroll 2
            for (int h = 0; h < l->halves; h++) {
                _mm512_store_ps(part->scale[b * l->halves + h], s[h]);
                if (l->min)
                    _mm512_store_ps(part->min[b * l->halves + h], min[h]);
            }
        }
    }
}

/* Lines of a panel this far ahead are asked for: memory's latency times its rate, and some. */
#define AHEAD 8192
INLINE void ask_ahead(const uint8_t *p, size_t bytes)
{
#pragma GCC unroll 8
    for (size_t i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)p + AHEAD + i, _MM_HINT_T0);
}

INLINE void direct_rows(const struct mat_layout *l, const uint8_t *group, int blocks,
                        const struct mat_tile *t, int row, int rows)
{
    __m512 acc[DIRECT_ROWS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        acc[r] = _mm512_setzero_ps();
    size_t unit = 0;
    for (int b = 0; b < blocks; b += l->blocks, group += mat_group_bytes(l)) {
        struct head head = head_at(l, group);
        ask_ahead(group, mat_scale_bytes(l));
#pragma GCC unroll 2
        for (int i = 0; i < l->blocks; i++, unit += (size_t)t->stride) {
            __m512i w[8];
            __m512 s[2], min[2];
            ask_ahead(mat_codes(l, group, i), (size_t)l->planes * 64);
            codes_at(l, mat_codes(l, group, i), w);
            scales_at(l, &head, i, s, min);
            add_block(l, w, s, min, t, unit, row, rows, acc);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        put_sums(t, row + r, 0, acc[r]);
}

#define TAKE(n)                                       \
    if (t->rows - row >= n) {                         \
        direct_rows(l, panel, blocks, t, row, n);     \
        row += n;                                     \
        continue;                                     \
    }
INLINE void direct_tile(const struct mat_layout *l, const uint8_t *panel, int blocks,
                        const struct mat_tile *t)
{
    for (int row = 0; row < t->rows;) {
        TAKE(8)
        TAKE(4)
        TAKE(3)
        TAKE(2)
        TAKE(1)
    }
}

#include "model/mat_block_each.h"

/* The largest |x| as a float; a NaN is above all. */
INLINE float largest(__m512 a, __m512 b)
{
    const __m512i abs = _mm512_set1_epi32(0x7fffffff);
    __m512i top = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(a), abs),
                                   _mm512_and_si512(_mm512_castps_si512(b), abs));
    int bits = _mm512_reduce_max_epi32(top);
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

/* 16 elements; their sum. */
INLINE int32_t quantize_half(__m512 x, float inverse, int8_t *q)
{
    __mmask16 any = inverse != 0 ? 0xffff : 0;
    __m512i whole = _mm512_maskz_cvtps_epi32(any, _mm512_mul_ps(x, _mm512_set1_ps(inverse)));
    __m128i bytes = _mm512_cvtepi32_epi8(whole);
    _mm_storeu_si128((__m128i *)q, bytes);
    __m128i sums = _mm_sad_epu8(_mm_xor_si128(bytes, _mm_set1_epi8(-128)), _mm_setzero_si128());
    return _mm_cvtsi128_si32(sums) + _mm_extract_epi32(sums, 2) - 16 * 128;
}

static void quantize(const float *x, int k, int stride, int8_t *q, float *scale, int32_t *sum)
{
    for (int b = 0; b < k / 32; b++, x += 32) {
        __m512 low = _mm512_loadu_ps(x), high = _mm512_loadu_ps(x + 16);
        float top = largest(low, high);
        float inverse = top >= 0x1p-100f && top <= FLT_MAX ? 127.0f / top : 0;
        *scale = top / 127.0f;
        sum[0] = quantize_half(low, inverse, q);
        sum[stride] = quantize_half(high, inverse, q + 16);
        q += 32 * (size_t)stride;
        scale += stride;
        sum += 2 * (size_t)stride;
    }
}

const struct mat_block_kernels mat_block_vnni = {"vnni", quantize, unpack, tile, direct, 64};
