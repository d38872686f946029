/* model/attn.c - attention over pages: the walk over queries and tiles of
 * positions.
 *
 * A part of a page, for a head of d dimensions (e bytes an element):
 *   keys    [2][d][16]     16 positions side by side, twice
 *   values  [32][d]        a position behind the other
 *   scales  [32] of the keys, [32] of the values, floats (Q8 only)
 *   and 64 bytes of nothing where d is no multiple of 16, so that a vector of the
 *   last value may be read whole.
 * Rows of a job are walked some at a time, and for their queries (row, head) the
 * positions in tiles of ATTN_TILE: scores, one step of the softmax as it goes along
 * (M. Milakov and N. Gimelshein, "Online normalizer calculation for softmax", 2018,
 * arXiv:1805.02867), weighted values. Its base is left where it is until a score lies
 * far above: for all but a few tiles nothing that was summed before has to be
 * multiplied. Many queries meet keys and values made floats just
 * before, as much at a time as stays in the first-level cache; few meet them as they
 * are stored and ask for what comes next; the numbers are the same. */
#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>
#include "base/cpu.h"
#include "model/attn_int.h"

#define QUERIES 448       /* that are walked together, or one row's: keys are made floats once
                             for them; 192 were as fast within what bench_attn scatters */
#define FETCH 8192        /* bytes of keys or values asked for before they are met; 12 and
                             16 KiB were as fast within what bench_attn scatters */
#define AHEAD 16          /* queries asked for before they are taken or given */

static const struct attn_kernels *kernels(void)
{
    const struct cpu *c = cpu_get();
    return c->avx512 ? &attn_avx512 : c->avx2 ? &attn_avx2 : &attn_plain;
}

static size_t element_bytes(enum attn_type type)
{
    return type == ATTN_F32 ? 4 : type == ATTN_F16 ? 2 : 1;
}

static size_t values_at(enum attn_type type, int head_dim)
{
    return (size_t)ATTN_PAGE * (size_t)head_dim * element_bytes(type);
}

static size_t scales_at(enum attn_type type, int head_dim)
{
    return 2 * values_at(type, head_dim);
}

size_t attn_page_bytes(enum attn_type type, int head_dim)
{
    size_t scales = type == ATTN_Q8 ? 2 * ATTN_PAGE * sizeof(float) : 0;
    return scales_at(type, head_dim) + scales + (head_dim % 16 ? 64 : 0);
}

/* x[n] as int8 with the scale returned: x ~ q * scale. */
static float to_i8(const float *x, int n, int8_t *q)
{
    float top = 0;
    for (int i = 0; i < n; i++)
        top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
    top = top < FLT_MAX ? top : FLT_MAX;
    float inverse = top > 0 ? 127 / top : 0;
    for (int i = 0; i < n; i++)
        q[i] = (int8_t)lrintf(fmaxf(-127, fminf(127, x[i] * inverse)));
    return top / 127;
}

/* Elements of `size` bytes to a slot among the keys. */
static void put_key(uint8_t *keys, int slot, const void *k, int n, size_t size)
{
    uint8_t *to = keys + ((size_t)(slot / 16 * 16 * n) + (size_t)(slot % 16)) * size;
    for (int i = 0; i < n; i++, to += 16 * size)
        memcpy(to, (const uint8_t *)k + (size_t)i * size, size);
}

void attn_put_with(const struct attn_kernels *kern, enum attn_type type, int head_dim, void *part,
                   int slot, const float *k, const float *v)
{
    union { uint16_t f16[ATTN_HEAD_MAX]; int8_t i8[ATTN_HEAD_MAX]; } row;
    size_t size = element_bytes(type);
    uint8_t *value = (uint8_t *)part + values_at(type, head_dim) +
                     (size_t)(slot * head_dim) * size;
    float *scales = (float *)(void *)((uint8_t *)part + scales_at(type, head_dim));
    switch (type) {
    case ATTN_F32:
        put_key(part, slot, k, head_dim, size);
        memcpy(value, v, (size_t)head_dim * size);
        break;
    case ATTN_F16:
        kern->to_f16(k, head_dim, row.f16);
        put_key(part, slot, row.f16, head_dim, size);
        kern->to_f16(v, head_dim, (uint16_t *)(void *)value);
        break;
    case ATTN_Q8:
        scales[slot] = to_i8(k, head_dim, row.i8);
        put_key(part, slot, row.i8, head_dim, size);
        scales[ATTN_PAGE + slot] = to_i8(v, head_dim, (int8_t *)value);
        break;
    }
}

void attn_put(enum attn_type type, int head_dim, void *part, int slot, const float *k,
              const float *v)
{
    assert(head_dim <= ATTN_HEAD_MAX && slot >= 0 && slot < ATTN_PAGE);
    attn_put_with(kernels(), type, head_dim, part, slot, k, v);
}

/* Where the scratch holds what; every array begins at a multiple of 64 bytes. */
struct room {
    float *q;                /* [queries][head_dim], times job->scale */
    float *out;              /* [queries][wide] */
    float *s;                /* [queries][ATTN_TILE] */
    float *base, *sums;      /* [queries], [queries][16]: as in struct attn_step */
    float *panels;           /* [ATTN_PANELS][steps of one][16]: keys or values as floats */
};

struct walk {
    const struct attn_kernels *kern;
    const struct attn_job *job;
    int wide;                /* head_dim up to whole tiles of panels */
    struct room room;
    int row, rows;           /* of the job, [row, row + rows) */
    int n;                   /* queries: row * group + head */
    bool first;              /* the first tile: nothing has been summed yet */
    int tile;                /* position of the tile's first */
    int from, to;            /* positions of it that are computed, from a page's first */
    int end;                 /* the last row's position + 1 */
    int ahead;               /* pages asked for before they are met */
    float k_scale[ATTN_TILE], v_scale[ATTN_TILE];
};

static int wide_of(int head_dim)
{
    int all = 16 * ATTN_PANELS;
    return (head_dim + all - 1) / all * all;
}

/* Rows that are walked together. */
static int rows_of(const struct attn_job *job)
{
    int n = QUERIES / job->group;
    n = n > 1 ? n : 1;
    return n < job->n_rows ? n : job->n_rows;
}

/* Lay the arrays out from `base` (NULL: only count); bytes of all. */
static size_t lay_out(struct room *r, const struct attn_job *job, char *base)
{
    size_t n = (size_t)(rows_of(job) * job->group), d = (size_t)job->head_dim;
    size_t wide = (size_t)wide_of(job->head_dim), steps = d > ATTN_TILE ? d : ATTN_TILE;
    struct { float **at; size_t floats; } parts[] = {
        {&r->q, n * d}, {&r->out, n * wide}, {&r->s, n * ATTN_TILE}, {&r->base, n},
        {&r->sums, n * 16}, {&r->panels, ATTN_PANELS * 16 * steps},
    };
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        *parts[i].at = base ? (float *)(void *)(base + bytes) : NULL;
        bytes += (parts[i].floats * sizeof(float) + 63) / 64 * 64;
    }
    return bytes;
}

size_t attn_scratch_bytes(const struct attn_job *job)
{
    struct room r;
    return lay_out(&r, job, NULL) + 64;
}

static int row_of(const struct walk *w, int query)
{
    return w->job->pos0 + w->row + query / w->job->group;
}

/* The first position that a query at `pos` sees. */
static int sight(const struct attn_job *job, int pos)
{
    return job->window > 0 && pos >= job->window ? pos - job->window + 1 : 0;
}

static const uint8_t *page_part(const struct walk *w, int pos)
{
    return (const uint8_t *)w->job->pages[pos / ATTN_PAGE] + w->job->part;
}

/* Keys of the tile's pages, then values of them, then keys of the next tile's: how far
 * from the keys or values of the page of `pos` lie those that are met w->ahead such
 * halves of pages later. 0: nothing does. */
static ptrdiff_t later(const struct walk *w, int pos, bool values)
{
    size_t half = values_at(w->job->type, w->job->head_dim);
    int pages = (w->to - w->from + ATTN_PAGE - 1) / ATTN_PAGE;
    int i = (pos - w->from) / ATTN_PAGE + (values ? pages : 0) + w->ahead;
    bool keys = i < pages, next = i >= 2 * pages;
    int at = keys ? w->from + i * ATTN_PAGE
             : next ? w->tile + ATTN_TILE + (i - 2 * pages) * ATTN_PAGE
                    : w->from + (i - pages) * ATTN_PAGE;
    if (at >= w->end)
        return 0;
    uintptr_t there = (uintptr_t)page_part(w, at) + (keys || next ? 0 : half);
    uintptr_t here = (uintptr_t)page_part(w, pos) + (values ? half : 0);
    return (ptrdiff_t)(there - here);
}

static bool few(const struct walk *w)
{
    return w->n <= w->kern->rows;
}

/* Panels of one tile call. */
static int across(const struct walk *w)
{
    return w->kern->panels[few(w) ? w->n : w->kern->rows];
}

/* Floats from the first of the job's queries, or outputs, to that of query i. They are asked
 * for ahead: rows lie far from each other. */
static size_t query_at(const struct walk *w, int i, size_t ld)
{
    int g = w->job->group;
    return (size_t)(w->row + i / g) * ld + (size_t)(i % g * w->job->head_dim);
}

static void take_queries(struct walk *w)
{
    const struct attn_job *j = w->job;
    for (int i = 0; i < w->n; i++) {
        int d = j->head_dim;
        for (int c = 0; c < d && i + AHEAD < w->n; c += 16)
            __builtin_prefetch(j->q + query_at(w, i + AHEAD, j->ldq) + c);
        w->kern->times(j->q + query_at(w, i, j->ldq), d, j->scale,
                       w->room.q + (size_t)i * (size_t)d);
        w->room.base[i] = -INFINITY;
    }
    memset(w->room.sums, 0, (size_t)w->n * 16 * sizeof(float));
}

static float sum_of(const float *sums)
{
    float sum = 0;
    for (int i = 0; i < 16; i++)
        sum += sums[i];
    return sum;
}

static void give_rows(const struct walk *w)
{
    const struct attn_job *j = w->job;
    for (int i = 0; i < w->n; i++) {
        int d = j->head_dim;
        for (int c = 0; c < d && i + AHEAD < w->n; c += 16)
            __builtin_prefetch(j->out + query_at(w, i + AHEAD, j->ldo) + c, 1);
        w->kern->times(w->room.out + (size_t)i * (size_t)w->wide, d,
                       1 / sum_of(w->room.sums + i * 16), j->out + query_at(w, i, j->ldo));
    }
}

/* Queries [first, w->n) of the walk meet the panels of `t`; x and y are those of query 0.
 * A tile goes no further than its last query sees: t.k positions from w->from where
 * `upto`, else t.k elements. */
static void each_query(const struct walk *w, struct attn_tile *t, int first, bool upto)
{
    const struct attn_kernels *k = w->kern;
    void (*tile)(const struct attn_tile *t) = k->tile[few(w) ? w->job->type : ATTN_F32];
    int n = w->n - first, tiles = (n + k->rows - 1) / k->rows, all = t->k;
    const float *x = t->x;
    float *y = t->y;
    for (int i = 0; i < tiles; i++) {
        int q = first + n * i / tiles, end = first + n * (i + 1) / tiles;
        int seen = upto ? row_of(w, end - 1) + 1 - w->from : all;
        t->rows = end - q;
        t->k = seen < all ? seen : all;
        t->x = x + (size_t)q * t->ldx;
        t->y = y + (size_t)q * t->ldy;
        if (t->k > 0)
            tile(t);
    }
    t->k = all;
}

/* The first query that sees `pos`, or one before; enough are left for whole tiles. */
static int first_at(const struct walk *w, int pos)
{
    int query = (pos - w->job->pos0 - w->row) * w->job->group;
    int last = w->n - w->kern->rows;
    query = query < last ? query : last;
    return query > 0 ? query : 0;
}

/* The keys of positions [pos, pos + 16), as stored or made floats in place `c`. */
static const uint8_t *key_panel(const struct walk *w, int pos, int c)
{
    size_t n = 16 * (size_t)w->job->head_dim, size = element_bytes(w->job->type);
    const uint8_t *keys = page_part(w, pos) + (size_t)(pos % ATTN_PAGE / 16) * n * size;
    if (few(w))
        return keys;
    float *to = w->room.panels + (size_t)c * n;
    w->kern->widen(w->job->type, keys, 16 * size, w->job->head_dim, to);
    return (const uint8_t *)to;
}

/* s[query][position] = q k. Where a call wants more panels than are left, it
 * meets the last again: the columns beyond are not looked at. */
static void score(const struct walk *w)
{
    int n = across(w), end = (w->to + 15) / 16 * 16;
    struct attn_tile t = {
        .run_steps = w->job->head_dim, .k = w->job->head_dim,
        .step = 16 * (few(w) ? element_bytes(w->job->type) : sizeof(float)),
        .ldx = (size_t)w->job->head_dim, .ldy = ATTN_TILE, .first = true,
    };
    for (int pos = w->from / (16 * n) * (16 * n); pos < end; pos += 16 * n) {
        for (int c = 0; c < n; c++) {
            int at = pos + 16 * c;
            at = at < w->from ? w->from : at < end ? at : end - 16;
            t.run[0].w[c] = key_panel(w, at, c);
            t.run[0].later[c / 2] = later(w, at, false);
        }
        t.x = w->room.q;
        t.y = w->room.s + (pos - w->tile);
        each_query(w, &t, first_at(w, pos), false);
    }
}

static void gather_scales(struct walk *w)
{
    size_t at = scales_at(w->job->type, w->job->head_dim);
    for (int pos = w->from; pos < w->to; pos += ATTN_PAGE) {
        const float *scales = (const float *)(const void *)(page_part(w, pos) + at);
        memcpy(w->k_scale + (pos - w->tile), scales, ATTN_PAGE * sizeof(float));
        memcpy(w->v_scale + (pos - w->tile), scales + ATTN_PAGE, ATTN_PAGE * sizeof(float));
    }
}

static void soften(struct walk *w)
{
    const struct attn_job *j = w->job;
    bool scaled = j->type == ATTN_Q8;
    if (scaled)
        gather_scales(w);
    struct attn_step a = {
        .rows = w->rows, .group = j->group, .row_pos = j->pos0 + w->row, .window = j->window,
        .tile = w->tile, .from = w->from - w->tile, .to = w->to - w->tile,
        .s = w->room.s, .base = w->room.base, .sums = w->room.sums,
        .k_scale = scaled ? w->k_scale : NULL, .v_scale = scaled ? w->v_scale : NULL,
        .softcap = j->softcap,
        .out = w->first ? NULL : w->room.out, .ld_out = w->wide,
    };
    w->kern->step(&a);
}

/* The values of the page of `pos`, panel p; where there is none, the last. */
static const uint8_t *value_panel(const struct walk *w, int pos, int p)
{
    int last = (w->job->head_dim + 15) / 16 - 1;
    return page_part(w, pos) + values_at(w->job->type, w->job->head_dim) +
           (size_t)(p < last ? p : last) * 16 * element_bytes(w->job->type);
}

/* Panel p of all pages as floats. */
static const uint8_t *widen_values(const struct walk *w, int p, float *to)
{
    size_t step = (size_t)w->job->head_dim * element_bytes(w->job->type);
    for (int pos = w->from; pos < w->to; pos += ATTN_PAGE) {
        int here = w->to - pos < ATTN_PAGE ? w->to - pos : ATTN_PAGE;
        w->kern->widen(w->job->type, value_panel(w, pos, p), step, here,
                       to + (pos - w->from) * 16);
    }
    return (const uint8_t *)to;
}

/* Panels p, p + 1, ...: as floats of all pages in one run, or as stored, each page a run. */
static void take_values(const struct walk *w, struct attn_tile *t, int p, int n)
{
    for (int c = 0; c < n && !few(w); c++)
        t->run[0].w[c] = widen_values(w, p + c, w->room.panels + c * ATTN_TILE * 16);
    for (int pos = w->from, r = 0; pos < w->to && few(w); pos += ATTN_PAGE, r++) {
        for (int c = 0; c < n; c++)
            t->run[r].w[c] = value_panel(w, pos, p + c);
        t->run[r].later[0] = t->run[r].later[1] = later(w, pos, true);
    }
}

/* out += weights * values */
static void weigh(const struct walk *w)
{
    int n = across(w), panels = (w->job->head_dim + 15) / 16;
    struct attn_tile t = {
        .run_steps = few(w) ? ATTN_PAGE : ATTN_TILE, .k = w->to - w->from,
        .step = few(w) ? (size_t)w->job->head_dim * element_bytes(w->job->type)
                       : 16 * sizeof(float),
        .ldx = ATTN_TILE, .ldy = (size_t)w->wide, .first = w->first,
    };
    for (int p = 0; p < panels; p += n) {
        take_values(w, &t, p, n);
        t.x = w->room.s + (w->from - w->tile);
        t.y = w->room.out + 16 * p;
        each_query(w, &t, 0, !few(w));
    }
}

static int pages_ahead(const struct attn_job *j)
{
    int n = (int)(FETCH / values_at(j->type, j->head_dim)), most = ATTN_TILE / ATTN_PAGE;
    return n < 2 ? 2 : n < most ? n : most;
}

static void run_queries(struct walk *w)
{
    int begin = sight(w->job, row_of(w, 0)), page = begin / ATTN_PAGE * ATTN_PAGE;
    int tile = begin / ATTN_TILE * ATTN_TILE;
    w->end = row_of(w, w->n - 1) + 1;
    take_queries(w);
    for (w->tile = tile; w->tile < w->end; w->tile += ATTN_TILE) {
        w->from = page > w->tile ? page : w->tile;
        w->to = w->end < w->tile + ATTN_TILE ? w->end : w->tile + ATTN_TILE;
        w->first = w->tile == tile;
        score(w);
        soften(w);
        weigh(w);
    }
    give_rows(w);
}

void attn_run_with(const struct attn_kernels *kern, const struct attn_job *job, void *scratch)
{
    struct walk w = {.kern = kern, .job = job, .ahead = pages_ahead(job),
                     .wide = wide_of(job->head_dim)};
    char *base = (char *)(((uintptr_t)scratch + 63) / 64 * 64);
    lay_out(&w.room, job, base);
    int rows = rows_of(job);
    for (; w.row < job->n_rows; w.row += rows) {
        w.rows = job->n_rows - w.row < rows ? job->n_rows - w.row : rows;
        w.n = w.rows * job->group;
        run_queries(&w);
    }
}

void attn_run(const struct attn_job *job, void *scratch)
{
    attn_run_with(kernels(), job, scratch);
}
