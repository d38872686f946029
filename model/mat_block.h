/* model/mat_block.h - the packed panels of quantized weights, and the kernels
 * over them. Private to model/mat*.c and their tests.
 *
 * A panel is cut along k in groups: two blocks of 32, or eight (a k-quant's 256).
 * A group is its scales, up to a multiple of 64 bytes, then the codes of its
 * blocks: a row's product reads a panel front to back. Codes are whole numbers from 0, in planes of bits; vectors of 64 bytes
 * hold for each of 16 lanes (rows) the 4 elements of a step; a block has 8 steps.
 *   8 bits   8 vectors: step t
 *   4 bits   4 vectors: step t in the low half of bytes of vector t, step 4 + t
 *            in the high half
 *   2 bits   2 vectors: step t at bit 2 (t % 4) of vector t / 4; they stand above
 *            the 4 bits where there are both
 *   1 bit    1 vector: step t at bit t; above the others
 * Planes of a block follow each other in that order. Scales by their kind:
 *   HALF     F16 [blocks][16], then the minima alike
 *   K6       F16 d[16], dmin[16]; then bytes [8][16] scale, [8][16] minimum
 *   K4       F16 d[16], dmin[16]; then [16][16]: scale low nibble, minimum high
 *   K8       F16 d[16]; then int8 [16][16]
 * (the file's own bits, but for the 6-bit scales, which take a byte each).
 *
 * With code c and scale s the weight is s (c - offset) + min. An output is one
 * chain over the blocks of k, and in a block over its one or two scales:
 *   acc = fma(s * scale of x, (float)(sum (c - offset) q), acc)
 *   acc = fma(min, scale of x * (sum of q), acc)        where there are minima
 * The sums in int32 are exact; products beside the fma are rounded. All kernels
 * do just these operations, so that their bits are the same. */
#ifndef CARREL_MODEL_MAT_BLOCK_H
#define CARREL_MODEL_MAT_BLOCK_H
#include "model/mat_int.h"

enum mat_scales { MAT_HALF, MAT_K6, MAT_K4, MAT_K8 };

/* What a kind's group looks like. */
struct mat_layout {
    enum tensor_type type;
    int planes;               /* 8, 4, 2 and 1 that there are, or-ed */
    int blocks;               /* of 32 in a group: 2 or 8 */
    int halves;               /* scales of a block: 1, or 2 (of 16 elements) */
    bool min;
    enum mat_scales scales;
    int offset;
    enum mat_fix fix;         /* made from the sums of x, for offset or min */
};

/* X(name, the layout's members from planes on) for each kind. */
#define MAT_BLOCK_KINDS(X)                                    \
    X(Q8_0, 8, 2, 1, false, MAT_HALF, 128, MAT_FIX_LESS_128)  \
    X(Q4_0, 4, 2, 1, false, MAT_HALF, 8, MAT_FIX_LESS_8)      \
    X(Q4_1, 4, 2, 1, true, MAT_HALF, 0, MAT_FIX_SUM)          \
    X(Q5_0, 4 | 1, 2, 1, false, MAT_HALF, 16, MAT_FIX_LESS_16) \
    X(Q5_1, 4 | 1, 2, 1, true, MAT_HALF, 0, MAT_FIX_SUM)      \
    X(Q2_K, 2, 8, 2, true, MAT_K4, 0, MAT_FIX_SUM_H)          \
    X(Q3_K, 2 | 1, 8, 2, false, MAT_K8, 4, MAT_FIX_LESS_4H)   \
    X(Q4_K, 4, 8, 1, true, MAT_K6, 0, MAT_FIX_SUM)            \
    X(Q5_K, 4 | 1, 8, 1, true, MAT_K6, 0, MAT_FIX_SUM)        \
    X(Q6_K, 4 | 2, 8, 2, false, MAT_K8, 32, MAT_FIX_LESS_32H)

#define MAT_LAYOUT_NAME(name, ...) MAT_LAYOUT_##name,
#define MAT_LAYOUT(name, ...) {TENSOR_##name, __VA_ARGS__},
enum { MAT_BLOCK_KINDS(MAT_LAYOUT_NAME) MAT_LAYOUTS };
/* In every file that includes this, so that kernels see constants. */
static const struct mat_layout mat_layouts[] = {MAT_BLOCK_KINDS(MAT_LAYOUT)};

/* Bytes of a group's scales; of a group. */
static inline size_t mat_scale_bytes(const struct mat_layout *l)
{
    if (l->scales == MAT_HALF)
        return (size_t)l->blocks * (l->min ? 64 : 32);
    return 320;      /* K8 fills up 32 */
}

static inline size_t mat_group_bytes(const struct mat_layout *l)
{
    return mat_scale_bytes(l) + (size_t)(l->planes * 64 * l->blocks);
}

/* Codes of a block of a group. */
static inline const uint8_t *mat_codes(const struct mat_layout *l, const uint8_t *group, int block)
{
    return group + mat_scale_bytes(l) + (size_t)(l->planes * 64 * block);
}

/* Many rows meet a part of this many blocks of two panels at a time; unpacked it
 * takes 96 KiB of stack. (Half of it would stay in the first-level cache, but
 * costs 5 % more time in sums stored and taken up again.) */
#define MAT_PART_BLOCKS 64
#define MAT_PART_PANELS 2

/* A panel's codes as bytes (as `tile` of the same kernels wants them), its scales
 * and minima as floats; the latter [blocks][halves][16]. */
struct mat_part {
    int blocks;
    uint8_t codes[MAT_PART_BLOCKS][8][64] __attribute__((aligned(64)));
    float scale[MAT_PART_BLOCKS * 2][16] __attribute__((aligned(64)));
    float min[MAT_PART_BLOCKS * 2][16] __attribute__((aligned(64)));
};

/* Rows of x, from a first block on, and where their outputs go. */
struct mat_tile {
    const int8_t *q;          /* unit u at 32 u; see mat_x */
    const float *scale;
    const void *fix;          /* NULL: no kind that has one */
    int stride;               /* units from a block to the next */
    int rows;                 /* 1..MAT_TILE */
    bool first;               /* sums start at 0; else at y */
    int columns;              /* of y to write, 1..16 a panel */
    float *y;
    size_t ldy;
};

struct mat_block_kernels {
    const char *name;
    /* Row x[k] to int8: block b at q + 32 stride b, scale[stride b]; sums of q
     * over halves of 16 at sum[2 stride b] and sum[2 stride b + stride]. */
    void (*quantize)(const float *x, int k, int stride, int8_t *q, float *scale, int32_t *sum);
    void (*unpack)(const struct mat_layout *l, const uint8_t *groups, struct mat_part *part);
    /* One or two panels, as many as the tile's columns need. */
    void (*tile)(const struct mat_layout *l, const struct mat_part *parts, const struct mat_tile *t);
    /* A panel of `blocks` blocks against a tile, unpacked in registers only: sooner
     * done for products of up to direct_rows rows. NULL: there is none. */
    void (*direct)(const struct mat_layout *l, const uint8_t *panel, int blocks,
                   const struct mat_tile *t);
    int direct_rows;
};
extern const struct mat_block_kernels mat_block_plain, mat_block_avx2, mat_block_avxvnni,
    mat_block_vnni;

/* The set for this processor. */
const struct mat_block_kernels *mat_block_kernels(void);
/* mat_kind.mul by a given set. */
void mat_block_mul(const struct mat_block_kernels *kern, const struct mat_layout *l,
                   const struct mat_job *job);

/* mat_block_pack.c */
void mat_block_pack(const struct mat_layout *l, const uint8_t *const src[MAT_LANES], int k,
                    uint8_t *panel);
void mat_block_row(const struct mat_layout *l, const uint8_t *panel, int lane, int k, float *out);
/* The four codes of step t (0..7), lowest byte first; and a half's scale and minimum. */
uint32_t mat_block_word(const struct mat_layout *l, const uint8_t *codes, int lane, int t);
void mat_block_scale(const struct mat_layout *l, const uint8_t *group, int block, int half, int lane,
                     float *scale, float *min);
#endif
