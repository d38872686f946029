/* llm/decoder.c - a file of weights becomes a decoder: everything is checked
 * first (one walk that only adds up), then vectors are copied as floats and
 * matrices repacked (a second walk, the same visits in the same order). */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include "base/memory.h"
#include "llm/decoder_int.h"

/* ---- the first walk ---- */

static enum err_code add_up(void *arg, const struct decoder_found *f, struct err *err)
{
    (void)err;
    struct decoder_shape *s = &((struct decoder_net *)arg)->shape;
    bool vector = f->row->kind == DECODER_VEC;
    size_t in_file = tensor_row_bytes(f->t->type, f->k) * (size_t)f->n;
    s->n_params += f->n * f->k;
    size_t floats = mat_bytes(TENSOR_F32, f->n, f->k);
    s->weight_bytes += vector ? (size_t)f->k * sizeof(float) : mat_bytes(f->t->type, f->n, f->k);
    ((struct decoder_net *)arg)->exact_bytes += vector ? (size_t)f->k * sizeof(float) : floats;
    if (f->row->field == offsetof(struct decoder, embd) && f->layer < 0)
        s->touched_bytes += s->tied ? in_file : in_file / (size_t)f->n;
    else if (f->row->kind != DECODER_EXPERTS || f->expert < s->n_experts_used)
        s->touched_bytes += in_file;
    return OK;
}

static enum err_code read_net(const struct gguf *g, enum decoder_math math,
                              struct decoder_net *net, struct err *err)
{
    enum err_code rc = decoder_read_keys(g, net, err);
    if (!rc)
        rc = decoder_walk(g, net, add_up, net, err);
    if (rc)
        return rc;
    net->shape.exact = math == DECODER_AUTO ? net->exact_bytes <= DECODER_EXACT_BYTES
                                            : math == DECODER_EXACT;
    if (net->shape.exact)
        net->shape.weight_bytes = net->exact_bytes;
    return OK;
}

enum err_code decoder_shape(const struct gguf *g, struct decoder_shape *out, struct err *err)
{
    struct decoder_net net;
    enum err_code rc = read_net(g, DECODER_AUTO, &net, err);
    if (!rc)
        *out = net.shape;
    return rc;
}

enum err_code decoder_fits(const struct decoder_shape *s, size_t cache, const char *whose,
                           size_t work, struct err *err)
{
    const double mib = 1 << 20;
    const char *why;
    size_t weights = s->weight_bytes, there = memory_available(&why);
    if (weights <= there && cache <= there - weights && work <= there - weights - cache)
        return OK;
    return err_set(err, ERR_NOMEM,
                   "needs %.0f MiB for weights, %.0f MiB for the cache%s and %.0f MiB to work with, "
                   "and %.0f MiB are available (%s)", (double)weights / mib, (double)cache / mib,
                   whose, (double)work / mib, (double)there / mib, why);
}

/* ---- the second ---- */

struct loader {
    const struct gguf *g;
    struct decoder *d;
    struct team *team;
    void (*progress)(void *arg, double done);
    void *progress_arg;
    size_t done;               /* bytes of weights */
};

static void *field_of(struct decoder *d, const struct decoder_tensor *row, int layer)
{
    return (char *)(layer < 0 ? (void *)d : (void *)&d->layer[layer]) + row->field;
}

/* A vector as floats, yours. Those that divide may not be zero. */
static enum err_code load_vector(const struct gguf *g, const struct decoder_found *f, float **out,
                                 struct err *err)
{
    float *v = malloc((size_t)f->k * sizeof(*v));
    if (!v)
        return err_set(err, ERR_NOMEM, "%zu bytes of weights", (size_t)f->k * sizeof(*v));
    tensor_row(f->t, 0, v);
    for (int64_t i = 0; i < f->k; i++) {
        if (isfinite(v[i]) && (v[i] > 0 || !(f->row->part & (PART_FREQS | PART_LONG))))
            continue;
        err_set(err, ERR_FORMAT, "%s: tensor %.*s: element %lld is %g", gguf_name(g),
                STR_ARG(f->t->name), (long long)i, (double)v[i]);
        free(v);
        return ERR_FORMAT;
    }
    *out = v;
    return OK;
}

/* The rows as floats first. */
static enum err_code pack_exact(const struct loader *l, const struct decoder_found *f,
                                struct mat **out, struct err *err)
{
    float *rows = malloc((size_t)f->n * (size_t)f->k * sizeof(*rows));
    if (!rows)
        return err_set(err, ERR_NOMEM, "%.*s as floats", STR_ARG(f->t->name));
    for (int64_t i = 0; i < f->n; i++)
        tensor_row(f->t, f->row0 + i, rows + i * f->k);
    struct tensor t = {.name = f->t->name, .type = TENSOR_F32, .n_dims = 2,
                       .ne = {f->k, f->n, 1, 1}, .data = rows};
    enum err_code rc = mat_pack_in(l->d->store, l->team, &t, 0, (int)f->n, out, err);
    free(rows);
    return rc;
}

static enum err_code load(void *arg, const struct decoder_found *f, struct err *err)
{
    struct loader *l = arg;
    void *field = field_of(l->d, f->row, f->layer);
    enum err_code rc;
    if (f->row->kind == DECODER_VEC) {
        rc = load_vector(l->g, f, field, err);
        l->done += (size_t)f->k * sizeof(float);
    } else {
        struct mat **at = field;
        if (f->expert >= 0)
            at = *(struct mat ***)field + f->expert;
        bool exact = l->d->net.shape.exact;
        rc = exact ? pack_exact(l, f, at, err)
                   : mat_pack_in(l->d->store, l->team, f->t, f->row0, (int)f->n, at, err);
        l->done += mat_bytes(exact ? TENSOR_F32 : f->t->type, f->n, f->k);
    }
    size_t row_bytes = tensor_row_bytes(f->t->type, f->k);
    gguf_done_with(l->g, (const uint8_t *)f->t->data + (size_t)f->row0 * row_bytes,
                   (size_t)f->n * row_bytes);
    if (!rc && l->progress)
        l->progress(l->progress_arg, (double)l->done / (double)l->d->net.shape.weight_bytes);
    return rc;
}

static enum err_code make_layers(struct decoder *d, struct err *err)
{
    const struct decoder_shape *s = &d->net.shape;
    size_t n = (size_t)s->n_experts;
    bool ok = (d->layer = calloc((size_t)s->n_layers, sizeof(*d->layer))) != NULL;
    for (int i = 0; ok && n && i < s->n_layers; i++) {
        struct decoder_layer *l = &d->layer[i];
        ok = (l->gate_exps = calloc(n, sizeof(*l->gate_exps))) &&
             (l->up_exps = calloc(n, sizeof(*l->up_exps))) &&
             (l->down_exps = calloc(n, sizeof(*l->down_exps)));
    }
    return ok ? OK : err_set(err, ERR_NOMEM, "%d layers", s->n_layers);
}

enum err_code decoder_open(const struct gguf *g, struct team *team, enum decoder_math math,
                           void (*progress)(void *arg, double done), void *progress_arg,
                           struct decoder **out, struct err *err)
{
    *out = NULL;
    struct decoder *d = calloc(1, sizeof(*d));
    if (!d)
        return err_set(err, ERR_NOMEM, "%s", gguf_name(g));
    struct loader l = {.g = g, .d = d, .team = team, .progress = progress,
                       .progress_arg = progress_arg};
    enum err_code rc = read_net(g, math, &d->net, err);
    if (!rc)
        rc = make_layers(d, err);
    if (!rc)
        rc = mat_store_new(d->net.shape.weight_bytes, &d->store, err);
    if (!rc)
        rc = decoder_walk(g, &d->net, load, &l, err);
    struct err why;   /* what else was found wrong may come of it */
    if (gguf_intact(g, &why))
        rc = err_set(err, why.code, "%s", why.msg);
    if (rc)
        decoder_free(d);
    else
        *out = d;
    return rc;
}

static void free_experts(struct mat **w, int n)
{
    for (int e = 0; w && e < n; e++)
        mat_free(w[e]);
    free(w);
}

/* Two rows may name one field: it is NULL afterwards. */
static void release(struct decoder *d, const struct decoder_tensor *row, int layer)
{
    void *field = field_of(d, row, layer);
    if (row->kind == DECODER_VEC) {
        free(*(float **)field);
        *(float **)field = NULL;
    } else if (row->kind == DECODER_MAT) {
        mat_free(*(struct mat **)field);
        *(struct mat **)field = NULL;
    } else {
        free_experts(*(struct mat ***)field, d->net.shape.n_experts);
        *(struct mat ***)field = NULL;
    }
}

void decoder_free(struct decoder *d)
{
    if (!d)
        return;
    for (int i = 0; i < decoder_n_tensors; i++)
        release(d, &decoder_tensors[i], -1);
    for (int l = 0; d->layer && l < d->net.shape.n_layers; l++)
        for (int i = 0; i < decoder_n_layer_tensors; i++)
            release(d, &decoder_layer_tensors[i], l);
    mat_store_free(d->store);
    free(d->layer);
    free(d);
}

const struct decoder_shape *decoder_shape_of(const struct decoder *d)
{
    return &d->net.shape;
}
