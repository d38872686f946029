/* model/attn.c - attention over pages: the walk over queries and tiles of
 * positions.
 *
 * A part of a page, for a head of d dimensions (e bytes an element):
 *   keys    [2][d][16]     16 positions side by side, twice
 *   values  [32][d]        a position behind the other
 *   scales  [32] of the keys, [32] of the values, floats (Q8 only)
 *   and 64 bytes of nothing where d is no multiple of 16, so that a vector of the
 *   last value may be read whole.
 * Queries (row, head) of a job are taken up to QUERIES at a time, and for them
 * the positions in tiles of ATTN_TILE: scores, one step of the softmax with a
 * running maximum (M. Milakov and N. Gimelshein, "Online normalizer calculation
 * for softmax", 2018, arXiv:1805.02867), weighted values. Scores and values are
 * products of the shape that mat_float_int.h's tiles compute. Many queries meet
 * keys and values made floats beforehand, few meet them as they are stored;
 * the numbers are the same. */
#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>
#include "base/cpu.h"
#include "model/attn_int.h"

#define QUERIES 192       /* x 64 dimensions x 4 bytes: 48 KiB */
#define PANELS (ATTN_TILE / 16)
#define TILE_PAGES (ATTN_TILE / ATTN_PAGE)

static const struct attn_kernels *kernels(void)
{
    const struct cpu *c = cpu_get();
    return c->avx512 ? &attn_avx512 : c->avx2 ? &attn_avx2 : &attn_plain;
}

static size_t element_bytes(enum attn_type type)
{
    return type == ATTN_F32 ? 4 : type == ATTN_F16 ? 2 : 1;
}

static enum mat_float_type element_type(enum attn_type type)
{
    return type == ATTN_F32 ? MAT_FLOAT_F32 : type == ATTN_F16 ? MAT_FLOAT_F16 : MAT_FLOAT_I8;
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
    float *keys;             /* [PANELS][head_dim][16] */
    float *values;           /* [wide / 16][ATTN_TILE][16] */
    float *max, *sum;        /* [queries] */
};

struct walk {
    const struct attn_kernels *kern;
    const struct attn_job *job;
    enum mat_float_type type;
    int wide;                /* head_dim up to whole tiles of panels */
    struct room room;
    int first, n;            /* queries [first, first + n) of the job: row * group + head */
    int tile;                /* position of the tile's first */
    int from, to;            /* positions of it that are computed, from a page's first */
    float k_scale[ATTN_TILE], v_scale[ATTN_TILE];
};

static int wide_of(int head_dim)
{
    int all = 16 * MAT_FLOAT_PANELS;
    return (head_dim + all - 1) / all * all;
}

static int queries_of(const struct attn_job *job)
{
    int n = job->n_rows * job->group;
    return n < QUERIES ? n : QUERIES;
}

/* Lay the arrays out from `base` (NULL: only count); bytes of all. */
static size_t lay_out(struct room *r, const struct attn_job *job, char *base)
{
    size_t n = (size_t)queries_of(job), d = (size_t)job->head_dim;
    size_t wide = (size_t)wide_of(job->head_dim);
    struct { float **at; size_t floats; } parts[] = {
        {&r->q, n * d},   {&r->out, n * wide},           {&r->s, n * ATTN_TILE},
        {&r->max, n},     {&r->keys, ATTN_TILE * d},     {&r->sum, n},
        {&r->values, ATTN_TILE * wide},
    };
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        *parts[i].at = base ? (float *)(void *)(base + bytes) : NULL;
        bytes += (parts[i].floats * sizeof(float) + 63) / 64 * 64;
    }
    return bytes;
}

size_t attn_scratch_bytes(const struct attn_job *job, int end)
{
    struct room r;
    (void)end;
    return lay_out(&r, job, NULL) + 64;
}

static int row_of(const struct walk *w, int query)
{
    return w->job->pos0 + (w->first + query) / w->job->group;
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

/* Keys or values of the page a tile after that of `pos`, `at` in its part: asked for while
 * these are multiplied. */
static void fetch_later(const struct walk *w, int pos, size_t at)
{
    size_t bytes = values_at(w->job->type, w->job->head_dim);
    if (pos + ATTN_TILE > row_of(w, w->n - 1))
        return;
    const uint8_t *from = page_part(w, pos + ATTN_TILE) + at;
    for (size_t line = 0; line < bytes; line += 64)
        __builtin_prefetch(from + line, 0, 2);
}

static void take_queries(struct walk *w)
{
    const struct attn_job *j = w->job;
    for (int i = 0; i < w->n; i++) {
        int v = w->first + i, d = j->head_dim;
        const float *q = j->q + (size_t)(v / j->group) * j->ldq + (size_t)(v % j->group * d);
        w->kern->times(q, d, j->scale, w->room.q + (size_t)i * (size_t)d);
        w->room.max[i] = -INFINITY;
        w->room.sum[i] = 0;
    }
    memset(w->room.out, 0, (size_t)w->n * (size_t)w->wide * sizeof(float));
}

static void give_rows(const struct walk *w)
{
    const struct attn_job *j = w->job;
    for (int i = 0; i < w->n; i++) {
        int v = w->first + i, d = j->head_dim;
        float *out = j->out + (size_t)(v / j->group) * j->ldo + (size_t)(v % j->group * d);
        w->kern->times(w->room.out + (size_t)i * (size_t)w->wide, d, 1 / w->room.sum[i], out);
    }
}

/* Queries [first, w->n) of the walk meet the panels of `t`; x and y are those of query 0.
 * A tile goes no further than its last query sees: t.k positions from w->from where
 * `upto`, else t.k elements. */
static void each_query(const struct walk *w, enum mat_float_type type, struct mat_float_tile t,
                       int first, bool upto)
{
    const struct mat_float_kernels *k = w->kern->tiles;
    int n = w->n - first, tiles = (n + k->rows - 1) / k->rows, all = t.k;
    const float *x = t.x;
    float *y = t.y;
    for (int i = 0; i < tiles; i++) {
        int q = first + n * i / tiles, end = first + n * (i + 1) / tiles;
        int seen = upto ? row_of(w, end - 1) + 1 - w->from : all;
        t.rows = end - q;
        t.k = seen < all ? seen : all;
        t.x = x + (size_t)q * t.ldx;
        t.y = y + (size_t)q * t.ldy;
        if (t.k > 0)
            k->tile(type, &t);
    }
}

/* The first query that sees `pos`, or one before; enough are left for whole tiles. */
static int first_at(const struct walk *w, int pos)
{
    int query = (pos - w->job->pos0) * w->job->group - w->first;
    int last = w->n - w->kern->tiles->rows;
    query = query < last ? query : last;
    return query > 0 ? query : 0;
}

static bool few(const struct walk *w)
{
    return w->n <= w->kern->tiles->rows;
}

/* Panels of one tile call. */
static int across(const struct walk *w)
{
    const struct mat_float_kernels *k = w->kern->tiles;
    return k->panels[few(w) ? w->n : k->rows];
}

/* The keys of positions [pos, pos + 16), as stored or as floats. */
static const uint8_t *key_panel(const struct walk *w, int pos)
{
    size_t bytes = 16 * (size_t)w->job->head_dim;
    if (!few(w))
        return (const uint8_t *)(w->room.keys + (size_t)((pos - w->tile) / 16) * bytes);
    return page_part(w, pos) + (size_t)(pos % ATTN_PAGE / 16) * bytes * element_bytes(w->job->type);
}

static void widen_keys(const struct walk *w)
{
    size_t d = (size_t)w->job->head_dim, size = element_bytes(w->job->type);
    for (int pos = w->from; pos < w->to; pos += 16)
        w->kern->tiles->widen(w->type, page_part(w, pos) + (size_t)(pos % ATTN_PAGE) * d * size,
                              16 * size, (int)d,
                              w->room.keys + (size_t)(pos - w->tile) * d);
}

/* s[query][position] = q k. Where a call wants more panels than are left, it
 * meets the last again: the columns beyond are not looked at. */
static void score(const struct walk *w)
{
    if (!few(w))
        widen_keys(w);
    for (int pos = w->from; pos < w->to; pos += ATTN_PAGE)
        fetch_later(w, pos, 0);
    int n = across(w), end = (w->to + 15) / 16 * 16;
    struct mat_float_tile t = {
        .step = 16 * (few(w) ? element_bytes(w->job->type) : sizeof(float)),
        .x = w->room.q, .ldx = (size_t)w->job->head_dim, .ldy = ATTN_TILE,
        .k = w->job->head_dim, .first = true,
    };
    for (int pos = w->from / (16 * n) * (16 * n); pos < end; pos += 16 * n) {
        for (int c = 0; c < n; c++) {
            int at = pos + 16 * c;
            at = at < w->from ? w->from : at < end ? at : end - 16;
            t.w[c] = key_panel(w, at);
        }
        t.y = w->room.s + (pos - w->tile);
        each_query(w, few(w) ? w->type : MAT_FLOAT_F32, t, first_at(w, pos), false);
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
    bool scaled = w->job->type == ATTN_Q8;
    if (scaled)
        gather_scales(w);
    for (int i = 0; i < w->n; i++) {
        int pos = row_of(w, i), lo = sight(w->job, pos) - w->tile, hi = pos + 1 - w->tile;
        struct attn_step a = {
            .s = w->room.s + (size_t)i * ATTN_TILE,
            .lo = lo > 0 ? lo : 0, .hi = hi < ATTN_TILE ? hi : ATTN_TILE,
            .from = w->from - w->tile, .to = w->to - w->tile,
            .k_scale = scaled ? w->k_scale : NULL, .v_scale = scaled ? w->v_scale : NULL,
            .softcap = w->job->softcap,
            .max = w->room.max + i, .sum = w->room.sum + i,
            .out = w->room.out + (size_t)i * (size_t)w->wide, .n_out = w->wide,
        };
        w->kern->step(&a);
    }
}

/* out += weights * values of positions [from, to) whose panels lie `apart` bytes
 * from each other. */
static void add_values(const struct walk *w, enum mat_float_type type, const uint8_t *values,
                       size_t apart, size_t step, int from, int to)
{
    int n = across(w), panels = (w->job->head_dim + 15) / 16;
    struct mat_float_tile t = {
        .step = step, .x = w->room.s + (from - w->tile), .ldx = ATTN_TILE,
        .ldy = (size_t)w->wide, .k = to - from,
    };
    for (int p = 0; p < panels; p += n) {
        for (int c = 0; c < n; c++)
            t.w[c] = values + (size_t)(p + c < panels ? p + c : panels - 1) * apart;
        t.y = w->room.out + 16 * p;
        each_query(w, type, t, 0, !few(w));
    }
}

static void weigh_few(const struct walk *w)
{
    size_t size = element_bytes(w->job->type);
    for (int pos = w->from; pos < w->to; pos += ATTN_PAGE) {
        int end = pos + ATTN_PAGE < w->to ? pos + ATTN_PAGE : w->to;
        fetch_later(w, pos, values_at(w->job->type, w->job->head_dim));
        add_values(w, w->type, page_part(w, pos) + values_at(w->job->type, w->job->head_dim),
                   16 * size, (size_t)w->job->head_dim * size, pos, end);
    }
}

static void weigh_many(const struct walk *w)
{
    size_t d = (size_t)w->job->head_dim, size = element_bytes(w->job->type);
    int panels = (w->job->head_dim + 15) / 16;
    for (int pos = w->from; pos < w->to; pos += ATTN_PAGE) {
        const uint8_t *values = page_part(w, pos) + values_at(w->job->type, w->job->head_dim);
        int here = w->to - pos < ATTN_PAGE ? w->to - pos : ATTN_PAGE;
        fetch_later(w, pos, values_at(w->job->type, w->job->head_dim));
        for (int p = 0; p < panels; p++)
            w->kern->tiles->widen(w->type, values + (size_t)p * 16 * size, d * size, here,
                                  w->room.values + (p * ATTN_TILE + pos - w->tile) * 16);
    }
    add_values(w, MAT_FLOAT_F32, (const uint8_t *)(w->room.values + (w->from - w->tile) * 16),
               ATTN_TILE * 16 * sizeof(float), 16 * sizeof(float), w->from, w->to);
}

static void run_queries(struct walk *w)
{
    int begin = sight(w->job, row_of(w, 0)), end = row_of(w, w->n - 1) + 1;
    take_queries(w);
    for (w->tile = begin / ATTN_TILE * ATTN_TILE; w->tile < end; w->tile += ATTN_TILE) {
        int page = begin / ATTN_PAGE * ATTN_PAGE;
        w->from = page > w->tile ? page : w->tile;
        w->to = end < w->tile + ATTN_TILE ? end : w->tile + ATTN_TILE;
        score(w);
        soften(w);
        if (few(w))
            weigh_few(w);
        else
            weigh_many(w);
    }
    give_rows(w);
}

void attn_run_with(const struct attn_kernels *kern, const struct attn_job *job, void *scratch)
{
    struct walk w = {.kern = kern, .job = job, .type = element_type(job->type),
                     .wide = wide_of(job->head_dim)};
    char *base = (char *)(((uintptr_t)scratch + 63) / 64 * 64);
    lay_out(&w.room, job, base);
    int all = job->n_rows * job->group;
    for (w.first = 0; w.first < all; w.first += QUERIES) {
        w.n = all - w.first < QUERIES ? all - w.first : QUERIES;
        run_queries(&w);
    }
}

void attn_run(const struct attn_job *job, void *scratch)
{
    attn_run_with(kernels(), job, scratch);
}
