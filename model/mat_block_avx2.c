/* model/mat_block_avx2.c - the kernels of mat_block_body.h with AVX2, FMA and F16C. */
#define VNNI 0
#include "model/mat_block_body.h"

const struct mat_block_kernels mat_block_avx2 = {"avx2", quantize, unpack, tile, direct, 16};
