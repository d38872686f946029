/* model/gemm_tile.c - the tile kernel of any x86-64 (SSE2: 8 sums of 4 floats). */
#define LANES 4
#define ROWS 4
#include "model/gemm_tile.h"

const struct gemm_kernels gemm_plain = {"plain", ROWS, WIDTH, tile};
