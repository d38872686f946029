/* model/mat_fixed.c - F16 weights in 16-bit whole numbers: their panels, and the walk of
 * rows and panels.
 *
 * Few rows    meet one panel at a time, front to back: memory is the limit.
 * Many rows   meet two panels at a time, in parts of k that stay in the second-level cache
 *             while tiles of rows pass them. */
#include <string.h>
#include "base/cpu.h"
#include "model/mat_fixed.h"

#define FEW_ROWS 48
#define ROW_PART 96       /* a multiple of MAT_TILE; of k 2048 384 KiB */
#define PART_BLOCKS 32    /* of two panels 128 KiB */

const struct mat_fixed_kernels *mat_fixed_kernels(void)
{
    const struct cpu *c = cpu_get();
    return c->vnni ? &mat_fixed_vnni : c->avx2 ? &mat_fixed_avx2 : &mat_fixed_plain;
}

/* ---- products ---- */

/* The tile of x that begins with row `row` against blocks [block, end) of the panels from
 * `panel` on. */
static void run_tile(const struct mat_fixed_kernels *kern, const struct mat_job *job, int row,
                     int panel, int panels, int block, int end)
{
    const struct mat_x *x = job->x;
    size_t unit = (size_t)row * (size_t)(x->k_pad / MAT_FIXED_BLOCK);
    int rows = x->m - row < MAT_TILE ? x->m - row : MAT_TILE;
    int columns = job->columns - MAT_LANES * panel;
    struct mat_fixed_tile t = {
        .block = block,
        .end = end,
        .q = x->q16 + MAT_FIXED_BLOCK * unit,
        .scale = x->scale16 + unit,
        .stride = rows,
        .rows = rows,
        .first = block == 0,
        .columns = columns < MAT_LANES * panels ? columns : MAT_LANES * panels,
        .y = job->y + (size_t)row * job->ldy + MAT_LANES * panel,
        .ldy = job->ldy,
    };
    for (int p = 0; p < panels; p++)
        t.panels[p] = job->panels + (size_t)(panel + p) * job->panel_bytes;
    kern->tile(&t, panels);
}

static void few_rows(const struct mat_fixed_kernels *kern, const struct mat_job *job)
{
    for (int p = 0; p < job->n_panels; p++)
        for (int row = 0; row < job->x->m; row += MAT_TILE)
            run_tile(kern, job, row, p, 1, 0, job->x->k_pad / MAT_FIXED_BLOCK);
}

/* Rows [row, end) against `panels` panels. */
static void part_of_rows(const struct mat_fixed_kernels *kern, const struct mat_job *job, int row,
                         int end, int panel, int panels)
{
    int blocks = job->x->k_pad / MAT_FIXED_BLOCK;
    for (int b = 0; b < blocks; b += PART_BLOCKS) {
        int to = b + PART_BLOCKS < blocks ? b + PART_BLOCKS : blocks;
        for (int r = row; r < end; r += MAT_TILE)
            run_tile(kern, job, r, panel, panels, b, to);
    }
}

static void many_rows(const struct mat_fixed_kernels *kern, const struct mat_job *job)
{
    int m = job->x->m, panels;
    for (int p = 0; p < job->n_panels; p += panels) {
        panels = job->n_panels - p < MAT_FIXED_PANELS ? job->n_panels - p : MAT_FIXED_PANELS;
        for (int row = 0; row < m; row += ROW_PART)
            part_of_rows(kern, job, row, row + ROW_PART < m ? row + ROW_PART : m, p, panels);
    }
}

void mat_fixed_mul(const struct mat_fixed_kernels *kern, const struct mat_job *job)
{
    if (job->x->m <= FEW_ROWS)
        few_rows(kern, job);
    else
        many_rows(kern, job);
    for (int r = 0; job->bias && r < job->x->m; r++)
        for (int c = 0; c < job->columns; c++)
            job->y[(size_t)r * job->ldy + (size_t)c] += job->bias[c];
}

/* ---- panels ---- */

static enum mat_form form(void)
{
    return MAT_I16;
}

static int blocks_of(int k)
{
    return (k + MAT_FIXED_BLOCK - 1) / MAT_FIXED_BLOCK;
}

static size_t panel_bytes(int k)
{
    return (size_t)((blocks_of(k) + 1) / 2) * 64 + (size_t)blocks_of(k) * MAT_FIXED_CODES;
}

/* Block b of a lane. The scale, rounded to BF16 by the kernel, is the upper half of a float. */
static void pack_block(const uint8_t *row, int k, int b, int lane, uint8_t *panel)
{
    float x[MAT_FIXED_BLOCK] = {0}, scale = 0;
    int16_t q[MAT_FIXED_BLOCK] = {0};
    uint32_t bits;
    int n = k - b * MAT_FIXED_BLOCK;
    if (row) {
        n = n < MAT_FIXED_BLOCK ? n : MAT_FIXED_BLOCK;
        tensor_dequant(TENSOR_F16, row + (size_t)b * MAT_FIXED_BLOCK * 2, n, x);
        mat_fixed_kernels()->quantize(x, MAT_FIXED_BLOCK, 1, q, &scale);
    }
    memcpy(&bits, &scale, 4);
    uint16_t upper = (uint16_t)(bits >> 16);
    memcpy((uint8_t *)mat_fixed_scales(panel, b) + 2 * lane, &upper, 2);
    uint8_t *codes = (uint8_t *)mat_fixed_codes(panel, b) + 4 * lane;
    for (int i = 0; i < MAT_FIXED_BLOCK; i += 2)
        memcpy(codes + 32 * i, q + i, 4);
}

static void pack(const uint8_t *const src[MAT_LANES], int k, uint8_t *panel)
{
    memset((uint8_t *)mat_fixed_scales(panel, (blocks_of(k) - 1) / 2 * 2), 0, 64);
    for (int b = 0; b < blocks_of(k); b++)
        for (int lane = 0; lane < MAT_LANES; lane++)
            pack_block(src[lane], k, b, lane, panel);
}

static void row(const uint8_t *panel, int lane, int k, float *out)
{
    for (int i = 0; i < k; i++) {
        int b = i / MAT_FIXED_BLOCK, in = i % MAT_FIXED_BLOCK;
        uint16_t upper;
        int16_t q;
        float scale;
        memcpy(&upper, mat_fixed_scales(panel, b) + 2 * lane, 2);
        memcpy(&q, mat_fixed_codes(panel, b) + in / 2 * 64 + 4 * lane + in % 2 * 2, 2);
        tensor_dequant(TENSOR_BF16, &upper, 1, &scale);
        out[i] = (float)q * scale;
    }
}

static void mul(const struct mat_job *job)
{
    mat_fixed_mul(mat_fixed_kernels(), job);
}

const struct mat_kind mat_kind_fixed = {TENSOR_F16, form, panel_bytes, pack, row, mul,
                                        MAT_FIX_NONE};
