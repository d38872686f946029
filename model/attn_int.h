/* model/attn_int.h - what attention's kernels share: one set for each kind of
 * processor. Private to model/attn*.c and their tests. */
#ifndef CARREL_MODEL_ATTN_INT_H
#define CARREL_MODEL_ATTN_INT_H
#include "model/attn.h"
#include "model/mat_float_int.h"

/* Positions that a softmax takes at a time, counted from the timeline's first:
 * which ones go together is the same for every query, in every batch. */
#define ATTN_TILE 128

/* One query's step over a tile: its scores become weights, and what it has
 * summed so far is brought to the new maximum. */
struct attn_step {
    float *s;                  /* [ATTN_TILE] scores; weights after it, 0 where it sees nothing */
    int lo, hi;                /* positions in the tile that it sees: [lo, hi) */
    int from, to;              /* positions whose weights will be read: [from, to) */
    const float *k_scale, *v_scale; /* [ATTN_TILE], or NULL */
    float softcap;
    float *max, *sum;          /* of its scores; of its weights before v_scale */
    float *out;                /* [n_out] weighted values so far */
    int n_out;                 /* a multiple of 16 */
};

struct attn_kernels {
    const char *name;
    const struct mat_float_kernels *tiles;
    void (*step)(const struct attn_step *a);
    void (*times)(const float *x, int n, float by, float *out);
    void (*to_f16)(const float *x, int n, uint16_t *out); /* saturates at 65504 */
};
extern const struct attn_kernels attn_plain, attn_avx2, attn_avx512;

void attn_run_with(const struct attn_kernels *kern, const struct attn_job *job, void *scratch);
void attn_put_with(const struct attn_kernels *kern, enum attn_type type, int head_dim, void *part,
                   int slot, const float *k, const float *v);
#endif
