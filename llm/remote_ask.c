/* llm/remote_ask.c - what a server is asked: llm_chat as an OpenAI request.
 *
 * Words beyond OpenAI's (top_k, min_p, repetition_penalty: vLLM, llama.cpp and
 * others know them) are sent only where they are set. */
#include <string.h>
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

/* ---- strict ----
 *
 * With `strict` OpenAI keeps to the schema, but refuses (400) one that has more than its mode
 * knows ("Structured model outputs", supported schemas): every object names all its members,
 * requires each and allows no other; few keywords. Without it any schema is taken, and the
 * answer is what the model makes of it. Servers that hold to schemas by grammars of their own
 * do so either way. In doubt it is not set: that is never refused. */

enum { STRICT_DEPTH = 10 };

static bool among(const char *word, const char *const *list)
{
    while (*list && strcmp(word, *list) != 0)
        list++;
    return *list;
}

static bool strict_words(const json_t *s)
{
    static const char *const words[] = {
        "type", "title", "description", "properties", "required", "additionalProperties", "items",
        "enum", "const", "anyOf", "$ref", "$defs", "pattern", "format", "minimum", "maximum",
        "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems", NULL};
    static const char *const formats[] = {"date-time", "time", "date", "duration", "email",
                                          "hostname", "ipv4", "ipv6", "uuid", NULL};
    const char *key, *format = json_string_value(json_object_get(s, "format"));
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)s, key, v)
        if (!among(key, words))
            return false;
    return !format || among(format, formats);
}

static bool allows_object(const json_t *type)
{
    const char *name = json_string_value(type);
    const json_t *one;
    size_t i;
    json_array_foreach(type, i, one)
        if (allows_object(one))
            return true;
    return name && strcmp(name, "object") == 0;
}

/* All members required, no other allowed. */
static bool strict_members(const json_t *s)
{
    const json_t *required = json_object_get(s, "required"), *one;
    const json_t *members = json_object_get(s, "properties");
    size_t i, n = 0;
    json_array_foreach(required, i, one)
        n += json_object_get(members, json_string_value(one)) != NULL;
    return json_is_object(members) && n == json_array_size(required) &&
           n == json_object_size(members) &&
           json_is_false(json_object_get(s, "additionalProperties"));
}

static bool strict_schema(const json_t *s, int depth)
{
    static const char *const maps[] = {"properties", "$defs"};
    static const char *const kinds[] = {"type", "enum", "const", "anyOf", "$ref"};
    const json_t *items = json_object_get(s, "items"), *one;
    const char *key;
    json_t *v;
    size_t i;
    bool said = false;
    for (int k = 0; k < 5; k++)
        said = said || json_object_get(s, kinds[k]);
    if (!said || depth > STRICT_DEPTH || !strict_words(s) ||
        (allows_object(json_object_get(s, "type")) && !strict_members(s)) ||
        (items && !strict_schema(items, depth + 1)))
        return false;
    json_array_foreach(json_object_get(s, "anyOf"), i, one)
        if (!strict_schema(one, depth + 1))
            return false;
    for (int k = 0; k < 2; k++)
        json_object_foreach(json_object_get(s, maps[k]), key, v)
            if (!strict_schema(v, depth + 1))
                return false;
    return true;
}

static bool is_strict(const json_t *schema)
{
    const char *type = json_string_value(json_object_get(schema, "type"));
    return type && strcmp(type, "object") == 0 && !json_object_get(schema, "anyOf") &&
           strict_schema(schema, 0);
}

/* ---- the request ---- */

static bool put_format(json_t *o, const struct llm_chat *req)
{
    if (req->schema)
        return json_put(o, "response_format",
                        json_pack("{s:s,s:{s:s,s:b,s:O}}", "type", "json_schema", "json_schema",
                                  "name", "answer", "strict",
                                  is_strict(req->schema), "schema", req->schema));
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
