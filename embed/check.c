/* embed/check.c - a few published numbers, and what the encoder gives for them. */
#include "embed/check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBERS 6

/* What a fact gives: the first components of a text's vector, or their sum. */
enum fact_kind { FIRST, SUM };

struct fact {
    const char *text;
    enum fact_kind kind;
    int n;                   /* numbers given */
    double values[NUMBERS];
    double allowed;          /* |difference| as published, or of F16 rounding */
    const char *source;
};

#define FASTEMBED "qdrant/fastembed, tests/test_text_onnx_embeddings.py"
#define FASTEMBED_RS "Anush008/fastembed-rs, tests/text-embeddings.rs"
#define TEI "huggingface/text-embeddings-inference, test_bert snapshots"
#define ANSERINI "castorini/anserini, bge-base-en-v1.5 topics of DL19"

static const struct fact bge_small[] = {
    {"hello world", FIRST, 5, {0.01522374, -0.02271799, 0.00860278, -0.07424029, 0.00386434}, 1e-3,
     FASTEMBED},
    {"Hello, World!", SUM, 1, {0.09881669}, 1e-2, FASTEMBED_RS},
    {"This is an example passage.", SUM, 1, {0.15151203}, 1e-2, FASTEMBED_RS},
    {"fastembed-rs is licensed under Apache-2.0", SUM, 1, {0.12057499}, 1e-2, FASTEMBED_RS},
    {"Some other short text here blah blah blah", SUM, 1, {0.13641948}, 1e-2, FASTEMBED_RS},
};

/* The snapshots are not normalised; these are, by their published lengths. */
static const struct fact minilm[] = {
    {"hello world", FIRST, 5, {-0.034478, 0.03102, 0.00673, 0.02611, -0.039362}, 1e-3, FASTEMBED},
    {"What is Deep Learning?", FIRST, 6,
     {-0.077885, -0.033265, 0.019733, 0.007262, -0.0156, -0.022034}, 1e-3, TEI},
    {"Deep Learning is...", FIRST, 6,
     {-0.019093, -0.093191, 0.055218, -0.039739, -0.052949, -0.03265}, 1e-3, TEI},
    {"Hello, World!", SUM, 1, {0.59605527}, 1e-2, FASTEMBED_RS},
    {"This is an example passage.", SUM, 1, {0.36542925}, 1e-2, FASTEMBED_RS},
    {"fastembed-rs is licensed under Apache-2.0", SUM, 1, {-0.16450031}, 1e-2, FASTEMBED_RS},
};

static const struct fact bge_base[] = {
    {"do goldfish grow", FIRST, 3, {0.018409, 0.004811, 0.010397}, 1e-3, ANSERINI},
    {"who is robert gray", FIRST, 3, {0.059303, -0.013284, -0.003262}, 1e-3, ANSERINI},
    {"causes of military suicide", FIRST, 3, {0.014952, 0.045515, -0.052918}, 1e-3, ANSERINI},
    {"how is the weather in jamaica", FIRST, 3, {0.031006, 0.000097, -0.013599}, 1e-3, ANSERINI},
};

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* bge-base's numbers are of questions: with the prefix or, as some list them,
 * without. Both are tried and the nearer one counts. */
static const struct published {
    const char *name, *family, *pooling;
    int dim;
    bool questions;
    const struct fact *facts;
    size_t n;
} models[] = {
    {"bge-small-en-v1.5", "bge", "cls", 384, false, bge_small, COUNT(bge_small)},
    {"bge-base-en-v1.5", "bge", "cls", 768, true, bge_base, COUNT(bge_base)},
    {"all-MiniLM-L6-v2", "minilm", "mean", 384, false, minilm, COUNT(minilm)},
};

/* Blocks of 8 or 4 bits move a component by more than a published tolerance. */
#define QUANTISED 5.0

static double distance(const struct fact *f, const float *v, int dim)
{
    double worst = 0, sum = 0;
    for (int i = 0; i < dim; i++)
        sum += v[i];
    for (int i = 0; i < f->n; i++)
        worst = fmax(worst, fabs((f->kind == SUM ? sum : v[i]) - f->values[i]));
    return worst / f->allowed;
}

static enum err_code compare(struct embed *e, const struct published *m, float *v, bool question,
                             struct check_result *out, struct err *err)
{
    out->worst = 0;
    out->numbers = 0;
    for (size_t i = 0; i < m->n; i++) {
        struct str text = str_of(m->facts[i].text);
        enum err_code rc = question ? embed_query(e, text, v, err)
                                    : embed_texts(e, &text, 1, v, NULL, NULL, err);
        if (rc)
            return rc;
        double d = distance(&m->facts[i], v, m->dim);
        if (d >= out->worst) {
            out->worst = d;
            out->source = m->facts[i].source;
        }
        out->numbers += m->facts[i].n;
    }
    return OK;
}

static bool is_named(const struct embed *e, const char *family)
{
    return strcasestr(embed_stamp(e)->name, family) != NULL;
}

static void tell(const struct embed *e, const struct published *m, struct check_result *out)
{
    size_t cap = sizeof(out->says);
    if (out->worst > QUANTISED && !is_named(e, m->family)) {
        out->verdict = VERDICT_UNKNOWN;
        snprintf(out->says, cap,
                 "no published numbers for %s: it has the shape of %s and is another model",
                 embed_stamp(e)->name, m->name);
        return;
    }
    out->model = m->name;
    out->verdict = out->worst <= QUANTISED ? VERDICT_SAME : VERDICT_DIFFERENT;
    if (out->worst <= 1)
        snprintf(out->says, cap, "agrees with %d published numbers of %s", out->numbers, m->name);
    else if (out->worst <= QUANTISED)
        snprintf(out->says, cap,
                 "agrees with %d published numbers of %s within what 8 bits cost", out->numbers,
                 m->name);
    else
        snprintf(out->says, cap,
                 "is not the published %s, or its pooling is wrong: off by %.0f times the "
                 "tolerance of %s", m->name, out->worst, out->source);
}

static enum err_code judge(struct embed *e, const struct published *m, float *v,
                           struct check_result *out, struct err *err)
{
    enum err_code rc = compare(e, m, v, m->questions, out, err);
    struct check_result plain = {0};
    if (!rc && m->questions)
        rc = compare(e, m, v, false, &plain, err);
    if (rc)
        return rc;
    if (m->questions && plain.worst < out->worst) {
        out->worst = plain.worst;
        out->source = plain.source;
    }
    tell(e, m, out);
    return OK;
}

/* A handful of texts at once and one by one, bit for bit. */
static enum err_code check_bits(struct embed *e, float *v, bool *stable, struct err *err)
{
    const struct str texts[] = {STR("hello world"), STR("a"), STR("What is Deep Learning?"),
                                STR("The quick brown fox jumps over the lazy dog, twice.")};
    size_t dim = (size_t)embed_stamp(e)->dim;
    enum err_code rc = embed_texts(e, texts, 4, v, NULL, NULL, err);
    *stable = true;
    for (size_t i = 0; i < 4 && !rc; i++) {
        rc = embed_texts(e, &texts[i], 1, v + 4 * dim, NULL, NULL, err);
        *stable = *stable && memcmp(v + i * dim, v + 4 * dim, dim * sizeof(float)) == 0;
    }
    return rc;
}

/* By name first: a bge that pools by the mean is a bge gone wrong. */
static const struct published *pick(const struct embed *e)
{
    const struct embed_stamp *s = embed_stamp(e);
    if (strcmp(s->arch, "bert") != 0)
        return NULL;
    for (size_t i = 0; i < COUNT(models); i++)
        if (s->dim == models[i].dim && is_named(e, models[i].family))
            return &models[i];
    for (size_t i = 0; i < COUNT(models); i++)
        if (s->dim == models[i].dim && strcmp(s->pooling, models[i].pooling) == 0)
            return &models[i];
    return NULL;
}

enum err_code check_model(struct embed *e, struct check_result *out, struct err *err)
{
    const struct embed_stamp *s = embed_stamp(e);
    *out = (struct check_result){.verdict = VERDICT_UNKNOWN};
    snprintf(out->says, sizeof(out->says), "no published numbers for a model of %d dimensions, %s",
             s->dim, s->pooling);
    float *v = malloc(5 * (size_t)s->dim * sizeof(*v));
    if (!v)
        return err_set(err, ERR_NOMEM, "five vectors of %d", s->dim);
    const struct published *m = pick(e);
    enum err_code rc = check_bits(e, v, &out->stable, err);
    if (!rc && m)
        rc = judge(e, m, v, out, err);
    free(v);
    return rc;
}
