/* A second generation of a collection's vectors.
 *
 * New vectors gather in a table of their own, in the order of chunks and a
 * transaction per batch; then one transaction puts them in the place of the old
 * ones, with the new encoder's stamp. Until that commit, and after a crash or
 * a failure before it, the collection is as it was; what was gathered is
 * thrown away by the next attempt. */
#include <string.h>
#include "base/vec.h"
#include "index/index_int.h"
#include "index/store.h"

#define BATCH 64

struct reembedding {
    struct index *x;
    const struct reembed *r;
    const char *name;
    int64_t collection, last, done, total;
    struct passage passages[BATCH];
    int64_t ids[BATCH];
    float *vectors;                /* [BATCH][dim], in arena */
    int n;
};

static enum err_code begin(struct conn *c, void *arg, struct err *err)
{
    struct reembedding *g = arg;
    enum err_code rc = sql_int(c, &g->collection, err, "SELECT id FROM collections WHERE name = ?1",
                               "s", g->name);
    if (rc == ERR_NOTFOUND)
        return err_set(err, rc, "no collection \"%.64s\"", g->name);
    if (!rc)
        rc = sql_exec(c, err, "DROP TABLE IF EXISTS vectors_next", "");
    if (!rc)
        rc = sql_exec(c, err, "CREATE TABLE vectors_next (chunk INTEGER PRIMARY KEY, "
                              "body BLOB NOT NULL) STRICT", "");
    if (!rc)
        rc = sql_int(c, &g->total, err, "SELECT count(*) FROM chunks WHERE collection = ?1", "i",
                     g->collection);
    return rc;
}

static enum err_code read_passage(struct conn *c, sqlite3_stmt *st, struct reembedding *g,
                                  struct arena *a, struct err *err)
{
    struct buf text = {0};
    struct passage *p = &g->passages[g->n];
    enum err_code rc = text_slice(c, sqlite3_column_int64(st, 1),
                                  (uint32_t)sqlite3_column_int64(st, 2),
                                  (uint32_t)sqlite3_column_int64(st, 3), &text, err);
    if (!rc) {
        *p = (struct passage){.context = arena_str(a, sql_blob(st, 5)),
                              .heading = arena_str(a, sql_blob(st, 4)),
                              .text = arena_str(a, buf_view(&text))};
        if (!p->context.ptr || !p->heading.ptr || !p->text.ptr)
            rc = err_set(err, ERR_NOMEM, "a passage");
        g->last = g->ids[g->n++] = sqlite3_column_int64(st, 0);
    }
    buf_free(&text);
    return rc;
}

static enum err_code read_batch(struct reembedding *g, struct arena *a, struct err *err)
{
    struct conn *c = reader_take(g->x, err);
    enum err_code rc = OK;
    g->n = 0;
    if (!c)
        return ERR_IO;
    sqlite3_stmt *st = sql_get(
        c, err, "SELECT id, document, start, \"end\", heading, "
                "(SELECT context FROM documents WHERE seq = document) FROM chunks "
                "WHERE collection = ?1 AND id > ?2 ORDER BY id LIMIT ?3", "iii", g->collection,
        g->last, (int64_t)BATCH);
    if (!st)
        rc = ERR_IO;
    while (st && !rc && sql_next(st, &rc, err))
        rc = read_passage(c, st, g, a, err);
    sql_done(st);
    reader_give(g->x, c);
    return rc;
}

/* A zero row stores none, as index_put has it. */
static enum err_code keep_batch(struct conn *c, void *arg, struct err *err)
{
    struct reembedding *g = arg;
    size_t dim = (size_t)g->r->dim;
    enum err_code rc = OK;
    for (int i = 0; i < g->n && !rc; i++) {
        const float *row = g->vectors + (size_t)i * dim;
        float square = vec_dot(row, row, g->r->dim);
        if (square != 0 && !(square > 0.98f && square < 1.02f))
            rc = err_set(err, ERR_ARG, "a vector of squared length %g, want 1 or 0", (double)square);
        else if (square != 0)
            rc = sql_exec(c, err, "INSERT INTO vectors_next (chunk, body) VALUES (?1, ?2)", "ib",
                          g->ids[i], (struct str){(const char *)row, dim * sizeof(float)});
    }
    return rc;
}

static enum err_code gather(struct reembedding *g, const struct stop *stop, struct err *err)
{
    struct arena a = {0};
    enum err_code rc = OK;
    do {
        arena_reset(&a);
        g->vectors = arena_alloc(&a, BATCH, (size_t)g->r->dim * sizeof(float));
        rc = g->vectors ? stop_check(stop, err) : err_set(err, ERR_NOMEM, "vectors");
        if (!rc)
            rc = read_batch(g, &a, err);
        if (!rc && g->n)
            rc = g->r->embed(g->r->arg, g->passages, g->n, g->vectors, err);
        if (!rc && g->n)
            rc = writer_run(&g->x->writer, keep_batch, NULL, g, err);
        g->done += g->n;
        if (!rc && g->r->progress)
            g->r->progress(g->r->arg, g->done, g->total);
    } while (!rc && g->n);
    arena_deinit(&a);
    return rc;
}

static enum err_code swap(struct conn *c, void *arg, struct err *err)
{
    struct reembedding *g = arg;
    int64_t chunks, id = g->collection;
    enum err_code rc = sql_int(c, &chunks, err, "SELECT count(*) FROM chunks WHERE collection = ?1 "
                                                "AND id <= ?2", "ii", id, g->last);
    int64_t all = 0;
    if (!rc)
        rc = sql_int(c, &all, err, "SELECT count(*) FROM chunks WHERE collection = ?1", "i", id);
    if (!rc && (chunks != g->done || all != g->done))
        return err_set(err, ERR_BUSY, "documents of \"%s\" changed meanwhile; run it again",
                       g->name);
    if (!rc)
        rc = sql_exec(c, err, "DELETE FROM vectors WHERE chunk IN "
                              "(SELECT id FROM chunks WHERE collection = ?1)", "i", id);
    if (!rc)
        rc = sql_exec(c, err, "INSERT INTO vectors SELECT chunk, body FROM vectors_next", "");
    if (!rc)
        rc = sql_exec(c, err, "UPDATE chunks SET embedded = "
                              "EXISTS (SELECT 1 FROM vectors_next n WHERE n.chunk = chunks.id) "
                              "WHERE collection = ?1", "i", id);
    if (!rc)
        rc = sql_exec(c, err, "UPDATE collections SET stamp = ?2, dim = ?3, "
                              "revision = revision + 1 WHERE id = ?1", "isi", id, g->r->stamp,
                      (int64_t)g->r->dim);
    if (!rc)
        rc = sql_exec(c, err, "DELETE FROM answers WHERE collection = ?1", "i", id);
    return rc ? rc : sql_exec(c, err, "DROP TABLE vectors_next", "");
}

/* The graph in memory and its snapshot were of the old vectors. */
static enum err_code open_anew(struct reembedding *g, struct err *err)
{
    shelf_give(shelf_take_out(g->x, g->name));
    graph_forget(g->x, g->collection);
    struct conn *c = reader_take(g->x, err);
    if (!c)
        return ERR_IO;
    enum err_code rc = store_open_shelf(g->x, c, g->collection, g->name, g->r->dim, err);
    reader_give(g->x, c);
    graph_wake(g->x);
    return rc;
}

enum err_code index_reembed(struct index *x, const char *collection, const struct reembed *r,
                            const struct stop *stop, struct err *err)
{
    struct reembedding g = {.x = x, .r = r, .name = collection};
    if (r->dim < 1 || r->dim > 4096)
        return err_set(err, ERR_ARG, "%d dimensions, want 1 to 4096", r->dim);
    enum err_code rc = writer_run(&x->writer, begin, NULL, &g, err);
    if (!rc)
        rc = gather(&g, stop, err);
    if (!rc)
        rc = writer_run(&x->writer, swap, NULL, &g, err);
    return rc ? rc : open_anew(&g, err);
}
