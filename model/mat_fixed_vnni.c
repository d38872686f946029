/* model/mat_fixed_vnni.c - the 16-bit tiles for AVX-512 with VNNI: VPDPWSSD adds the
 * products of 16 pairs to 16 sums. */
#define LANES 16
#include "model/mat_fixed_body.h"

KERNELS(vnni);
