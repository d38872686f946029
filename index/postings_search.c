/* BM25, term at a time.
 *
 * FTS5 can score row by row, but then every row of `a OR b OR c` pays for the
 * virtual machine, a lookup of its length and a call per term. Here one row is
 * stepped; from within it xQueryPhrase walks the rows of each term in turn,
 * and scores add up in pages of floats, one float per chunk. Measured on
 * 100,000 chunks in bench_index. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/words.h"
#include "index/postings_int.h"

#define K1 0.9f
#define B  0.4f
#define TERMS_MAX 256   /* distinct terms of a query; the rest is left out */

struct posting { int64_t chunk; uint32_t times, words; };

/* One walk: postings of one term after the other. */
struct walk {
    const struct lengths *lengths;
    struct posting *v;                 /* of the current term */
    size_t n, cap;
    bool count_only;
    bool failed;                       /* no memory */
    void (*term)(struct walk *w, int i);   /* called with all postings of term i */
    void *arg;
};

static uint32_t occurrences(const Fts5ExtensionApi *api, Fts5Context *fts)
{
    Fts5PhraseIter at;
    int col, off;
    uint32_t n = 0;
    if (api->xPhraseFirst(fts, 0, &at, &col, &off) != SQLITE_OK)
        return 1;
    for (; col >= 0; api->xPhraseNext(fts, &at, &col, &off))
        n++;
    return n;
}

static int on_row(const Fts5ExtensionApi *api, Fts5Context *fts, void *arg)
{
    struct walk *w = arg;
    uint32_t words;
    int64_t chunk = api->xRowid(fts);
    if (!lengths_find(w->lengths, chunk, &words))
        return SQLITE_OK;
    if (w->count_only) {
        w->n++;
        return SQLITE_OK;
    }
    if (w->n == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 1024;
        struct posting *v = realloc(w->v, cap * sizeof(*v));
        if (!v) {
            w->failed = true;
            return SQLITE_NOMEM;
        }
        w->v = v;
        w->cap = cap;
    }
    w->v[w->n++] = (struct posting){chunk, occurrences(api, fts), words};
    return SQLITE_OK;
}

void postings_walk(const Fts5ExtensionApi *api, Fts5Context *fts, sqlite3_context *ctx, int n,
                   sqlite3_value **args)
{
    struct walk *w = n == 1 ? sqlite3_value_pointer(args[0], "carrel-walk") : NULL;
    if (!w) {
        sqlite3_result_error(ctx, "postings_walk is carrel's own", -1);
        return;
    }
    int rc = SQLITE_OK;
    for (int i = 0; i < api->xPhraseCount(fts) && rc == SQLITE_OK; i++) {
        w->n = 0;
        rc = api->xQueryPhrase(fts, i, w, on_row);
        if (rc == SQLITE_OK)
            w->term(w, i);
    }
    if (rc != SQLITE_OK)
        sqlite3_result_error_code(ctx, rc);
}

/* Walk the terms of a MATCH expression; none of them found is no walk at all. */
static enum err_code walk(struct conn *c, int64_t collection, struct str match, struct walk *w,
                          struct err *err)
{
    char sql[200];
    enum err_code rc = OK;
    sqlite3_stmt *st = sql_get(
        c, err, postings_sql(sql, "SELECT postings_walk(#, ?2) FROM # WHERE # MATCH ?1 LIMIT 1",
                             collection),
        "t", match);
    if (!st)
        return err && err->code ? err->code : ERR_IO;
    sqlite3_bind_pointer(st, 2, w, "carrel-walk", NULL);
    if (sql_next(st, &rc, err))
        sql_done(st);
    return w->failed ? err_set(err, ERR_NOMEM, "postings of a word") : rc;
}

static void put_term(struct buf *match, struct str term)
{
    buf_puts(match, match->len ? " OR \"" : "\"");
    for (size_t i = 0; i < term.len; i++) {
        if (term.ptr[i] == '"')
            buf_char(match, '"');
        buf_char(match, term.ptr[i]);
    }
    buf_char(match, '"');
}

/* ---- the terms of a question */

struct term { struct str stem; float times; bool stop; };
struct terms {
    struct term v[TERMS_MAX];
    int n, n_content;
    struct arena arena;
    bool failed;
    struct word one;        /* a lone CJK character that a pair may still cover */
    bool has_one;
    size_t covered;         /* pairs reach to here */
};

static void add_term(struct terms *t, struct str stem, bool stop)
{
    for (int i = 0; i < t->n; i++)
        if (str_eq(t->v[i].stem, stem)) {
            t->v[i].times++;
            return;
        }
    if (t->n == TERMS_MAX)
        return;
    struct str copy = arena_str(&t->arena, stem);
    if (!copy.ptr) {
        t->failed = true;
        return;
    }
    t->v[t->n++] = (struct term){copy, 1, stop};
    t->n_content += !stop;
}

static void flush_one(struct terms *t)
{
    if (t->has_one)
        add_term(t, t->one.stem, false);
    t->has_one = false;
}

/* Of a CJK run its pairs; the character itself only where it stands alone. */
static bool on_query_word(void *arg, const struct word *w)
{
    struct terms *t = arg;
    if (w->kind == WORD_CJK_PAIR) {
        t->has_one = false;
        t->covered = w->end;
    } else {
        flush_one(t);
    }
    if (w->kind == WORD_CJK_ONE) {
        t->has_one = w->start >= t->covered;
        t->one = *w;
        t->one.stem = arena_str(&t->arena, w->stem);
        t->failed |= !t->one.stem.ptr;
    } else {
        add_term(t, w->stem, w->kind == WORD_PLAIN && words_is_stop(w->surface));
    }
    return !t->failed;
}

static enum err_code read_terms(struct conn *c, struct str query, struct terms *t, struct err *err)
{
    struct words *w = postings_words(c, err);
    if (!w)
        return ERR_NOMEM;
    enum err_code rc = words_each(w, query, on_query_word, t, err);
    if (!rc)
        flush_one(t);
    if (!rc && t->failed)
        return err_set(err, ERR_NOMEM, "the words of a question");
    int n = 0;
    for (int i = 0; i < t->n; i++)   /* function words only where there is nothing else */
        if (!t->v[i].stop || t->n_content == 0)
            t->v[n++] = t->v[i];
    t->n = n;
    return rc;
}

/* ---- scores */

struct scores {
    const struct terms *terms;
    float **page;              /* [pages] of LENGTHS_PAGE floats; NULL: all zero */
    int64_t pages;
    double n, average;         /* chunks, words of one */
    bool failed;
};

static float *cell(struct scores *s, int64_t chunk)
{
    int64_t at = chunk >> LENGTHS_BITS;
    if (at >= s->pages)
        return NULL;   /* stored since this search began */
    if (!s->page[at])
        s->page[at] = calloc(LENGTHS_PAGE, sizeof(float));
    s->failed |= !s->page[at];
    return s->page[at] ? &s->page[at][chunk & (LENGTHS_PAGE - 1)] : NULL;
}

static void score_term(struct walk *w, int i)
{
    struct scores *s = w->arg;
    double df = (double)w->n;
    float idf = (float)log(1 + (s->n > df ? s->n - df + 0.5 : 0.5) / (df + 0.5));
    float weight = s->terms->v[i].times * idf * (K1 + 1), per_word = (float)(1 / s->average);
    for (size_t k = 0; k < w->n && !s->failed; k++) {
        float tf = (float)w->v[k].times;
        float norm = K1 * (1 - B + B * (float)w->v[k].words * per_word);
        float *at = cell(s, w->v[k].chunk);
        if (at)
            *at += weight * tf / (tf + norm);
    }
}

static bool worse(struct near_hit a, struct near_hit b)
{
    return a.score != b.score ? a.score < b.score : a.chunk > b.chunk;
}

/* hits[0..*n) is a heap with the worst on top. */
static void sift(struct near_hit *hits, int n, int i)
{
    struct near_hit it = hits[i];
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && worse(hits[child + 1], hits[child]))
            child++;
        if (!worse(hits[child], it))
            break;
        hits[i] = hits[child];
    }
    hits[i] = it;
}

static void take_hit(struct near_hit *hits, int *n, int k, struct near_hit it)
{
    if (*n == k) {
        if (!worse(hits[0], it))
            return;
        hits[0] = it;
        sift(hits, k, 0);
        return;
    }
    int i = (*n)++;
    for (; i > 0 && worse(it, hits[(i - 1) / 2]); i = (i - 1) / 2)
        hits[i] = hits[(i - 1) / 2];
    hits[i] = it;
}

static void best(const struct scores *s, int k, bool (*keep)(void *arg, int64_t chunk), void *arg,
                 struct near_hit *hits, int *n)
{
    for (int64_t p = 0; p < s->pages; p++)
        for (int i = 0; s->page[p] && i < LENGTHS_PAGE; i++) {
            struct near_hit it = {p << LENGTHS_BITS | i, s->page[p][i]};
            if (it.score > 0 && (*n < k || worse(hits[0], it)) && (!keep || keep(arg, it.chunk)))
                take_hit(hits, n, k, it);
        }
    for (int left = *n; left > 1;) {   /* worst to the end, again and again */
        struct near_hit it = hits[0];
        hits[0] = hits[--left];
        hits[left] = it;
        sift(hits, left, 0);
    }
}

static enum err_code search(struct conn *c, int64_t collection, struct terms *t, struct scores *s,
                            const struct lengths *lengths, struct err *err)
{
    struct buf match = {0};
    for (int i = 0; i < t->n; i++)
        put_term(&match, t->v[i].stem);
    struct walk w = {.lengths = lengths, .term = score_term, .arg = s};
    s->pages = (lengths->last >> LENGTHS_BITS) + 1;
    s->n = (double)lengths->chunks;
    s->average = s->n > 0 && lengths->words > 0 ? (double)lengths->words / s->n : 1;
    s->page = calloc((size_t)s->pages, sizeof(*s->page));
    enum err_code rc = buf_ok(&match, "the words of a question", err);
    if (!rc)
        rc = s->page ? walk(c, collection, buf_view(&match), &w, err)
                     : err_set(err, ERR_NOMEM, "scores");
    if (!rc && s->failed)
        rc = err_set(err, ERR_NOMEM, "scores");
    buf_free(&match);
    free(w.v);
    return rc;
}

enum err_code postings_search(struct conn *c, int64_t collection, const struct lengths *lengths,
                              struct str query, int k, bool (*keep)(void *arg, int64_t chunk),
                              void *arg, struct near_hit *hits, int *n, struct err *err)
{
    struct scores s = {0};
    *n = 0;
    struct terms *t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(err, ERR_NOMEM, "the words of a question");
    s.terms = t;
    enum err_code rc = read_terms(c, query, t, err);
    if (!rc && t->n > 0 && lengths->chunks > 0)
        rc = search(c, collection, t, &s, lengths, err);
    if (!rc && s.page)
        best(&s, k, keep, arg, hits, n);
    for (int64_t p = 0; s.page && p < s.pages; p++)
        free(s.page[p]);
    free(s.page);
    arena_deinit(&t->arena);
    free(t);
    return rc;
}

static void count_term(struct walk *w, int i)
{
    (void)i;
    *(int64_t *)w->arg = (int64_t)w->n;
}

/* One by one: a MATCH of several has no row to stand on when the rarest is absent. */
enum err_code postings_count(struct conn *c, int64_t collection, const struct lengths *lengths,
                             const struct str *stems, int n, int64_t *out, struct err *err)
{
    enum err_code rc = OK;
    struct buf match = {0};
    for (int i = 0; i < n && !rc; i++) {
        struct walk w = {.lengths = lengths, .count_only = true, .term = count_term,
                         .arg = &out[i]};
        out[i] = 0;
        buf_reset(&match);
        put_term(&match, stems[i]);
        rc = buf_ok(&match, "a word", err);
        if (!rc && stems[i].len)
            rc = walk(c, collection, buf_view(&match), &w, err);
    }
    buf_free(&match);
    return rc;
}
