/* model/mat_fixed.h - products of F16 weights in whole numbers of 16 bits.
 * Private to model/mat*.c and their tests.
 *
 * Instructions that multiply pairs of 16 bits and add (VPDPWSSD, VPMADDWD) do twice
 * the multiply-adds of floats. Rows of w and of x are cut along k in blocks of 64
 * (MAT_FIXED_BLOCK); one is kept as whole numbers q and a scale, as small as keeps every q
 * within 16 bits and the block's length, sqrt(sum q^2), below 2^15.5: by Cauchy and Schwarz
 * no dot of two blocks, nor a part of it, then exceeds 32 bits. A number is off by half a scale
 * at most: 1/11000 of its block's root mean square (less than F16 itself, above a third of
 * that), or where few numbers stand out 1/64000 of the largest. The scale is rounded
 * up to BF16: products of two scales, and of a scale and a number, are exact in floats.
 *
 * Panel   blocks by twos: BF16 scales [2][16]; then [2][32][16][2], pairs of k of 16
 *         lanes; the last two may be one.
 * Output  one chain over the blocks: acc = fma(scale of w * scale of x, (float)dot, acc).
 * Dots are exact and all kernels do just these operations: their bits are the same. */
#ifndef CARREL_MODEL_MAT_FIXED_H
#define CARREL_MODEL_MAT_FIXED_H
#include "model/mat_int.h"

#define MAT_FIXED_CODES (MAT_LANES * MAT_FIXED_BLOCK * 2)   /* bytes of a panel's block */
#define MAT_FIXED_PANELS 2                                  /* of a tile, at most */

static inline const uint8_t *mat_fixed_codes(const uint8_t *panel, int block)
{
    return panel + (size_t)(block / 2 + 1) * 64 + (size_t)block * MAT_FIXED_CODES;
}

static inline const uint8_t *mat_fixed_scales(const uint8_t *panel, int block)
{
    return panel + (size_t)(block / 2) * (64 + 2 * MAT_FIXED_CODES) + (size_t)(block % 2) * 32;
}

/* Rows of x against blocks [block, end) of one or two panels. */
struct mat_fixed_tile {
    const uint8_t *panels[MAT_FIXED_PANELS];
    int block, end;
    const int16_t *q;         /* of block 0: block b of row r at q + 64 (stride b + r) */
    const float *scale;       /* scale[stride b + r] */
    int stride, rows;         /* 1..MAT_TILE */
    bool first;               /* sums start at 0; else at y */
    int columns;              /* of y to write, 1..16 a panel */
    float *y;
    size_t ldy;
};

struct mat_fixed_kernels {
    const char *name;
    /* Row x[k], whole blocks: block b at q + 64 stride b, scale[stride b]. What is not finite
     * stays visible in the scale. */
    void (*quantize)(const float *x, int k, int stride, int16_t *q, float *scale);
    void (*tile)(const struct mat_fixed_tile *t, int panels);
};
extern const struct mat_fixed_kernels mat_fixed_plain, mat_fixed_avx2, mat_fixed_vnni;

/* The set for this processor. */
const struct mat_fixed_kernels *mat_fixed_kernels(void);
/* mat_kind.mul by a given set. */
void mat_fixed_mul(const struct mat_fixed_kernels *kern, const struct mat_job *job);
#endif
