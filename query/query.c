#include "query/query.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/utf8.h"
#include "query/fuse.h"
#include "query/ground.h"
#include "query/join.h"
#include "query/query_int.h"
#include "query/retrieve.h"

#define EF_DEFAULT        128
#define TOP_K_DEFAULT     10
#define ASK_TOP_K_DEFAULT 6

static enum err_code fill_defaults(struct query_options *o, struct err *err)
{
    if (o->dense_weight < 0)
        o->dense_weight = embed_stamp(o->embed)->dense_weight;
    if (o->min_evidence < 0)
        o->min_evidence = GROUND_MIN_EVIDENCE;
    o->ef = o->ef ? o->ef : EF_DEFAULT;
    o->ask_top_k = o->ask_top_k ? o->ask_top_k : ASK_TOP_K_DEFAULT;
    if (!(o->dense_weight >= 0 && o->dense_weight <= 1))
        return err_set(err, ERR_ARG, "dense weight %g: need 0 to 1", o->dense_weight);
    if (!(o->min_evidence <= 1))
        return err_set(err, ERR_ARG, "least evidence %g: need 0 to 1", o->min_evidence);
    if (o->ef < 1 || o->ask_top_k < 1 || o->ask_top_k > SEARCH_TOP_K_MAX || o->max_sentences < 0)
        return err_set(err, ERR_ARG, "ef %d, ask top_k %d, sentences %d: out of range", o->ef,
                       o->ask_top_k, o->max_sentences);
    return OK;
}

enum err_code query_new(const struct query_options *opt, struct query **out, struct err *err)
{
    struct query *q = calloc(1, sizeof(*q));
    if (!q)
        return err_set(err, ERR_NOMEM, "the query room");
    q->opt = *opt;
    pthread_mutex_init(&q->lock, NULL);
    enum err_code rc = fill_defaults(&q->opt, err);
    if (!rc) {
        q->background = calloc((size_t)embed_stamp(opt->embed)->dim, sizeof(*q->background));
        rc = q->background ? retrieve_background(opt->embed, q->background, err)
                           : err_set(err, ERR_NOMEM, "a vector");
    }
    if (rc)
        query_free(q);
    else
        *out = q;
    return rc;
}

void query_free(struct query *q)
{
    if (!q)
        return;
    pthread_mutex_destroy(&q->lock);
    free(q->background);
    free(q);
}

/* ---- modes ---- */

static const char *const MODES[] = {
    [SEARCH_HYBRID] = "hybrid", [SEARCH_DENSE] = "dense", [SEARCH_WORDS] = "words"};

const char *search_mode_name(enum search_mode m)
{
    return MODES[m];
}

enum err_code search_mode_parse(struct str name, enum search_mode *out, struct err *err)
{
    for (int m = SEARCH_HYBRID; m <= SEARCH_WORDS; m++)
        if (str_eqz(name, MODES[m])) {
            *out = (enum search_mode)m;
            return OK;
        }
    return err_set(err, ERR_ARG, "mode \"%.*s\": need hybrid, dense or words",
                   (int)(name.len < 40 ? name.len : 40), name.ptr ? name.ptr : "");
}

/* ---- search ---- */

enum err_code query_scope(struct query *q, const char *collection, struct arena *a,
                          struct scope *out, struct err *err)
{
    out->name = collection ? collection : "default";
    return index_collection(q->opt.index, out->name, NULL, 0, NULL, false, a, &out->collection,
                            err);
}

static enum err_code check_request(const struct search_request *req, struct err *err)
{
    if (!req->query.len || req->query.len > QUESTION_BYTES_MAX)
        return err_set(err, ERR_ARG, "query of %zu bytes: need 1 to %d", req->query.len,
                       QUESTION_BYTES_MAX);
    if (!utf8_valid(req->query))
        return err_set(err, ERR_ARG, "query is not UTF-8");
    if (req->top_k < 0 || req->top_k > SEARCH_TOP_K_MAX)
        return err_set(err, ERR_ARG, "top_k %d: need 1 to %d", req->top_k, SEARCH_TOP_K_MAX);
    return OK;
}

/* Which sides there are decides how much each counts. */
static enum err_code rank(struct query *q, const struct search_request *req,
                          const struct retrieved *r, struct arena *a, struct search_result *out,
                          struct fused **f, int *n, struct err *err)
{
    out->mode = req->mode;
    double weight = q->opt.dense_weight;
    if (req->mode == SEARCH_WORDS)
        weight = 0;
    else if (req->mode == SEARCH_DENSE)
        weight = 1;
    if (req->mode != SEARCH_WORDS && r->no_dense) {
        out->degraded[out->n_degraded++] = r->no_dense;
        if (req->mode == SEARCH_HYBRID) {
            out->mode = SEARCH_WORDS;
            weight = 0;
        }
    }
    if (req->mode == SEARCH_HYBRID && !r->no_dense && !r->n_words && r->n_dense) {
        out->degraded[out->n_degraded++] = "words: no word of the question is in the collection";
        out->mode = SEARCH_DENSE;
        weight = 1;
    }
    struct fuse_side dense = {r->dense, r->n_dense, r->meaning.base};
    return fuse(dense, (struct fuse_side){r->words, r->n_words, 0}, weight, a, f, n, err);
}

/* A single side's score is told as the index gave it. */
static double score_of(enum search_mode mode, const struct fused *f)
{
    return mode == SEARCH_DENSE ? f->dense_score : mode == SEARCH_WORDS ? f->words_score : f->score;
}

static enum err_code load_hits(struct query *q, const struct fused *f, int n, struct arena *a,
                               struct search_result *out, struct err *err)
{
    int64_t *ids = arena_alloc(a, (size_t)n, sizeof(*ids));
    out->hits = arena_alloc(a, (size_t)n, sizeof(*out->hits));
    if (!ids || !out->hits)
        return err_set(err, ERR_NOMEM, "%d hits", n);
    for (int i = 0; i < n; i++)
        ids[i] = f[i].chunk;
    struct stored_chunk *c = NULL;
    int got = 0;
    enum err_code rc = n ? index_chunks_by_id(q->opt.index, ids, n, a, &c, &got, err) : OK;
    for (int i = 0, k = 0; i < n && k < got && !rc; i++) {
        if (c[k].id != f[i].chunk)
            continue; /* deleted since the search */
        out->hits[out->n_hits++] = (struct hit){.n = out->n_hits + 1,
                                                .chunk = c[k],
                                                .start = c[k].start,
                                                .end = c[k].end,
                                                .text = c[k].text,
                                                .score = score_of(out->mode, &f[i]),
                                                .dense_rank = f[i].dense_rank,
                                                .words_rank = f[i].words_rank,
                                                .dense_score = f[i].dense_score,
                                                .words_score = f[i].words_score,
                                                .fused = f[i].score};
        k++;
    }
    return rc;
}

static int of_document(const struct hit *hits, int n, const char *document)
{
    int same = 0;
    for (int i = 0; i < n; i++)
        same += strcmp(hits[i].chunk.document, document) == 0;
    return same;
}

/* The best `top_k`, at most `cap` of them from one document while others have
 * hits; in order of rank. One document, however much it repeats the words of a
 * question, does not crowd out the rest. */
static void spread(struct hit *hits, int *n, int top_k, int cap)
{
    int kept = 0, spare = *n - top_k;
    for (int i = 0; i < *n && kept < top_k; i++) {
        bool full = of_document(hits, kept, hits[i].chunk.document) >= cap;
        if (full && spare > 0)
            spare--; /* enough remain behind it */
        else
            hits[kept++] = hits[i];
    }
    *n = kept;
}

/* Neighbours among the first joined, all numbered, cut at top_k. */
static void arrange(const struct search_request *req, int top_k, int per_document,
                    struct search_result *out)
{
    int first = out->n_hits < 2 * top_k ? out->n_hits : 2 * top_k, rest = out->n_hits - first;
    int joined = first;
    if (!req->no_merge)
        join_hits(out->hits, &joined);
    memmove(out->hits + joined, out->hits + first, (size_t)rest * sizeof(*out->hits));
    out->n_hits = joined + rest;
    if (per_document)
        spread(out->hits, &out->n_hits, top_k, per_document);
    if (out->n_hits > top_k)
        out->n_hits = top_k;
    for (int i = 0; i < out->n_hits; i++)
        out->hits[i].n = i + 1;
}

/* Stored text of hit i's document; one that an earlier joined hit has read is shared. */
static enum err_code text_of(struct query *q, const struct hit *hits, int i, struct str *texts,
                             struct arena *a, struct err *err)
{
    for (int j = 0; j < i; j++)
        if (texts[j].ptr && strcmp(hits[j].chunk.document, hits[i].chunk.document) == 0) {
            texts[i] = texts[j];
            return OK;
        }
    return index_text(q->opt.index, hits[i].chunk.document, a, &texts[i], err);
}

/* Joined hits get the stored text of their whole range. A document that went
 * meanwhile leaves them with their best chunk's. */
static enum err_code read_joined(struct query *q, struct arena *a, struct search_result *out,
                                 struct err *err)
{
    struct str *texts = arena_alloc(a, (size_t)out->n_hits, sizeof(*texts));
    if (!texts)
        return err_set(err, ERR_NOMEM, "%d texts", out->n_hits);
    for (int i = 0; i < out->n_hits; i++) {
        struct hit *h = &out->hits[i];
        if (h->text.ptr)
            continue;
        enum err_code rc = text_of(q, out->hits, i, texts, a, err);
        if (rc && rc != ERR_NOTFOUND)
            return rc;
        if (rc || h->end > texts[i].len) {
            h->start = h->chunk.start;
            h->end = h->chunk.end;
            h->text = h->chunk.text;
        } else {
            h->text = str_sub(texts[i], h->start, h->end);
        }
    }
    return OK;
}

enum err_code query_search_in(struct query *q, const struct scope *scope,
                              const struct search_request *req, int per_document, struct arena *a,
                              struct search_result *out, struct meaning *meaning, struct err *err)
{
    double began = clock_ms();
    *out = (struct search_result){0};
    struct retrieved r;
    enum err_code rc = retrieve(q, scope, req, a, &r, err);
    if (rc)
        return rc;
    double t = clock_ms();
    struct fused *f = NULL;
    int n = 0, top_k = req->top_k ? req->top_k : TOP_K_DEFAULT;
    rc = rank(q, req, &r, a, out, &f, &n, err);
    if (rc)
        return rc;
    /* Joining and spreading leave some out, so more are read than wanted. */
    int want = req->no_merge ? top_k : per_document ? 16 * top_k : 2 * top_k;
    rc = load_hits(q, f, n < want ? n : want, a, out, err);
    if (!rc)
        arrange(req, top_k, per_document, out);
    if (!rc)
        rc = read_joined(q, a, out, err);
    *meaning = r.meaning;
    double now = clock_ms();
    out->ms = (struct search_timings){r.embed_ms, r.ann_ms, r.words_ms, now - t, now - began};
    return rc;
}

enum err_code query_search(struct query *q, const struct search_request *req, struct arena *a,
                           struct search_result *out, struct err *err)
{
    struct scope scope;
    struct meaning meaning;
    enum err_code rc = check_request(req, err);
    if (!rc)
        rc = query_scope(q, req->collection, a, &scope, err);
    if (!rc)
        rc = query_search_in(q, &scope, req, 0, a, out, &meaning, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&q->lock);
    q->counts.searches++;
    q->counts.search_ms += out->ms.total_ms;
    pthread_mutex_unlock(&q->lock);
    return OK;
}

void query_counts(struct query *q, struct query_counts *out)
{
    pthread_mutex_lock(&q->lock);
    *out = q->counts;
    pthread_mutex_unlock(&q->lock);
}
