/* tests/clusters.h - unit vectors as texts make them: in clusters of unequal
 * size around seeded centres, for the tests and benches of the graph. */
#ifndef CARREL_TESTS_CLUSTERS_H
#define CARREL_TESTS_CLUSTERS_H
#include <math.h>
#include <stdlib.h>
#include "base/rng.h"
#include "base/vec.h"

/* float[n][dim], yours; about one centre per 100 vectors, spread 0.9 around it. */
static inline float *clustered_vectors(int n, int dim, uint64_t seed)
{
    int n_centres = n / 100 + 1;
    float *centres = malloc((size_t)n_centres * (size_t)dim * sizeof(float));
    float *v = malloc((size_t)n * (size_t)dim * sizeof(float));
    struct rng r;
    rng_init(&r, seed);
    for (int i = 0; i < n_centres; i++) {
        for (int k = 0; k < dim; k++)
            centres[(size_t)i * (size_t)dim + (size_t)k] = (float)rng_normal(&r);
        vec_normalize(centres + (size_t)i * (size_t)dim, dim);
    }
    float spread = 0.9f / sqrtf((float)dim);
    for (int i = 0; i < n; i++) {
        double u = rng_unit(&r);   /* squared: some clusters are much larger */
        const float *c = centres + (size_t)(u * u * n_centres) * (size_t)dim;
        float *x = v + (size_t)i * (size_t)dim;
        for (int k = 0; k < dim; k++)
            x[k] = c[k] + spread * (float)rng_normal(&r);
        vec_normalize(x, dim);
    }
    free(centres);
    return v;
}
#endif
