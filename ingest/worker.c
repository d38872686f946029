/* ingest/worker.c - extract, chunk, embed, index.
 *
 * A worker prepares documents one after the other. While more wait in the queue
 * it gathers small ones and stores them together, because a commit costs a disk
 * sync however much is in it; a document that comes alone is stored at once. */
#include "ingest/worker.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/log.h"

#define BATCH_DOCUMENTS 64
#define BATCH_CHUNKS    512
#define BATCH_MS        400 /* a prepared document waits at most about so long */
#define EMBED_STEP      64  /* chunks between two looks at stop and progress */

struct prepared {
    struct arena arena;
    struct job job;
    struct content content;
};

struct worker {
    struct ingest *g;
    pthread_t thread;
    struct extractor *extractor;
    struct prepared batch[BATCH_DOCUMENTS];
    int n; /* prepared and not stored yet */
    int64_t n_chunks;
    double since_ms; /* when the first of them was prepared */
};

void worker_count(struct ingest *g, const struct ingest_stats *more)
{
    pthread_mutex_lock(&g->state);
    struct ingest_stats *s = &g->stats;
    s->documents += more->documents;
    s->failed += more->failed;
    s->chunks += more->chunks;
    s->bytes += more->bytes;
    s->tokens += more->tokens;
    s->extract_ms += more->extract_ms;
    s->chunk_ms += more->chunk_ms;
    s->embed_ms += more->embed_ms;
    s->index_ms += more->index_ms;
    pthread_mutex_unlock(&g->state);
}

/* ---- chunk and embed ---- */

static enum err_code count_tokens(void *arg, struct str text, int *n, struct err *err)
{
    return embed_count_tokens(arg, text, n, err);
}

/* What is embedded: the document's context, the headings above a passage, a line
 * each, and the passage; from the heading on that the passage itself begins
 * with, nothing is repeated. */
struct str worker_text(const struct passage *p, struct arena *a)
{
    struct str rest = p->heading, one;
    size_t keep = 0;
    while (str_split(&rest, '\n', &one) && !str_starts(p->text, one))
        keep = (size_t)(one.ptr + one.len - p->heading.ptr);
    if (!keep && !p->context.len)
        return p->text;
    struct str parts[] = {p->context, str_sub(p->heading, 0, keep), p->text};
    char *made = arena_alloc(a, p->context.len + keep + p->text.len + 3, 1), *at = made;
    for (int i = 0; made && i < 3; i++) {
        memcpy(at, parts[i].ptr ? parts[i].ptr : "", parts[i].len);
        at += parts[i].len;
        *at++ = '\n';
    }
    return (struct str){made, made ? (size_t)(at - made) - 1 : 0};
}

/* People ask for "the 2022 report" and mean a file's name: the last part of it,
 * without its extension, as words. */
static struct str name_words(const char *name, struct arena *a)
{
    const char *last = strrchr(name, '/');
    char *words = arena_strz(a, str_of(last ? last + 1 : name));
    if (!words)
        return STR("");
    char *dot = strrchr(words, '.');
    if (dot && dot != words)
        *dot = '\0';
    for (char *p = words; *p; p++)
        if (*p == '_' || *p == '-')
            *p = ' ';
    return str_of(words);
}

static enum err_code embed_chunks(struct ingest *g, int64_t job, struct content *c, struct arena *a,
                                  const struct stop *stop, struct err *err)
{
    int dim = embed_stamp(g->opt.embed)->dim;
    float *vectors = arena_alloc(a, (size_t)c->n_chunks, (size_t)dim * sizeof(float));
    if (!vectors)
        return err_set(err, ERR_NOMEM, "%d vectors", c->n_chunks);
    for (int i = 0; i < c->n_chunks; i += EMBED_STEP) {
        struct str texts[EMBED_STEP];
        int n = c->n_chunks - i < EMBED_STEP ? c->n_chunks - i : EMBED_STEP;
        for (int k = 0; k < n; k++) {
            const struct chunk *one = &c->chunks[i + k];
            texts[k] = worker_text(&(struct passage){c->context, one->heading,
                                                     str_sub(c->text, one->start, one->end)}, a);
            if (!texts[k].ptr)
                return err_set(err, ERR_NOMEM, "the text of a passage");
        }
        enum err_code rc =
            embed_texts(g->opt.embed, texts, n, vectors + (size_t)i * (size_t)dim, NULL, stop, err);
        if (rc)
            return rc;
        if (job && !jobs_progress(g->opt.index, job, "embed", i + n, c->n_chunks))
            return err_set(err, ERR_NOTFOUND, "the job was cancelled");
    }
    c->vectors = vectors;
    return OK;
}

enum err_code worker_prepare(struct ingest *g, int64_t job, struct content *c, struct arena *a,
                             const struct stop *stop, struct err *err)
{
    struct chunk_options opt = {.target_tokens = g->opt.target_tokens,
                                .max_tokens = g->opt.max_tokens,
                                .overlap_tokens = g->opt.overlap_tokens,
                                .count = count_tokens,
                                .arg = g->opt.embed};
    struct ingest_stats done = {0};
    struct chunk *chunks;
    double t0 = clock_ms();
    enum err_code rc = chunk_text(c->text, c->layout, &opt, a, &chunks, &c->n_chunks, err);
    if (rc)
        return rc;
    c->chunks = chunks;
    for (int i = 0; i < c->n_chunks; i++)
        c->tokens += chunks[i].tokens;
    double t1 = clock_ms();
    rc = embed_chunks(g, job, c, a, stop, err);
    done.chunk_ms = t1 - t0;
    done.embed_ms = clock_ms() - t1;
    worker_count(g, &done);
    return rc;
}

/* ---- ends of a job ---- */

static void fail(struct worker *w, const struct job *job, const char *reason)
{
    struct err err;
    struct ingest_stats one = {.failed = 1};
    char quoted[300];
    enum err_code rc = jobs_fail(w->g->opt.index, job->id, reason, &err);
    if (rc == ERR_NOTFOUND || rc == ERR_ARG) /* deleted, or it has ended otherwise */
        return;
    log_info("ingest.failed", "job=%lld doc=%s reason=%s", (long long)job->id, job->document,
             log_quote(reason, quoted, sizeof(quoted)));
    if (rc)
        log_error("ingest.fail", "job=%lld error=%s", (long long)job->id,
                  log_quote(err.msg, quoted, sizeof(quoted)));
    worker_count(w->g, &one);
}

static void give_back(struct worker *w, const struct job *job)
{
    struct err err;
    jobs_release(w->g->opt.index, job->id, &err);
}

static void count_stored(struct worker *w, const struct prepared *p)
{
    struct ingest_stats one = {.documents = 1,
                               .chunks = p->content.n_chunks,
                               .bytes = (int64_t)p->content.text.len,
                               .tokens = p->content.tokens};
    worker_count(w->g, &one);
}

static void store_one(struct worker *w, const struct prepared *p)
{
    struct err err;
    enum err_code rc = index_put(w->g->opt.index, p->job.document, &p->content, &err);
    if (!rc)
        count_stored(w, p);
    else if (rc == ERR_CANCELLED)
        give_back(w, &p->job);
    else if (rc == ERR_NOTFOUND) /* deleted or cancelled meanwhile, as asked */
        jobs_drop(w->g->opt.index, p->job.id);
    else {
        err_wrap(&err, rc, "it could not be stored");
        fail(w, &p->job, err.msg);
    }
}

static void store(struct worker *w)
{
    const char *ids[BATCH_DOCUMENTS];
    struct content contents[BATCH_DOCUMENTS];
    struct err err;
    double t0 = clock_ms();
    for (int i = 0; i < w->n; i++) {
        ids[i] = w->batch[i].job.document;
        contents[i] = w->batch[i].content;
        jobs_progress(w->g->opt.index, w->batch[i].job.id, "index", 0, 1);
    }
    bool together = w->n > 1 && !index_put_many(w->g->opt.index, w->n, ids, contents, &err);
    for (int i = 0; i < w->n; i++) {
        if (together)
            count_stored(w, &w->batch[i]);
        else
            store_one(w, &w->batch[i]);
        arena_reset(&w->batch[i].arena);
    }
    struct ingest_stats done = {.index_ms = clock_ms() - t0};
    worker_count(w->g, &done);
    w->n = 0;
    w->n_chunks = 0;
}

/* ---- one job ---- */

static enum err_code read_file(struct worker *w, const struct job *job, const struct document *d,
                               struct arena *a, struct extracted *out, struct err *err)
{
    struct index *x = w->g->opt.index;
    char *path;
    double t0 = clock_ms();
    if (!jobs_progress(x, job->id, "extract", 0, d->size_bytes))
        return err_set(err, ERR_NOTFOUND, "the job was cancelled");
    enum err_code rc = index_blob_path(x, job->document, a, &path, err);
    if (!rc)
        rc = extract_file(w->extractor, path, d->name, d->mime, &w->g->stop, a, out, err);
    if (rc == ERR_IO) /* our side broke (a server that died): once more with a fresh one */
        rc = extract_file(w->extractor, path, d->name, d->mime, &w->g->stop, a, out, err);
    struct ingest_stats done = {.extract_ms = clock_ms() - t0};
    worker_count(w->g, &done);
    return rc;
}

static enum err_code prepare(struct worker *w, struct prepared *p, struct err *err)
{
    struct document d;
    struct extracted *read = arena_alloc(&p->arena, 1, sizeof(*read));
    if (!read)
        return err_set(err, ERR_NOMEM, "a document");
    enum err_code rc = index_document(w->g->opt.index, p->job.document, &p->arena, &d, err);
    if (rc)
        return rc;
    if (d.state == DOC_READY) /* ingest_plain was quicker */
        return err_set(err, ERR_NOTFOUND, "ready already");
    rc = read_file(w, &p->job, &d, &p->arena, read, err);
    if (rc)
        return rc;
    p->content = (struct content){.text = read->text,
                                  .layout = &read->layout,
                                  .title = read->title,
                                  .mime = read->mime,
                                  .context = name_words(d.name, &p->arena),
                                  .warnings = read->warnings,
                                  .n_warnings = read->n_warnings};
    if (!jobs_progress(w->g->opt.index, p->job.id, "chunk", 0, 1))
        return err_set(err, ERR_NOTFOUND, "the job was cancelled");
    return worker_prepare(w->g, p->job.id, &p->content, &p->arena, &w->g->stop, err);
}

/* ingest_plain's documents are queued for an instant: leave them to it. */
static void wait_for_plain(struct ingest *g)
{
    pthread_mutex_lock(&g->state);
    while (g->plain_calls)
        pthread_cond_wait(&g->plain_over, &g->state);
    pthread_mutex_unlock(&g->state);
}

static void work_on(struct worker *w, struct prepared *p)
{
    struct err err;
    wait_for_plain(w->g);
    enum err_code rc = prepare(w, p, &err);
    if (rc == ERR_CANCELLED)
        give_back(w, &p->job);
    else if (rc == ERR_NOTFOUND)
        jobs_drop(w->g->opt.index, p->job.id);
    else if (rc)
        fail(w, &p->job, err.msg);
    if (rc) {
        arena_reset(&p->arena);
        return;
    }
    if (!w->n++)
        w->since_ms = clock_ms();
    w->n_chunks += p->content.n_chunks;
}

static void rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 200 * 1000 * 1000}, NULL);
}

static void *run(void *arg)
{
    struct worker *w = arg;
    struct err err;
    while (!stop_asked(&w->g->stop)) {
        struct prepared *p = &w->batch[w->n];
        enum err_code rc =
            jobs_take(w->g->opt.index, w->n == 0, &w->g->stop, &p->arena, &p->job, &err);
        if (!rc)
            work_on(w, p);
        else if (rc != ERR_NOTFOUND && rc != ERR_CANCELLED) {
            char quoted[300];
            log_error("ingest.take", "error=%s", log_quote(err.msg, quoted, sizeof(quoted)));
            rest();
        }
        bool full = w->n == BATCH_DOCUMENTS || w->n_chunks >= BATCH_CHUNKS;
        if (w->n && (rc || full || clock_ms() - w->since_ms > BATCH_MS))
            store(w);
    }
    if (w->n)
        store(w);
    return NULL;
}

/* ---- threads ---- */

void workers_join(struct ingest *g)
{
    for (int i = 0; i < g->n_workers; i++) {
        struct worker *w = &g->workers[i];
        pthread_join(w->thread, NULL);
        extractor_free(w->extractor);
        for (int k = 0; k < BATCH_DOCUMENTS; k++)
            arena_deinit(&w->batch[k].arena);
    }
    free(g->workers);
    g->workers = NULL;
    g->n_workers = 0;
}

enum err_code workers_start(struct ingest *g, struct err *err)
{
    int n = g->n_workers;
    g->n_workers = 0;
    g->workers = calloc((size_t)(n ? n : 1), sizeof(*g->workers));
    if (!g->workers)
        return err_set(err, ERR_NOMEM, "%d ingest workers", n);
    enum err_code rc = OK;
    for (int i = 0; i < n && !rc; i++) {
        struct worker *w = &g->workers[i];
        w->g = g;
        rc = extractor_new(&g->extract, &w->extractor, err);
        if (!rc && pthread_create(&w->thread, NULL, run, w)) {
            extractor_free(w->extractor);
            rc = err_set(err, ERR_NOMEM, "an ingest thread");
        }
        g->n_workers += !rc;
    }
    if (rc) {
        stop_set(&g->stop);
        jobs_wake(g->opt.index);
        workers_join(g);
    }
    return rc;
}
