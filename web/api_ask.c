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
    struct stream *stream;
    double began_ms, first_word_ms;
};

static bool tell(struct telling *t, const char *event, const char *key, struct str text)
{
    json_t *o = json_object();
    json_put(o, key, json_text(text));
    bool on = stream_event(t->stream, event, o);
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
    bool on = stream_event(t->stream, "sources", o);
    json_decref(o);
    return on;
}

static bool on_delta(void *arg, struct str text)
{
    struct telling *t = arg;
    if (t->first_word_ms < 0)
        t->first_word_ms = clock_ms() - t->began_ms;
    return !t->stream || tell(t, "delta", "text", text);
}

static bool on_citation(void *arg, const json_t *citation)
{
    return stream_event(((struct telling *)arg)->stream, "citation", citation);
}

static void count(struct request *r, const json_t *reply, double first_word_ms)
{
    struct str g = field_text(reply, "grounded");
    enum answer_kind kind = str_eqz(g, "full") ? ANSWER_FULL
                            : str_eqz(g, "partial") ? ANSWER_PARTIAL : ANSWER_NONE;
    metrics_answer(r->web->metrics, kind, first_word_ms);
}

static void run_stream(struct request *r, const struct ask_request *ask, struct stream *s)
{
    struct telling t = {s, clock_ms(), -1};
    struct ask_events ev = {on_query, on_sources, on_delta, on_citation, &t};
    json_t *reply = NULL;
    struct err err = {0};
    enum err_code rc = query_ask(r->web->opt.query, ask, &ev, &r->stop, &reply, &err);
    if (rc) { /* the status has gone out; r->failure is ours alone by now */
        reply_fail(r, rc, &err);
        json_t *why = reply_failure_json(r);
        stream_event(s, "error", why);
        json_decref(why);
        r->failure.status = 0;
    } else {
        count(r, reply, t.first_word_ms);
        json_object_del(reply, "answer");
        stream_event(s, "done", reply);
        json_decref(reply);
    }
    stream_end(s);
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
    if (stream) {
        struct stream *s = stream_begin(r);
        if (!s)
            return err_set(err, ERR_NOMEM, "a stream");
        run_stream(r, &ask, s);
        return OK;
    }
    struct telling t = {NULL, clock_ms(), -1};
    struct ask_events ev = {.delta = on_delta, .arg = &t};
    json_t *reply = NULL;
    rc = query_ask(r->web->opt.query, &ask, &ev, &r->stop, &reply, err);
    if (rc == ERR_ARG && str_starts(str_of(err->msg), STR("response_format")))
        r->param = "response_format";
    if (rc)
        return rc;
    count(r, reply, t.first_word_ms);
    reply_json(r, 200, reply);
    return OK;
}
