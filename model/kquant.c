/* model/kquant.c - one reader a format; `h[4]` is an F16, low byte first. */
#include "model/kquant.h"
#include <assert.h>
#include <string.h>
#include "model/tensor.h"

#define SMALL 32             /* elements of a block of the older formats */
#define BIG 256              /* and of a k-quant's */

static float half_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, 2);
    return tensor_f16_to_f32(h);
}

/* d h[1], m h[1], 16 bytes of nibbles (low ones first): x = d q + m */
static void read_q4_1(const uint8_t *p, float *out)
{
    float d = half_at(p), m = half_at(p + 2);
    for (int j = 0; j < SMALL / 2; j++) {
        out[j] = (float)(p[4 + j] & 15) * d + m;
        out[j + SMALL / 2] = (float)(p[4 + j] >> 4) * d + m;
    }
}

/* Bit j of the four bytes at `p`, as the fifth bit of a number. */
static int fifth_bit(const uint8_t *p, int j)
{
    return (p[j / 8] >> j % 8 & 1) << 4;
}

/* d h[1], a fifth bit of each in 4 bytes, 16 bytes of nibbles: x = d (q - 16) */
static void read_q5_0(const uint8_t *p, float *out)
{
    float d = half_at(p);
    for (int j = 0; j < SMALL / 2; j++) {
        int lo = (p[6 + j] & 15) | fifth_bit(p + 2, j);
        int hi = p[6 + j] >> 4 | fifth_bit(p + 2, j + SMALL / 2);
        out[j] = (float)(lo - 16) * d;
        out[j + SMALL / 2] = (float)(hi - 16) * d;
    }
}

/* d h[1], m h[1], then as q5_0: x = d q + m */
static void read_q5_1(const uint8_t *p, float *out)
{
    float d = half_at(p), m = half_at(p + 2);
    for (int j = 0; j < SMALL / 2; j++) {
        int lo = (p[8 + j] & 15) | fifth_bit(p + 4, j);
        int hi = p[8 + j] >> 4 | fifth_bit(p + 4, j + SMALL / 2);
        out[j] = (float)lo * d + m;
        out[j + SMALL / 2] = (float)hi * d + m;
    }
}

/* scales[16] (scale low nibble, minimum high), 64 bytes of 2-bit numbers, d h[1],
 * dmin h[1]. Byte l of 32 holds elements l, 32 + l, 64 + l and 96 + l of its
 * half, low bits first: x = d s q - dmin m, 16 elements a scale. */
static void read_q2_k(const uint8_t *p, float *out)
{
    const uint8_t *scales = p, *q = p + 16;
    float d = half_at(p + 80), dmin = half_at(p + 82);
    for (int i = 0; i < BIG; i += 16) {
        uint8_t s = scales[i / 16];
        float dl = d * (float)(s & 15), ml = dmin * (float)(s >> 4);
        const uint8_t *from = q + i / 128 * 32 + i % 32;
        int shift = i / 32 % 4 * 2;
        for (int l = 0; l < 16; l++)
            out[i + l] = dl * (float)(from[l] >> shift & 3) - ml;
    }
}

int kquant_q3_scale(const uint8_t scales[12], int j)
{
    int low = j < 8 ? scales[j] & 15 : scales[j - 8] >> 4;
    int high = scales[8 + j % 4] >> 2 * (j / 4) & 3;
    return (low | high << 4) - 32;
}

/* hmask[32] (bit i / 32 of byte i % 32: without it 4 less), 64 bytes of 2-bit
 * numbers as in q2_K, scales[12], d h[1]: x = d s q, 16 elements a scale */
static void read_q3_k(const uint8_t *p, float *out)
{
    const uint8_t *hmask = p, *q = p + 32, *scales = p + 96;
    float d = half_at(p + 108);
    for (int i = 0; i < BIG; i += 16) {
        float dl = d * (float)kquant_q3_scale(scales, i / 16);
        const uint8_t *from = q + i / 128 * 32 + i % 32, *high = hmask + i % 32;
        int shift = i / 32 % 4 * 2, bit = i / 32;
        for (int l = 0; l < 16; l++)
            out[i + l] = dl * (float)((from[l] >> shift & 3) - (high[l] >> bit & 1 ? 0 : 4));
    }
}

void kquant_scale_min(const uint8_t scales[12], int j, uint8_t *scale, uint8_t *min)
{
    if (j < 4) {
        *scale = scales[j] & 63;
        *min = scales[j + 4] & 63;
        return;
    }
    *scale = (uint8_t)((scales[j + 4] & 15) | scales[j - 4] >> 6 << 4);
    *min = (uint8_t)(scales[j + 4] >> 4 | scales[j] >> 6 << 4);
}

/* d h[1], dmin h[1], scales[12], 128 bytes of nibbles: 32 bytes hold 64 elements,
 * low nibbles first: x = d s q - dmin m, 32 elements a scale */
static void read_q4_k(const uint8_t *p, float *out)
{
    float d = half_at(p), dmin = half_at(p + 2);
    for (int j = 0; j < BIG / 32; j++) {
        uint8_t s, m;
        const uint8_t *q = p + 16 + j / 2 * 32;
        kquant_scale_min(p + 4, j, &s, &m);
        float dl = d * (float)s, ml = dmin * (float)m;
        for (int l = 0; l < 32; l++)
            out[32 * j + l] = dl * (float)(q[l] >> j % 2 * 4 & 15) - ml;
    }
}

/* d h[1], dmin h[1], scales[12], qh[32] (bit j of byte l: the fifth of element
 * 32 j + l), nibbles as q4_K */
static void read_q5_k(const uint8_t *p, float *out)
{
    float d = half_at(p), dmin = half_at(p + 2);
    const uint8_t *qh = p + 16;
    for (int j = 0; j < BIG / 32; j++) {
        uint8_t s, m;
        const uint8_t *q = p + 48 + j / 2 * 32;
        kquant_scale_min(p + 4, j, &s, &m);
        float dl = d * (float)s, ml = dmin * (float)m;
        for (int l = 0; l < 32; l++)
            out[32 * j + l] = dl * (float)((q[l] >> j % 2 * 4 & 15) + (qh[l] >> j & 1) * 16) - ml;
    }
}

/* ql[128], qh[64], int8 scales[16], d h[1]. In each half, byte l of 32 of qh has
 * the high two bits of elements l, 32 + l, 64 + l, 96 + l; their low four are the
 * low nibbles of ql[l] and ql[32 + l], then the high ones: x = d s (q - 32) */
static void read_q6_k(const uint8_t *p, float *out)
{
    float d = half_at(p + 208);
    for (int i = 0; i < BIG; i += 16) {
        const uint8_t *ql = p + i / 128 * 64 + i % 64, *qh = p + 128 + i / 128 * 32 + i % 32;
        int nibble = i / 64 % 2 * 4, shift = i / 32 % 4 * 2;
        float dl = d * (float)(int8_t)p[192 + i / 16];
        for (int l = 0; l < 16; l++)
            out[i + l] = dl * (float)(((ql[l] >> nibble & 15) | (qh[l] >> shift & 3) << 4) - 32);
    }
}

static const struct format {
    int type, block;
    size_t bytes;
    void (*read)(const uint8_t *p, float *out);
} formats[] = {
    {KQUANT_Q4_1, SMALL, 20, read_q4_1}, {KQUANT_Q5_0, SMALL, 22, read_q5_0},
    {KQUANT_Q5_1, SMALL, 24, read_q5_1}, {KQUANT_Q2_K, BIG, 84, read_q2_k},
    {KQUANT_Q3_K, BIG, 110, read_q3_k},  {KQUANT_Q4_K, BIG, 144, read_q4_k},
    {KQUANT_Q5_K, BIG, 176, read_q5_k},  {KQUANT_Q6_K, BIG, 210, read_q6_k},
};

static const struct format *format_of(int type)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++)
        if (formats[i].type == type)
            return &formats[i];
    return NULL;
}

int kquant_block(int type)
{
    const struct format *f = format_of(type);
    return f ? f->block : 0;
}

size_t kquant_block_bytes(int type)
{
    const struct format *f = format_of(type);
    return f ? f->bytes : 0;
}

void kquant_dequant(enum kquant_type type, const void *row, int64_t n, float *out)
{
    const struct format *f = format_of(type);
    const uint8_t *p = row;
    assert(f && n >= 0 && n % f->block == 0);
    for (int64_t i = 0; i < n; i += f->block, p += f->bytes)
        f->read(p, out + i);
}
