/* Read connections: one a thread at a time, kept in a pool. */
#include "index/index_int.h"
#include <stdlib.h>

struct conn *reader_take(struct index *x, struct err *err)
{
    pthread_mutex_lock(&x->pool_lock);
    struct conn *c = x->pool;
    if (c)
        x->pool = c->next;
    pthread_mutex_unlock(&x->pool_lock);
    if (c)
        return c;
    char *path = index_path(x, "carrel.db");
    if (!path) {
        err_set(err, ERR_NOMEM, "a connection");
        return NULL;
    }
    (void)sql_open(path, SQL_READ, &c, err);
    free(path);
    return c;
}

void reader_give(struct index *x, struct conn *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&x->pool_lock);
    c->next = x->pool;
    x->pool = c;
    pthread_mutex_unlock(&x->pool_lock);
}

struct conn *reader_begin(struct index *x, struct err *err)
{
    struct conn *c = reader_take(x, err);
    if (c && sql_exec(c, err, "BEGIN", "") != OK) {
        sql_close(c);
        return NULL;
    }
    return c;
}

void reader_end(struct index *x, struct conn *c)
{
    if (!c)
        return;
    if (sql_exec(c, NULL, "COMMIT", "") != OK) {
        sql_close(c);   /* whatever it is that ails it, a fresh one will not have it */
        return;
    }
    reader_give(x, c);
}
