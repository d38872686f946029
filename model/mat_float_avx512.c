/* model/mat_float_avx512.c - the float tiles with AVX-512; pairs of BF16 by
 * AVX512_BF16. */
#define LANES 16
#define TILE_ROWS 12
#include "model/mat_float_body.h"

/* sum += x[2i] w[2i] + x[2i + 1] w[2i + 1], as the processor rounds it. */
__attribute__((target("avx512bf16"))) INLINE vec add_dot(vec sum, vec w, float x)
{
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)w, (__m512bh)_mm512_set1_ps(x));
}

__attribute__((target("avx512bf16"))) INLINE void dot_of(const struct mat_float_tile *t, int rows,
                                                         int panels)
{
    struct sums s;
    sums_begin(&s, t, rows, panels);
    struct rows_of_x x = rows_begin(t, rows);
    size_t at = 0, ldx = t->ldx;
    for (int i = 0; i < t->k; i++, at += t->step) {
        for (int c = 0; c < panels && panels == 2; c++)
            __builtin_prefetch(t->w[c] + at + 4096);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
#pragma GCC unroll 16
            for (int c = 0; c < panels; c++)
                s.v[r][c] = add_dot(s.v[r][c], *(const vec_any *)(t->w[c] + at),
                                    x.at[r / 3][(size_t)(r % 3) * ldx]);
        }
        rows_step(&x, rows);
    }
    sums_end(&s, t, rows, panels);
}

__attribute__((target("avx512bf16"))) void mat_float_dot(const struct mat_float_tile *t)
{
    switch (t->rows) {
#define CASE_DOT(r, p) case r: dot_of(t, r, p); break;
        EACH_SHAPE(CASE_DOT)
    }
}

KERNELS(avx512, mat_float_dot);
