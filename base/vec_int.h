/* base/vec_int.h - one set of kernels; vec.c chooses among them. */
#ifndef CARREL_BASE_VEC_INT_H
#define CARREL_BASE_VEC_INT_H

struct vec_kernels {
    const char *name;
    float (*dot)(const float *a, const float *b, int n);
    void (*axpy)(float *y, float a, const float *x, int n);
};

extern const struct vec_kernels vec_plain, vec_avx2, vec_avx512;
#endif
