/* The queue of documents to be read. Rows are the truth; how far a running job
 * has come is kept in memory only, for it changes with every page. */
#include "index/jobs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/hash.h"
#include "index/index_int.h"

const char *job_state_name(enum job_state s)
{
    static const char *const names[] = {"queued", "running", "done", "failed", "cancelled"};
    return s < JOB_STATES ? names[s] : "unknown";
}

/* ---- what runs, in memory */

static struct running *find_running(struct index *x, int64_t id)
{
    for (int i = 0; i < x->n_running; i++)
        if (x->running[i].id == id)
            return &x->running[i];
    return NULL;
}

static void note_running(struct index *x, int64_t id, int64_t seq)
{
    pthread_mutex_lock(&x->running_lock);
    if (x->n_running == x->cap_running) {
        struct running *v = realloc(x->running, ((size_t)x->cap_running + 16) * sizeof(*v));
        if (v) {
            x->running = v;
            x->cap_running += 16;
        }
    }
    if (x->n_running < x->cap_running)   /* else it runs without telling how far it is */
        x->running[x->n_running++] = (struct running){.id = id, .document = seq};
    pthread_mutex_unlock(&x->running_lock);
}

static void forget(struct index *x, int64_t id, int64_t seq)
{
    pthread_mutex_lock(&x->running_lock);
    for (int i = x->n_running - 1; i >= 0; i--)
        if (x->running[i].id == id || x->running[i].document == seq)
            x->running[i] = x->running[--x->n_running];
    pthread_mutex_unlock(&x->running_lock);
}

void jobs_forget_document(struct index *x, int64_t seq)
{
    forget(x, -1, seq);
}

void jobs_drop(struct index *x, int64_t id)
{
    forget(x, id, -1);
}

void jobs_interrupt_document(struct index *x, int64_t seq)
{
    pthread_mutex_lock(&x->running_lock);
    for (int i = 0; i < x->n_running; i++)
        if (x->running[i].document == seq)
            x->running[i].cancelled = true;
    pthread_mutex_unlock(&x->running_lock);
}

bool jobs_progress(struct index *x, int64_t id, const char *stage, int64_t done, int64_t total)
{
    bool go_on = true;
    pthread_mutex_lock(&x->running_lock);
    struct running *r = find_running(x, id);
    if (r) {
        snprintf(r->stage, sizeof(r->stage), "%s", stage);
        r->done = done;
        r->total = total;
        go_on = !r->cancelled;
    }
    pthread_mutex_unlock(&x->running_lock);
    return go_on;
}

enum err_code jobs_standing(struct index *x, int64_t id, struct arena *a, char **stage,
                            int64_t *done, int64_t *total, struct err *err)
{
    char name[16] = "";
    pthread_mutex_lock(&x->running_lock);
    struct running *r = find_running(x, id);
    if (r) {
        memcpy(name, r->stage, sizeof(name));
        *done = r->done;
        *total = r->total;
    }
    pthread_mutex_unlock(&x->running_lock);
    if (name[0])
        *stage = arena_strz(a, str_of(name));
    return *stage ? OK : err_set(err, ERR_NOMEM, "a job");
}

/* ---- rows */

#define COLUMNS                                                                              \
    "SELECT j.id, d.id, d.name, c.name, j.state, j.stage, j.attempts, j.error, "             \
    "j.created_ms, j.started_ms, j.finished_ms, d.seq FROM jobs j "                          \
    "JOIN documents d ON d.seq = j.document JOIN collections c ON c.id = d.collection "

static enum err_code read_row(struct index *x, sqlite3_stmt *st, struct arena *a, struct job *out,
                              struct err *err)
{
    memset(out, 0, sizeof(*out));
    out->id = sqlite3_column_int64(st, 0);
    struct str id = sql_blob(st, 1);
    if (id.len == 16)
        hash_hex((const uint8_t *)id.ptr, 16, out->document);
    out->document_name = sql_text(st, 2, a);
    out->collection = sql_text(st, 3, a);
    out->state = (enum job_state)sqlite3_column_int(st, 4);
    sql_copy(st, 5, out->stage, sizeof(out->stage));
    out->attempts = sqlite3_column_int(st, 6);
    out->error = sql_text(st, 7, a);
    out->created_ms = sqlite3_column_int64(st, 8);
    out->started_ms = sqlite3_column_int64(st, 9);
    out->finished_ms = sqlite3_column_int64(st, 10);
    if (!out->document_name || !out->collection || !out->error)
        return err_set(err, ERR_NOMEM, "a job");
    char *stage = out->stage;
    enum err_code rc = jobs_standing(x, out->id, a, &stage, &out->done, &out->total, err);
    if (!rc && stage != out->stage)
        snprintf(out->stage, sizeof(out->stage), "%s", stage);
    return rc;
}

enum err_code jobs_find(struct index *x, int64_t id, struct arena *a, struct job *out,
                        struct err *err)
{
    enum err_code rc = OK;
    struct conn *c = reader_take(x, err);
    if (!c)
        return ERR_IO;
    sqlite3_stmt *st = sql_get(c, err, COLUMNS "WHERE j.id = ?1", "i", id);
    if (!st) {
        rc = ERR_IO;
    } else if (sql_next(st, &rc, err)) {
        rc = read_row(x, st, a, out, err);
        sql_done(st);
    } else if (!rc) {
        rc = err_set(err, ERR_NOTFOUND, "no job %lld", (long long)id);
    }
    reader_give(x, c);
    return rc;
}

enum err_code jobs_list(struct index *x, int state, int limit, int64_t cursor, struct arena *a,
                        struct job **out, int *n, int64_t *next, struct err *err)
{
    enum err_code rc = OK;
    *n = 0;
    *next = 0;
    if (limit < 1 || limit > 1000 || cursor < 0 || state >= JOB_STATES)
        return err_set(err, ERR_ARG, "limit %d: want 1..1000, a cursor and a state there are",
                       limit);
    *out = arena_alloc(a, (size_t)limit, sizeof(**out));
    if (!*out)
        return err_set(err, ERR_NOMEM, "%d jobs", limit);
    struct conn *c = reader_take(x, err);
    if (!c)
        return ERR_IO;
    sqlite3_stmt *st = sql_get(
        c, err, COLUMNS "WHERE (?1 < 0 OR j.state = ?1) AND j.id < ?2 ORDER BY j.id DESC LIMIT ?3",
        "iii", (int64_t)state, cursor ? cursor : INT64_MAX, (int64_t)limit + 1);
    if (!st)
        rc = ERR_IO;
    while (!rc && sql_next(st, &rc, err)) {
        if (*n == limit) {
            *next = (*out)[limit - 1].id;
            break;
        }
        rc = read_row(x, st, a, &(*out)[(*n)++], err);
    }
    sql_done(st);
    reader_give(x, c);
    return rc;
}

/* ---- changes of state: what a job may go from, and what its document becomes */

struct move {
    struct index *x;
    int64_t id, seq;
    unsigned from;             /* bits of states it may have */
    enum job_state to;
    enum document_state document;
    const char *reason;
    int attempts;              /* added; INT32_MIN: set to 0 */
};

static enum err_code move_job(struct conn *c, void *arg, struct err *err)
{
    struct move *m = arg;
    enum err_code rc = OK;
    sqlite3_stmt *st = sql_get(c, err, "SELECT document, state, (SELECT max(id) FROM jobs k WHERE "
                                       "k.document = j.document) FROM jobs j WHERE id = ?1", "i",
                               m->id);
    if (!st)
        return ERR_IO;
    if (!sql_next(st, &rc, err))
        return rc ? rc : err_set(err, ERR_NOTFOUND, "no job %lld", (long long)m->id);
    m->seq = sqlite3_column_int64(st, 0);
    int state = sqlite3_column_int(st, 1);
    sql_done(st);
    if (!(m->from >> state & 1))
        return err_set(err, ERR_ARG, "job %lld is %s", (long long)m->id,
                       job_state_name((enum job_state)state));
    int64_t now = clock_now_ms(), ended = m->to >= JOB_DONE;
    rc = sql_exec(c, err, "UPDATE jobs SET state = ?2, error = ?3, stage = '', attempts = "
                          "CASE WHEN ?4 < -1 THEN 0 ELSE max(0, attempts + ?4) END, "
                          "finished_ms = ?5 WHERE id = ?1",
                  "iisii", m->id, (int64_t)m->to, m->reason, (int64_t)m->attempts,
                  ended ? now : (int64_t)0);
    if (!rc)
        rc = sql_exec(c, err, "UPDATE documents SET state = ?2, error = ?3, updated_ms = ?4 "
                              "WHERE seq = ?1",
                      "iisi", m->seq, (int64_t)m->document, m->reason, now);
    return rc;
}

static void moved_job(void *arg)
{
    struct move *m = arg;
    if (m->to == JOB_CANCELLED)
        jobs_interrupt_document(m->x, m->seq);
    else
        forget(m->x, m->id, m->seq);
    index_event(m->x);
}

#define BIT(s) (1u << (s))

enum err_code jobs_fail(struct index *x, int64_t id, const char *reason, struct err *err)
{
    struct move m = {x, id, 0, BIT(JOB_RUNNING) | BIT(JOB_QUEUED), JOB_FAILED, DOC_FAILED, reason, 0};
    enum err_code rc = writer_run(&x->writer, move_job, moved_job, &m, err);
    if (rc)
        forget(x, id, -1);
    return rc;
}

enum err_code jobs_release(struct index *x, int64_t id, struct err *err)
{
    struct move m = {x, id, 0, BIT(JOB_RUNNING), JOB_QUEUED, DOC_QUEUED, "", -1};
    enum err_code rc = writer_run(&x->writer, move_job, moved_job, &m, err);
    if (rc)
        forget(x, id, -1);
    return rc;
}

enum err_code jobs_cancel(struct index *x, int64_t id, struct err *err)
{
    struct move m = {x, id, 0, BIT(JOB_RUNNING) | BIT(JOB_QUEUED), JOB_CANCELLED, DOC_FAILED,
                     "cancelled", 0};
    return writer_run(&x->writer, move_job, moved_job, &m, err);
}

enum err_code jobs_retry(struct index *x, int64_t id, struct err *err)
{
    struct move m = {x, id, 0, BIT(JOB_FAILED) | BIT(JOB_CANCELLED), JOB_QUEUED, DOC_QUEUED, "",
                     INT32_MIN};
    return writer_run(&x->writer, move_job, moved_job, &m, err);
}

/* ---- taking */

struct taking { struct index *x; int64_t id, seq; };

static enum err_code take_job(struct conn *c, void *arg, struct err *err)
{
    struct taking *t = arg;
    int64_t now = clock_now_ms();
    enum err_code rc = sql_int(c, &t->id, err, "SELECT id FROM jobs WHERE state = ?1 "
                                               "ORDER BY id LIMIT 1", "i", (int64_t)JOB_QUEUED);
    if (rc)
        return rc;
    rc = sql_int(c, &t->seq, err, "SELECT document FROM jobs WHERE id = ?1", "i", t->id);
    if (!rc)
        rc = sql_exec(c, err, "UPDATE jobs SET state = ?2, attempts = attempts + 1, "
                              "started_ms = ?3 WHERE id = ?1",
                      "iii", t->id, (int64_t)JOB_RUNNING, now);
    if (!rc)
        rc = sql_exec(c, err, "UPDATE documents SET state = ?2, updated_ms = ?3 WHERE seq = ?1",
                      "iii", t->seq, (int64_t)DOC_RUNNING, now);
    return rc;
}

static void took_job(void *arg)
{
    struct taking *t = arg;
    note_running(t->x, t->id, t->seq);
    index_event(t->x);
}

static bool any_queued(struct index *x, enum err_code *rc, struct err *err)
{
    int64_t n = 0;
    struct conn *c = reader_take(x, err);
    *rc = c ? sql_int(c, &n, err, "SELECT EXISTS (SELECT 1 FROM jobs WHERE state = ?1)", "i",
                      (int64_t)JOB_QUEUED)
            : ERR_IO;
    reader_give(x, c);
    return n > 0;
}

static uint64_t events(struct index *x)
{
    pthread_mutex_lock(&x->events_lock);
    uint64_t n = x->n_events;
    pthread_mutex_unlock(&x->events_lock);
    return n;
}

/* Until something changed after `seen`, or `ms` are over. */
static void wait_event(struct index *x, uint64_t seen, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t ns = until.tv_nsec + (int64_t)ms * 1000000;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&x->events_lock);
    while (x->n_events == seen &&
           pthread_cond_timedwait(&x->events, &x->events_lock, &until) == 0)
        ;
    pthread_mutex_unlock(&x->events_lock);
}

void jobs_wake(struct index *x)
{
    index_event(x);
}

enum err_code jobs_take(struct index *x, bool wait, const struct stop *stop, struct arena *a,
                        struct job *out, struct err *err)
{
    for (;;) {
        enum err_code rc;
        uint64_t seen = events(x);
        struct taking t = {.x = x};
        if (stop_asked(stop))
            return err_set(err, ERR_CANCELLED, "stopped");
        if (any_queued(x, &rc, err)) {
            rc = writer_run(&x->writer, take_job, took_job, &t, err);
            if (!rc && (rc = jobs_find(x, t.id, a, out, err)) != OK)
                (void)jobs_release(x, t.id, NULL);   /* who does not know it cannot read it */
            if (!rc)
                return OK;
        }
        if (rc && rc != ERR_NOTFOUND)   /* not found: another worker was faster */
            return rc;
        if (!wait)
            return err_set(err, ERR_NOTFOUND, "no job waits");
        wait_event(x, seen, 1000);
    }
}

static enum err_code nothing(struct conn *c, void *arg, struct err *err)
{
    (void)c;
    (void)arg;
    (void)err;
    return OK;
}

enum err_code jobs_wait_document(struct index *x, const char *id, int timeout_ms,
                                 const struct stop *stop, struct err *err)
{
    uint8_t raw[16];
    double until = clock_ms() + timeout_ms;
    if (!hash_unhex(str_of(id), raw, 16))
        return OK;
    for (;;) {
        uint64_t seen = events(x);
        int64_t state = DOC_FAILED;
        struct err ignored = {0};
        struct conn *c = reader_take(x, err);
        if (!c)
            return ERR_IO;
        enum err_code rc = sql_int(c, &state, &ignored, "SELECT state FROM documents WHERE id = ?1",
                                   "b", (struct str){(char *)raw, 16});
        reader_give(x, c);
        if (rc == ERR_NOTFOUND || (!rc && state == DOC_FAILED))
            return OK;
        if (!rc && state == DOC_READY)   /* its commit is seen before its passages are: let it end */
            return writer_run(&x->writer, nothing, NULL, NULL, err);
        if (rc)
            return err_set(err, rc, "%s", ignored.msg);
        if (stop_asked(stop))
            return err_set(err, ERR_CANCELLED, "stopped");
        double left = until - clock_ms();
        if (left <= 0)
            return err_set(err, ERR_BUSY, "document %s is not ready after %d ms", id, timeout_ms);
        wait_event(x, seen, left < 100 ? (int)left + 1 : 100);   /* nobody tells of `stop` */
    }
}
