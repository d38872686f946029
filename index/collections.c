/* Collections: a name, an encoder's stamp, and a table of words each. */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "index/index_int.h"
#include "index/postings.h"

#define COLUMNS                                                                        \
    "SELECT c.id, c.name, c.stamp, c.dim, c.settings, c.revision, c.created_ms, "      \
    "(SELECT count(*) FROM documents d WHERE d.collection = c.id), "                   \
    "(SELECT coalesce(sum(chunks), 0) FROM documents d WHERE d.collection = c.id) "    \
    "FROM collections c "

static enum err_code read_row(sqlite3_stmt *st, struct arena *a, struct collection *out,
                              struct err *err)
{
    memset(out, 0, sizeof(*out));
    out->id = sqlite3_column_int64(st, 0);
    sql_copy(st, 1, out->name, sizeof(out->name));
    out->stamp = sql_text(st, 2, a);
    out->dim = sqlite3_column_int(st, 3);
    out->settings = sql_text(st, 4, a);
    out->revision = sqlite3_column_int64(st, 5);
    out->created_ms = sqlite3_column_int64(st, 6);
    out->documents = sqlite3_column_int64(st, 7);
    out->chunks = sqlite3_column_int64(st, 8);
    return out->stamp && out->settings ? OK : err_set(err, ERR_NOMEM, "a collection");
}

static enum err_code check_name(const char *name, struct err *err)
{
    size_t n = strlen(name);
    if (n < 1 || n > 63 ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != n)
        return err_set(err, ERR_ARG,
                       "collection \"%.64s\": want 1..63 letters, digits, '.', '_' or '-'", name);
    return OK;
}

static enum err_code find(struct index *x, const char *name, struct arena *a,
                          struct collection *out, struct err *err)
{
    enum err_code rc = OK;
    struct conn *c = reader_take(x, err);
    if (!c)
        return ERR_IO;
    sqlite3_stmt *st = sql_get(c, err, COLUMNS "WHERE c.name = ?1", "s", name);
    if (!st) {
        rc = ERR_IO;
    } else if (sql_next(st, &rc, err)) {
        rc = read_row(st, a, out, err);
        sql_done(st);
    } else if (!rc) {
        rc = err_set(err, ERR_NOTFOUND, "no collection \"%s\"", name);
    }
    reader_give(x, c);
    return rc;
}

struct making {
    struct index *x;
    const char *name, *stamp, *settings;
    int dim;
    struct shelf *shelf;
};

static enum err_code make(struct conn *c, void *arg, struct err *err)
{
    struct making *m = arg;
    int64_t there;
    enum err_code rc = sql_int(c, &there, err, "SELECT count(*) FROM collections WHERE name = ?1",
                               "s", m->name);
    if (rc || there)
        return rc;
    rc = sql_exec(c, err, "INSERT INTO collections (name, stamp, dim, settings, created_ms) "
                          "VALUES (?1, ?2, ?3, ?4, ?5)",
                  "ssisi", m->name, m->stamp, (int64_t)m->dim, m->settings, clock_now_ms());
    if (rc)
        return rc;
    int64_t id = sqlite3_last_insert_rowid(c->db);
    rc = postings_create(c, id, err);
    return rc ? rc : shelf_new(m->x, id, m->name, m->dim, &m->shelf, err);
}

static void made(void *arg)
{
    struct making *m = arg;
    if (m->shelf)
        shelf_put_in(m->x, m->shelf);
    m->shelf = NULL;
}

enum err_code index_collection(struct index *x, const char *name, const char *stamp, int dim,
                               const char *settings, bool create, struct arena *a,
                               struct collection *out, struct err *err)
{
    enum err_code rc = check_name(name, err);
    if (rc)
        return rc;
    struct shelf *s = shelf_take(x, name);
    if (!s && !create)
        return err_set(err, ERR_NOTFOUND, "no collection \"%s\"", name);
    if (!s) {
        if (!stamp || dim < 1 || dim > 4096)
            return err_set(err, ERR_ARG, "a new collection needs a stamp and a dim of 1..4096");
        struct making m = {.x = x, .name = name, .stamp = stamp, .dim = dim,
                           .settings = settings ? settings : "{}"};
        rc = writer_run(&x->writer, make, made, &m, err);
        shelf_give(m.shelf);
    }
    shelf_give(s);
    if (!rc)
        rc = find(x, name, a, out, err);
    if (!rc && stamp && (strcmp(stamp, out->stamp) != 0 || dim != out->dim))
        return err_set(err, ERR_INCOMPATIBLE, "collection \"%s\" was embedded by another encoder: "
                       "`carrel reindex --embed --collection %s` embeds it anew by this one, `carrel "
                       "add --collection NEW PATH...` puts documents into one of their own", name,
                       name);
    return rc;
}

enum err_code index_collections(struct index *x, struct arena *a, struct collection **out, int *n,
                                struct err *err)
{
    int64_t count = 0;
    enum err_code rc = OK;
    *n = 0;
    *out = NULL;
    struct conn *c = reader_begin(x, err);
    if (!c)
        return ERR_IO;
    sqlite3_stmt *st = NULL;
    rc = sql_int(c, &count, err, "SELECT count(*) FROM collections", "");
    if (!rc && !(*out = arena_alloc(a, (size_t)count + 1, sizeof(**out))))
        rc = err_set(err, ERR_NOMEM, "%lld collections", (long long)count);
    if (!rc && !(st = sql_get(c, err, COLUMNS "ORDER BY c.name", "")))
        rc = ERR_IO;
    while (!rc && *n < count && sql_next(st, &rc, err))
        rc = read_row(st, a, &(*out)[(*n)++], err);
    sql_done(st);
    reader_end(x, c);
    return rc;
}

/* ---- removal */

struct unmaking {
    struct index *x;
    const char *name;
    struct shelf *shelf;
    char *ids;                 /* [documents][33], blobs to be removed */
    int64_t documents;
};

static enum err_code note_blobs(struct conn *c, struct unmaking *u, struct err *err)
{
    enum err_code rc = sql_int(c, &u->documents, err,
                               "SELECT count(*) FROM documents WHERE collection = ?1", "i",
                               u->shelf->id);
    if (rc)
        return rc;
    u->ids = calloc((size_t)u->documents + 1, 33);
    sqlite3_stmt *st = sql_get(
        c, err, "SELECT lower(hex(id)) FROM documents WHERE collection = ?1", "i", u->shelf->id);
    if (!u->ids || !st)
        return err_set(err, ERR_NOMEM, "%lld documents", (long long)u->documents);
    for (int64_t i = 0; i < u->documents && sql_next(st, &rc, err); i++)
        sql_copy(st, 0, u->ids + 33 * i, 33);
    sql_done(st);
    return rc;
}

static enum err_code unmake(struct conn *c, void *arg, struct err *err)
{
    static const char *const steps[] = {
        "DELETE FROM vectors WHERE chunk IN (SELECT id FROM chunks WHERE collection = ?1)",
        "DELETE FROM chunks WHERE collection = ?1",
        "DELETE FROM texts WHERE document IN (SELECT seq FROM documents WHERE collection = ?1)",
        "DELETE FROM layouts WHERE document IN (SELECT seq FROM documents WHERE collection = ?1)",
        "DELETE FROM jobs WHERE document IN (SELECT seq FROM documents WHERE collection = ?1)",
        "DELETE FROM documents WHERE collection = ?1",
        "DELETE FROM answers WHERE collection = ?1",
        "DELETE FROM collections WHERE id = ?1",
    };
    struct unmaking *u = arg;
    enum err_code rc = note_blobs(c, u, err);
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps) && !rc; i++)
        rc = sql_exec(c, err, steps[i], "i", u->shelf->id);
    return rc ? rc : postings_drop(c, u->shelf->id, err);
}

static void unmade(void *arg)
{
    struct unmaking *u = arg;
    shelf_give(shelf_take_out(u->x, u->name));
    index_event(u->x);
}

enum err_code index_collection_remove(struct index *x, const char *name, int64_t *documents,
                                      struct err *err)
{
    struct unmaking u = {.x = x, .name = name, .shelf = shelf_take(x, name)};
    if (!u.shelf)
        return err_set(err, ERR_NOTFOUND, "no collection \"%.64s\"", name);
    enum err_code rc = writer_run(&x->writer, unmake, unmade, &u, err);
    for (int64_t i = 0; i < u.documents && !rc; i++)
        remove_blob(x, u.ids + 33 * i);
    if (!rc) {
        graph_forget(x, u.shelf->id);
        *documents = u.documents;
    }
    free(u.ids);
    shelf_give(u.shelf);
    return rc;
}

/* One of its documents changed: cached answers of the collection are void. */
enum err_code collection_touch(struct conn *c, int64_t collection, int64_t *answers,
                               struct err *err)
{
    enum err_code rc =
        sql_exec(c, err, "UPDATE collections SET revision = revision + 1 WHERE id = ?1", "i",
                 collection);
    if (!rc)
        rc = sql_exec(c, err, "DELETE FROM answers WHERE collection = ?1", "i", collection);
    if (!rc && answers)
        *answers += sqlite3_changes(c->db);
    return rc;
}
