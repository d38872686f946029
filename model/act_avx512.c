/* model/act_avx512.c - the bodies of act_body.h with AVX-512. */
#define LANES 16
#include "model/act_body.h"

KERNELS(avx512);
