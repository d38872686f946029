#include "query/retrieve.h"
#include <string.h>
#include "base/clock.h"
#include "base/vec.h"

static const char *const BACKGROUND[] = {
    "The meeting was moved to the following week because the room was not free.",
    "She put the letters in a drawer and went out to water the garden.",
    "Prices rose a little in the second quarter, while wages stayed the same.",
    "The function returns an empty list when nothing matches its argument.",
    "A river flows through the town and turns the wheels of two old mills.",
    "Patients were asked to describe how they had slept during the past month.",
    "The team lost its first three games and changed the coach in the autumn.",
    "Boil the rice in salted water, drain it, and let it stand under a cloth.",
    "The committee published its report after two years of hearings.",
    "Light of short wavelength is scattered more strongly than light of long wavelength.",
    "Members may end their contract in writing at the end of any calendar year.",
    "The old church was rebuilt after a fire and received a new bell.",
    "The device is reset by holding the button down until the lamp blinks.",
    "Most species of this family nest on cliffs and feed on small fish.",
    "His second novel sold well abroad, though critics at home disliked it.",
    "The bus leaves from the station every twenty minutes until midnight.",
};
#define N_BACKGROUND (int)(sizeof(BACKGROUND) / sizeof(BACKGROUND[0]))

enum err_code retrieve_background(struct embed *e, float *background, struct err *err)
{
    int dim = embed_stamp(e)->dim;
    struct arena a = {0};
    struct str texts[N_BACKGROUND];
    float *v = arena_alloc(&a, (size_t)N_BACKGROUND * (size_t)dim, sizeof(*v));
    if (!v)
        return err_set(err, ERR_NOMEM, "%d vectors of %d", N_BACKGROUND, dim);
    for (int i = 0; i < N_BACKGROUND; i++)
        texts[i] = str_of(BACKGROUND[i]);
    enum err_code rc = embed_texts(e, texts, N_BACKGROUND, v, NULL, NULL, err);
    memset(background, 0, (size_t)dim * sizeof(*background));
    for (int i = 0; i < N_BACKGROUND && !rc; i++)
        vec_axpy(background, 1.0f / N_BACKGROUND, v + (size_t)i * (size_t)dim, dim);
    arena_deinit(&a);
    return rc;
}

double retrieve_likeness(double cosine, double base)
{
    return base < 1 ? (cosine - base) / (1 - base) : 0;
}

/* Why this collection cannot be searched by meaning, or NULL. */
static const char *unfit(struct query *q, const struct scope *scope)
{
    const struct embed_stamp *s = embed_stamp(q->opt.embed);
    const struct collection *c = &scope->collection;
    if (c->dim != s->dim || (c->stamp && c->stamp[0] && !strstr(c->stamp, s->hash)))
        return "dense: the collection was embedded by another encoder";
    return NULL;
}

static enum err_code embed_question(struct query *q, struct str text, struct arena *a,
                                    struct retrieved *out, struct err *err)
{
    double t = clock_ms();
    int dim = embed_stamp(q->opt.embed)->dim;
    float *v = arena_alloc(a, (size_t)dim, sizeof(*v));
    if (!v)
        return err_set(err, ERR_NOMEM, "a vector of %d", dim);
    enum err_code rc = embed_query(q->opt.embed, text, v, err);
    out->embed_ms = clock_ms() - t;
    if (rc)
        return rc;
    if (vec_dot(v, v, dim) > 0)
        out->meaning = (struct meaning){v, vec_dot(v, q->background, dim)};
    else
        out->no_dense = "dense: the question has no known word";
    return OK;
}

static int depth(const struct search_request *req)
{
    int k = req->top_k > 0 ? req->top_k : 10;
    return 4 * k > RETRIEVE_DEPTH ? 4 * k : RETRIEVE_DEPTH;
}

static enum err_code near_side(struct query *q, const struct scope *scope,
                               const struct search_request *req, struct retrieved *out,
                               struct err *err)
{
    double t = clock_ms();
    int k = depth(req), ef = q->opt.ef > k ? q->opt.ef : k;
    enum err_code rc = index_near(q->opt.index, scope->name, out->meaning.vector, k, ef,
                                  req->filter, out->dense, &out->n_dense, err);
    out->ann_ms = clock_ms() - t;
    return rc;
}

static enum err_code words_side(struct query *q, const struct scope *scope,
                                const struct search_request *req, struct retrieved *out,
                                struct err *err)
{
    double t = clock_ms();
    enum err_code rc = index_words(q->opt.index, scope->name, req->query, depth(req), req->filter,
                                   out->words, &out->n_words, err);
    out->words_ms = clock_ms() - t;
    return rc;
}

enum err_code retrieve(struct query *q, const struct scope *scope, const struct search_request *req,
                       struct arena *a, struct retrieved *out, struct err *err)
{
    *out = (struct retrieved){0};
    out->dense = arena_alloc(a, (size_t)depth(req), sizeof(*out->dense));
    out->words = arena_alloc(a, (size_t)depth(req), sizeof(*out->words));
    if (!out->dense || !out->words)
        return err_set(err, ERR_NOMEM, "%d candidates", 2 * depth(req));
    bool by_meaning = req->mode != SEARCH_WORDS;
    out->no_dense = by_meaning ? unfit(q, scope) : NULL;
    enum err_code rc = OK;
    if (by_meaning && !out->no_dense)
        rc = embed_question(q, req->query, a, out, err);
    if (!rc && out->meaning.vector)
        rc = near_side(q, scope, req, out, err);
    if (!rc && req->mode != SEARCH_DENSE)
        rc = words_side(q, scope, req, out, err);
    return rc;
}
