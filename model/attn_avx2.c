/* model/attn_avx2.c - the bodies of attn_body.h with AVX2, FMA and F16C. */
#define LANES 8
#include "model/attn_body.h"

KERNELS(avx2);
