/* model/mat_fixed_body.h - the body of the 16-bit tiles, included once by each
 * mat_fixed_*.c after it set LANES, the sums in a vector (4, 8 or 16). */
#include <float.h>
#include <math.h>
#include <string.h>
#if LANES > 4
#include <immintrin.h>
#endif
#include "model/mat_fixed.h"

#define PARTS (MAT_LANES / LANES)      /* vectors of a panel */
#define INLINE static inline __attribute__((always_inline))
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float vec_any __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
typedef int32_t ints_any __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#if LANES == 16
INLINE ints add_dots(ints sum, ints w, ints x)
{
    return (ints)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)w, (__m512i)x);
}

INLINE vec fused(vec a, vec b, vec c)
{
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}

INLINE ints nearest(vec x)
{
    return (ints)_mm512_cvtps_epi32((__m512)x);
}

INLINE void put_shorts(int16_t *to, ints v)
{
    _mm256_storeu_si256((__m256i *)to, _mm512_cvtepi32_epi16((__m512i)v));
}
#elif LANES == 8
/* The compiler must not gather products of several steps to add them in another order: there
 * are no registers for them (60 GMAC/s against 105). */
INLINE ints add_dots(ints sum, ints w, ints x)
{
    sum += (ints)_mm256_madd_epi16((__m256i)w, (__m256i)x);
    __asm__("" : "+x"(sum));
    return sum;
}

INLINE vec fused(vec a, vec b, vec c)
{
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}

INLINE ints nearest(vec x)
{
    return (ints)_mm256_cvtps_epi32((__m256)x);
}

INLINE void put_shorts(int16_t *to, ints v)
{
    __m256i both = _mm256_packs_epi32((__m256i)v, (__m256i)v);
    _mm_storeu_si128((__m128i *)to, _mm256_castsi256_si128(_mm256_permute4x64_epi64(both, 0x08)));
}
#else
/* Pairs of 16 bits, the second in the upper half. */
INLINE ints add_dots(ints sum, ints w, ints x)
{
    typedef uint32_t bits __attribute__((vector_size(4 * LANES)));
    return sum + (((ints)((bits)w << 16) >> 16) * ((ints)((bits)x << 16) >> 16)) +
           (w >> 16) * (x >> 16);
}

INLINE vec fused(vec a, vec b, vec c)
{
    for (int i = 0; i < LANES; i++)
        c[i] = fmaf(a[i], b[i], c[i]);
    return c;
}

/* Ties to even, for |x| < 2^22. */
INLINE ints nearest(vec x)
{
    return (ints)(x + 0x1.8p23f) - 0x4b400000;
}

INLINE void put_shorts(int16_t *to, ints v)
{
    for (int i = 0; i < LANES; i++)
        to[i] = (int16_t)v[i];
}
#endif

/* ---- quantizing ---- */

#define STEPS (MAT_FIXED_BLOCK / LANES)
#define TOP   32767.0f
#define ROUGH 4095.0f    /* sum of 64 squares below 2^31 */
/* 2^15.5 = 46340.9, less what ROUGH's rounding (4/4095 of a length of 4095 or more) and the
 * last (64 times half a unit: a length of 4) may add. */
#define LENGTH 46280.0f

INLINE float bits_to_float(int32_t bits)
{
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

/* The largest |x|; a NaN is above all. */
INLINE float largest(const float *x)
{
    ints top = {0};
#pragma GCC unroll 16
    for (int i = 0; i < STEPS; i++) {
        ints v = *(const ints_any *)(const void *)(x + LANES * i) & 0x7fffffff;
        ints more = v > top;
        top = (v & more) | (top & ~more);
    }
    int32_t most = 0;
    for (int i = 0; i < LANES; i++)
        most = top[i] > most ? top[i] : most;
    return bits_to_float(most);
}

INLINE ints wholes(const float *x, int i, float inverse)
{
    return nearest(*(const vec_any *)(x + LANES * i) * inverse);
}

/* The scale under which a block whose largest is `top` has the length LENGTH at most. In
 * whole numbers, so that it is the same in any order of summing. */
INLINE float scale_of(const float *x, float top)
{
    ints sum = {0};
    int32_t square = 0;
    uint32_t bits;
#pragma GCC unroll 16
    for (int i = 0; i < STEPS; i++) {
        ints v = wholes(x, i, ROUGH / top);
        sum += v * v;
    }
    for (int i = 0; i < LANES; i++)
        square += sum[i];
    float most = LENGTH * (ROUGH / sqrtf((float)square)), scale = top / (most < TOP ? most : TOP);
    memcpy(&bits, &scale, 4);
    return bits_to_float((int32_t)((bits + 0xffff) & 0xffff0000u));
}

static void quantize(const float *x, int k, int stride, int16_t *q, float *scale)
{
    for (int b = 0; b < k / MAT_FIXED_BLOCK; b++, x += MAT_FIXED_BLOCK) {
        float top = largest(x);
        if (top >= 0x1p-100f && top <= FLT_MAX) {
            *scale = scale_of(x, top);
#pragma GCC unroll 16
            for (int i = 0; i < STEPS; i++)
                put_shorts(q + LANES * i, wholes(x, i, 1 / *scale));
        } else {
            *scale = top;
            memset(q, 0, MAT_FIXED_BLOCK * sizeof(*q));
        }
        q += MAT_FIXED_BLOCK * (size_t)stride;
        scale += stride;
    }
}

/* ---- products ---- */

/* The sums of a tile, in registers once the loops over constants unroll. */
struct sums { vec v[MAT_TILE][MAT_FIXED_PANELS * PARTS]; };
/* Where rows are few, the dots of a block are several chains, to hide an instruction's
 * latency. */
#define CHAINS 4
struct dots { ints v[CHAINS][MAT_TILE][MAT_FIXED_PANELS * PARTS]; };

/* Lines of a panel this far ahead are asked for where memory is the limit. */
#define AHEAD 8192

/* BF16 scales as floats. */
INLINE vec scales_at(const uint8_t *p)
{
    typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
    typedef uint32_t bits __attribute__((vector_size(4 * LANES)));
    halves h;
    memcpy(&h, p, sizeof(h));
    return (vec)(__builtin_convertvector(h, bits) << 16);
}

INLINE int32_t pair_at(const int16_t *q)
{
    int32_t pair;
    memcpy(&pair, q, 4);
    return pair;
}

/* Step i, a pair of k, of a block whose codes are at `codes` and x's at q. */
INLINE void add_step(struct dots *d, const uint8_t *const *codes, const int16_t *q, int i, int rows,
                     int panels, int chains)
{
    ints w[MAT_FIXED_PANELS * PARTS];
#pragma GCC unroll 8
    for (int c = 0; c < panels * PARTS; c++)
        w[c] = *(const ints_any *)(const void *)(codes[c / PARTS] + 64 * i +
                                                 4 * LANES * (c % PARTS));
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
        ints x = (ints){0} + pair_at(q + MAT_FIXED_BLOCK * r + 2 * i);
#pragma GCC unroll 8
        for (int c = 0; c < panels * PARTS; c++)
            d->v[i % chains][r][c] = add_dots(d->v[i % chains][r][c], w[c], x);
    }
}

/* s += the dots of block b, whose first unit of x is `unit`. */
INLINE void end_block(struct sums *s, const struct dots *d, const struct mat_fixed_tile *t, int b,
                      size_t unit, int rows, int panels, int chains)
{
#pragma GCC unroll 8
    for (int c = 0; c < panels * PARTS; c++) {
        const uint8_t *scales = mat_fixed_scales(t->panels[c / PARTS], b);
        vec scale = scales_at(scales + 2 * LANES * (c % PARTS));
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            ints dot = d->v[0][r][c];
#pragma GCC unroll 4
            for (int a = 1; a < chains; a++)
                dot += d->v[a][r][c];
            s->v[r][c] = fused(scale * t->scale[unit + (size_t)r],
                               __builtin_convertvector(dot, vec), s->v[r][c]);
        }
    }
}

INLINE void add_block(struct sums *s, const struct mat_fixed_tile *t, int b, int rows, int panels,
                      int chains)
{
    const int sums = rows * panels * PARTS, row = panels * PARTS;
    const uint8_t *codes[MAT_FIXED_PANELS];
    struct dots d;
    size_t unit = (size_t)b * (size_t)t->stride;
    const int16_t *q = t->q + MAT_FIXED_BLOCK * unit;
#pragma GCC unroll 2
    for (int p = 0; p < panels; p++)
        codes[p] = mat_fixed_codes(t->panels[p], b);
#pragma GCC unroll 48
    for (int i = 0; i < chains * sums; i++)
        d.v[i / sums][i / row % rows][i % row] = (ints){0};
    for (int i = 0; i < MAT_FIXED_BLOCK / 2; i += 8, q += 16) {
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
            if (panels == 1)
                __builtin_prefetch(codes[0] + 64 * j + AHEAD);
            add_step(&d, codes, q, j, rows, panels, chains);
        }
#pragma GCC unroll 2
        for (int p = 0; p < panels; p++)
            codes[p] += 8 * 64;
    }
    end_block(s, &d, t, b, unit, rows, panels, chains);
}

INLINE void tile_of(const struct mat_fixed_tile *t, int rows, int panels)
{
    const int sums = rows * panels * PARTS, chains = sums <= 2 ? 4 : sums <= 4 ? 2 : 1;
    struct sums s;
#pragma GCC unroll 24
    for (int i = 0; i < sums; i++) {
        int r = i / (panels * PARTS), c = i % (panels * PARTS);
        s.v[r][c] = (vec){0};
        if (!t->first)
            s.v[r][c] = *(const vec_any *)(t->y + (size_t)r * t->ldy + LANES * c);
    }
    for (int b = t->block; b < t->end; b++)
        add_block(&s, t, b, rows, panels, chains);
#pragma GCC unroll 24
    for (int i = 0; i < sums; i++) {
        int r = i / (panels * PARTS), c = i % (panels * PARTS);
        *(vec_any *)(t->y + (size_t)r * t->ldy + LANES * c) = s.v[r][c];
    }
}

/* Rows and panels of the shapes that keep their sums in registers. */
#if LANES == 16
#define MOST_ROWS(panels) (12 / (panels))
#define EACH_SHAPE(CASE)                                                              \
    CASE(1, 1) CASE(2, 1) CASE(3, 1) CASE(4, 1) CASE(5, 1) CASE(6, 1) CASE(7, 1)      \
    CASE(8, 1) CASE(9, 1) CASE(10, 1) CASE(11, 1) CASE(12, 1)                         \
    CASE(1, 2) CASE(2, 2) CASE(3, 2) CASE(4, 2) CASE(5, 2) CASE(6, 2)
#elif LANES == 8
#define MOST_ROWS(panels) (4 / (panels))
#define EACH_SHAPE(CASE) CASE(1, 1) CASE(2, 1) CASE(3, 1) CASE(4, 1) CASE(1, 2) CASE(2, 2)
#else
#define MOST_ROWS(panels) 1
#define EACH_SHAPE(CASE) CASE(1, 1) CASE(1, 2)
#endif

static void shape(const struct mat_fixed_tile *t, int panels)
{
    switch (t->rows * 4 + panels) {
#define CASE_OF(r, p) case (r) * 4 + (p): tile_of(t, r, p); break;
        EACH_SHAPE(CASE_OF)
    }
}

/* Rows in equal shares: none too few to hide an instruction's latency. */
static void whole_tile(const struct mat_fixed_tile *t, int panels)
{
    int n = (t->rows + MOST_ROWS(panels) - 1) / MOST_ROWS(panels);
    for (int i = 0; i < n; i++) {
        int row = t->rows * i / n;
        struct mat_fixed_tile part = *t;
        part.rows = t->rows * (i + 1) / n - row;
        part.q += MAT_FIXED_BLOCK * row;
        part.scale += row;
        part.y += (size_t)row * t->ldy;
        shape(&part, panels);
    }
}

/* Where columns are missing: through a buffer of whole width. */
static void tile(const struct mat_fixed_tile *t, int panels)
{
    enum { WIDE = MAT_LANES * MAT_FIXED_PANELS };
    float y[MAT_TILE * WIDE] = {0};
    size_t keep = (size_t)t->columns * sizeof(float);
    if (t->columns == MAT_LANES * panels) {
        whole_tile(t, panels);
        return;
    }
    struct mat_fixed_tile whole = *t;
    whole.y = y;
    whole.ldy = WIDE;
    for (int r = 0; r < t->rows && !t->first; r++)
        memcpy(y + r * WIDE, t->y + (size_t)r * t->ldy, keep);
    whole_tile(&whole, panels);
    for (int r = 0; r < t->rows; r++)
        memcpy(t->y + (size_t)r * t->ldy, y + r * WIDE, keep);
}

#define KERNELS(name) const struct mat_fixed_kernels mat_fixed_##name = {#name, quantize, tile}
