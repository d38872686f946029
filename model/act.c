/* model/act.c - the plain kernels, and the choice among all. */
#define LANES 4
#include "model/act_body.h"
#include "base/cpu.h"
#include "model/act.h"

KERNELS(plain);

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

void act_exp(float *x, size_t n)
{
    kernels()->exps(x, n);
}

void act_silu_mul(float *x, const float *up, size_t n)
{
    kernels()->silu_mul(x, up, n);
}

void act_gelu_tanh_mul(float *x, const float *up, size_t n)
{
    kernels()->gelu_tanh_mul(x, up, n);
}

void act_softcap(float *x, size_t n, float cap)
{
    kernels()->softcap(x, n, cap);
}

void act_add(float *x, const float *y, size_t n)
{
    kernels()->add(x, y, n);
}

void act_rms_norm(float *out, const float *x, const float *weight, int n, float eps)
{
    kernels()->rms_norm(out, x, weight, n, eps);
}

void act_rope(float *x, const float *cosine, const float *sine, int n, bool adjacent)
{
    kernels()->rope(x, cosine, sine, n, adjacent);
}
