/* model/mat_fixed_plain.c - the 16-bit tiles in plain C. */
#define LANES 4
#include "model/mat_fixed_body.h"

KERNELS(plain);
