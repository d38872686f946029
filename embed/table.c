/* embed/table.c - sums of token vectors.
 *
 * A text's ids are sorted, so that equal pieces stand together and the sum has
 * one order whatever the text's; each row is widened to floats on a small stack
 * buffer as it is added. Rows stay in the file's own type; those of the built-in table in
 * the program's own pages, so that it costs its vocabulary in memory and nothing else. */
#include "embed/table.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/vec.h"
#include "embed/rows.h"
#include "model/wordpiece.h"

#define IDS_AT_HAND  1024 /* pieces of an ordinary chunk: no allocation below */
#define TF_LOGS      64   /* 1 + ln tf looked up below, computed above */
#define DENSE_WEIGHT 0.4f /* of a file that does not say */

struct table {
    struct table_info info;
    struct tensor rows; /* [n_pieces][dim], borrowed, or `own` */
    struct tensor own;
    struct wordpiece *pieces;
    int32_t unk;
    float tf_log[TF_LOGS];
};

static enum err_code check_rows(const struct gguf *g, const struct tensor *t, size_t n,
                                struct err *err)
{
    if (!t)
        return err_set(err, ERR_FORMAT, "%s: no tensor token_embd.weight", gguf_name(g));
    if (t->n_dims != 2 || t->ne[0] < 32 || t->ne[0] > TABLE_DIM_MAX)
        return err_set(err, ERR_FORMAT,
                       "%s: token_embd.weight has %d dimensions, the first %lld: want 2, 32 to %d",
                       gguf_name(g), t->n_dims, (long long)t->ne[0], TABLE_DIM_MAX);
    if (t->ne[1] != (int64_t)n)
        return err_set(err, ERR_FORMAT, "%s: %lld rows for %zu pieces", gguf_name(g),
                       (long long)t->ne[1], n);
    return OK;
}

static enum err_code read_info(struct table *t, const struct gguf *g, struct err *err)
{
    struct str arch = {0};
    enum err_code rc = gguf_str(g, "general.architecture", &arch, err);
    if (rc)
        return rc;
    if (!str_eqz(arch, "static"))
        return err_set(err, ERR_FORMAT, "%s: architecture \"%.*s\" is not \"static\"", gguf_name(g),
                       STR_ARG(arch));
    double weight = DENSE_WEIGHT;
    rc = gguf_num(g, "carrel.dense_weight", &weight, err);
    if (rc && rc != ERR_NOTFOUND)
        return rc;
    if (!(weight >= 0 && weight <= 1))
        return err_set(err, ERR_FORMAT, "%s: carrel.dense_weight %g: want 0 to 1", gguf_name(g),
                       weight);
    t->info = (struct table_info){.name = STR("static"), .dense_weight = (float)weight};
    rc = gguf_str(g, "general.name", &t->info.name, err);
    return rc == ERR_NOTFOUND ? OK : rc;
}

enum err_code table_open(const struct gguf *g, struct table **out, struct err *err)
{
    struct table *t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(err, ERR_NOMEM, "a table of token vectors");
    enum err_code rc = read_info(t, g, err);
    if (!rc)
        rc = wordpiece_open(g, &t->pieces, err);
    if (rc)
        goto fail;
    const struct tensor *rows = gguf_tensor(g, "token_embd.weight");
    rc = check_rows(g, rows, wordpiece_size(t->pieces), err);
    if (rc)
        goto fail;
    t->rows = *rows;
    t->info.dim = (int)rows->ne[0];
    t->info.n_pieces = (int)rows->ne[1];
    t->unk = wordpiece_unk(t->pieces);
    for (int tf = 1; tf < TF_LOGS; tf++)
        t->tf_log[tf] = 1 + logf((float)tf);
    *out = t;
    return OK;
fail:
    table_free(t);
    return rc;
}

enum err_code table_keep(struct table *t, struct err *err)
{
    enum err_code rc = rows_copy(&t->rows, &t->own, err);
    if (!rc)
        t->rows = t->own;
    return rc;
}

void table_free(struct table *t)
{
    if (!t)
        return;
    rows_free(&t->own);
    wordpiece_free(t->pieces);
    free(t);
}

struct table_info table_info(const struct table *t)
{
    return t->info;
}

static int by_id(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* out[dim] += (1 + ln tf) E[id] for the distinct ids of the sorted ids[n]. */
static void add_rows(const struct table *t, const int32_t *ids, size_t n, float *out)
{
    float row[TABLE_DIM_MAX];
    for (size_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && ids[next] == ids[i]; next++)
            ;
        if (ids[i] == t->unk)
            continue;
        size_t tf = next - i;
        tensor_row(&t->rows, ids[i], row);
        vec_axpy(out, tf < TF_LOGS ? t->tf_log[tf] : 1 + logf((float)tf), row, t->info.dim);
    }
}

enum err_code table_embed(const struct table *t, struct str text, float *out, int *tokens,
                          struct err *err)
{
    int32_t at_hand[IDS_AT_HAND], *ids = at_hand;
    size_t n = 0;
    enum err_code rc = wordpiece_encode(t->pieces, text, ids, NULL, IDS_AT_HAND, &n, err);
    if (rc)
        return rc;
    if (n > INT_MAX)
        return err_set(err, ERR_LIMIT, "a text of %zu pieces: want at most %d", n, INT_MAX);
    if (n > IDS_AT_HAND) {
        ids = malloc(n * sizeof(*ids));
        if (!ids)
            return err_set(err, ERR_NOMEM, "the pieces of a text: %zu", n);
        rc = wordpiece_encode(t->pieces, text, ids, NULL, n, &n, err);
        if (rc)
            goto done;
    }
    qsort(ids, n, sizeof(*ids), by_id);
    memset(out, 0, (size_t)t->info.dim * sizeof(*out));
    add_rows(t, ids, n, out);
    if (!isfinite(vec_normalize(out, t->info.dim)))
        rc =
            err_set(err, ERR_FORMAT, "%.*s: a token's vector is not finite", STR_ARG(t->info.name));
    else if (tokens)
        *tokens = (int)n;
done:
    if (ids != at_hand)
        free(ids);
    return rc;
}

enum err_code table_count(const struct table *t, struct str text, int *n, struct err *err)
{
    size_t count = 0;
    enum err_code rc = wordpiece_encode(t->pieces, text, NULL, NULL, 0, &count, err);
    if (rc)
        return rc;
    if (count > INT_MAX)
        return err_set(err, ERR_LIMIT, "a text of %zu pieces: want at most %d", count, INT_MAX);
    *n = (int)count;
    return OK;
}
