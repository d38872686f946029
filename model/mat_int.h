/* model/mat_int.h - what the files of the packed matrices share. Private to
 * model/mat*.c.
 *
 * A panel is MAT_LANES rows of w (the last panel filled up with zeros). Its
 * layout is its kind's own; panels lie one behind the other, each `panel_bytes`
 * long, the first aligned to 64 bytes. */
#ifndef CARREL_MODEL_MAT_INT_H
#define CARREL_MODEL_MAT_INT_H
#include "model/mat.h"

#define MAT_LANES 16

enum mat_form { MAT_F32, MAT_BF16, MAT_I16, MAT_I8, MAT_FORMS };

#define MAT_TILE 12
#define MAT_FIXED_BLOCK 64   /* of MAT_I16 */

/* What the dots of int8 owe for weights that are stored off zero, each from the
 * sums of x over blocks of 32 or of 16 (halves of such a block). */
enum mat_fix {
    MAT_FIX_NONE,
    MAT_FIX_LESS_8,            /* int32: -8 * sum of the block's q */
    MAT_FIX_LESS_16, MAT_FIX_LESS_128,
    MAT_FIX_LESS_4H, MAT_FIX_LESS_32H,   /* int32, of halves */
    MAT_FIX_SUM, MAT_FIX_SUM_H,          /* float: scale * sum of the block's, half's q */
    MAT_FIXES
};

/* The activations of one product. Rows of every form are padded with zeros to
 * k_pad, a multiple of 64.
 * int8: rows lie in tiles of MAT_TILE, one behind the other; the last is as high
 * as rows are left. In a tile of c rows, block b of 32 elements of its row r is
 * unit b * c + r; unit u of the tile whose first row is `row` has
 *   q      q + 32 * (row * k_pad / 32 + u)
 *   scale  scale[row * k_pad / 32 + u]      x ~ q * scale, q in -127..127
 *   fix    alike; of halves: half h of a unit at 2 * (row * k_pad / 32 + b * c) + h * c + r
 * so that a tile reads all of it front to back.
 * int16: the same tiles of blocks of 64; unit u of the tile whose first row is `row` has
 *   q16      q16 + 64 * (row * k_pad / 64 + u)
 *   scale16  scale16[row * k_pad / 64 + u]   x ~ q * scale, q in -32767..32767 */
struct mat_x {
    int m, k, k_pad;
    const float *f32;          /* [m], rows ld_f32 apart; k elements */
    size_t ld_f32;
    const uint16_t *bf16;      /* [m][k_pad] */
    const int16_t *q16;
    const float *scale16;
    const int8_t *q;
    const float *scale;
    const void *fix[MAT_FIXES];
};

/* Panels [first, first + n) of a packed matrix against all rows of x. Writes
 * y[r][lane + 16 * (p - first)], rows ldy apart, `columns` of them (the last
 * panel may be narrower than 16), and adds bias (NULL: none). */
struct mat_job {
    const uint8_t *panels;     /* of panel `first` */
    size_t panel_bytes;
    int n_panels, columns;
    const struct mat_x *x;
    const float *bias;
    float *y;
    size_t ldy;
};

/* One for each tensor type that has kernels; see mat.c's table. */
struct mat_kind {
    enum tensor_type type;
    enum mat_form (*form)(void);                 /* on this processor */
    size_t (*panel_bytes)(int k);
    /* Rows src[0..n_rows) of the file (NULL beyond n_rows) into one panel. */
    void (*pack)(const uint8_t *const src[MAT_LANES], int k, uint8_t *panel);
    /* Row `lane` of a panel: out[k], as tensor_dequant gives it (fixed: as products see it). */
    void (*row)(const uint8_t *panel, int lane, int k, float *out);
    void (*mul)(const struct mat_job *job);
    enum mat_fix fix;                            /* beside MAT_I8 */
};
extern const struct mat_kind mat_kind_fixed;     /* F16; mat_fixed.c */
extern const struct mat_kind mat_kinds_float[];  /* F32 BF16; mat_float.c */
extern const int mat_n_kinds_float;
extern const struct mat_kind mat_kinds_block[];  /* the quantized; mat_block.c */
extern const int mat_n_kinds_block;
#endif
