/* tests/tools/sts.c - Spearman's rank correlation between an encoder's cosines
 * and people's judgement of how alike two sentences are.
 *
 *   build/release/tools/sts FILE [MODEL.gguf]
 *
 * FILE has a line a pair, with tabs between: score, sentence, sentence (the
 * STS benchmark's dev.tsv). Without a model: the built-in encoder.
 * Prints sts<TAB>file<TAB>spearman<TAB>value. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/file.h"
#include "embed/embed.h"

enum { PAIRS_MAX = 100000, FILE_MAX = 1 << 27 };

struct value {
    double v;
    int at;
};

static int by_value(const void *a, const void *b)
{
    const struct value *x = a, *y = b;
    return (x->v > y->v) - (x->v < y->v);
}

/* Values become ranks; equal values share their mean rank. */
static void rank(double *v, int n)
{
    struct value *s = calloc((size_t)n, sizeof(*s));
    if (!s)
        exit(1);
    for (int i = 0; i < n; i++)
        s[i] = (struct value){v[i], i};
    qsort(s, (size_t)n, sizeof(*s), by_value);
    for (int i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && s[end].v == s[i].v; end++)
            ;
        for (int j = i; j < end; j++)
            v[s[j].at] = (i + end - 1) / 2.0;
    }
    free(s);
}

static double correlation(const double *x, const double *y, int n)
{
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (int i = 0; i < n; i++) {
        mx += x[i] / n;
        my += y[i] / n;
    }
    for (int i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

static double cosine(struct embed *e, const struct str texts[2], float *v, struct err *err)
{
    int dim = embed_stamp(e)->dim;
    double sum = 0;
    if (embed_texts(e, texts, 2, v, NULL, NULL, err)) {
        fprintf(stderr, "%s\n", err->msg);
        exit(1);
    }
    for (int i = 0; i < dim; i++)
        sum += (double)v[i] * (double)v[dim + i];
    return sum;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct buf file = {0};
    struct embed *e = NULL;
    const struct embed_options opt = {.model_path = argc > 2 ? argv[2] : NULL};
    if (argc < 2 || file_read(argv[1], FILE_MAX, &file, &err) || embed_open(&opt, &e, &err)) {
        fprintf(stderr, "%s\n", argc < 2 ? "usage: sts FILE [MODEL.gguf]" : err.msg);
        return 1;
    }
    double *judged = calloc(PAIRS_MAX, sizeof(*judged)), *got = calloc(PAIRS_MAX, sizeof(*got));
    float *v = calloc(2 * (size_t)embed_stamp(e)->dim, sizeof(*v));
    struct str rest = buf_view(&file), line;
    int n = 0;
    while (judged && got && v && n < PAIRS_MAX && str_split(&rest, '\n', &line)) {
        struct str score, texts[2];
        if (!str_split(&line, '\t', &score) || !str_split(&line, '\t', &texts[0]) ||
            !str_split(&line, '\t', &texts[1]))
            continue;
        judged[n] = strtod(score.ptr, NULL); /* a tab stands behind it */
        got[n++] = cosine(e, texts, v, &err);
    }
    rank(judged, n);
    rank(got, n);
    printf("sts\t%s\tspearman\t%.4f\n", argv[1], correlation(judged, got, n));
    free(judged);
    free(got);
    free(v);
    buf_free(&file);
    embed_close(e);
    return n > 1 ? 0 : 1;
}
