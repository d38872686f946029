/* embed/rows.h - a tensor's rows in memory of our own: a model file that is written
 * over while we run must not change a vector.
 * Threads   no state. Memory  rows_free. Private to embed/. */
#ifndef CARREL_EMBED_ROWS_H
#define CARREL_EMBED_ROWS_H
#include "base/err.h"
#include "model/tensor.h"

/* *out is `t` with its data copied; its name stays borrowed. */
enum err_code rows_copy(const struct tensor *t, struct tensor *out, struct err *err);
void rows_free(struct tensor *t);   /* the zero tensor is fine */
#endif
