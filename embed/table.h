/* embed/table.h - the static encoder: a table of token vectors.
 *
 * A text's vector is the unit vector along the sum over its distinct
 * WordPieces of (1 + ln tf) E[piece]; control pieces never appear, unknown ones
 * are skipped, and a text of nothing else has the zero vector. There is no
 * window: a text of any length is one sum.
 * File      GGUF, general.architecture "static": tensor "token_embd.weight"
 *           [pieces][dim] (F32, F16, Q8_0 or Q4_0), the pieces under
 *           tokenizer.ggml.*, carrel.dense_weight. embed/trainer.c writes it.
 * Threads   immutable after open. Memory  rows are read from the GGUF, which
 *           must outlive the table; table_keep makes them its own.
 * Same text, same bits: pieces are summed in the order of their ids.
 * Private to embed/. */
#ifndef CARREL_EMBED_TABLE_H
#define CARREL_EMBED_TABLE_H
#include "base/err.h"
#include "base/str.h"
#include "model/gguf.h"

#define TABLE_DIM_MAX 4096

struct table;

/* What the file says of itself. */
struct table_info {
    struct str name;      /* general.name; borrowed from the GGUF */
    int dim;              /* floats in a vector, 32..TABLE_DIM_MAX */
    int n_pieces;         /* rows */
    float dense_weight;   /* 0..1: the dense side's share in fusion */
};

/* ERR_FORMAT: not a static table, or its parts do not fit each other. */
enum err_code table_open(const struct gguf *g, struct table **out, struct err *err);
/* For a file that others may write over. */
enum err_code table_keep(struct table *t, struct err *err);
void table_free(struct table *t);   /* NULL is fine */
struct table_info table_info(const struct table *t);

/* Write the vector of `text` to out[dim]: length 1, or zero when it has no
 * known piece. `tokens`, when not NULL, gets the pieces it has, unknown ones
 * included. ERR_NOMEM, or ERR_LIMIT past 2^31 - 1 pieces. */
enum err_code table_embed(const struct table *t, struct str text, float *out, int *tokens,
                          struct err *err);
/* The pieces of `text` alone. */
enum err_code table_count(const struct table *t, struct str text, int *n, struct err *err);
#endif
