/* model/gemm_tile_avx2.c - with AVX2 and FMA: 12 sums of 8 floats. */
#define LANES 8
#define ROWS 6
#include "model/gemm_tile.h"

const struct gemm_kernels gemm_avx2 = {"avx2", ROWS, WIDTH, tile};
