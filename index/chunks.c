/* Passages: their rows, and their bytes of the stored text. */
#include <string.h>
#include "base/hash.h"
#include "index/index_int.h"

#define TEXT_PART 16384   /* as put.c cuts it */

enum err_code text_slice(struct conn *c, int64_t document, uint32_t start, uint32_t end,
                         struct buf *out, struct err *err)
{
    enum err_code rc = OK;
    if (start >= end)
        return OK;
    int64_t first = start / TEXT_PART, last = (end - 1) / TEXT_PART;
    sqlite3_stmt *st = sql_get(
        c, err, "SELECT part, body FROM texts WHERE document = ?1 AND part BETWEEN ?2 AND ?3 "
                "ORDER BY part", "iii", document, first, last);
    if (!st)
        return ERR_IO;
    size_t before = out->len;
    while (sql_next(st, &rc, err)) {
        int64_t base = sqlite3_column_int64(st, 0) * TEXT_PART;
        struct str body = sql_blob(st, 1);
        size_t from = start > base ? (size_t)(start - base) : 0;
        buf_str(out, str_sub(body, from, (size_t)((int64_t)end - base)));
    }
    if (!rc)
        rc = buf_ok(out, "a passage", err);
    if (!rc && out->len - before != end - start)
        rc = err_set(err, ERR_FORMAT, "bytes [%u, %u) of a text are not stored", start, end);
    return rc;
}

#define COLUMNS                                                                             \
    "SELECT k.id, d.id, d.name, d.uri, k.ordinal, k.start, k.\"end\", k.page, k.tokens, "   \
    "k.heading, d.seq FROM chunks k JOIN documents d ON d.seq = k.document "

/* Also leaves the statement: text_slice has one of its own. */
static enum err_code read_row(struct conn *c, sqlite3_stmt *st, struct arena *a, struct buf *text,
                              struct stored_chunk *out, struct err *err)
{
    memset(out, 0, sizeof(*out));
    out->id = sqlite3_column_int64(st, 0);
    struct str id = sql_blob(st, 1);
    if (id.len == 16)
        hash_hex((const uint8_t *)id.ptr, 16, out->document);
    out->document_name = sql_text(st, 2, a);
    out->uri = sql_text(st, 3, a);
    out->ordinal = sqlite3_column_int(st, 4);
    out->start = (uint32_t)sqlite3_column_int64(st, 5);
    out->end = (uint32_t)sqlite3_column_int64(st, 6);
    out->page = (uint32_t)sqlite3_column_int64(st, 7);
    out->tokens = sqlite3_column_int(st, 8);
    out->heading = sql_text(st, 9, a);
    buf_reset(text);
    enum err_code rc = text_slice(c, sqlite3_column_int64(st, 10), out->start, out->end, text, err);
    if (rc)
        return rc;
    out->text = arena_str(a, buf_view(text));
    if (!out->document_name || !out->uri || !out->heading || !out->text.ptr)
        return err_set(err, ERR_NOMEM, "a passage");
    return OK;
}

enum err_code index_chunks_by_id(struct index *x, const int64_t *ids, int n, struct arena *a,
                                 struct stored_chunk **out, int *n_out, struct err *err)
{
    enum err_code rc = OK;
    struct buf text = {0};
    *n_out = 0;
    *out = arena_alloc(a, (size_t)(n > 0 ? n : 1), sizeof(**out));
    if (!*out)
        return err_set(err, ERR_NOMEM, "%d passages", n);
    struct conn *c = reader_begin(x, err);
    if (!c)
        return ERR_IO;
    for (int i = 0; i < n && !rc; i++) {
        sqlite3_stmt *st = sql_get(c, err, COLUMNS "WHERE k.id = ?1", "i", ids[i]);
        if (!st)
            rc = ERR_IO;
        else if (sql_next(st, &rc, err))
            rc = read_row(c, st, a, &text, &(*out)[(*n_out)++], err);
        sql_done(st);
    }
    reader_end(x, c);
    buf_free(&text);
    return rc;
}

enum err_code index_chunks_range(struct index *x, const char *document, int from, int to,
                                 struct arena *a, struct stored_chunk **out, int *n,
                                 struct err *err)
{
    uint8_t raw[16];
    int64_t seq = 0, total = 0;
    struct buf text = {0};
    *n = 0;
    *out = NULL;
    if (!hash_unhex(str_of(document), raw, 16))
        return err_set(err, ERR_NOTFOUND, "no document \"%.40s\"", document);
    struct conn *c = reader_begin(x, err);
    if (!c)
        return ERR_IO;
    sqlite3_stmt *st = NULL;
    enum err_code rc = sql_int(c, &seq, err, "SELECT seq FROM documents WHERE id = ?1", "b",
                               (struct str){(char *)raw, 16});
    if (rc == ERR_NOTFOUND)
        rc = err_set(err, ERR_NOTFOUND, "no document %s", document);
    if (!rc)
        rc = sql_int(c, &total, err, "SELECT count(*) FROM chunks WHERE document = ?1 AND "
                                     "ordinal >= ?2 AND ordinal < ?3",
                     "iii", seq, (int64_t)from, (int64_t)to);
    if (!rc && !(*out = arena_alloc(a, (size_t)total + 1, sizeof(**out))))
        rc = err_set(err, ERR_NOMEM, "%lld passages", (long long)total);
    if (!rc && !(st = sql_get(c, err, COLUMNS "WHERE k.document = ?1 AND k.ordinal >= ?2 AND "
                                              "k.ordinal < ?3 ORDER BY k.ordinal",
                              "iii", seq, (int64_t)from, (int64_t)to)))
        rc = ERR_IO;
    while (!rc && *n < total && sql_next(st, &rc, err))
        rc = read_row(c, st, a, &text, &(*out)[(*n)++], err);
    sql_done(st);
    reader_end(x, c);
    buf_free(&text);
    return rc;
}

enum err_code index_chunks_of(struct index *x, const char *document, struct arena *a,
                              struct stored_chunk **out, int *n, struct err *err)
{
    return index_chunks_range(x, document, 0, INT32_MAX, a, out, n, err);
}
