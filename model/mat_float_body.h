/* model/mat_float_body.h - the body of the float tiles, included once by each
 * mat_float_*.c after it set LANES, the floats in a vector (4, 8 or 16), and
 * TILE_ROWS, the rows of its whole tile. */
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

/* Fetch what every panel's lines from `at` on will be some lines later: the processor's own
 * prefetching is too short where pairs are taken apart (31 of 41 GB/s read without, 38 with). */
INLINE void fetch_ahead(const struct mat_float_tile *t, size_t at, int lines, int panels)
{
    size_t ahead = panels > 2 ? 2048 : 4096;
#pragma GCC unroll 4
    for (int c = 0; c < panels; c++)
#pragma GCC unroll 2
        for (int line = 0; line < lines; line++)
            __builtin_prefetch(t->w[c] + at + ahead + 64 * (size_t)line);
}

INLINE void step_of(struct sums *s, const struct mat_float_tile *t, size_t at, struct rows_of_x *x,
                    size_t ldx, int rows, int panels)
{
    vec w[MAT_FLOAT_PANELS * PARTS];
#pragma GCC unroll 16
    for (int c = 0; c < panels * PARTS; c++)
        w[c] = load((const float *)(const void *)(t->w[c / PARTS] + at) + LANES * (c % PARTS));
    multiply_add(s, w, x, ldx, rows, panels);
}

/* Floats through four panels at once are better left to the processor's own prefetching
 * (41 against 31 GB/s). */
INLINE void tile_of(const struct mat_float_tile *t, int rows, int panels)
{
    struct sums s;
    sums_begin(&s, t, rows, panels);
    struct rows_of_x x = rows_begin(t, rows);
    size_t at = 0, ldx = t->ldx, step = t->step;
    int i = 0;
    for (; i + 1 < t->k; i += 2, at += 2 * step) {
        if (panels <= 2)
            fetch_ahead(t, at, 2, panels);
        step_of(&s, t, at, &x, ldx, rows, panels);
        step_of(&s, t, at + step, &x, ldx, rows, panels);
    }
    if (i < t->k)
        step_of(&s, t, at, &x, ldx, rows, panels);
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
        fetch_ahead(t, at, 1, panels);
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
#define CASE_F32(r, p) case r: tile_of(t, r, p); break;
#define CASE_PAIR(r, p) case r: pair_tile_of(t, r, p); break;
OF_TYPE(tile_f32, CASE_F32)
OF_TYPE(tile_pair, CASE_PAIR)

#define PANELS_OF(r, p) [r] = p,
#define KERNELS(name, dot)                                                           \
    static void tile(enum mat_float_type type, const struct mat_float_tile *t)       \
    {                                                                                \
        static void (*const of[])(const struct mat_float_tile *) = {                 \
            tile_f32, tile_pair, dot};                            \
        of[type](t);                                                                 \
    }                                                                                \
    const struct mat_float_kernels mat_float_##name = {                              \
        #name, TILE_ROWS, {EACH_SHAPE(PANELS_OF)}, tile}
