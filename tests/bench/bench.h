/* tests/bench/bench.h - what every bench does: stop at a failure, print a line. */
#ifndef CARREL_TESTS_BENCH_H
#define CARREL_TESTS_BENCH_H
#include <stdio.h>
#include <stdlib.h>
#include "base/err.h"

static void must(enum err_code rc, const struct err *err)
{
    if (!rc)
        return;
    fprintf(stderr, "%s\n", err->msg);
    exit(1);
}

/* name, input, metric, value; tabs between. */
__attribute__((unused)) static void show(const char *name, const char *input, const char *metric,
                                         double value)
{
    printf("%s\t%s\t%s\t%.4g\n", name, input, metric, value);
    fflush(stdout);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts v[n]; .5 is the median. */
__attribute__((unused)) static double quantile(double *v, int n, double q)
{
    qsort(v, (size_t)n, sizeof(*v), by_value);
    int i = (int)(q * n);
    return v[i < n ? i : n - 1];
}
#endif
