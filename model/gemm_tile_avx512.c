/* model/gemm_tile_avx512.c - with AVX-512: 24 sums of 16 floats. */
#define LANES 16
#define ROWS 12
#include "model/gemm_tile.h"

const struct gemm_kernels gemm_avx512 = {"avx512", ROWS, WIDTH, tile};
