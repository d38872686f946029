/* llm/remote_ask.c - what a server is asked: llm_chat as an OpenAI request.
 *
 * Words beyond OpenAI's (top_k, min_p, repetition_penalty: vLLM, llama.cpp and
 * others know them) are sent only where they are set. */
#include "llm/remote_int.h"

enum { TOKENS = 1024 }; /* of an answer, when nobody says */

static json_t *messages_of(const struct llm_chat *req)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    json_t *list = json_array();
    for (int i = 0; i < req->n_messages; i++)
        json_array_append_new(list, json_pack("{s:s,s:o}", "role", roles[req->messages[i].role],
                                              "content", json_text(req->messages[i].content)));
    return list;
}

static bool put_sampling(json_t *o, const struct llm_sampling *s)
{
    bool ok = json_put(o, "temperature", json_real(s->temperature));
    const struct {
        const char *name;
        double value, unset;
    } number[] = {
        {"top_p", s->top_p, 0},
        {"min_p", s->min_p, 0},
        {"repetition_penalty", s->repetition == 0 ? 1 : s->repetition, 1},
        {"presence_penalty", s->presence, 0},
        {"frequency_penalty", s->frequency, 0},
    };
    for (int i = 0; i < 5; i++)
        if (number[i].value != number[i].unset)
            ok &= json_put(o, number[i].name, json_real(number[i].value));
    if (s->top_k)
        ok &= json_put(o, "top_k", json_integer(s->top_k));
    if (s->temperature > 0) /* greedy answers draw nothing, and some servers know no seed */
        ok &= json_put(o, "seed", json_integer((json_int_t)(s->seed & INT64_MAX)));
    json_t *bias = s->n_bias ? json_object() : NULL;
    for (int i = 0; i < s->n_bias; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%d", s->bias[i].id);
        ok &= json_put(bias, id, json_real(s->bias[i].add));
    }
    return ok && (!bias || json_put(o, "logit_bias", bias));
}

static bool put_format(json_t *o, const struct llm_chat *req)
{
    if (req->schema)
        return json_put(o, "response_format",
                        json_pack("{s:s,s:{s:s,s:b,s:O}}", "type", "json_schema", "json_schema",
                                  "name", "answer", "strict", 1, "schema", req->schema));
    return !req->json_object ||
           json_put(o, "response_format", json_pack("{s:s}", "type", "json_object"));
}

static bool put_stops(json_t *o, const struct llm_chat *req)
{
    if (!req->n_stops)
        return true;
    json_t *list = json_array();
    for (int i = 0; i < req->n_stops; i++)
        json_array_append_new(list, json_text(req->stops[i]));
    return json_put(o, "stop", list);
}

enum err_code remote_ask(const struct remote *r, const struct llm_chat *req, struct buf *out,
                         struct err *err)
{
    bool bare = req->n_messages == 0;
    if (bare && req->logprobs)
        return err_set(err, ERR_ARG,
                       "%s: log probabilities come with messages, not with a bare "
                       "prompt",
                       r->name);
    const char *limit = r->new_limit_word ? "max_completion_tokens" : "max_tokens";
    json_t *o = json_pack("{s:s,s:b,s:{s:b}}", "model", r->model, "stream", 1, "stream_options",
                          "include_usage", 1);
    bool ok = o &&
              json_put(o, bare ? "prompt" : "messages",
                       bare ? json_text(req->prompt) : messages_of(req)) &&
              json_put(o, limit, json_integer(req->max_tokens ? req->max_tokens : TOKENS)) &&
              put_sampling(o, &req->sampling) && put_stops(o, req) && put_format(o, req);
    if (ok && req->logprobs)
        ok = json_put(o, "logprobs", json_true()) &&
             (!req->n_logprobs || json_put(o, "top_logprobs", json_integer(req->n_logprobs)));
    if (ok)
        json_write(out, o);
    json_decref(o);
    return ok ? buf_ok(out, "a request", err) : err_set(err, ERR_NOMEM, "a request");
}
