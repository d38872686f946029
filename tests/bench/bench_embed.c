/* tests/bench/bench_embed.c - tokens a second of the encoders, beside what the
 * machine's products reach in the same run.
 *
 * The BERT is of bge-small's shape (12 layers of 384) with random weights: speed
 * does not depend on their values. Prints name, input, metric and value, median
 * of several rounds, tab-separated. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/cpu.h"
#include "base/rng.h"
#include "embed/embed.h"
#include "model/gemm.h"
#include "tests/bench/bench.h"
#include "tests/bert_model.h"

#define ROUNDS 5
#define DIM 384
#define FFN 1536
#define LAYERS 12

/* GFLOP/s of the products that make up most of a BERT: OpenBLAS's, and ours. */
static void bench_products(struct team *team)
{
    enum { M = 1024 };
    struct arena a = {0};
    struct err err;
    must(gemm_init(&err), &err);
    float *x = bert_model_normals(&a, M * DIM, 0, 1);
    float *w = bert_model_normals(&a, FFN * DIM, 0, 1);
    float *y = arena_alloc(&a, M * FFN, sizeof(*y));
    size_t bytes = gemm_packed_floats(FFN, DIM) * sizeof(float);
    float *packed = aligned_alloc(64, (bytes + 63) / 64 * 64);
    memset(packed, 0, bytes);
    for (int r = 0; r < FFN; r++)
        gemm_pack_row(r, FFN, DIM, w + r * DIM, packed);
    double blas[ROUNDS], one[ROUNDS], all[ROUNDS], flop = 2e-6 * M * FFN * DIM;
    for (int i = 0; i < ROUNDS; i++) {
        double t0 = clock_ms();
        gemm(false, true, M, FFN, DIM, 1, x, DIM, w, DIM, 0, y, FFN);
        double t1 = clock_ms();
        gemm_rows(NULL, M, FFN, DIM, x, packed, NULL, y);
        double t2 = clock_ms();
        gemm_rows(team, M, FFN, DIM, x, packed, NULL, y);
        blas[i] = flop / (t1 - t0);
        one[i] = flop / (t2 - t1);
        all[i] = flop / (clock_ms() - t2);
    }
    show("gemm", gemm_kernel(), "gflops_one_thread", quantile(blas, ROUNDS, .5));
    show("gemm_rows", "1024x384x1536", "gflops_one_thread", quantile(one, ROUNDS, .5));
    show("gemm_rows", "1024x384x1536", "gflops_team", quantile(all, ROUNDS, .5));
    free(packed);
    arena_deinit(&a);
}

/* Multiply-adds of a token in a text of n tokens, twice. */
static double flop_of(int n)
{
    return 2.0 * LAYERS * (4.0 * DIM * DIM + 2.0 * DIM * FFN + 2.0 * n * DIM);
}

static void bench_texts(struct embed *e, const char *name, int words, int n)
{
    struct buf b = {0};
    struct err err;
    struct rng rng;
    rng_init(&rng, 7);
    struct str *texts = malloc((size_t)n * sizeof(*texts));
    float *out = malloc((size_t)n * (size_t)embed_stamp(e)->dim * sizeof(*out));
    for (int i = 0; i < words; i++)
        buf_printf(&b, "%c%c%c%c ", 'a', 'a' + (int)rng_below(&rng, 26),
                   'a' + (int)rng_below(&rng, 26), 'a' + (int)rng_below(&rng, 26));
    for (int i = 0; i < n; i++)
        texts[i] = buf_view(&b);
    double rate[ROUNDS];
    char input[64];
    int count = 0;
    must(embed_count_tokens(e, texts[0], &count, &err), &err);
    for (int i = 0; i < ROUNDS; i++) {
        double start = clock_ms();
        must(embed_texts(e, texts, n, out, NULL, NULL, &err), &err);
        rate[i] = (double)count * n / (clock_ms() - start) * 1000;
    }
    snprintf(input, sizeof(input), "%d texts of %d tokens", n, count);
    double middle = quantile(rate, ROUNDS, .5);
    show(name, input, "tokens_per_s", middle);
    show(name, input, "texts_per_s", middle / count);
    if (strcmp(embed_stamp(e)->arch, "bert") == 0)
        show(name, input, "gflops", middle * flop_of(count) / 1e9);
    free(texts);
    free(out);
    buf_free(&b);
}

static void bench_query(struct embed *e, const char *name)
{
    double ms[50];
    struct err err;
    float *out = malloc((size_t)embed_stamp(e)->dim * sizeof(*out));
    for (int i = 0; i < 50; i++) {
        double start = clock_ms();
        must(embed_query(e, STR("what does the annual report say about risk"), out, &err), &err);
        ms[i] = clock_ms() - start;
    }
    show(name, "question of 8 words", "ms_p50", quantile(ms, 50, .5));
    show(name, "question of 8 words", "ms_p95", ms[47]);
    free(out);
}

int main(void)
{
    char path[] = "/tmp/bench_embed_XXXXXX";
    struct team *team;
    struct embed *bert, *table;
    struct err err;
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    must(team_new(0, &team, &err), &err);
    show("machine", cpu_get()->name, "team", team_size(team));
    bench_products(team);
    const struct bert_model m = {.name = "bench", .layers = LAYERS, .dim = DIM, .heads = 12,
                                 .ffn = FFN, .context = 512, .pieces = 30522, .pooling = 2};
    must(bert_model_write(path, &m, &err), &err);
    must(embed_open(&(struct embed_options){.model_path = path, .team = team}, &bert, &err), &err);
    unlink(path);
    bench_texts(bert, "bert_small", 126, 64);
    bench_texts(bert, "bert_small", 510, 16);
    bench_texts(bert, "bert_small", 16, 256);
    bench_query(bert, "bert_small");
    embed_close(bert);
    must(embed_open(&(struct embed_options){.team = team}, &table, &err), &err);
    bench_texts(table, "table", 126, 2048);
    bench_query(table, "table");
    embed_close(table);
    team_free(team);
    return 0;
}
