/* The tokenizer, and the table of one collection. Searching it: postings_search.c. */
#include "index/postings.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/words.h"
#include "index/postings_int.h"

/* ---- the tokenizer */

struct sink {
    void *ctx;
    int (*token)(void *ctx, int flags, const char *text, int n, int start, int end);
    int rc;
    int64_t places;
};

static void emit(struct sink *s, int flags, struct str token, const struct word *w)
{
    if (s->rc == SQLITE_OK)
        s->rc = s->token(s->ctx, flags, token.ptr, (int)token.len, (int)w->start, (int)w->end);
}

static bool on_word(void *arg, const struct word *w)
{
    struct sink *s = arg;
    bool pair = w->kind == WORD_CJK_PAIR;
    emit(s, pair ? FTS5_TOKEN_COLOCATED : 0, w->stem, w);
    s->places += !pair;
    if (w->kind == WORD_PLAIN && !str_eq(w->stem, w->surface)) {
        char marked[WORDS_BYTES_MAX + 1] = "=";
        size_t n = w->surface.len < WORDS_BYTES_MAX ? w->surface.len : WORDS_BYTES_MAX;
        memcpy(marked + 1, w->surface.ptr, n);
        emit(s, FTS5_TOKEN_COLOCATED, (struct str){marked, n + 1}, w);
    }
    return s->rc == SQLITE_OK;
}

struct words *postings_words(struct conn *c, struct err *err)
{
    if (!c->words)
        (void)words_new(&c->words, err);
    return c->words;
}

/* Terms of a query are tokens already: they pass through whole. */
static int tokenize(Fts5Tokenizer *t, void *ctx, int flags, const char *text, int n,
                    int (*token)(void *, int, const char *, int, int, int))
{
    struct conn *c = (struct conn *)t;
    if (flags & FTS5_TOKENIZE_QUERY)
        return token(ctx, 0, text, n, 0, n);
    struct sink s = {.ctx = ctx, .token = token};
    struct words *w = postings_words(c, NULL);
    if (!w)
        return SQLITE_NOMEM;
    enum err_code rc = words_each(w, (struct str){text, (size_t)n}, on_word, &s, NULL);
    c->n_words += s.places;
    return rc == OK || s.rc ? s.rc : rc == ERR_NOMEM ? SQLITE_NOMEM : SQLITE_ERROR;
}

static int create(void *conn, const char **args, int n, Fts5Tokenizer **out)
{
    (void)args;
    *out = conn;
    return n == 0 ? SQLITE_OK : SQLITE_ERROR;
}

static void drop(Fts5Tokenizer *t)
{
    (void)t;   /* it is the connection itself */
}

enum err_code postings_register(struct conn *c, struct err *err)
{
    fts5_api *api = NULL;
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(c->db, "SELECT fts5(?1)", -1, &st, NULL) == SQLITE_OK) {
        sqlite3_bind_pointer(st, 1, &api, "fts5_api_ptr", NULL);
        sqlite3_step(st);
    }
    sqlite3_finalize(st);
    if (!api || api->iVersion < 2)
        return err_set(err, ERR_INCOMPATIBLE, "this SQLite has no FTS5");
    fts5_tokenizer ours = {create, drop, tokenize};
    if (api->xCreateTokenizer(api, "carrel", c, &ours, NULL) != SQLITE_OK ||
        api->xCreateFunction(api, "postings_walk", NULL, postings_walk, NULL) != SQLITE_OK)
        return sql_fail(c->db, "registering the tokenizer", err);
    return OK;
}

struct digest { uint64_t hash; };

static bool on_probe(void *arg, const struct word *w)
{
    struct digest *d = arg;
    d->hash = hash64(w->stem.ptr, w->stem.len, d->hash + w->kind);
    d->hash = hash64(w->surface.ptr, w->surface.len, d->hash + w->start * 31 + w->end);
    return true;
}

/* No library tells all of its version; so a text is cut that has something of
 * everything, and the pieces are hashed. */
enum err_code postings_version(struct conn *c, int64_t *out, struct err *err)
{
    struct words *w = postings_words(c, err);
    if (!w)
        return ERR_NOMEM;
    struct digest d = {.hash = 1};
    enum err_code rc = words_each(
        w, STR("Running universities' generously e-mail U.S.A. 3,141.59 it's o’clock Straße ﬁne "
               "naïve Ångström ИНДЕКСЫ Ελληνικά עברית العربية हिन्दी ไทย 東京都の図書館 한국어 "
               "ＡＢＣ x² foo_bar a\u00adb z\u200dw 😀 IX Ⅸ"),
        on_probe, &d, err);
    *out = (int64_t)(d.hash >> 1);
    return rc;
}

/* ---- the table */

const char *postings_sql(char out[200], const char *fmt, int64_t collection)
{
    const char *from = fmt;
    size_t n = 0;
    for (; *from && n < 180; from++) {
        if (*from == '#')
            n += (size_t)snprintf(out + n, 20, "words_%lld", (long long)collection);
        else
            out[n++] = *from;
    }
    out[n] = '\0';
    return out;
}

enum err_code postings_create(struct conn *c, int64_t collection, struct err *err)
{
    char sql[200];
    return sql_exec(c, err,
                    postings_sql(sql, "CREATE VIRTUAL TABLE # USING fts5 (text, content='', "
                                      "columnsize=0, tokenize='carrel')", collection), "");
}

enum err_code postings_drop(struct conn *c, int64_t collection, struct err *err)
{
    char sql[200];
    return sql_exec(c, err, postings_sql(sql, "DROP TABLE IF EXISTS #", collection), "");
}

/* Levels of the path that the chunk opens with itself are left out. */
void postings_text(struct buf *out, struct str context, struct str heading, struct str text)
{
    size_t cut = heading.len;
    while (cut > 0) {
        size_t line = cut;
        while (line > 0 && heading.ptr[line - 1] != '\n')
            line--;
        if (str_starts(text, str_sub(heading, line, heading.len)))
            heading.len = line > 0 ? line - 1 : 0;
        cut = line > 0 ? line - 1 : 0;
    }
    buf_reset(out);
    buf_str(out, context);
    if (context.len)
        buf_char(out, '\n');
    buf_str(out, heading);
    if (heading.len)
        buf_char(out, '\n');
    buf_str(out, text);
}

enum err_code postings_add(struct conn *c, int64_t collection, int64_t chunk, struct str text,
                           int64_t *words, struct err *err)
{
    char sql[200];
    c->n_words = 0;
    enum err_code rc = sql_exec(
        c, err, postings_sql(sql, "INSERT INTO # (rowid, text) VALUES (?1, ?2)", collection), "it",
        chunk, text);
    *words = c->n_words;
    return rc;
}

enum err_code postings_cut(struct conn *c, int64_t collection, int64_t chunk, struct str text,
                           struct err *err)
{
    char sql[200];
    return sql_exec(c, err,
                    postings_sql(sql, "INSERT INTO # (#, rowid, text) VALUES ('delete', ?1, ?2)",
                                 collection),
                    "it", chunk, text);
}

enum err_code postings_merge(struct conn *c, int64_t collection, int pages, bool *done,
                             struct err *err)
{
    char sql[200];
    int before = sqlite3_total_changes(c->db);
    enum err_code rc =
        sql_exec(c, err, postings_sql(sql, "INSERT INTO # (#, rank) VALUES ('merge', ?1)",
                                      collection), "i", (int64_t)-pages);
    *done = sqlite3_total_changes(c->db) - before < 2;   /* as FTS5's manual tells it */
    return rc;
}

enum err_code postings_check(struct conn *c, int64_t collection, struct err *err)
{
    char sql[200];
    enum err_code rc = sql_exec(
        c, err, postings_sql(sql, "INSERT INTO # (#) VALUES ('integrity-check')", collection), "");
    return rc ? err_wrap(err, ERR_FORMAT, "words of collection %lld", (long long)collection) : OK;
}
