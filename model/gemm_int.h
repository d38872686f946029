/* model/gemm_int.h - the kernels of gemm_rows, one for each kind of processor. */
#ifndef CARREL_MODEL_GEMM_INT_H
#define CARREL_MODEL_GEMM_INT_H
#include <stdbool.h>
#include <stddef.h>

/* A tile: rows x width outputs, over k products each.
 *   y[r][c] = (first ? bias[c] or 0 : y[r][c]) + sum over i of x[r][i] w[i][c]
 * One chain of multiply-adds each, in the order of i. */
struct gemm_tile {
    const float *x;      /* [rows][ldx] */
    const float *w;      /* [k][width], aligned to 64 bytes */
    const float *bias;   /* [width] or NULL */
    float *y;            /* [rows][ldy] */
    size_t ldx, ldy;
    int rows, k;         /* rows 1..gemm_kernels.rows */
    bool first;
};

struct gemm_kernels {
    const char *name;
    int rows, width;     /* of a whole tile; width is the packed layout's */
    void (*tile)(const struct gemm_tile *t);
};

extern const struct gemm_kernels gemm_plain, gemm_avx2, gemm_avx512;
#endif
