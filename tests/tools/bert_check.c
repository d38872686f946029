/* tests/tools/bert_check.c - the encoder against vectors made elsewhere.
 *
 *   bert_check FOLDER TYPE MAX_DIFF MIN_COSINE
 *
 * FOLDER as tests/tools/bert_oracle.py leaves it, TYPE names the file. Embeds
 * all texts at once with a team, one by one without, and in a shuffled order;
 * the three must agree in every bit, and with the oracle within the bounds. Prints the largest
 * |difference| and the least cosine; exit 1 when a bound is broken. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "embed/embed.h"

#define TEXTS_MAX 1000

struct check {
    struct embed *team, *alone;
    struct str text[TEXTS_MAX];
    int n, dim;
    const float *want;         /* [n][dim] */
    float *got, *other;        /* [n][dim] */
};

static void must(enum err_code rc, const struct err *err)
{
    if (!rc)
        return;
    fprintf(stderr, "%s\n", err->msg);
    exit(1);
}

static struct str read_all(const char *folder, const char *name)
{
    struct err err;
    struct buf path = {0}, b = {0};
    buf_printf(&path, "%s/%s", folder, name);
    must(file_read(path.ptr, 1 << 28, &b, &err), &err);
    buf_free(&path);
    return buf_view(&b);
}

static struct embed *open_model(const char *folder, const char *type, struct team *team)
{
    struct err err;
    struct embed *e;
    struct buf path = {0};
    buf_printf(&path, "%s/%s.gguf", folder, type);
    struct embed_options opt = {.model_path = path.ptr, .team = team};
    must(embed_open(&opt, &e, &err), &err);
    buf_free(&path);
    return e;
}

static int differing(const struct check *c)
{
    int bad = 0;
    for (int i = 0; i < c->n; i++) {
        size_t at = (size_t)i * (size_t)c->dim;
        bad += memcmp(c->got + at, c->other + at, (size_t)c->dim * sizeof(float)) != 0;
    }
    return bad;
}

static int one_by_one(struct check *c)
{
    struct err err;
    for (int i = 0; i < c->n; i++)
        must(embed_texts(c->alone, &c->text[i], 1, c->other + (size_t)i * (size_t)c->dim, NULL,
                         NULL, &err), &err);
    return differing(c);
}

static int shuffled(struct check *c)
{
    struct err err;
    struct rng rng;
    static struct str text[TEXTS_MAX];
    static int from[TEXTS_MAX];
    float *out = malloc((size_t)c->n * (size_t)c->dim * sizeof(float));
    rng_init(&rng, 1);
    for (int i = 0; i < c->n; i++) {
        int j = (int)rng_below(&rng, (uint64_t)i + 1);
        from[i] = from[j];
        from[j] = i;
    }
    for (int i = 0; i < c->n; i++)
        text[i] = c->text[from[i]];
    must(out ? embed_texts(c->team, text, c->n, out, NULL, NULL, &err) : ERR_NOMEM, &err);
    for (int i = 0; i < c->n; i++)
        memcpy(c->other + (size_t)from[i] * (size_t)c->dim, out + (size_t)i * (size_t)c->dim,
               (size_t)c->dim * sizeof(float));
    free(out);
    return differing(c);
}

static void compare(const struct check *c, double *diff, double *cosine)
{
    *diff = 0;
    *cosine = 1;
    for (int i = 0; i < c->n; i++) {
        double dot = 0;
        for (int j = 0; j < c->dim; j++) {
            double a = c->got[i * c->dim + j], b = c->want[i * c->dim + j];
            dot += a * b;
            *diff = fmax(*diff, fabs(a - b));
        }
        *cosine = fmin(*cosine, dot);
    }
}

int main(int argc, char **argv)
{
    static struct check c;
    struct team *team;
    struct err err;
    if (argc != 5) {
        fprintf(stderr, "usage: bert_check FOLDER TYPE MAX_DIFF MIN_COSINE\n");
        return 2;
    }
    must(team_new(2, &team, &err), &err);
    c.team = open_model(argv[1], argv[2], team);
    c.alone = open_model(argv[1], argv[2], NULL);
    c.dim = embed_stamp(c.team)->dim;
    struct str texts = read_all(argv[1], "texts.txt"), vectors = read_all(argv[1], "vectors.f32");
    c.want = (const float *)(const void *)vectors.ptr;
    while (c.n < TEXTS_MAX && texts.len && str_split(&texts, '\n', &c.text[c.n]))
        c.n++;
    size_t bytes = (size_t)c.n * (size_t)c.dim * sizeof(float);
    if (vectors.len != bytes) {
        fprintf(stderr, "%zu bytes of vectors for %d texts, want %zu\n", vectors.len, c.n, bytes);
        return 1;
    }
    c.got = malloc(bytes);
    c.other = malloc(bytes);
    double start = clock_ms(), diff, cosine;
    must(embed_texts(c.team, c.text, c.n, c.got, NULL, NULL, &err), &err);
    double ms = clock_ms() - start;
    compare(&c, &diff, &cosine);
    int alone = one_by_one(&c), mixed = shuffled(&c);
    printf("%d texts: max difference %.3g, least cosine %.7f, %d differ alone, %d shuffled, "
           "%.0f ms\n", c.n, diff, cosine, alone, mixed, ms);
    bool good = diff <= strtod(argv[3], NULL) && cosine >= strtod(argv[4], NULL) && !alone &&
                !mixed;
    embed_close(c.team);
    embed_close(c.alone);
    team_free(team);
    return good ? 0 : 1;
}
