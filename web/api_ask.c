#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "web/access.h"
#include "web/api.h"
#include "web/openai.h"
#include "web/reply.h"
#include "web/stream.h"

const struct field api_ask_fields[] = {
    {"question", FIELD_TEXT, 1, QUESTION_BYTES_MAX, true, NULL, "in plain words"},
    {"collection", FIELD_TEXT, 1, 63, false, NULL, "\"default\" when absent"},
    {"top_k", FIELD_INT, 1, 50, false, NULL, "passages the answer may use"},
    {"filter", FIELD_OBJECT, 0, 0, false, NULL, "as in search"},
    {"stream", FIELD_BOOL, 0, 0, false, NULL, "answer as server-sent events"},
    {"conversation_id", FIELD_TEXT, 0, 32, false, NULL, "of an earlier answer; \"\" begins one"},
    {"max_tokens", FIELD_INT, 1, 4096, false, NULL,
     "sentences that would pass it are left out; the first is told whole"},
    {"temperature", FIELD_NUMBER, 0, 2, false, NULL, "as configured when absent; 0: greedy"},
    {"seed", FIELD_INT, 0, 9007199254740991.0, false, NULL, NULL},
    {"model", FIELD_TEXT, 1, 95, false, NULL, "a generator by name; the first one when absent"},
    {"stop", FIELD_ANY, 0, 0, false, NULL, "a text, or up to 16 of them: the answer ends there"},
    {"response_format", FIELD_OBJECT, 0, 0, false, NULL,
     "{\"type\": \"text\" | \"json_object\" | \"json_schema\", \"json_schema\": {\"schema\"}}"},
    {.type = FIELD_END}};

struct telling {                 /* an answer on its way to a stream */
    struct request *r;           /* NULL: nobody reads a stream */
    struct stream *stream;       /* NULL until the first event */
    double began_ms, first_word_ms;
};

/* The first event decides: until then a failure is a status of its own. */
static bool send_event(struct telling *t, const char *event, const json_t *data)
{
    if (!t->stream)
        t->stream = stream_begin(t->r);
    return t->stream && stream_event(t->stream, event, data);
}

static bool tell(struct telling *t, const char *event, const char *key, struct str text)
{
    json_t *o = json_object();
    json_put(o, key, json_text(text));
    bool on = send_event(t, event, o);
    json_decref(o);
    return on;
}

static bool on_query(void *arg, struct str search_query)
{
    return tell(arg, "query", "search_query", search_query);
}

static bool on_sources(void *arg, const json_t *hits)
{
    struct telling *t = arg;
    json_t *o = json_object();
    json_put(o, "hits", json_incref((json_t *)(uintptr_t)hits));
    bool on = send_event(t, "sources", o);
    json_decref(o);
    return on;
}

static bool on_delta(void *arg, struct str text)
{
    struct telling *t = arg;
    if (t->first_word_ms < 0)
        t->first_word_ms = clock_ms() - t->began_ms;
    return !t->r || tell(t, "delta", "text", text);
}

static bool on_citation(void *arg, const json_t *citation)
{
    return send_event(arg, "citation", citation);
}

static void count(struct request *r, const json_t *reply, double first_word_ms)
{
    struct str g = field_text(reply, "grounded");
    enum answer_kind kind = str_eqz(g, "full") ? ANSWER_FULL
                            : str_eqz(g, "partial") ? ANSWER_PARTIAL : ANSWER_NONE;
    metrics_answer(r->web->metrics, kind, first_word_ms);
}

/* A field that the failure names first: only the engine knows what it takes. */
static void name_field(struct request *r, enum err_code rc, const struct err *err)
{
    if (rc == ERR_ARG && str_starts(str_of(err->msg), STR("response_format")))
        r->param = "response_format";
}

/* The status has gone out; r->failure is ours alone by now. */
static void break_off(struct telling *t, enum err_code rc, const struct err *err)
{
    reply_fail(t->r, rc, err);
    json_t *why = reply_failure_json(t->r);
    send_event(t, "error", why);
    json_decref(why);
    t->r->failure.status = 0;
}

static enum err_code run_stream(struct request *r, const struct ask_request *ask, struct err *err)
{
    struct telling t = {r, NULL, clock_ms(), -1};
    struct ask_events ev = {on_query, on_sources, on_delta, on_citation, &t};
    json_t *reply = NULL;
    enum err_code rc = query_ask(r->web->opt.query, ask, &ev, &r->stop, &reply, err);
    name_field(r, rc, err);
    if (rc && !t.stream)
        return rc;
    if (rc) {
        break_off(&t, rc, err);
    } else {
        count(r, reply, t.first_word_ms);
        json_object_del(reply, "answer");
        send_event(&t, "done", reply);
        json_decref(reply);
    }
    if (!t.stream)
        return err_set(err, ERR_NOMEM, "a stream");
    stream_end(t.stream);
    return OK;
}

static enum err_code read_request(struct request *r, struct ask_request *ask, struct err *err)
{
    const json_t *filter = json_object_get(r->json, "filter");
    enum err_code rc = openai_format(json_object_get(r->json, "response_format"), &ask->schema,
                                     &ask->json_object, err);
    if (rc) {
        r->param = "response_format";
        return rc;
    }
    rc = openai_stops(json_object_get(r->json, "stop"), &r->arena, &ask->stops, &ask->n_stops, err);
    if (rc) {
        r->param = "stop";
        return rc;
    }
    struct str conversation = field_text(r->json, "conversation_id");
    ask->question = field_text(r->json, "question");
    ask->conversation = conversation.ptr ? arena_strz(&r->arena, conversation) : NULL;
    ask->top_k = (int)field_int(r->json, "top_k", 0);
    ask->max_tokens = (int)field_int(r->json, "max_tokens", 0);
    struct str model = field_text(r->json, "model");
    ask->generator = model.ptr ? arena_strz(&r->arena, model) : NULL;
    ask->has_seed = json_is_integer(json_object_get(r->json, "seed"));
    ask->sampling.temperature =
        field_number(r->json, "temperature", llm_temperature(r->web->opt.llm));
    ask->sampling.seed = (uint64_t)field_int(r->json, "seed", 0);
    if (json_is_object(filter) && json_object_size(filter) > 0) {
        struct buf b = {0};
        json_write(&b, filter);
        ask->filter = b.failed ? NULL : arena_strz(&r->arena, buf_view(&b));
        buf_free(&b);
        if (!ask->filter)
            return err_set(err, ERR_NOMEM, "the filter");
    }
    return access_collection(r, field_text(r->json, "collection"), &ask->collection, err);
}

enum err_code api_ask(struct request *r, struct err *err)
{
    struct ask_request ask = {0};
    enum err_code rc = read_request(r, &ask, err);
    bool stream = field_bool(r->json, "stream", false) ||
                  str_find(r->accept, STR("text/event-stream"), 0) != SIZE_MAX;
    if (rc)
        return rc;
    if (stream)
        return run_stream(r, &ask, err);
    struct telling t = {NULL, NULL, clock_ms(), -1};
    struct ask_events ev = {.delta = on_delta, .arg = &t};
    json_t *reply = NULL;
    rc = query_ask(r->web->opt.query, &ask, &ev, &r->stop, &reply, err);
    name_field(r, rc, err);
    if (rc)
        return rc;
    count(r, reply, t.first_word_ms);
    reply_json(r, 200, reply);
    return OK;
}
