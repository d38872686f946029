/* llm/remote_int.h - what remote.c (attempts), remote_ask.c (the request) and
 * remote_read.c (the answer) share; included by no other file. */
#ifndef CARREL_LLM_REMOTE_INT_H
#define CARREL_LLM_REMOTE_INT_H
#include <pthread.h>
#include <stdatomic.h>
#include "base/arena.h"
#include "base/http.h"
#include "base/sse.h"
#include "llm/remote.h"

enum {
    REMOTE_EVENT_MAX = 4 << 20,      /* bytes of one event */
    REMOTE_ANSWER_MAX = 64 << 20,    /* of all of them */
    REMOTE_ERROR_MAX = 64 << 10,     /* of an error's body; what lies behind is not read */
    REMOTE_IDLE_MAX = 8              /* connections kept */
};

struct remote {
    char *name, *url, *model, *key;  /* url without a slash at its end; key NULL: none */
    char *ca_file;                   /* or NULL */
    int timeout_ms, attempts;
    atomic_bool new_limit_word;      /* it wants max_completion_tokens for max_tokens */
    pthread_mutex_t lock;            /* guards: */
    struct http *idle[REMOTE_IDLE_MAX];
    int n_idle;
};

/* The body of POST /chat/completions (messages) or /completions (prompt). */
enum err_code remote_ask(const struct remote *r, const struct llm_chat *req, struct buf *out,
                         struct err *err);

/* An answer while it comes. */
struct remote_answer {
    struct http *http;               /* borrowed while the attempt runs */
    const char *name;                /* of the remote, for sentences */
    const struct llm_chat *request;
    bool (*emit)(void *arg, const struct llm_piece *piece);
    void *arg;
    struct sse sse;
    struct buf body;                 /* of an error, or of an answer that is not streamed */
    struct arena arena;              /* one event's tokens; all of `held` */
    struct llm_piece *held;          /* [n_held] of JSON, which is told when it is whole */
    size_t n_held, cap_held;
    enum err_code failed;            /* why it was left, with its sentence */
    struct err why;
    int said_status;                 /* inside an error member; 0: none */
    bool begun;                      /* a piece was emitted: no second attempt */
    bool done, finished;             /* [DONE], a finish_reason */
    enum llm_finish finish;
    int prompt_tokens, completion_tokens, cached_tokens;   /* -1: not told */
    size_t text_bytes;
    double first_ms;                 /* when the first piece came; 0: none has */
};
void remote_answer_init(struct remote_answer *a);
void remote_answer_deinit(struct remote_answer *a);
/* on_bytes of base/http.h; arg is the answer. */
bool remote_answer_take(void *arg, struct str bytes);
/* All bytes are there: reads what was not streamed, looks at JSON and tells it; OK when the
 * answer is whole and what was asked for. */
enum err_code remote_answer_end(struct remote_answer *a, struct err *err);
/* The sentence in an error's body, with its code word ("" when there is none). Borrowed from
 * *value, which is yours (json_decref). */
struct str remote_error_text(const struct buf *body, json_t **value, struct str *word);
#endif
