/* embed/contrast.h - how well a batch's queries find their passages, and which
 * way its texts should move.
 *
 * Symmetric InfoNCE with the batch's other passages and queries as negatives
 * (van den Oord, Li and Vinyals 2018, arXiv:1807.03748; both directions as in
 * Radford et al. 2021, arXiv:2103.00020):
 *   s[i][j] = scale cos(query i, passage j)
 *   loss = mean over i of -(ln softmax_j s[i][j] at i + ln softmax_j s[j][i] at i) / 2
 * Pairs whose query or passage is the same text as the row's own are left out
 * of its negatives.
 * Threads   one owner; the work is shared by the team in blocks that do not
 *           depend on its size, so that the bits do not either.
 * Private to embed/. */
#ifndef CARREL_EMBED_CONTRAST_H
#define CARREL_EMBED_CONTRAST_H
#include "base/err.h"
#include "base/thread.h"
#include "embed/bags.h"

#define CONTRAST_SCALE_MAX 40   /* e^(-2 scale) is still a float */

struct contrast {
    struct team *team;
    int dim, batch;
    float scale;
    float *z;        /* [2 batch][dim] unit vectors, queries first */
    float *length;   /* [2 batch] before they were made so; 0: no piece has weight */
    float *dz;       /* [2 batch][dim] gradient by each text's sum of rows */
    float *s;        /* [batch][batch] scores, then e^(s - scale), then their gradient */
    double *row_sum, *col_sum, *row_loss;   /* [batch] */
    double *part;    /* [blocks][batch] of col_sum */
};

/* gemm_init must have been called. ERR_ARG, ERR_NOMEM. */
enum err_code contrast_new(struct contrast *c, int dim, int batch, float scale, struct team *team,
                           struct err *err);
void contrast_deinit(struct contrast *c);
/* The loss over `rows` [n_pieces][dim]; leaves dz. The gradient by rows[p] is
 * the sum over texts t of (weight of p in t) dz[t]. */
double contrast_step(struct contrast *c, const float *rows, const struct bags *b);
#endif
