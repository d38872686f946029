/* embed/bert_load.c - a GGUF of architecture "bert", checked key by key and
 * tensor by tensor against what its own hyper-parameters imply. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "embed/bert_int.h"
#include "embed/rows.h"
#include "model/gemm.h"
#include "model/tensor.h"

#define LINE 16   /* floats in 64 bytes: every part begins on a cache line */

/* Shapes by letter: d the vector, f the feed-forward, 0 no such dimension. */
struct part { const char *name; char rows, columns; size_t field; };

static const struct part head_parts[] = {
    {"token_embd_norm.weight", 'd', 0, offsetof(struct bert, norm)},
    {"token_embd_norm.bias", 'd', 0, offsetof(struct bert, norm_bias)},
};
#define FIELD(f) offsetof(struct bert_layer, f)
static const struct part layer_parts[] = {
    {"attn_q.weight", 'd', 'd', FIELD(q)},
    {"attn_q.bias", 'd', 0, FIELD(q_bias)},
    {"attn_k.weight", 'd', 'd', FIELD(k)},
    {"attn_k.bias", 'd', 0, FIELD(k_bias)},
    {"attn_v.weight", 'd', 'd', FIELD(v)},
    {"attn_v.bias", 'd', 0, FIELD(v_bias)},
    {"attn_output.weight", 'd', 'd', FIELD(o)},
    {"attn_output.bias", 'd', 0, FIELD(o_bias)},
    {"attn_output_norm.weight", 'd', 0, FIELD(norm1)},
    {"attn_output_norm.bias", 'd', 0, FIELD(norm1_bias)},
    {"ffn_up.weight", 'f', 'd', FIELD(up)},
    {"ffn_up.bias", 'f', 0, FIELD(up_bias)},
    {"ffn_down.weight", 'd', 'f', FIELD(down)},
    {"ffn_down.bias", 'd', 0, FIELD(down_bias)},
    {"layer_output_norm.weight", 'd', 0, FIELD(norm2)},
    {"layer_output_norm.bias", 'd', 0, FIELD(norm2_bias)},
};
#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* State of one load: the first walk over the parts only adds up `used`. */
struct loader {
    const struct gguf *g;
    struct bert *b;
    float *row;        /* [longest row], dequantised */
    size_t used;       /* floats of b->weights */
    struct err *err;
};

static int extent(const struct bert *b, char letter)
{
    return letter == 'd' ? b->info.dim : letter == 'f' ? b->info.ffn : 0;
}

/* The tensor of this name and shape; `rows` 0 wants one dimension. */
static const struct tensor *want(const struct loader *l, const char *name, int64_t length,
                                 int64_t rows)
{
    const struct tensor *t = gguf_tensor(l->g, name);
    if (!t) {
        err_set(l->err, ERR_FORMAT, "%s: no tensor %s", gguf_name(l->g), name);
        return NULL;
    }
    if (t->ne[0] == length && t->ne[1] == (rows ? rows : 1) && t->ne[2] == 1 && t->ne[3] == 1)
        return t;
    err_set(l->err, ERR_FORMAT, "%s: tensor %s is %lld x %lld, want %lld x %lld", gguf_name(l->g),
            name, (long long)t->ne[0], (long long)t->ne[1], (long long)length,
            (long long)(rows ? rows : 1));
    return NULL;
}

static bool all_finite(const float *x, int n)
{
    for (int i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

static enum err_code load_part(struct loader *l, const struct part *p, const char *name,
                               float **field)
{
    int rows = extent(l->b, p->rows), columns = extent(l->b, p->columns);
    int n_rows = columns ? rows : 1, length = columns ? columns : rows;
    const struct tensor *t = want(l, name, length, columns ? rows : 0);
    if (!t)
        return ERR_FORMAT;
    size_t floats = columns ? gemm_packed_floats(rows, columns) : (size_t)rows;
    size_t at = l->used;
    l->used += (floats + LINE - 1) / LINE * LINE;
    if (!l->b->weights)
        return OK;
    *field = l->b->weights + at;
    for (int r = 0; r < n_rows; r++) {
        tensor_row(t, r, l->row);
        if (!all_finite(l->row, length))
            return err_set(l->err, ERR_FORMAT, "%s: tensor %s: row %d is not finite",
                           gguf_name(l->g), name, r);
        if (columns)
            gemm_pack_row(r, rows, columns, l->row, *field);
        else
            memcpy(*field, l->row, floats * sizeof(float));
    }
    return OK;
}

static enum err_code load_parts(struct loader *l)
{
    enum err_code rc = OK;
    l->used = 0;
    for (size_t i = 0; i < COUNT(head_parts) && !rc; i++)
        rc = load_part(l, &head_parts[i], head_parts[i].name,
                       (float **)(void *)((char *)l->b + head_parts[i].field));
    for (int n = 0; n < l->b->info.layers; n++)
        for (size_t i = 0; i < COUNT(layer_parts) && !rc; i++) {
            char name[64];
            snprintf(name, sizeof(name), "blk.%d.%s", n, layer_parts[i].name);
            rc = load_part(l, &layer_parts[i], name,
                           (float **)(void *)((char *)&l->b->layer[n] + layer_parts[i].field));
        }
    return rc;
}

static enum err_code load_weights(struct loader *l)
{
    struct bert *b = l->b;
    int longest = b->info.dim > b->info.ffn ? b->info.dim : b->info.ffn;
    b->layer = calloc((size_t)b->info.layers, sizeof(*b->layer));
    l->row = malloc((size_t)longest * sizeof(float));
    if (!b->layer || !l->row)
        return err_set(l->err, ERR_NOMEM, "%s: %d layers", gguf_name(l->g), b->info.layers);
    enum err_code rc = load_parts(l);
    if (rc)
        return rc;
    b->info.weight_bytes = l->used * sizeof(float);
    b->weights = aligned_alloc(64, b->info.weight_bytes);
    if (!b->weights)
        return err_set(l->err, ERR_NOMEM, "%s: %zu MiB of weights", gguf_name(l->g),
                       b->info.weight_bytes >> 20);
    memset(b->weights, 0, b->info.weight_bytes);
    return load_parts(l);
}

static enum err_code load_rows(struct loader *l, const char *name, int64_t n, struct tensor *out)
{
    const struct tensor *t = want(l, name, l->b->info.dim, n);
    return t ? rows_copy(t, out, l->err) : ERR_FORMAT;
}

static enum err_code load_embeddings(struct loader *l)
{
    struct bert *b = l->b;
    int64_t context = 0;
    enum err_code rc = gguf_int(l->g, "bert.context_length", 3, 65536, &context, l->err);
    if (rc)
        return rc;
    b->info.window = context < BERT_WINDOW ? (int)context : BERT_WINDOW;
    rc = load_rows(l, "token_embd.weight", (int64_t)wordpiece_size(b->wp), &b->words);
    if (!rc)
        rc = load_rows(l, "position_embd.weight", context, &b->places);
    const struct tensor *kinds = gguf_tensor(l->g, "token_types.weight");
    if (rc || !kinds)                      /* some families have none */
        return rc;
    return load_rows(l, "token_types.weight", kinds->ne[1], &b->kinds);
}

static enum err_code read_pooling(struct loader *l, enum bert_pooling pooling)
{
    int64_t v = 0;
    enum err_code rc = gguf_int(l->g, "bert.pooling_type", 0, 100, &v, l->err);
    if (rc && rc != ERR_NOTFOUND)
        return rc;
    if (rc && !pooling)                    /* every converter writes it for sentence encoders */
        return err_set(l->err, ERR_FORMAT,
                       "%s: no key bert.pooling_type; name the pooling, cls or mean",
                       gguf_name(l->g));
    if (!pooling)
        pooling = (enum bert_pooling)v;
    if (pooling != BERT_MEAN && pooling != BERT_CLS)
        return err_set(l->err, ERR_FORMAT,
                       "%s: bert.pooling_type is %d, want 1 (mean) or 2 (cls)", gguf_name(l->g),
                       (int)pooling);
    l->b->info.pooling = pooling;
    return OK;
}

static enum err_code read_shape(struct loader *l)
{
    struct bert_info *info = &l->b->info;
    const struct { const char *key; int64_t max; int *out; } table[] = {
        {"bert.block_count", 512, &info->layers},
        {"bert.embedding_length", 8192, &info->dim},
        {"bert.feed_forward_length", 65536, &info->ffn},
        {"bert.attention.head_count", 1024, &info->heads},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        int64_t v = 0;
        enum err_code rc = gguf_int(l->g, table[i].key, 1, table[i].max, &v, l->err);
        if (rc)
            return rc;
        *table[i].out = (int)v;
    }
    if (info->dim % info->heads)
        return err_set(l->err, ERR_FORMAT, "%s: %d heads do not divide %d dimensions",
                       gguf_name(l->g), info->heads, info->dim);
    if (info->ffn > 8 * info->dim)         /* BERT has 4; bounds the activations */
        return err_set(l->err, ERR_FORMAT, "%s: feed_forward_length is %d for %d dimensions",
                       gguf_name(l->g), info->ffn, info->dim);
    double eps = 0;
    enum err_code rc = gguf_num(l->g, "bert.attention.layer_norm_epsilon", &eps, l->err);
    if (!rc && !(eps > 0 && eps <= 0.1))
        rc = err_set(l->err, ERR_FORMAT, "%s: layer_norm_epsilon is %g, want above 0, at most 0.1",
                     gguf_name(l->g), eps);
    l->b->eps = (float)eps;
    return rc;
}

/* Causal attention is another model under the same name. */
static enum err_code refuse_causal(struct loader *l)
{
    bool causal = false;
    enum err_code rc = gguf_bool(l->g, "bert.attention.causal", &causal, l->err);
    if (rc == ERR_NOTFOUND)
        return OK;
    if (!rc && causal)
        rc = err_set(l->err, ERR_FORMAT, "%s: bert.attention.causal is true", gguf_name(l->g));
    return rc;
}

static enum err_code open_vocabulary(struct loader *l)
{
    enum err_code rc = wordpiece_open(l->g, &l->b->wp, l->err);
    if (!rc && (wordpiece_cls(l->b->wp) < 0 || wordpiece_sep(l->b->wp) < 0))
        rc = err_set(l->err, ERR_FORMAT, "%s: a vocabulary without [CLS] or [SEP]",
                     gguf_name(l->g));
    return rc;
}

static enum err_code make_scratch(struct loader *l)
{
    struct bert *b = l->b;
    size_t rows = BERT_BATCH_TOKENS, part = rows * (size_t)b->info.dim;
    size_t bytes = (5 * part + rows * (size_t)b->info.ffn) * sizeof(float);
    b->scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
    b->ids = malloc(rows * sizeof(*b->ids));
    b->start = malloc((rows + 1) * sizeof(*b->start));
    if (!b->scratch || !b->ids || !b->start)
        return err_set(l->err, ERR_NOMEM, "%s: %zu MiB of activations", gguf_name(l->g),
                       bytes >> 20);
    b->x = b->scratch;
    b->q = b->x + part;
    b->k = b->q + part;
    b->v = b->k + part;
    b->mix = b->v + part;
    b->up = b->mix + part;
    return OK;
}

enum err_code bert_open(const struct gguf *g, enum bert_pooling pooling, struct bert **out,
                        struct err *err)
{
    struct err local;
    struct bert *b = calloc(1, sizeof(*b));
    if (!b)
        return err_set(err, ERR_NOMEM, "%s", gguf_name(g));
    struct loader l = {.g = g, .b = b, .err = err ? err : &local};
    b->info.name = str_of("unnamed");
    enum err_code rc = gguf_str(g, "general.name", &b->info.name, l.err);
    if (!rc || rc == ERR_NOTFOUND)
        rc = gemm_init(l.err);
    if (!rc)
        rc = read_shape(&l);
    if (!rc)
        rc = read_pooling(&l, pooling);
    if (!rc)
        rc = refuse_causal(&l);
    if (!rc)
        rc = open_vocabulary(&l);
    if (!rc)
        rc = load_embeddings(&l);
    if (!rc)
        rc = load_weights(&l);
    if (!rc)
        rc = make_scratch(&l);
    free(l.row);
    if (rc)
        bert_free(b);
    else
        *out = b;
    return rc == ERR_NOTFOUND ? ERR_FORMAT : rc;   /* an absent key is a bad file */
}

void bert_free(struct bert *b)
{
    if (!b)
        return;
    wordpiece_free(b->wp);
    rows_free(&b->words);
    rows_free(&b->places);
    rows_free(&b->kinds);
    free(b->layer);
    free(b->weights);
    free(b->scratch);
    free(b->ids);
    free(b->start);
    free(b);
}
