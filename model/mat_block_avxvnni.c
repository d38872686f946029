/* model/mat_block_avxvnni.c - the kernels of mat_block_body.h with AVX2 and AVX-VNNI, as
 * processors have them that lack AVX-512. */
#define VNNI 1
#include "model/mat_block_body.h"

const struct mat_block_kernels mat_block_avxvnni = {"avxvnni", quantize, unpack, tile, direct, 24};
