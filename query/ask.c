/* query/ask.c - query_ask: from a question to an answer that can be checked.
 *
 * The answer is whole before its first byte leaves: the gate and the check of
 * every citation against the stored text come before the reader sees either. */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/utf8.h"
#include "base/vec.h"
#include "query/cache.h"
#include "query/cite.h"
#include "query/ground.h"
#include "query/query_int.h"
#include "query/rarity.h"
#include "query/render.h"
#include "query/retrieve.h"
#include "query/session.h"

#define NO_EVIDENCE  "Nothing in these documents answers this question."
#define NO_DOCUMENTS "There are no documents here yet."
#define DEGRADED_MAX 8
#define OTHERS       2 /* passages kept for other documents than the one that has most */

struct asking {
    struct query *q;
    const struct ask_request *req;
    const struct ask_events *events;
    const struct stop *stop;
    struct arena a;
    struct scope scope;
    struct str search_query;
    struct search_result found;
    struct meaning meaning;
    struct buf raw; /* what the generator said */
    struct llm_reply said;
    struct cited cited;
    json_t *hits, *citations;
    const char *degraded[DEGRADED_MAX];
    int n_degraded;
    double generate_ms;
    char conversation[33];
    struct err *err;
};

static void degrade(struct asking *k, const char *why)
{
    if (why && k->n_degraded < DEGRADED_MAX)
        k->degraded[k->n_degraded++] = why;
}

static enum err_code left(struct asking *k)
{
    return err_set(k->err, ERR_CANCELLED, "the reader left");
}

/* ---- what a request must be ---- */

static enum err_code check_request(const struct ask_request *r, struct err *err)
{
    if (!r->question.len || r->question.len > QUESTION_BYTES_MAX)
        return err_set(err, ERR_ARG, "question of %zu bytes: need 1 to %d", r->question.len,
                       QUESTION_BYTES_MAX);
    if (!utf8_valid(r->question))
        return err_set(err, ERR_ARG, "question is not UTF-8");
    if (r->top_k < 0 || r->top_k > SEARCH_TOP_K_MAX)
        return err_set(err, ERR_ARG, "top_k %d: need 1 to %d", r->top_k, SEARCH_TOP_K_MAX);
    if (r->max_tokens < 0 || !(r->temperature >= 0 && r->temperature <= 2))
        return err_set(err, ERR_ARG, "max_tokens %d, temperature %g: need 0 or more, and 0 to 2",
                       r->max_tokens, r->temperature);
    if (r->conversation && strlen(r->conversation) > 32)
        return err_set(err, ERR_ARG, "conversation id of more than 32 bytes");
    return OK;
}

/* ---- generation ---- */

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

static enum err_code generate(struct asking *k)
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
                            .temperature = k->req->temperature,
                            .seed = k->req->seed,
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

/* Stored text of each passage that has a mark, read anew, once a document. */
static enum err_code read_stored(struct asking *k, struct cite_passage *p)
{
    struct cite_mark *marks = NULL;
    int n = 0, n_hits = k->found.n_hits;
    const struct hit *hits = k->found.hits;
    enum err_code rc = cite_marks(buf_view(&k->raw), &k->a, &marks, &n, k->err);
    for (int i = 0; i < n && !rc; i++) {
        int at = marks[i].n - 1;
        if (at < 0 || at >= n_hits || p[at].stored.ptr)
            continue;
        struct str text = {NULL, 0};
        rc = index_text(k->q->opt.index, hits[at].chunk.document, &k->a, &text, k->err);
        if (rc == ERR_NOTFOUND)
            rc = OK; /* deleted meanwhile: its citations will not hold */
        for (int j = 0; j < n_hits; j++)
            if (strcmp(hits[j].chunk.document, hits[at].chunk.document) == 0)
                p[j].stored = text.ptr ? text : STR("");
    }
    return rc;
}

static enum err_code render_citations(struct asking *k, const struct cite_passage *p)
{
    enum err_code rc = OK;
    struct layout l = {0};
    const char *of = NULL; /* the document that `l` is of */
    for (int i = 0; i < k->cited.n && !rc; i++) {
        const struct citation *c = &k->cited.citations[i];
        const struct hit *h = &k->found.hits[c->n - 1];
        if (!of || strcmp(of, h->chunk.document) != 0) {
            l = (struct layout){0};
            rc = index_layout(k->q->opt.index, h->chunk.document, &k->a, &l, k->err);
            rc = rc == ERR_NOTFOUND ? OK : rc;
            of = h->chunk.document;
        }
        if (!rc)
            json_array_append_new(k->citations, render_citation(c, h, p[c->n - 1].stored, &l));
    }
    return rc;
}

static enum err_code check_answer(struct asking *k)
{
    struct cite_passage *p = arena_alloc(&k->a, (size_t)k->found.n_hits, sizeof(*p));
    if (!p)
        return err_set(k->err, ERR_NOMEM, "%d passages", k->found.n_hits);
    for (int i = 0; i < k->found.n_hits; i++)
        p[i] =
            (struct cite_passage){.text = k->found.hits[i].text, .start = k->found.hits[i].start};
    enum err_code rc = read_stored(k, p);
    struct cite_request r = {.answer = buf_view(&k->raw),
                             .passages = p,
                             .n_passages = k->found.n_hits,
                             .likeness = likeness,
                             .arg = k};
    if (!rc)
        rc = cite(&r, &k->a, &k->cited, k->err);
    if (!rc)
        rc = render_citations(k, p);
    if (!rc && k->cited.claims.dropped)
        degrade(k, arena_printf(&k->a, "citations: %d dropped, not found in the stored text",
                                k->cited.claims.dropped));
    return rc;
}

/* ---- the reply ---- */

static json_t *usage(const struct asking *k)
{
    json_t *o = json_object(), *context = json_object();
    json_put(context, "kept", json_integer(k->found.n_hits));
    json_put(context, "dropped", json_integer(0));
    json_put(o, "prompt_tokens", json_integer(k->said.prompt_tokens));
    json_put(o, "completion_tokens", json_integer(k->said.completion_tokens));
    json_put(o, "context", context);
    return o;
}

static bool answered(const struct asking *k)
{
    return k->said.finish != LLM_REFUSED && k->cited.n > 0 &&
           ground_opens(k->said.confidence, k->q->opt.min_evidence);
}

static const char *finish_name(const struct asking *k)
{
    if (!answered(k))
        return "refused";
    return k->said.finish == LLM_LENGTH ? "length" : "stop";
}

/* All of the reply that does not change from one asking to the next. */
static json_t *render_reply(struct asking *k)
{
    bool good = answered(k);
    const char *none = k->scope.collection.documents ? NO_EVIDENCE : NO_DOCUMENTS;
    enum grounded g = good ? ground_of(k->said.confidence, &k->cited.claims) : GROUNDED_NONE;
    json_t *o = json_object();
    json_put(o, "answer", good ? json_text(k->cited.answer) : json_string(none));
    json_put(o, "grounded", json_string(ground_name(g)));
    json_put(o, "citations", good ? json_incref(k->citations) : json_array());
    json_put(o, "search_query", json_text(k->search_query));
    json_put(o, "nearest", good ? json_array() : json_incref(k->hits));
    json_put(o, "model", json_string(llm_name(k->q->opt.llm)));
    json_put(o, "finish_reason", json_string(finish_name(k)));
    json_put(o, "evidence", json_real(k->said.confidence));
    json_put(o, "usage", usage(k));
    json_put(o, "degraded", render_strings(k->degraded, k->n_degraded));
    return o;
}

static enum err_code answer(struct asking *k, json_t **reply)
{
    struct search_request r = {.query = k->search_query,
                               .collection = k->scope.name,
                               .filter = k->req->filter,
                               .top_k = k->req->top_k ? k->req->top_k : k->q->opt.ask_top_k,
                               .mode = SEARCH_HYBRID};
    int cap = r.top_k > 2 * OTHERS ? r.top_k - OTHERS : 0;
    enum err_code rc =
        query_search_in(k->q, &k->scope, &r, cap, &k->a, &k->found, &k->meaning, k->err);
    for (int i = 0; i < k->found.n_degraded && !rc; i++)
        degrade(k, k->found.degraded[i]);
    if (rc)
        return rc;
    k->hits = render_hits(k->found.hits, k->found.n_hits, false);
    k->said.finish = LLM_REFUSED;
    if (k->found.n_hits)
        rc = generate(k);
    if (!rc && k->said.finish != LLM_REFUSED &&
        ground_opens(k->said.confidence, k->q->opt.min_evidence))
        rc = check_answer(k);
    if (!rc)
        *reply = render_reply(k);
    return rc;
}

/* ---- telling it ---- */

/* The answer claim by claim, each followed by its citations. */
static enum err_code tell_answer(struct asking *k, const json_t *reply)
{
    const struct ask_events *e = k->events;
    const json_t *list = json_object_get(reply, "citations");
    const json_t *answer = json_object_get(reply, "answer");
    struct str text = {json_string_value(answer), json_string_length(answer)};
    size_t n = json_array_size(list), at = 0;
    for (size_t i = 0; i <= n; i++) {
        /* up to where the next claim begins, so that marks go with their claim */
        const json_t *next = json_array_get(list, i + 1);
        const json_t *from = json_object_get(json_object_get(next, "answer_span"), "start");
        size_t to = i + 1 < n ? (size_t)json_integer_value(from) : text.len;
        if (to > at && to <= text.len) {
            if (e->delta && !e->delta(e->arg, str_sub(text, at, to)))
                return left(k);
            at = to;
        }
        if (i < n && e->citation && !e->citation(e->arg, json_array_get(list, i)))
            return left(k);
    }
    return OK;
}

static enum err_code tell(struct asking *k, const json_t *hits, const json_t *reply)
{
    const struct ask_events *e = k->events;
    if (!e)
        return OK;
    if (e->query && !e->query(e->arg, k->search_query))
        return left(k);
    if (e->sources && !e->sources(e->arg, hits))
        return left(k);
    return tell_answer(k, reply);
}

/* What belongs to this asking alone. */
static void finish_reply(struct asking *k, json_t *reply, bool cached, double began)
{
    json_t *ms = render_timings(&k->found.ms);
    json_put(ms, "generate", json_real(k->generate_ms));
    json_put(ms, "total", json_real(clock_ms() - began));
    json_put(reply, "timings_ms", ms);
    json_put(reply, "cached", json_boolean(cached));
    json_put(reply, "conversation_id",
             k->req->conversation ? json_string(k->conversation) : json_null());
}

static void count(struct asking *k, const json_t *reply, bool cached, double began)
{
    struct query *q = k->q;
    const char *finish = json_string_value(json_object_get(reply, "finish_reason"));
    double ms = clock_ms() - began;
    pthread_mutex_lock(&q->lock);
    q->counts.asks++;
    q->counts.ask_ms += ms;
    q->counts.cached += cached;
    q->counts.refused += finish && strcmp(finish, "refused") == 0;
    pthread_mutex_unlock(&q->lock);
    struct usage u = {.kind = "ask",
                      .model = llm_name(q->opt.llm),
                      .ms = ms,
                      .prompt_tokens = k->said.prompt_tokens,
                      .completion_tokens = k->said.completion_tokens};
    index_usage(q->opt.index, &u);
}

/* From the cache, or made and kept there. A cache that cannot be written costs
 * time, not the answer. */
static enum err_code find_or_answer(struct asking *k, json_t **hits, json_t **reply, bool *cached)
{
    struct str key;
    json_t *kept = NULL;
    enum err_code rc = cache_key(k->q, k->req, k->search_query, &k->scope, &k->a, &key, k->err);
    if (!rc)
        rc = cache_find(k->q, &k->scope, key, &k->a, &kept, k->err);
    if (rc)
        return rc;
    *cached = kept != NULL;
    if (kept) {
        *hits = json_incref(json_object_get(kept, "hits"));
        *reply = json_incref(json_object_get(kept, "reply"));
        json_decref(kept);
        return OK;
    }
    rc = answer(k, reply);
    if (rc)
        return rc;
    *hits = json_incref(k->hits);
    kept = json_object();
    json_put(kept, "hits", json_incref(*hits));
    json_put(kept, "reply", json_incref(*reply));
    if (cache_keep(k->q, &k->scope, key, kept, json_object_get(*reply, "citations"), &k->a, NULL))
        json_array_append_new(json_object_get(*reply, "degraded"),
                              json_string("cache: the answer could not be kept"));
    json_decref(kept);
    return OK;
}

static enum err_code ask(struct asking *k, json_t **reply)
{
    double began = clock_ms();
    json_t *hits = NULL, *r = NULL;
    bool cached = false;
    enum err_code rc = check_request(k->req, k->err);
    if (!rc)
        rc = query_scope(k->q, k->req->collection, &k->a, &k->scope, k->err);
    if (!rc)
        rc = session_query(k->q->opt.index, k->req->conversation, k->req->question, &k->a,
                           &k->search_query, k->err);
    if (!rc)
        rc = find_or_answer(k, &hits, &r, &cached);
    if (!rc)
        rc = tell(k, hits, r);
    if (!rc)
        rc = stop_check(k->stop, k->err);
    const json_t *text = json_object_get(r, "answer");
    struct str said = {json_string_value(text), json_string_length(text)};
    if (!rc && k->req->conversation)
        rc = session_keep(k->q->opt.index, k->conversation, k->req->question, said, k->err);
    if (!rc) {
        finish_reply(k, r, cached, began);
        count(k, r, cached, began);
        *reply = json_incref(r);
    }
    json_decref(hits);
    json_decref(r);
    return rc;
}

enum err_code query_ask(struct query *q, const struct ask_request *req,
                        const struct ask_events *events, const struct stop *stop, json_t **reply,
                        struct err *err)
{
    struct asking k = {
        .q = q, .req = req, .events = events, .stop = stop, .err = err, .citations = json_array()};
    if (req->conversation)
        memccpy(k.conversation, req->conversation, 0, sizeof(k.conversation) - 1);
    enum err_code rc = ask(&k, reply);
    json_decref(k.hits);
    json_decref(k.citations);
    buf_free(&k.raw);
    arena_deinit(&k.a);
    return rc;
}
