#include <string.h>
#include <time.h>
#include "base/rng.h"
#include "base/utf8.h"
#include "web/openai.h"
#include "web/reply.h"
#include "web/stream.h"

/* ---- failures ---- */

static const char *failure_type(int status)
{
    return status == 401   ? "authentication_error"
           : status == 403 ? "permission_error"
           : status == 429 ? "rate_limit_error"
           : status >= 500 ? "server_error"
                           : "invalid_request_error";
}

bool openai_path(struct str path)
{
    return str_starts(path, STR("/v1/chat/")) || str_starts(path, STR("/v1/completions")) ||
           str_starts(path, STR("/v1/models"));
}

json_t *openai_failure_json(const struct request *r)
{
    const struct failure *f = &r->failure;
    json_t *e = json_object(), *o = json_object();
    json_put(e, "message", json_text(str_of(f->message)));
    json_put(e, "type", json_string(failure_type(f->status)));
    json_put(e, "param", f->param ? json_text(str_sub(str_of(f->param), 0, 64)) : json_null());
    json_put(e, "code", json_text(str_of(f->code)));
    json_put(e, "request_id", json_text(str_of(r->id)));
    json_put(o, "error", e);
    return o;
}

static void send_json(struct openai_call *c, json_t *o)
{
    struct buf b = {0};
    json_write(&b, o);
    if (!b.failed)
        stream_data(c->out, buf_view(&b));
    buf_free(&b);
    json_decref(o);
}

void openai_fail(struct openai_call *c, enum err_code rc, const struct err *err)
{
    reply_fail(c->r, rc, err);
    if (c->out) { /* the status has gone out */
        send_json(c, openai_failure_json(c->r));
        stream_end(c->out);
        c->r->failure.status = 0;
    }
    buf_free(&c->text);
    json_decref(c->logprobs);
}

/* ---- log probabilities ---- */

static json_t *token_json(struct str bytes, float logprob)
{
    json_t *o = json_object(), *list = json_array();
    json_put(o, "token", json_text(bytes));
    json_put(o, "logprob", json_real((double)logprob));
    for (size_t i = 0; i < bytes.len; i++)
        json_array_append_new(list, json_integer((unsigned char)bytes.ptr[i]));
    json_put(o, "bytes", list);
    return o;
}

static void note_tokens(struct openai_call *c, const struct llm_piece *p)
{
    if (!c->logprobs)
        c->logprobs = json_array();
    for (int i = 0; i < p->n_tokens; i++) {
        const struct llm_token *t = &p->tokens[i];
        json_t *o = token_json(t->bytes, t->logprob), *top = json_array();
        for (int k = 0; k < t->n_top; k++)
            json_array_append_new(top, token_json(t->top[k].text, t->top[k].logprob));
        json_put(o, "top_logprobs", top);
        json_array_append_new(c->logprobs, o);
    }
}

/* The older shape of /v1/completions: columns. */
static json_t *columns(const json_t *tokens)
{
    json_t *o = json_object(), *text = json_array(), *lp = json_array(), *top = json_array(), *t;
    size_t i, k;
    json_array_foreach((json_t *)(uintptr_t)tokens, i, t)
    {
        json_t *best = json_object(), *one;
        json_array_append(text, json_object_get(t, "token"));
        json_array_append(lp, json_object_get(t, "logprob"));
        json_array_foreach(json_object_get(t, "top_logprobs"), k, one)
            json_object_set(best, json_string_value(json_object_get(one, "token")),
                            json_object_get(one, "logprob"));
        json_array_append_new(top, best);
    }
    json_put(o, "tokens", text);
    json_put(o, "token_logprobs", lp);
    json_put(o, "top_logprobs", top);
    return o;
}

/* What has been noted and not told yet, or null. */
static json_t *take_logprobs(struct openai_call *c)
{
    json_t *o = json_null();
    if (c->logprobs && c->kind == OPENAI_TEXT) {
        o = columns(c->logprobs);
    } else if (c->logprobs) {
        o = json_object();
        json_put(o, "content", json_incref(c->logprobs));
        json_put(o, "refusal", json_null());
    }
    json_decref(c->logprobs);
    c->logprobs = NULL;
    return o;
}

/* ---- objects ---- */

static json_t *head(struct openai_call *c, json_t *choices)
{
    static const char *const names[2][2] = {{"chat.completion", "chat.completion.chunk"},
                                            {"text_completion", "text_completion"}};
    json_t *o = json_object();
    json_put(o, "id", json_string(c->id));
    json_put(o, "object", json_string(names[c->kind][c->stream]));
    json_put(o, "created", json_integer(c->created));
    json_put(o, "model", json_text(str_of(c->model)));
    json_put(o, "choices", choices);
    return o;
}

/* `body`: the message or the delta, taken over; a completion has `text` instead. */
static json_t *choice(struct openai_call *c, json_t *body, struct str text, const char *finish)
{
    json_t *o = json_object(), *list = json_array();
    json_put(o, "index", json_integer(0));
    if (c->kind == OPENAI_TEXT) {
        json_put(o, "text", json_text(text));
        json_decref(body);
    } else {
        json_put(o, c->stream ? "delta" : "message", body);
    }
    json_put(o, "logprobs", take_logprobs(c));
    json_put(o, "finish_reason", finish ? json_string(finish) : json_null());
    json_array_append_new(list, o);
    return list;
}

static void name_reply(struct openai_call *c)
{
    uint64_t n[2];
    rng_secret(n, sizeof(n));
    snprintf(c->id, sizeof(c->id), "%s-%016llx%016llx",
             c->kind == OPENAI_CHAT ? "chatcmpl" : "cmpl", (unsigned long long)n[0],
             (unsigned long long)n[1]);
    c->created = (int64_t)time(NULL);
}

/* The first byte decides: from here on a failure is an event. */
static bool begin(struct openai_call *c)
{
    json_t *noted = c->logprobs; /* of the piece that comes next */
    name_reply(c);
    c->out = stream_begin(c->r);
    c->logprobs = NULL;
    if (c->out && c->kind == OPENAI_CHAT)
        send_json(c, head(c, choice(c, json_pack("{s:s,s:s}", "role", "assistant", "content", ""),
                                    STR(""), NULL)));
    c->logprobs = noted;
    return c->out != NULL;
}

bool openai_piece(struct openai_call *c, const struct llm_piece *p)
{
    if (c->chat.logprobs)
        note_tokens(c, p);
    if (!c->stream) {
        buf_str(&c->text, p->text);
        return !c->text.failed;
    }
    if (p->text.len == 0)
        return true;
    if (!c->out && !begin(c))
        return false;
    struct buf b = {0};
    json_t *body = NULL;
    if (c->kind == OPENAI_CHAT) {
        body = json_object();
        json_put(body, "content", json_text(p->text));
    }
    json_t *o = head(c, choice(c, body, p->text, NULL));
    json_write(&b, o);
    bool on = !b.failed && stream_data(c->out, buf_view(&b));
    buf_free(&b);
    json_decref(o);
    return on;
}

json_t *openai_usage(const struct llm_usage *u)
{
    json_t *o = json_object();
    json_put(o, "prompt_tokens", json_integer(u->prompt_tokens));
    json_put(o, "completion_tokens", json_integer(u->completion_tokens));
    json_put(o, "total_tokens", json_integer(u->prompt_tokens + u->completion_tokens));
    json_put(o, "prompt_tokens_details", json_pack("{s:i}", "cached_tokens", u->cached_tokens));
    json_put(o, "completion_tokens_details",
             json_pack("{s:i,s:i}", "accepted_prediction_tokens", u->accepted_tokens,
                       "rejected_prediction_tokens", u->proposed_tokens - u->accepted_tokens));
    return o;
}

static void finish_stream(struct openai_call *c, const char *why, json_t *usage, json_t *message,
                          json_t *extra)
{
    if (!c->out && !begin(c)) {
        json_decref(usage);
        json_decref(message);
        json_decref(extra);
        reply_refuse(c->r, 503, "out_of_memory", "a stream");
        return;
    }
    json_t *o = head(c, choice(c, message ? message : json_object(), STR(""), why));
    if (extra)
        json_object_update(o, extra);
    json_decref(extra);
    send_json(c, o);
    if (c->include_usage) {
        o = head(c, json_array());
        json_put(o, "usage", usage);
        send_json(c, o);
    } else {
        json_decref(usage);
    }
    stream_data(c->out, STR("[DONE]"));
    stream_end(c->out);
}

static void finish_whole(struct openai_call *c, const char *why, json_t *usage, json_t *message,
                         json_t *extra)
{
    json_t *m = json_pack("{s:s}", "role", "assistant");
    struct str text = buf_view(&c->text);
    name_reply(c);
    json_put(m, "content", json_text(text));
    json_put(m, "refusal", json_null());
    if (message)
        json_object_update(m, message);
    json_decref(message);
    json_t *o = head(c, choice(c, m, text, why));
    json_put(o, "usage", usage);
    if (extra)
        json_object_update(o, extra);
    json_decref(extra);
    reply_json(c->r, 200, o);
}

void openai_finish(struct openai_call *c, enum llm_finish finish, json_t *usage, json_t *message,
                   json_t *extra)
{
    const char *why = finish == LLM_LENGTH ? "length" : "stop";
    if (c->stream)
        finish_stream(c, why, usage, message, extra);
    else
        finish_whole(c, why, usage, message, extra);
    buf_free(&c->text);
    json_decref(c->logprobs);
}
