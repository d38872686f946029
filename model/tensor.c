/* model/tensor.c - the number formats: halves, brain floats and ggml's blocks.
 *
 * Block layouts and rounding follow ggml's reference quantisers
 * (ggml-quants.c, quantize_row_q8_0_ref and quantize_row_q4_0_ref), so that a
 * file written here holds the bytes other tools would have written. */
#include "model/tensor.h"
#include <assert.h>
#include <math.h>
#include <string.h>
#include "model/kquant.h"

#define BLOCK 32                         /* elements of a Q4_0 or Q8_0 block */
#define Q4_0_BYTES (2 + BLOCK / 2)
#define Q8_0_BYTES (2 + BLOCK)

int tensor_block(enum tensor_type type)
{
    switch (type) {
    case TENSOR_F32:
    case TENSOR_F16:
    case TENSOR_BF16:
        return 1;
    case TENSOR_Q4_0:
    case TENSOR_Q8_0:
        return BLOCK;
    default:
        return kquant_block((int)type);
    }
}

size_t tensor_block_bytes(enum tensor_type type)
{
    switch (type) {
    case TENSOR_F32:
        return 4;
    case TENSOR_F16:
    case TENSOR_BF16:
        return 2;
    case TENSOR_Q4_0:
        return Q4_0_BYTES;
    case TENSOR_Q8_0:
        return Q8_0_BYTES;
    default:
        return kquant_block_bytes((int)type);
    }
}

/* ggml's numbers, also of the types we only name in a refusal. */
const char *tensor_type_name(enum tensor_type type)
{
    static const char *const names[] = {
        [0] = "F32",      [1] = "F16",      [2] = "Q4_0",    [3] = "Q4_1",     [6] = "Q5_0",
        [7] = "Q5_1",     [8] = "Q8_0",     [9] = "Q8_1",    [10] = "Q2_K",    [11] = "Q3_K",
        [12] = "Q4_K",    [13] = "Q5_K",    [14] = "Q6_K",   [15] = "Q8_K",    [16] = "IQ2_XXS",
        [17] = "IQ2_XS",  [18] = "IQ3_XXS", [19] = "IQ1_S",  [20] = "IQ4_NL",  [21] = "IQ3_S",
        [22] = "IQ2_S",   [23] = "IQ4_XS",  [24] = "I8",     [25] = "I16",     [26] = "I32",
        [27] = "I64",     [28] = "F64",     [29] = "IQ1_M",  [30] = "BF16",    [34] = "TQ1_0",
        [35] = "TQ2_0",   [39] = "MXFP4",
    };
    unsigned n = (unsigned)type;
    return n < sizeof(names) / sizeof(*names) && names[n] ? names[n] : "unknown";
}

size_t tensor_row_bytes(enum tensor_type type, int64_t n)
{
    int block = tensor_block(type);
    assert(block > 0 && n >= 0 && n % block == 0);
    return (size_t)(n / block) * tensor_block_bytes(type);
}

float tensor_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exp = h >> 10 & 0x1f, man = h & 0x3ff;
    uint32_t bits;
    float f;
    if (exp == 0) {                      /* zero or subnormal: man * 2^-24 exactly */
        f = (float)man * 0x1p-24f;
        return sign ? -f : f;
    }
    if (exp == 31)
        bits = sign | 0x7f800000 | man << 13;
    else
        bits = sign | (exp + 112) << 23 | man << 13;
    memcpy(&f, &bits, 4);
    return f;
}

uint16_t tensor_f32_to_f16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, 4);
    uint32_t sign = bits >> 16 & 0x8000, abs = bits & 0x7fffffff;
    if (abs > 0x7f800000)                /* NaN stays NaN */
        return (uint16_t)(sign | 0x7e00);
    if (abs >= 0x477ff000)               /* 65520 and up round to infinity */
        return (uint16_t)(sign | 0x7c00);
    if (abs < 0x38800000) {              /* below 2^-14: steps of 2^-24 */
        float mag;
        memcpy(&mag, &abs, 4);
        return (uint16_t)(sign | (uint32_t)lrintf(mag * 0x1p24f));
    }
    uint32_t odd = abs >> 13 & 1;
    return (uint16_t)(sign | ((abs + 0xfff + odd - (112u << 23)) >> 13));
}

static float half_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, 2);
    return tensor_f16_to_f32(h);
}

static void put_half(uint8_t *p, float f)
{
    uint16_t h = tensor_f32_to_f16(f);
    memcpy(p, &h, 2);
}

static void dequant_q8_0(const uint8_t *p, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i += BLOCK, p += Q8_0_BYTES) {
        float d = half_at(p);
        for (int j = 0; j < BLOCK; j++)
            out[i + j] = d * (float)(int8_t)p[2 + j];
    }
}

static void dequant_q4_0(const uint8_t *p, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i += BLOCK, p += Q4_0_BYTES) {
        float d = half_at(p);
        for (int j = 0; j < BLOCK / 2; j++) {
            out[i + j] = d * (float)((p[2 + j] & 15) - 8);
            out[i + j + BLOCK / 2] = d * (float)((p[2 + j] >> 4) - 8);
        }
    }
}

static void dequant_bf16(const uint8_t *p, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, 2);
        uint32_t bits = (uint32_t)h << 16;
        memcpy(out + i, &bits, 4);
    }
}

void tensor_dequant(enum tensor_type type, const void *row, int64_t n, float *out)
{
    const uint8_t *p = row;
    switch (type) {
    case TENSOR_F32:
        memcpy(out, p, (size_t)n * 4);
        return;
    case TENSOR_F16:
        for (int64_t i = 0; i < n; i++)
            out[i] = half_at(p + 2 * i);
        return;
    case TENSOR_BF16:
        dequant_bf16(p, n, out);
        return;
    case TENSOR_Q4_0:
        dequant_q4_0(p, n, out);
        return;
    case TENSOR_Q8_0:
        dequant_q8_0(p, n, out);
        return;
    default:
        kquant_dequant((enum kquant_type)type, p, n, out);
    }
}

void tensor_row(const struct tensor *t, int64_t row, float *out)
{
    size_t bytes = tensor_row_bytes(t->type, t->ne[0]);
    tensor_dequant(t->type, (const uint8_t *)t->data + (size_t)row * bytes, t->ne[0], out);
}

/* d = max |x| / 127, q = round(x / d) */
static void quant_q8_0(const float *x, int64_t n, uint8_t *p)
{
    for (int64_t i = 0; i < n; i += BLOCK, p += Q8_0_BYTES) {
        float top = 0;
        for (int j = 0; j < BLOCK; j++)
            top = fmaxf(top, fabsf(x[i + j]));
        float d = top / 127.0f, inverse = d != 0 ? 1.0f / d : 0;
        put_half(p, d);
        for (int j = 0; j < BLOCK; j++)
            p[2 + j] = (uint8_t)(int8_t)roundf(x[i + j] * inverse);
    }
}

static uint8_t nibble(float x)
{
    int q = (int)(x + 8.5f);
    return (uint8_t)(q < 0 ? 0 : q > 15 ? 15 : q);
}

/* d = (the x of greatest |x|) / -8, q = round(x / d) + 8 in 0..15 */
static void quant_q4_0(const float *x, int64_t n, uint8_t *p)
{
    for (int64_t i = 0; i < n; i += BLOCK, p += Q4_0_BYTES) {
        float top = 0;
        for (int j = 0; j < BLOCK; j++)
            if (fabsf(x[i + j]) > fabsf(top))
                top = x[i + j];
        float d = top / -8.0f, inverse = d != 0 ? 1.0f / d : 0;
        put_half(p, d);
        for (int j = 0; j < BLOCK / 2; j++)
            p[2 + j] = (uint8_t)(nibble(x[i + j] * inverse) |
                                 nibble(x[i + j + BLOCK / 2] * inverse) << 4);
    }
}

static void quant_bf16(const float *x, int64_t n, uint8_t *p)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        if ((bits & 0x7fffffff) > 0x7f800000)
            bits |= 0x400000;            /* NaN stays NaN, quiet */
        else
            bits += 0x7fff + (bits >> 16 & 1);
        uint16_t h = (uint16_t)(bits >> 16);
        memcpy(p + 2 * i, &h, 2);
    }
}

void tensor_quant(enum tensor_type type, const float *row, int64_t n, void *out)
{
    uint8_t *p = out;
    switch (type) {
    case TENSOR_F32:
        memcpy(p, row, (size_t)n * 4);
        return;
    case TENSOR_F16:
        for (int64_t i = 0; i < n; i++)
            put_half(p + 2 * i, row[i]);
        return;
    case TENSOR_BF16:
        quant_bf16(row, n, p);
        return;
    case TENSOR_Q4_0:
        quant_q4_0(row, n, p);
        return;
    case TENSOR_Q8_0:
        quant_q8_0(row, n, p);
        return;
    default:
        assert(!"a type that tensor.h lists");
    }
}
