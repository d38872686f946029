/* query/ask_quote.c - the extractive engine: is there evidence, and the passages' own
 * sentences as the answer. */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/vec.h"
#include "query/ask_int.h"
#include "query/rarity.h"
#include "query/render.h"
#include "query/retrieve.h"

/* ---- evidence ---- */

static bool collect(void *arg, struct str piece)
{
    struct asking *k = arg;
    buf_str(&k->raw, piece);
    return !k->raw.failed;
}

/* Likeness of texts and question, an llm_request's callback. */
static enum err_code similarity(void *arg, const struct str *texts, int n, float *out,
                                struct err *err)
{
    struct asking *k = arg;
    int dim = embed_stamp(k->q->opt.embed)->dim;
    float *v = malloc((size_t)n * (size_t)dim * sizeof(*v));
    if (!v)
        return err_set(err, ERR_NOMEM, "%d vectors of %d", n, dim);
    enum err_code rc = embed_texts(k->q->opt.embed, texts, n, v, NULL, k->stop, err);
    for (int i = 0; i < n && !rc; i++) {
        float cosine = vec_dot(v + (size_t)i * (size_t)dim, k->meaning.vector, dim);
        out[i] = (float)retrieve_likeness(cosine, k->meaning.base);
    }
    free(v);
    return rc;
}

enum err_code ask_evidence(struct asking *k)
{
    double began = clock_ms();
    const struct search_result *f = &k->found;
    struct rarity rarity;
    struct llm_passage *p = arena_alloc(&k->a, (size_t)f->n_hits, sizeof(*p));
    if (!p)
        return err_set(k->err, ERR_NOMEM, "%d passages", f->n_hits);
    for (int i = 0; i < f->n_hits; i++) {
        /* A question may name its document: "... in the handbook of 2022?" */
        const struct stored_chunk *c = &f->hits[i].chunk;
        char *under = arena_printf(&k->a, "%s\n%s", c->document_name, c->heading);
        if (!under)
            return err_set(k->err, ERR_NOMEM, "%d passages", f->n_hits);
        p[i] = (struct llm_passage){f->hits[i].text, str_of(under), f->hits[i].score};
    }
    enum err_code rc =
        rarity_read(k->q->opt.index, k->scope.name, k->search_query, &k->a, &rarity, k->err);
    struct llm_request r = {.question = k->search_query,
                            .passages = p,
                            .n_passages = f->n_hits,
                            .max_tokens = k->req->max_tokens,
                            .max_sentences = k->q->opt.max_sentences,
                            .similarity = k->meaning.vector ? similarity : NULL,
                            .similarity_arg = k,
                            .idf = rarity_idf,
                            .idf_arg = &rarity};
    if (!rc)
        rc = llm_answer(k->q->opt.llm, &r, collect, k, k->stop, &k->said, k->err);
    if (!rc)
        rc = buf_ok(&k->raw, "an answer", k->err);
    k->generate_ms = clock_ms() - began;
    return rc;
}

bool ask_open(const struct asking *k)
{
    return k->said.finish != LLM_REFUSED &&
           ground_opens(k->said.confidence, k->q->opt.min_evidence);
}

/* ---- citations ---- */

/* Meaning of a claim against its quote, a cite_request's callback. */
static enum err_code likeness(void *arg, struct str claim, struct str quote, double *out,
                              struct err *err)
{
    struct asking *k = arg;
    int dim = embed_stamp(k->q->opt.embed)->dim;
    struct str both[2] = {claim, quote};
    float *v = malloc(2 * (size_t)dim * sizeof(*v));
    if (!v)
        return err_set(err, ERR_NOMEM, "2 vectors of %d", dim);
    enum err_code rc = embed_texts(k->q->opt.embed, both, 2, v, NULL, k->stop, err);
    if (!rc)
        *out = retrieve_likeness(vec_dot(v, v + dim, dim), vec_dot(v, k->q->background, dim));
    free(v);
    return rc;
}

enum err_code ask_stored(struct asking *k, const bool *wanted, struct cite_passage *p)
{
    int n_hits = k->found.n_hits;
    const struct hit *hits = k->found.hits;
    enum err_code rc = OK;
    for (int i = 0; i < n_hits && !rc; i++) {
        if (!wanted[i] || p[i].stored.ptr)
            continue;
        struct str text = {NULL, 0};
        rc = index_text(k->q->opt.index, hits[i].chunk.document, &k->a, &text, k->err);
        if (rc == ERR_NOTFOUND)
            rc = OK; /* deleted meanwhile: its citations will not hold */
        for (int j = 0; j < n_hits; j++)
            if (strcmp(hits[j].chunk.document, hits[i].chunk.document) == 0)
                p[j].stored = text.ptr ? text : STR("");
    }
    return rc;
}

/* Stored text of each passage that has a mark. */
static enum err_code read_stored(struct asking *k, struct cite_passage *p)
{
    struct cite_mark *marks = NULL;
    int n = 0;
    bool *wanted = arena_alloc(&k->a, (size_t)k->found.n_hits, sizeof(*wanted));
    if (!wanted)
        return err_set(k->err, ERR_NOMEM, "%d passages", k->found.n_hits);
    enum err_code rc = cite_marks(buf_view(&k->raw), &k->a, &marks, &n, k->err);
    for (int i = 0; i < n; i++)
        if (marks[i].n >= 1 && marks[i].n <= k->found.n_hits)
            wanted[marks[i].n - 1] = true;
    return rc ? rc : ask_stored(k, wanted, p);
}

enum err_code ask_render_citations(struct asking *k, const struct citation *c, int n,
                                   const struct cite_passage *p)
{
    enum err_code rc = OK;
    struct layout l = {0};
    const char *of = NULL; /* the document that `l` is of */
    for (int i = 0; i < n && !rc; i++) {
        const struct hit *h = &k->found.hits[c[i].n - 1];
        if (!of || strcmp(of, h->chunk.document) != 0) {
            l = (struct layout){0};
            rc = index_layout(k->q->opt.index, h->chunk.document, &k->a, &l, k->err);
            rc = rc == ERR_NOTFOUND ? OK : rc;
            of = h->chunk.document;
        }
        if (!rc)
            json_array_append_new(k->citations, render_citation(&c[i], h, p[c[i].n - 1].stored, &l));
    }
    return rc;
}

struct cite_passage *ask_passages(struct asking *k)
{
    struct cite_passage *p = arena_alloc(&k->a, (size_t)k->found.n_hits, sizeof(*p));
    for (int i = 0; p && i < k->found.n_hits; i++)
        p[i] =
            (struct cite_passage){.text = k->found.hits[i].text, .start = k->found.hits[i].start};
    return p;
}

enum err_code ask_quote(struct asking *k)
{
    struct cite_passage *p = ask_passages(k);
    if (!p)
        return err_set(k->err, ERR_NOMEM, "%d passages", k->found.n_hits);
    enum err_code rc = read_stored(k, p);
    struct cite_request r = {.answer = buf_view(&k->raw),
                             .passages = p,
                             .n_passages = k->found.n_hits,
                             .likeness = likeness,
                             .arg = k};
    if (!rc)
        rc = cite(&r, &k->a, &k->cited, k->err);
    if (!rc)
        rc = ask_render_citations(k, k->cited.citations, k->cited.n, p);
    if (!rc && k->cited.claims.dropped)
        ask_degrade(k, arena_printf(&k->a, "citations: %d dropped, not found in the stored text",
                                    k->cited.claims.dropped));
    return rc;
}
