/* model/mat_block_avx2.c - the kernels of quantized weights for AVX2.
 *
 * VPMADDUBSW multiplies codes (0..255) with elements of x and adds two products
 * in 16 bits, saturating. Codes of up to 6 bits cannot reach the limit: 63 * 127
 * * 2 = 16002, and sums of several such pairs stay below it too (4 bits: 8 of
 * them, a whole block). 8-bit weights are kept signed; |w| meets x with the sign
 * of w: 128 * 127 * 2 = 32512 stays below it. So every sum is exact. */
#include <immintrin.h>
#include <float.h>
#include <string.h>
#include "model/mat_block.h"

#define INLINE static inline __attribute__((always_inline))
#define ROWS 6           /* of a tile in registers, 8 lanes wide */

INLINE __m256i load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

INLINE __m256i masked(__m256i v, int mask)
{
    return _mm256_and_si256(v, _mm256_set1_epi8((char)mask));
}

INLINE __m256i shifted(__m256i v, int from, int to)
{
    return from > to   ? _mm256_srli_epi16(v, from - to)
           : from < to ? _mm256_slli_epi16(v, to - from)
                       : v;
}

/* The eight steps of a block, for 8 of the 16 lanes; 8-bit weights signed. */
INLINE void codes_at(const struct mat_layout *l, const uint8_t *p, __m256i w[8])
{
#pragma GCC unroll 8
    for (int t = 0; t < 8; t++) {
        const uint8_t *at = p;
        if (l->planes & 8) {
            w[t] = _mm256_xor_si256(load(p + 64 * t), _mm256_set1_epi8(-128));
            continue;
        }
        w[t] = _mm256_setzero_si256();
        if (l->planes & 4) {
            w[t] = masked(_mm256_srli_epi16(load(at + t % 4 * 64), t / 4 * 4), 15);
            at += 256;
        }
        int to = l->planes & 4 ? 4 : 0;
        if (l->planes & 2) {
            __m256i two = masked(shifted(load(at + t / 4 * 64), t % 4 * 2, to), 3 << to);
            w[t] = _mm256_or_si256(w[t], two);
            at += 128;
        }
        if (l->planes & 1) {
            to = l->planes & 4 ? 4 : 2;
            w[t] = _mm256_or_si256(w[t], masked(shifted(load(at), t, to), 1 << to));
        }
    }
}

INLINE __m256 halves_at(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

INLINE __m256i eight_bytes(const uint8_t *p)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}

/* Scale and minimum of a half of a block for the lanes from `lane` on. */
INLINE void scale_at(const struct mat_layout *l, const uint8_t *scales, int block, int half, int lane,
                     __m256 *scale, __m256 *min)
{
    const uint8_t *s = scales + 2 * lane;
    *min = _mm256_setzero_ps();
    if (l->scales == MAT_HALF) {
        *scale = halves_at(s + 32 * block);
        if (l->min)
            *min = halves_at(s + 32 * (l->blocks + block));
        return;
    }
    const uint8_t *bytes = scales + (l->min ? 64 : 32) + lane + 16 * (l->halves * block + half);
    __m256i own = eight_bytes(bytes), other = own;
    if (l->scales == MAT_K8)
        own = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)bytes));
    else if (l->scales == MAT_K6)
        other = eight_bytes(bytes + 128);
    else {
        own = _mm256_and_si256(own, _mm256_set1_epi32(15));
        other = _mm256_srli_epi32(other, 4);
    }
    *scale = _mm256_mul_ps(halves_at(s), _mm256_cvtepi32_ps(own));
    if (l->min)
        *min = _mm256_xor_ps(_mm256_set1_ps(-0.0f),
                             _mm256_mul_ps(halves_at(s + 32), _mm256_cvtepi32_ps(other)));
}

INLINE void unpack_half(const struct mat_layout *l, const uint8_t *group, int in, int b, int lane,
                        struct mat_part *part)
{
    __m256i w[8];
    codes_at(l, mat_codes(l, group, in) + 4 * lane, w);
#pragma GCC unroll 8
    for (int t = 0; t < 8; t++)
        _mm256_store_si256((__m256i *)(part->codes[b][t] + 4 * lane), w[t]);
    for (int h = 0; h < l->halves; h++) {
        __m256 s, min;
        scale_at(l, group, in, h, lane, &s, &min);
        _mm256_store_ps(part->scale[b * l->halves + h] + lane, s);
        if (l->min)
            _mm256_store_ps(part->min[b * l->halves + h] + lane, min);
    }
}

INLINE void unpack_kind(const struct mat_layout *l, const uint8_t *groups, struct mat_part *part)
{
    for (int b = 0; b < part->blocks; b++) {
        const uint8_t *group = groups + mat_group_bytes(l) * (size_t)(b / l->blocks);
        unpack_half(l, group, b % l->blocks, b, 0, part);
        unpack_half(l, group, b % l->blocks, b, 8, part);
    }
}

INLINE __m256i four_at(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, 4);
    return _mm256_set1_epi32(four);
}

/* How many pairs of products a sum in 16 bits may hold; a divisor of the steps. */
INLINE int pairs_of(const struct mat_layout *l)
{
    int most = l->planes & 8 ? 128 : (1 << l->planes) - 1;
    int pairs = 32767 / (2 * 127 * most), steps = 8 / l->halves;
    return pairs >= steps ? steps : pairs >= 4 ? 4 : pairs >= 2 ? 2 : 1;
}

/* Sums over `steps` steps of codes w and of x for each of `rows` rows. */
INLINE void dots(const struct mat_layout *l, const uint8_t (*codes)[64], const int8_t *q, int rows,
                 __m256i sum[])
{
    const int steps = 8 / l->halves, pairs = pairs_of(l);
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 8
    for (int t = 0; t < steps; t += pairs)
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            __m256i small = _mm256_setzero_si256();
#pragma GCC unroll 8
            for (int p = 0; p < pairs; p++) {
                int i = t + p;
                __m256i w = load(codes[i]), x = four_at(q + 32 * r + 4 * i);
                __m256i two = l->planes & 8
                                  ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
                                  : _mm256_maddubs_epi16(w, x);
                small = p == 0 ? two : _mm256_add_epi16(small, two);
            }
            sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(small, ones));
        }
}

/* One block of each of rows [row, row + rows); the block's units begin at `unit`. */
INLINE void add_block(const struct mat_layout *l, const struct mat_part *part, int b,
                      const struct mat_tile *t, size_t unit, int row, int rows, int lane,
                      __m256 acc[])
{
    const int steps = 8 / l->halves;
#pragma GCC unroll 2
    for (int h = 0; h < l->halves; h++) {
        __m256i sum[ROWS];
        __m256 scale = _mm256_load_ps(part->scale[b * l->halves + h] + lane);
        size_t at = unit + (size_t)row, fix = at + (size_t)(l->halves - 1) * unit;
        fix += (size_t)(h * t->stride);
        bool less = !l->min && !(l->planes & 8);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++)
            sum[r] = less ? _mm256_set1_epi32(((const int32_t *)t->fix)[fix + (size_t)r])
                          : _mm256_setzero_si256();
        dots(l, (const uint8_t (*)[64])(part->codes[b][h * steps] + 4 * lane),
             t->q + 32 * at + 4 * h * steps, rows, sum);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            __m256 both = _mm256_mul_ps(scale, _mm256_set1_ps(t->scale[at + (size_t)r]));
            acc[r] = _mm256_fmadd_ps(both, _mm256_cvtepi32_ps(sum[r]), acc[r]);
            if (l->min)
                acc[r] = _mm256_fmadd_ps(_mm256_load_ps(part->min[b * l->halves + h] + lane),
                                         _mm256_set1_ps(((const float *)t->fix)[fix + (size_t)r]),
                                         acc[r]);
        }
    }
}

/* Ones in the columns from `column` on that y has. */
INLINE __m256i columns_of(const struct mat_tile *t, int column)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(t->columns - column),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* Columns [column, column + 8) of rows [row, row + rows), which is a constant. */
INLINE void part_rows(const struct mat_layout *l, const struct mat_part *part,
                      const struct mat_tile *t, int row, int rows, int column)
{
    __m256 acc[ROWS];
    __m256i mask = columns_of(t, column);
    float *y = t->y + (size_t)row * t->ldy + column;
    int lane = column % MAT_LANES;
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
        acc[r] = t->first ? _mm256_setzero_ps()
                          : _mm256_maskload_ps(y + (size_t)r * t->ldy, mask);
    size_t unit = 0;
    for (int b = 0; b < part->blocks; b++, unit += (size_t)t->stride)
        add_block(l, part, b, t, unit, row, rows, lane, acc);
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
        _mm256_maskstore_ps(y + (size_t)r * t->ldy, mask, acc[r]);
}

#define TAKE(n)                                                      \
    if (t->rows - row >= n) {                                        \
        part_rows(l, parts + column / MAT_LANES, t, row, n, column); \
        row += n;                                                    \
        continue;                                                    \
    }
INLINE void parts_tile(const struct mat_layout *l, const struct mat_part *parts,
                       const struct mat_tile *t)
{
    for (int column = 0; column < t->columns; column += 8)
        for (int row = 0; row < t->rows;) {
            TAKE(6)
            TAKE(4)
            TAKE(3)
            TAKE(2)
            TAKE(1)
        }
}

#define FUNCTIONS(name, ...)                                                             \
    static void unpack_##name(const uint8_t *groups, struct mat_part *part)              \
    {                                                                                    \
        unpack_kind(&mat_layouts[MAT_LAYOUT_##name], groups, part);                      \
    }                                                                                    \
    static void tile_##name(const struct mat_part *parts, const struct mat_tile *t)      \
    {                                                                                    \
        parts_tile(&mat_layouts[MAT_LAYOUT_##name], parts, t);                           \
    }
MAT_BLOCK_KINDS(FUNCTIONS)

static void unpack(const struct mat_layout *l, const uint8_t *groups, struct mat_part *part)
{
    static void (*const of[])(const uint8_t *, struct mat_part *) = {
#define UNPACK(name, ...) [TENSOR_##name] = unpack_##name,
        MAT_BLOCK_KINDS(UNPACK)};
    of[l->type](groups, part);
}

static void tile(const struct mat_layout *l, const struct mat_part *parts, const struct mat_tile *t)
{
    static void (*const of[])(const struct mat_part *, const struct mat_tile *) = {
#define TILE(name, ...) [TENSOR_##name] = tile_##name,
        MAT_BLOCK_KINDS(TILE)};
    of[l->type](parts, t);
}

INLINE __m256i most(__m256i a, __m256 x)
{
    const __m256i abs = _mm256_set1_epi32(0x7fffffff);
    return _mm256_max_epi32(a, _mm256_and_si256(_mm256_castps_si256(x), abs));
}

/* The largest |x| of 32 as a float; a NaN is above all. */
INLINE float largest(const float *x)
{
    __m256i top = _mm256_setzero_si256();
    for (int i = 0; i < 32; i += 8)
        top = most(top, _mm256_loadu_ps(x + i));
    __m128i v = _mm_max_epi32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
    v = _mm_max_epi32(v, _mm_shuffle_epi32(v, 0x4e));
    v = _mm_max_epi32(v, _mm_shuffle_epi32(v, 0xb1));
    int bits = _mm_cvtsi128_si32(v);
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

INLINE __m256i whole_at(const float *x, float inverse)
{
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), _mm256_set1_ps(inverse)));
}

/* 16 elements; their sum. */
INLINE int32_t quantize_half(const float *x, float inverse, int8_t *q)
{
    __m256i v = _mm256_packs_epi32(whole_at(x, inverse), whole_at(x + 8, inverse));
    v = _mm256_permute4x64_epi64(v, 0xd8);
    __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    if (inverse == 0)
        bytes = _mm_setzero_si128();
    _mm_storeu_si128((__m128i *)q, bytes);
    __m128i sums = _mm_sad_epu8(_mm_xor_si128(bytes, _mm_set1_epi8(-128)), _mm_setzero_si128());
    return _mm_cvtsi128_si32(sums) + _mm_extract_epi32(sums, 2) - 16 * 128;
}

static void quantize(const float *x, int k, int stride, int8_t *q, float *scale, int32_t *sum)
{
    for (int b = 0; b < k / 32; b++, x += 32) {
        float top = largest(x);
        float inverse = top >= 0x1p-100f && top <= FLT_MAX ? 127.0f / top : 0;
        *scale = top / 127.0f;
        sum[0] = quantize_half(x, inverse, q);
        sum[stride] = quantize_half(x + 16, inverse, q + 16);
        q += 32 * (size_t)stride;
        scale += stride;
        sum += 2 * (size_t)stride;
    }
}

const struct mat_block_kernels mat_block_avx2 = {"avx2", quantize, unpack, tile, NULL, 0};
