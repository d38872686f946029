/* model/attn_int.h - what attention's kernels share: one set for each kind of
 * processor. Private to model/attn*.c and their tests. */
#ifndef CARREL_MODEL_ATTN_INT_H
#define CARREL_MODEL_ATTN_INT_H
#include <stdbool.h>
#include "model/attn.h"

/* Positions that a softmax takes at a time, counted from the timeline's first:
 * which ones go together is the same for every query, in every batch. */
#define ATTN_TILE 128

/* The step of all queries over a tile: scores become weights e^(score - base). A query's
 * base is the largest score of the first tile in which it sees anything, until one
 * lies more than ATTN_ABOVE over it: then it is raised to that, and what has been
 * summed so far is brought down. */
#define ATTN_ABOVE 16.0f
struct attn_step {
    int rows, group;           /* queries: row * group + head */
    int row_pos, window;       /* position of the first row; as in struct attn_job */
    int tile;                  /* position of the tile's first */
    int from, to;              /* positions in the tile whose weights will be read: [from, to) */
    float *s;                  /* [queries][ATTN_TILE] scores; weights after it, 0 where a query
                                  sees nothing */
    const float *k_scale, *v_scale; /* [ATTN_TILE], or NULL */
    float softcap;
    float *base;               /* [queries], -INFINITY: nothing seen yet */
    float *sums;               /* [queries][16] of weights before v_scale: position p in p % 16 */
    float *out;                /* [queries][ld_out] weighted values so far; NULL: none */
    int ld_out;                /* a multiple of 16 */
};

/* One tile of scores or of weighted values:
 *   y[r][16 p + c] = (first ? 0 : y[r][16 p + c]) + sum over i < k of x[r][i] w[p][i][c]
 * Every sum is one chain of multiply-adds in the order of i (fused where the processor
 * has FMA), so that the shape of the tile changes no bit, nor does a cut of k with
 * the sums stored and taken up again. */
#define ATTN_ROWS 14        /* of a tile, at most */
#define ATTN_PANELS 4       /* of a tile, at most */
struct attn_run {
    const uint8_t *w[ATTN_PANELS];
    ptrdiff_t later[ATTN_PANELS / 2]; /* from two panels to what will be wanted soon */
};
struct attn_tile {
    struct attn_run run[ATTN_TILE / ATTN_PAGE];
    int run_steps;          /* of k that one run has; the last may have fewer */
    size_t step;            /* bytes from one step of a panel to the next */
    const float *x;         /* [rows][ldx] */
    float *y;               /* [rows][ldy], 16 * panels wide */
    size_t ldx, ldy;
    int rows, k;            /* rows 1..kernels->rows */
    bool first;
};

struct attn_kernels {
    const char *name;
    int rows;                        /* of a whole tile */
    uint8_t panels[ATTN_ROWS + 1];   /* of a tile with that many rows: always all */
    void (*tile[3])(const struct attn_tile *t);           /* by enum attn_type */
    /* k steps of 16 elements, `step` bytes apart, as floats to[k][16]: as tile sees them. */
    void (*widen)(enum attn_type type, const uint8_t *from, size_t step, int k, float *to);
    void (*step)(const struct attn_step *a);
    void (*times)(const float *x, int n, float by, float *out);
    void (*to_f16)(const float *x, int n, uint16_t *out); /* saturates at 65504 */
};
extern const struct attn_kernels attn_plain, attn_avx2, attn_avx512;

void attn_run_with(const struct attn_kernels *kern, const struct attn_job *job, void *scratch);
void attn_put_with(const struct attn_kernels *kern, enum attn_type type, int head_dim, void *part,
                   int slot, const float *k, const float *v);
#endif
