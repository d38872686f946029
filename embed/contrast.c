#include "embed/contrast.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/vec.h"
#include "model/gemm.h"

#define BLOCKS 16      /* the work is cut into so many parts, whatever the team */
#define MASKED (-1e4f) /* a score that is no negative: e^MASKED is 0 */

/* What a block of the work needs to know. */
struct job {
    struct contrast *c;
    const float *rows;
    const struct bags *bags;
};

static int block_start(const struct contrast *c, int block)
{
    return (int)((int64_t)c->batch * block / BLOCKS);
}

enum err_code contrast_new(struct contrast *c, int dim, int batch, float scale, struct team *team,
                           struct err *err)
{
    if (batch < 2 || dim < 1 || !(scale > 0 && scale <= CONTRAST_SCALE_MAX))
        return err_set(err, ERR_ARG, "batch %d, %d dimensions, scale %g: want 2, 1, at most %d",
                       batch, dim, (double)scale, CONTRAST_SCALE_MAX);
    size_t n = (size_t)batch, d = (size_t)dim;
    *c = (struct contrast){.team = team, .dim = dim, .batch = batch, .scale = scale};
    c->z = calloc(2 * n * d, sizeof(*c->z));
    c->dz = calloc(2 * n * d, sizeof(*c->dz));
    c->length = calloc(2 * n, sizeof(*c->length));
    c->s = calloc(n * n, sizeof(*c->s));
    c->row_sum = calloc(n, sizeof(*c->row_sum));
    c->col_sum = calloc(n, sizeof(*c->col_sum));
    c->row_loss = calloc(n, sizeof(*c->row_loss));
    c->part = calloc(BLOCKS * n, sizeof(*c->part));
    if (c->z && c->dz && c->length && c->s && c->row_sum && c->col_sum && c->row_loss && c->part)
        return OK;
    contrast_deinit(c);
    return err_set(err, ERR_NOMEM, "a batch of %d texts", batch);
}

void contrast_deinit(struct contrast *c)
{
    free(c->z);
    free(c->dz);
    free(c->length);
    free(c->s);
    free(c->row_sum);
    free(c->col_sum);
    free(c->row_loss);
    free(c->part);
    *c = (struct contrast){0};
}

/* z[t] = L2(sum of weight rows[piece]) */
static void gather(void *arg, int t)
{
    const struct job *j = arg;
    struct contrast *c = j->c;
    size_t d = (size_t)c->dim;
    float *z = c->z + (size_t)t * d;
    memset(z, 0, d * sizeof(*z));
    for (int i = j->bags->start[t]; i < j->bags->start[t + 1]; i++)
        vec_axpy(z, j->bags->weights[i], j->rows + (size_t)j->bags->ids[i] * d, c->dim);
    c->length[t] = vec_normalize(z, c->dim);
}

/* s = scale Q P^T */
static void score(void *arg, int block)
{
    struct contrast *c = ((struct job *)arg)->c;
    size_t d = (size_t)c->dim, n = (size_t)c->batch, from = (size_t)block_start(c, block);
    int rows = block_start(c, block + 1) - (int)from;
    gemm(false, true, rows, c->batch, c->dim, c->scale, c->z + from * d, c->dim, c->z + n * d,
         c->dim, 0, c->s + from * n, c->batch);
}

static void leave_out_same(const struct contrast *c, const struct bags *b, int i)
{
    float *s = c->s + (size_t)i * (size_t)c->batch;
    const uint64_t *query = b->same, *passage = b->same + c->batch;
    for (int k = 0; k < c->batch; k++)
        if (k != i && (passage[k] == passage[i] || query[k] == query[i]))
            s[k] = MASKED;
}

/* Rows become e^(s - scale), a score's bound, with their sums; column sums of the block. */
static void exponents(void *arg, int block)
{
    const struct job *j = arg;
    struct contrast *c = j->c;
    size_t n = (size_t)c->batch;
    double *part = c->part + (size_t)block * n;
    memset(part, 0, n * sizeof(*part));
    for (int i = block_start(c, block); i < block_start(c, block + 1); i++) {
        float *s = c->s + (size_t)i * n;
        double sum = 0;
        leave_out_same(c, j->bags, i);
        c->row_loss[i] = (double)c->scale - (double)s[i];
        for (size_t k = 0; k < n; k++) {
            s[k] = expf(s[k] - c->scale);
            sum += (double)s[k];
            part[k] += (double)s[k];
        }
        c->row_sum[i] = sum;
    }
}

/* Both softmaxes share the exponents, so one pass makes their gradient:
 * ds[i][k] = scale / 2 batch (e / row_sum[i] + e / col_sum[k]) - [i = k] scale / batch */
static void differentiate(void *arg, int block)
{
    struct contrast *c = ((struct job *)arg)->c;
    size_t n = (size_t)c->batch;
    double each = (double)c->scale / (2 * (double)n);
    const double *by_col = c->part; /* now each / col_sum */
    for (int i = block_start(c, block); i < block_start(c, block + 1); i++) {
        float *s = c->s + (size_t)i * n;
        double by_row = each / c->row_sum[i];
        for (size_t k = 0; k < n; k++)
            s[k] = (float)((double)s[k] * (by_row + by_col[k]));
        s[i] -= (float)(2 * each);
    }
}

/* dQ = ds P and dP = ds^T Q */
static void pull_back(void *arg, int block)
{
    struct contrast *c = ((struct job *)arg)->c;
    size_t d = (size_t)c->dim, n = (size_t)c->batch, from = (size_t)block_start(c, block);
    int rows = block_start(c, block + 1) - (int)from;
    gemm(false, false, rows, c->dim, c->batch, 1, c->s + from * n, c->batch, c->z + n * d, c->dim,
         0, c->dz + from * d, c->dim);
    gemm(true, false, rows, c->dim, c->batch, 1, c->s + from, c->batch, c->z, c->dim, 0,
         c->dz + (n + from) * d, c->dim);
}

/* Through z = x / |x|: dx = (dz - (dz . z) z) / |x| */
static void through_length(void *arg, int t)
{
    struct contrast *c = ((struct job *)arg)->c;
    size_t d = (size_t)c->dim;
    const float *z = c->z + (size_t)t * d;
    float *dz = c->dz + (size_t)t * d;
    if (!(c->length[t] > 0)) {
        memset(dz, 0, d * sizeof(*dz));
        return;
    }
    vec_axpy(dz, -vec_dot(dz, z, c->dim), z, c->dim);
    float inverse = 1 / c->length[t];
    for (size_t i = 0; i < d; i++)
        dz[i] *= inverse;
}

double contrast_step(struct contrast *c, const float *rows, const struct bags *b)
{
    struct job job = {c, rows, b};
    size_t n = (size_t)c->batch;
    parallel_for(c->team, 2 * c->batch, gather, &job);
    parallel_for(c->team, BLOCKS, score, &job);
    parallel_for(c->team, BLOCKS, exponents, &job);
    double loss = 0;
    for (size_t k = 0; k < n; k++) {
        double sum = 0;
        for (size_t block = 0; block < BLOCKS; block++)
            sum += c->part[block * n + k];
        c->col_sum[k] = sum;
        loss += c->row_loss[k] + (log(c->row_sum[k]) + log(sum)) / 2;
    }
    for (size_t k = 0; k < n; k++)
        c->part[k] = (double)c->scale / (2 * (double)n) / c->col_sum[k];
    parallel_for(c->team, BLOCKS, differentiate, &job);
    parallel_for(c->team, BLOCKS, pull_back, &job);
    parallel_for(c->team, 2 * c->batch, through_length, &job);
    return loss / (double)n;
}
