/* What reading and embedding made of a document, stored: texts, layout, chunks,
 * words, vectors and the end of its job, in one transaction; then the graph. */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/utf8.h"
#include "base/vec.h"
#include "index/postings.h"
#include "index/store.h"

#define TEXT_PART  16384       /* bytes of a row of texts; a passage lies in one or two */
#define TEXT_MAX   ((size_t)1 << 30)
#define CHUNKS_MAX 1000000
#define QUEUE_MOST 16384       /* vectors that may wait for the graph before a loader does */

/* One document on its way in. */
struct putting {
    struct index *x;
    const char *id;
    const struct content *content;
    struct buf layout;
    char *warnings;
    float **vectors;           /* [n_chunks], of the heap; NULL: none. The graph takes them over */
    struct shelf *shelf;
    int64_t seq, first_chunk;
    uint32_t *words;           /* [n_chunks] */
    struct removal *older;     /* documents that this one replaces */
    int n_older;
    int64_t jobs[8];           /* of the document, to be forgotten */
    int n_jobs;
};

/* ---- checking what came, before anything is queued */

static bool on_boundary(struct str text, size_t at)
{
    return at == text.len || ((unsigned char)text.ptr[at] & 0xc0) != 0x80;
}

static enum err_code check_chunks(const struct content *c, struct err *err)
{
    for (int i = 0; i < c->n_chunks; i++) {
        const struct chunk *k = &c->chunks[i];
        if (k->start > k->end || k->end > c->text.len || !on_boundary(c->text, k->start) ||
            !on_boundary(c->text, k->end))
            return err_set(err, ERR_ARG, "chunk %d: [%u, %u) of a text of %zu bytes", i, k->start,
                           k->end, c->text.len);
        if (k->heading.len > 65536 || !utf8_valid(k->heading))
            return err_set(err, ERR_ARG, "chunk %d: its heading is too long or not UTF-8", i);
    }
    return OK;
}

static enum err_code check_content(const struct content *c, struct err *err)
{
    if (c->text.len > TEXT_MAX || c->n_chunks < 0 || c->n_chunks > CHUNKS_MAX)
        return err_set(err, ERR_LIMIT, "a text of %zu bytes in %d chunks", c->text.len,
                       c->n_chunks);
    if (!utf8_valid(c->text))
        return err_set(err, ERR_ARG, "the text is not UTF-8");
    if (c->n_chunks > 0 && !c->vectors)
        return err_set(err, ERR_ARG, "%d chunks without vectors", c->n_chunks);
    return check_chunks(c, err);
}

static enum err_code copy_vectors(struct putting *p, int dim, struct err *err)
{
    const struct content *c = p->content;
    p->vectors = calloc((size_t)c->n_chunks + 1, sizeof(*p->vectors));
    p->words = calloc((size_t)c->n_chunks + 1, sizeof(*p->words));
    if (!p->vectors || !p->words)
        return err_set(err, ERR_NOMEM, "%d chunks", c->n_chunks);
    for (int i = 0; i < c->n_chunks; i++) {
        const float *row = c->vectors + (size_t)i * (size_t)dim;
        float square = vec_dot(row, row, dim);
        if (square == 0)
            continue;
        if (!(square > 0.98f && square < 1.02f))
            return err_set(err, ERR_ARG, "chunk %d: a vector of squared length %g, want 1 or 0", i,
                           (double)square);
        p->vectors[i] = memdup(row, (size_t)dim * sizeof(float));
        if (!p->vectors[i])
            return err_set(err, ERR_NOMEM, "%d vectors", c->n_chunks);
    }
    return OK;
}

static char *warnings_json(const struct content *c)
{
    json_t *list = json_array();
    for (int i = 0; i < c->n_warnings && list; i++) {
        const struct warning *w = &c->warnings[i];
        json_t *o = json_object();
        if (!o || !json_put(o, "code", json_text(str_of(w->code))) ||
            !json_put(o, "message", json_text(str_of(w->message))) ||
            !json_put(o, "page", w->page ? json_integer(w->page) : json_null()) ||
            json_array_append_new(list, o) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    struct buf b = {0};
    if (list)
        json_write(&b, list);
    json_decref(list);
    return buf_take(&b, NULL);
}

/* The shelf on which the document stands; a quick look before the transaction. */
static enum err_code find_shelf(struct putting *p, struct err *err)
{
    struct document d;
    struct arena a = {0};
    enum err_code rc = index_document(p->x, p->id, &a, &d, err);
    if (!rc && !(p->shelf = shelf_take(p->x, d.collection)))
        rc = err_set(err, ERR_NOTFOUND, "no document %s", p->id);
    arena_deinit(&a);
    return rc;
}

static enum err_code putting_init(struct putting *p, struct index *x, const char *id,
                                  const struct content *c, struct err *err)
{
    static const struct layout nothing;
    p->x = x;
    p->id = id;
    p->content = c;
    enum err_code rc = check_content(c, err);
    if (!rc)
        rc = find_shelf(p, err);
    if (!rc)
        rc = copy_vectors(p, p->shelf->dim, err);
    if (!rc)
        rc = layout_encode(c->layout ? c->layout : &nothing, &p->layout, err);
    if (!rc && !(p->warnings = warnings_json(c)))
        rc = err_set(err, ERR_NOMEM, "%d warnings", c->n_warnings);
    if (rc)
        return rc;
    /* What does not decode would be lost: better to refuse it now. */
    struct arena a = {0};
    struct layout back;
    rc = layout_decode(buf_view(&p->layout), c->text.len, &a, &back, err);
    arena_deinit(&a);
    return rc;
}

static void putting_deinit(struct putting *p)
{
    for (int i = 0; p->vectors && i < p->content->n_chunks; i++)
        free(p->vectors[i]);
    for (int i = 0; i < p->n_older; i++)
        shelf_give(p->older[i].shelf);
    shelf_give(p->shelf);
    free(p->vectors);
    free(p->words);
    free(p->older);
    free(p->warnings);
    buf_free(&p->layout);
}

/* ---- inside the transaction */

static enum err_code put_text(struct conn *c, const struct putting *p, struct err *err)
{
    struct str text = p->content->text;
    enum err_code rc = OK;
    int64_t part = 0;
    for (size_t at = 0; at < text.len && !rc; at += TEXT_PART, part++)
        rc = sql_exec(c, err, "INSERT INTO texts (document, part, body) VALUES (?1, ?2, ?3)", "iib",
                      p->seq, part, str_sub(text, at, at + TEXT_PART));
    if (!rc)
        rc = sql_exec(c, err, "INSERT INTO layouts (document, body) VALUES (?1, ?2)", "ib", p->seq,
                      buf_view(&p->layout));
    return rc;
}

static enum err_code put_chunk(struct conn *c, struct putting *p, int i, struct buf *scratch,
                               struct err *err)
{
    const struct chunk *k = &p->content->chunks[i];
    int64_t id = p->first_chunk + i, words = 0;
    postings_text(scratch, p->content->context, k->heading,
                  str_sub(p->content->text, k->start, k->end));
    enum err_code rc = buf_ok(scratch, "a chunk", err);
    if (!rc)
        rc = postings_add(c, p->shelf->id, id, buf_view(scratch), &words, err);
    if (!rc)
        rc = sql_exec(c, err, "INSERT INTO chunks (id, collection, document, ordinal, start, "
                              "\"end\", page, tokens, words, embedded, heading) "
                              "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                      "iiiiiiiiiit", id, p->shelf->id, p->seq, (int64_t)i, (int64_t)k->start,
                      (int64_t)k->end, (int64_t)k->page, (int64_t)k->tokens, words,
                      (int64_t)(p->vectors[i] != NULL), k->heading);
    if (!rc && p->vectors[i])
        rc = sql_exec(c, err, "INSERT INTO vectors (chunk, body) VALUES (?1, ?2)", "ib", id,
                      (struct str){(const char *)p->vectors[i],
                                   (size_t)p->shelf->dim * sizeof(float)});
    p->words[i] = (uint32_t)words;
    return rc;
}

static enum err_code put_chunks(struct conn *c, struct putting *p, struct err *err)
{
    struct buf scratch = {0};
    int64_t last = 0;
    enum err_code rc = sql_int(c, &last, err, "SELECT coalesce((SELECT seq FROM sqlite_sequence "
                                              "WHERE name = 'chunks'), 0)", "");
    p->first_chunk = last + 1;
    for (int i = 0; i < p->content->n_chunks && !rc; i++)
        rc = put_chunk(c, p, i, &scratch, err);
    buf_free(&scratch);
    return rc;
}

static enum err_code put_row(struct conn *c, struct putting *p, struct err *err)
{
    const struct content *k = p->content;
    int64_t now = clock_now_ms();
    enum err_code rc = sql_exec(
        c, err, "UPDATE documents SET state = ?2, error = '', title = ?3, warnings = ?4, "
                "pages = ?5, chunks = ?6, first_chunk = ?7, tokens = ?8, text_bytes = ?9, "
                "updated_ms = ?10, mime = CASE WHEN ?11 = '' THEN mime ELSE ?11 END, "
                "context = ?12 "
                "WHERE seq = ?1",
        "iissiiiiiist", p->seq, (int64_t)DOC_READY, k->title ? k->title : "", p->warnings,
        (int64_t)(k->layout ? k->layout->n_pages : 0), (int64_t)k->n_chunks, p->first_chunk,
        k->tokens, (int64_t)k->text.len, now, k->mime ? k->mime : "", k->context);
    if (!rc)
        rc = sql_exec(c, err, "UPDATE jobs SET state = ?2, error = '', finished_ms = ?3 "
                              "WHERE document = ?1 AND state IN (?4, ?5)",
                      "iiiii", p->seq, (int64_t)JOB_DONE, now, (int64_t)JOB_QUEUED,
                      (int64_t)JOB_RUNNING);
    return rc;
}

static enum err_code find_document(struct conn *c, struct putting *p, struct err *err)
{
    uint8_t raw[16];
    enum err_code rc = OK;
    hash_unhex(str_of(p->id), raw, 16);
    sqlite3_stmt *st = sql_get(c, err, "SELECT seq, state FROM documents WHERE id = ?1", "b",
                               (struct str){(char *)raw, 16});
    if (!st)
        return ERR_IO;
    if (!sql_next(st, &rc, err))
        return rc ? rc : err_set(err, ERR_NOTFOUND, "document %s was removed meanwhile", p->id);
    p->seq = sqlite3_column_int64(st, 0);
    int state = sqlite3_column_int(st, 1);
    sql_done(st);
    if (state == DOC_READY)
        return err_set(err, ERR_ARG, "document %s is ready already", p->id);
    if (state == DOC_FAILED)   /* told so, its owner must not find it ready after all */
        return err_set(err, ERR_NOTFOUND, "document %s was given up meanwhile", p->id);
    return OK;
}

/* Older documents of the name: their numbers first, for removal changes the table. */
static enum err_code list_older(struct conn *c, struct putting *p, int64_t **seqs, int *n,
                                struct err *err)
{
    enum err_code rc = OK;
    int64_t count;
    rc = sql_int(c, &count, err, "SELECT count(*) FROM documents WHERE collection = ?1 AND "
                                 "name = (SELECT name FROM documents WHERE seq = ?2) AND seq < ?2",
                 "ii", p->shelf->id, p->seq);
    if (rc || count == 0)
        return rc;
    *seqs = calloc((size_t)count, sizeof(**seqs));
    p->older = calloc((size_t)count, sizeof(*p->older));
    sqlite3_stmt *st = sql_get(
        c, err, "SELECT seq FROM documents WHERE collection = ?1 AND "
                "name = (SELECT name FROM documents WHERE seq = ?2) AND seq < ?2",
        "ii", p->shelf->id, p->seq);
    if (!st)
        return ERR_IO;
    if (!*seqs || !p->older)
        rc = err_set(err, ERR_NOMEM, "%lld older documents", (long long)count);
    while (!rc && *n < count && sql_next(st, &rc, err))
        (*seqs)[(*n)++] = sqlite3_column_int64(st, 0);
    sql_done(st);
    return rc;
}

static enum err_code remove_older(struct conn *c, struct putting *p, struct err *err)
{
    int64_t *seqs = NULL;
    int n = 0;
    struct removed count = {0};
    enum err_code rc = list_older(c, p, &seqs, &n, err);
    for (int i = 0; i < n && !rc; i++) {
        rc = remove_document(c, seqs[i], &p->older[i], &count, err);
        p->older[i].shelf = p->shelf;
        atomic_fetch_add(&p->shelf->refs, 1);
        p->n_older++;
    }
    free(seqs);
    return rc;
}

static enum err_code put_one(struct conn *c, struct putting *p, struct err *err)
{
    enum err_code rc = find_document(c, p, err);
    if (!rc)
        rc = put_text(c, p, err);
    if (!rc)
        rc = put_chunks(c, p, err);
    if (!rc)
        rc = put_row(c, p, err);
    if (!rc)
        rc = remove_older(c, p, err);
    if (!rc)
        rc = collection_touch(c, p->shelf->id, NULL, err);
    if (!rc)
        rc = lengths_reserve(&p->shelf->lengths, p->first_chunk, p->content->n_chunks, err);
    return rc;
}

struct group { struct putting *v; int n; };

/* Room in the graphs' queues for all of the group, so that nothing can fail
 * once it is committed: vectors in, older chunks out. */
static enum err_code reserve(struct group *g, struct err *err)
{
    enum err_code rc = OK;
    for (int i = 0; i < g->n && !rc; i++) {
        size_t more = 0;
        for (int k = 0; k < g->n; k++) {
            if (g->v[k].shelf != g->v[i].shelf)
                continue;
            more += (size_t)g->v[k].content->n_chunks;
            for (int o = 0; o < g->v[k].n_older; o++)
                more += (size_t)g->v[k].older[o].chunks;
        }
        if (i == 0 || g->v[i].shelf != g->v[i - 1].shelf)
            rc = graph_reserve(&g->v[i].shelf->graph, more, err);
    }
    return rc;
}

static enum err_code put_group(struct conn *c, void *arg, struct err *err)
{
    struct group *g = arg;
    enum err_code rc = OK;
    for (int i = 0; i < g->n && !rc; i++)
        rc = put_one(c, &g->v[i], err);
    return rc ? rc : reserve(g, err);
}

static void after_one(struct putting *p)
{
    for (int i = 0; i < p->content->n_chunks; i++) {
        lengths_set(&p->shelf->lengths, p->first_chunk + i, p->words[i]);
        if (p->vectors[i])
            graph_push(&p->shelf->graph, (uint64_t)(p->first_chunk + i), p->vectors[i]);
        p->vectors[i] = NULL;
    }
    for (int i = 0; i < p->n_older; i++)
        remove_after(&p->older[i]);
    if (p->n_older > 0)
        p->x->merge_words = true;
    p->shelf->changes++;
}

static void put_after(void *arg)
{
    struct group *g = arg;
    for (int i = 0; i < g->n; i++)
        after_one(&g->v[i]);
    index_event(g->v[0].x);
    graph_wake(g->v[0].x);
}

static void put_done(struct group *g)
{
    for (int i = 0; i < g->n; i++) {
        for (int k = 0; k < g->v[i].n_older; k++)
            remove_blob(g->v[i].x, g->v[i].older[k].id);
        jobs_forget_document(g->v[i].x, g->v[i].seq);
        if (i == g->n - 1 || g->v[i].shelf != g->v[i + 1].shelf)
            graph_wait(g->v[i].x, g->v[i].shelf, QUEUE_MOST);
    }
}

enum err_code index_put_many(struct index *x, int n, const char *const *ids,
                             const struct content *c, struct err *err)
{
    if (n < 1)
        return err_set(err, ERR_ARG, "no documents to put");
    struct group g = {calloc((size_t)n, sizeof(*g.v)), n};
    if (!g.v)
        return err_set(err, ERR_NOMEM, "%d documents", n);
    enum err_code rc = OK;
    int made = 0;
    for (; made < n && !rc; made++)
        rc = putting_init(&g.v[made], x, ids[made], &c[made], err);
    if (!rc)
        rc = writer_run(&x->writer, put_group, put_after, &g, err);
    if (!rc)
        put_done(&g);
    for (int i = 0; i < made; i++)
        putting_deinit(&g.v[i]);
    free(g.v);
    return rc;
}

enum err_code index_put(struct index *x, const char *id, const struct content *c, struct err *err)
{
    return index_put_many(x, 1, &id, c, err);
}

/* ---- words anew */

static enum err_code reword_chunk(struct conn *c, sqlite3_stmt *st, struct buf *text,
                                  struct buf *row, struct err *err)
{
    int64_t id = sqlite3_column_int64(st, 0), words;
    buf_reset(text);
    enum err_code rc = text_slice(c, sqlite3_column_int64(st, 2),
                                  (uint32_t)sqlite3_column_int64(st, 3),
                                  (uint32_t)sqlite3_column_int64(st, 4), text, err);
    if (rc)
        return rc;
    postings_text(row, sql_blob(st, 6), sql_blob(st, 5), buf_view(text));
    rc = postings_add(c, sqlite3_column_int64(st, 1), id, buf_view(row), &words, err);
    if (!rc)
        rc = sql_exec(c, err, "UPDATE chunks SET words = ?2 WHERE id = ?1", "ii", id, words);
    return rc;
}

static enum err_code reword(struct conn *c, struct err *err)
{
    enum err_code rc = OK;
    struct buf text = {0}, row = {0};
    int64_t id = 0;
    while (!rc && !(rc = sql_int(c, &id, err, "SELECT coalesce(min(id), 0) FROM collections "
                                              "WHERE id > ?1", "i", id)) && id) {
        rc = postings_drop(c, id, err);
        if (!rc)
            rc = postings_create(c, id, err);
    }
    for (int64_t last = 0; !rc;) {   /* one by one: the table changes under the walk */
        sqlite3_stmt *st = sql_get(
            c, err, "SELECT id, collection, document, start, \"end\", heading, "
                    "(SELECT context FROM documents WHERE seq = document) FROM chunks "
                    "WHERE id > ?1 ORDER BY id LIMIT 1", "i", last);
        if (!st)
            rc = ERR_IO;
        if (rc || !sql_next(st, &rc, err))
            break;
        last = sqlite3_column_int64(st, 0);
        rc = reword_chunk(c, st, &text, &row, err);
        sql_done(st);
    }
    buf_free(&text);
    buf_free(&row);
    return rc;
}

enum err_code store_words(struct conn *c, struct err *err)
{
    int64_t now, stored = 0, chunks = 0;
    enum err_code rc = postings_version(c, &now, err);
    if (!rc)
        rc = sql_int(c, &stored, err, "SELECT coalesce((SELECT CAST(value AS INTEGER) FROM "
                                      "settings WHERE name = 'words_version'), 0)", "");
    if (!rc)
        rc = sql_int(c, &chunks, err, "SELECT count(*) FROM chunks", "");
    if (rc || stored == now)
        return rc;
    if (chunks > 0)
        rc = reword(c, err);
    return rc ? rc : sql_exec(c, err, "INSERT INTO settings VALUES ('words_version', "
                                      "CAST(?1 AS TEXT)) ON CONFLICT DO UPDATE SET value = "
                                      "excluded.value", "i", now);
}
