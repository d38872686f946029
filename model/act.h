/* model/act.h - what stands between the products of a transformer: softmax,
 * GELU, layer normalisation; plain C twin, AVX2 and AVX-512.
 *
 * Every row is worked out alone and in one fixed order: equal rows give equal
 * bits on one machine. Threads   no state after the first call. */
#ifndef CARREL_MODEL_ACT_H
#define CARREL_MODEL_ACT_H
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
#endif
