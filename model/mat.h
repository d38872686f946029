/* model/mat.h - weight matrices laid out for this processor, and their products.
 *
 * A tensor of a file is repacked once, when a model is loaded: 16 rows of w
 * side by side (a panel), so that decoding reads memory front to back and one
 * kernel shape serves every type. The file is not needed afterwards: it may be
 * replaced or cut short while the model runs.
 * What is computed, y[m][n] = x[m][k] w[n][k]^T:
 *   F32          x stays F32; an output is one chain of fused multiply-adds in
 *                the order of k
 *   F16          w and x become whole numbers of 16 bits in blocks of 64 with one
 *                scale each (mat_fixed.h), off by 1/11000 of their block's root mean
 *                square at most, or by 1/64000 of its largest where few stand out;
 *                dots of a block are exact integers, and so on as below
 *   BF16         x is rounded to BF16; pairs of products as VDPBF16PS sums them
 *                (where the processor has it; else as F32)
 *   all others   x is rounded to int8 in blocks of 32 with one scale each; dots
 *                of a block are exact integers, an output is one chain of float
 *                multiply-adds in the order of the blocks
 * so that a row of y has the same bits whatever the other rows, m, and the team.
 * Threads   matrices are immutable after mat_pack; a mat_input has one owner.
 * Memory    mat_free, mat_input_free, mat_store_free. */
#ifndef CARREL_MODEL_MAT_H
#define CARREL_MODEL_MAT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/thread.h"
#include "model/tensor.h"

struct mat;
/* Bytes that mat_pack will take for n rows of k; 0: no kernel for this type. */
size_t mat_bytes(enum tensor_type type, int64_t n, int64_t k);
/* Rows [row0, row0 + n) of `t` (its dimensions above the first are one row
 * count: experts lie behind each other). ERR_FORMAT: a type without kernel, k no
 * multiple of its block, or rows that are not there; ERR_NOMEM. */
enum err_code mat_pack(struct team *team, const struct tensor *t, int64_t row0, int n,
                       struct mat **out, struct err *err);
/* Memory for the matrices of one model, side by side. Most of a small model's are smaller
 * than a large page of the system, and on small pages decoding spends a tenth of its time
 * waiting for addresses. ERR_NOMEM. One owner; outlives what was packed in it. */
struct mat_store;
enum err_code mat_store_new(size_t bytes, struct mat_store **out, struct err *err);
void mat_store_free(struct mat_store *s);  /* NULL is fine */
/* As mat_pack; once the store is full, a matrix takes memory of its own. */
enum err_code mat_pack_in(struct mat_store *store, struct team *team, const struct tensor *t,
                          int64_t row0, int n, struct mat **out, struct err *err);
void mat_free(struct mat *w);              /* NULL is fine */
int mat_n(const struct mat *w);            /* rows of w: outputs */
int mat_k(const struct mat *w);
enum tensor_type mat_type(const struct mat *w);
size_t mat_size_bytes(const struct mat *w);
/* Row `row` as floats: out[k], of F16 as products see it, of other types bit for bit
 * what tensor_row gives. An embedding that is also the output matrix is kept once. */
void mat_row(const struct mat *w, int row, float *out);

/* Activations, in the forms that the matrices they meet ask for (each is made
 * on first use and kept until the next mat_input_set). */
struct mat_input;
enum err_code mat_input_new(int max_m, int max_k, struct mat_input **out, struct err *err);
void mat_input_free(struct mat_input *x);  /* NULL is fine */
/* x[m][k], rows ldx apart; borrowed until the next set. */
void mat_input_set(struct mat_input *x, int m, int k, const float *rows, size_t ldx);

/* y[m][n] rows ldy apart; `bias`[n] may be NULL. Several matrices that meet the
 * same x share one parallel loop. */
struct mat_task {
    const struct mat *w;
    const float *bias;
    float *y;
    size_t ldy;
};
#define MAT_TASKS_MAX 8
void mat_mul(struct team *team, struct mat_input *x, const struct mat_task *tasks, int n_tasks);
/* "avx512 vnni bf16", "avx2 vnni", "avx2", "plain". */
const char *mat_kernels(void);
#endif
