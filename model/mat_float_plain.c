/* model/mat_float_plain.c - the float tiles of any x86-64 (SSE2; a product is
 * rounded before it is added). */
#define LANES 4
#define TILE_ROWS 3
#include "model/mat_float_body.h"

KERNELS(plain, NULL);
