/* tests/bench/bench_ingest.c - documents a second, stage by stage, on one thread.
 *
 *   bench_ingest FOLDER     every regular file below it
 *
 * Prints name<TAB>input<TAB>metric<TAB>value: processor time (of our process, and
 * for reading of the reader's processes) and wall time of each stage. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "base/arena.h"
#include "base/clock.h"
#include "embed/embed.h"
#include "ingest/chunk.h"
#include "ingest/extract.h"

#define FILES_MAX 100000

static char **files;
static int n_files;

static int see(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)at;
    if (kind == FTW_F && n_files < FILES_MAX)
        files[n_files++] = strdup(path);
    return 0;
}

static double cpu_of(int who)
{
    struct rusage u;
    getrusage(who, &u);
    return (double)u.ru_utime.tv_sec * 1e3 + (double)u.ru_utime.tv_usec / 1e3 +
           (double)u.ru_stime.tv_sec * 1e3 + (double)u.ru_stime.tv_usec / 1e3;
}

static enum err_code count(void *arg, struct str text, int *n, struct err *err)
{
    return embed_count_tokens(arg, text, n, err);
}

static void say(const char *what, const char *metric, double value)
{
    printf("ingest\t%s\t%s\t%.3f\n", what, metric, value);
}

struct totals {
    double extract, chunk, embed;
    long documents, failed, chunks, bytes, tokens;
};

static enum err_code one(struct extractor *x, struct embed *e, const char *path, struct totals *t,
                         struct err *err)
{
    struct arena a = {0};
    struct extracted doc;
    struct chunk *chunks;
    int n = 0;
    double t0 = clock_ms();
    enum err_code rc = extract_file(x, path, path, "", NULL, &a, &doc, err);
    double t1 = clock_ms();
    t->extract += t1 - t0;
    if (rc) {
        t->failed += rc == ERR_FORMAT;
        arena_deinit(&a);
        return rc == ERR_FORMAT ? OK : rc;
    }
    struct chunk_options opt = {.count = count, .arg = e};
    rc = chunk_text(doc.text, &doc.layout, &opt, &a, &chunks, &n, err);
    double t2 = clock_ms();
    t->chunk += t2 - t1;
    int dim = embed_stamp(e)->dim;
    float *vectors = malloc(((size_t)n + 1) * (size_t)dim * sizeof(float));
    for (int i = 0; i < n && !rc; i++) {
        struct str text = str_sub(doc.text, chunks[i].start, chunks[i].end);
        rc = embed_texts(e, &text, 1, vectors + (size_t)i * (size_t)dim, NULL, NULL, err);
        t->tokens += chunks[i].tokens;
    }
    t->embed += clock_ms() - t2;
    t->documents++;
    t->chunks += n;
    t->bytes += (long)doc.text.len;
    free(vectors);
    arena_deinit(&a);
    return rc;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct extractor *x;
    struct embed *e;
    struct totals t = {0};
    char *program;
    files = calloc(FILES_MAX, sizeof(*files));
    if (argc < 2 || !files || nftw(argv[1], see, 32, FTW_PHYS)) {
        fprintf(stderr, "usage: bench_ingest FOLDER [CARREL-EXTRACT]\n");
        return 2;
    }
    char *slash = strrchr(argv[0], '/');
    if (asprintf(&program, "%.*s/../carrel-extract", (int)(slash ? slash - argv[0] : 1),
                 slash ? argv[0] : ".") < 0)
        return 1;
    enum err_code rc =
        extractor_new(&(struct extract_options){.program = argc > 2 ? argv[2] : program}, &x, &err);
    if (!rc)
        rc = embed_open(&(struct embed_options){0}, &e, &err);
    double start = clock_ms(), own = cpu_of(RUSAGE_SELF);
    for (int i = 0; i < n_files && !rc; i++)
        rc = one(x, e, files[i], &t, &err);
    if (rc) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    double wall = clock_ms() - start;
    say(argv[1], "documents", (double)t.documents);
    say(argv[1], "failed", (double)t.failed);
    say(argv[1], "text_MB", (double)t.bytes / 1e6);
    say(argv[1], "chunks", (double)t.chunks);
    say(argv[1], "tokens", (double)t.tokens);
    say(argv[1], "extract_wall_ms", t.extract);
    say(argv[1], "chunk_wall_ms", t.chunk);
    say(argv[1], "embed_wall_ms", t.embed);
    say(argv[1], "own_cpu_ms", cpu_of(RUSAGE_SELF) - own);
    extractor_free(x);
    say(argv[1], "reader_cpu_ms", cpu_of(RUSAGE_CHILDREN));
    say(argv[1], "documents_per_s", (double)t.documents / wall * 1e3);
    return 0;
}
