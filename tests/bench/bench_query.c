/* tests/bench/bench_query.c - time of a search and of an answer.
 *
 * bench_query [DOCUMENTS] makes that many texts (1000) of words drawn by Zipf's
 * law from 8,000 made-up ones, seed 1, in a scratch store, and asks 200
 * questions of five of their words. Prints name, input, metric, value. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/rng.h"
#include "ingest/ingest.h"
#include "query/query.h"

#define WORDS     8000
#define SENTENCES 24
#define QUESTIONS 200
#define BATCH     100

static void must(enum err_code rc, const struct err *err)
{
    if (!rc)
        return;
    fprintf(stderr, "bench_query: %s\n", err->msg);
    exit(1);
}

/* A pronounceable word for each number, rare ones longer. */
static void word(int n, struct buf *b)
{
    static const char *const part[] = {"ba",  "de",  "ki",  "lo",  "mu",  "na",  "re",
                                       "si",  "to",  "vu",  "pra", "ste", "gli", "cho",
                                       "fru", "wen", "zan", "hel", "dor", "qui"};
    do
        buf_puts(b, part[n % 20]);
    while ((n /= 20) > 0);
}

static int zipf(struct rng *r)
{
    int n = (int)(1 / (rng_unit(r) * (1 - 1.0 / WORDS) + 1.0 / WORDS)) - 1;
    return (int)rng_below(r, 2) ? n : (int)rng_below(r, WORDS);
}

static void text(struct rng *r, struct buf *b)
{
    for (int s = 0; s < SENTENCES; s++) {
        for (int w = 0; w < 14; w++) {
            if (w)
                buf_char(b, ' ');
            word(zipf(r), b);
        }
        buf_puts(b, ". ");
    }
}

static void fill(struct ingest *g, int documents, struct rng *r)
{
    struct err err;
    struct plain p[BATCH];
    struct buf bytes[BATCH] = {{0}};
    char name[BATCH][32];
    for (int at = 0; at < documents; at += BATCH) {
        int n = documents - at < BATCH ? documents - at : BATCH;
        for (int i = 0; i < n; i++) {
            buf_reset(&bytes[i]);
            text(r, &bytes[i]);
            snprintf(name[i], sizeof(name[i]), "%d", at + i);
            p[i] = (struct plain){name[i], STR(""), buf_view(&bytes[i])};
        }
        must(ingest_plain(g, "default", p, n, NULL, &err), &err);
    }
    for (int i = 0; i < BATCH; i++)
        buf_free(&bytes[i]);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(int documents, const char *metric, double *ms)
{
    qsort(ms, QUESTIONS, sizeof(*ms), by_value);
    printf("query\t%d documents\t%s p50 ms\t%.3f\n", documents, metric, ms[QUESTIONS / 2]);
    printf("query\t%d documents\t%s p95 ms\t%.3f\n", documents, metric, ms[QUESTIONS * 95 / 100]);
}

static void measure(struct query *q, int documents, struct rng *r)
{
    static double ms[6][QUESTIONS];
    static const char *const NAME[] = {"search",       "search.embed", "search.ann",
                                       "search.words", "search.fuse",  "ask"};
    struct buf question = {0};
    for (int i = 0; i < QUESTIONS; i++) {
        struct err err;
        struct arena a = {0};
        struct search_result found;
        json_t *reply = NULL;
        buf_reset(&question);
        for (int w = 0; w < 5; w++) {
            word(zipf(r), &question);
            buf_char(&question, ' ');
        }
        struct search_request s = {.query = buf_view(&question)};
        must(query_search(q, &s, &a, &found, &err), &err);
        double parts[] = {found.ms.total_ms, found.ms.embed_ms, found.ms.ann_ms, found.ms.words_ms,
                          found.ms.fuse_ms};
        double began = clock_ms();
        struct ask_request k = {.question = buf_view(&question)};
        must(query_ask(q, &k, NULL, NULL, &reply, &err), &err);
        ms[5][i] = clock_ms() - began;
        for (int m = 0; m < 5; m++)
            ms[m][i] = parts[m];
        json_decref(reply);
        arena_deinit(&a);
    }
    for (int m = 0; m < 6; m++)
        report(documents, NAME[m], ms[m]);
    buf_free(&question);
}

int main(int argc, char **argv)
{
    int documents = argc > 1 ? atoi(argv[1]) : 1000;
    char dir[] = "/tmp/carrel-bench-XXXXXX", command[64];
    struct err err;
    struct index *x;
    struct embed *e;
    struct ingest *g;
    struct llm *m;
    struct query *q;
    struct collection c;
    struct arena a = {0};
    struct rng r;
    if (documents < 1 || !mkdtemp(dir))
        return 2;
    rng_init(&r, 1);
    must(index_open(&(struct index_options){.dir = dir, .volatile_store = true}, &x, &err), &err);
    must(embed_open(&(struct embed_options){0}, &e, &err), &err);
    must(ingest_start(
             &(struct ingest_options){
                 .index = x, .embed = e, .workers = 1, .extract_path = "/bin/true"},
             &g, &err),
         &err);
    must(ingest_collection(g, "default", true, &a, &c, &err), &err);
    must(llm_open(&(struct llm_options){0}, &m, &err), &err);
    must(query_new(
             &(struct query_options){
                 .index = x, .embed = e, .llm = m, .dense_weight = -1, .min_evidence = -1},
             &q, &err),
         &err);
    double began = clock_ms();
    fill(g, documents, &r);
    printf("query\t%d documents\tfill ms\t%.0f\n", documents, clock_ms() - began);
    measure(q, documents, &r);
    query_free(q);
    llm_close(m);
    ingest_stop(g);
    embed_close(e);
    index_close(x);
    arena_deinit(&a);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command) != 0;
}
