/* model/mat_float_avx2.c - the float tiles with AVX2, FMA and F16C. */
#define LANES 8
#define TILE_ROWS 6
#include "model/mat_float_body.h"

KERNELS(avx2, NULL);
