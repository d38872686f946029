/* model/gemm.c - OpenBLAS behind dlopen. */
#include "model/gemm.h"
#include <cblas.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/cpu.h"

#define LIBRARY "libopenblas.so.0"

static struct {
    pthread_once_t once;
    __typeof__(&cblas_sgemm) sgemm;
    char kernel[32];
    struct err err;
} blas = {.once = PTHREAD_ONCE_INIT};

static void load(void)
{
    const char *core = cpu_blas_coretype();
    if (core)
        setenv("OPENBLAS_CORETYPE", core, 0);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        err_set(&blas.err, ERR_IO, "%s is missing: install the package libopenblas0", LIBRARY);
        return;
    }
    void *fn = dlsym(lib, "cblas_sgemm");
    memcpy(&blas.sgemm, &fn, sizeof(fn));
    char *(*name)(void);
    fn = dlsym(lib, "openblas_get_corename");
    memcpy(&name, &fn, sizeof(fn));
    if (name)
        strncpy(blas.kernel, name(), sizeof(blas.kernel) - 1);
    if (!blas.sgemm)
        err_set(&blas.err, ERR_IO, "%s has no cblas_sgemm", LIBRARY);
}

enum err_code gemm_init(struct err *err)
{
    pthread_once(&blas.once, load);
    return blas.err.code ? err_set(err, blas.err.code, "%s", blas.err.msg) : OK;
}

const char *gemm_kernel(void)
{
    return blas.kernel;
}

void gemm(bool trans_a, bool trans_b, int m, int n, int k, float alpha, const float *a, int lda,
          const float *b, int ldb, float beta, float *c, int ldc)
{
    blas.sgemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans,
               trans_b ? CblasTrans : CblasNoTrans, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
