/* cmd/bench.c - `carrel bench`: a small measure of this machine, a minute at most. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/vec.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/open.h"

enum {
    TEXT_WORDS = 120,
    EMBED_TEXTS = 2000,
    STORE_DOCS = 2000,
    STORE_BATCH = 100,
    QUERIES = 200,
    SYNCS = 100
};

struct bench {
    struct cmd c;
    struct rooms rooms;
    struct stop *stop;
    struct rng rng;
    char scratch[256];
};

/* A value of a measure: a line, or a JSON line. */
static void tell(const struct bench *b, const char *name, const char *input, const char *metric,
                 double v)
{
    if (b->c.json)
        cmd_json(json_pack("{s:s,s:s,s:s,s:f}", "name", name, "input", input, "metric", metric,
                           "value", v));
    else
        printf("%s\t%s\t%s\t%.6g\n", name, input, metric, v);
    fflush(stdout);
}

/* Words in no order, the same on every machine. */
static void make_text(struct bench *b, struct buf *out, int words)
{
    static const char *const known[] = {
        "budget",    "river",    "contract", "window",  "engine",    "harvest",   "doctor",
        "signal",    "paper",    "market",   "winter",  "report",    "garden",    "password",
        "teacher",   "bridge",   "invoice",  "planet",  "kitchen",   "battery",   "lawyer",
        "forest",    "message",  "camera",   "salary",  "island",    "printer",   "village",
        "protein",   "airport",  "railway",  "museum",  "insurance", "compiler",  "bicycle",
        "volcano",   "election", "hospital", "library", "tenant",    "satellite", "vaccine",
        "orchestra", "glacier",  "mortgage", "server",  "passport",  "umbrella",  "warranty",
        "festival",
    };
    buf_reset(out);
    for (int i = 0; i < words; i++) {
        buf_puts(out, i ? " " : "");
        buf_puts(out, known[rng_below(&b->rng, sizeof(known) / sizeof(*known))]);
        if (i % 12 == 11)
            buf_char(out, '.');
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* p50 and p99 of ms[n], which is sorted. */
static void tell_times(const struct bench *b, const char *name, const char *input, double *ms,
                       int n)
{
    qsort(ms, (size_t)n, sizeof(*ms), by_value);
    tell(b, name, input, "p50_ms", ms[n / 2]);
    tell(b, name, input, "p99_ms", ms[n * 99 / 100]);
}

static enum err_code bench_dot(struct bench *b, struct err *err)
{
    enum { DIM = 768, ROWS = 4096 };
    float *v = malloc(sizeof(*v) * DIM * ROWS);
    if (!v)
        return err_set(err, ERR_NOMEM, "vectors");
    for (size_t i = 0; i < (size_t)DIM * ROWS; i++)
        v[i] = (float)rng_unit(&b->rng) - 0.5f;
    double begun = clock_ms(), sum = 0;
    int rounds = 0;
    for (; clock_ms() - begun < 500; rounds++)
        for (int r = 0; r < ROWS; r++)
            sum += (double)vec_dot(v, v + (size_t)r * DIM, DIM);
    double s = (clock_ms() - begun) / 1000;
    tell(b, "dot", sum > -1e30 ? "768 floats" : "", "per_s", (double)rounds * ROWS / s);
    free(v);
    return OK;
}

static enum err_code bench_sync(struct bench *b, struct err *err)
{
    char path[300];
    double ms[SYNCS];
    static const char page[4096];
    snprintf(path, sizeof(path), "%s/sync", b->scratch);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, "%s", path);
    enum err_code rc = OK;
    for (int i = 0; i < SYNCS && !rc; i++) {
        double begun = clock_ms();
        rc = file_write_all(fd, page, sizeof(page), err);
        if (!rc && fdatasync(fd) != 0)
            rc = err_errno(err, "%s", path);
        ms[i] = clock_ms() - begun;
    }
    close(fd);
    if (!rc)
        tell_times(b, "sync", "4 KiB in the scratch folder", ms, SYNCS);
    return rc;
}

static enum err_code bench_embed(struct bench *b, struct err *err)
{
    struct embed *e = b->rooms.embed;
    struct buf text = {0};
    int dim = embed_stamp(e)->dim, tokens = 0;
    int64_t all = 0;
    enum err_code rc = OK;
    float *v = malloc(sizeof(*v) * (size_t)dim);
    if (!v)
        return err_set(err, ERR_NOMEM, "a vector");
    double begun = clock_ms();
    int n = 0;
    for (; n < EMBED_TEXTS && !rc && clock_ms() - begun < 10000; n++) {
        make_text(b, &text, TEXT_WORDS);
        struct str s = buf_view(&text);
        rc = embed_texts(e, &s, 1, v, &tokens, b->stop, err);
        all += tokens;
    }
    double s = (clock_ms() - begun) / 1000;
    free(v);
    buf_free(&text);
    if (rc)
        return rc;
    tell(b, "embed", "120 words", "texts_per_s", n / s);
    tell(b, "embed", "120 words", "tokens_per_s", (double)all / s);
    return OK;
}

static enum err_code fill_store(struct bench *b, struct err *err)
{
    struct plain docs[STORE_BATCH];
    struct buf texts[STORE_BATCH] = {0};
    char names[STORE_BATCH][24];
    enum err_code rc = OK;
    for (int done = 0; done < STORE_DOCS && !rc; done += STORE_BATCH) {
        for (int i = 0; i < STORE_BATCH; i++) {
            snprintf(names[i], sizeof(names[i]), "doc %d", done + i);
            make_text(b, &texts[i], TEXT_WORDS);
            docs[i] = (struct plain){names[i], STR(""), buf_view(&texts[i])};
        }
        rc = ingest_plain(b->rooms.ingest, "default", docs, STORE_BATCH, b->stop, err);
    }
    for (int i = 0; i < STORE_BATCH; i++)
        buf_free(&texts[i]);
    return rc;
}

static enum err_code bench_store(struct bench *b, struct err *err)
{
    struct collection made;
    struct arena a = {0};
    double ms[QUERIES];
    struct buf text = {0};
    enum err_code rc = ingest_collection(b->rooms.ingest, "default", true, &a, &made, err);
    double begun = clock_ms();
    if (!rc)
        rc = fill_store(b, err);
    double s = (clock_ms() - begun) / 1000;
    for (int i = 0; i < QUERIES && !rc; i++) {
        struct search_result found;
        make_text(b, &text, 6);
        const struct search_request r = {.query = buf_view(&text), .top_k = 10};
        arena_reset(&a);
        begun = clock_ms();
        rc = query_search(b->rooms.query, &r, &a, &found, err);
        ms[i] = clock_ms() - begun;
    }
    arena_deinit(&a);
    buf_free(&text);
    if (rc)
        return rc;
    tell(b, "index", "2000 texts of 120 words", "texts_per_s", STORE_DOCS / s);
    tell_times(b, "search", "2000 passages", ms, QUERIES);
    return OK;
}

static const struct measure {
    const char *name;
    enum err_code (*run)(struct bench *b, struct err *err);
} measures[] = {
    {"dot", bench_dot}, {"sync", bench_sync}, {"embed", bench_embed}, {"search", bench_store}};
enum { N_MEASURES = sizeof(measures) / sizeof(*measures) };

static enum err_code open_scratch(struct bench *b, struct err *err)
{
    struct config *config = NULL;
    const char *tmp = getenv("TMPDIR");
    snprintf(b->scratch, sizeof(b->scratch), "%s/carrel-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(b->scratch)) {
        b->scratch[0] = 0;
        return err_errno(err, "a scratch folder in %s", tmp && *tmp ? tmp : "/tmp");
    }
    enum err_code rc = open_config(&b->c, &config, err);
    if (!rc)
        rc = config_set(config, "store.dir", b->scratch, "bench", err);
    if (!rc)
        rc = rooms_open(&config, WANT_QUERY | WANT_INGEST | WANT_CREATE | WANT_VOLATILE, &b->rooms,
                        err);
    open_config_free(config);
    return rc;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

int cmd_bench(int argc, char **argv)
{
    struct bench b = {0};
    const struct args_usage u = {
        "bench",
        "[dot | sync | embed | search]",
        "Measure this machine: products of vectors, durable writes, the encoder, searches\n"
        "in a scratch store. Lines of name, input, metric and value, with tabs between.",
        NULL,
        0,
        true};
    int status, n = args_parse(&u, &b.c, argc, argv, &status);
    if (n < 0)
        return status;
    bool known = n == 0;
    for (int i = 0; n == 1 && i < N_MEASURES; i++)
        known |= strcmp(argv[0], measures[i].name) == 0;
    if (!known)
        return args_wrong(&u, &b.c, "bench takes dot, sync, embed or search");
    struct err err;
    b.stop = cmd_catch_signals();
    rng_init(&b.rng, 7);
    enum err_code rc = open_scratch(&b, &err);
    if (!rc)
        cmd_note("%s, %d processors", cpu_get()->name, cpu_get()->cores);
    for (int i = 0; i < N_MEASURES && !rc; i++)
        if (n == 0 || strcmp(argv[0], measures[i].name) == 0)
            rc = measures[i].run(&b, &err);
    rooms_close(&b.rooms);
    if (*b.scratch)
        nftw(b.scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return rc ? cmd_fail(&b.c, rc, &err) : cmd_done(CMD_OK);
}
