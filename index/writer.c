/* The one writer: changes queue up, each runs in its savepoint, and one commit
 * makes all of a group durable. While one group is being synced the next one
 * gathers, so that many small uploads share the cost of a sync. */
#include "index/index_int.h"
#include <string.h>

#define GROUP_MAX 64

static enum err_code plain(struct conn *c, const char *sql, struct err *err)
{
    return sql_exec(c, err, sql, "");
}

/* Returns false when the transaction itself is gone (disk full, I/O error). */
static bool run_one(struct conn *c, struct task *t)
{
    t->rc = plain(c, "SAVEPOINT task", &t->err);
    if (!t->rc)
        t->rc = t->change(c, t->arg, &t->err);
    if (sqlite3_get_autocommit(c->db))
        return false;
    /* What cannot be taken back must not be committed with the others. */
    if (t->rc && plain(c, "ROLLBACK TO task", NULL) != OK)
        return false;
    return plain(c, "RELEASE task", t->rc ? NULL : &t->err) == OK;
}

static void fail_rest(struct task *group, const struct err *why)
{
    for (struct task *t = group; t; t = t->next)
        if (!t->rc) {
            t->err = *why;
            t->rc = why->code ? why->code : ERR_IO;
        }
}

/* On a full disk a delete must still find room: what the log holds goes to where
 * it belongs, and the log's own file is written over from its start. */
static void reuse_log(struct conn *c, const struct task *group)
{
    bool full = false;
    for (const struct task *t = group; t; t = t->next)
        full |= t->rc == ERR_LIMIT;
    if (full)
        (void)sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
}

static void run_group(struct conn *c, struct task *group)
{
    struct err err = {0};
    enum err_code rc = plain(c, "BEGIN IMMEDIATE", &err);
    for (struct task *t = group; t && !rc; t = t->next)
        if (!run_one(c, t)) {
            rc = t->rc ? t->rc : ERR_IO;
            err = t->err;
            err.code = rc;
        }
    if (!rc)
        rc = plain(c, "COMMIT", &err);
    if (rc) {
        if (!sqlite3_get_autocommit(c->db))
            (void)plain(c, "ROLLBACK", NULL);
        fail_rest(group, &err);
    }
    reuse_log(c, group);
    for (struct task *t = group; t; t = t->next)
        if (!t->rc && t->after)
            t->after(t->arg);
}

static struct task *take_group(struct writer *w)
{
    struct task *group = w->first, *end = group;
    int n = 1;
    while (end && end->next && n++ < GROUP_MAX)
        end = end->next;
    if (!end)
        return NULL;
    w->first = end->next;
    if (!w->first)
        w->last = NULL;
    end->next = NULL;
    w->commits++;
    w->tasks += n;
    return group;
}

static void *writer_main(void *arg)
{
    struct writer *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        struct task *group = take_group(w);
        if (!group && w->truncate) {
            w->truncate = false;
            pthread_mutex_unlock(&w->lock);
            (void)sqlite3_wal_checkpoint_v2(w->conn->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
            pthread_mutex_lock(&w->lock);
            continue;
        }
        if (!group) {
            if (w->stop)
                break;
            pthread_cond_wait(&w->work, &w->lock);
            continue;
        }
        pthread_mutex_unlock(&w->lock);
        run_group(w->conn, group);
        pthread_mutex_lock(&w->lock);
        for (struct task *t = group, *next; t; t = next) {
            next = t->next;   /* a task that is done may vanish with its caller */
            t->done = true;
        }
        pthread_cond_broadcast(&w->finished);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

enum err_code writer_start(struct writer *w, struct conn *conn, struct err *err)
{
    memset(w, 0, sizeof(*w));
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    pthread_cond_init(&w->finished, NULL);
    w->conn = conn;
    if (pthread_create(&w->thread, NULL, writer_main, w) != 0)
        return err_set(err, ERR_NOMEM, "the writer's thread");
    w->started = true;
    return OK;
}

void writer_truncate(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    w->truncate = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
}

void writer_stop(struct writer *w)
{
    if (!w->started)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    sql_close(w->conn);
    w->started = false;
}

enum err_code writer_run(struct writer *w,
                         enum err_code (*change)(struct conn *c, void *arg, struct err *err),
                         void (*after)(void *arg), void *arg, struct err *err)
{
    struct task t = {.change = change, .after = after, .arg = arg};
    pthread_mutex_lock(&w->lock);
    if (w->last)
        w->last->next = &t;
    else
        w->first = &t;
    w->last = &t;
    pthread_cond_signal(&w->work);
    while (!t.done)
        pthread_cond_wait(&w->finished, &w->lock);
    pthread_mutex_unlock(&w->lock);
    if (t.rc && err)
        *err = t.err;
    return t.rc;
}
