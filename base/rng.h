/* base/rng.h - numbers: repeatable from a seed (xoshiro256**, Blackman and
 * Vigna 2018), and secret from the kernel (getrandom(2)). */
#ifndef CARREL_BASE_RNG_H
#define CARREL_BASE_RNG_H
#include <stddef.h>
#include <stdint.h>

struct rng { uint64_t s[4]; };
void rng_init(struct rng *r, uint64_t seed);   /* SplitMix64 fills the state */
uint64_t rng_next(struct rng *r);
double rng_unit(struct rng *r);                /* [0, 1) */
double rng_normal(struct rng *r);              /* mean 0, variance 1 */
uint64_t rng_below(struct rng *r, uint64_t n); /* [0, n), no bias */
void rng_secret(void *out, size_t n);          /* aborts if the kernel has none */
#endif
