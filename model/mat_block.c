/* model/mat_block.c - the quantized kinds: their table, and the walk of rows and
 * panels.
 *
 * Few rows    meet a panel as it lies, in registers: memory is the limit.
 * Many rows   meet it in parts of 64 blocks of two panels, whose codes are made
 *             bytes and whose scales are made floats once for all rows; the part
 *             stays in the caches near the core while tiles of rows pass it. */
#include "base/cpu.h"
#include "model/mat_block.h"

const struct mat_block_kernels *mat_block_kernels(void)
{
    const struct cpu *c = cpu_get();
    return c->vnni      ? &mat_block_vnni
           : c->avxvnni ? &mat_block_avxvnni
           : c->avx2    ? &mat_block_avx2
                        : &mat_block_plain;
}

/* Rows [row, row + rows) of x from block `block` on, and the outputs of the panels
 * from `panel` on, all of them. A tile of x is as high as rows are left: `rows`. */
static struct mat_tile tile_at(const struct mat_layout *l, const struct mat_job *job, int panel,
                               int row, int rows, int block)
{
    const struct mat_x *x = job->x;
    size_t unit = (size_t)row * (size_t)(x->k_pad / 32) + (size_t)block * (size_t)rows;
    return (struct mat_tile){
        .q = x->q + 32 * unit,
        .scale = x->scale + unit,
        .fix = (const int32_t *)x->fix[l->fix] + unit * (size_t)l->halves,
        .stride = rows,
        .rows = rows,
        .first = block == 0,
        .columns = job->columns - MAT_LANES * panel,
        .y = job->y + (size_t)row * job->ldy + MAT_LANES * panel,
        .ldy = job->ldy,
    };
}

/* All rows of x, from block `block` on, against the panels from `panel` on. */
static void rows_of_parts(const struct mat_block_kernels *kern, const struct mat_layout *l,
                          const struct mat_job *job, const struct mat_part *parts, int panel,
                          int n_panels, int block)
{
    int m = job->x->m;
    for (int row = 0; row < m; row += MAT_TILE) {
        int rows = m - row < MAT_TILE ? m - row : MAT_TILE;
        struct mat_tile t = tile_at(l, job, panel, row, rows, block);
        if (t.columns > MAT_LANES * n_panels)
            t.columns = MAT_LANES * n_panels;
        kern->tile(l, parts, &t);
    }
}

static void many_rows(const struct mat_block_kernels *kern, const struct mat_layout *l,
                      const struct mat_job *job)
{
    struct mat_part parts[MAT_PART_PANELS];
    int blocks = job->x->k_pad / 32, panels = 0;
    for (int b = 0; b < blocks; b += MAT_PART_BLOCKS)
        for (int p = 0; p < job->n_panels; p += panels) {
            for (panels = 0; panels < MAT_PART_PANELS && p + panels < job->n_panels; panels++) {
                const uint8_t *panel = job->panels + (size_t)(p + panels) * job->panel_bytes;
                struct mat_part *part = &parts[panels];
                part->blocks = blocks - b < MAT_PART_BLOCKS ? blocks - b : MAT_PART_BLOCKS;
                kern->unpack(l, panel + (size_t)(b / l->blocks) * mat_group_bytes(l), part);
            }
            rows_of_parts(kern, l, job, parts, p, panels, b);
        }
}

static void few_rows(const struct mat_block_kernels *kern, const struct mat_layout *l,
                     const struct mat_job *job)
{
    int m = job->x->m;
    for (int p = 0; p < job->n_panels; p++)
        for (int row = 0; row < m; row += MAT_TILE) {
            int rows = m - row < MAT_TILE ? m - row : MAT_TILE;
            struct mat_tile t = tile_at(l, job, p, row, rows, 0);
            if (t.columns > MAT_LANES)
                t.columns = MAT_LANES;
            kern->direct(l, job->panels + (size_t)p * job->panel_bytes, job->x->k_pad / 32, &t);
        }
}

void mat_block_mul(const struct mat_block_kernels *kern, const struct mat_layout *l,
                   const struct mat_job *job)
{
    if (kern->direct && job->x->m <= kern->direct_rows)
        few_rows(kern, l, job);
    else
        many_rows(kern, l, job);
    for (int r = 0; job->bias && r < job->x->m; r++)
        for (int c = 0; c < job->columns; c++)
            job->y[(size_t)r * job->ldy + (size_t)c] += job->bias[c];
}

static enum mat_form form(void)
{
    return MAT_I8;
}

static size_t panel_bytes(const struct mat_layout *l, int k)
{
    int wide = 32 * l->blocks;
    return (size_t)((k + wide - 1) / wide) * mat_group_bytes(l);
}

#define FUNCTIONS(name, ...)                                                             \
    static size_t bytes_##name(int k)                                                    \
    {                                                                                    \
        return panel_bytes(&mat_layouts[MAT_LAYOUT_##name], k);                          \
    }                                                                                    \
    static void pack_##name(const uint8_t *const src[MAT_LANES], int k, uint8_t *panel)  \
    {                                                                                    \
        mat_block_pack(&mat_layouts[MAT_LAYOUT_##name], src, k, panel);                  \
    }                                                                                    \
    static void row_##name(const uint8_t *panel, int lane, int k, float *out)            \
    {                                                                                    \
        mat_block_row(&mat_layouts[MAT_LAYOUT_##name], panel, lane, k, out);             \
    }                                                                                    \
    static void mul_##name(const struct mat_job *job)                                    \
    {                                                                                    \
        mat_block_mul(mat_block_kernels(), &mat_layouts[MAT_LAYOUT_##name], job);        \
    }
MAT_BLOCK_KINDS(FUNCTIONS)

#define KIND(name, planes, blocks, halves, min, scales, offset, fix)                     \
    {TENSOR_##name, form, bytes_##name, pack_##name, row_##name, mul_##name, fix},
const struct mat_kind mat_kinds_block[] = {MAT_BLOCK_KINDS(KIND)};
const int mat_n_kinds_block = MAT_LAYOUTS;
