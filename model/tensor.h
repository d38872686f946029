/* model/tensor.h - typed arrays of weights, and their rows as floats.
 *
 * Types carry GGUF's numbers. A row is ne[0] elements; block types need
 * ne[0] % block == 0. Layouts: ggml's block_q4_0 (32 elements: F16 scale, 16
 * bytes of nibbles, low nibbles first), block_q8_0 (F16 scale, 32 int8); those of
 * the formats that only downloaded models use are in kquant.c.
 * Threads   immutable. */
#ifndef CARREL_MODEL_TENSOR_H
#define CARREL_MODEL_TENSOR_H
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

enum tensor_type { TENSOR_F32 = 0, TENSOR_F16 = 1, TENSOR_Q4_0 = 2, TENSOR_Q4_1 = 3,
                   TENSOR_Q5_0 = 6, TENSOR_Q5_1 = 7, TENSOR_Q8_0 = 8, TENSOR_Q2_K = 10,
                   TENSOR_Q3_K = 11, TENSOR_Q4_K = 12, TENSOR_Q5_K = 13, TENSOR_Q6_K = 14,
                   TENSOR_BF16 = 30 };

struct tensor {
    struct str name;
    enum tensor_type type;
    int n_dims;
    int64_t ne[4];       /* unused dimensions are 1 */
    const void *data;    /* aligned as the file is */
    size_t size_bytes;
};

/* Elements in a block and its bytes; 0 for a type we do not know. */
int tensor_block(enum tensor_type type);
size_t tensor_block_bytes(enum tensor_type type);
const char *tensor_type_name(enum tensor_type type);
/* Bytes of a row of n elements (n a multiple of the block). */
size_t tensor_row_bytes(enum tensor_type type, int64_t n);
/* Elements [row * n, row * n + n) as floats: out[n]. */
void tensor_row(const struct tensor *t, int64_t row, float *out);
void tensor_dequant(enum tensor_type type, const void *row, int64_t n, float *out);
/* The nearest row of `type` (F32, F16, BF16, Q8_0, Q4_0; no other): out has
 * tensor_row_bytes. */
void tensor_quant(enum tensor_type type, const float *row, int64_t n, void *out);
float tensor_f16_to_f32(uint16_t h);
uint16_t tensor_f32_to_f16(float f);   /* round to nearest even */
#endif
