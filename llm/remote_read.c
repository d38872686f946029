/* llm/remote_read.c - what a server answers: chunks of a completion, read as they come.
 *
 * A server that does not stream (application/json) is understood too. An answer
 * is whole when it said [DONE] or why it finished; anything else broke off.
 * JSON that was asked for is held until it is whole, looked at, and only then told:
 * a server may know nothing of schemas, half of it is of no use, and as long as
 * nothing was told another generator may do better. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "llm/grammar.h"
#include "llm/remote_int.h"

enum { TOP_MAX = 20 };

void remote_answer_init(struct remote_answer *a)
{
    sse_init(&a->sse, REMOTE_EVENT_MAX);
    a->prompt_tokens = a->completion_tokens = a->cached_tokens = -1;
}

void remote_answer_deinit(struct remote_answer *a)
{
    sse_deinit(&a->sse);
    buf_free(&a->body);
    free(a->held);
    arena_deinit(&a->arena);
}

/* ---- errors ---- */

static struct str text_of(const json_t *v)
{
    return json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)} : STR("");
}

/* {"message", "code"} or a text, as servers write errors. */
static struct str read_error(const json_t *e, struct str *word)
{
    *word = text_of(json_object_get(e, "code"));
    if (!word->len)
        *word = text_of(json_object_get(e, "type"));
    return json_is_string(e) ? text_of(e) : text_of(json_object_get(e, "message"));
}

struct str remote_error_text(const struct buf *body, json_t **value, struct str *word)
{
    *word = STR("");
    *value = NULL;
    if (json_read(buf_view(body), value, NULL))
        return STR("");
    const json_t *e = json_object_get(*value, "error");
    struct str said = read_error(e ? e : *value, word);
    return said.len ? said : text_of(json_object_get(*value, "detail"));
}

/* `fmt` takes the remote's name and `said`. */
static bool fail(struct remote_answer *a, enum err_code code, const char *fmt, struct str said)
{
    a->failed =
        err_set(&a->why, code, fmt, a->name, (int)(said.len < 180 ? said.len : 180), said.ptr);
    return false;
}

static bool take_error(struct remote_answer *a, const json_t *e)
{
    struct str word, said = read_error(e, &word);
    a->said_status = (int)json_integer_value(json_object_get(e, "code"));
    return fail(a, ERR_IO, "%s ended the answer with an error: %.*s",
                said.len ? said : STR("it gave no reason"));
}

/* ---- tokens ---- */

/* A token's bytes: "bytes" where it is given (a part of a character), else "token"; in the arena. */
static struct str token_bytes(struct remote_answer *a, const json_t *t)
{
    const json_t *list = json_object_get(t, "bytes");
    size_t n = json_array_size(list);
    char *own = json_is_array(list) ? arena_alloc(&a->arena, n + 1, 1) : NULL;
    for (size_t i = 0; own && i < n; i++) {
        json_int_t b = json_integer_value(json_array_get(list, i));
        if (b < 0 || b > 255)
            own = NULL;
        else
            own[i] = (char)b;
    }
    return own ? (struct str){own, n} : arena_str(&a->arena, text_of(json_object_get(t, "token")));
}

static float logprob_of(const json_t *t)
{
    double p = json_number_value(json_object_get(t, "logprob"));
    return (float)(p < -9999 ? -9999 : p);
}

static bool read_token(struct remote_answer *a, const json_t *t, struct llm_token *out)
{
    const json_t *top = json_object_get(t, "top_logprobs");
    size_t n = json_array_size(top) < TOP_MAX ? json_array_size(top) : TOP_MAX;
    struct llm_top *tops = arena_alloc(&a->arena, n + 1, sizeof(*tops));
    if (!tops)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(top, i);
        tops[i] = (struct llm_top){token_bytes(a, one), logprob_of(one)};
    }
    *out = (struct llm_token){token_bytes(a, t), logprob_of(t), tops, (int)n};
    return true;
}

static bool read_tokens(struct remote_answer *a, const json_t *choice, struct llm_piece *piece)
{
    const json_t *list = json_object_get(json_object_get(choice, "logprobs"), "content");
    size_t n = a->request->logprobs ? json_array_size(list) : 0;
    if (!n)
        return true;
    struct llm_token *tokens = arena_alloc(&a->arena, n, sizeof(*tokens));
    for (size_t i = 0; i < n; i++)
        if (!tokens || !read_token(a, json_array_get(list, i), &tokens[i]))
            return fail(a, ERR_NOMEM, "%s: no memory for %.*s", STR("its tokens"));
    piece->tokens = tokens;
    piece->n_tokens = (int)n;
    return true;
}

/* ---- chunks ---- */

static enum llm_finish finish_of(struct str reason)
{
    if (str_eqz(reason, "length") || str_eqz(reason, "max_tokens"))
        return LLM_LENGTH;
    if (str_eqz(reason, "content_filter") || str_eqz(reason, "refusal"))
        return LLM_REFUSED;
    return LLM_STOP; /* "stop", "eos", "stop_sequence", ... */
}

static bool wants_json(const struct remote_answer *a)
{
    return a->request->schema || a->request->json_object;
}

static bool emit_piece(struct remote_answer *a, const struct llm_piece *piece)
{
    a->begun = true;
    if (a->emit(a->arg, piece))
        return true;
    a->failed = err_set(&a->why, ERR_CANCELLED, "stopped");
    return false;
}

static bool hold_piece(struct remote_answer *a, const struct llm_piece *piece)
{
    if (a->n_held == a->cap_held) {
        size_t cap = 2 * a->cap_held + 64;
        struct llm_piece *more = realloc(a->held, cap * sizeof(*more));
        if (!more)
            return fail(a, ERR_NOMEM, "%s: no memory for %.*s", STR("its answer"));
        a->held = more;
        a->cap_held = cap;
    }
    struct llm_piece *to = &a->held[a->n_held++];
    *to = *piece;
    to->text = arena_str(&a->arena, piece->text);
    return to->text.ptr || fail(a, ERR_NOMEM, "%s: no memory for %.*s", STR("its answer"));
}

static bool give_piece(struct remote_answer *a, const struct llm_piece *piece)
{
    if (!piece->text.len && !piece->n_tokens)
        return true;
    if (a->first_ms <= 0)
        a->first_ms = clock_ms();
    a->text_bytes += piece->text.len;
    return wants_json(a) ? hold_piece(a, piece) : emit_piece(a, piece);
}

static bool take_choice(struct remote_answer *a, const json_t *choice)
{
    const json_t *delta = json_object_get(choice, "delta");
    const json_t *reason = json_object_get(choice, "finish_reason");
    if (!delta)
        delta = json_object_get(choice, "message");
    struct llm_piece piece = {
        .text = text_of(json_object_get(delta ? delta : choice, delta ? "content" : "text"))};
    struct str refusal = text_of(json_object_get(delta, "refusal"));
    if (json_is_string(reason)) {
        /* A refusal that was spelled out before ends with "stop". */
        a->finish = a->finish == LLM_REFUSED ? LLM_REFUSED : finish_of(text_of(reason));
        a->finished = true;
    }
    if (refusal.len) {
        a->finish = LLM_REFUSED;
        if (!wants_json(a))
            piece.text = refusal;
    }
    bool more = read_tokens(a, choice, &piece) && give_piece(a, &piece);
    if (!wants_json(a))
        arena_reset(&a->arena);
    return more;
}

static int count_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    json_int_t n = json_integer_value(v);
    return json_is_integer(v) && n >= 0 && n <= INT_MAX ? (int)n : -1;
}

static void take_usage(struct remote_answer *a, const json_t *usage)
{
    if (!json_is_object(usage))
        return;
    a->prompt_tokens = count_of(usage, "prompt_tokens");
    a->completion_tokens = count_of(usage, "completion_tokens");
    a->cached_tokens = count_of(json_object_get(usage, "prompt_tokens_details"), "cached_tokens");
}

static bool take_chunk(struct remote_answer *a, const json_t *chunk)
{
    const json_t *error = json_object_get(chunk, "error"), *choice;
    if (error && !json_is_null(error))
        return take_error(a, error);
    take_usage(a, json_object_get(chunk, "usage"));
    size_t i;
    json_array_foreach(json_object_get(chunk, "choices"), i, choice)
    {
        if (json_integer_value(json_object_get(choice, "index")) != 0)
            continue; /* one was asked for */
        if (!take_choice(a, choice))
            return false;
    }
    return true;
}

static bool take_event(void *arg, struct str event, struct str data)
{
    struct remote_answer *a = arg;
    json_t *v = NULL;
    struct err err;
    if (a->done || !data.len)
        return true;
    if (str_eqz(str_trim(data), "[DONE]")) {
        a->done = true;
        return true;
    }
    if (json_read(data, &v, &err) || !json_is_object(v)) {
        json_decref(v);
        return fail(a, ERR_IO, "%s sent an event that is no JSON object%.*s", STR(""));
    }
    bool bare_error = str_eqz(event, "error") && !json_object_get(v, "error");
    bool more = bare_error ? take_error(a, v) : take_chunk(a, v);
    json_decref(v);
    return more;
}

static bool is_stream(const struct remote_answer *a)
{
    struct str type = http_header(a->http, "content-type");
    return http_status(a->http) / 100 == 2 &&
           !str_ieq(str_sub(type, 0, 16), STR("application/json"));
}

bool remote_answer_take(void *arg, struct str bytes)
{
    struct remote_answer *a = arg;
    if (a->done)
        return false; /* the end has been said: a server may not keep us here */
    if (!is_stream(a)) {
        a->body.max = http_status(a->http) / 100 == 2 ? REMOTE_ANSWER_MAX : REMOTE_ERROR_MAX;
        buf_str(&a->body, bytes);
        return !a->body.failed;
    }
    struct err err;
    enum err_code rc = sse_feed(&a->sse, bytes, take_event, a, &err);
    if (rc && !a->failed)
        fail(a, rc == ERR_NOMEM ? rc : ERR_IO, "%s: %.*s", str_of(err.msg));
    return !rc;
}

/* ---- the end ---- */

/* Is what was held what was asked for? */
static bool check_json(struct remote_answer *a)
{
    struct buf text = {0};
    json_t *v = NULL;
    for (size_t i = 0; i < a->n_held; i++)
        buf_str(&text, a->held[i].text);
    bool read = json_read(buf_view(&text), &v, NULL) == OK;
    bool good = read && (a->request->schema ? grammar_holds(a->request->schema, v)
                                            : json_is_object(v));
    json_decref(v);
    if (text.failed)
        fail(a, ERR_NOMEM, "%s: no memory for %.*s", STR("its answer"));
    else if (!good)
        fail(a, ERR_IO, "%s was asked for JSON, and what it wrote %.*s",
             !read                ? STR("is none")
             : a->request->schema ? STR("does not keep to the schema")
                                  : STR("is no object"));
    buf_free(&text);
    return !a->failed;
}

/* What was cut off or refused is told as such, not as JSON. */
static void tell_held(struct remote_answer *a)
{
    if (a->finish == LLM_STOP && !check_json(a))
        return;
    for (size_t i = 0; i < a->n_held; i++)
        if (!emit_piece(a, &a->held[i]))
            return;
}

enum err_code remote_answer_end(struct remote_answer *a, struct err *err)
{
    if (!a->failed && !is_stream(a)) {
        json_t *v = NULL;
        if (json_read(buf_view(&a->body), &v, NULL))
            fail(a, ERR_IO, "%s answered with what is no JSON%.*s", STR(""));
        else
            take_chunk(a, v);
        json_decref(v);
    }
    if (!a->failed && (a->done || a->finished) && wants_json(a))
        tell_held(a);
    if (a->failed)
        return err_set(err, a->failed, "%s", a->why.msg);
    if (!a->done && !a->finished)
        return err_set(err, ERR_IO, "%s broke off %s", a->name,
                       a->begun ? "in the middle of the answer" : "before an answer");
    return OK;
}
