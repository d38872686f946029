/* model/gemm_tile.h - the body of a tile kernel, included once by each
 * gemm_tile*.c after it set
 *   LANES  floats in a vector   ROWS  rows of a tile
 * A tile is two vectors wide; its 2 * ROWS sums live in registers. */
#include <string.h>
#include "model/gemm_int.h"

#define WIDTH (2 * LANES)
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float vec_any __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* `rows` is a constant wherever this is inlined, so the loops over it unroll
 * and the sums stay in registers. */
static inline __attribute__((always_inline)) void tile_of(const struct gemm_tile *t, int rows)
{
    vec sum[ROWS][2];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        const float *from = t->first ? t->bias : t->y + (size_t)r * t->ldy;
        sum[r][0] = sum[r][1] = (vec){0};
        if (from) {
            sum[r][0] = *(const vec_any *)from;
            sum[r][1] = *(const vec_any *)(from + LANES);
        }
    }
    const float *x = t->x;
    const vec *w = (const vec *)t->w;
    for (int i = 0; i < t->k; i++, x++, w += 2) {
        vec w0 = w[0], w1 = w[1];
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            float a = x[(size_t)r * t->ldx];
            sum[r][0] += a * w0;
            sum[r][1] += a * w1;
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        *(vec_any *)(t->y + (size_t)r * t->ldy) = sum[r][0];
        *(vec_any *)(t->y + (size_t)r * t->ldy + LANES) = sum[r][1];
    }
}

static void tile(const struct gemm_tile *t)
{
    switch (t->rows) {
#define CASE(n)         \
    case n:             \
        tile_of(t, n);  \
        break;
    CASE(1) CASE(2) CASE(3) CASE(4)
#if ROWS > 4
    CASE(5) CASE(6)
#endif
#if ROWS > 6
    CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#endif
#undef CASE
    }
}
