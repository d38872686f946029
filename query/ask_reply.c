/* query/ask_reply.c - an asking as API.md writes it. */
#include <string.h>
#include "base/clock.h"
#include "query/ask_int.h"
#include "query/render.h"

#define NO_EVIDENCE  "Nothing in these documents answers this question."
#define NO_DOCUMENTS "There are no documents here yet."

/* ---- usage ---- */

static json_t *attempts(const struct llm_usage *u)
{
    json_t *list = json_array();
    for (int i = 0; i < u->n_attempts; i++) {
        const struct llm_attempt *a = &u->attempts[i];
        json_t *o = json_object();
        json_put(o, "model", json_text(str_of(a->name)));
        json_put(o, "status", a->status ? json_integer(a->status) : json_null());
        json_put(o, "error", *a->error ? json_text(str_of(a->error)) : json_null());
        json_put(o, "ms", json_real(a->ms));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *context(const struct asking *k)
{
    json_t *o = json_object();
    int kept = k->by_model ? k->prompt.passages : k->found.n_hits;
    json_put(o, "kept", json_integer(kept));
    json_put(o, "dropped", json_integer(k->found.n_hits - kept));
    if (k->by_model) {
        json_put(o, "turns_kept", json_integer(k->prompt.turns));
        json_put(o, "turns_dropped", json_integer(k->n_turns - k->prompt.turns));
    }
    return o;
}

static json_t *usage(const struct asking *k)
{
    json_t *o = json_object();
    const struct llm_usage *u = &k->spoke.usage;
    int prompt = k->by_model ? u->prompt_tokens : k->said.prompt_tokens;
    int completion = k->by_model ? u->completion_tokens : k->said.completion_tokens;
    json_put(o, "prompt_tokens", json_integer(prompt));
    json_put(o, "completion_tokens", json_integer(completion));
    if (k->by_model) {
        json_put(o, "cached_tokens", json_integer(u->cached_tokens));
        json_put(o, "proposed_tokens", json_integer(u->proposed_tokens));
        json_put(o, "accepted_tokens", json_integer(u->accepted_tokens));
    }
    if (u->n_attempts)
        json_put(o, "attempts", attempts(u));
    json_put(o, "context", context(k));
    return o;
}

/* ---- the reply ---- */

static bool quoted(const struct asking *k)
{
    return k->cited.n > 0 && ask_open(k);
}

/* By a language model that had an answer. */
static bool spoken(const struct asking *k)
{
    bool json = k->req->schema || k->req->json_object;
    return k->by_model && (json || k->claims.n || !prompt_declines(buf_view(&k->raw)));
}

static json_t *unsupported(const struct asking *k)
{
    json_t *list = json_array();
    for (int i = 0; i < k->claims.n_unsupported && spoken(k); i++) {
        json_t *o = json_object();
        json_put(o, "start", json_integer((json_int_t)k->claims.unsupported[i].start));
        json_put(o, "end", json_integer((json_int_t)k->claims.unsupported[i].end));
        json_array_append_new(list, o);
    }
    return list;
}

static enum grounded grounded(const struct asking *k)
{
    if (k->by_model)
        return spoken(k) ? claim_grounded(k->said.confidence, &k->claims) : GROUNDED_NONE;
    return quoted(k) ? ground_of(k->said.confidence, &k->cited.claims) : GROUNDED_NONE;
}

static const char *finish_name(const struct asking *k)
{
    if (!(k->by_model ? spoken(k) : quoted(k)))
        return "refused";
    enum llm_finish f = k->by_model ? k->spoke.finish : k->said.finish;
    return f == LLM_LENGTH ? "length" : "stop";
}

static json_t *answer_text(const struct asking *k)
{
    if (k->by_model)
        return json_text(buf_view(&k->raw));
    if (quoted(k))
        return json_text(k->cited.answer);
    return json_string(k->scope.collection.documents ? NO_EVIDENCE : NO_DOCUMENTS);
}

json_t *ask_reply(struct asking *k)
{
    enum grounded g = grounded(k);
    bool cites = k->by_model || quoted(k);
    json_t *o = json_object();
    json_put(o, "answer", answer_text(k));
    json_put(o, "grounded", json_string(ground_name(g)));
    json_put(o, "citations", cites ? json_incref(k->citations) : json_array());
    if (k->by_model)
        json_put(o, "unsupported", unsupported(k));
    json_put(o, "search_query", json_text(k->search_query));
    bool near = k->by_model ? g == GROUNDED_NONE : !quoted(k);
    json_put(o, "nearest", near ? json_incref(k->hits) : json_array());
    json_put(o, "model", k->by_model ? json_text(str_of(k->spoke.model)) : json_string("extractive"));
    json_put(o, "finish_reason", json_string(finish_name(k)));
    json_put(o, "evidence", json_real(k->said.confidence));
    json_put(o, "usage", usage(k));
    json_put(o, "degraded", render_strings(k->degraded, k->n_degraded));
    return o;
}

void ask_reply_finish(struct asking *k, json_t *reply, bool cached)
{
    json_t *ms = render_timings(&k->found.ms);
    const struct llm_usage *u = &k->spoke.usage;
    json_put(ms, "generate", json_real(k->generate_ms));
    if (k->rewrite_ms > 0)
        json_put(ms, "rewrite", json_real(k->rewrite_ms));
    if (k->by_model && !cached) {
        json_put(ms, "first_token", json_real(k->first_ms));
        json_put(ms, "wait", json_real(u->wait_ms));
        json_put(ms, "prefill", json_real(u->prefill_ms));
        json_put(ms, "decode", json_real(u->decode_ms));
    }
    json_put(ms, "total", json_real(clock_ms() - k->began_ms));
    json_put(reply, "timings_ms", ms);
    json_put(reply, "cached", json_boolean(cached));
    json_put(reply, "conversation_id",
             k->req->conversation ? json_string(k->conversation) : json_null());
}
