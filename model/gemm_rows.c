/* model/gemm_rows.c - y = x w^T + bias over weights laid out beforehand.
 *
 * Packed layout: panels of `width` rows of w (the last filled up with zeros),
 * each panel [k][width]: a tile reads it front to back. Sums are cut at
 * K_BLOCK so that a panel's part stays in the second-level cache while it meets
 * every row; a cut stores and reloads the sums and changes no bit of them. */
#include <assert.h>
#include <string.h>
#include "base/cpu.h"
#include "model/gemm.h"
#include "model/gemm_int.h"

#define K_BLOCK 384      /* x 32 columns: 48 KiB */
#define ROW_BLOCK 96     /* rows of a job; a multiple of every kernel's tile */
#define PANELS 4         /* of a job */
#define WIDTH_MAX 32

static const struct gemm_kernels *kernels(void)
{
    const struct cpu *c = cpu_get();
    return c->avx512 ? &gemm_avx512 : c->avx2 ? &gemm_avx2 : &gemm_plain;
}

size_t gemm_packed_floats(int n, int k)
{
    size_t width = (size_t)kernels()->width;
    return ((size_t)n + width - 1) / width * width * (size_t)k;
}

void gemm_pack_row(int row, int n, int k, const float *w_row, float *packed)
{
    assert(row < n);
    size_t width = (size_t)kernels()->width, r = (size_t)row;
    float *to = packed + r / width * width * (size_t)k + r % width;
    for (int i = 0; i < k; i++)
        to[(size_t)i * width] = w_row[i];
}

struct rows_job {
    const struct gemm_kernels *kern;
    int m, n, k;
    int across;              /* jobs side by side */
    const float *x, *packed, *bias;
    float *y;
};

/* One panel's tile whose width passes n: through a buffer of whole width. */
static void edge_tile(const struct rows_job *j, struct gemm_tile t, int columns)
{
    float y[16 * WIDTH_MAX], bias[WIDTH_MAX] = {0};
    size_t width = (size_t)j->kern->width, keep = (size_t)columns * sizeof(float);
    float *real = t.y;
    if (t.bias)
        memcpy(bias, t.bias, keep);
    memset(y, 0, sizeof(y));
    if (!t.first)
        for (int r = 0; r < t.rows; r++)
            memcpy(y + (size_t)r * width, real + (size_t)r * t.ldy, keep);
    size_t ldy = t.ldy;
    t.bias = t.bias ? bias : NULL;
    t.y = y;
    t.ldy = width;
    j->kern->tile(&t);
    for (int r = 0; r < t.rows; r++)
        memcpy(real + (size_t)r * ldy, y + (size_t)r * width, keep);
}

static void run_panel(const struct rows_job *j, int col, int row, int row_end, int k0, int kc)
{
    int width = j->kern->width, columns = j->n - col < width ? j->n - col : width;
    struct gemm_tile t = {
        .w = j->packed + (size_t)col * (size_t)j->k + (size_t)k0 * (size_t)width,
        .bias = j->bias ? j->bias + col : NULL,
        .ldx = (size_t)j->k,
        .ldy = (size_t)j->n,
        .k = kc,
        .first = k0 == 0,
    };
    for (; row < row_end; row += j->kern->rows) {
        t.rows = row_end - row < j->kern->rows ? row_end - row : j->kern->rows;
        t.x = j->x + (size_t)row * t.ldx + k0;
        t.y = j->y + (size_t)row * t.ldy + col;
        if (columns == width)
            j->kern->tile(&t);
        else
            edge_tile(j, t, columns);
    }
}

static void run_job(void *arg, int i)
{
    const struct rows_job *j = arg;
    int width = j->kern->width;
    int row = i / j->across * ROW_BLOCK, col = i % j->across * PANELS * width;
    int row_end = row + ROW_BLOCK < j->m ? row + ROW_BLOCK : j->m;
    int col_end = col + PANELS * width < j->n ? col + PANELS * width : j->n;
    for (int k0 = 0; k0 < j->k; k0 += K_BLOCK) {
        int kc = j->k - k0 < K_BLOCK ? j->k - k0 : K_BLOCK;
        for (int c = col; c < col_end; c += width)
            run_panel(j, c, row, row_end, k0, kc);
    }
}

void gemm_rows(struct team *team, int m, int n, int k, const float *x, const float *packed,
               const float *bias, float *y)
{
    struct rows_job j = {kernels(), m, n, k, 0, x, packed, bias, y};
    int span = PANELS * j.kern->width;
    j.across = (n + span - 1) / span;
    parallel_for(team, (m + ROW_BLOCK - 1) / ROW_BLOCK * j.across, run_job, &j);
}
