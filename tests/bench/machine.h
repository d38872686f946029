/* tests/bench/machine.h - what this machine can do at most, measured beside what
 * we do: arithmetic from registers, and reading memory front to back. */
#ifndef CARREL_TESTS_BENCH_MACHINE_H
#define CARREL_TESTS_BENCH_MACHINE_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/clock.h"
#include "base/cpu.h"
#include "base/thread.h"

/* Twelve sums in registers hide an instruction's latency; written out, because a compiler
 * may keep an array of them in memory, and measure that. */
#define MACHINE_OP(op, r, n) op " %%" r "13,%%" r "12,%%" r #n "\n\t"
#define MACHINE_LOOP(name_, op, r)                                                               \
    __attribute__((unused)) static void name_(void *arg, int i)                                  \
    {                                                                                            \
        (void)arg;                                                                               \
        (void)i;                                                                                 \
        __asm__ volatile("vxorps %%xmm12,%%xmm12,%%xmm12\n\tvxorps %%xmm13,%%xmm13,%%xmm13"      \
                         ::: "xmm12", "xmm13");                                                  \
        for (long k = 0; k < MACHINE_ROUNDS; k++)                                                \
            __asm__ volatile(MACHINE_OP(op, r, 0) MACHINE_OP(op, r, 1) MACHINE_OP(op, r, 2)      \
                             MACHINE_OP(op, r, 3) MACHINE_OP(op, r, 4) MACHINE_OP(op, r, 5)      \
                             MACHINE_OP(op, r, 6) MACHINE_OP(op, r, 7) MACHINE_OP(op, r, 8)      \
                             MACHINE_OP(op, r, 9) MACHINE_OP(op, r, 10) MACHINE_OP(op, r, 11)    \
                             ::: "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", \
                             "xmm8", "xmm9", "xmm10", "xmm11");                                  \
    }
#define MACHINE_ROUNDS 6000000L
#define MACHINE_SUMS   12
#if defined(__x86_64__)
MACHINE_LOOP(machine_vnni, "vpdpbusd", "zmm")
MACHINE_LOOP(machine_avxvnni, "%{vex%} vpdpbusd", "ymm")
MACHINE_LOOP(machine_bf16, "vdpbf16ps", "zmm")
MACHINE_LOOP(machine_fma512, "vfmadd231ps", "zmm")
MACHINE_LOOP(machine_fma256, "vfmadd231ps", "ymm")
#endif

/* Giga multiply-adds a second of all threads of the team, the best of three. */
__attribute__((unused)) static double machine_peak(struct team *team, void (*loop)(void *, int), int lanes)
{
    double best = 0;
    int n = team_size(team);
    for (int round = 0; round < 3; round++) {
        double ms = clock_ms();
        parallel_for(team, n, loop, NULL);
        ms = clock_ms() - ms;
        double rate = (double)MACHINE_ROUNDS * MACHINE_SUMS * lanes * n / ms / 1e6;
        best = rate > best ? rate : best;
    }
    return best;
}

struct machine_memory { uint8_t *bytes; size_t n; int parts; };

#if defined(__x86_64__)
__attribute__((target("avx2")))
#endif
__attribute__((unused)) static void machine_read(void *arg, int part)
{
    const struct machine_memory *m = arg;
    typedef long long v4 __attribute__((vector_size(32)));
    size_t share = m->n / (size_t)m->parts / 512 * 512;
    const uint8_t *p = m->bytes + share * (size_t)part, *end = p + share;
    v4 sum[8] = {{0}};
    for (; p < end; p += 512)
        for (int i = 0; i < 8; i++) {
            __builtin_prefetch(p + 4096 + 64 * i, 0, 3);
            sum[i] += *(const v4 *)(const void *)(p + 64 * i) +
                      *(const v4 *)(const void *)(p + 64 * i + 32);
        }
    for (int i = 1; i < 8; i++)
        sum[0] += sum[i];
    __asm__ volatile("" : : "x"(sum[0]));
}

/* Memory to read, in huge pages; false: there is none. */
__attribute__((unused)) static bool machine_memory(struct machine_memory *m, size_t n,
                                                   struct team *team)
{
    *m = (struct machine_memory){.n = n, .parts = team_size(team) * 16};
    m->bytes = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m->bytes == MAP_FAILED)
        return false;
    madvise(m->bytes, n, MADV_HUGEPAGE);
    memset(m->bytes, 1, n);
    return true;
}

/* Gigabytes a second of one pass over it. */
__attribute__((unused)) static double machine_rate(struct machine_memory *m, struct team *team)
{
    double ms = clock_ms();
    parallel_for(team, m->parts, machine_read, m);
    return (double)m->n / (clock_ms() - ms) / 1e6;
}

/* The best of four over a gigabyte. */
__attribute__((unused)) static double machine_bandwidth(struct team *team)
{
    struct machine_memory m;
    double best = 0;
    if (!machine_memory(&m, (size_t)1 << 30, team))
        return 0;
    for (int round = 0; round < 4; round++) {
        double rate = machine_rate(&m, team);
        best = rate > best ? rate : best;
    }
    munmap(m.bytes, m.n);
    return best;
}
#endif
