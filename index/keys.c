/* Keys of the API: only hashes of their secrets are here (web/keys makes both). */
#include <string.h>
#include "base/clock.h"
#include "index/index_int.h"

struct adding { struct index *x; const struct key *k; const uint8_t *hash; int64_t id; };

static enum err_code add(struct conn *c, void *arg, struct err *err)
{
    struct adding *a = arg;
    enum err_code rc = sql_exec(
        c, err, "INSERT INTO keys (name, prefix, hash, scopes, collection, created_ms) "
                "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        "ssbssi", a->k->name, a->k->prefix, (struct str){(const char *)a->hash, 32}, a->k->scopes,
        a->k->collection, clock_now_ms());
    a->id = sqlite3_last_insert_rowid(c->db);
    return rc;
}

static void added(void *arg)
{
    ((struct adding *)arg)->x->n_keys++;
}

enum err_code index_key_add(struct index *x, const struct key *k, const uint8_t hash[32],
                            int64_t *id, struct err *err)
{
    struct adding a = {x, k, hash, 0};
    if (!k->name[0] || !k->prefix[0] || !k->scopes[0])
        return err_set(err, ERR_ARG, "a key needs a name, a prefix and scopes");
    enum err_code rc = writer_run(&x->writer, add, added, &a, err);
    if (!rc)
        *id = a.id;
    return rc;
}

static void read_row(sqlite3_stmt *st, struct key *out)
{
    memset(out, 0, sizeof(*out));
    out->id = sqlite3_column_int64(st, 0);
    sql_copy(st, 1, out->name, sizeof(out->name));
    sql_copy(st, 2, out->prefix, sizeof(out->prefix));
    sql_copy(st, 3, out->scopes, sizeof(out->scopes));
    sql_copy(st, 4, out->collection, sizeof(out->collection));
    out->created_ms = sqlite3_column_int64(st, 5);
    out->used_ms = sqlite3_column_int64(st, 6);
}

#define COLUMNS "SELECT id, name, prefix, scopes, collection, created_ms, used_ms, hash FROM keys "

/* Every byte is looked at, whatever the first ones are. */
static bool same_hash(struct str stored, const uint8_t hash[32])
{
    volatile uint8_t differ = stored.len != 32;
    for (size_t i = 0; i < 32 && i < stored.len; i++)
        differ = (uint8_t)(differ | ((uint8_t)stored.ptr[i] ^ hash[i]));
    return differ == 0;
}

struct using { int64_t id, now; };

static enum err_code note_use(struct conn *c, void *arg, struct err *err)
{
    const struct using *u = arg;
    return sql_exec(c, err, "UPDATE keys SET used_ms = ?2 WHERE id = ?1", "ii", u->id, u->now);
}

enum err_code index_key_find(struct index *x, const char *prefix, const uint8_t hash[32],
                             struct key *out, struct err *err)
{
    bool found = false;
    enum err_code rc = OK;
    struct key k;
    struct conn *c = reader_take(x, err);
    if (!c)
        return ERR_IO;
    sqlite3_stmt *st = sql_get(c, err, COLUMNS "WHERE prefix = ?1", "s", prefix);
    if (!st)
        rc = ERR_IO;
    while (!rc && sql_next(st, &rc, err)) {
        read_row(st, &k);
        if (same_hash(sql_blob(st, 7), hash)) {
            *out = k;
            found = true;
        }
    }
    reader_give(x, c);
    if (rc || !found)
        return rc ? rc : err_set(err, ERR_NOTFOUND, "no such key");
    struct using u = {out->id, clock_now_ms()};
    if (u.now - out->used_ms > 3600000)   /* to the hour: requests must not cost a sync each */
        (void)writer_run(&x->writer, note_use, NULL, &u, NULL);
    return OK;
}

enum err_code index_keys(struct index *x, struct arena *a, struct key **out, int *n,
                         struct err *err)
{
    int64_t count = 0;
    *n = 0;
    struct conn *c = reader_begin(x, err);
    if (!c)
        return ERR_IO;
    sqlite3_stmt *st = NULL;
    enum err_code rc = sql_int(c, &count, err, "SELECT count(*) FROM keys", "");
    if (!rc && !(*out = arena_alloc(a, (size_t)count + 1, sizeof(**out))))
        rc = err_set(err, ERR_NOMEM, "%lld keys", (long long)count);
    if (!rc && !(st = sql_get(c, err, COLUMNS "ORDER BY id", "")))
        rc = ERR_IO;
    while (!rc && *n < count && sql_next(st, &rc, err))
        read_row(st, &(*out)[(*n)++]);
    sql_done(st);
    reader_end(x, c);
    return rc;
}

static enum err_code cut(struct conn *c, void *arg, struct err *err)
{
    struct adding *a = arg;
    enum err_code rc = sql_exec(c, err, "DELETE FROM keys WHERE id = ?1", "i", a->id);
    if (!rc && sqlite3_changes(c->db) == 0)
        rc = err_set(err, ERR_NOTFOUND, "no key %lld", (long long)a->id);
    return rc;
}

static void was_cut(void *arg)
{
    ((struct adding *)arg)->x->n_keys--;
}

enum err_code index_key_remove(struct index *x, int64_t id, struct err *err)
{
    struct adding a = {x, NULL, NULL, id};
    return writer_run(&x->writer, cut, was_cut, &a, err);
}

int index_key_count(struct index *x)
{
    return x->n_keys;
}
