/* model/mat_fixed_avx2.c - the 16-bit tiles with AVX2: VPMADDWD. */
#define LANES 8
#include "model/mat_fixed_body.h"

KERNELS(avx2);
