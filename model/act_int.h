/* model/act_int.h - the kernels behind act.h, one set for each kind of processor. */
#ifndef CARREL_MODEL_ACT_INT_H
#define CARREL_MODEL_ACT_INT_H
#include <stdbool.h>
#include <stddef.h>

struct act_kernels {
    const char *name;
    void (*softmax)(float *x, int n);
    void (*gelu)(float *x, size_t n);
    void (*add_norm)(float *x, const float *add, const float *gain, const float *bias, int n,
                     float eps);
    void (*exps)(float *x, size_t n);
    void (*silu_mul)(float *x, const float *up, size_t n);
    void (*gelu_tanh_mul)(float *x, const float *up, size_t n);
    void (*softcap)(float *x, size_t n, float cap);
    void (*add)(float *x, const float *y, size_t n);
    void (*rms_norm)(float *out, const float *x, const float *weight, int n, float eps);
    void (*rope)(float *x, const float *cosine, const float *sine, int n, bool adjacent);
};

extern const struct act_kernels act_plain, act_avx2, act_avx512;
#endif
