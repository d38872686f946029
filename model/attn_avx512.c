/* model/attn_avx512.c - the bodies of attn_body.h with AVX-512. */
#define LANES 16
#include "model/attn_body.h"

KERNELS(avx512);
