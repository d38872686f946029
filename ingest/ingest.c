/* ingest/ingest.c - starting, stopping, and texts that need no reader. */
#include "ingest/ingest.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/cpu.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "index/blobs.h"
#include "ingest/worker.h"

/* carrel-extract beside the running program. Yours, or NULL. */
static char *beside_program(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n <= 0)
        return NULL;
    path[n] = '\0';
    char *slash = strrchr(path, '/'), *made;
    return asprintf(&made, "%.*s/carrel-extract", (int)(slash - path), path) < 0 ? NULL : made;
}

static enum err_code find_program(struct ingest *g, const char *given, struct err *err)
{
    char *path = given ? strdup(given) : beside_program();
    if (!path)
        return err_set(err, ERR_NOMEM, "the path of carrel-extract");
    g->extract.program = path;
    if (access(path, X_OK))
        return err_errno(err, "%s, which reads documents", path);
    return OK;
}

static enum err_code check_sandbox(struct ingest *g, struct err *err)
{
    if (extract_sandbox(g->sandbox))
        return OK;
    log_error("ingest.sandbox", "kernel=\"%s\" effect=\"documents are read with less protection\"",
              g->sandbox);
    return g->opt.require_sandbox
               ? err_set(err, ERR_IO,
                         "this kernel has %s; the configuration requires a full sandbox",
                         g->sandbox)
               : OK;
}

static void release(struct ingest *g)
{
    pthread_mutex_destroy(&g->state);
    pthread_cond_destroy(&g->plain_over);
    free((char *)g->extract.program);
    free(g);
}

enum err_code ingest_start(const struct ingest_options *opt, struct ingest **out, struct err *err)
{
    struct ingest *g = calloc(1, sizeof(*g));
    if (!g)
        return err_set(err, ERR_NOMEM, "ingest");
    g->opt = *opt;
    g->n_workers = opt->workers < 0 ? 0 : opt->workers ? opt->workers : cpu_get()->cores;
    g->extract = (struct extract_options){.timeout_ms = opt->timeout_ms,
                                          .memory_bytes = opt->memory_bytes,
                                          .max_text_bytes = opt->max_text_bytes};
    pthread_mutex_init(&g->state, NULL);
    pthread_cond_init(&g->plain_over, NULL);
    enum err_code rc = g->n_workers ? find_program(g, opt->extract_path, err) : OK;
    if (!rc)
        rc = check_sandbox(g, err);
    if (!rc)
        rc = workers_start(g, err);
    if (rc) {
        release(g);
        return rc;
    }
    *out = g;
    return OK;
}

void ingest_stop(struct ingest *g)
{
    if (!g)
        return;
    stop_set(&g->stop);
    jobs_wake(g->opt.index);
    workers_join(g);
    release(g);
}

void ingest_stats(struct ingest *g, struct ingest_stats *out)
{
    pthread_mutex_lock(&g->state);
    *out = g->stats;
    pthread_mutex_unlock(&g->state);
}

const char *ingest_sandbox(const struct ingest *g)
{
    return g->sandbox;
}

/* ---- texts that need no reader ---- */

struct plain_document {
    struct content content;
    struct layout layout;
    struct block blocks[2]; /* the title as a heading, and the text */
};

/* "title\n\ntext" in NFC; the title is a heading, so that every passage has it. */
static enum err_code compose(const struct plain *p, struct arena *a, struct plain_document *d,
                             struct err *err)
{
    struct buf b = {0};
    enum err_code rc = utf8_nfc(str_trim(p->title), &b, err);
    uint32_t title = (uint32_t)b.len;
    if (title)
        buf_puts(&b, "\n\n");
    uint32_t start = (uint32_t)b.len;
    if (!rc)
        rc = utf8_nfc(p->text, &b, err);
    if (!rc)
        rc = buf_ok(&b, "a text", err);
    if (!rc && b.len >= UINT32_MAX)
        rc = err_set(err, ERR_LIMIT, "a text of %zu bytes", b.len);
    struct str text = rc ? STR("") : arena_str(a, buf_view(&b));
    buf_free(&b);
    if (rc || !text.ptr)
        return rc ? err_wrap(err, rc, "%s", p->name) : err_set(err, ERR_NOMEM, "a text");
    uint32_t end = (uint32_t)text.len;
    if (title)
        d->blocks[d->layout.n_blocks++] = (struct block){.end = title,
                                                         .src_start = SRC_NONE,
                                                         .src_end = SRC_NONE,
                                                         .kind = BLOCK_HEADING,
                                                         .level = 1};
    if (end > start)
        d->blocks[d->layout.n_blocks++] =
            (struct block){.start = start, .end = end, .src_start = SRC_NONE, .src_end = SRC_NONE};
    d->layout.blocks = d->blocks;
    d->content = (struct content){.text = text, .layout = &d->layout, .mime = "text/plain"};
    d->content.title = arena_strz(a, str_sub(text, 0, title));
    return d->content.title ? OK : err_set(err, ERR_NOMEM, "a title");
}

static enum err_code keep_original(struct index *x, struct str text, struct blob **out,
                                   struct err *err)
{
    enum err_code rc = blob_begin(x, text.len ? text.len : 1, out, err);
    if (!rc)
        rc = blob_write(*out, text.ptr, text.len, err);
    return rc ? rc : blob_finish(*out, err);
}

static enum err_code add_plain(struct ingest *g, const char *collection, const struct plain *docs,
                               int n, struct plain_document *made, struct new_document *rows,
                               struct added *added, struct err *err)
{
    enum err_code rc = OK;
    for (int i = 0; i < n && !rc; i++) {
        rows[i] = (struct new_document){
            .collection = collection, .name = docs[i].name, .uri = "", .mime = "text/plain"};
        rc = keep_original(g->opt.index, made[i].content.text, &rows[i].blob, err);
    }
    if (!rc)
        rc = index_add(g->opt.index, rows, n, added, err);
    for (int i = 0; rc && i < n; i++)
        blob_drop(rows[i].blob);
    return rc;
}

static enum err_code put_plain(struct ingest *g, int n, const struct plain_document *made,
                               const struct added *added, struct arena *a, struct err *err)
{
    const char **ids = arena_alloc(a, (size_t)n, sizeof(*ids));
    struct content *contents = arena_alloc(a, (size_t)n, sizeof(*contents));
    struct ingest_stats done = {0};
    int new = 0;
    if (!ids || !contents)
        return err_set(err, ERR_NOMEM, "%d texts", n);
    for (int i = 0; i < n; i++) {
        if (added[i].duplicate && added[i].state == DOC_READY)
            continue;
        ids[new] = added[i].id;
        contents[new ++] = made[i].content;
        done.chunks += made[i].content.n_chunks;
        done.tokens += made[i].content.tokens;
        done.bytes += (int64_t)made[i].content.text.len;
    }
    double t0 = clock_ms();
    enum err_code rc = new ? index_put_many(g->opt.index, new, ids, contents, err) : OK;
    done.documents = new;
    done.index_ms = clock_ms() - t0;
    if (!rc)
        worker_count(g, &done);
    return rc;
}

static void hold_workers(struct ingest *g, int by)
{
    pthread_mutex_lock(&g->state);
    g->plain_calls += by;
    if (!g->plain_calls)
        pthread_cond_broadcast(&g->plain_over);
    pthread_mutex_unlock(&g->state);
}

enum err_code ingest_plain(struct ingest *g, const char *collection, const struct plain *docs,
                           int n, const struct stop *stop, struct err *err)
{
    struct arena a = {0};
    struct plain_document *made = arena_alloc(&a, (size_t)n, sizeof(*made));
    struct new_document *rows = arena_alloc(&a, (size_t)n, sizeof(*rows));
    struct added *added = arena_alloc(&a, (size_t)n, sizeof(*added));
    enum err_code rc = made && rows && added ? OK : err_set(err, ERR_NOMEM, "%d texts", n);
    for (int i = 0; i < n && !rc; i++) {
        rc = stop_check(stop, err);
        if (!rc)
            rc = compose(&docs[i], &a, &made[i], err);
        if (!rc)
            rc = worker_prepare(g, 0, &made[i].content, &a, stop, err);
    }
    hold_workers(g, 1);
    if (!rc)
        rc = add_plain(g, collection, docs, n, made, rows, added, err);
    if (!rc)
        rc = put_plain(g, n, made, added, &a, err);
    hold_workers(g, -1);
    arena_deinit(&a);
    return rc;
}

/* ---- collections ---- */

static char *stamp_json(const struct embed_stamp *s, struct arena *a)
{
    struct buf b = {0};
    json_t *o = json_object();
    bool ok = o && json_put(o, "name", json_text(str_of(s->name))) &&
              json_put(o, "hash", json_text(str_of(s->hash))) &&
              json_put(o, "arch", json_text(str_of(s->arch))) &&
              json_put(o, "dim", json_integer(s->dim)) &&
              json_put(o, "pooling", json_text(str_of(s->pooling))) &&
              json_put(o, "query_prefix", json_text(str_of(s->query_prefix))) &&
              json_put(o, "passage_prefix", json_text(str_of(s->passage_prefix))) &&
              json_put(o, "version", json_integer(s->version));
    if (ok)
        json_write(&b, o);
    json_decref(o);
    char *made = ok && !b.failed ? arena_strz(a, buf_view(&b)) : NULL;
    buf_free(&b);
    return made;
}

enum err_code ingest_collection(struct ingest *g, const char *name, bool create, struct arena *a,
                                struct collection *out, struct err *err)
{
    const struct ingest_options *o = &g->opt;
    const struct embed_stamp *s = embed_stamp(o->embed);
    char *stamp = stamp_json(s, a);
    char *settings =
        arena_printf(a, "{\"target_tokens\":%d,\"max_tokens\":%d,\"overlap_tokens\":%d}",
                     o->target_tokens ? o->target_tokens : CHUNK_TARGET,
                     o->max_tokens ? o->max_tokens : CHUNK_MAX, o->overlap_tokens);
    if (!stamp || !settings)
        return err_set(err, ERR_NOMEM, "an encoder's stamp");
    return index_collection(o->index, name, stamp, s->dim, settings, create, a, out, err);
}

/* ---- another encoder ---- */

struct reembedding {
    struct embed *embed;
    void (*progress)(void *arg, int64_t done, int64_t total);
    void *arg;
    const struct stop *stop;
};

static enum err_code embed_passages(void *arg, const struct passage *p, int n, float *out,
                                    struct err *err)
{
    struct reembedding *g = arg;
    struct arena a = {0};
    struct str *texts = arena_alloc(&a, (size_t)n, sizeof(*texts));
    enum err_code rc = texts ? OK : err_set(err, ERR_NOMEM, "%d texts", n);
    for (int i = 0; i < n && !rc; i++) {
        texts[i] = worker_text(&p[i], &a);
        if (!texts[i].ptr)
            rc = err_set(err, ERR_NOMEM, "the text of a passage");
    }
    if (!rc)
        rc = embed_texts(g->embed, texts, n, out, NULL, g->stop, err);
    arena_deinit(&a);
    return rc;
}

static void tell_progress(void *arg, int64_t done, int64_t total)
{
    struct reembedding *g = arg;
    if (g->progress)
        g->progress(g->arg, done, total);
}

enum err_code ingest_reembed(struct index *x, struct embed *e, const char *collection,
                             void (*progress)(void *arg, int64_t done, int64_t total), void *arg,
                             const struct stop *stop, struct err *err)
{
    struct arena a = {0};
    struct reembedding g = {.embed = e, .progress = progress, .arg = arg, .stop = stop};
    struct reembed r = {.stamp = stamp_json(embed_stamp(e), &a),
                        .dim = embed_stamp(e)->dim,
                        .embed = embed_passages,
                        .progress = tell_progress,
                        .arg = &g};
    enum err_code rc = r.stamp ? index_reembed(x, collection, &r, stop, err)
                               : err_set(err, ERR_NOMEM, "an encoder's stamp");
    arena_deinit(&a);
    return rc;
}
