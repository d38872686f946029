/* model/mat_float.c - weights in F32 and BF16: their panels and the walk of
 * the tiles over them.
 *
 * Panels     F32 [k][16]; BF16 [(k + 1) / 2][16][2].
 * As stored   panels meet rows as they are, BF16 made floats on the way: several
 *             panels at once, the whole of k in one go while one tile takes all rows (the
 *             memory is the limit); else in parts of k that stay in the second-level cache
 *             from one tile to the next.
 * In parts    of k that stay in the first-level cache, a few panels at a time, while every
 *             tile of rows passes them: for many rows where nothing has to be converted. */
#include <limits.h>
#include <string.h>
#include "base/cpu.h"
#include "model/mat_float_int.h"
#include "model/mat_int.h"

#define K_PART 512       /* steps of two panels of F32, or pairs of BF16: 64 KiB */
#define ROW_PART 192     /* x 512 floats: 384 KiB */
#define PANEL_PART 4     /* a multiple of any tile's panels */
#define STEP 64          /* bytes of a panel's step */
#define TAIL 64          /* steps */
#define K_STORED 2048    /* steps of two panels as stored: 256 KiB */
#define NEXT_BYTES 2048
#define WIDE (16 * MAT_FLOAT_PANELS)

const struct mat_float_kernels *mat_float_kernels(void)
{
    const struct cpu *c = cpu_get();
    return c->avx512 ? &mat_float_avx512 : c->avx2 ? &mat_float_avx2 : &mat_float_plain;
}

/* A job, with what its steps mean. */
struct walk {
    const struct mat_float_kernels *kern;
    const struct mat_job *job;
    enum mat_float_type type;
    int k;                   /* steps of a panel */
    const float *x;          /* step i of row r at x[r * ldx + i] */
    size_t ldx;
};

static struct walk walk_of(const struct mat_float_kernels *kern, enum mat_float_type type,
                           const struct mat_job *job)
{
    const struct mat_x *x = job->x;
    struct walk w = {kern, job, type, x->k, x->f32, x->ld_f32};
    if (type == MAT_FLOAT_DOT) {
        w.k = (x->k + 1) / 2;
        w.x = (const float *)(const void *)x->bf16;
        w.ldx = (size_t)x->k_pad / 2;
    }
    return w;
}

/* A tile at column `col` of y, of which only `columns` are there: through a
 * buffer of whole width. */
static void edge_tile(const struct walk *w, struct mat_float_tile t, int columns)
{
    float y[MAT_FLOAT_ROWS * WIDE], bias[WIDE] = {0};
    size_t keep = (size_t)columns * sizeof(float), ldy = t.ldy;
    float *real = t.y;
    if (t.bias)
        memcpy(bias, t.bias, keep);
    for (int r = 0; r < t.rows && !t.first; r++) {
        memset(y + r * WIDE, 0, sizeof(float) * WIDE);
        memcpy(y + r * WIDE, real + (size_t)r * ldy, keep);
    }
    t.bias = t.bias ? bias : NULL;
    t.y = y;
    t.ldy = WIDE;
    w->kern->tile(w->type, &t);
    for (int r = 0; r < t.rows; r++)
        memcpy(real + (size_t)r * ldy, y + r * WIDE, keep);
}

/* Rows [row, row + t.rows) of x against the panels t.w, the first of them
 * `panel` of the job; t has w, step, k, first and rows. */
static void run_tile(const struct walk *w, struct mat_float_tile t, int panel, int row, int k0,
                     bool last)
{
    const struct mat_job *job = w->job;
    int width = 16 * w->kern->panels[t.rows], col = 16 * panel;
    t.x = w->x + (size_t)row * w->ldx + k0;
    t.ldx = w->ldx;
    t.y = job->y + (size_t)row * job->ldy + col;
    t.ldy = job->ldy;
    t.bias = last && job->bias ? job->bias + col : NULL;
    if (col + width <= job->columns)
        w->kern->tile(w->type, &t);
    else
        edge_tile(w, t, job->columns - col);
}

/* Where a tile wants more panels than the job has, it meets the last one again. */
static const uint8_t *panel_at(const struct walk *w, int panel)
{
    int top = w->job->n_panels - 1;
    return w->job->panels + (size_t)(panel < top ? panel : top) * w->job->panel_bytes;
}

/* The first lines of the panels after the ones in `t`. */
static void fetch_next(const struct walk *w, int panel, int across)
{
    for (size_t line = 0; line < NEXT_BYTES && line < w->job->panel_bytes; line += 64)
        for (int c = 0; c < across; c++)
            __builtin_prefetch(panel_at(w, panel + across + c) + line);
}

/* All rows against steps [k0, k0 + t.k) of the panels from p on. Tiles are alike to a
 * row, so that all are as wide as `across` says. */
static void rows_as_stored(const struct walk *w, struct mat_float_tile t, int p, int k0,
                           int tiles)
{
    int m = w->job->x->m;
    for (int i = 0; i < tiles; i++) {
        int row = m * i / tiles;
        t.rows = m * (i + 1) / tiles - row;
        run_tile(w, t, p, row, k0, k0 + t.k == w->k);
    }
}

/* The last steps of a group of panels are taken while the next group's first
 * are under way. More rows than a tile has meet a group in parts that stay in the
 * second-level cache from one tile to the next. */
static void few_rows(const struct walk *w)
{
    int m = w->job->x->m, tiles = (m + w->kern->rows - 1) / w->kern->rows;
    int across = w->kern->panels[tiles > 1 ? w->kern->rows : m];
    int tail = w->k > 2 * TAIL ? TAIL + w->k % 2 : w->k;
    int most = tiles > 1 ? K_STORED : w->k;
    struct mat_float_tile t = {.step = STEP};
    for (int p = 0; p < w->job->n_panels; p += across) {
        for (int k0 = 0; k0 < w->k; k0 += t.k) {
            int left = w->k - k0;
            t.k = left <= tail ? left : left - tail < most ? left - tail : most;
            t.first = k0 == 0;
            if (left <= tail)
                fetch_next(w, p, across);
            for (int c = 0; c < across; c++)
                t.w[c] = panel_at(w, p + c) +
                         (size_t)k0 / (w->type == MAT_FLOAT_BF16 ? 2 : 1) * STEP;
            rows_as_stored(w, t, p, k0, tiles);
        }
    }
}

/* All tiles of rows [row0, row1) against one part of k of the panels from p on.
 * Tiles are alike to a row, so that none is too low to hide its latencies. */
static void part_of_panels(const struct walk *w, int p, int row0, int row1, int k0, int kc)
{
    struct mat_float_tile t = {.step = STEP, .k = kc, .first = k0 == 0};
    for (int c = 0; c < 2; c++)
        t.w[c] = panel_at(w, p + c) + (size_t)k0 * STEP;
    int m = row1 - row0, tiles = (m + w->kern->rows - 1) / w->kern->rows;
    for (int i = 0; i < tiles; i++) {
        int row = row0 + m * i / tiles;
        t.rows = row0 + m * (i + 1) / tiles - row;
        run_tile(w, t, p, row, k0, k0 + kc == w->k);
    }
}

/* Few panels at a time: their part of y is stored and taken up again with every
 * part of k, and stays in the second-level cache (0.87 of the arithmetic peak
 * where 128 panels at once gave 0.77). */
static void many_rows(const struct walk *w, int panel, int end)
{
    int m = w->job->x->m, across = w->kern->panels[w->kern->rows];
    for (int row = 0; row < m; row += ROW_PART) {
        int row1 = row + ROW_PART < m ? row + ROW_PART : m;
        for (int k0 = 0; k0 < w->k; k0 += K_PART) {
            int kc = w->k - k0 < K_PART ? w->k - k0 : K_PART;
            for (int p = panel; p < end; p += across)
                part_of_panels(w, p, row, row1, k0, kc);
        }
    }
}

/* Up to how many rows panels are met as stored. With a conversion always: floats made
 * beforehand would come from the second-level cache, twice as long. */
static int few_of(const struct mat_float_kernels *kern, enum mat_float_type type)
{
    return type == MAT_FLOAT_F32 ? kern->rows : type == MAT_FLOAT_DOT ? 8 * kern->rows : INT_MAX;
}

void mat_float_mul(const struct mat_float_kernels *kern, enum mat_float_type type,
                   const struct mat_job *job)
{
    struct walk w = walk_of(kern, type, job);
    bool few = job->x->m <= few_of(kern, type);
    if (few)
        few_rows(&w);
    for (int p = 0; p < job->n_panels && !few; p += PANEL_PART)
        many_rows(&w, p, p + PANEL_PART < job->n_panels ? p + PANEL_PART : job->n_panels);
}

static enum mat_form form_f32(void)
{
    return MAT_F32;
}

static enum mat_form form_bf16(void)
{
    return cpu_get()->avx512 && cpu_get()->bf16 ? MAT_BF16 : MAT_F32;
}

static size_t bytes_f32(int k)
{
    return (size_t)k * 64;
}

static size_t bytes_bf16(int k)
{
    return ((size_t)k + 1) / 2 * 64;
}

static void pack_f32(const uint8_t *const src[MAT_LANES], int k, uint8_t *panel)
{
    for (int i = 0; i < k; i++)
        for (int lane = 0; lane < MAT_LANES; lane++, panel += 4) {
            if (src[lane])
                memcpy(panel, src[lane] + (size_t)i * 4, 4);
            else
                memset(panel, 0, 4);
        }
}

/* Halves of lane l at [k / 2][16][2]. */
static void pack_bf16(const uint8_t *const src[MAT_LANES], int k, uint8_t *panel)
{
    for (int i = 0; i < k; i += 2)
        for (int lane = 0; lane < MAT_LANES; lane++)
            for (int j = i; j < i + 2; j++, panel += 2) {
                if (src[lane] && j < k)
                    memcpy(panel, src[lane] + (size_t)j * 2, 2);
                else
                    memset(panel, 0, 2);
            }
}

static void row_f32(const uint8_t *panel, int lane, int k, float *out)
{
    for (int i = 0; i < k; i++)
        memcpy(out + i, panel + (size_t)i * 64 + (size_t)lane * 4, 4);
}

static void row_bf16(const uint8_t *panel, int lane, int k, float *out)
{
    for (int i = 0; i < k; i++)
        tensor_dequant(TENSOR_BF16, panel + (size_t)(i / 2) * 64 + (size_t)lane * 4 + i % 2 * 2, 1,
                       out + i);
}

static void mul_f32(const struct mat_job *job)
{
    mat_float_mul(mat_float_kernels(), MAT_FLOAT_F32, job);
}

static void mul_bf16(const struct mat_job *job)
{
    mat_float_mul(mat_float_kernels(), form_bf16() == MAT_BF16 ? MAT_FLOAT_DOT : MAT_FLOAT_BF16,
                  job);
}

const struct mat_kind mat_kinds_float[] = {
    {TENSOR_F32, form_f32, bytes_f32, pack_f32, row_f32, mul_f32},
    {TENSOR_BF16, form_bf16, bytes_bf16, pack_bf16, row_bf16, mul_bf16},
};
const int mat_n_kinds_float = (int)(sizeof(mat_kinds_float) / sizeof(*mat_kinds_float));
