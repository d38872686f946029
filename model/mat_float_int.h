/* model/mat_float_int.h - the float kernels behind mat.h's F32 and BF16:
 * one tile of outputs, one set for each kind of processor.
 *
 *   y[r][16 p + c] = (first ? 0 : y[r][16 p + c])
 *                    + sum over i < k of x[r][i] w[p][i][c]  (+ bias[16 p + c])
 * Every output is one chain of multiply-adds in the order of i (fused where the
 * processor has FMA), so that the shape of the tile changes no bit, nor does a
 * cut of k with the sums stored and taken up again.
 * Private to model/mat_float*.c and their test. */
#ifndef CARREL_MODEL_MAT_FLOAT_INT_H
#define CARREL_MODEL_MAT_FLOAT_INT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a step of 16 weights is kept. */
enum mat_float_type {
    MAT_FLOAT_F32,
    MAT_FLOAT_BF16,   /* pairs of steps, [16][2]; against x in F32 */
    MAT_FLOAT_DOT,    /* the same pairs against pairs of x in BF16 (VDPBF16PS): a
                         step is a pair, x counts in pairs; only where `dot` */
    MAT_FLOAT_TYPES
};

#define MAT_FLOAT_ROWS 12   /* of a tile, at most */
#define MAT_FLOAT_PANELS 4  /* of a tile, at most */

struct mat_float_tile {
    const uint8_t *w[MAT_FLOAT_PANELS];
    size_t step;         /* bytes from one step of a panel to the next */
    const float *x;      /* [rows][ldx]; pairs of BF16 in place of floats for DOT */
    const float *bias;   /* NULL: none */
    float *y;            /* [rows][ldy], 16 * panels wide */
    size_t ldx, ldy;
    int rows, k;         /* rows 1..kernels->rows */
    bool first;
};

struct mat_float_kernels {
    const char *name;
    int rows;                             /* of a whole tile */
    uint8_t panels[MAT_FLOAT_ROWS + 1];   /* of a tile with that many rows: always all */
    void (*tile)(enum mat_float_type type, const struct mat_float_tile *t);
};

extern const struct mat_float_kernels mat_float_plain, mat_float_avx2, mat_float_avx512;
/* The tile of type DOT alone (AVX512_BF16), in the shapes of mat_float_avx512. */
void mat_float_dot(const struct mat_float_tile *t);

/* The set for this processor. */
const struct mat_float_kernels *mat_float_kernels(void);
struct mat_job;
/* mat_kind.mul by a given set; `type` is the weights' (BF16 or DOT by x's form). */
void mat_float_mul(const struct mat_float_kernels *kern, enum mat_float_type type,
                   const struct mat_job *job);
#endif
