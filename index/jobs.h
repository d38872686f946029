/* index/jobs.h - the durable queue of documents to be read (open to ingest and web).
 *
 * A job is taken under a lease; a process that dies leaves it `running` and the
 * next index_open puts it back in the queue, at most JOB_ATTEMPTS_MAX times in
 * all: a document that kills its reader does not do so for ever.
 * Threads   locks inside. Memory  results in the caller's arena. */
#ifndef CARREL_INDEX_JOBS_H
#define CARREL_INDEX_JOBS_H
#include "index/index.h"

#define JOB_ATTEMPTS_MAX 3
enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_CANCELLED, JOB_STATES };
const char *job_state_name(enum job_state s);

struct job {
    int64_t id;
    char document[33];
    char *document_name, *collection;
    enum job_state state;
    char stage[16];            /* "extract", "chunk", "embed", "index" */
    int64_t done, total;
    int attempts;
    char *error;
    int64_t created_ms, started_ms, finished_ms;
};

/* Oldest waiting job, now running; waits until there is one. ERR_CANCELLED when
 * `stop` is set (jobs_wake rouses waiters), ERR_NOTFOUND when !wait and none. */
enum err_code jobs_take(struct index *x, bool wait, const struct stop *stop, struct arena *a,
                        struct job *out, struct err *err);
void jobs_wake(struct index *x);
/* Where it stands; memory only, so as often as you like. False: it was cancelled. */
bool jobs_progress(struct index *x, int64_t id, const char *stage, int64_t done, int64_t total);
/* Failed, with the reason the user sees; document `failed`. (Success is index_put.) */
enum err_code jobs_fail(struct index *x, int64_t id, const char *reason, struct err *err);
/* Nobody wants it any more (deleted, cancelled): its worker forgets how far it was. */
void jobs_drop(struct index *x, int64_t id);
/* Give back unfinished (we are stopping): queued again, attempt not counted. */
enum err_code jobs_release(struct index *x, int64_t id, struct err *err);
enum err_code jobs_cancel(struct index *x, int64_t id, struct err *err);  /* ERR_ARG when ended */
enum err_code jobs_retry(struct index *x, int64_t id, struct err *err);   /* of a failed or cancelled one */
enum err_code jobs_find(struct index *x, int64_t id, struct arena *a, struct job *out,
                        struct err *err);
/* Newest first; state -1 for all. */
enum err_code jobs_list(struct index *x, int state, int limit, int64_t cursor, struct arena *a,
                        struct job **out, int *n, int64_t *next, struct err *err);
/* Wait until document `id` is ready, failed or gone, at most timeout_ms (ERR_BUSY). */
enum err_code jobs_wait_document(struct index *x, const char *id, int timeout_ms,
                                 const struct stop *stop, struct err *err);
#endif
