#include "index/jobs.h"
#include <stdio.h>
#include <string.h>
#include "web/access.h"
#include "web/api.h"
#include "web/reply.h"
#include "web/stream.h"

#define LOOK_MS 300              /* between two looks at a job that is watched */

const struct field api_jobs_list_query[] = {
    {"state", FIELD_TEXT, 0, 0, false, "queued|running|done|failed|cancelled", NULL},
    {"limit", FIELD_INT, 1, 1000, false, NULL, "50 when absent"},
    {"cursor", FIELD_TEXT, 1, 20, false, NULL, "next_cursor of the page before"},
    {.type = FIELD_END}};

json_t *api_job_json(struct request *r, const struct job *j)
{
    json_t *o = json_object(), *p = json_object();
    const bool chunks = strcmp(j->stage, "embed") == 0 || strcmp(j->stage, "index") == 0;
    json_put(p, "done", json_integer(j->done));
    json_put(p, "total", json_integer(j->total));
    json_put(p, "unit", json_text(chunks ? STR("chunks") : STR("pages")));
    json_put(o, "id", json_integer(j->id));
    json_put(o, "document_id", json_text(str_of(j->document)));
    json_put(o, "document_name", json_text(str_of(j->document_name)));
    json_put(o, "collection", json_text(str_of(j->collection)));
    json_put(o, "state", json_text(str_of(job_state_name(j->state))));
    json_put(o, "stage", j->stage[0] ? json_text(str_of(j->stage)) : json_null());
    json_put(o, "progress", p);
    json_put(o, "attempts", json_integer(j->attempts));
    json_put(o, "error", j->error && j->error[0] ? json_text(str_of(j->error)) : json_null());
    json_put(o, "created_at", json_text(str_of(request_time(r, j->created_ms))));
    json_put(o, "started_at", j->started_ms ? json_text(str_of(request_time(r, j->started_ms)))
                                            : json_null());
    json_put(o, "finished_at", j->finished_ms ? json_text(str_of(request_time(r, j->finished_ms)))
                                              : json_null());
    return o;
}

static enum err_code find(struct request *r, struct arena *a, struct job *out, struct err *err)
{
    int64_t id = 0;
    enum err_code rc = str_int(r->params[0], 1, INT64_MAX, &id)
                           ? jobs_find(r->web->opt.index, id, a, out, err) : ERR_NOTFOUND;
    if (!rc && !access_sees(r, out->collection ? out->collection : ""))
        rc = ERR_NOTFOUND;
    return rc == ERR_NOTFOUND ? err_set(err, rc, "there is no such job") : rc;
}

enum err_code api_jobs_list(struct request *r, struct err *err)
{
    struct str state = pair_text(r->query, r->n_query, "state");
    struct str cursor = pair_text(r->query, r->n_query, "cursor");
    int limit = (int)pair_int(r->query, r->n_query, "limit", 50), n, want = -1;
    int64_t from = 0, next = 0;
    struct job *jobs;
    char text[24];
    for (int s = 0; s < JOB_STATES && state.ptr; s++)
        if (str_eqz(state, job_state_name((enum job_state)s)))
            want = s;
    if (cursor.ptr && !str_int(cursor, 1, INT64_MAX, &from)) {
        r->param = "cursor";
        return err_set(err, ERR_ARG, "cursor is not one of ours");
    }
    enum err_code rc = jobs_list(r->web->opt.index, want, limit, from, &r->arena, &jobs, &n, &next,
                                 err);
    if (rc)
        return rc;
    json_t *list = json_array(), *o = json_object();
    for (int i = 0; i < n; i++)
        if (access_sees(r, jobs[i].collection ? jobs[i].collection : ""))
            json_array_append_new(list, api_job_json(r, &jobs[i]));
    snprintf(text, sizeof(text), "%lld", (long long)next);
    json_put(o, "jobs", list);
    json_put(o, "next_cursor", next ? json_text(str_of(text)) : json_null());
    reply_json(r, 200, o);
    return OK;
}

enum err_code api_jobs_one(struct request *r, struct err *err)
{
    struct job j;
    enum err_code rc = find(r, &r->arena, &j, err);
    if (!rc)
        reply_json(r, 200, api_job_json(r, &j));
    return rc;
}

static enum err_code change(struct request *r,
                            enum err_code (*act)(struct index *, int64_t, struct err *),
                            struct err *err)
{
    struct job j;
    enum err_code rc = find(r, &r->arena, &j, err);
    if (!rc)
        rc = act(r->web->opt.index, j.id, err);
    if (rc == ERR_ARG) { /* its state forbids it */
        reply_refuse(r, 409, "conflict", err->msg);
        return rc;
    }
    return rc ? rc : api_jobs_one(r, err);
}

enum err_code api_jobs_cancel(struct request *r, struct err *err)
{
    return change(r, jobs_cancel, err);
}

enum err_code api_jobs_retry(struct request *r, struct err *err)
{
    return change(r, jobs_retry, err);
}

static bool ended(const struct job *j)
{
    return j->state != JOB_QUEUED && j->state != JOB_RUNNING;
}

/* Say where it stands whenever that has changed. */
static void watch(struct request *r, struct stream *s, struct job *j)
{
    struct arena a = {0};
    char last[96] = "", now[96];
    bool on = true;
    while (on) {
        bool over = ended(j);
        snprintf(now, sizeof(now), "%d %s %lld %lld", (int)j->state, j->stage, (long long)j->done,
                 (long long)j->total);
        if (over || strcmp(now, last) != 0) {
            json_t *o = api_job_json(r, j);
            on = stream_event(s, over ? "done" : "progress", o);
            json_decref(o);
            memcpy(last, now, sizeof(last));
        }
        arena_reset(&a);
        on = on && !over && stream_pause(s, LOOK_MS) && find(r, &a, j, NULL) == OK;
    }
    arena_deinit(&a);
}

enum err_code api_jobs_events(struct request *r, struct err *err)
{
    struct job j;
    enum err_code rc = find(r, &r->arena, &j, err);
    if (rc)
        return rc;
    struct stream *s = stream_begin(r);
    if (!s)
        return err_set(err, ERR_NOMEM, "a stream");
    watch(r, s, &j);
    stream_end(s);
    return OK;
}
