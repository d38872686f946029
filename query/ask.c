/* query/ask.c - query_ask: from a question to an answer that can be checked.
 *
 * Evidence comes first: where the passages give none the box says so, whatever
 * generator it has. The extractive engine's answer is whole before its first byte
 * leaves; a language model's leaves as it is written, with nothing in it but text and
 * marks of passages it was given, and what its claims stand on is told behind it. */
#include <string.h>
#include "base/clock.h"
#include "base/utf8.h"
#include "query/ask_int.h"
#include "query/cache.h"
#include "query/render.h"
#include "query/session.h"

#define OTHERS 2 /* passages kept for other documents than the one that has most */

void ask_degrade(struct asking *k, const char *why)
{
    if (why && k->n_degraded < ASK_DEGRADED_MAX)
        k->degraded[k->n_degraded++] = why;
}

enum err_code ask_left(struct asking *k)
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
    double t = r->sampling.temperature;
    if (r->max_tokens < 0 || !(t >= 0 && t <= 2))
        return err_set(err, ERR_ARG, "max_tokens %d, temperature %g: need 0 or more, and 0 to 2",
                       r->max_tokens, t);
    for (int i = 0; i < r->n_history; i++)
        if (!utf8_valid(r->history[i].content))
            return err_set(err, ERR_ARG, "message %d is not UTF-8", i + 1);
    if (r->conversation && strlen(r->conversation) > 32)
        return err_set(err, ERR_ARG, "conversation id of more than 32 bytes");
    return OK;
}

/* ---- passages ---- */

static enum err_code find_passages(struct asking *k)
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
        ask_degrade(k, k->found.degraded[i]);
    if (rc)
        return rc;
    k->hits = render_hits(k->found.hits, k->found.n_hits, false);
    k->said.finish = LLM_REFUSED;
    return k->found.n_hits ? ask_evidence(k) : OK;
}

/* ---- answers ---- */

/* What is kept of an answer; `sources` name its documents. A cache that cannot be
 * written costs time, not the answer. */
static void keep(struct asking *k, struct str key, json_t *hits, json_t *reply,
                 const json_t *sources)
{
    json_t *kept = json_object();
    json_put(kept, "hits", json_incref(hits));
    json_put(kept, "reply", json_incref(reply));
    if (cache_keep(k->q, &k->scope, key, kept, sources, &k->a, NULL))
        json_array_append_new(json_object_get(reply, "degraded"),
                              json_string("cache: the answer could not be kept"));
    json_decref(kept);
}

/* From the cache: *reply stays NULL when nothing valid is there. */
static enum err_code look_up(struct asking *k, struct str key, json_t **hits, json_t **reply)
{
    json_t *kept = NULL;
    enum err_code rc = cache_find(k->q, &k->scope, key, &k->a, &kept, k->err);
    if (!rc && kept) {
        *hits = json_incref(json_object_get(kept, "hits"));
        *reply = json_incref(json_object_get(kept, "reply"));
    }
    json_decref(kept);
    return rc;
}

/* The passages' own sentences, or a refusal. */
static enum err_code answer_by_quotes(struct asking *k, json_t **hits, json_t **reply)
{
    enum err_code rc = ask_open(k) ? ask_quote(k) : OK;
    if (rc)
        return rc;
    *hits = json_incref(k->hits);
    *reply = ask_reply(k);
    return OK;
}

static enum err_code quote(struct asking *k, json_t **hits, json_t **reply, bool *cached)
{
    struct str key;
    enum err_code rc =
        cache_key(k->q, k->req, k->search_query, &k->scope, STR(""), &k->a, &key, k->err);
    if (!rc)
        rc = look_up(k, key, hits, reply);
    *cached = *reply != NULL;
    if (rc || *cached)
        return rc;
    rc = find_passages(k);
    if (!rc)
        rc = answer_by_quotes(k, hits, reply);
    if (!rc)
        keep(k, key, *hits, *reply, json_object_get(*reply, "citations"));
    return rc;
}

/* Draws at random are not kept. *key stays empty then. */
static enum err_code model_key(struct asking *k, struct str *key)
{
    struct str model;
    const struct cache_served served = {k->found.hits, k->found.n_hits, k->turns, k->n_turns};
    if (k->req->sampling.temperature > 0 && !k->req->has_seed)
        return OK;
    enum err_code rc = cache_model(k->q, k->req, &served, &k->a, &model, k->err);
    if (rc)
        return rc;
    return cache_key(k->q, k->req, k->search_query, &k->scope, model, &k->a, key, k->err);
}

/* A language model's answer goes with all the documents that it has read. Kept is
 * only what the first generator said: another's, when that one failed, is for now. */
static enum err_code speak(struct asking *k, json_t **hits, json_t **reply, bool *cached)
{
    struct str key = {NULL, 0};
    bool fell = false;
    enum err_code rc = find_passages(k);
    if (!rc && !ask_open(k)) {
        k->by_model = false;
        return answer_by_quotes(k, hits, reply);
    }
    if (!rc)
        rc = model_key(k, &key);
    if (!rc && key.len)
        rc = look_up(k, key, hits, reply);
    *cached = *reply != NULL;
    if (rc || *cached)
        return rc;
    rc = ask_model(k, &fell);
    if (!rc && fell)
        return answer_by_quotes(k, hits, reply);
    if (rc)
        return rc;
    *hits = json_incref(k->hits);
    *reply = ask_reply(k);
    if (key.len && !k->passing)
        keep(k, key, *hits, *reply, *hits);
    return OK;
}

/* ---- telling it ---- */

static size_t span_end(const json_t *citation)
{
    const json_t *span = json_object_get(citation, "answer_span");
    return (size_t)json_integer_value(json_object_get(span, "end"));
}

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
        size_t own = span_end(json_array_get(list, i));
        to = to < own ? own : to; /* two marks may share a claim */
        if (to > at && to <= text.len) {
            if (!k->streamed && e->delta && !e->delta(e->arg, str_sub(text, at, to)))
                return ask_left(k);
            at = to;
        }
        if (i < n && e->citation && !e->citation(e->arg, json_array_get(list, i)))
            return ask_left(k);
    }
    return OK;
}

enum err_code ask_tell_sources(struct asking *k, const json_t *hits)
{
    const struct ask_events *e = k->events;
    if (!e || k->told)
        return OK;
    k->told = true;
    if (e->query && !e->query(e->arg, k->search_query))
        return ask_left(k);
    if (e->sources && !e->sources(e->arg, hits))
        return ask_left(k);
    return OK;
}

static enum err_code tell(struct asking *k, const json_t *hits, const json_t *reply)
{
    if (!k->events)
        return OK;
    enum err_code rc = ask_tell_sources(k, hits);
    return rc ? rc : tell_answer(k, reply);
}

static void count(struct asking *k, const json_t *reply, bool cached)
{
    struct query *q = k->q;
    const char *finish = json_string_value(json_object_get(reply, "finish_reason"));
    const json_t *used = json_object_get(reply, "usage");
    double ms = clock_ms() - k->began_ms;
    pthread_mutex_lock(&q->lock);
    q->counts.asks++;
    q->counts.ask_ms += ms;
    q->counts.cached += cached;
    q->counts.refused += finish && strcmp(finish, "refused") == 0;
    pthread_mutex_unlock(&q->lock);
    struct usage u = {.kind = "ask",
                      .model = json_string_value(json_object_get(reply, "model")),
                      .ms = ms};
    if (!cached) {
        u.prompt_tokens = json_integer_value(json_object_get(used, "prompt_tokens"));
        u.completion_tokens = json_integer_value(json_object_get(used, "completion_tokens"));
    }
    index_usage(q->opt.index, &u);
}

/* ---- the front ---- */

static enum err_code begin(struct asking *k)
{
    struct ask_turn *turns = NULL;
    enum err_code rc = check_request(k->req, k->err);
    if (!rc)
        rc = query_scope(k->q, k->req->collection, &k->a, &k->scope, k->err);
    if (!rc)
        rc = ask_generator(k);
    if (!rc && k->req->conversation)
        rc = session_turns(k->q->opt.index, k->req->conversation, &k->a, &turns, &k->n_turns,
                           k->err);
    else if (!rc)
        rc = session_history(k->req->history, k->req->n_history, &k->a, &turns, &k->n_turns,
                             k->err);
    k->turns = turns;
    if (!rc)
        rc = k->by_model ? ask_rewrite(k)
                         : session_query(k->turns, k->n_turns, k->req->question, &k->a,
                                         &k->search_query, k->err);
    return rc;
}

static enum err_code ask(struct asking *k, json_t **reply)
{
    json_t *hits = NULL, *r = NULL;
    bool cached = false;
    k->began_ms = clock_ms();
    enum err_code rc = begin(k);
    if (!rc)
        rc = k->by_model ? speak(k, &hits, &r, &cached) : quote(k, &hits, &r, &cached);
    if (!rc)
        rc = tell(k, hits, r);
    if (!rc)
        rc = stop_check(k->stop, k->err);
    const json_t *text = json_object_get(r, "answer");
    struct str said = {json_string_value(text), json_string_length(text)};
    if (!rc && k->req->conversation)
        rc = session_keep(k->q->opt.index, k->conversation, k->req->question, said, k->err);
    if (!rc) {
        ask_reply_finish(k, r, cached);
        count(k, r, cached);
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
