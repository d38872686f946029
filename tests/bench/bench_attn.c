/* bench_attn - attention in the shapes of models that people use, beside what this
 * machine can do at most, measured in the same run: a layer's prefill of 2,048
 * tokens as a share of the peak of FMA, in jobs as a pass cuts them, on one thread;
 * and a row's decode as a share of the rate at which memory is read, by one thread
 * and by two, over a cache larger than the processor's own and laid out as kvcache.c
 * lays it out. Of several rounds the least time, or the median of pairs.
 * Prints name<TAB>input<TAB>metric<TAB>value.
 *
 *   BENCH_ATTN=prefill (or decode)      only that
 *   BENCH_SHAPE=llama-3.2-1b            only this shape
 *   BENCH_QUICK=1                       only F16, and at 2,048 positions */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/rng.h"
#include "model/attn.h"
#include "tests/bench/bench.h"
#include "tests/bench/machine.h"

#define SLICE 512                      /* rows of a pass */
#define BLOCK 64                       /* rows of a job */
#define CACHE ((size_t)160 << 20)      /* bytes, or all that the shape needs */
#define PARTS 64                       /* different pages' parts in it */

struct shape { const char *name; int kv_heads, group, dim; };
static const struct shape shapes[] = {
    {"qwen2.5-0.5b", 2, 7, 64},
    {"llama-3.2-1b", 8, 4, 64},
    {"qwen3-4b", 8, 4, 128},
    {"gpt-2", 12, 1, 64},
};

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- a cache of as many layers as fill it ---- */

struct cache {
    const struct shape *s;
    enum attn_type type;
    int end, layers;
    size_t part, page, bytes;          /* of a head in a page, of a page, of all */
    uint8_t *map;
    void **pages;
    float *q, *out;                    /* [SLICE][ld] */
    size_t ld, scratch_bytes;
    uint8_t *scratch;                  /* [2][scratch_bytes] */
    int layer;                         /* that is decoded */
};

/* Parts of normal numbers, put into all pages in no order. */
static void fill(struct cache *c, struct rng *rng)
{
    uint8_t *parts = aligned_alloc(64, PARTS * c->part);
    float k[ATTN_HEAD_MAX], v[ATTN_HEAD_MAX];
    for (int slot = 0; slot < PARTS * ATTN_PAGE; slot++) {
        for (int i = 0; i < c->s->dim; i++) {
            k[i] = (float)rng_normal(rng);
            v[i] = (float)rng_normal(rng);
        }
        attn_put(c->type, c->s->dim, parts + (size_t)(slot / ATTN_PAGE) * c->part,
                 slot % ATTN_PAGE, k, v);
    }
    for (size_t at = 0; at < c->bytes; at += c->part)
        memcpy(c->map + at, parts + rng_below(rng, PARTS) * c->part, c->part);
    free(parts);
}

static struct attn_job job_of(const struct cache *c, int layer, int head, int row, int n)
{
    const struct shape *s = c->s;
    size_t at = (size_t)row * c->ld + (size_t)(head * s->group * s->dim);
    return (struct attn_job){
        .type = c->type, .head_dim = s->dim, .group = s->group, .scale = 0.125f,
        .pages = c->pages, .part = (size_t)(layer * s->kv_heads + head) * c->part,
        .n_rows = n, .q = c->q + at, .out = c->out + at, .ldq = c->ld, .ldo = c->ld,
    };
}

static struct cache cache_new(const struct shape *s, enum attn_type type, int end, size_t least)
{
    struct rng rng;
    rng_init(&rng, 1);
    struct cache c = {.s = s, .type = type, .end = end, .layers = 1,
                      .ld = (size_t)(s->kv_heads * s->group * s->dim)};
    c.part = attn_page_bytes(type, s->dim);
    size_t layer = c.part * (size_t)s->kv_heads, n = (size_t)end / ATTN_PAGE;
    c.layers = (int)((least + layer * n - 1) / (layer * n));
    c.layers = c.layers > 1 ? c.layers : 1;
    c.page = layer * (size_t)c.layers;
    c.bytes = n * c.page;
    c.map = mmap(NULL, c.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(c.map, c.bytes, MADV_HUGEPAGE);
    fill(&c, &rng);
    c.pages = malloc(n * sizeof(*c.pages));
    for (size_t i = 0; i < n; i++)
        c.pages[i] = c.map + i * c.page;
    c.q = malloc(SLICE * c.ld * sizeof(float));
    c.out = malloc(SLICE * c.ld * sizeof(float));
    for (size_t i = 0; i < SLICE * c.ld; i++)
        c.q[i] = (float)rng_normal(&rng);
    struct attn_job job = job_of(&c, 0, 0, 0, BLOCK);
    c.scratch_bytes = attn_scratch_bytes(&job);
    c.scratch = malloc(2 * c.scratch_bytes);
    return c;
}

static void cache_free(struct cache *c)
{
    munmap(c->map, c->bytes);
    free(c->pages);
    free(c->q);
    free(c->out);
    free(c->scratch);
}

static void label(char *to, size_t n, const struct cache *c, const char *more)
{
    static const char *const types[] = {"F32", "F16", "Q8"};
    snprintf(to, n, "%s %s %d%s", c->s->name, types[c->type], c->end, more);
}

/* ---- prefill ---- */

static double fma_peak(void)
{
    bool wide = cpu_get()->avx512;
    return machine_peak(NULL, wide ? machine_fma512 : machine_fma256, wide ? 16 : 8);
}

static double prefill_s(const struct cache *c)
{
    double start = cpu_s();
    for (int row = 0; row < c->end; row += BLOCK)
        for (int h = 0; h < c->s->kv_heads; h++) {
            struct attn_job j = job_of(c, 0, h, row % SLICE, BLOCK);
            j.pos0 = row;
            attn_run(&j, c->scratch);
        }
    return cpu_s() - start;
}

/* A layer's prompt against the peak right before it. */
static void bench_prefill(const struct shape *s, enum attn_type type)
{
    enum { ROUNDS = 7 };
    struct cache c = cache_new(s, type, 2048, 0);
    double ms[ROUNDS], share[ROUNDS], macs = (double)c.ld * (double)c.end * (c.end + 1);
    char input[96];
    for (int i = 0; i < ROUNDS; i++) {
        double peak = fma_peak() * 1e9;
        ms[i] = prefill_s(&c) * 1e3;
        share[i] = macs / ms[i] * 1e3 / peak;
    }
    label(input, sizeof(input), &c, "");
    show("attn.prefill", input, "ms_a_layer", quantile(ms, ROUNDS, .5));
    show("attn.prefill", input, "share_of_FMA_peak", quantile(share, ROUNDS, .5));
    cache_free(&c);
}

/* ---- decode ---- */

static void decode_head(void *arg, int head)
{
    const struct cache *c = arg;
    struct attn_job j = job_of(c, c->layer, head, 0, 1);
    j.pos0 = c->end - 1;
    attn_run(&j, c->scratch + (size_t)(head % 2) * c->scratch_bytes);
}

static double token_ms(struct cache *c, struct team *team)
{
    double ms = clock_ms();
    for (c->layer = 0; c->layer < c->layers; c->layer++)
        parallel_for(team, c->s->kv_heads, decode_head, c);
    return clock_ms() - ms;
}

/* A token's attention against a read of memory right before it. */
static void bench_decode(const struct shape *s, enum attn_type type, int end, struct team *team)
{
    enum { ROUNDS = 9 };
    struct cache c = cache_new(s, type, end, CACHE);
    struct machine_memory m;
    double rate[ROUNDS], share[ROUNDS];
    char input[96];
    if (!machine_memory(&m, CACHE, team))
        exit(1);
    for (int i = 0; i < ROUNDS; i++) {
        double read = machine_rate(&m, team);
        rate[i] = (double)c.bytes / token_ms(&c, team) / 1e6;
        share[i] = rate[i] / read;
    }
    munmap(m.bytes, m.n);
    label(input, sizeof(input), &c, team_size(team) > 1 ? " 2 threads" : " 1 thread");
    show("attn.decode", input, "GB/s", quantile(rate, ROUNDS, .5));
    show("attn.decode", input, "share_of_bandwidth", quantile(share, ROUNDS, .5));
    cache_free(&c);
}

static bool wanted(const char *variable, const char *what)
{
    const char *only = getenv(variable);
    return !only || strstr(only, what);
}

static void bench_shape(const struct shape *s, struct team *two)
{
    bool quick = getenv("BENCH_QUICK");
    int last = quick ? ATTN_F16 : ATTN_Q8;
    for (int type = ATTN_F16; type <= last && wanted("BENCH_ATTN", "prefill"); type++)
        bench_prefill(s, (enum attn_type)type);
    for (int type = ATTN_F16; type <= last && wanted("BENCH_ATTN", "decode"); type++)
        for (int end = quick ? 2048 : 512; end <= (quick ? 2048 : 8192); end *= 4) {
            bench_decode(s, (enum attn_type)type, end, NULL);
            bench_decode(s, (enum attn_type)type, end, two);
        }
}

int main(void)
{
    struct team *two;
    struct err err;
    must(team_new(2, &two, &err), &err);
    show("machine", cpu_get()->avx512 ? "avx512" : "avx2", "FMA_Gmac/s", fma_peak());
    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
        if (wanted("BENCH_SHAPE", shapes[i].name))
            bench_shape(&shapes[i], two);
    team_free(two);
    return 0;
}
