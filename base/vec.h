/* base/vec.h - dot products of floats: plain C twin, AVX2 and AVX-512.
 * The summation order is the kernel's own and the same on every call, so that
 * equal input gives equal bits on one machine.
 * Threads   no state after the first call. */
#ifndef CARREL_BASE_VEC_H
#define CARREL_BASE_VEC_H

float vec_dot(const float *a, const float *b, int n);          /* sum a[i] b[i] */
void vec_axpy(float *y, float a, const float *x, int n);        /* y[i] += a x[i] */
/* Divide by the Euclidean length; returns it. A length of 0 leaves zeros. */
float vec_normalize(float *x, int n);
const char *vec_kernel(void);                                   /* "avx512", "avx2", "plain" */
#endif
