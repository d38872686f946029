/* model/act_avx512.c - the bodies of act_body.h with AVX-512. */
#define LANES 16
#include "model/act_body.h"

const struct act_kernels act_avx512 = {"avx512", softmax, gelu, add_norm};
