/* model/mat_block_body.h - the kernels of quantized weights with vectors of 32 bytes:
 * a step of a panel is two of them. Included once by each file that sets VNNI.
 *
 * VNNI 1   VPDPBUSD adds four products of codes and of x to a sum in 32 bits.
 * VNNI 0   VPMADDUBSW multiplies codes (0..255) with elements of x and adds two
 *          products in 16 bits, saturating. Codes of up to 6 bits cannot reach the
 *          limit: 63 * 127 * 2 = 16002, and sums of several such pairs stay below it
 *          too (4 bits: 8 of them, a whole block); VPMADDWD then widens them. 8-bit
 *          weights are kept signed; |w| meets x with the sign of w: 128 * 127 * 2 =
 *          32512 stays below it. So every sum is exact. */
#include <immintrin.h>
#include <float.h>
#include <string.h>
#include "model/mat_block.h"

#define INLINE static inline __attribute__((always_inline))
#define ROWS 3           /* x 2 vectors: sums of a block and of all are 12 registers of 16 */

/* ---- a block of a panel, unpacked ---- */

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

/* The eight steps of a block, for 8 of the 16 lanes; see pairs_at for 8 bits. */
INLINE void codes_at(const struct mat_layout *l, const uint8_t *p, __m256i w[8])
{
#pragma GCC unroll 8
    for (int t = 0; t < 8; t++) {
        const uint8_t *at = p;
        if (l->planes & 8) {
            w[t] = load(p + 64 * t);
            if (!VNNI)
                w[t] = _mm256_xor_si256(w[t], _mm256_set1_epi8(-128));
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

/* What all blocks of a k-quant's group share: d and -dmin. */
struct head {
    float d[16], dmin[16];
} __attribute__((aligned(64)));

INLINE void take_head(const struct mat_layout *l, const uint8_t *group, struct head *h)
{
    if (l->scales == MAT_HALF)
        return;
#pragma GCC unroll 2
    for (int lane = 0; lane < MAT_LANES; lane += 8) {
        _mm256_store_ps(h->d + lane, halves_at(group + 2 * lane));
        if (l->min)
            _mm256_store_ps(h->dmin + lane, _mm256_xor_ps(_mm256_set1_ps(-0.0f),
                                                          halves_at(group + 32 + 2 * lane)));
    }
}

/* Scale of a half of a block, and what its sum of x is multiplied by, for the lanes
 * from `lane` on. */
INLINE void scale_at(const struct mat_layout *l, const uint8_t *group, const struct head *head,
                     int block, int half, int lane, __m256 *scale, __m256 *min)
{
    const uint8_t *s = group + 2 * lane;
    *min = _mm256_setzero_ps();
    if (l->scales == MAT_HALF) {
        *scale = halves_at(s + 32 * block);
        if (l->min)
            *min = halves_at(s + 32 * (l->blocks + block));
        return;
    }
    const uint8_t *bytes = group + (l->min ? 64 : 32) + lane + 16 * (l->halves * block + half);
    __m256i own = eight_bytes(bytes), other = own;
    if (l->scales == MAT_K8)
        own = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)bytes));
    else if (l->scales == MAT_K6)
        other = eight_bytes(bytes + 128);
    else {
        own = _mm256_and_si256(own, _mm256_set1_epi32(15));
        other = _mm256_srli_epi32(other, 4);
    }
    *scale = _mm256_mul_ps(_mm256_load_ps(head->d + lane), _mm256_cvtepi32_ps(own));
    if (l->min)
        *min = _mm256_mul_ps(_mm256_load_ps(head->dmin + lane), _mm256_cvtepi32_ps(other));
}

/* Block `in` of a group as a part holds it: codes [8][64], scale and min [halves][16]. */
INLINE void unpack_block(const struct mat_layout *l, const uint8_t *group, const struct head *head,
                         int in, uint8_t (*codes)[64], float (*scale)[16], float (*min)[16])
{
#pragma GCC unroll 2
    for (int lane = 0; lane < MAT_LANES; lane += 8) {
        __m256i w[8];
        codes_at(l, mat_codes(l, group, in) + 4 * lane, w);
#pragma GCC unroll 8
        for (int t = 0; t < 8; t++)
            _mm256_store_si256((__m256i *)(codes[t] + 4 * lane), w[t]);
#pragma GCC unroll 2
        for (int h = 0; h < l->halves; h++) {
            __m256 s, m;
            scale_at(l, group, head, in, h, lane, &s, &m);
            _mm256_store_ps(scale[h] + lane, s);
            if (l->min)
                _mm256_store_ps(min[h] + lane, m);
        }
    }
}

INLINE void unpack_kind(const struct mat_layout *l, const uint8_t *group, struct mat_part *part)
{
    for (int b = 0; b < part->blocks; group += mat_group_bytes(l)) {
        struct head head;
        take_head(l, group, &head);
#pragma GCC unroll 2
        for (int i = 0; i < l->blocks; i++, b++)
            unpack_block(l, group, &head, i, part->codes[b], part->scale + b * l->halves,
                         part->min + b * l->halves);
    }
}

/* ---- its products with rows of x ---- */

INLINE __m256i four_at(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, 4);
    return _mm256_set1_epi32(four);
}

#if VNNI
/* Adds to sum[rows][2] the products of a half of a block, or of all of it, with `rows`
 * rows of x, 32 elements apart. */
INLINE void add_dots(const struct mat_layout *l, const uint8_t (*codes)[64], const int8_t *q,
                     int rows, __m256i (*sum)[2])
{
#pragma GCC unroll 8
    for (int t = 0; t < 8 / l->halves; t++) {
        __m256i w[2] = {load(codes[t]), load(codes[t] + 32)};
#pragma GCC unroll 3
        for (int r = 0; r < rows; r++) {
            __m256i x = four_at(q + 32 * r + 4 * t);
            sum[r][0] = _mm256_dpbusd_avx_epi32(sum[r][0], w[0], x);
            sum[r][1] = _mm256_dpbusd_avx_epi32(sum[r][1], w[1], x);
        }
    }
}
#else
/* A sum as it is now: a compiler that adds up all products of a block in a tree of its
 * own runs out of registers (a third of the speed of many rows). */
INLINE __m256i kept(__m256i sum)
{
    __asm__("" : "+x"(sum));
    return sum;
}

/* How many pairs of products a sum in 16 bits may hold; a divisor of the steps. */
INLINE int pairs_of(const struct mat_layout *l)
{
    int most = l->planes & 8 ? 128 : (1 << l->planes) - 1;
    int pairs = 32767 / (2 * 127 * most), steps = 8 / l->halves;
    return pairs >= steps ? steps : pairs >= 4 ? 4 : pairs >= 2 ? 2 : 1;
}

INLINE __m256i pairs_at(const struct mat_layout *l, __m256i w, __m256i x)
{
    return l->planes & 8 ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
                         : _mm256_maddubs_epi16(w, x);
}

/* Adds to sum[rows][2] the products of a half of a block, or of all of it, with `rows`
 * rows of x, 32 elements apart. */
INLINE void add_dots(const struct mat_layout *l, const uint8_t (*codes)[64], const int8_t *q,
                     int rows, __m256i (*sum)[2])
{
    const int steps = 8 / l->halves, pairs = pairs_of(l);
    __m256i small[ROWS][2];
#pragma GCC unroll 8
    for (int t = 0; t < steps; t++) {
        __m256i w[2] = {load(codes[t]), load(codes[t] + 32)};
#pragma GCC unroll 6
        for (int i = 0; i < 2 * rows; i++) {
            int r = i / 2, v = i % 2;
            __m256i two = pairs_at(l, w[v], four_at(q + 32 * r + 4 * t));
            small[r][v] = t % pairs == 0 ? two : kept(_mm256_add_epi16(small[r][v], two));
            if (t % pairs == pairs - 1) {
                two = _mm256_madd_epi16(small[r][v], _mm256_set1_epi16(1));
                sum[r][v] = kept(_mm256_add_epi32(sum[r][v], two));
            }
        }
    }
}
#endif

/* An unpacked block. */
struct block {
    const uint8_t (*codes)[64];
    const float (*scale)[16], (*min)[16];
};

/* Adds a block's products with rows [row, row + rows), a constant, to acc; its units of x
 * begin at `unit`. */
INLINE void add_block(const struct mat_layout *l, struct block b, const struct mat_tile *t,
                      size_t unit, int row, int rows, __m256 (*acc)[2])
{
    const int steps = 8 / l->halves;
    const bool less = !l->min && (VNNI || !(l->planes & 8));
    size_t at = unit + (size_t)row, fix = at + (size_t)(l->halves - 1) * unit;
#pragma GCC unroll 2
    for (int h = 0; h < l->halves; h++, fix += (size_t)t->stride) {
        const int32_t *start = (const int32_t *)t->fix + fix;
        const float *of_min = (const float *)t->fix + fix;
        __m256i sum[ROWS][2];
#pragma GCC unroll 3
        for (int r = 0; r < rows; r++)
            sum[r][0] = sum[r][1] = less ? _mm256_set1_epi32(start[r]) : _mm256_setzero_si256();
        add_dots(l, b.codes + h * steps, t->q + 32 * at + 4 * h * steps, rows, sum);
#pragma GCC unroll 6
        for (int i = 0; i < 2 * rows; i++) {
            int r = i / 2, v = i % 2;
            __m256 scale = _mm256_mul_ps(_mm256_load_ps(b.scale[h] + 8 * v),
                                         _mm256_set1_ps(t->scale[at + (size_t)r]));
            acc[r][v] = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(sum[r][v]), acc[r][v]);
            if (l->min)
                acc[r][v] = _mm256_fmadd_ps(_mm256_load_ps(b.min[h] + 8 * v),
                                            _mm256_set1_ps(of_min[r]), acc[r][v]);
        }
    }
}

/* Ones in the columns from `column` on that y has. */
INLINE __m256i columns_of(const struct mat_tile *t, int column)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(t->columns - column),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* Sums of `rows` rows and of 16 columns from `column` on. */
INLINE void take_sums(const struct mat_tile *t, int row, int rows, int column, __m256 (*acc)[2])
{
#pragma GCC unroll 6
    for (int i = 0; i < 2 * rows; i++) {
        int r = i / 2, v = i % 2, c = column + 8 * v;
        acc[r][v] = t->first ? _mm256_setzero_ps()
                             : _mm256_maskload_ps(t->y + (size_t)(row + r) * t->ldy + c,
                                                  columns_of(t, c));
    }
}

INLINE void put_sums(const struct mat_tile *t, int row, int rows, int column, __m256 (*acc)[2])
{
#pragma GCC unroll 6
    for (int i = 0; i < 2 * rows; i++) {
        int r = i / 2, v = i % 2, c = column + 8 * v;
        _mm256_maskstore_ps(t->y + (size_t)(row + r) * t->ldy + c, columns_of(t, c), acc[r][v]);
    }
}

/* ---- many rows: parts ---- */

INLINE void part_rows(const struct mat_layout *l, const struct mat_part *part,
                      const struct mat_tile *t, int row, int rows, int column)
{
    __m256 acc[ROWS][2];
    size_t unit = 0;
    take_sums(t, row, rows, column, acc);
    for (int b = 0; b < part->blocks; b++, unit += (size_t)t->stride) {
        struct block block = {part->codes[b], part->scale + b * l->halves,
                              part->min + b * l->halves};
        add_block(l, block, t, unit, row, rows, acc);
    }
    put_sums(t, row, rows, column, acc);
}

INLINE void parts_tile(const struct mat_layout *l, const struct mat_part *part,
                       const struct mat_tile *t)
{
    for (int column = 0; column < t->columns; column += MAT_LANES, part++) {
        int row = 0;
        for (; row + ROWS <= t->rows; row += ROWS)
            part_rows(l, part, t, row, ROWS, column);
        if (t->rows - row == 2)
            part_rows(l, part, t, row, 2, column);
        else if (t->rows - row == 1)
            part_rows(l, part, t, row, 1, column);
    }
}

/* ---- few rows: a panel as it lies ---- */

/* Lines of a panel this far ahead are asked for: memory's latency times its rate, and some. */
#define AHEAD 8192
INLINE void ask_ahead(const uint8_t *p, size_t bytes)
{
#pragma GCC unroll 8
    for (size_t i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)p + AHEAD + i, _MM_HINT_T0);
}

/* Each block is unpacked on the stack. (Once for more rows than ROWS is no sooner done:
 * their sums then lie in memory too.) */
INLINE void direct_rows(const struct mat_layout *l, const uint8_t *group, int blocks,
                        const struct mat_tile *t, int row, int rows)
{
    uint8_t codes[8][64] __attribute__((aligned(64)));
    float scale[2][16] __attribute__((aligned(64))), min[2][16] __attribute__((aligned(64)));
    struct head head;
    __m256 acc[ROWS][2];
    size_t unit = 0;
    take_sums(t, row, rows, 0, acc);
    for (int b = 0; b < blocks; b += l->blocks, group += mat_group_bytes(l)) {
        ask_ahead(group, mat_scale_bytes(l));
        take_head(l, group, &head);
#pragma GCC unroll 2
        for (int i = 0; i < l->blocks; i++, unit += (size_t)t->stride) {
            ask_ahead(mat_codes(l, group, i), (size_t)l->planes * 64);
            unpack_block(l, group, &head, i, codes, scale, min);
            add_block(l, (struct block){codes, scale, min}, t, unit, row, rows, acc);
        }
    }
    put_sums(t, row, rows, 0, acc);
}

INLINE void direct_tile(const struct mat_layout *l, const uint8_t *panel, int blocks,
                        const struct mat_tile *t)
{
    int row = 0;
    for (; row + ROWS <= t->rows; row += ROWS)
        direct_rows(l, panel, blocks, t, row, ROWS);
    if (t->rows - row == 2)
        direct_rows(l, panel, blocks, t, row, 2);
    else if (t->rows - row == 1)
        direct_rows(l, panel, blocks, t, row, 1);
}

#include "model/mat_block_each.h"

#define TILE_OF(name, ...)                                                                \
    static void tile_##name(const struct mat_part *parts, const struct mat_tile *t)       \
    {                                                                                     \
        parts_tile(&mat_layouts[MAT_LAYOUT_##name], parts, t);                            \
    }
MAT_BLOCK_KINDS(TILE_OF)

static void tile(const struct mat_layout *l, const struct mat_part *parts, const struct mat_tile *t)
{
    static void (*const of[])(const struct mat_part *, const struct mat_tile *) = {
#define TILE(name, ...) [TENSOR_##name] = tile_##name,
        MAT_BLOCK_KINDS(TILE)};
    of[l->type](parts, t);
}

/* ---- activations ---- */

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
