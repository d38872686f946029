/* From commits to links: a queue of vectors, and a thread that links them.
 *
 * The writer pushes what a commit added or removed, in the order of commits; the
 * graph thread links it, one vector at a time. Until then a search scans the
 * queue exactly, so nothing waits to be found: a store whose snapshot was lost
 * serves at once, a little slower, while the graph is built behind it.
 *
 * Every shelf's chunks have growing ids, so linking in commit order is linking
 * in id order, and a rebuild gives the same graph (nothing having been removed).
 * Snapshots are derived: saved after GRAPH_UNSAVED changes or when idle, and at close. */
#include "index/index_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/vec.h"
#include "index/postings.h"

#define GRAPH_UNSAVED  20000   /* changes that a crash costs at most: seconds of linking, unnoticed */
#define GRAPH_SEED     0x63617272656cull
#define CLOSE_BUDGET_MS 2000.0 /* of linking while closing; the rest is linked after the next open */

static struct hnsw_options options(const struct index_options *opt, int dim)
{
    return (struct hnsw_options){.dim = dim, .m = opt->m ? opt->m : 16,
                                 .ef_construction = opt->ef_construction ? opt->ef_construction
                                                                         : 200,
                                 .seed = GRAPH_SEED};
}

enum err_code graph_init(struct graph *g, int dim, const struct index_options *opt,
                         struct err *err)
{
    struct hnsw_options o = options(opt, dim);
    enum err_code rc = hnsw_new(&o, &g->h, err);
    if (rc)
        return rc;
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    /* Searches never pause for long: without this they would starve the links. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&g->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&g->work, NULL);
    return OK;
}

void graph_deinit(struct graph *g)
{
    for (size_t i = g->head; i < g->tail; i++)
        free(g->queue[i].vec);
    free(g->queue);
    hnsw_free(g->h);
    pthread_rwlock_destroy(&g->lock);
    pthread_mutex_destroy(&g->work);
}

/* ---- the queue */

/* Under the lock. */
static bool make_room(struct graph *g, size_t more)
{
    if (g->head > 0 && g->tail + more > g->cap) {
        memmove(g->queue, g->queue + g->head, (g->tail - g->head) * sizeof(*g->queue));
        g->tail -= g->head;
        g->head = 0;
    }
    if (g->tail + more <= g->cap)
        return true;
    size_t cap = (g->tail + more) * 3 / 2 + 64;
    struct waiting *queue = realloc(g->queue, cap * sizeof(*queue));
    if (!queue)
        return false;
    g->queue = queue;
    g->cap = cap;
    return true;
}

enum err_code graph_reserve(struct graph *g, size_t more, struct err *err)
{
    pthread_rwlock_wrlock(&g->lock);
    bool room = make_room(g, more);
    pthread_rwlock_unlock(&g->lock);
    return room ? OK : err_set(err, ERR_NOMEM, "%zu vectors", more);
}

void graph_push(struct graph *g, uint64_t label, float *vec)
{
    pthread_rwlock_wrlock(&g->lock);
    /* Several tasks of one commit reserve against the same tail, so what one
     * reserved another may have used. */
    bool room = make_room(g, 1);
    if (room)
        g->queue[g->tail++] = (struct waiting){label, vec};
    pthread_rwlock_unlock(&g->lock);
    if (!room) {   /* found again at the next open, when SQLite and graph are compared */
        free(vec);
        log_error("index.graph", "label=%llu error=memory", (unsigned long long)label);
    }
}

size_t graph_waiting(const struct shelf *s)
{
    struct graph *g = (struct graph *)&s->graph;
    pthread_rwlock_rdlock(&g->lock);
    size_t n = g->tail - g->head;
    pthread_rwlock_unlock(&g->lock);
    return n;
}

/* ---- linking */

static bool exists(const struct shelf *s, uint64_t label)
{
    uint32_t words;
    return lengths_find(&s->lengths, (int64_t)label, &words);
}

static void finish(struct graph *g, struct hnsw_plan *plan, const struct waiting *w)
{
    struct err err = {0};
    pthread_rwlock_wrlock(&g->lock);
    enum err_code rc = OK;
    if (plan)
        rc = hnsw_apply(g->h, plan, &err);
    else if (!w->vec && hnsw_has(g->h, w->label))
        rc = hnsw_remove(g->h, w->label, &err);
    g->head++;
    g->unsaved++;
    pthread_rwlock_unlock(&g->lock);
    if (rc)   /* found again at the next open, when SQLite and graph are compared */
        log_error("index.graph", "label=%llu error=%s", (unsigned long long)w->label,
                  err_name(rc));
}

/* Link or remove the first that waits; false when nothing does. Only this
 * function and graph_rebuild change a graph, both under `work`: so the plan
 * needs no lock, and searches wait for its application only. */
static bool step(struct shelf *s)
{
    struct graph *g = &s->graph;
    struct hnsw_plan *plan = NULL;
    struct err err = {0};
    pthread_mutex_lock(&g->work);
    pthread_rwlock_rdlock(&g->lock);
    bool any = g->head < g->tail;
    struct waiting w = any ? g->queue[g->head] : (struct waiting){0};
    pthread_rwlock_unlock(&g->lock);
    if (any && w.vec && exists(s, w.label) && hnsw_plan(g->h, w.label, w.vec, &plan, &err) != OK)
        log_error("index.graph", "label=%llu error=%s", (unsigned long long)w.label,
                  err_name(err.code));
    if (any)
        finish(g, plan, &w);
    pthread_mutex_unlock(&g->work);
    hnsw_plan_free(g->h, plan);
    free(w.vec);
    return any;
}

/* ---- snapshots */

char *graph_path(struct index *x, int64_t collection)
{
    char name[64];
    snprintf(name, sizeof(name), "graphs/%lld.hnsw", (long long)collection);
    return index_path(x, name);
}

static uint64_t tag_of(struct index *x, int64_t collection)
{
    return hash64(&collection, sizeof(collection), x->store_id);
}

static void save(struct index *x, struct shelf *s)
{
    struct err err = {0};
    char *path = graph_path(x, s->id);
    pthread_mutex_lock(&s->graph.work);
    enum err_code rc = path ? hnsw_save(s->graph.h, path, tag_of(x, s->id), &err) : ERR_NOMEM;
    s->graph.unsaved = 0;   /* failed: tried again after the next change; it is derived */
    pthread_mutex_unlock(&s->graph.work);
    if (rc)
        log_warn("index.snapshot", "collection=%lld error=%s", (long long)s->id, err_name(rc));
    free(path);
}

void graph_forget(struct index *x, int64_t collection)
{
    char *path = graph_path(x, collection);
    if (path)
        unlink(path);
    free(path);
}

/* ---- opening */

struct source { struct conn *conn; int dim; };

static enum err_code vector_of(void *arg, uint64_t label, float *out, struct err *err)
{
    const struct source *src = arg;
    enum err_code rc = OK;
    sqlite3_stmt *st = sql_get(src->conn, err, "SELECT body FROM vectors WHERE chunk = ?1", "i",
                               (int64_t)label);
    if (!st)
        return ERR_IO;
    if (!sql_next(st, &rc, err))
        return rc ? rc : ERR_NOTFOUND;
    struct str body = sql_blob(st, 0);
    if (body.len != (size_t)src->dim * sizeof(float))
        rc = err_set(err, ERR_FORMAT, "vector of chunk %llu: %zu bytes", (unsigned long long)label,
                     body.len);
    else
        memcpy(out, body.ptr, body.len);
    sql_done(st);
    return rc;
}

/* Queue each of the collection's vectors that the graph lacks. */
static enum err_code queue_missing(struct shelf *s, struct conn *c, size_t *missing,
                                   struct err *err)
{
    enum err_code rc = OK;
    struct source src = {c, s->dim};
    *missing = 0;
    sqlite3_stmt *st = sql_get(
        c, err, "SELECT id FROM chunks WHERE collection = ?1 AND embedded = 1 ORDER BY id", "i",
        s->id);
    if (!st)
        return ERR_IO;
    while (sql_next(st, &rc, err)) {
        uint64_t label = (uint64_t)sqlite3_column_int64(st, 0);
        if (hnsw_has(s->graph.h, label))
            continue;
        float *vec = malloc((size_t)s->dim * sizeof(float));
        rc = vec ? vector_of(&src, label, vec, err) : err_set(err, ERR_NOMEM, "a vector");
        if (!rc)
            rc = graph_reserve(&s->graph, 1, err);
        if (rc) {
            free(vec);
            sql_done(st);
            return rc == ERR_NOTFOUND ? err_set(err, ERR_FORMAT, "chunk %llu has lost its vector",
                                                (unsigned long long)label)
                                      : rc;
        }
        graph_push(&s->graph, label, vec);
        ++*missing;
    }
    return rc;
}

struct strays { const struct shelf *s; uint64_t *labels; size_t n; };

static void note_stray(void *arg, uint64_t label)
{
    struct strays *t = arg;
    if (!exists(t->s, label))
        t->labels[t->n++] = label;
}

/* A label whose vector is there but that is no chunk of this collection. */
static enum err_code drop_strays(struct shelf *s, struct err *err)
{
    struct strays t = {.s = s, .labels = malloc((hnsw_count(s->graph.h) + 1) * sizeof(uint64_t))};
    if (!t.labels)
        return err_set(err, ERR_NOMEM, "a graph");
    hnsw_each(s->graph.h, note_stray, &t);
    enum err_code rc = OK;
    for (size_t i = 0; i < t.n && !rc; i++)
        rc = hnsw_remove(s->graph.h, t.labels[i], err);
    free(t.labels);
    return rc;
}

static enum err_code read_lengths(struct shelf *s, struct conn *c, int64_t *embedded,
                                  struct err *err)
{
    enum err_code rc = OK;
    sqlite3_stmt *st = sql_get(
        c, err, "SELECT id, words, embedded FROM chunks WHERE collection = ?1 ORDER BY id", "i",
        s->id);
    if (!st)
        return ERR_IO;
    while (sql_next(st, &rc, err)) {
        int64_t id = sqlite3_column_int64(st, 0);
        rc = lengths_reserve(&s->lengths, id, 1, err);
        if (rc) {
            sql_done(st);
            return rc;
        }
        lengths_set(&s->lengths, id, (uint32_t)sqlite3_column_int64(st, 1));
        *embedded += sqlite3_column_int(st, 2);
    }
    return rc;
}

/* The snapshot, or an empty graph in its place. */
static void load(struct index *x, struct shelf *s, struct conn *c, int64_t embedded)
{
    struct err err = {0};
    struct hnsw *h = NULL;
    uint64_t tag = 0;
    struct source src = {c, s->dim};
    struct hnsw_source source = {vector_of, &src};
    struct hnsw_options o = options(&x->opt, s->dim);
    char *path = graph_path(x, s->id);
    enum err_code rc = path ? hnsw_load(path, &o, &source, &h, &tag, &err) : ERR_NOMEM;
    free(path);
    if (!rc && tag != tag_of(x, s->id))
        rc = err_set(&err, ERR_FORMAT, "graph: of another store or collection");
    if (rc) {
        hnsw_free(h);
        s->graph.doubted = embedded > 0 && rc != ERR_NOTFOUND;
        if (s->graph.doubted)
            log_warn("index.rebuild", "collection=%lld vectors=%lld", (long long)s->id,
                     (long long)embedded);
        return;
    }
    hnsw_free(s->graph.h);
    s->graph.h = h;
}

enum err_code graph_open(struct index *x, struct shelf *s, struct conn *c, struct err *err)
{
    int64_t embedded = 0;
    size_t missing = 0;
    enum err_code rc = read_lengths(s, c, &embedded, err);
    if (rc)
        return rc;
    load(x, s, c, embedded);
    rc = drop_strays(s, err);
    if (!rc)
        rc = queue_missing(s, c, &missing, err);
    x->rebuilt |= s->graph.doubted;
    return rc;
}

/* ---- the thread */

static struct timespec in_ms(int ms)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

static bool quitting(struct index *x)
{
    pthread_mutex_lock(&x->graph_lock);
    bool quit = x->graph_quit;
    pthread_mutex_unlock(&x->graph_lock);
    return quit;
}

static void moved(struct index *x)
{
    pthread_mutex_lock(&x->graph_lock);
    pthread_cond_broadcast(&x->graph_moved);
    pthread_mutex_unlock(&x->graph_lock);
}

/* Link what waits on every shelf; returns how many it linked. */
static size_t drain(struct index *x, bool to_the_end)
{
    size_t n = 0;
    struct shelf *s;
    for (int i = 0; (s = shelf_at(x, i)); i++) {
        while ((to_the_end || !quitting(x)) && s->refs > 1 && step(s)) {
            if (++n % 64 == 0)
                moved(x);
            if (s->graph.unsaved >= GRAPH_UNSAVED && !x->opt.volatile_store)
                save(x, s);
        }
        shelf_give(s);
    }
    moved(x);
    return n;
}

/* One small step of merging cut words away; see postings.h. */
static enum err_code merge_step(struct conn *c, void *arg, struct err *err)
{
    struct index *x = arg;
    enum err_code rc = OK;
    bool all = true;
    struct shelf *s;
    for (int i = 0; !rc && (s = shelf_at(x, i)); i++) {
        bool done = true;
        rc = postings_merge(c, s->id, 64, &done, err);
        all &= done;
        shelf_give(s);
    }
    if (!rc && all)
        rc = sql_exec(c, err, "DELETE FROM settings WHERE name = 'merge_words'", "");
    if (!rc && all)
        x->merge_words = false;
    return rc;
}

enum err_code graph_purge(struct index *x, struct err *err)
{
    enum err_code rc = OK;
    if (!x->merge_words)
        return OK;
    while (!rc && x->merge_words && !quitting(x))
        rc = writer_run(&x->writer, merge_step, NULL, x, err);
    writer_truncate(&x->writer);
    return rc;
}

static enum err_code flush_usage(struct conn *c, void *arg, struct err *err)
{
    return usage_flush(arg, c, err);
}

static bool any_usage(struct index *x)
{
    pthread_mutex_lock(&x->usage_lock);
    bool any = x->n_usage > 0;
    pthread_mutex_unlock(&x->usage_lock);
    return any;
}

static void tidy(struct index *x)
{
    struct shelf *s;
    if (any_usage(x))
        (void)writer_run(&x->writer, flush_usage, NULL, x, NULL);
    for (int i = 0; (s = shelf_at(x, i)); i++) {
        if (s->graph.unsaved > 0 && !x->opt.volatile_store)
            save(x, s);
        shelf_give(s);
    }
}

static void *graph_main(void *arg)
{
    struct index *x = arg;
    while (!quitting(x)) {
        size_t n = drain(x, false);
        pthread_mutex_lock(&x->graph_lock);
        struct timespec until = in_ms(1000);
        bool timeout = false;
        while (!x->graph_alarm && !x->graph_quit && !timeout)
            timeout = pthread_cond_timedwait(&x->graph_cond, &x->graph_lock, &until) != 0;
        x->graph_alarm = false;
        pthread_mutex_unlock(&x->graph_lock);
        if (!timeout || n > 0)
            continue;
        tidy(x);   /* a second without work */
        (void)graph_purge(x, NULL);
    }
    return NULL;
}

enum err_code graph_start(struct index *x, struct err *err)
{
    if (pthread_create(&x->graph_thread, NULL, graph_main, x) != 0)
        return err_set(err, ERR_NOMEM, "the graph's thread");
    x->graph_started = true;
    return OK;
}

void graph_wake(struct index *x)
{
    pthread_mutex_lock(&x->graph_lock);
    x->graph_alarm = true;
    pthread_cond_signal(&x->graph_cond);
    pthread_mutex_unlock(&x->graph_lock);
}

void graph_stop(struct index *x)
{
    if (!x->graph_started)
        return;
    pthread_mutex_lock(&x->graph_lock);
    x->graph_quit = true;
    pthread_cond_signal(&x->graph_cond);
    pthread_mutex_unlock(&x->graph_lock);
    pthread_join(x->graph_thread, NULL);
    x->graph_started = false;
    if (x->opt.volatile_store)
        return;
    struct shelf *s;
    double until = clock_ms() + CLOSE_BUDGET_MS;
    for (int i = 0; (s = shelf_at(x, i)); i++) {
        while (clock_ms() < until && step(s))
            ;
        shelf_give(s);
    }
    tidy(x);
}

void graph_wait(struct index *x, const struct shelf *s, size_t most)
{
    while (graph_waiting(s) > most && s->refs > 1) {
        pthread_mutex_lock(&x->graph_lock);
        struct timespec until = in_ms(100);
        if (!x->graph_quit)
            pthread_cond_timedwait(&x->graph_moved, &x->graph_lock, &until);
        bool quit = x->graph_quit;
        pthread_mutex_unlock(&x->graph_lock);
        if (quit)
            return;
    }
}

enum err_code graph_rebuild(struct index *x, struct shelf *s, struct err *err)
{
    struct graph *g = &s->graph;
    struct hnsw_options o = options(&x->opt, s->dim);
    struct hnsw *fresh, *old;
    size_t missing;
    enum err_code rc = hnsw_new(&o, &fresh, err);
    if (rc)
        return rc;
    struct conn *c = reader_take(x, err);
    if (!c) {
        hnsw_free(fresh);
        return ERR_IO;
    }
    pthread_mutex_lock(&g->work);
    pthread_rwlock_wrlock(&g->lock);
    old = g->h;
    g->h = fresh;
    for (; g->head < g->tail; g->head++)
        free(g->queue[g->head].vec);
    pthread_rwlock_unlock(&g->lock);
    rc = queue_missing(s, c, &missing, err);
    pthread_mutex_unlock(&g->work);
    hnsw_free(old);
    reader_give(x, c);
    graph_wake(x);
    return rc;
}

/* ---- searching */

void near_insert(struct near_hit *hits, int *n, int k, struct near_hit it)
{
    if (*n == k && (hits[k - 1].score > it.score ||
                    (hits[k - 1].score == it.score && hits[k - 1].chunk < it.chunk)))
        return;
    int i = *n < k ? (*n)++ : k - 1;
    for (; i > 0 && (hits[i - 1].score < it.score ||
                     (hits[i - 1].score == it.score && hits[i - 1].chunk > it.chunk));
         i--)
        hits[i] = hits[i - 1];
    hits[i] = it;
}

struct chooser {
    const struct shelf *s;
    bool (*keep)(void *arg, int64_t chunk);
    void *arg;
};

static bool choose(void *arg, uint64_t label)
{
    const struct chooser *c = arg;
    return exists(c->s, label) && (!c->keep || c->keep(c->arg, (int64_t)label));
}

enum err_code graph_search(const struct shelf *s, const float *query, int k, int ef,
                           bool (*keep)(void *arg, int64_t chunk), void *arg, struct near_hit *hits,
                           int *n, struct err *err)
{
    struct graph *g = (struct graph *)&s->graph;
    struct chooser c = {s, keep, arg};
    struct hnsw_hit *found = malloc((size_t)k * sizeof(*found));
    int n_found = 0;
    *n = 0;
    if (!found)
        return err_set(err, ERR_NOMEM, "%d hits", k);
    pthread_rwlock_rdlock(&g->lock);
    enum err_code rc = hnsw_search(g->h, query, k, ef, choose, &c, found, &n_found, err);
    for (int i = 0; i < n_found; i++)
        near_insert(hits, n, k, (struct near_hit){(int64_t)found[i].label, 1 - found[i].distance});
    for (size_t i = g->head; i < g->tail && !rc; i++) {
        const struct waiting *w = &g->queue[i];
        if (w->vec && choose(&c, w->label))
            near_insert(hits, n, k, (struct near_hit){(int64_t)w->label,
                                                      vec_dot(query, w->vec, s->dim)});
    }
    pthread_rwlock_unlock(&g->lock);
    free(found);
    return rc;
}

static int by_chunk(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

enum err_code graph_scan(const struct shelf *s, const float *query, int k, const int64_t *ids,
                         size_t n_ids, struct near_hit *hits, int *n)
{
    struct graph *g = (struct graph *)&s->graph;
    *n = 0;
    pthread_rwlock_rdlock(&g->lock);
    for (size_t i = 0; i < n_ids; i++) {
        const float *vec = hnsw_vector(g->h, (uint64_t)ids[i]);
        if (vec && exists(s, (uint64_t)ids[i]))
            near_insert(hits, n, k, (struct near_hit){ids[i], vec_dot(query, vec, s->dim)});
    }
    for (size_t i = g->head; i < g->tail; i++) {
        const struct waiting *w = &g->queue[i];
        int64_t id = (int64_t)w->label;
        if (w->vec && exists(s, w->label) && bsearch(&id, ids, n_ids, sizeof(*ids), by_chunk))
            near_insert(hits, n, k, (struct near_hit){id, vec_dot(query, w->vec, s->dim)});
    }
    pthread_rwlock_unlock(&g->lock);
    return OK;
}
