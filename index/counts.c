/* How much there is, for status pages and metrics. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "index/index_int.h"
#include "index/jobs.h"

static int64_t size_of(struct index *x, const char *name)
{
    struct stat st;
    char *path = index_path(x, name);
    int64_t n = path && stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
    free(path);
    return n;
}

static enum err_code count_states(struct conn *c, struct index_counts *out, struct err *err)
{
    enum err_code rc = OK;
    sqlite3_stmt *st = sql_get(c, err, "SELECT state, count(*), sum(size_bytes) FROM documents "
                                       "GROUP BY state", "");
    if (!st)
        return ERR_IO;
    while (sql_next(st, &rc, err)) {
        int state = sqlite3_column_int(st, 0);
        if (state >= 0 && state < DOC_STATES)
            out->documents[state] = sqlite3_column_int64(st, 1);
        out->blob_bytes += sqlite3_column_int64(st, 2);
    }
    return rc;
}

enum err_code index_counts(struct index *x, struct index_counts *out, struct err *err)
{
    memset(out, 0, sizeof(*out));
    struct conn *c = reader_begin(x, err);
    if (!c)
        return ERR_IO;
    enum err_code rc = count_states(c, out, err);
    if (!rc)
        rc = sql_int(c, &out->answers, err, "SELECT count(*) FROM answers", "");
    if (!rc)
        rc = sql_int(c, &out->jobs_waiting, err, "SELECT count(*) FROM jobs WHERE state = ?1", "i",
                     (int64_t)JOB_QUEUED);
    if (!rc)
        rc = sql_int(c, &out->jobs_running, err, "SELECT count(*) FROM jobs WHERE state = ?1", "i",
                     (int64_t)JOB_RUNNING);
    reader_end(x, c);
    struct shelf *s;
    for (int i = 0; (s = shelf_at(x, i)); i++) {
        out->chunks += s->lengths.chunks;
        pthread_rwlock_rdlock(&s->graph.lock);
        out->graph_nodes += (int64_t)hnsw_count(s->graph.h);
        out->graph_deleted += (int64_t)hnsw_freed(s->graph.h);
        out->vectors += (int64_t)hnsw_count(s->graph.h);
        for (size_t k = s->graph.head; k < s->graph.tail; k++)
            out->vectors += s->graph.queue[k].vec ? 1 : -1;
        pthread_rwlock_unlock(&s->graph.lock);
        shelf_give(s);
    }
    out->db_bytes = size_of(x, "carrel.db") + size_of(x, "carrel.db-wal");
    out->graph_rebuilt = x->rebuilt;
    out->open_ms = x->open_ms;
    return rc;
}

enum err_code index_rebuild(struct index *x, struct err *err)
{
    enum err_code rc = OK;
    struct shelf *s;
    for (int i = 0; !rc && (s = shelf_at(x, i)); i++) {
        rc = graph_rebuild(x, s, err);
        if (!rc)
            graph_wait(x, s, 0);
        shelf_give(s);
    }
    return rc;
}
