/* model/act_int.h - the kernels behind act.h, one set for each kind of processor. */
#ifndef CARREL_MODEL_ACT_INT_H
#define CARREL_MODEL_ACT_INT_H
#include <stddef.h>

struct act_kernels {
    const char *name;
    void (*softmax)(float *x, int n);
    void (*gelu)(float *x, size_t n);
    void (*add_norm)(float *x, const float *add, const float *gain, const float *bias, int n,
                     float eps);
};

extern const struct act_kernels act_plain, act_avx2, act_avx512;
#endif
