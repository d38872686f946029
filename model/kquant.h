/* model/kquant.h - the block formats of downloaded models, as floats.
 *
 * ggml's block_q4_1, q5_0, q5_1 (32 elements) and the k-quants q2_K to q6_K
 * (256 elements: sub-blocks with scales of 4 to 8 bits under F16 scales); the
 * layouts stand beside their readers in kquant.c. Arithmetic is ggml's reference
 * (dequantize_row_*), operation by operation, so that results are equal bit by
 * bit. Types carry GGUF's numbers.
 * Threads   no state. */
#ifndef CARREL_MODEL_KQUANT_H
#define CARREL_MODEL_KQUANT_H
#include <stddef.h>
#include <stdint.h>

enum kquant_type { KQUANT_Q4_1 = 3, KQUANT_Q5_0 = 6, KQUANT_Q5_1 = 7, KQUANT_Q2_K = 10,
                   KQUANT_Q3_K = 11, KQUANT_Q4_K = 12, KQUANT_Q5_K = 13, KQUANT_Q6_K = 14 };

/* Elements in a block of GGUF's type number and its bytes; 0 for any other. */
int kquant_block(int type);
size_t kquant_block_bytes(int type);
/* A row of n elements (a multiple of the block), any alignment: out[n]. */
void kquant_dequant(enum kquant_type type, const void *row, int64_t n, float *out);
/* Sub-block j (0..7) of Q4_K and Q5_K has the 6-bit scale and minimum packed
 * in scales[12]; for kernels that work on the integers. */
void kquant_scale_min(const uint8_t scales[12], int j, uint8_t *scale, uint8_t *min);
/* Scale of sub-block j (0..15) of Q3_K, -32..31, from scales[12]. */
int kquant_q3_scale(const uint8_t scales[12], int j);
#endif
