/* model/mat_float_body.h - the body of the float tiles, included once by each
 * mat_float_*.c after it set LANES, the floats in a vector (4, 8 or 16), and
 * TILE_ROWS, the rows of its whole tile. */
#include <string.h>
#if LANES > 4
#include <immintrin.h>
#endif
#include "model/mat_float_int.h"

#define PARTS (16 / LANES)      /* vectors of a panel */
#define INLINE static inline __attribute__((always_inline))
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float vec_any __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t bits __attribute__((vector_size(4 * LANES)));
typedef uint32_t bits_any __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE vec load(const float *p)
{
    return *(const vec_any *)p;
}

#if LANES == 16
INLINE vec from_f16(const uint8_t *p)
{
    return (vec)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

INLINE vec from_i8(const uint8_t *p)
{
    return (vec)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
#elif LANES == 8
INLINE vec from_f16(const uint8_t *p)
{
    return (vec)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

INLINE vec from_i8(const uint8_t *p)
{
    return (vec)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
#else
/* The exponent's bias by a multiplication, which also makes subnormals right;
 * infinities and NaNs get the full exponent instead. */
INLINE vec from_f16(const uint8_t *p)
{
    uint16_t h[LANES];
    memcpy(h, p, sizeof(h));
    bits b = {h[0], h[1], h[2], h[3]};
    bits sign = (b & 0x8000) << 16, rest = (b & 0x7fff) << 13;
    bits special = (bits)(rest >= (0x7c00u << 13));
    bits value = (bits)((vec)rest * 0x1p112f);
    return (vec)(sign | (special & (rest | 0x7f800000)) | (~special & value));
}

INLINE vec from_i8(const uint8_t *p)
{
    int8_t q[LANES];
    memcpy(q, p, sizeof(q));
    return (vec){q[0], q[1], q[2], q[3]};
}
#endif

/* Part v of a step's 16 weights. */
INLINE vec weights(enum mat_float_type type, const uint8_t *w, int v)
{
    switch (type) {
    case MAT_FLOAT_F16:
        return from_f16(w + 2 * LANES * v);
    case MAT_FLOAT_I8:
        return from_i8(w + LANES * v);
    default:
        return load((const float *)(const void *)(w + 4 * LANES * v));
    }
}

/* Of a pair of steps the first or the second. */
INLINE vec of_pair(const uint8_t *w, int v, int second)
{
    bits b = *(const bits_any *)(w + 4 * LANES * v);
    return (vec)(second ? b & 0xffff0000u : b << 16);
}

/* The sums of a tile, in registers once the loops over constants unroll. */
struct sums { vec v[MAT_FLOAT_ROWS][MAT_FLOAT_PANELS * PARTS]; };

INLINE void sums_begin(struct sums *s, const struct mat_float_tile *t, int rows, int panels)
{
    const float *y = t->y;
    size_t ldy = t->ldy;
    bool first = t->first;
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++, y += ldy) {
#pragma GCC unroll 16
        for (int c = 0; c < panels * PARTS; c++)
            s->v[r][c] = first ? (vec){0} : load(y + LANES * c);
    }
}

INLINE void add_bias(struct sums *s, const float *bias, int rows, int panels)
{
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 16
        for (int c = 0; c < panels * PARTS; c++)
            s->v[r][c] += load(bias + LANES * c);
    }
}

INLINE void sums_end(struct sums *s, const struct mat_float_tile *t, int rows, int panels)
{
    float *y = t->y;
    size_t ldy = t->ldy;
    if (t->bias)
        add_bias(s, t->bias, rows, panels);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++, y += ldy) {
#pragma GCC unroll 16
        for (int c = 0; c < panels * PARTS; c++)
            *(vec_any *)(y + LANES * c) = s->v[r][c];
    }
}

/* Rows of x through one pointer for every three: x[ldx] and x[2 ldx] are
 * addresses an instruction can make, so that no offsets compete for registers.
 * The compiler must not find out that the pointers are related. */
struct rows_of_x { const float *at[(MAT_FLOAT_ROWS + 2) / 3]; };

INLINE struct rows_of_x rows_begin(const struct mat_float_tile *t, int rows)
{
    struct rows_of_x x;
#pragma GCC unroll 4
    for (int r = 0; r < rows; r += 3) {
        x.at[r / 3] = t->x + (size_t)r * t->ldx;
        __asm__("" : "+r"(x.at[r / 3]));
    }
    return x;
}

INLINE void rows_step(struct rows_of_x *x, int rows)
{
#pragma GCC unroll 4
    for (int r = 0; r < rows; r += 3)
        x->at[r / 3]++;
}

/* s += x w for one step. */
INLINE void multiply_add(struct sums *s, const vec *w, struct rows_of_x *x, size_t ldx, int rows,
                         int panels)
{
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        float a = x->at[r / 3][(size_t)(r % 3) * ldx];
#pragma GCC unroll 16
        for (int c = 0; c < panels * PARTS; c++)
            s->v[r][c] += a * w[c];
    }
    rows_step(x, rows);
}

/* Bytes of a step's 16 weights. */
INLINE int bytes_of(enum mat_float_type type)
{
    return type == MAT_FLOAT_I8 ? 16 : type == MAT_FLOAT_F16 ? 32 : 64;
}

/* Fetch what every panel's two steps from `at` on will be some lines later: the
 * processor's own prefetching is too short for conversions (31 of 41 GB/s read
 * without, 38 with; 12 rows of F16 72 against 110 GMAC/s), but floats through
 * four panels at once are better left to it (41 against 31 GB/s). */
INLINE void fetch_ahead(enum mat_float_type type, const struct mat_float_tile *t, size_t at,
                        int panels)
{
    size_t ahead = panels > 2 ? 2048 : 4096;
    if (panels > 2 && type == MAT_FLOAT_F32)
        return;
#pragma GCC unroll 4
    for (int c = 0; c < panels; c++)
#pragma GCC unroll 2
        for (int line = 0; line < 2 * bytes_of(type); line += 64)
            __builtin_prefetch(t->w[c] + at + ahead + (size_t)line);
}

INLINE void step_of(enum mat_float_type type, struct sums *s, const struct mat_float_tile *t,
                    size_t at, struct rows_of_x *x, size_t ldx, int rows, int panels)
{
    vec w[MAT_FLOAT_PANELS * PARTS];
#pragma GCC unroll 16
    for (int c = 0; c < panels * PARTS; c++)
        w[c] = weights(type, t->w[c / PARTS] + at, c % PARTS);
    multiply_add(s, w, x, ldx, rows, panels);
}

INLINE void tile_of(enum mat_float_type type, const struct mat_float_tile *t, int rows, int panels)
{
    struct sums s;
    sums_begin(&s, t, rows, panels);
    struct rows_of_x x = rows_begin(t, rows);
    size_t at = 0, ldx = t->ldx, step = t->step;
    int i = 0;
    for (; i + 1 < t->k; i += 2, at += 2 * step) {
        fetch_ahead(type, t, at, panels);
        step_of(type, &s, t, at, &x, ldx, rows, panels);
        step_of(type, &s, t, at + step, &x, ldx, rows, panels);
    }
    if (i < t->k)
        step_of(type, &s, t, at, &x, ldx, rows, panels);
    sums_end(&s, t, rows, panels);
}

/* x against the first (second: 1) steps of a pair. */
INLINE void half_pair(struct sums *s, const struct mat_float_tile *t, size_t at,
                      struct rows_of_x *x, int second, int rows, int panels)
{
    vec w[MAT_FLOAT_PANELS * PARTS];
#pragma GCC unroll 16
    for (int c = 0; c < panels * PARTS; c++)
        w[c] = of_pair(t->w[c / PARTS] + at, c % PARTS, second);
    multiply_add(s, w, x, t->ldx, rows, panels);
}

INLINE void pair_tile_of(const struct mat_float_tile *t, int rows, int panels)
{
    struct sums s;
    sums_begin(&s, t, rows, panels);
    struct rows_of_x x = rows_begin(t, rows);
    size_t at = 0;
    for (int i = 0; i < t->k / 2; i++, at += t->step) {
        fetch_ahead(MAT_FLOAT_F16, t, at, panels);
        half_pair(&s, t, at, &x, 0, rows, panels);
        half_pair(&s, t, at, &x, 1, rows, panels);
    }
    if (t->k % 2)
        half_pair(&s, t, at, &x, 0, rows, panels);
    sums_end(&s, t, rows, panels);
}

/* Rows and panels of every shape: as many sums as there are registers for, and
 * enough of them to hide the latency of an addition where rows are few. Shapes
 * of at least half the whole tile's rows are equally wide: many rows are cut
 * into such. */
#if LANES == 16
#define EACH_SHAPE(CASE)                                                             \
    CASE(1, 4) CASE(2, 4) CASE(3, 4) CASE(4, 4) CASE(5, 4) CASE(6, 2) CASE(7, 2)     \
    CASE(8, 2) CASE(9, 2) CASE(10, 2) CASE(11, 2) CASE(12, 2)
#elif LANES == 8
#define EACH_SHAPE(CASE) CASE(1, 4) CASE(2, 2) CASE(3, 1) CASE(4, 1) CASE(5, 1) CASE(6, 1)
#else
#define EACH_SHAPE(CASE) CASE(1, 2) CASE(2, 1) CASE(3, 1)
#endif

#define OF_TYPE(name, call)                                                          \
    static void name(const struct mat_float_tile *t)                                 \
    {                                                                                \
        switch (t->rows) {                                                           \
            EACH_SHAPE(call)                                                         \
        }                                                                            \
    }
#define CASE_F32(r, p) case r: tile_of(MAT_FLOAT_F32, t, r, p); break;
#define CASE_F16(r, p) case r: tile_of(MAT_FLOAT_F16, t, r, p); break;
#define CASE_I8(r, p)  case r: tile_of(MAT_FLOAT_I8, t, r, p); break;
#define CASE_PAIR(r, p) case r: pair_tile_of(t, r, p); break;
OF_TYPE(tile_f32, CASE_F32)
OF_TYPE(tile_f16, CASE_F16)
OF_TYPE(tile_i8, CASE_I8)
OF_TYPE(tile_pair, CASE_PAIR)

static void widen(enum mat_float_type type, const uint8_t *w, size_t step, int k, float *to)
{
    for (int i = 0; i < k; i++, to += 16) {
        for (int v = 0; v < PARTS; v++) {
            vec f;
            if (type == MAT_FLOAT_BF16)
                f = of_pair(w + (size_t)(i / 2) * step, v, i & 1);
            else if (type == MAT_FLOAT_F16)
                f = weights(MAT_FLOAT_F16, w + (size_t)i * step, v);
            else if (type == MAT_FLOAT_I8)
                f = weights(MAT_FLOAT_I8, w + (size_t)i * step, v);
            else
                f = weights(MAT_FLOAT_F32, w + (size_t)i * step, v);
            *(vec_any *)(to + LANES * v) = f;
        }
    }
}

#define PANELS_OF(r, p) [r] = p,
#define KERNELS(name, dot)                                                           \
    static void tile(enum mat_float_type type, const struct mat_float_tile *t)       \
    {                                                                                \
        static void (*const of[])(const struct mat_float_tile *) = {                 \
            tile_f32, tile_f16, tile_i8, tile_pair, dot};                            \
        of[type](t);                                                                 \
    }                                                                                \
    const struct mat_float_kernels mat_float_##name = {                              \
        #name, TILE_ROWS, {EACH_SHAPE(PANELS_OF)}, tile, widen}
