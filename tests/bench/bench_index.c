/* bench_index [CHUNKS] - a store of that many chunks (100,000): how fast it
 * takes them, and how fast it finds. Texts are made of a Zipf vocabulary, 200
 * words a chunk, 4 chunks a document; vectors are clustered, 384 floats. The
 * vocabulary's head is as heavy as English's: a question of 8 words takes some
 * from anywhere. Prints name<TAB>input<TAB>metric<TAB>value. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/vec.h"
#include "index/blobs.h"
#include "index/index.h"
#include "index/jobs.h"
#include "tests/clusters.h"

enum { DIM = 384, WORDS = 200, PER_DOC = 4, BATCH = 64, QUERIES = 500, VOCABULARY = 50000 };

static char input[32];

static void tell(const char *name, const char *metric, double value)
{
    printf("%s\t%s\t%s\t%.4g\n", name, input, metric, value);
    fflush(stdout);
}

static void must(enum err_code rc, const struct err *err)
{
    if (rc) {
        fprintf(stderr, "%s\n", err->msg);
        exit(1);
    }
}

/* Zipf with exponent 1 by inversion of its continuous twin. */
static int zipf(struct rng *r)
{
    return (int)exp(rng_unit(r) * log((double)VOCABULARY)) - 1;
}

static void put_word(struct buf *b, int rank)
{
    static const char *const s[] = {"ba", "ce", "di", "fo", "gu", "ha", "le", "mi", "no", "pu",
                                    "ra", "se", "ti", "vo", "zu", "qua"};
    buf_puts(b, "w");
    for (int v = rank + 1; v; v /= 16)
        buf_puts(b, s[v % 16]);
}

static void make_text(struct buf *b, struct chunk *chunks, struct rng *r)
{
    buf_reset(b);
    for (int c = 0; c < PER_DOC; c++) {
        chunks[c] = (struct chunk){.start = (uint32_t)b->len, .tokens = WORDS,
                                   .heading = STR("A Title")};
        for (int w = 0; w < WORDS; w++) {
            put_word(b, zipf(r));
            buf_char(b, w % 15 == 14 ? '.' : ' ');
        }
        chunks[c].end = (uint32_t)b->len;
    }
}

static void load_batch(struct index *x, int first, int n, const float *vectors, struct rng *r)
{
    struct err err = {0};
    struct new_document docs[BATCH];
    struct added added[BATCH];
    struct content content[BATCH];
    struct buf text[BATCH] = {{0}};
    struct chunk chunks[BATCH][PER_DOC];
    const char *ids[BATCH];
    char names[BATCH][24];
    for (int i = 0; i < n; i++) {
        make_text(&text[i], chunks[i], r);
        struct blob *b;
        must(blob_begin(x, text[i].len, &b, &err), &err);
        must(blob_write(b, text[i].ptr, text[i].len, &err), &err);
        must(blob_finish(b, &err), &err);
        snprintf(names[i], sizeof(names[i]), "doc %d", first + i);
        docs[i] = (struct new_document){"bench", names[i], "", "text/plain",
                                        (first + i) % 10 ? "{\"tenth\":false}" : "{\"tenth\":true}",
                                        b};
        content[i] = (struct content){.text = buf_view(&text[i]), .title = "", .mime = "",
                                      .chunks = chunks[i], .n_chunks = PER_DOC,
                                      .vectors = vectors + (size_t)(first + i) * PER_DOC * DIM};
    }
    must(index_add(x, docs, n, added, &err), &err);
    for (int i = 0; i < n; i++)
        ids[i] = added[i].id;
    must(index_put_many(x, n, ids, content, &err), &err);
    for (int i = 0; i < n; i++)
        buf_free(&text[i]);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void tell_times(const char *name, double *ms, int n)
{
    qsort(ms, (size_t)n, sizeof(*ms), by_value);
    tell(name, "p50_ms", ms[n / 2]);
    tell(name, "p95_ms", ms[n * 95 / 100]);
    tell(name, "p99_ms", ms[n * 99 / 100]);
}

static void exact(const float *vectors, int n, const float *q, struct near_hit best[10])
{
    int found = 0;
    for (int i = 0; i < n; i++) {
        float score = vec_dot(q, vectors + (size_t)i * DIM, DIM);
        if (found == 10 && score <= best[9].score)
            continue;
        int at = found < 10 ? found++ : 9;
        for (; at > 0 && best[at - 1].score < score; at--)
            best[at] = best[at - 1];
        best[at] = (struct near_hit){i + 1, score};
    }
}

static void bench_near(struct index *x, const float *vectors, int n, const float *queries, int ef)
{
    double ms[QUERIES], brute = 0;
    struct near_hit hits[10], best[10];
    struct err err = {0};
    int right = 0, found;
    char name[32];
    for (int i = 0; i < QUERIES; i++) {
        const float *q = queries + (size_t)i * DIM;
        double t = clock_ms();
        must(index_near(x, "bench", q, 10, ef, NULL, hits, &found, &err), &err);
        ms[i] = clock_ms() - t;
        t = clock_ms();
        exact(vectors, n, q, best);
        brute += clock_ms() - t;
        for (int a = 0; a < found; a++)
            for (int b = 0; b < 10; b++)
                right += hits[a].chunk == best[b].chunk;
    }
    snprintf(name, sizeof(name), "near_ef%d", ef);
    double total = 0;
    for (int i = 0; i < QUERIES; i++)
        total += ms[i];
    tell(name, "recall_at_10", right / (10.0 * QUERIES));
    tell(name, "times_faster_than_brute_force", brute / total);
    tell_times(name, ms, QUERIES);
}

static void bench_words(struct index *x, struct rng *r, const char *name, int terms, int skip,
                        const char *filter)
{
    double ms[QUERIES];
    struct near_hit hits[100];
    struct err err = {0};
    struct buf q = {0};
    int found;
    for (int i = 0; i < QUERIES; i++) {
        buf_reset(&q);
        for (int w = 0; w < terms; w++) {
            int rank;
            while ((rank = zipf(r)) < skip)   /* the head is function words: not asked for */
                ;
            put_word(&q, rank);
            buf_char(&q, ' ');
        }
        double t = clock_ms();
        must(index_words(x, "bench", buf_view(&q), 100, filter, hits, &found, &err), &err);
        ms[i] = clock_ms() - t;
    }
    buf_free(&q);
    tell_times(name, ms, QUERIES);
}

static void bench_fetch(struct index *x, struct rng *r, int n)
{
    double ms[QUERIES];
    struct err err = {0};
    struct arena a = {0};
    for (int i = 0; i < QUERIES; i++) {
        int64_t ids[10];
        struct stored_chunk *chunks;
        int found;
        for (int k = 0; k < 10; k++)
            ids[k] = 1 + (int64_t)rng_below(r, (uint64_t)n);
        double t = clock_ms();
        must(index_chunks_by_id(x, ids, 10, &a, &chunks, &found, &err), &err);
        ms[i] = clock_ms() - t;
        arena_reset(&a);
    }
    arena_deinit(&a);
    tell_times("fetch_10", ms, QUERIES);
}

static void bench_filtered(struct index *x, const float *queries)
{
    double ms[QUERIES];
    struct near_hit hits[10];
    struct err err = {0};
    int found;
    for (int i = 0; i < 50; i++) {
        double t = clock_ms();
        must(index_near(x, "bench", queries + (size_t)i * DIM, 10, 128, "{\"tenth\":true}", hits,
                        &found, &err), &err);
        ms[i] = clock_ms() - t;
    }
    tell_times("near_filtered_tenth", ms, 50);
}

static void settle(struct index *x, int n)
{
    struct index_counts counts;
    struct err err = {0};
    do {
        usleep(50000);
        must(index_counts(x, &counts, &err), &err);
    } while (counts.graph_nodes < n);
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 100000;
    int docs = (n + PER_DOC - 1) / PER_DOC;
    char dir[] = "/tmp/bench_index.XXXXXX", command[80];
    struct err err = {0};
    struct arena a = {0};
    struct collection c;
    struct index *x;
    struct rng r;
    n = docs * PER_DOC;
    log_set_level(LOG_WARN);
    snprintf(input, sizeof(input), "%d chunks", n);
    float *vectors = clustered_vectors(n + QUERIES, DIM, 7), *queries = vectors + (size_t)n * DIM;
    if (!vectors || !mkdtemp(dir))
        return 1;
    struct index_options opt = {.dir = dir};
    must(index_open(&opt, &x, &err), &err);
    must(index_collection(x, "bench", "{}", DIM, "{}", true, &a, &c, &err), &err);
    rng_init(&r, 3);
    double t = clock_ms();
    for (int i = 0; i < docs; i += BATCH)
        load_batch(x, i, docs - i < BATCH ? docs - i : BATCH, vectors, &r);
    tell("load", "chunks_per_s", n / (clock_ms() - t) * 1000);
    settle(x, n);
    tell("load_and_link", "chunks_per_s", n / (clock_ms() - t) * 1000);
    bench_near(x, vectors, n, queries, 64);
    bench_near(x, vectors, n, queries, 128);
    bench_filtered(x, queries);
    bench_words(x, &r, "words_8", 8, 100, NULL);
    bench_words(x, &r, "words_8_with_heavy", 8, 10, NULL);
    bench_words(x, &r, "words_3", 3, 100, NULL);
    bench_words(x, &r, "words_8_filtered", 8, 100, "{\"tenth\":true}");
    bench_fetch(x, &r, n);
    t = clock_ms();
    index_close(x);
    tell("close", "ms", clock_ms() - t);
    t = clock_ms();
    must(index_open(&opt, &x, &err), &err);
    tell("open", "ms", clock_ms() - t);
    struct index_counts counts;
    must(index_counts(x, &counts, &err), &err);
    tell("store", "db_bytes_per_chunk", (double)counts.db_bytes / n);
    index_close(x);
    arena_deinit(&a);
    free(vectors);
    snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command) != 0;
}
