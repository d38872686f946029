/* model/gemm.h - dense products of floats.
 *
 * gemm is OpenBLAS's (its one door). The library is loaded on first use, not at
 * start: a box whose encoder is the built-in table never pays for it. It is
 * told this processor's best kernels (cpu_blas_coretype) and one thread; a team
 * splits the work instead. Its bits depend on the shape of the whole product:
 * on its Haswell kernels a row's sum differs with the row's place.
 * gemm_rows is ours: weights are laid out once for the processor at hand, and
 * each output is one chain of multiply-adds in the order of k, so that a row's
 * bits depend on that row alone.
 * Row-major everywhere. Threads  many callers after gemm_init. */
#ifndef CARREL_MODEL_GEMM_H
#define CARREL_MODEL_GEMM_H
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "base/thread.h"

/* Load the library; call before other threads start (it sets environment
 * variables). Again is free. ERR_IO names the package when it is missing. */
enum err_code gemm_init(struct err *err);
const char *gemm_kernel(void);   /* "Cooperlake", "Haswell", ...; "" before gemm_init */

/* c[m][n] = alpha * op(a) op(b) + beta * c, leading dimensions in elements. */
void gemm(bool trans_a, bool trans_b, int m, int n, int k, float alpha, const float *a, int lda,
          const float *b, int ldb, float beta, float *c, int ldc);

/* Floats of w[n][k] in the layout of gemm_rows; gemm_pack writes them, a row of
 * w at a time, to `packed` (aligned to 64 bytes, zeroed before the first row). */
size_t gemm_packed_floats(int n, int k);
void gemm_pack_row(int row, int n, int k, const float *w_row, float *packed);

/* y[m][n] = x[m][k] w[n][k]^T + bias[n] (bias may be NULL); w as packed. Each
 * row's bits depend on that row alone: not on m, on its place, or on the team. */
void gemm_rows(struct team *team, int m, int n, int k, const float *x, const float *packed,
               const float *bias, float *y);
#endif
