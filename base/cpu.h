/* base/cpu.h - what this processor can do, asked once.
 * Threads   immutable after the first call. */
#ifndef CARREL_BASE_CPU_H
#define CARREL_BASE_CPU_H
#include <stdbool.h>

struct cpu {
    bool avx2;        /* with FMA and F16C */
    bool avxvnni;     /* AVX-VNNI: VPDPBUSD without AVX-512 */
    bool avx512;      /* F, BW, DQ, VL */
    bool vnni, bf16;  /* AVX512_VNNI, AVX512_BF16 */
    int cores;        /* that this process may use */
    char name[64];
};

const struct cpu *cpu_get(void);
/* For tests and benches, before other threads start: from now on this is a
 * processor with no more than that. */
enum cpu_level { CPU_PLAIN, CPU_AVX2, CPU_AVXVNNI };
void cpu_limit(enum cpu_level most);
/* Before OpenBLAS loads: Debian's build does not know newer processors with
 * AVX-512 and falls back to AVX2 kernels; the name its loader should be told
 * in OPENBLAS_CORETYPE, or NULL when its own choice is right. */
const char *cpu_blas_coretype(void);
#endif
