/* Every promise of the store, looked at: what `carrel check` runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/hash.h"
#include "base/map.h"
#include "base/utf8.h"
#include "base/vec.h"
#include "index/index_int.h"
#include "index/jobs.h"
#include "index/postings.h"

#define WALK_EF 200   /* beam of a search for a node by its own vector */

struct check {
    struct index *x;
    struct conn *c;
    bool deep;
    void (*say)(void *arg, const char *sentence);
    void *arg;
    int findings;
};

__attribute__((format(printf, 2, 3))) static void found(struct check *k, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    k->findings++;
    if (k->say)
        k->say(k->arg, text);
}

/* ---- the database itself, and rows that must not be there */

static enum err_code check_pages(struct check *k, struct err *err)
{
    enum err_code rc = OK;
    sqlite3_stmt *st = sql_get(
        k->c, err, k->deep ? "PRAGMA integrity_check(20)" : "PRAGMA quick_check(20)", "");
    if (!st)
        return ERR_IO;
    while (sql_next(st, &rc, err)) {
        struct str said = sql_blob(st, 0);
        if (!str_eqz(said, "ok"))
            found(k, "carrel.db: %.*s", (int)(said.len < 200 ? said.len : 200), said.ptr);
    }
    return rc;
}

static enum err_code check_rows(struct check *k, struct err *err)
{
    static const struct { const char *sql, *what; } none[] = {
        {"SELECT count(*) FROM pragma_foreign_key_check", "rows that point at nothing"},
        {"SELECT count(*) FROM vectors WHERE chunk NOT IN (SELECT id FROM chunks WHERE embedded)",
         "vectors without a chunk"},
        {"SELECT count(*) FROM chunks WHERE embedded AND id NOT IN (SELECT chunk FROM vectors)",
         "chunks that lost their vector"},
        {"SELECT count(*) FROM chunks k JOIN documents d ON d.seq = k.document WHERE "
         "d.state <> 2 OR k.collection <> d.collection OR k.id <> d.first_chunk + k.ordinal OR "
         "k.\"end\" > d.text_bytes", "chunks that do not fit their document"},
        {"SELECT count(*) FROM documents d WHERE d.chunks <> "
         "(SELECT count(*) FROM chunks k WHERE k.document = d.seq)",
         "documents with another number of chunks than they say"},
        {"SELECT count(*) FROM documents d WHERE d.text_bytes <> "
         "(SELECT coalesce(sum(length(body)), 0) FROM texts t WHERE t.document = d.seq)",
         "documents with another length of text than they say"},
        {"SELECT count(*) FROM documents d WHERE d.state IN (0, 1) AND NOT EXISTS "
         "(SELECT 1 FROM jobs j WHERE j.document = d.seq AND j.state IN (0, 1))",
         "waiting documents without a job"},
        {"SELECT count(*) FROM documents d WHERE d.state = 2 AND EXISTS (SELECT 1 FROM documents e "
         "WHERE e.collection = d.collection AND e.name = d.name AND e.state = 2 AND e.seq < d.seq)",
         "documents that should have replaced an older one"},
    };
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
        int64_t n = 0;
        enum err_code rc = sql_int(k->c, &n, err, none[i].sql, "");
        if (rc)
            return rc;
        if (n)
            found(k, "%lld %s", (long long)n, none[i].what);
    }
    return OK;
}

/* ---- documents, one by one */

static void check_blob(struct check *k, const char *id, int64_t size, struct str hash)
{
    char name[64];
    struct map map;
    index_blob_name(id, name);
    char *path = index_path(k->x, name);
    if (!path || map_open(path, &map, NULL) != OK) {
        found(k, "document %s: its original is missing", id);
    } else {
        struct hash128 h = {{0}};
        if (k->deep)
            h = hash128(map.ptr, map.len);
        if ((int64_t)map.len != size)
            found(k, "document %s: its original has %zu bytes, not %lld", id, map.len,
                  (long long)size);
        else if (k->deep && (hash.len != 16 || memcmp(h.bytes, hash.ptr, 16) != 0))
            found(k, "document %s: its original's bytes have changed", id);
        map_close(&map);
    }
    free(path);
}

static enum err_code check_chunks(struct check *k, const char *id, int64_t seq, struct str text,
                                  struct err *err)
{
    enum err_code rc = OK;
    sqlite3_stmt *st = sql_get(
        k->c, err, "SELECT id, start, \"end\" FROM chunks WHERE document = ?1 ORDER BY ordinal",
        "i", seq);
    if (!st)
        return ERR_IO;
    while (sql_next(st, &rc, err)) {
        size_t start = (size_t)sqlite3_column_int64(st, 1), end = (size_t)sqlite3_column_int64(st, 2);
        if (end > text.len || utf8_floor(text, start) != start || utf8_floor(text, end) != end)
            found(k, "document %s: chunk %lld is not on boundaries of its text", id,
                  (long long)sqlite3_column_int64(st, 0));
    }
    return rc;
}

static enum err_code check_text(struct check *k, const char *id, int64_t seq, int64_t bytes,
                                struct err *err)
{
    struct buf text = {0};
    enum err_code rc = text_slice(k->c, seq, 0, (uint32_t)bytes, &text, err);
    if (rc == ERR_FORMAT) {
        found(k, "document %s: parts of its text are missing", id);
        rc = OK;
    } else if (!rc && !utf8_valid(buf_view(&text))) {
        found(k, "document %s: its text is not UTF-8", id);
    } else if (!rc) {
        rc = check_chunks(k, id, seq, buf_view(&text), err);
    }
    buf_free(&text);
    return rc;
}

static enum err_code check_layout(struct check *k, const char *id, int64_t seq, int64_t bytes,
                                  struct err *err)
{
    struct arena a = {0};
    struct layout l;
    struct err why = {0};
    enum err_code rc = OK;
    sqlite3_stmt *st = sql_get(k->c, err, "SELECT body FROM layouts WHERE document = ?1", "i", seq);
    if (!st)
        return ERR_IO;
    if (!sql_next(st, &rc, err)) {
        if (!rc)
            found(k, "document %s: its layout is missing", id);
        return rc;
    }
    if (layout_decode(sql_blob(st, 0), (size_t)bytes, &a, &l, &why) == ERR_FORMAT)
        found(k, "document %s: %s", id, why.msg);
    sql_done(st);
    arena_deinit(&a);
    return OK;
}

static enum err_code check_documents(struct check *k, struct err *err)
{
    enum err_code rc = OK;
    sqlite3_stmt *st = sql_get(k->c, err, "SELECT seq, lower(hex(id)), state, size_bytes, hash, "
                                          "text_bytes FROM documents ORDER BY seq", "");
    if (!st)
        return ERR_IO;
    while (!rc && sql_next(st, &rc, err)) {
        char id[33];
        int64_t seq = sqlite3_column_int64(st, 0), bytes = sqlite3_column_int64(st, 5);
        sql_copy(st, 1, id, sizeof(id));
        check_blob(k, id, sqlite3_column_int64(st, 3), sql_blob(st, 4));
        if (sqlite3_column_int(st, 2) != DOC_READY)
            continue;
        rc = check_text(k, id, seq, bytes, err);
        if (!rc)
            rc = check_layout(k, id, seq, bytes, err);
    }
    sql_done(st);
    return rc;
}

/* ---- words */

static enum err_code own_check(struct conn *c, void *arg, struct err *err)
{
    return postings_check(c, *(int64_t *)arg, err);
}

/* All that a words table holds, as one number: term, chunk and place, in order. */
static enum err_code digest(struct conn *c, int64_t collection, uint64_t *out, struct err *err)
{
    char sql[160];
    enum err_code rc = sql_exec(c, err, "DROP TABLE IF EXISTS temp.vocabulary", "");
    snprintf(sql, sizeof(sql),
             "CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab('main', 'words_%lld', instance)",
             (long long)collection);
    if (!rc)
        rc = sql_exec(c, err, sql, "");
    sqlite3_stmt *st = rc ? NULL : sql_get(c, err, "SELECT term, doc, offset FROM vocabulary", "");
    *out = 1;
    while (st && !rc && sql_next(st, &rc, err)) {
        struct str term = sql_blob(st, 0);
        int64_t at[2] = {sqlite3_column_int64(st, 1), sqlite3_column_int64(st, 2)};
        *out = hash64(at, sizeof(at), hash64(term.ptr, term.len, *out));
    }
    return rc ? rc : st ? OK : ERR_IO;
}

/* The same words, from the texts, in a table in memory. */
static enum err_code words_again(struct check *k, struct conn *fresh, const struct shelf *s,
                                 struct err *err)
{
    struct buf text = {0}, row = {0};
    enum err_code rc = postings_create(fresh, s->id, err);
    sqlite3_stmt *st = rc ? NULL : sql_get(
        k->c, err, "SELECT id, document, start, \"end\", heading, words, "
                   "(SELECT context FROM documents WHERE seq = document) FROM chunks "
                   "WHERE collection = ?1 ORDER BY id", "i", s->id);
    while (st && !rc && sql_next(st, &rc, err)) {
        int64_t id = sqlite3_column_int64(st, 0), words = 0;
        uint32_t length = 0;
        buf_reset(&text);
        rc = text_slice(k->c, sqlite3_column_int64(st, 1), (uint32_t)sqlite3_column_int64(st, 2),
                        (uint32_t)sqlite3_column_int64(st, 3), &text, err);
        if (rc)
            break;
        postings_text(&row, sql_blob(st, 6), sql_blob(st, 4), buf_view(&text));
        rc = postings_add(fresh, s->id, id, buf_view(&row), &words, err);
        if (words != sqlite3_column_int64(st, 5))
            found(k, "chunk %lld has %lld words, its row says %lld", (long long)id,
                  (long long)words, (long long)sqlite3_column_int64(st, 5));
        if (lengths_find(&s->lengths, id, &length) && length != (uint32_t)words)
            found(k, "chunk %lld has %lld words, memory says %u", (long long)id, (long long)words,
                  length);
    }
    sql_done(st);
    buf_free(&text);
    buf_free(&row);
    return rc ? rc : st ? OK : ERR_IO;
}

static enum err_code check_words(struct check *k, struct shelf *s, struct err *err)
{
    uint64_t stored = 0, again = 0;
    struct err why = {0};
    struct conn *fresh = NULL;
    enum err_code rc = writer_run(&k->x->writer, own_check, NULL, &s->id, &why);
    if (rc)
        found(k, "words of \"%s\": %s", s->name, why.msg);
    if (!k->deep)
        return OK;
    rc = sql_open(":memory:", SQL_SCRATCH, &fresh, err);
    if (!rc)
        rc = words_again(k, fresh, s, err);
    if (!rc)
        rc = digest(fresh, s->id, &again, err);
    if (!rc)
        rc = digest(k->c, s->id, &stored, err);
    if (!rc && stored != again)
        found(k, "words of \"%s\" are not those of its texts", s->name);
    sql_close(fresh);
    return rc;
}

/* ---- graphs */

/* The graph's vectors are SQLite's, bit for bit, and nobody is missing. */
static enum err_code check_vectors(struct check *k, struct shelf *s, struct err *err)
{
    enum err_code rc = OK;
    int64_t n = 0, wrong = 0, missing = 0, lost = 0;
    size_t bytes = (size_t)s->dim * sizeof(float);
    sqlite3_stmt *st = sql_get(
        k->c, err, "SELECT v.chunk, v.body FROM chunks k JOIN vectors v ON v.chunk = k.id "
                   "WHERE k.collection = ?1 ORDER BY k.id", "i", s->id);
    if (!st)
        return ERR_IO;
    for (; sql_next(st, &rc, err); n++) {
        uint64_t label = (uint64_t)sqlite3_column_int64(st, 0);
        uint32_t words;
        struct str body = sql_blob(st, 1);
        const float *vec = hnsw_vector(s->graph.h, label);
        if (!lengths_find(&s->lengths, (int64_t)label, &words))
            lost++;
        if (!vec)
            missing++;
        else if (body.len != bytes || memcmp(vec, body.ptr, bytes) != 0)
            wrong++;
    }
    if (lost)
        found(k, "\"%s\": %lld chunks that searches do not know", s->name, (long long)lost);
    if (missing)
        found(k, "\"%s\": %lld vectors are not in the graph", s->name, (long long)missing);
    if (wrong)
        found(k, "\"%s\": %lld vectors differ from the graph's", s->name, (long long)wrong);
    if (!rc && (int64_t)hnsw_count(s->graph.h) != n - missing)
        found(k, "\"%s\": the graph has %zu nodes for %lld vectors", s->name,
              hnsw_count(s->graph.h), (long long)n);
    return rc;
}

struct walkers { const struct hnsw *h; int64_t n, tried, missed, lost, every; };

static bool leads_to(const struct hnsw *h, const float *vec, int ef)
{
    struct hnsw_hit hit[4];
    int n = 0;
    return hnsw_search(h, vec, 4, ef, NULL, NULL, hit, &n, NULL) == OK && n > 0 &&
           hit[0].distance <= 1e-4f;
}

/* A beam may miss a node, now and then, among many that are alike; a node that
 * a beam as wide as the graph does not reach is cut off. */
static void walk_to(void *arg, uint64_t label)
{
    struct walkers *w = arg;
    const float *vec = hnsw_vector(w->h, label);
    if (w->n++ % w->every != 0)
        return;
    w->tried++;
    if (leads_to(w->h, vec, WALK_EF))
        return;
    w->missed++;
    w->lost += !leads_to(w->h, vec, (int)hnsw_count(w->h) + 4);
}

static enum err_code check_graph(struct check *k, struct shelf *s, struct err *err)
{
    struct err why = {0};
    graph_wait(k->x, s, 0);
    pthread_mutex_lock(&s->graph.work);
    struct walkers w = {.h = s->graph.h, .every = (int64_t)hnsw_count(s->graph.h) / 2000 + 1};
    if (hnsw_check(s->graph.h, &why) != OK)
        found(k, "graph of \"%s\": %s", s->name, why.msg);
    enum err_code rc = check_vectors(k, s, err);
    if (k->deep)
        hnsw_each(s->graph.h, walk_to, &w);
    pthread_mutex_unlock(&s->graph.work);
    if (w.lost)
        found(k, "graph of \"%s\": no search leads to %lld of %lld nodes", s->name,
              (long long)w.lost, (long long)w.tried);
    if (w.missed * 50 > w.tried)
        found(k, "graph of \"%s\": %lld of %lld nodes are not found by their own vector", s->name,
              (long long)w.missed, (long long)w.tried);
    return rc;
}

/* ---- all */

static enum err_code check_all(struct check *k, struct err *err)
{
    enum err_code rc = check_pages(k, err);
    if (!rc)
        rc = check_rows(k, err);
    if (!rc)
        rc = check_documents(k, err);
    struct shelf *s;
    for (int i = 0; !rc && (s = shelf_at(k->x, i)); i++) {
        rc = check_words(k, s, err);
        if (!rc)
            rc = check_graph(k, s, err);
        shelf_give(s);
    }
    return rc;
}

enum err_code index_check(struct index *x, bool deep, void (*say)(void *arg, const char *sentence),
                          void *arg, int *findings, struct err *err)
{
    struct check k = {.x = x, .deep = deep, .say = say, .arg = arg};
    char *path = index_path(x, "carrel.db");
    *findings = 0;
    /* A connection of its own: fts5vocab wants a temporary table, which the
     * pool's readers refuse; the file itself is opened read-only all the same. */
    enum err_code rc = path ? sql_open(path, SQL_READ, &k.c, err)
                            : err_set(err, ERR_NOMEM, "a connection");
    if (!rc)
        rc = sql_exec(k.c, err, "PRAGMA query_only = OFF", "");
    if (!rc)
        rc = check_all(&k, err);
    *findings = k.findings;
    sql_close(k.c);
    free(path);
    return rc;
}
