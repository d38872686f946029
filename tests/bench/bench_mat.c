/* tests/bench/bench_mat.c - packed matrices beside this machine's limits.
 *
 * decode   one row against 300 MB of matrices: gigabytes a second of the FILE's
 *          weights, and as a share of what reading memory front to back reaches.
 * rows     1 to 512 rows against 96 MB of matrices: giga multiply-adds a second of one
 *          core; those of 512 also as a share of a loop of the arithmetic its kernels use.
 * Limits are measured in the same run, just before. One thread is timed by its
 * processor time, a team by the clock; the best of several rounds counts, since
 * others may load the machine. Arguments narrow: bench_mat Q4_K avx2 (or avxvnni)
 * Prints name, input, metric, value. */
#include "model/mat.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/rng.h"
#include "tests/bench/bench.h"
#include "tests/bench/machine.h"

#define ROUNDS 7
#define K 2048
#define N 8192
#define MATS_MAX 64
#define TOUCHED ((size_t)300 << 20)
#define STREAMED ((size_t)96 << 20)  /* more than a cache holds */

static const enum tensor_type kinds[] = {
    TENSOR_Q8_0, TENSOR_Q4_0, TENSOR_Q4_K, TENSOR_Q6_K, TENSOR_F32,  TENSOR_F16,  TENSOR_BF16,
    TENSOR_Q4_1, TENSOR_Q5_0, TENSOR_Q5_1, TENSOR_Q2_K, TENSOR_Q3_K, TENSOR_Q5_K,
};

static bool wanted(int argc, char **argv, const char *what)
{
    bool named = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], what) == 0)
            return true;
        named = named || strncmp(argv[i], "avx", 3) != 0;
    }
    return !named;
}

/* Any bits but in scales that are no numbers: speed does not depend on values. */
static struct mat *random_mat(enum tensor_type type, int n, int k)
{
    size_t bytes = (size_t)n * tensor_row_bytes(type, k);
    uint8_t *data = malloc(bytes);
    struct tensor t = {.name = STR("w"), .type = type, .n_dims = 2, .ne = {k, n, 1, 1}, .data = data};
    struct rng rng;
    struct mat *w;
    struct err err;
    if (!data)
        exit(1);
    rng_init(&rng, 1);
    for (size_t i = 0; i + 8 <= bytes; i += 8) {
        uint64_t bits = rng_next(&rng) & 0x3b3b3b3b3b3b3b3bu;
        memcpy(data + i, &bits, 8);
    }
    must(mat_pack(NULL, &t, 0, n, &w, &err), &err);
    free(data);
    return w;
}

static double timed(const struct team *team)
{
    return team_size(team) == 1 ? clock_cpu_ms() : clock_ms();
}

/* Best gigabytes a second of the file's bytes, and of plain reading beside it. */
static void decode(struct team *team, enum tensor_type type, double *rate, double *limit)
{
    size_t file = (size_t)N * tensor_row_bytes(type, K);
    int mats = (int)(TOUCHED / file) + 1;
    struct mat *w[MATS_MAX];
    static float x[K], y[N];
    struct mat_input *in;
    struct err err;
    must(mat_input_new(1, K, &in, &err), &err);
    for (int i = 0; i < K; i++)
        x[i] = (float)(i % 17) - 8;
    for (int i = 0; i < mats; i++)
        w[i] = random_mat(type, N, K);
    struct machine_memory m = {.n = TOUCHED, .parts = team_size(team) * 16};
    m.bytes = aligned_alloc((size_t)2 << 20, m.n);
    madvise(m.bytes, m.n, MADV_HUGEPAGE);
    memset(m.bytes, 1, m.n);
    *rate = *limit = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double t0 = timed(team);
        parallel_for(team, m.parts, machine_read, &m);
        double t1 = timed(team);
        for (int i = 0; i < mats; i++) {
            struct mat_task task = {w[i], NULL, y, N};
            mat_input_set(in, 1, K, x, K);
            mat_mul(team, in, &task, 1);
        }
        double t2 = timed(team), own = (double)file * mats / (t2 - t1) / 1e6;
        double plain = (double)m.n / (t1 - t0) / 1e6;
        *rate = own > *rate ? own : *rate;
        *limit = plain > *limit ? plain : *limit;
    }
    for (int i = 0; i < mats; i++)
        mat_free(w[i]);
    free(m.bytes);
    mat_input_free(in);
}

/* Best giga multiply-adds a second of m rows against n_mats matrices of N x K. */
static double product(struct mat *const *w, int n_mats, int m)
{
    struct mat_input *in;
    struct err err;
    float *x = malloc((size_t)m * K * 4), *y = malloc((size_t)m * N * 4);
    must(mat_input_new(m, K, &in, &err), &err);
    if (!x || !y)
        exit(1);
    for (int i = 0; i < m * K; i++)
        x[i] = (float)(i % 23) - 11;
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double t0 = clock_cpu_ms();
        for (int i = 0; i < n_mats; i++) {
            struct mat_task task = {w[i], NULL, y, N};
            mat_input_set(in, m, K, x, K);
            mat_mul(NULL, in, &task, 1);
        }
        double rate = (double)m * N * K * n_mats / (clock_cpu_ms() - t0) / 1e6;
        best = rate > best ? rate : best;
    }
    mat_input_free(in);
    free(x);
    free(y);
    return best;
}

/* Products of a few to many rows, and what the last reached of `peak`. */
static void bench_rows(enum tensor_type type, double peak)
{
    static const int rows[] = {1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 128, 512};
    const char *name = tensor_type_name(type);
    struct mat *w[MATS_MAX];
    double rate = 0;
    int n = (int)(STREAMED / ((size_t)N * tensor_row_bytes(type, K))) + 1;
    for (int i = 0; i < n; i++)
        w[i] = random_mat(type, N, K);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char metric[32];
        snprintf(metric, sizeof(metric), "rows_%d_gmac_s", rows[i]);
        rate = product(w, n, rows[i]);
        show("mat", name, metric, rate);
    }
    for (int i = 0; i < n; i++)
        mat_free(w[i]);
    show("mat", name, "peak_gmac_s", peak);
    show("mat", name, "prefill_share", rate / peak);
}

static double peak_of(void (*loop)(void *, int), int lanes)
{
    double best = 0;
    for (int round = 0; round < 3; round++) {
        double t0 = clock_cpu_ms();
        loop(NULL, 0);
        double rate = (double)MACHINE_ROUNDS * MACHINE_SUMS * lanes / (clock_cpu_ms() - t0) / 1e6;
        best = rate > best ? rate : best;
    }
    return best;
}

/* The arithmetic that the kernels of a type are measured by. */
static double peak_for(enum tensor_type type)
{
    const struct cpu *c = cpu_get();
    if (tensor_block(type) > 1 && c->vnni)
        return peak_of(machine_vnni, 64);
    if (tensor_block(type) > 1 && c->avxvnni)
        return peak_of(machine_avxvnni, 32);
    if (type == TENSOR_F16 && c->vnni)      /* VPDPWSSD: as fast, half as many */
        return peak_of(machine_vnni, 32);
    if (type == TENSOR_BF16 && c->bf16)
        return peak_of(machine_bf16, 32);
    return c->avx512 ? peak_of(machine_fma512, 16) : peak_of(machine_fma256, 8);
}

static void bench_kind(enum tensor_type type, struct team *team)
{
    const char *name = tensor_type_name(type);
    double rate, limit;
    struct team *const teams[2] = {NULL, team};
    static const char *const metrics[2][3] = {
        {"decode_1t_gb_s", "read_1t_gb_s", "decode_1t_share"},
        {"decode_2t_gb_s", "read_2t_gb_s", "decode_2t_share"}};
    for (int i = 0; i < 2; i++) {
        decode(teams[i], type, &rate, &limit);
        show("mat", name, metrics[i][0], rate);
        show("mat", name, metrics[i][1], limit);
        show("mat", name, metrics[i][2], rate / limit);
    }
    bench_rows(type, peak_for(type));
}

int main(int argc, char **argv)
{
    struct team *team;
    struct err err;
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "avx", 3) == 0)
            cpu_limit(strcmp(argv[i], "avxvnni") == 0 ? CPU_AVXVNNI : CPU_AVX2);
    must(team_new(2, &team, &err), &err);
    show("mat", mat_kernels(), "threads", team_size(team));
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (wanted(argc, argv, tensor_type_name(kinds[i])))
            bench_kind(kinds[i], team);
    team_free(team);
    return 0;
}
