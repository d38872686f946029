/* The cache of answers: one holds while its collection's revision does. */
#include "base/clock.h"
#include "base/hash.h"
#include "index/index_int.h"

enum err_code index_answer_find(struct index *x, const char *collection, struct str key,
                                struct arena *a, struct str *json, struct err *err)
{
    enum err_code rc = OK;
    struct conn *c = reader_take(x, err);
    if (!c)
        return ERR_IO;
    sqlite3_stmt *st = sql_get(
        c, err, "SELECT a.json FROM answers a JOIN collections c ON c.id = a.collection "
                "WHERE c.name = ?1 AND a.key = ?2 AND a.revision = c.revision",
        "sb", collection, key);
    if (!st) {
        rc = ERR_IO;
    } else if (sql_next(st, &rc, err)) {
        *json = arena_str(a, sql_blob(st, 0));
        rc = json->ptr ? OK : err_set(err, ERR_NOMEM, "an answer");
        sql_done(st);
    } else if (!rc) {
        rc = err_set(err, ERR_NOTFOUND, "not answered yet");
    }
    reader_give(x, c);
    return rc;
}

struct keeping {
    const char *collection;
    int64_t revision;
    struct str key, json;
    const char *const *documents;
    int n;
};

static enum err_code keep(struct conn *c, void *arg, struct err *err)
{
    const struct keeping *k = arg;
    int64_t collection;
    enum err_code rc = sql_int(c, &collection, err, "SELECT id FROM collections WHERE name = ?1 "
                                                    "AND revision = ?2",
                               "si", k->collection, k->revision);
    if (rc)   /* not found: something changed since, so it is not kept */
        return rc == ERR_NOTFOUND ? OK : rc;
    rc = sql_exec(c, err, "DELETE FROM answers WHERE collection = ?1 AND key = ?2", "ib",
                  collection, k->key);
    if (!rc)
        rc = sql_exec(c, err, "INSERT INTO answers (collection, key, revision, json, created_ms) "
                              "VALUES (?1, ?2, ?3, ?4, ?5)",
                      "ibiti", collection, k->key, k->revision, k->json, clock_now_ms());
    int64_t answer = sqlite3_last_insert_rowid(c->db);
    for (int i = 0; i < k->n && !rc; i++) {
        uint8_t raw[16];
        if (hash_unhex(str_of(k->documents[i]), raw, 16))
            rc = sql_exec(c, err, "INSERT INTO answer_documents VALUES (?1, ?2) "
                                  "ON CONFLICT DO NOTHING",
                          "ib", answer, (struct str){(char *)raw, 16});
    }
    return rc;
}

enum err_code index_answer_keep(struct index *x, const char *collection, int64_t revision,
                                struct str key, struct str json, const char *const *documents,
                                int n, struct err *err)
{
    struct keeping k = {collection, revision, key, json, documents, n};
    if (key.len < 1 || key.len > 65536 || json.len > (size_t)16 << 20)
        return err_set(err, ERR_LIMIT, "an answer of %zu bytes under a key of %zu", json.len,
                       key.len);
    return writer_run(&x->writer, keep, NULL, &k, err);
}
