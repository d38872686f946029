/* model/mat_block_plain.c - the kernels of quantized weights in plain C. */
#include <float.h>
#include <math.h>
#include <string.h>
#include "model/mat_block.h"

/* The largest |x| as bits: a NaN is above all, and stays visible in the scale. */
static float largest(const float *x, int n)
{
    uint32_t top = 0;
    for (int i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        bits &= 0x7fffffff;
        top = bits > top ? bits : top;
    }
    float f;
    memcpy(&f, &top, 4);
    return f;
}

/* To the nearest whole number, ties to even, for |x| < 2^22. */
static int8_t nearest(float x)
{
    uint32_t bits;
    x += 0x1.8p23f;
    memcpy(&bits, &x, 4);
    return (int8_t)(bits - 0x4b400000);
}

static void quantize_block(const float *x, int8_t *q, float *scale, int32_t *sum, int stride)
{
    float top = largest(x, 32);
    float inverse = top >= 0x1p-100f && top <= FLT_MAX ? 127.0f / top : 0;
    *scale = top / 127.0f;
    sum[0] = sum[stride] = 0;
    for (int i = 0; i < 32; i++) {
        q[i] = inverse != 0 ? nearest(x[i] * inverse) : 0;
        sum[i / 16 * stride] += q[i];
    }
}

static void quantize(const float *x, int k, int stride, int8_t *q, float *scale, int32_t *sum)
{
    for (int b = 0; b < k / 32; b++)
        quantize_block(x + 32 * b, q + (size_t)b * 32 * (size_t)stride,
                       scale + (size_t)b * (size_t)stride,
                       sum + 2 * (size_t)b * (size_t)stride, stride);
}

static void unpack(const struct mat_layout *l, const uint8_t *groups, struct mat_part *part)
{
    for (int b = 0; b < part->blocks; b++) {
        int in = b % l->blocks;
        const uint8_t *group = groups + mat_group_bytes(l) * (size_t)(b / l->blocks);
        for (int lane = 0; lane < MAT_LANES; lane++) {
            for (int t = 0; t < 8; t++) {
                uint32_t w = mat_block_word(l, mat_codes(l, group, in), lane, t);
                memcpy(part->codes[b][t] + 4 * lane, &w, 4);
            }
            for (int h = 0; h < l->halves; h++) {
                int i = b * l->halves + h;
                mat_block_scale(l, group, in, h, lane, &part->scale[i][lane], &part->min[i][lane]);
            }
        }
    }
}

static int32_t dot(const uint8_t (*codes)[64], int lane, int steps, const int8_t *q)
{
    int32_t sum = 0;
    for (int t = 0; t < steps; t++, q += 4) {
        const uint8_t *c = codes[t] + 4 * lane;
        sum += c[0] * q[0] + c[1] * q[1] + c[2] * q[2] + c[3] * q[3];
    }
    return sum;
}

static float output(const struct mat_layout *l, const struct mat_part *part,
                    const struct mat_tile *t, int row, int lane, float acc)
{
    int steps = 8 / l->halves;
    for (int b = 0; b < part->blocks; b++) {
        size_t unit = (size_t)b * (size_t)t->stride + (size_t)row;
        for (int h = 0; h < l->halves; h++) {
            size_t at = (size_t)(l->halves * b + h) * (size_t)t->stride + (size_t)row;
            const float *scale = part->scale[l->halves * b + h];
            int32_t sum = dot(part->codes[b] + h * steps, lane, steps,
                              t->q + 32 * unit + 4 * h * steps);
            if (!l->min)
                sum += ((const int32_t *)t->fix)[at];
            acc = fmaf(scale[lane] * t->scale[unit], (float)sum, acc);
            if (l->min)
                acc = fmaf(part->min[l->halves * b + h][lane], ((const float *)t->fix)[at], acc);
        }
    }
    return acc;
}

static void tile(const struct mat_layout *l, const struct mat_part *parts, const struct mat_tile *t)
{
    for (int r = 0; r < t->rows; r++) {
        float *y = t->y + (size_t)r * t->ldy;
        for (int c = 0; c < t->columns; c++)
            y[c] = output(l, parts + c / MAT_LANES, t, r, c % MAT_LANES, t->first ? 0 : y[c]);
    }
}

const struct mat_block_kernels mat_block_plain = {"plain", quantize, unpack, tile, NULL, 0};
