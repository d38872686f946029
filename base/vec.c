#include "base/vec.h"
#include <math.h>
#include <pthread.h>
#include "base/cpu.h"
#include "base/vec_int.h"

/* Eight sums side by side: baseline x86-64 does four at a time. */
static float plain_dot(const float *a, const float *b, int n)
{
    float s[8] = {0};
    int i = 0;
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++)
            s[j] += a[i + j] * b[i + j];
    for (int j = 0; i < n; i++, j++)
        s[j] += a[i] * b[i];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static void plain_axpy(float *y, float a, const float *x, int n)
{
    for (int i = 0; i < n; i++)
        y[i] += a * x[i];
}

const struct vec_kernels vec_plain = {"plain", plain_dot, plain_axpy};

static struct vec_kernels chosen;

static void choose(void)
{
    const struct cpu *c = cpu_get();
    chosen = c->avx512 ? vec_avx512 : c->avx2 ? vec_avx2 : vec_plain;
}

static const struct vec_kernels *kernels(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose);
    return &chosen;
}

float vec_dot(const float *a, const float *b, int n)
{
    return kernels()->dot(a, b, n);
}

void vec_axpy(float *y, float a, const float *x, int n)
{
    kernels()->axpy(y, a, x, n);
}

/* The square of a float may leave the range of floats; of a double it cannot. */
static double length_of(const float *x, int n)
{
    float square = kernels()->dot(x, x, n);
    if (square > 1e-30f && square < 1e30f)
        return sqrtf(square);
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum);
}

float vec_normalize(float *x, int n)
{
    double length = length_of(x, n);
    if (length > 0)
        for (int i = 0; i < n; i++)
            x[i] = (float)(x[i] / length);
    return (float)length;
}

const char *vec_kernel(void)
{
    return kernels()->name;
}
