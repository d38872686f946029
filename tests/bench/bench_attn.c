/* bench_attn - attention in the shapes of Llama-3.2-1B (8 KV heads, 4 query heads
 * to each, 64 dimensions), one thread: a layer's prefill of 2,048 tokens in slices
 * of 512, and its decode at 2,048 and 8,192 positions, beside this processor's
 * peak of FMA measured in the same run. Times are the thread's own, the least of
 * several. Prints name<TAB>input<TAB>metric<TAB>value. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/rng.h"
#include "model/attn.h"
#include "model/mat_float_int.h"

enum { HEADS = 8, GROUP = 4, DIM = 64, SLICE = 512, ROUNDS = 5 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Multiply-adds a second of a tile that stays in the first-level cache. */
static double peak(void)
{
    static _Alignas(64) float x[12 * 256], w[2][256 * 16], y[12 * 64];
    const struct mat_float_kernels *k = mat_float_kernels();
    struct mat_float_tile t = {.w = {(uint8_t *)w[0], (uint8_t *)w[1]}, .step = 64, .x = x, .y = y,
                               .ldx = 256, .ldy = 64, .rows = k->rows, .k = 256, .first = true};
    double least = 1e9;
    for (int r = 0; r < 20; r++) {
        double start = now();
        for (int i = 0; i < 500; i++)
            k->tile(MAT_FLOAT_F32, &t);
        double took = now() - start;
        least = took < least ? took : least;
    }
    return 500.0 * k->rows * 16 * k->panels[k->rows] * 256 / least;
}

struct layer {
    struct attn_job job;
    void **pages;
    float *q, *out;
    void *scratch;
};

static struct layer layer_new(enum attn_type type, int end)
{
    struct rng rng;
    rng_init(&rng, 1);
    struct layer l = {.job = {.type = type, .head_dim = DIM, .group = GROUP, .scale = 0.125f,
                              .ldq = HEADS * GROUP * DIM, .ldo = HEADS * GROUP * DIM}};
    size_t part = attn_page_bytes(type, DIM), row = l.job.ldq;
    l.pages = malloc((size_t)(end / ATTN_PAGE) * sizeof(*l.pages));
    float kv[DIM];
    for (int p = 0; p < end; p++) {
        if (p % ATTN_PAGE == 0)
            l.pages[p / ATTN_PAGE] = aligned_alloc(64, HEADS * part);
        for (int h = 0; h < HEADS; h++) {
            for (int i = 0; i < DIM; i++)
                kv[i] = (float)rng_normal(&rng);
            attn_put(type, DIM, (char *)l.pages[p / ATTN_PAGE] + (size_t)h * part, p % ATTN_PAGE,
                     kv, kv);
        }
    }
    l.job.pages = l.pages;
    l.q = malloc(SLICE * row * sizeof(float));
    l.out = malloc(SLICE * row * sizeof(float));
    for (size_t i = 0; i < SLICE * row; i++)
        l.q[i] = (float)rng_normal(&rng);
    l.job.n_rows = SLICE;
    l.scratch = malloc(attn_scratch_bytes(&l.job, end));
    return l;
}

static void layer_free(struct layer *l, int end)
{
    for (int i = 0; i < end / ATTN_PAGE; i++)
        free(l->pages[i]);
    free(l->pages);
    free(l->q);
    free(l->out);
    free(l->scratch);
}

static void run(struct layer *l, int pos0, int n)
{
    for (int h = 0; h < HEADS; h++) {
        struct attn_job j = l->job;
        j.part = (size_t)h * attn_page_bytes(j.type, DIM);
        j.q = l->q + h * GROUP * DIM;
        j.out = l->out + h * GROUP * DIM;
        j.pos0 = pos0;
        j.n_rows = n;
        attn_run(&j, l->scratch);
    }
}

static void prefill(const char *name, enum attn_type type, double top)
{
    int end = 2048;
    struct layer l = layer_new(type, end);
    double least = 1e9;
    for (int r = 0; r < ROUNDS; r++) {
        double start = now();
        for (int pos = 0; pos < end; pos += SLICE)
            run(&l, pos, SLICE);
        double took = now() - start;
        least = took < least ? took : least;
    }
    double macs = (double)HEADS * GROUP * DIM * 2 * end * (end + 1) / 2;
    printf("attn.prefill\t%s 2048\tms a layer\t%.4g\n", name, least * 1e3);
    printf("attn.prefill\t%s 2048\tof FMA peak\t%.3f\n", name, macs / least / top);
    layer_free(&l, end);
}

static void decode(const char *name, enum attn_type type, int end, double top)
{
    struct layer l = layer_new(type, end);
    double least = 1e9, bytes = (double)HEADS * end / ATTN_PAGE * (double)attn_page_bytes(type, DIM);
    for (int r = 0; r < ROUNDS * 20; r++) {
        double start = now();
        run(&l, end - 1, 1);
        double took = now() - start;
        least = took < least ? took : least;
    }
    double macs = (double)HEADS * GROUP * DIM * 2 * end;
    printf("attn.decode\t%s %d\tus a layer\t%.4g\n", name, end, least * 1e6);
    printf("attn.decode\t%s %d\tGB/s\t%.4g\n", name, end, bytes / least * 1e-9);
    printf("attn.decode\t%s %d\tof FMA peak\t%.3f\n", name, end, macs / least / top);
    layer_free(&l, end);
}

int main(void)
{
    double top = peak();
    printf("attn.peak\t%s\tGMAC/s\t%.4g\n", mat_float_kernels()->name, top * 1e-9);
    static const char *const names[] = {"F32", "F16", "Q8"};
    for (int type = ATTN_F32; type <= ATTN_Q8; type++) {
        prefill(names[type], (enum attn_type)type, top);
        decode(names[type], (enum attn_type)type, 2048, top);
        decode(names[type], (enum attn_type)type, 8192, top);
    }
    return 0;
}
