#include "base/cpu.h"
#include <cpuid.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static struct cpu cpu;
static bool amd;

static void read_name(void)
{
    unsigned r[13] = {0}, top = __get_cpuid_max(0x80000000, NULL);
    if (top >= 0x80000004)
        for (unsigned i = 0; i < 3; i++)
            __get_cpuid(0x80000002 + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]);
    const char *name = (const char *)r;
    while (*name == ' ')
        name++;
    snprintf(cpu.name, sizeof(cpu.name), "%s", *name ? name : "unknown");
    for (size_t n = strlen(cpu.name); n > 0 && cpu.name[n - 1] == ' '; n--)
        cpu.name[n - 1] = '\0';
}

static void read_vendor(void)
{
    unsigned a, b, c, d;
    if (__get_cpuid(0, &a, &b, &c, &d))
        amd = b == signature_AMD_ebx && c == signature_AMD_ecx && d == signature_AMD_edx;
}

/* A container's share of the processors (cgroup v2), rounded up; 0 without one. */
static int quota(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f)
        return 0;
    long long max = 0, period = 0;
    int n = fscanf(f, "%lld %lld", &max, &period); /* "max 100000" when there is none */
    fclose(f);
    return n == 2 && max > 0 && period > 0 ? (int)((max + period - 1) / period) : 0;
}

static void read_cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    cpu.cores = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    int share = quota();
    if (share > 0 && share < cpu.cores)
        cpu.cores = share;
    if (cpu.cores < 1)
        cpu.cores = 1;
}

/* clang 14 has no name for it. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

/* Nor for this. */
static bool has_avxvnni(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}

/* The compiler's runtime also asks whether the system saves the registers. */
static void read_all(void)
{
    __builtin_cpu_init();
    cpu.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    cpu.avxvnni = cpu.avx2 && has_avxvnni();
    cpu.avx512 = cpu.avx2 && __builtin_cpu_supports("avx512f") &&
                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                 __builtin_cpu_supports("avx512vl");
    cpu.vnni = cpu.avx512 && __builtin_cpu_supports("avx512vnni");
    cpu.bf16 = cpu.avx512 && __builtin_cpu_supports("avx512bf16");
    read_name();
    read_vendor();
    read_cores();
}

const struct cpu *cpu_get(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_all);
    return &cpu;
}

void cpu_limit(enum cpu_level most)
{
    cpu_get();
    cpu.avx2 = cpu.avx2 && most >= CPU_AVX2;
    cpu.avxvnni = cpu.avxvnni && most >= CPU_AVXVNNI;
    cpu.avx512 = cpu.vnni = cpu.bf16 = false;
}

/* OpenBLAS 0.3.21, driver/others/dynamic.c: AMD families it knows get Zen (AVX2)
 * kernels, Intel ones with AVX-512 get theirs. */
const char *cpu_blas_coretype(void)
{
    const struct cpu *c = cpu_get();
    if (c->avx512 && c->bf16)
        return "Cooperlake";
    return c->avx512 && amd ? "SkylakeX" : NULL;
}
