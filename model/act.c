/* model/act.c - the plain kernels, and the choice among all. */
#define LANES 4
#include "model/act_body.h"
#include "base/cpu.h"
#include "model/act.h"

const struct act_kernels act_plain = {"plain", softmax, gelu, add_norm};

static const struct act_kernels *kernels(void)
{
    const struct cpu *c = cpu_get();
    return c->avx512 ? &act_avx512 : c->avx2 ? &act_avx2 : &act_plain;
}

void act_softmax(float *x, int n)
{
    kernels()->softmax(x, n);
}

void act_gelu(float *x, size_t n)
{
    kernels()->gelu(x, n);
}

void act_add_norm(float *x, const float *add, const float *gain, const float *bias, int n,
                  float eps)
{
    kernels()->add_norm(x, add, gain, bias, n, eps);
}
