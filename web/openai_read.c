#include "web/openai.h"
#include <string.h>
#include "web/access.h"
#include "web/api.h"

#define STOPS_MAX 16
#define BIAS_MAX  1024
#define TOKENS_MAX (1 << 20)
#define SEED_MAX  9223372036854775807.0

/* Chat and plain completions share all but their first field. */
#define COMMON                                                                                    \
    {"model", FIELD_TEXT, 1, 200, true, NULL, "as /v1/models lists them; \"carrel\" answers from " \
                                              "the documents, \"carrel/NAME\" from a collection"}, \
    {"max_tokens", FIELD_INT, 1, TOKENS_MAX, false, NULL, "of the answer"},                       \
    {"temperature", FIELD_NUMBER, 0, 2, false, NULL, "as configured when absent; 0: greedy"},                    \
    {"top_p", FIELD_NUMBER, 0, 1, false, NULL, NULL},                                             \
    {"top_k", FIELD_INT, 0, TOKENS_MAX, false, NULL, "0: all"},                                   \
    {"min_p", FIELD_NUMBER, 0, 1, false, NULL, NULL},                                             \
    {"presence_penalty", FIELD_NUMBER, -2, 2, false, NULL, NULL},                                 \
    {"frequency_penalty", FIELD_NUMBER, -2, 2, false, NULL, NULL},                                \
    {"repetition_penalty", FIELD_NUMBER, 0, 10, false, NULL, "1: none"},                          \
    {"seed", FIELD_INT, -SEED_MAX, SEED_MAX, false, NULL, NULL},                                  \
    {"stop", FIELD_ANY, 0, 0, false, NULL, "a text, or up to 16 of them"},                        \
    {"logit_bias", FIELD_OBJECT, 0, 0, false, NULL, "{token id: -100..100}"},                     \
    {"n", FIELD_INT, 1, 1, false, NULL, "one answer"},                                            \
    {"stream", FIELD_BOOL, 0, 0, false, NULL, "answer as server-sent events"},                    \
    {"stream_options", FIELD_OBJECT, 0, 0, false, NULL, "{\"include_usage\": true}"},             \
    {"response_format", FIELD_OBJECT, 0, 0, false, NULL,                                          \
     "{\"type\": \"text\" | \"json_object\" | \"json_schema\", \"json_schema\": {\"schema\"}}"}

const struct field openai_chat_fields[] = {
    {"messages", FIELD_ARRAY, 1, 2048, true, NULL, "[{\"role\", \"content\"}]"},
    COMMON,
    {"max_completion_tokens", FIELD_INT, 1, TOKENS_MAX, false, NULL, "the same as max_tokens"},
    {"logprobs", FIELD_BOOL, 0, 0, false, NULL, NULL},
    {"top_logprobs", FIELD_INT, 0, 20, false, NULL, "beside the token taken"},
    {"tools", FIELD_ARRAY, 0, 0, false, NULL, "not served"},
    {"functions", FIELD_ARRAY, 0, 0, false, NULL, "not served"},
    {.type = FIELD_END}};

const struct field openai_text_fields[] = {
    {"prompt", FIELD_ANY, 0, 0, true, NULL, "a text, as it is: no template"},
    COMMON,
    {"logprobs", FIELD_INT, 0, 20, false, NULL, "beside the token taken"},
    {"echo", FIELD_BOOL, 0, 0, false, NULL, "false"},
    {"suffix", FIELD_TEXT, 0, 0, false, NULL, "not served"},
    {.type = FIELD_END}};

static enum err_code refuse(struct request *r, const char *param, enum err_code rc)
{
    r->param = param;
    return rc;
}

static struct str text_of(const json_t *v)
{
    return json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)}
                             : (struct str){NULL, 0};
}

/* ---- messages ---- */

static bool role_of(struct str name, enum llm_role *role)
{
    static const struct {
        const char *name;
        enum llm_role role;
    } known[] = {{"system", LLM_SYSTEM},
                 {"developer", LLM_SYSTEM},
                 {"user", LLM_USER},
                 {"assistant", LLM_ASSISTANT}};
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (str_eqz(name, known[i].name)) {
            *role = known[i].role;
            return true;
        }
    return false;
}

/* Content as parts: their texts one behind the other. */
static enum err_code join_parts(const json_t *parts, size_t at, struct arena *a, struct str *out,
                                struct err *err)
{
    struct buf b = {0};
    const json_t *part;
    size_t i;
    enum err_code rc = OK;
    json_array_foreach((json_t *)(uintptr_t)parts, i, part)
    {
        struct str type = field_text(part, "type"), text = field_text(part, "text");
        if (!rc && (!str_eqz(type, "text") || !text.ptr))
            rc = err_set(err, ERR_ARG,
                         "messages[%zu].content[%zu] is \"%.*s\"; this model reads parts of type "
                         "\"text\" only", at, i, STR_ARG(str_sub(type, 0, 40)));
        buf_str(&b, text);
    }
    *out = arena_str(a, buf_view(&b));
    if (!rc && (b.failed || !out->ptr))
        rc = err_set(err, ERR_NOMEM, "a message");
    buf_free(&b);
    return rc;
}

static enum err_code read_message(const json_t *m, size_t at, struct arena *a,
                                  struct llm_message *out, struct err *err)
{
    const json_t *content = json_object_get(m, "content");
    struct str role = field_text(m, "role");
    if (!json_is_object(m))
        return err_set(err, ERR_ARG, "messages[%zu] must be an object", at);
    if (!role_of(role, &out->role))
        return err_set(err, ERR_ARG, "messages[%zu].role is \"%.*s\"; need system, user or "
                       "assistant", at, STR_ARG(str_sub(role, 0, 40)));
    if (json_is_array(content))
        return join_parts(content, at, a, &out->content, err);
    out->content = text_of(content);
    return out->content.ptr ? OK : err_set(err, ERR_ARG, "messages[%zu].content must be a string "
                                           "or an array of text parts", at);
}

static enum err_code read_messages(struct openai_call *c, const json_t *list, struct err *err)
{
    size_t n = json_array_size(list);
    struct arena *a = &c->r->arena;
    struct llm_message *m = arena_alloc(a, n, sizeof(*m));
    if (!m)
        return err_set(err, ERR_NOMEM, "%zu messages", n);
    for (size_t i = 0; i < n; i++) {
        enum err_code rc = read_message(json_array_get(list, i), i, a, &m[i], err);
        if (rc)
            return rc;
    }
    c->chat.messages = m;
    c->chat.n_messages = (int)n;
    return OK;
}

static enum err_code read_prompt(struct openai_call *c, const json_t *prompt, struct err *err)
{
    if (json_is_array(prompt) && json_array_size(prompt) == 1)
        prompt = json_array_get(prompt, 0);
    c->chat.prompt = text_of(prompt);
    if (c->chat.prompt.len == 0)
        return err_set(err, ERR_ARG, "prompt must be one text that is not empty");
    return OK;
}

/* ---- options ---- */

enum err_code openai_stops(const json_t *stop, struct arena *a, const struct str **out, int *n_out,
                           struct err *err)
{
    bool one = json_is_string(stop);
    size_t n = one ? 1 : json_array_size(stop);
    if (!stop || json_is_null(stop))
        return OK;
    if ((!one && !json_is_array(stop)) || n > STOPS_MAX)
        return err_set(err, ERR_ARG, "stop must be a text or at most %d of them", STOPS_MAX);
    struct str *s = arena_alloc(a, n ? n : 1, sizeof(*s));
    if (!s)
        return err_set(err, ERR_NOMEM, "stop");
    for (size_t i = 0; i < n; i++) {
        s[i] = text_of(one ? stop : json_array_get(stop, i));
        if (s[i].len < 1 || s[i].len > 256)
            return err_set(err, ERR_ARG, "stop[%zu] must be a text of 1 to 256 bytes", i);
    }
    *out = s;
    *n_out = (int)n;
    return OK;
}

static enum err_code read_bias(struct openai_call *c, const json_t *bias, struct err *err)
{
    size_t n = json_object_size(bias), i = 0;
    const char *key;
    json_t *v;
    if (n > BIAS_MAX)
        return err_set(err, ERR_ARG, "logit_bias has %zu tokens, at most %d are allowed", n,
                       BIAS_MAX);
    struct llm_bias *b = arena_alloc(&c->r->arena, n ? n : 1, sizeof(*b));
    if (!b)
        return err_set(err, ERR_NOMEM, "logit_bias");
    json_object_foreach((json_t *)(uintptr_t)bias, key, v)
    {
        int64_t id;
        double add = json_number_value(v);
        if (!str_int(str_of(key), 0, INT32_MAX, &id) || !json_is_number(v) ||
            !(add >= -100 && add <= 100))
            return err_set(err, ERR_ARG, "logit_bias: \"%.40s\" must be a token id, its value a "
                           "number from -100 to 100", key);
        b[i++] = (struct llm_bias){(int32_t)id, (float)add};
    }
    c->chat.sampling.bias = b;
    c->chat.sampling.n_bias = (int)n;
    return OK;
}

enum err_code openai_format(const json_t *format, const json_t **schema, bool *json_object,
                            struct err *err)
{
    struct str type = field_text(format, "type");
    if (!json_is_object(format) || str_eqz(type, "text"))
        return OK;
    if (str_eqz(type, "json_object")) {
        *json_object = true;
        return OK;
    }
    if (!str_eqz(type, "json_schema"))
        return err_set(err, ERR_ARG, "response_format.type is \"%.*s\"; need text, json_object or "
                       "json_schema", STR_ARG(str_sub(type, 0, 40)));
    *schema = json_object_get(json_object_get(format, "json_schema"), "schema");
    return *schema ? OK : err_set(err, ERR_ARG, "response_format.json_schema.schema is "
                                         "missing");
}

static void read_numbers(struct openai_call *c)
{
    const json_t *o = c->r->json;
    struct llm_sampling *s = &c->chat.sampling;
    s->temperature = field_number(o, "temperature", llm_temperature(c->r->web->opt.llm));
    s->top_p = field_number(o, "top_p", 0);
    s->min_p = field_number(o, "min_p", 0);
    s->top_k = (int)field_int(o, "top_k", 0);
    s->presence = field_number(o, "presence_penalty", 0);
    s->frequency = field_number(o, "frequency_penalty", 0);
    s->repetition = field_number(o, "repetition_penalty", 0);
    s->seed = (uint64_t)field_int(o, "seed", 0);
    c->chat.max_tokens = (int)field_int(o, "max_completion_tokens", field_int(o, "max_tokens", 0));
    c->stream = field_bool(o, "stream", false);
    c->include_usage = field_bool(json_object_get(o, "stream_options"), "include_usage", false);
    if (c->kind == OPENAI_CHAT) {
        c->chat.logprobs = field_bool(o, "logprobs", false);
        c->chat.n_logprobs = (int)field_int(o, "top_logprobs", 0);
    } else if (json_is_integer(json_object_get(o, "logprobs"))) {
        c->chat.logprobs = true;
        c->chat.n_logprobs = (int)field_int(o, "logprobs", 0);
    }
}

/* ---- the model ---- */

struct str openai_collection(struct str model)
{
    if (str_eqz(model, "carrel"))
        return STR("default");
    struct str name = str_sub(model, 7, model.len);
    return str_starts(model, STR("carrel/")) && name.len > 0 ? name : (struct str){NULL, 0};
}

static enum err_code read_model(struct openai_call *c, struct err *err)
{
    struct request *r = c->r;
    struct str model = field_text(r->json, "model"), collection = openai_collection(model);
    c->model = arena_strz(&r->arena, model);
    if (!c->model)
        return err_set(err, ERR_NOMEM, "the model's name");
    if (collection.ptr && c->kind == OPENAI_TEXT)
        return err_set(err, ERR_ARG, "carrel answers conversations: POST /v1/chat/completions");
    if (collection.ptr) {
        c->answers = true;
        return access_collection(r, collection, &c->collection, err);
    }
    c->chat.model = c->model;
    if (llm_find(r->web->opt.llm, model) >= 0)
        return OK;
    return err_set(err, ERR_NOTFOUND, "there is no model \"%.*s\"; GET /v1/models lists them",
                   STR_ARG(str_sub(model, 0, 100)));
}

enum err_code openai_read(struct request *r, enum openai_kind kind, struct openai_call *out,
                          struct err *err)
{
    const json_t *o = r->json;
    *out = (struct openai_call){.r = r, .kind = kind};
    enum err_code rc = read_model(out, err);
    if (rc)
        return refuse(r, "model", rc);
    rc = kind == OPENAI_CHAT ? read_messages(out, json_object_get(o, "messages"), err)
                             : read_prompt(out, json_object_get(o, "prompt"), err);
    if (rc)
        return refuse(r, kind == OPENAI_CHAT ? "messages" : "prompt", rc);
    rc = openai_stops(json_object_get(o, "stop"), &r->arena, &out->chat.stops, &out->chat.n_stops,
                      err);
    if (rc)
        return refuse(r, "stop", rc);
    rc = read_bias(out, json_object_get(o, "logit_bias"), err);
    if (rc)
        return refuse(r, "logit_bias", rc);
    rc = openai_format(json_object_get(o, "response_format"), &out->chat.schema,
                       &out->chat.json_object, err);
    if (rc)
        return refuse(r, "response_format", rc);
    if (field_bool(o, "echo", false))
        return refuse(r, "echo", err_set(err, ERR_ARG, "echo is not served"));
    read_numbers(out);
    return OK;
}
