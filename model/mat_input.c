/* model/mat_input.c - activations in the forms that kernels take. */
#include "model/mat_input.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "model/mat_block.h"
#include "model/mat_fixed.h"

#define TAIL 64          /* elements that rows are padded to */

struct mat_input {
    int max_m, max_k;
    struct mat_x x;
    bool form[MAT_FORMS], fix[MAT_FIXES];   /* made since the last set */
    uint16_t *bf16;
    int16_t *q16;
    int8_t *q;
    float *scale, *scale16;
    int32_t *sum;            /* over halves: as a fix of halves */
    void *fixes[MAT_FIXES];
};

static int padded(int k)
{
    return (k + TAIL - 1) / TAIL * TAIL;
}

static bool of_halves(enum mat_fix fix)
{
    return fix == MAT_FIX_LESS_4H || fix == MAT_FIX_LESS_32H || fix == MAT_FIX_SUM_H;
}

static bool take_all(struct mat_input *in)
{
    size_t elements = (size_t)in->max_m * (size_t)padded(in->max_k), units = elements / 32;
    bool all = (in->bf16 = aligned_alloc(64, elements * 2)) &&
               (in->q16 = aligned_alloc(64, elements * 2)) &&
               (in->scale16 = malloc(elements / MAT_FIXED_BLOCK * 4)) &&
               (in->q = aligned_alloc(64, elements)) &&
               (in->scale = malloc(units * 4)) && (in->sum = malloc(units * 8));
    for (int i = MAT_FIX_NONE + 1; i < MAT_FIXES && all; i++) {
        in->fixes[i] = malloc(units * (of_halves((enum mat_fix)i) ? 8 : 4));
        all = in->fixes[i] != NULL;
    }
    return all;
}

enum err_code mat_input_new(int max_m, int max_k, struct mat_input **out, struct err *err)
{
    *out = NULL;
    if (max_m < 1 || max_k < 1 || max_k > 1 << 24)
        return err_set(err, ERR_ARG, "activations of %d rows of %d", max_m, max_k);
    struct mat_input *in = calloc(1, sizeof(*in));
    if (in) {
        in->max_m = max_m;
        in->max_k = max_k;
    }
    if (!in || !take_all(in)) {
        mat_input_free(in);
        return err_set(err, ERR_NOMEM, "activations of %d rows of %d", max_m, max_k);
    }
    *out = in;
    return OK;
}

void mat_input_free(struct mat_input *in)
{
    if (!in)
        return;
    free(in->bf16);
    free(in->q16);
    free(in->scale16);
    free(in->q);
    free(in->scale);
    free(in->sum);
    for (int i = 0; i < MAT_FIXES; i++)
        free(in->fixes[i]);
    free(in);
}

void mat_input_set(struct mat_input *in, int m, int k, const float *rows, size_t ldx)
{
    assert(m >= 0 && m <= in->max_m && k >= 1 && k <= in->max_k);
    in->x = (struct mat_x){.m = m, .k = k, .k_pad = padded(k), .f32 = rows, .ld_f32 = ldx,
                           .bf16 = in->bf16, .q16 = in->q16, .scale16 = in->scale16, .q = in->q,
                           .scale = in->scale};
    memcpy(in->x.fix, in->fixes, sizeof(in->x.fix));
    memset(in->form, 0, sizeof(in->form));
    memset(in->fix, 0, sizeof(in->fix));
}

const struct mat_x *mat_input_x(const struct mat_input *in)
{
    return &in->x;
}

/* The last, broken piece of row r, filled up with zeros. */
static const float *tail_of(const struct mat_x *x, int row, float tail[TAIL])
{
    int whole = x->k / TAIL * TAIL;
    memset(tail, 0, TAIL * sizeof(*tail));
    memcpy(tail, x->f32 + (size_t)row * x->ld_f32 + whole,
           (size_t)(x->k - whole) * sizeof(*tail));
    return tail;
}

static void make_bf16(void *arg, int i)
{
    struct mat_input *in = arg;
    const struct mat_x *x = &in->x;
    float tail[TAIL];
    int whole = x->k / TAIL * TAIL;
    for (int r = i * MAT_TILE; r < (i + 1) * MAT_TILE && r < x->m; r++) {
        uint16_t *to = in->bf16 + (size_t)r * (size_t)x->k_pad;
        tensor_quant(TENSOR_BF16, x->f32 + (size_t)r * x->ld_f32, whole, to);
        if (whole < x->k)
            tensor_quant(TENSOR_BF16, tail_of(x, r, tail), TAIL, to + whole);
    }
}

static int tile_rows(const struct mat_x *x, int tile)
{
    int left = x->m - tile * MAT_TILE;
    return left < MAT_TILE ? left : MAT_TILE;
}

/* The first unit of a tile; see struct mat_x. */
static size_t tile_unit(const struct mat_x *x, int tile)
{
    return (size_t)tile * MAT_TILE * (size_t)(x->k_pad / 32);
}

static void make_i8(void *arg, int i)
{
    struct mat_input *in = arg;
    const struct mat_x *x = &in->x;
    const struct mat_block_kernels *kern = mat_block_kernels();
    float tail[TAIL];
    int rows = tile_rows(x, i), whole = x->k / TAIL * TAIL;
    size_t unit = tile_unit(x, i), end = unit + (size_t)(whole / 32) * (size_t)rows;
    for (int r = 0; r < rows; r++) {
        int row = i * MAT_TILE + r;
        size_t at = unit + (size_t)r, last = end + (size_t)r;
        kern->quantize(x->f32 + (size_t)row * x->ld_f32, whole, rows, in->q + 32 * at,
                       in->scale + at, in->sum + 2 * unit + r);
        if (whole < x->k)
            kern->quantize(tail_of(x, row, tail), TAIL, rows, in->q + 32 * last, in->scale + last,
                           in->sum + 2 * end + r);
    }
}

static void make_i16(void *arg, int i)
{
    struct mat_input *in = arg;
    const struct mat_x *x = &in->x;
    const struct mat_fixed_kernels *kern = mat_fixed_kernels();
    float tail[TAIL];
    int rows = tile_rows(x, i), whole = x->k / TAIL * TAIL;
    size_t unit = (size_t)i * MAT_TILE * (size_t)(x->k_pad / MAT_FIXED_BLOCK);
    for (int r = 0; r < rows; r++) {
        int row = i * MAT_TILE + r;
        size_t at = unit + (size_t)r;
        size_t last = at + (size_t)(whole / MAT_FIXED_BLOCK) * (size_t)rows;
        kern->quantize(x->f32 + (size_t)row * x->ld_f32, whole, rows,
                       in->q16 + MAT_FIXED_BLOCK * at, in->scale16 + at);
        if (whole < x->k)
            kern->quantize(tail_of(x, row, tail), TAIL, rows, in->q16 + MAT_FIXED_BLOCK * last,
                           in->scale16 + last);
    }
}

/* Of a tile of `rows`: sum[blocks][2][rows] becomes the fix. */
static void less_of(int factor, bool halves, int blocks, int rows, const int32_t *sum, int32_t *to)
{
    if (halves) {
        for (int i = 0; i < 2 * blocks * rows; i++)
            to[i] = -factor * sum[i];
        return;
    }
    for (int b = 0; b < blocks; b++, sum += 2 * rows, to += rows)
        for (int r = 0; r < rows; r++)
            to[r] = -factor * (sum[r] + sum[rows + r]);
}

static void sum_of(bool halves, int blocks, int rows, const int32_t *sum, const float *scale,
                   float *to)
{
    for (int b = 0; b < blocks; b++, sum += 2 * rows, scale += rows)
        for (int r = 0; r < rows; r++) {
            if (halves) {
                to[2 * b * rows + r] = scale[r] * (float)sum[r];
                to[2 * b * rows + rows + r] = scale[r] * (float)sum[rows + r];
            } else {
                to[b * rows + r] = scale[r] * (float)(sum[r] + sum[rows + r]);
            }
        }
}

static void make_fix(struct mat_input *in, enum mat_fix fix)
{
    static const int factor[MAT_FIXES] = {
        [MAT_FIX_LESS_8] = 8,   [MAT_FIX_LESS_16] = 16,  [MAT_FIX_LESS_128] = 128,
        [MAT_FIX_LESS_4H] = 4,  [MAT_FIX_LESS_32H] = 32,
    };
    const struct mat_x *x = &in->x;
    bool halves = of_halves(fix);
    int blocks = x->k_pad / 32;
    for (int i = 0; i * MAT_TILE < x->m; i++) {
        int rows = tile_rows(x, i);
        size_t unit = tile_unit(x, i), at = unit * (halves ? 2 : 1);
        if (factor[fix])
            less_of(factor[fix], halves, blocks, rows, in->sum + 2 * unit,
                    (int32_t *)in->fixes[fix] + at);
        else
            sum_of(halves, blocks, rows, in->sum + 2 * unit, in->scale + unit,
                   (float *)in->fixes[fix] + at);
    }
}

void mat_input_need(struct mat_input *in, struct team *team, enum mat_form form, enum mat_fix fix)
{
    int tiles = (in->x.m + MAT_TILE - 1) / MAT_TILE;
    void (*const make[MAT_FORMS])(void *, int) = {
        [MAT_BF16] = make_bf16, [MAT_I16] = make_i16, [MAT_I8] = make_i8};
    if (make[form] && !in->form[form])
        parallel_for(team, tiles, make[form], in);
    in->form[form] = true;
    if (fix != MAT_FIX_NONE && !in->fix[fix])
        make_fix(in, fix);
    in->fix[fix] = true;
}
