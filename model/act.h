/* model/act.h - what stands between the products of a transformer: softmax,
 * GELU and SiLU with their gates, normalisations, rotary positions; plain C
 * twin, AVX2 and AVX-512.
 *
 * Every row is worked out alone and in one fixed order: equal rows give equal
 * bits on one machine. Threads   no state after the first call. */
#ifndef CARREL_MODEL_ACT_H
#define CARREL_MODEL_ACT_H
#include <stdbool.h>
#include <stddef.h>

/* x[i] = exp(x[i]) / sum exp(x[j]); n >= 1. Relative error below 4e-6 (float
 * differences of x to 40). */
void act_softmax(float *x, int n);
/* x[i] = x[i] * Phi(x[i]), the normal distribution by erf (not tanh). Absolute
 * error below 1e-6. */
void act_gelu(float *x, size_t n);
/* x = norm(x + add) * gain + bias, over n floats; `add` may be NULL.
 * norm(v) = (v - mean) / sqrt(variance + eps). */
void act_add_norm(float *x, const float *add, const float *gain, const float *bias, int n,
                  float eps);
/* x[i] = exp(x[i]), within 2 units in the last place for -87..88; it stays at
 * the ends' values beyond them. */
void act_exp(float *x, size_t n);
/* x[i] = silu(x[i]) * up[i], silu(v) = v / (1 + exp(-v)). */
void act_silu_mul(float *x, const float *up, size_t n);
/* x[i] = g(x[i]) * up[i], g the GELU by tanh:
 * g(v) = 0.5 v (1 + tanh(sqrt(2 / pi) (v + 0.044715 v^3))). */
void act_gelu_tanh_mul(float *x, const float *up, size_t n);
/* x[i] = cap * tanh(x[i] / cap); cap > 0. */
void act_softcap(float *x, size_t n, float cap);
/* x[i] += y[i]. */
void act_add(float *x, const float *y, size_t n);
/* out = x / sqrt(mean of squares + eps) * weight, over n floats (Zhang and Sennrich
 * 2019, arXiv:1910.07467); `weight` may be NULL, out may be x. Gemma's 1 + w is
 * in a GGUF file's weights already. */
void act_rms_norm(float *out, const float *x, const float *weight, int n, float eps);
/* Turn n / 2 pairs of x by their angles (Su et al. 2021, arXiv:2104.09864):
 * (a, b) -> (a cos - b sin, a sin + b cos). Pair i is x[2i], x[2i + 1] when
 * `adjacent` (llama), else x[i], x[i + n / 2] (NeoX); cosine and sine [n / 2];
 * n is even, what lies beyond n stays. */
void act_rope(float *x, const float *cosine, const float *sine, int n, bool adjacent);
#endif
