/* web/openai.h - OpenAI's wire format: what its clients send, what they read.
 *
 * Format: the OpenAI API reference (chat completions, completions, models), as
 * its own client libraries read it. Fields that we do not know are passed over, as
 * servers of this format do; one that would change the answer and that we cannot
 * serve (tools, n > 1, images) is refused by name.
 * Threads   one owner per call. Memory  in the request's arena. */
#ifndef CARREL_WEB_OPENAI_H
#define CARREL_WEB_OPENAI_H
#include "web/request.h"

enum openai_kind { OPENAI_CHAT, OPENAI_TEXT };

struct openai_call {
    struct request *r;
    enum openai_kind kind;
    bool stream, include_usage;
    const char *model;         /* as the client named it */
    bool answers;              /* "carrel" or "carrel/NAME": from the documents */
    const char *collection;
    struct llm_chat chat;
    /* the reply on its way */
    char id[48];
    int64_t created;
    struct stream *out;        /* NULL: one object at the end */
    struct buf text;
    json_t *logprobs;          /* array, of what has not been sent */
};

/* ---- openai_read.c: the body into a call. ERR_ARG with r->param; ERR_NOTFOUND: no such model ---- */
enum err_code openai_read(struct request *r, enum openai_kind kind, struct openai_call *out,
                          struct err *err);
/* A text or a list of them; what an answer must look like. Borrowed from the JSON. */
enum err_code openai_stops(const json_t *stop, struct arena *a, const struct str **out, int *n_out,
                           struct err *err);
enum err_code openai_format(const json_t *format, const json_t **schema, bool *json_object,
                            struct err *err);
/* The collection that a model's name asks for: "carrel" is "default"; ptr NULL: it is none of ours. */
struct str openai_collection(struct str model);

/* ---- openai_write.c ---- */
/* A piece of the answer: an event of the stream, or kept. False when nobody reads. */
bool openai_piece(struct openai_call *c, const struct llm_piece *piece);
/* The end of it: `extra` (taken over, may be NULL) is merged into the object that carries the
 * finish reason, `message` (taken over, may be NULL) into its message or delta. */
void openai_finish(struct openai_call *c, enum llm_finish finish, json_t *usage, json_t *message,
                   json_t *extra);
/* A failure, before the first byte as a status, after it as an event. */
void openai_fail(struct openai_call *c, enum err_code rc, const struct err *err);
json_t *openai_usage(const struct llm_usage *u);
/* Is it one of OpenAI's addresses, be there a route or not? */
bool openai_path(struct str path);
/* {"error":{"message","type","param","code","request_id"}} of r->failure. */
json_t *openai_failure_json(const struct request *r);
#endif
