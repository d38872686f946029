/* cmd/model_check.c - does this encoder do what an encoder should? (Decoders: model_try.c)
 *
 * Numbers to compare with are read from a file the user has: JSON lines
 * {"text", "vector": [...]} with all dimensions, or one JSON document in which
 * objects {"text", "vec": [first few], "tol"} stand in lists named after the
 * model ("bge", "minilm"). Entries made with a shorter window (max_length) or
 * without normalising are passed over, and counted. */
#include "cmd/model.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/vec.h"
#include "cmd/open.h"
#include "embed/check.h"
#include "model/gguf.h"

#define AGAINST_BYTES_MAX ((size_t)256 << 20)
#define TOLERANCE         1e-3
/* What 8-bit weights may differ by; below it something else is wrong. */
#define COSINE_MIN 0.999

struct check {
    const struct cmd *c;
    struct embed *e;
    int dim, findings, compared, passed_over;
    double worst_cosine;
    struct check_result published;
    float *v, *w; /* [dim] each: scratch */
};

/* ---- what needs no file ---- */

static enum err_code check_vectors(struct check *k, struct err *err)
{
    const struct str texts[] = {STR("How do I bake bread at home?"),
                                STR("Baking a loaf in your own oven"),
                                STR("The central bank raised interest rates."), STR("rent")};
    enum { N = 4 };
    float *all = calloc((size_t)k->dim * N, sizeof(*all));
    if (!all)
        return err_set(err, ERR_NOMEM, "vectors");
    enum err_code rc = embed_texts(k->e, texts, N, all, NULL, NULL, err);
    for (int i = 0; i < N && !rc; i++) {
        const float *v = all + (size_t)i * (size_t)k->dim;
        double length = sqrt((double)vec_dot(v, v, k->dim));
        if (!(fabs(length - 1) < 1e-3))
            cmd_finding(k->c, &k->findings,
                        "the vector of text %d has the length %g, want 1", i + 1, length);
    }
    double near = (double)vec_dot(all, all + k->dim, k->dim);
    double far = (double)vec_dot(all, all + 2 * k->dim, k->dim);
    if (!rc && !(near > far))
        cmd_finding(k->c, &k->findings,
                    "texts about bread (%.3f) are no closer than bread and banks (%.3f): are "
                    "these trained weights?",
                    near, far);
    free(all);
    return rc;
}

/* What embed/check.c knows of published models. */
static enum err_code check_published(struct check *k, struct err *err)
{
    enum err_code rc = check_model(k->e, &k->published, err);
    if (!rc && !k->published.stable)
        cmd_finding(k->c, &k->findings, "a text has another vector alone than in a batch");
    if (!rc && k->published.verdict == VERDICT_DIFFERENT)
        cmd_finding(k->c, &k->findings, "%s", k->published.says);
    return rc;
}

/* ---- what is in the user's file ---- */

static int read_floats(const json_t *list, float *out, int max)
{
    int n = (int)json_array_size(list);
    for (int i = 0; i < n && i < max; i++)
        out[i] = (float)json_number_value(json_array_get(list, (size_t)i));
    return n;
}

/* max |a - b| over the n numbers that are given; their cosine when they are all. */
static void compare(struct check *k, const char *text, const float *want, int n, double tolerance)
{
    double worst = 0;
    for (int i = 0; i < n; i++)
        worst = fmax(worst, fabs((double)k->v[i] - (double)want[i]));
    double cosine = n == k->dim ? (double)vec_dot(k->v, want, n) : 1;
    k->compared++;
    k->worst_cosine = fmin(k->worst_cosine, cosine);
    if (n == k->dim ? cosine < COSINE_MIN : worst > tolerance)
        cmd_finding(k->c, &k->findings,
                    "\"%.60s\": differs by up to %.4f from the given numbers (cosine %.5f)", text,
             worst, cosine);
}

static enum err_code compare_entry(struct check *k, const json_t *entry, struct err *err)
{
    const char *text = json_string_value(json_object_get(entry, "text"));
    const json_t *list = json_object_get(entry, "vector");
    json_t *tol = json_object_get(entry, "tol");
    if (!list)
        list = json_object_get(entry, "vec");
    if (!text || !json_is_array(list))
        return OK;
    int n = read_floats(list, k->w, k->dim);
    if (n > k->dim) {
        k->passed_over++; /* of another model */
        return OK;
    }
    bool raw = json_is_false(json_object_get(entry, "normalized"));
    if (json_object_get(entry, "max_length") || (raw && n != k->dim)) {
        k->passed_over++;
        return OK;
    }
    if (raw)
        vec_normalize(k->w, n);
    struct str s = str_of(text);
    enum err_code rc = embed_texts(k->e, &s, 1, k->v, NULL, NULL, err);
    if (!rc)
        compare(k, text, k->w, n, json_is_number(tol) ? json_number_value(tol) : TOLERANCE);
    return rc;
}

static enum err_code compare_lines(struct check *k, struct str bytes, struct err *err)
{
    struct str line;
    enum err_code rc = OK;
    while (!rc && bytes.len && str_split(&bytes, '\n', &line)) {
        json_t *v = NULL;
        if (str_trim(line).len == 0)
            continue;
        rc = json_read(line, &v, err);
        if (!rc)
            rc = compare_entry(k, v, err);
        json_decref(v);
    }
    return rc;
}

static enum err_code compare_document(struct check *k, const json_t *doc, struct err *err)
{
    const char *name = embed_stamp(k->e)->name;
    const char *family = strcasestr(name, "minilm") ? "minilm"
                         : strcasestr(name, "bge")  ? "bge"
                                                    : name;
    const json_t *list = json_object_get(doc, family);
    json_t *entry;
    size_t i;
    enum err_code rc = OK;
    json_array_foreach(list, i, entry) if (!rc) rc = compare_entry(k, entry, err);
    return rc;
}

static enum err_code compare_file(struct check *k, const char *path, struct err *err)
{
    struct buf b = {0};
    json_t *doc = NULL;
    enum err_code rc = file_read(path, AGAINST_BYTES_MAX, &b, err);
    if (!rc && json_read(buf_view(&b), &doc, NULL) == OK && !json_object_get(doc, "vector"))
        rc = compare_document(k, doc, err);
    else if (!rc)
        rc = compare_lines(k, buf_view(&b), err);
    if (!rc && k->compared == 0)
        cmd_note("nothing in %s is of this model (%s, %d dimensions)", path,
                 embed_stamp(k->e)->name, k->dim);
    json_decref(doc);
    buf_free(&b);
    return rc;
}

/* ---- telling ---- */

static void tell(const struct check *k, const char *path)
{
    const struct embed_stamp *s = embed_stamp(k->e);
    if (k->c->json) {
        cmd_json(json_pack("{s:s,s:s,s:s,s:i,s:s,s:s,s:i,s:i,s:i,s:f}", "file", path, "name", s->name,
                           "architecture", s->arch, "dimensions", s->dim, "pooling", s->pooling,
                           "published", k->published.says, "findings", k->findings, "compared", k->compared, "passed_over",
                           k->passed_over, "lowest_cosine", k->worst_cosine));
        return;
    }
    printf("%s: %s, %s, %d dimensions, pooling %s\n", path, s->name, s->arch, s->dim, s->pooling);
    if (k->published.verdict != VERDICT_DIFFERENT)
        printf("%s\n", k->published.says);
    if (k->compared)
        printf("compared with %d given vectors (%d passed over), lowest cosine %.6f\n", k->compared,
               k->passed_over, k->worst_cosine);
    printf("%s\n", k->findings ? "something is wrong with it" : "it does what an encoder should");
}

static int check_encoder(const struct cmd *c, const char *path, const char *against, int threads)
{
    struct check k = {.c = c, .worst_cosine = 1};
    struct team *team = NULL;
    struct err err;
    enum err_code rc = team_new(threads, &team, &err);
    const struct embed_options opt = {.model_path = path, .team = team};
    if (!rc)
        rc = embed_open(&opt, &k.e, &err);
    if (!rc) {
        k.dim = embed_stamp(k.e)->dim;
        k.v = calloc((size_t)k.dim, sizeof(*k.v));
        k.w = calloc((size_t)k.dim, sizeof(*k.w));
        rc = k.v && k.w ? check_vectors(&k, &err) : err_set(&err, ERR_NOMEM, "vectors");
    }
    if (!rc)
        rc = check_published(&k, &err);
    if (!rc && against)
        rc = compare_file(&k, against, &err);
    if (!rc)
        tell(&k, path);
    free(k.v);
    free(k.w);
    if (k.e)
        embed_close(k.e);
    team_free(team);
    if (rc)
        return cmd_fail(c, rc, &err);
    return cmd_done(k.findings ? CMD_FINDINGS : CMD_OK);
}

/* A file whose architecture is no decoder's, or cannot be read, gets the encoder's sentence. */
int model_check(const struct cmd *c, const char *path, const char *against, int threads)
{
    struct gguf *g = NULL;
    struct str arch = STR("bert");
    struct err err;
    enum err_code rc = gguf_open(path, &g, &err);
    if (rc)
        return cmd_fail(c, rc, &err);
    gguf_str(g, "general.architecture", &arch, NULL);
    bool encoder = str_eqz(arch, "bert") || str_eqz(arch, "static");
    gguf_close(g);
    return encoder ? check_encoder(c, path, against, threads)
                   : model_check_decoder(c, path, threads);
}
