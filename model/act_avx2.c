/* model/act_avx2.c - the bodies of act_body.h with AVX2 and FMA. */
#define LANES 8
#include "model/act_body.h"

KERNELS(avx2);
