#include "web/metrics.h"
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/vec.h"
#include "web/door.h"
#include "web/route.h"
#include "web/service.h"

/* Upper bounds in seconds; the last bucket has none. */
static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
                                5, 10};
#define BUCKETS (sizeof(bounds) / sizeof(*bounds) + 1)

struct histogram { atomic_llong bucket[BUCKETS]; _Atomic double sum_s; };

static const int statuses[] = {200, 202, 204, 303, 304, 400, 401, 403, 404, 405, 408, 409, 413,
                               415, 422, 429, 431, 499, 500, 501, 503, 505, 507};
#define STATUSES (sizeof(statuses) / sizeof(*statuses))
enum phase { PHASE_EMBED, PHASE_ANN, PHASE_WORDS, PHASE_FUSE, PHASE_TOTAL, PHASES };

struct per_route { atomic_llong status[STATUSES + 1]; struct histogram time; };

struct metrics {
    int n_routes;
    struct histogram search[PHASES], first_word;
    atomic_llong empty_searches, answers[ANSWER_KINDS];
    struct per_route routes[];       /* n_routes + 1: the last for what matched none */
};

struct metrics *metrics_new(int n_routes)
{
    struct metrics *m = calloc(1, sizeof(*m) + ((size_t)n_routes + 1) * sizeof(m->routes[0]));
    if (m)
        m->n_routes = n_routes;
    return m;
}

void metrics_free(struct metrics *m)
{
    free(m);
}

static void observe(struct histogram *h, double ms)
{
    size_t i = 0;
    while (i < BUCKETS - 1 && ms / 1000 > bounds[i])
        i++;
    atomic_fetch_add(&h->bucket[i], 1);
    double old = atomic_load(&h->sum_s);
    while (!atomic_compare_exchange_weak(&h->sum_s, &old, old + ms / 1000))
        ;
}

void metrics_request(struct metrics *m, int route, int status, double ms)
{
    struct per_route *p = &m->routes[route >= 0 ? route : m->n_routes];
    size_t i = 0;
    while (i < STATUSES && statuses[i] != status)
        i++;
    atomic_fetch_add(&p->status[i], 1);
    observe(&p->time, ms);
}

void metrics_search(struct metrics *m, const struct search_timings *t, int hits)
{
    observe(&m->search[PHASE_EMBED], t->embed_ms);
    observe(&m->search[PHASE_ANN], t->ann_ms);
    observe(&m->search[PHASE_WORDS], t->words_ms);
    observe(&m->search[PHASE_FUSE], t->fuse_ms);
    observe(&m->search[PHASE_TOTAL], t->total_ms);
    if (hits == 0)
        atomic_fetch_add(&m->empty_searches, 1);
}

void metrics_answer(struct metrics *m, enum answer_kind kind, double first_word_ms)
{
    atomic_fetch_add(&m->answers[kind], 1);
    if (first_word_ms >= 0)
        observe(&m->first_word, first_word_ms);
}

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(struct buf *b, const char *name, const char *help, double v)
{
    head(b, name, "gauge", help);
    buf_printf(b, "%s %.15g\n", name, v);
}

static void counter(struct buf *b, const char *name, const char *help, double v)
{
    head(b, name, "counter", help);
    buf_printf(b, "%s %.15g\n", name, v);
}

/* labels: `key="value"` or "". */
static void write_histogram(struct buf *b, const char *name, const char *labels,
                            const struct histogram *h)
{
    long long n = 0;
    const char *comma = labels[0] ? "," : "";
    for (size_t i = 0; i < BUCKETS; i++) {
        n += atomic_load(&h->bucket[i]);
        if (i < BUCKETS - 1)
            buf_printf(b, "%s_bucket{%s%sle=\"%g\"} %lld\n", name, labels, comma, bounds[i], n);
        else
            buf_printf(b, "%s_bucket{%s%sle=\"+Inf\"} %lld\n", name, labels, comma, n);
    }
    const char *open = labels[0] ? "{" : "", *close = labels[0] ? "}" : "";
    buf_printf(b, "%s_sum%s%s%s %.9g\n%s_count%s%s%s %lld\n", name, open, labels, close,
               atomic_load(&h->sum_s), name, open, labels, close, n);
}

static void write_requests(const struct metrics *m, struct buf *b)
{
    head(b, "carrel_http_requests_total", "counter", "Requests by route, method and status.");
    for (int i = 0; i <= m->n_routes; i++) {
        const struct route *t = i < m->n_routes ? route_at(i) : NULL;
        for (size_t s = 0; s <= STATUSES; s++) {
            long long n = atomic_load(&m->routes[i].status[s]);
            if (n > 0)
                buf_printf(b, "carrel_http_requests_total{route=\"%s\",method=\"%s\",code=\"%d\"} "
                           "%lld\n", t ? t->path : "none", t ? t->method : "any",
                           s < STATUSES ? statuses[s] : 0, n);
        }
    }
    head(b, "carrel_http_request_duration_seconds", "histogram", "From head to last byte.");
    for (int i = 0; i < m->n_routes; i++) {
        char labels[96];
        long long n = 0;
        for (size_t k = 0; k < BUCKETS; k++)
            n += atomic_load(&m->routes[i].time.bucket[k]);
        snprintf(labels, sizeof(labels), "route=\"%s\",method=\"%s\"", route_at(i)->path,
                 route_at(i)->method);
        if (n > 0)
            write_histogram(b, "carrel_http_request_duration_seconds", labels, &m->routes[i].time);
    }
}

static void write_search(const struct metrics *m, struct buf *b)
{
    static const char *const phase[] = {"embed", "ann", "fts", "fuse", "total"};
    static const char *const grounded[] = {"full", "partial", "none"};
    char labels[32];
    head(b, "carrel_search_duration_seconds", "histogram", "Searches over HTTP, by phase.");
    for (int i = 0; i < PHASES; i++) {
        snprintf(labels, sizeof(labels), "phase=\"%s\"", phase[i]);
        write_histogram(b, "carrel_search_duration_seconds", labels, &m->search[i]);
    }
    counter(b, "carrel_search_empty_total", "Searches that found nothing.",
            (double)atomic_load(&m->empty_searches));
    head(b, "carrel_answers_total", "counter", "Answers by how well they are grounded.");
    for (int i = 0; i < ANSWER_KINDS; i++)
        buf_printf(b, "carrel_answers_total{grounded=\"%s\"} %lld\n", grounded[i],
                   (long long)atomic_load(&m->answers[i]));
    head(b, "carrel_llm_time_to_first_token_seconds", "histogram", "Until the first word.");
    write_histogram(b, "carrel_llm_time_to_first_token_seconds", "", &m->first_word);
}

static void write_ingest(struct web *w, struct buf *b)
{
    struct ingest_stats s = {0};
    ingest_stats(w->opt.ingest, &s);
    head(b, "carrel_ingest_documents_total", "counter", "Documents read since the start.");
    buf_printf(b, "carrel_ingest_documents_total{result=\"ready\"} %lld\n"
               "carrel_ingest_documents_total{result=\"failed\"} %lld\n", (long long)s.documents,
               (long long)s.failed);
    head(b, "carrel_ingest_stage_duration_seconds", "summary", "Time by stage, over all workers.");
    const struct { const char *name; double ms; } stage[] = {
        {"extract", s.extract_ms}, {"chunk", s.chunk_ms}, {"embed", s.embed_ms},
        {"index", s.index_ms}};
    for (size_t i = 0; i < 4; i++)
        buf_printf(b, "carrel_ingest_stage_duration_seconds_sum{stage=\"%s\"} %.6f\n"
                   "carrel_ingest_stage_duration_seconds_count{stage=\"%s\"} %lld\n",
                   stage[i].name, stage[i].ms / 1000, stage[i].name,
                   (long long)(s.documents + s.failed));
    counter(b, "carrel_embed_tokens_total", "Tokens of documents embedded.", (double)s.tokens);
}

static void label_text(struct buf *b, const char *s)
{
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            buf_char(b, '\\');
        buf_char(b, *s);
    }
}

static void write_collections(struct web *w, struct buf *b)
{
    struct arena a = {0};
    struct collection *c;
    int n;
    head(b, "carrel_documents", "gauge", "Documents by collection.");
    if (index_collections(w->opt.index, &a, &c, &n, NULL) == OK)
        for (int i = 0; i < n; i++) {
            buf_puts(b, "carrel_documents{collection=\"");
            label_text(b, c[i].name);
            buf_printf(b, "\"} %lld\n", (long long)c[i].documents);
        }
    arena_deinit(&a);
}

static void write_store(struct web *w, struct buf *b)
{
    struct index_counts c = {0};
    if (index_counts(w->opt.index, &c, NULL) != OK)
        return;
    write_collections(w, b);
    gauge(b, "carrel_chunks", "Chunks in the store.", (double)c.chunks);
    head(b, "carrel_jobs", "gauge", "Jobs that have not ended.");
    buf_printf(b, "carrel_jobs{state=\"queued\"} %lld\ncarrel_jobs{state=\"running\"} %lld\n",
               (long long)c.jobs_waiting, (long long)c.jobs_running);
    gauge(b, "carrel_hnsw_nodes", "Vectors in the graphs.", (double)c.graph_nodes);
    gauge(b, "carrel_hnsw_deleted", "Of them, deleted.", (double)c.graph_deleted);
    head(b, "carrel_store_bytes", "gauge", "Bytes on disk.");
    buf_printf(b, "carrel_store_bytes{part=\"database\"} %lld\ncarrel_store_bytes{part=\"blobs\"} "
               "%lld\n", (long long)c.db_bytes, (long long)c.blob_bytes);
}

/* Of the language model that runs here; nothing where there is none. */
static void write_llm(struct web *w, struct buf *b)
{
    static const char *const kind[] = {"prompt", "reused", "generated", "proposed", "accepted"};
    json_t *o = llm_status_json(w->opt.llm);
    const json_t *tokens = json_object_get(o, "tokens"), *kv = json_object_get(o, "kv");
    const json_t *sessions = json_object_get(o, "sessions");
    if (tokens) {
        head(b, "carrel_llm_tokens_total", "counter", "Tokens computed, reused, guessed right.");
        for (int i = 0; i < 5; i++)
            buf_printf(b, "carrel_llm_tokens_total{kind=\"%s\"} %lld\n", kind[i],
                       (long long)field_int(tokens, kind[i], 0));
        head(b, "carrel_llm_sessions", "gauge", "Answers being written, and waiting.");
        buf_printf(b, "carrel_llm_sessions{state=\"running\"} %lld\n"
                   "carrel_llm_sessions{state=\"waiting\"} %lld\n",
                   (long long)field_int(sessions, "running", 0),
                   (long long)field_int(sessions, "waiting", 0));
        gauge(b, "carrel_llm_kv_pages", "Pages of the cache.", (double)field_int(kv, "pages", 0));
        gauge(b, "carrel_llm_kv_pages_free", "Pages that no answer holds.",
              (double)field_int(kv, "pages_free", 0));
        counter(b, "carrel_llm_passes_total", "Passes over the weights.",
                (double)field_int(o, "passes", 0));
    }
    json_decref(o);
}

static int open_files(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the listing itself */
}

static void write_process(struct buf *b)
{
    long pages = 0, resident = 0;
    struct rusage u;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f) {
        if (fscanf(f, "%ld %ld", &pages, &resident) != 2)
            resident = 0;
        fclose(f);
    }
    getrusage(RUSAGE_SELF, &u);
    gauge(b, "process_resident_memory_bytes", "Resident set.",
          (double)resident * (double)sysconf(_SC_PAGESIZE));
    gauge(b, "process_open_fds", "Open file descriptors.", open_files());
    counter(b, "process_cpu_seconds_total", "Processor time.",
            (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
}

void metrics_write(struct web *w, struct buf *b)
{
    head(b, "carrel_build_info", "gauge", "Version and kernels.");
    buf_puts(b, "carrel_build_info{version=\"");
    label_text(b, w->opt.version ? w->opt.version : "");
    buf_printf(b, "\",simd=\"%s\"} 1\n", vec_kernel());
    write_requests(w->metrics, b);
    gauge(b, "carrel_http_connections", "Open connections.",
          atomic_load(&w->handed) + door_waiting(w->door));
    write_search(w->metrics, b);
    write_ingest(w, b);
    write_store(w, b);
    write_llm(w, b);
    write_process(b);
}
