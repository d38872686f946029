/* model/mat_block_pack.c - blocks of a file into panels, and a row back out.
 *
 * Four codes of a step are handled as one word, a code a byte. Where the parts
 * of a block lie in the file is told in kquant.c and tensor.h. */
#include <string.h>
#include "model/kquant.h"
#include "model/mat_block.h"

#define NIBBLES 0x0f0f0f0fu
#define PAIRS 0x03030303u
#define BITS 0x01010101u

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static void or32(uint8_t *p, uint32_t v)
{
    v |= load32(p);
    memcpy(p, &v, 4);
}

static float half_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, 2);
    return tensor_f16_to_f32(h);
}

/* Four bits, one into each byte. */
static uint32_t spread(uint32_t bits)
{
    return (bits & 15) * 0x00204081u & BITS;
}

/* Step t of a block of 32: nibbles of its two halves side by side. */
static uint32_t small_nibbles(const uint8_t *q, int t)
{
    return load32(q + t % 4 * 4) >> t / 4 * 4 & NIBBLES;
}

/* Step t of block j of a k-quant. */
static uint32_t k_nibbles(const uint8_t *q, int j, int t)
{
    return load32(q + j / 2 * 32 + 4 * t) >> j % 2 * 4 & NIBBLES;
}

static uint32_t k_pairs(const uint8_t *q, int j, int t)
{
    return load32(q + j / 4 * 32 + 4 * t) >> j % 4 * 2 & PAIRS;
}

static uint32_t k_bits(const uint8_t *q, int j, int t)
{
    return load32(q + 4 * t) >> j & BITS;
}

static uint32_t q6_word(const uint8_t *p, int j, int t)
{
    uint32_t low = load32(p + j / 4 * 64 + j % 2 * 32 + 4 * t) >> j / 2 % 2 * 4 & NIBBLES;
    return low | k_pairs(p + 128, j, t) << 4;
}

/* Codes of step t of block j (of 32) in the file's block at `p`. */
static uint32_t file_word(enum tensor_type type, const uint8_t *p, int j, int t)
{
    switch (type) {
    case TENSOR_Q8_0:
        return load32(p + 2 + 4 * t) ^ 0x80808080u;
    case TENSOR_Q4_0:
        return small_nibbles(p + 2, t);
    case TENSOR_Q4_1:
        return small_nibbles(p + 4, t);
    case TENSOR_Q5_0:
        return small_nibbles(p + 6, t) | spread(load32(p + 2) >> 4 * t) << 4;
    case TENSOR_Q5_1:
        return small_nibbles(p + 8, t) | spread(load32(p + 4) >> 4 * t) << 4;
    case TENSOR_Q2_K:
        return k_pairs(p + 16, j, t);
    case TENSOR_Q3_K:
        return k_pairs(p + 32, j, t) | k_bits(p, j, t) << 2;
    case TENSOR_Q4_K:
        return k_nibbles(p + 16, j, t);
    case TENSOR_Q5_K:
        return k_nibbles(p + 48, j, t) | k_bits(p + 16, j, t) << 4;
    default:
        return q6_word(p, j, t);
    }
}

/* How far above the 4 or 2 bits a plane's bits stand. */
static int above(const struct mat_layout *l, int plane)
{
    return l->planes & 4 ? 4 : plane == 1 && l->planes & 2 ? 2 : 0;
}

static void put_word(const struct mat_layout *l, uint8_t *codes, int lane, int t, uint32_t w)
{
    codes += 4 * lane;
    if (l->planes & 8)
        or32(codes + 64 * t, w);
    if (l->planes & 4) {
        or32(codes + t % 4 * 64, (w & NIBBLES) << t / 4 * 4);
        codes += 256;
    }
    if (l->planes & 2) {
        or32(codes + t / 4 * 64, (w >> above(l, 2) & PAIRS) << t % 4 * 2);
        codes += 128;
    }
    if (l->planes & 1)
        or32(codes, (w >> above(l, 1) & BITS) << t);
}

uint32_t mat_block_word(const struct mat_layout *l, const uint8_t *codes, int lane, int t)
{
    codes += 4 * lane;
    if (l->planes & 8)
        return load32(codes + 64 * t);
    uint32_t w = 0;
    if (l->planes & 4) {
        w = load32(codes + t % 4 * 64) >> t / 4 * 4 & NIBBLES;
        codes += 256;
    }
    if (l->planes & 2) {
        w |= (load32(codes + t / 4 * 64) >> t % 4 * 2 & PAIRS) << above(l, 2);
        codes += 128;
    }
    if (l->planes & 1)
        w |= (load32(codes) >> t & BITS) << above(l, 1);
    return w;
}

/* Scales of a k-quant's block: `s` is its group's place for them. */
static void put_k_scales(const struct mat_layout *l, const uint8_t *p, int lane, uint8_t *s)
{
    static const uint8_t d_at[] = {[TENSOR_Q2_K] = 80, [TENSOR_Q3_K] = 108, [TENSOR_Q4_K] = 0,
                                   [TENSOR_Q5_K] = 0, [TENSOR_Q6_K] = 208};
    memcpy(s + 2 * lane, p + d_at[l->type], 2);
    uint8_t *bytes = s + (l->min ? 64 : 32) + lane;
    if (l->min)
        memcpy(s + 32 + 2 * lane, p + d_at[l->type] + 2, 2);
    for (int j = 0; j < 16; j++) {
        if (l->scales == MAT_K4)
            bytes[16 * j] = p[j];
        else if (l->type == TENSOR_Q3_K)
            bytes[16 * j] = (uint8_t)(int8_t)kquant_q3_scale(p + 96, j);
        else if (l->scales == MAT_K8)
            bytes[16 * j] = p[192 + j];
        else if (j < 8)
            kquant_scale_min(p + 4, j, bytes + 16 * j, bytes + 16 * (8 + j));
    }
}

/* Lane `lane` of a group whose bytes were 0: the file's blocks from `p` on, of
 * `elements` left in the row. */
static void put_group(const struct mat_layout *l, const uint8_t *p, int elements, int lane,
                      uint8_t *group)
{
    uint8_t *scales = group;
    for (int b = 0; b < l->blocks && 32 * b < elements; b++) {
        bool own = l->scales == MAT_HALF;   /* each 32 are a block of the file */
        const uint8_t *from = own ? p + (size_t)b * tensor_block_bytes(l->type) : p;
        for (int t = 0; t < 8; t++)
            put_word(l, (uint8_t *)mat_codes(l, group, b), lane, t, file_word(l->type, from, b, t));
        if (own)
            memcpy(scales + 32 * b + 2 * lane, from, 2);
        if (own && l->min)
            memcpy(scales + 32 * (l->blocks + b) + 2 * lane, from + 2, 2);
    }
    if (l->scales != MAT_HALF)
        put_k_scales(l, p, lane, scales);
}

void mat_block_pack(const struct mat_layout *l, const uint8_t *const src[MAT_LANES], int k,
                    uint8_t *panel)
{
    int wide = 32 * l->blocks;
    size_t step = tensor_row_bytes(l->type, wide), bytes = mat_group_bytes(l);
    for (int i = 0, g = 0; i < k; i += wide, g++, panel += bytes) {
        memset(panel, 0, bytes);
        for (int lane = 0; lane < MAT_LANES; lane++)
            if (src[lane])
                put_group(l, src[lane] + (size_t)g * step, k - i, lane, panel);
    }
}

void mat_block_scale(const struct mat_layout *l, const uint8_t *group, int block, int half, int lane,
                     float *scale, float *min)
{
    const uint8_t *s = group;
    *min = 0;
    if (l->scales == MAT_HALF) {
        *scale = half_at(s + 32 * block + 2 * lane);
        if (l->min)
            *min = half_at(s + 32 * (l->blocks + block) + 2 * lane);
        return;
    }
    float d = half_at(s + 2 * lane), dmin = half_at(s + 32 + 2 * lane);
    const uint8_t *bytes = s + (l->min ? 64 : 32) + lane;
    uint8_t one = bytes[16 * (l->halves * block + half)];
    if (l->scales == MAT_K8) {
        *scale = d * (float)(int8_t)one;
    } else if (l->scales == MAT_K6) {
        *scale = d * (float)one;
        *min = -(dmin * (float)bytes[16 * (8 + block)]);
    } else {
        *scale = d * (float)(one & 15);
        *min = -(dmin * (float)(one >> 4));
    }
}

/* 32 / halves elements from `i` of a block on, in the arithmetic of tensor_dequant. */
static void half_row(const struct mat_layout *l, const uint8_t *group, int block, int half, int lane,
                     float *out)
{
    const uint8_t *codes = mat_codes(l, group, block);
    int steps = 8 / l->halves;
    float s, min;
    mat_block_scale(l, group, block, half, lane, &s, &min);
    for (int t = 0; t < steps; t++) {
        uint32_t w = mat_block_word(l, codes, lane, half * steps + t);
        for (int i = 0; i < 4; i++, w >>= 8) {
            float x = s * (float)((int)(w & 255) - l->offset);
            *out++ = l->min ? x + min : x;
        }
    }
}

void mat_block_row(const struct mat_layout *l, const uint8_t *panel, int lane, int k, float *out)
{
    size_t bytes = mat_group_bytes(l);
    int size = 32 / l->halves;
    for (int i = 0; i < k; i += size) {
        int block = i / 32;
        half_row(l, panel + bytes * (size_t)(block / l->blocks), block % l->blocks, i % 32 / size,
                 lane, out + i);
    }
}
