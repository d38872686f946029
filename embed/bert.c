/* embed/bert.c - the forward pass over a batch of texts, packed end to end. */
#include "embed/bert.h"
#include <math.h>
#include <string.h>
#include "base/vec.h"
#include "embed/bert_int.h"
#include "model/act.h"
#include "model/gemm.h"

#define ROWS 16           /* tokens of one piece of row work */
#define QUERIES 64        /* attention rows worked out together */

/* One pass: what the pieces of parallel work share. */
struct pass {
    struct bert *b;
    struct team *team;
    int texts, tokens;
    const float *add, *gain, *bias;   /* of a normalisation */
    float *out;                       /* [texts][dim] */
};

const struct bert_info *bert_info(const struct bert *b)
{
    return &b->info;
}

const struct wordpiece *bert_wordpiece(const struct bert *b)
{
    return b->wp;
}

static int row_end(const struct pass *p, int block)
{
    int end = (block + 1) * ROWS;
    return end < p->tokens ? end : p->tokens;
}

static void for_rows(struct pass *p, void (*fn)(void *arg, int block))
{
    parallel_for(p->team, (p->tokens + ROWS - 1) / ROWS, fn, p);
}

/* x = norm(word + place + kind); v is free yet and holds the summands */
static void embed_text(void *arg, int text)
{
    const struct pass *p = arg;
    const struct bert *b = p->b;
    int dim = b->info.dim;
    for (int t = b->start[text]; t < b->start[text + 1]; t++) {
        float *x = b->x + (size_t)t * (size_t)dim, *more = b->v + (size_t)t * (size_t)dim;
        tensor_row(&b->words, b->ids[t], x);
        if (b->kinds.data) {
            tensor_row(&b->kinds, 0, more);
            vec_axpy(x, 1, more, dim);
        }
        tensor_row(&b->places, t - b->start[text], more);
        act_add_norm(x, more, b->norm, b->norm_bias, dim, b->eps);
    }
}

static void norm_rows(void *arg, int block)
{
    const struct pass *p = arg;
    size_t dim = (size_t)p->b->info.dim;
    for (int t = block * ROWS; t < row_end(p, block); t++)
        act_add_norm(p->b->x + (size_t)t * dim, p->add + (size_t)t * dim, p->gain, p->bias,
                     (int)dim, p->b->eps);
}

static void gelu_rows(void *arg, int block)
{
    const struct pass *p = arg;
    size_t ffn = (size_t)p->b->info.ffn, from = (size_t)block * ROWS;
    act_gelu(p->b->up + from * ffn, ((size_t)row_end(p, block) - from) * ffn);
}

/* One head of one text: mix = softmax(q k^T / sqrt(d)) v. The shapes follow from
 * the text's length alone, so its bits do too. */
static void attend(void *arg, int i)
{
    float score[QUERIES * BERT_WINDOW];
    const struct pass *p = arg;
    const struct bert *b = p->b;
    int dim = b->info.dim, d = dim / b->info.heads;
    int text = i / b->info.heads, n = b->start[text + 1] - b->start[text];
    size_t at = (size_t)b->start[text] * (size_t)dim + (size_t)(i % b->info.heads * d);
    float scale = 1 / sqrtf((float)d);
    for (int from = 0; from < n; from += QUERIES) {
        int rows = n - from < QUERIES ? n - from : QUERIES;
        size_t here = at + (size_t)from * (size_t)dim;
        gemm(false, true, rows, n, d, scale, b->q + here, dim, b->k + at, dim, 0, score, n);
        for (int r = 0; r < rows; r++)
            act_softmax(score + (size_t)r * (size_t)n, n);
        gemm(false, false, rows, d, n, 1, score, n, b->v + at, dim, 0, b->mix + here, dim);
    }
}

static void normalise(struct pass *p, const float *add, const float *gain, const float *bias)
{
    p->add = add;
    p->gain = gain;
    p->bias = bias;
    for_rows(p, norm_rows);
}

static void run_layer(struct pass *p, const struct bert_layer *l)
{
    struct bert *b = p->b;
    int n = p->tokens, dim = b->info.dim, ffn = b->info.ffn;
    gemm_rows(p->team, n, dim, dim, b->x, l->q, l->q_bias, b->q);
    gemm_rows(p->team, n, dim, dim, b->x, l->k, l->k_bias, b->k);
    gemm_rows(p->team, n, dim, dim, b->x, l->v, l->v_bias, b->v);
    parallel_for(p->team, p->texts * b->info.heads, attend, p);
    gemm_rows(p->team, n, dim, dim, b->mix, l->o, l->o_bias, b->q);
    normalise(p, b->q, l->norm1, l->norm1_bias);
    gemm_rows(p->team, n, ffn, dim, b->x, l->up, l->up_bias, b->up);
    for_rows(p, gelu_rows);
    gemm_rows(p->team, n, dim, ffn, b->up, l->down, l->down_bias, b->q);
    normalise(p, b->q, l->norm2, l->norm2_bias);
}

static void pool_text(void *arg, int text)
{
    const struct pass *p = arg;
    const struct bert *b = p->b;
    size_t dim = (size_t)b->info.dim;
    float *out = p->out + (size_t)text * dim;
    const float *x = b->x + (size_t)b->start[text] * dim;
    memcpy(out, x, dim * sizeof(float));
    if (b->info.pooling == BERT_MEAN)      /* the length falls out below */
        for (int t = 1; t < b->start[text + 1] - b->start[text]; t++)
            vec_axpy(out, 1, x + (size_t)t * dim, (int)dim);
    vec_normalize(out, (int)dim);
}

/* Fill b->ids with as many texts as fit; the number of them. */
static enum err_code pack(struct bert *b, const struct str *texts, int n, int *tokens, int *taken,
                          struct err *err)
{
    int used = 0, t = 0;
    b->start[0] = 0;
    for (; t < n && used + 3 <= BERT_BATCH_TOKENS; t++) {
        int room = BERT_BATCH_TOKENS - used < b->info.window ? BERT_BATCH_TOKENS - used
                                                             : b->info.window;
        size_t pieces = 0;
        int32_t *ids = b->ids + used;
        enum err_code rc = wordpiece_encode(b->wp, texts[t], ids + 1, NULL, (size_t)room - 2,
                                            &pieces, err);
        if (!rc && pieces > INT32_MAX - 2)
            rc = err_set(err, ERR_LIMIT, "a text of %zu tokens", pieces);
        if (rc)
            return rc;
        int kept = pieces + 2 < (size_t)b->info.window ? (int)pieces + 2 : b->info.window;
        if (kept > room)
            break;
        ids[0] = wordpiece_cls(b->wp);
        ids[kept - 1] = wordpiece_sep(b->wp);
        used += kept;
        b->start[t + 1] = used;
        if (tokens)
            tokens[t] = (int)pieces + 2;
    }
    *taken = t;
    return OK;
}

static bool all_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

enum err_code bert_embed(struct bert *b, struct team *team, const struct str *texts, int n,
                         float *out, int *tokens, int *taken, struct err *err)
{
    enum err_code rc = pack(b, texts, n, tokens, taken, err);
    if (rc)
        return rc;
    struct pass p = {.b = b, .team = team, .texts = *taken, .tokens = b->start[*taken], .out = out};
    parallel_for(team, p.texts, embed_text, &p);
    for (int l = 0; l < b->info.layers; l++)
        run_layer(&p, &b->layer[l]);
    parallel_for(team, p.texts, pool_text, &p);
    if (!all_finite(out, (size_t)p.texts * (size_t)b->info.dim))
        return err_set(err, ERR_FORMAT, "the model gives numbers that are not finite");
    return OK;
}
