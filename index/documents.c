/* Documents: accepted, listed, looked up. What reading makes of them: put.c. */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "index/blobs_int.h"
#include "index/index_int.h"
#include "index/jobs.h"

const char *document_state_name(enum document_state s)
{
    static const char *const names[] = {"queued", "running", "ready", "failed"};
    return s < DOC_STATES ? names[s] : "unknown";
}

static bool parse_id(const char *id, uint8_t raw[16])
{
    return hash_unhex(str_of(id), raw, 16);
}

/* ---- accepting */

static bool is_object(const char *text)
{
    json_t *v = NULL;
    bool object = json_read(str_of(text), &v, NULL) == OK && json_is_object(v);
    json_decref(v);
    return object;
}

static enum err_code check_new(const struct new_document *d, struct err *err)
{
    size_t n = d->name ? strlen(d->name) : 0;
    if (n < 1 || n > 1024 || !utf8_valid(str_of(d->name)))
        return err_set(err, ERR_ARG, "a name of %zu bytes: want 1..1024 of UTF-8", n);
    for (const char *p = d->name; *p; p++)
        if ((unsigned char)*p < 32 || *p == 127)
            return err_set(err, ERR_ARG, "a name with control characters");
    if (d->metadata && (strlen(d->metadata) > 65536 || !is_object(d->metadata)))
        return err_set(err, ERR_ARG, "metadata: want a JSON object of at most 64 KiB");
    if ((d->uri && (strlen(d->uri) > 4096 || !utf8_valid(str_of(d->uri)))) ||
        (d->mime && (strlen(d->mime) > 255 || !utf8_valid(str_of(d->mime)))))
        return err_set(err, ERR_ARG, "uri or media type: too long or not UTF-8");
    if (!d->blob || !d->blob->finished)
        return err_set(err, ERR_ARG, "document \"%.64s\": its upload is not finished", d->name);
    return OK;
}

struct adding {
    struct index *x;
    const struct new_document *docs;
    int n;
    struct added *out;
    char *ids;                 /* [n][33]; "" where it is a duplicate */
    int *twin;                 /* of an earlier one of this call, or -1 */
};

/* Is it the same as the newest of its name that has not failed? */
static enum err_code find_duplicate(struct conn *c, struct adding *a, int i, struct err *err)
{
    const struct new_document *d = &a->docs[i];
    struct added *out = &a->out[i];
    enum err_code rc = OK;
    sqlite3_stmt *st = sql_get(
        c, err, "SELECT d.id, d.state, d.hash, coalesce((SELECT max(id) FROM jobs WHERE document = d.seq), 0) "
                "FROM documents d JOIN collections c ON c.id = d.collection "
                "WHERE c.name = ?1 AND d.name = ?2 AND d.state <> ?3 ORDER BY d.seq DESC LIMIT 1",
        "ssi", d->collection, d->name, (int64_t)DOC_FAILED);
    if (!st)
        return ERR_IO;
    if (!sql_next(st, &rc, err))
        return rc;
    char id[33] = "";
    struct str raw = sql_blob(st, 0), hash = sql_blob(st, 2);
    bool same = hash.len == 16 && memcmp(hash.ptr, d->blob->hash.bytes, 16) == 0;
    if (raw.len == 16)
        hash_hex((const uint8_t *)raw.ptr, 16, id);
    out->state = (enum document_state)sqlite3_column_int(st, 1);
    out->job = sqlite3_column_int64(st, 3);
    sql_done(st);
    if (same)
        rc = blob_same(d->blob, id, &out->duplicate, err);
    if (!rc && out->duplicate)
        memcpy(out->id, id, sizeof(id));
    return rc;
}

/* The same name and bytes earlier in this call; the last of that name decides. */
static int find_twin(const struct adding *a, int i)
{
    const struct new_document *d = &a->docs[i];
    for (int k = i - 1; k >= 0; k--) {
        const struct new_document *e = &a->docs[k];
        if (strcmp(e->name, d->name) != 0 || strcmp(e->collection, d->collection) != 0)
            continue;
        struct map one = {0}, two = {0};
        bool same = memcmp(&e->blob->hash, &d->blob->hash, sizeof(e->blob->hash)) == 0 &&
                    map_open(e->blob->path, &one, NULL) == OK &&
                    map_open(d->blob->path, &two, NULL) == OK && one.len == two.len &&
                    memcmp(one.ptr, two.ptr, one.len) == 0;
        if (one.ptr)
            map_close(&one);
        if (two.ptr)
            map_close(&two);
        return same ? k : -2;
    }
    return -1;
}

static enum err_code add_row(struct conn *c, struct adding *a, int i, struct err *err)
{
    const struct new_document *d = &a->docs[i];
    struct added *out = &a->out[i];
    uint8_t raw[16];
    int64_t collection, now = clock_now_ms();
    enum err_code rc = sql_int(c, &collection, err, "SELECT id FROM collections WHERE name = ?1",
                               "s", d->collection);
    if (rc == ERR_NOTFOUND)
        return err_set(err, ERR_NOTFOUND, "no collection \"%.64s\"", d->collection);
    if (rc)
        return rc;
    parse_id(a->ids + 33 * i, raw);
    rc = sql_exec(c, err, "INSERT INTO documents (id, collection, name, uri, mime, metadata, "
                          "size_bytes, hash, state, created_ms, updated_ms) "
                          "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)",
                  "bissssibii", (struct str){(char *)raw, 16}, collection, d->name,
                  d->uri ? d->uri : "", d->mime ? d->mime : "", d->metadata ? d->metadata : "{}",
                  (int64_t)d->blob->size, (struct str){(char *)d->blob->hash.bytes, 16}, (int64_t)DOC_QUEUED, now);
    if (rc)
        return rc;
    int64_t seq = sqlite3_last_insert_rowid(c->db);
    rc = sql_exec(c, err, "INSERT INTO jobs (document, state, created_ms) VALUES (?1, ?2, ?3)",
                  "iii", seq, (int64_t)JOB_QUEUED, now);
    out->job = sqlite3_last_insert_rowid(c->db);
    out->state = DOC_QUEUED;
    memcpy(out->id, a->ids + 33 * i, 33);
    return rc;
}

static enum err_code add_rows(struct conn *c, void *arg, struct err *err)
{
    struct adding *a = arg;
    enum err_code rc = OK;
    for (int i = 0; i < a->n && !rc; i++)
        if (a->ids[33 * i])
            rc = add_row(c, a, i, err);
    return rc;
}

static void added(void *arg)
{
    index_event(((struct adding *)arg)->x);
}

/* Duplicates found, new ones named and their files in place and synced. */
static enum err_code place_all(struct adding *a, struct err *err)
{
    enum err_code rc = OK;
    struct conn *c = reader_take(a->x, err);
    if (!c)
        return ERR_IO;
    for (int i = 0; i < a->n && !rc; i++) {
        a->twin[i] = find_twin(a, i);
        if (a->twin[i] == -1)
            rc = find_duplicate(c, a, i, err);
    }
    reader_give(a->x, c);
    for (int i = 0; i < a->n && !rc; i++) {
        uint8_t raw[16];
        if (a->out[i].duplicate || a->twin[i] >= 0)
            continue;
        rng_secret(raw, sizeof(raw));
        hash_hex(raw, 16, a->ids + 33 * i);
        rc = blob_place(a->docs[i].blob, a->ids + 33 * i, err);
        if (rc)
            a->ids[33 * i] = '\0';
    }
    return rc ? rc : blob_sync(a->x, a->ids, a->n, err);
}

static void settle(struct adding *a, enum err_code rc)
{
    for (int i = 0; i < a->n; i++) {
        bool placed = a->ids[33 * i] != '\0';
        if (rc && placed)
            blob_unplace(a->docs[i].blob, a->ids + 33 * i);
        if (rc)
            continue;
        if (a->twin[i] >= 0) {
            a->out[i] = a->out[a->twin[i]];
            a->out[i].duplicate = true;
        }
        if (placed)
            blob_free(a->docs[i].blob);
        else
            blob_drop(a->docs[i].blob);
    }
}

/* One upload of a name at a time, so that two of the same bytes at once are one
 * document. Many names are locked in the order of their stripes. */
static void lock_names(struct adding *a, bool on)
{
    bool wanted[STRIPES] = {false};
    for (int i = 0; i < a->n; i++)
        wanted[hash64(a->docs[i].name, strlen(a->docs[i].name), 0) % STRIPES] = true;
    for (int i = 0; i < STRIPES; i++)
        if (wanted[i] && on)
            pthread_mutex_lock(&a->x->stripes[i]);
        else if (wanted[i])
            pthread_mutex_unlock(&a->x->stripes[i]);
}

enum err_code index_add(struct index *x, const struct new_document *docs, int n, struct added *out,
                        struct err *err)
{
    enum err_code rc = n < 1 ? err_set(err, ERR_ARG, "no documents to add") : OK;
    for (int i = 0; i < n && !rc; i++)
        rc = check_new(&docs[i], err);
    if (rc)
        return rc;
    struct adding a = {.x = x, .docs = docs, .n = n, .out = out, .ids = calloc((size_t)n, 33),
                       .twin = calloc((size_t)n, sizeof(*a.twin))};
    memset(out, 0, (size_t)n * sizeof(*out));
    if (!a.ids || !a.twin) {
        free(a.ids);
        free(a.twin);
        return err_set(err, ERR_NOMEM, "%d documents", n);
    }
    lock_names(&a, true);
    rc = place_all(&a, err);
    bool any = false;
    for (int i = 0; i < n; i++)
        any |= a.ids[33 * i] != '\0';
    if (!rc && any)
        rc = writer_run(&x->writer, add_rows, added, &a, err);
    settle(&a, rc);
    lock_names(&a, false);
    free(a.ids);
    free(a.twin);
    return rc;
}

/* ---- looking up */

#define COLUMNS                                                                              \
    "SELECT d.seq, d.id, c.name, d.name, d.uri, d.mime, d.metadata, d.title, d.error, "      \
    "d.warnings, d.state, d.size_bytes, d.text_bytes, d.tokens, d.pages, d.chunks, "         \
    "d.created_ms, d.updated_ms, j.id, j.stage "                                             \
    "FROM documents d JOIN collections c ON c.id = d.collection "                            \
    "LEFT JOIN jobs j ON j.id = (SELECT max(id) FROM jobs WHERE document = d.seq) "

static enum err_code read_row(struct index *x, sqlite3_stmt *st, struct arena *a,
                              struct document *d, struct err *err)
{
    memset(d, 0, sizeof(*d));
    struct str id = sql_blob(st, 1);
    if (id.len == 16)
        hash_hex((const uint8_t *)id.ptr, 16, d->id);
    sql_copy(st, 2, d->collection, sizeof(d->collection));
    char **texts[] = {&d->name, &d->uri, &d->mime, &d->metadata, &d->title, &d->error,
                      &d->warnings};
    for (int i = 0; i < 7; i++)
        if (!(*texts[i] = sql_text(st, 3 + i, a)))
            return err_set(err, ERR_NOMEM, "a document");
    d->state = (enum document_state)sqlite3_column_int(st, 10);
    d->size_bytes = sqlite3_column_int64(st, 11);
    d->text_bytes = sqlite3_column_int64(st, 12);
    d->tokens = sqlite3_column_int64(st, 13);
    d->pages = sqlite3_column_int(st, 14);
    d->chunks = sqlite3_column_int(st, 15);
    d->created_ms = sqlite3_column_int64(st, 16);
    d->updated_ms = sqlite3_column_int64(st, 17);
    d->job = sqlite3_column_int64(st, 18);
    if (!(d->stage = sql_text(st, 19, a)))
        return err_set(err, ERR_NOMEM, "a document");
    return jobs_standing(x, d->job, a, &d->stage, &d->done, &d->total, err);
}

enum err_code index_document(struct index *x, const char *id, struct arena *a,
                             struct document *out, struct err *err)
{
    uint8_t raw[16];
    enum err_code rc = OK;
    if (!parse_id(id, raw))
        return err_set(err, ERR_NOTFOUND, "no document \"%.40s\"", id);
    struct conn *c = reader_take(x, err);
    if (!c)
        return ERR_IO;
    sqlite3_stmt *st = sql_get(c, err, COLUMNS "WHERE d.id = ?1", "b",
                               (struct str){(char *)raw, 16});
    if (!st) {
        rc = ERR_IO;
    } else if (sql_next(st, &rc, err)) {
        rc = read_row(x, st, a, out, err);
        sql_done(st);
    } else if (!rc) {
        rc = err_set(err, ERR_NOTFOUND, "no document %s", id);
    }
    reader_give(x, c);
    return rc;
}

enum err_code index_documents(struct index *x, const struct document_filter *f, struct arena *a,
                              struct document **out, int *n, int64_t *next, struct err *err)
{
    enum err_code rc = OK;
    int64_t cursor = f->cursor, last = 0;   /* `next` may be the filter's own cursor */
    *n = 0;
    *next = 0;
    if (f->limit < 1 || f->limit > 1000 || cursor < 0 || f->state >= DOC_STATES)
        return err_set(err, ERR_ARG, "limit %d: want 1..1000, a cursor and a state there are",
                       f->limit);
    *out = arena_alloc(a, (size_t)f->limit, sizeof(**out));
    if (!*out)
        return err_set(err, ERR_NOMEM, "%d documents", f->limit);
    struct conn *c = reader_take(x, err);
    if (!c)
        return ERR_IO;
    sqlite3_stmt *st = sql_get(
        c, err, COLUMNS "WHERE (?1 IS NULL OR c.name = ?1) AND (?2 < 0 OR d.state = ?2) AND "
                        "(?3 IS NULL OR d.name = ?3) AND d.seq < ?4 ORDER BY d.seq DESC LIMIT ?5",
        "sisii", f->collection, (int64_t)f->state, f->name, cursor ? cursor : INT64_MAX,
        (int64_t)f->limit + 1);
    if (!st)
        rc = ERR_IO;
    while (!rc && sql_next(st, &rc, err)) {
        if (*n == f->limit) {
            *next = last;
            break;
        }
        last = sqlite3_column_int64(st, 0);
        rc = read_row(x, st, a, &(*out)[(*n)++], err);
    }
    sql_done(st);
    reader_give(x, c);
    return rc;
}

/* ---- its parts */

static enum err_code find_seq(struct conn *c, const char *id, int64_t *seq, int64_t *text_bytes,
                              struct err *err)
{
    uint8_t raw[16];
    enum err_code rc = OK;
    if (!parse_id(id, raw))
        return err_set(err, ERR_NOTFOUND, "no document \"%.40s\"", id);
    sqlite3_stmt *st = sql_get(c, err, "SELECT seq, text_bytes FROM documents WHERE id = ?1", "b",
                               (struct str){(char *)raw, 16});
    if (!st)
        return ERR_IO;
    if (!sql_next(st, &rc, err))
        return rc ? rc : err_set(err, ERR_NOTFOUND, "no document %s", id);
    *seq = sqlite3_column_int64(st, 0);
    *text_bytes = sqlite3_column_int64(st, 1);
    sql_done(st);
    return OK;
}

enum err_code index_text(struct index *x, const char *id, struct arena *a, struct str *out,
                         struct err *err)
{
    int64_t seq, bytes;
    struct buf b = {0};
    struct conn *c = reader_begin(x, err);
    if (!c)
        return ERR_IO;
    enum err_code rc = find_seq(c, id, &seq, &bytes, err);
    if (!rc)
        rc = text_slice(c, seq, 0, (uint32_t)bytes, &b, err);
    reader_end(x, c);
    if (!rc) {
        *out = arena_str(a, buf_view(&b));
        if (!out->ptr)
            rc = err_set(err, ERR_NOMEM, "a text of %zu bytes", b.len);
    }
    buf_free(&b);
    return rc;
}

enum err_code index_layout(struct index *x, const char *id, struct arena *a, struct layout *out,
                           struct err *err)
{
    int64_t seq, bytes;
    memset(out, 0, sizeof(*out));
    struct conn *c = reader_begin(x, err);
    if (!c)
        return ERR_IO;
    sqlite3_stmt *st = NULL;
    enum err_code rc = find_seq(c, id, &seq, &bytes, err);
    if (!rc && !(st = sql_get(c, err, "SELECT body FROM layouts WHERE document = ?1", "i", seq)))
        rc = ERR_IO;
    if (!rc && sql_next(st, &rc, err))   /* without a row there is no layout yet */
        rc = layout_decode(sql_blob(st, 0), (size_t)bytes, a, out, err);
    sql_done(st);
    reader_end(x, c);
    return rc;
}

enum err_code index_blob_path(struct index *x, const char *id, struct arena *a, char **out,
                              struct err *err)
{
    char name[64];
    int64_t seq, bytes;
    struct conn *c = reader_take(x, err);
    if (!c)
        return ERR_IO;
    enum err_code rc = find_seq(c, id, &seq, &bytes, err);
    reader_give(x, c);
    if (rc)
        return rc;
    index_blob_name(id, name);
    for (char *p = name; *p; p++)   /* ids are read in either case, files have one */
        if (*p >= 'A' && *p <= 'F')
            *p = (char)(*p - 'A' + 'a');
    *out = arena_printf(a, "%s/%s", x->dir, name);
    return *out ? OK : err_set(err, ERR_NOMEM, "a path");
}
