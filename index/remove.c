/* Removal: everything of a document in one transaction; then memory and its file. */
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "index/postings.h"
#include "index/store.h"

/* Words go first: who cuts them must bring the text they came from. */
static enum err_code cut_words(struct conn *c, int64_t collection, int64_t seq, struct err *err)
{
    enum err_code rc = OK;
    struct buf text = {0}, row = {0};
    sqlite3_stmt *st = sql_get(
        c, err, "SELECT id, start, \"end\", heading, "
                "(SELECT context FROM documents WHERE seq = ?1) "
                "FROM chunks WHERE document = ?1 ORDER BY id",
        "i", seq);
    if (!st)
        return ERR_IO;
    while (!rc && sql_next(st, &rc, err)) {
        buf_reset(&text);
        rc = text_slice(c, seq, (uint32_t)sqlite3_column_int64(st, 1),
                        (uint32_t)sqlite3_column_int64(st, 2), &text, err);
        if (rc)
            break;
        postings_text(&row, sql_blob(st, 4), sql_blob(st, 3), buf_view(&text));
        rc = buf_ok(&row, "a chunk", err);
        if (!rc)
            rc = postings_cut(c, collection, sqlite3_column_int64(st, 0), buf_view(&row), err);
    }
    sql_done(st);
    buf_free(&text);
    buf_free(&row);
    return rc;
}

static enum err_code delete_rows(struct conn *c, int64_t seq, struct removed *count,
                                 struct err *err)
{
    enum err_code rc = sql_exec(
        c, err, "DELETE FROM vectors WHERE chunk IN (SELECT id FROM chunks WHERE document = ?1)",
        "i", seq);
    if (!rc) {
        count->vectors += sqlite3_changes(c->db);
        rc = sql_exec(c, err, "DELETE FROM chunks WHERE document = ?1", "i", seq);
    }
    if (!rc) {
        count->chunks += sqlite3_changes(c->db);
        rc = sql_exec(c, err, "DELETE FROM texts WHERE document = ?1", "i", seq);
    }
    if (!rc)
        rc = sql_exec(c, err, "DELETE FROM layouts WHERE document = ?1", "i", seq);
    if (!rc)
        rc = sql_exec(c, err, "DELETE FROM jobs WHERE document = ?1", "i", seq);
    if (!rc)
        rc = sql_exec(c, err, "DELETE FROM documents WHERE seq = ?1", "i", seq);
    if (!rc)
        count->documents++;
    return rc;
}

enum err_code remove_document(struct conn *c, int64_t seq, struct removal *out,
                              struct removed *count, struct err *err)
{
    enum err_code rc = OK;
    sqlite3_stmt *st = sql_get(
        c, err, "SELECT collection, first_chunk, chunks, id FROM documents WHERE seq = ?1", "i",
        seq);
    if (!st)
        return ERR_IO;
    if (!sql_next(st, &rc, err))
        return rc ? rc : err_set(err, ERR_NOTFOUND, "no such document");
    int64_t collection = sqlite3_column_int64(st, 0);
    struct str id = sql_blob(st, 3);
    out->first_chunk = sqlite3_column_int64(st, 1);
    out->chunks = sqlite3_column_int64(st, 2);
    if (id.len == 16)
        hash_hex((const uint8_t *)id.ptr, 16, out->id);
    sql_done(st);
    rc = cut_words(c, collection, seq, err);
    if (!rc)
        rc = delete_rows(c, seq, count, err);
    if (!rc && out->chunks > 0)
        rc = sql_exec(c, err, "INSERT INTO settings VALUES ('merge_words', '1') "
                              "ON CONFLICT DO NOTHING", "");
    return rc;
}

void remove_after(const struct removal *r)
{
    for (int64_t i = 0; i < r->chunks; i++) {
        lengths_cut(&r->shelf->lengths, r->first_chunk + i);
        graph_push(&r->shelf->graph, (uint64_t)(r->first_chunk + i), NULL);
    }
    r->shelf->changes++;
}

struct removing {
    struct index *x;
    uint8_t raw[16];
    const char *id;
    struct removal removal;
    struct removed count;
    int64_t seq;
};

static enum err_code remove_it(struct conn *c, void *arg, struct err *err)
{
    struct removing *r = arg;
    enum err_code rc = OK;
    char name[64];
    int64_t collection = 0;
    sqlite3_stmt *st = sql_get(
        c, err, "SELECT d.seq, c.name, c.id FROM documents d JOIN collections c ON "
                "c.id = d.collection WHERE d.id = ?1", "b", (struct str){(char *)r->raw, 16});
    if (!st)
        return ERR_IO;
    if (!sql_next(st, &rc, err))
        return rc ? rc : err_set(err, ERR_NOTFOUND, "no document %s", r->id);
    r->seq = sqlite3_column_int64(st, 0);
    sql_copy(st, 1, name, sizeof(name));
    collection = sqlite3_column_int64(st, 2);
    sql_done(st);
    r->removal.shelf = shelf_take(r->x, name);
    if (!r->removal.shelf)
        return err_set(err, ERR_NOTFOUND, "no collection \"%s\"", name);
    rc = remove_document(c, r->seq, &r->removal, &r->count, err);
    if (!rc)
        rc = collection_touch(c, collection, &r->count.answers, err);
    if (!rc)
        rc = graph_reserve(&r->removal.shelf->graph, (size_t)r->removal.chunks, err);
    return rc;
}

static void removed_it(void *arg)
{
    struct removing *r = arg;
    remove_after(&r->removal);
    if (r->removal.chunks > 0)
        r->x->merge_words = true;
    index_event(r->x);
    graph_wake(r->x);
}

enum err_code index_remove(struct index *x, const char *id, struct removed *out, struct err *err)
{
    struct removing r = {.x = x, .id = id};
    if (!hash_unhex(str_of(id), r.raw, 16))
        return err_set(err, ERR_NOTFOUND, "no document \"%.40s\"", id);
    enum err_code rc = writer_run(&x->writer, remove_it, removed_it, &r, err);
    shelf_give(r.removal.shelf);
    if (rc)
        return rc;
    jobs_interrupt_document(x, r.seq);
    remove_blob(x, r.removal.id);
    if (out)
        *out = r.count;
    return OK;
}
