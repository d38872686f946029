#include "web/openai.h"
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/utf8.h"
#include "web/access.h"
#include "web/api.h"
#include "web/pages.h"
#include "web/reply.h"

/* ---- models ---- */

static json_t *model_json(struct request *r, struct str id, const char *owner)
{
    json_t *o = json_object();
    double up_ms = clock_ms() - r->web->began_ms;
    json_put(o, "id", json_text(id));
    json_put(o, "object", json_string("model"));
    json_put(o, "created", json_integer((json_int_t)time(NULL) - (json_int_t)(up_ms / 1000)));
    json_put(o, "owned_by", json_string(owner));
    return o;
}

static void add_collections(struct request *r, json_t *list, const struct collection *c, int n)
{
    for (int i = 0; i < n; i++) {
        struct buf name = {0};
        buf_printf(&name, "carrel/%s", c[i].name);
        if (access_sees(r, c[i].name) && !name.failed)
            json_array_append_new(list, model_json(r, buf_view(&name), "carrel"));
        buf_free(&name);
    }
}

static enum err_code list_models(struct request *r, json_t **out, struct err *err)
{
    const struct llm *m = r->web->opt.llm;
    struct collection *c;
    int n;
    enum err_code rc = index_collections(r->web->opt.index, &r->arena, &c, &n, err);
    if (rc)
        return rc;
    json_t *list = json_array();
    if (access_sees(r, "default"))
        json_array_append_new(list, model_json(r, STR("carrel"), "carrel"));
    add_collections(r, list, c, n);
    for (int i = 0; i < llm_n_models(m); i++) {
        struct llm_model one = llm_model_at(m, i);
        json_array_append_new(list, model_json(r, str_of(one.name), one.kind));
    }
    *out = list;
    return OK;
}

enum err_code api_models(struct request *r, struct err *err)
{
    json_t *list;
    enum err_code rc = list_models(r, &list, err);
    if (!rc)
        reply_json(r, 200, json_pack("{s:s,s:o}", "object", "list", "data", list));
    return rc;
}

/* A name with a slash comes as one segment, percent-encoded, or as two. */
enum err_code api_model(struct request *r, struct err *err)
{
    struct buf name = {0};
    json_t *list, *one;
    size_t i;
    enum err_code rc = list_models(r, &list, err);
    if (rc)
        return rc;
    buf_str(&name, r->params[0]);
    if (r->params[1].ptr)
        buf_printf(&name, "/%.*s", STR_ARG(r->params[1]));
    json_array_foreach(list, i, one)
        if (str_eq(field_text(one, "id"), buf_view(&name)) && r->reply.status == 0)
            reply_json(r, 200, json_incref(one));
    if (r->reply.status == 0) {
        err_set(err, ERR_NOTFOUND, "there is no model \"%.*s\"; GET /v1/models lists them",
                STR_ARG(str_sub(buf_view(&name), 0, 100)));
        struct openai_call c = {.r = r};
        openai_fail(&c, ERR_NOTFOUND, err);
    }
    json_decref(list);
    buf_free(&name);
    return OK;
}

/* ---- a model by itself ---- */

static bool on_piece(void *arg, const struct llm_piece *p)
{
    return openai_piece(arg, p);
}

/* The member of the request that a failure is about, when its sentence begins with it: what a
 * model takes is known only where it runs. */
static void name_param(struct openai_call *c, enum err_code rc, const struct err *err)
{
    static const char *const known[] = {"response_format", "logit_bias", "stop", "max_tokens"};
    struct str why = str_of(err->msg);
    for (size_t i = 0; i < sizeof(known) / sizeof(*known) && rc == ERR_ARG; i++)
        if (!c->r->param && str_starts(why, str_of(known[i])))
            c->r->param = known[i];
    if (rc == ERR_LIMIT && !c->r->param)
        c->r->param = c->kind == OPENAI_CHAT ? "messages" : "prompt";
    if (rc == ERR_NOTFOUND && !c->r->param)
        c->r->param = "model";
}

static void run_chat(struct openai_call *c)
{
    struct llm_chat_reply said = {0};
    struct err err = {0};
    c->chat.circle = llm_circle_of_key(c->r->who.key);
    enum err_code rc = llm_chat(c->r->web->opt.llm, &c->chat, on_piece, c, &c->r->stop, &said,
                                &err);
    name_param(c, rc, &err);
    if (rc)
        openai_fail(c, rc, &err);
    else
        openai_finish(c, said.finish, openai_usage(&said.usage), NULL, NULL);
}

/* ---- an answer from the documents ---- */

/* OpenAI's annotation: code points of the answer, and where a person finds the source. */
static json_t *annotation(struct request *r, const json_t *citation, struct str answer)
{
    const json_t *at = json_object_get(citation, "answer_span");
    const json_t *span = json_object_get(citation, "span");
    size_t start = (size_t)field_int(at, "start", 0), end = (size_t)field_int(at, "end", 0);
    struct buf url = {0};
    json_t *u = json_object(), *o = json_object();
    struct str id = field_text(citation, "document_id");
    buf_printf(&url, "%s/documents/%.*s?start=%lld&end=%lld#cited", r->web->url, STR_ARG(id),
               (long long)field_int(span, "start", 0), (long long)field_int(span, "end", 0));
    json_put(u, "start_index", json_integer((json_int_t)utf8_count(str_sub(answer, 0, start))));
    json_put(u, "end_index", json_integer((json_int_t)utf8_count(str_sub(answer, 0, end))));
    json_put(u, "url", json_text(buf_view(&url)));
    json_put(u, "title", json_incref(json_object_get(citation, "document_name")));
    json_put(o, "type", json_string("url_citation"));
    json_put(o, "url_citation", u);
    buf_free(&url);
    return o;
}

static json_t *annotations(struct request *r, const json_t *reply)
{
    const json_t *c;
    size_t i;
    json_t *list = json_array();
    json_array_foreach(json_object_get(reply, "citations"), i, c)
        json_array_append_new(list, annotation(r, c, field_text(reply, "answer")));
    return list;
}

static json_t *answer_usage(const json_t *reply)
{
    const json_t *u = json_object_get(reply, "usage");
    struct llm_usage n = {
        .prompt_tokens = (int)field_int(u, "prompt_tokens", 0),
        .cached_tokens = (int)field_int(u, "cached_tokens", 0),
        .completion_tokens = (int)field_int(u, "completion_tokens", 0),
        .proposed_tokens = (int)field_int(u, "proposed_tokens", 0),
        .accepted_tokens = (int)field_int(u, "accepted_tokens", 0),
    };
    json_t *o = openai_usage(&n);
    json_put(o, "context", json_incref(json_object_get(u, "context")));
    return o;
}

static void finish_answer(struct openai_call *c, json_t *reply)
{
    static const char *const kept[] = {"citations", "grounded", "unsupported", "search_query",
                                       "nearest", "degraded"};
    json_t *message = json_object(), *extra = json_object(), *v;
    bool cut = str_eqz(field_text(reply, "finish_reason"), "length");
    json_put(message, "annotations", annotations(c->r, reply));
    for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
        if ((v = json_object_get(reply, kept[i])) != NULL)
            json_put(extra, kept[i], json_incref(v));
    openai_finish(c, cut ? LLM_LENGTH : LLM_STOP, answer_usage(reply), message, extra);
    json_decref(reply);
}

static bool on_delta(void *arg, struct str text)
{
    return openai_piece(arg, &(struct llm_piece){.text = text});
}

/* The last user message is the question; what stands before it, the conversation. */
static enum err_code question_of(struct openai_call *c, struct ask_request *ask, struct err *err)
{
    int last = c->chat.n_messages - 1;
    const struct llm_message *m = c->chat.messages;
    if (m[last].role != LLM_USER) {
        c->r->param = "messages";
        return err_set(err, ERR_ARG, "the last message must be the user's question");
    }
    if (c->chat.logprobs) {
        c->r->param = "logprobs";
        return err_set(err, ERR_ARG, "logprobs: ask the model itself, not %s", c->model);
    }
    *ask = (struct ask_request){
        .question = m[last].content,
        .collection = c->collection,
        .history = m,
        .n_history = last,
        .max_tokens = c->chat.max_tokens,
        .sampling = c->chat.sampling,
        .has_seed = json_is_integer(json_object_get(c->r->json, "seed")),
        .stops = c->chat.stops,
        .n_stops = c->chat.n_stops,
        .schema = c->chat.schema,
        .json_object = c->chat.json_object,
    };
    return OK;
}

static void run_answer(struct openai_call *c)
{
    struct ask_events ev = {.delta = on_delta, .arg = c};
    struct ask_request ask;
    struct err err = {0};
    json_t *reply = NULL;
    enum err_code rc = question_of(c, &ask, &err);
    if (!rc)
        rc = query_ask(c->r->web->opt.query, &ask, &ev, &c->r->stop, &reply, &err);
    name_param(c, rc, &err);
    if (rc)
        openai_fail(c, rc, &err);
    else
        finish_answer(c, reply);
}

static enum err_code complete(struct request *r, enum openai_kind kind)
{
    struct openai_call c;
    struct err err = {0};
    enum err_code rc = openai_read(r, kind, &c, &err);
    if (rc)
        openai_fail(&c, rc, &err);
    else if (c.answers)
        run_answer(&c);
    else
        run_chat(&c);
    return OK;
}

enum err_code api_openai_chat(struct request *r, struct err *err)
{
    (void)err;
    return complete(r, OPENAI_CHAT);
}

enum err_code api_openai_text(struct request *r, struct err *err)
{
    (void)err;
    return complete(r, OPENAI_TEXT);
}
