/* ingest/extract/pdf_order.c - rows, gutters, columns. */
#include "ingest/extract/pdf_order.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX  1500 /* a page of more rows is not searched for columns */
#define DEPTH_MAX 6
#define GUTTER    0.8f  /* least white between columns, in heights of a line */
#define CELL_GAP  1.05f /* least white between cells of a row, in heights */
#define SIDE_ROWS 4     /* a column is at least so many rows */

struct row {
    uint32_t first, n;
    float y0, y1, height;
}; /* words of `page`, by x */

struct page {
    struct pdf_word *words;
    uint32_t n;
    struct pdf_word *out; /* [n], in reading order */
    uint32_t n_out, n_regions;
    struct pdf_line *lines; /* [n] */
    uint32_t n_lines;
    bool failed;
};

struct gutter {
    uint32_t from, to;
    float x0, x1;
    uint32_t both;
}; /* rows [from, to) */

static float height(const struct pdf_word *w)
{
    return fmaxf(w->y1 - w->y0, 1);
}

static float middle(const struct pdf_word *w)
{
    return (w->y0 + w->y1) / 2;
}

static int by_middle(const void *a, const void *b)
{
    float x = middle(a), y = middle(b);
    const struct pdf_word *v = a, *w = b;
    if (x != y)
        return x < y ? -1 : 1;
    return v->x0 != w->x0 ? (v->x0 < w->x0 ? -1 : 1)
                          : (v->start > w->start) - (v->start < w->start);
}

static int by_x(const void *a, const void *b)
{
    const struct pdf_word *v = a, *w = b;
    if (v->x0 != w->x0)
        return v->x0 < w->x0 ? -1 : 1;
    return (v->start > w->start) - (v->start < w->start);
}

/* Gather words[n] (reordered) into rows; returns how many. */
static uint32_t gather(struct pdf_word *words, uint32_t n, struct row *rows)
{
    uint32_t n_rows = 0;
    qsort(words, n, sizeof(*words), by_middle);
    for (uint32_t i = 0; i < n; i++) {
        struct row *r = n_rows ? &rows[n_rows - 1] : NULL;
        float h = height(&words[i]), m = middle(&words[i]);
        if (!r || m - (r->y0 + r->y1) / 2 > 0.5f * fmaxf(h, r->height)) {
            rows[n_rows++] = (struct row){i, 1, words[i].y0, words[i].y1, h};
            continue;
        }
        r->n++;
        /* As high as its highest word: a footnote mark neither makes nor moves a row. */
        if (h > r->height) {
            r->height = h;
            r->y0 = words[i].y0;
            r->y1 = words[i].y1;
        }
    }
    for (uint32_t i = 0; i < n_rows; i++)
        qsort(words + rows[i].first, rows[i].n, sizeof(*words), by_x);
    return n_rows;
}

/* ---- gutters ---- */

/* Largest white of the row inside [*a, *b]; narrows it. False: the row crosses it. */
static bool narrow(const struct pdf_word *words, const struct row *r, float *a, float *b,
                   float least)
{
    float best0 = 0, best1 = -1, from = -INFINITY;
    for (uint32_t k = 0; k <= r->n; k++) {
        float to = k < r->n ? words[r->first + k].x0 : INFINITY;
        float lo = fmaxf(from, *a), hi = fminf(to, *b);
        if (hi - lo > best1 - best0) {
            best0 = lo;
            best1 = hi;
        }
        if (k < r->n)
            from = fmaxf(from, words[r->first + k].x1);
    }
    if (best1 - best0 < least)
        return false;
    *a = best0;
    *b = best1;
    return true;
}

static void sides(const struct pdf_word *words, const struct row *r, float x, bool *left,
                  bool *right)
{
    *left = words[r->first].x0 < x;
    *right = words[r->first + r->n - 1].x1 > x;
}

/* Follow the white [a, b] of row i up and down. */
static struct gutter follow(const struct pdf_word *words, const struct row *rows, uint32_t n,
                            uint32_t i, float a, float b)
{
    float least = GUTTER * rows[i].height;
    struct gutter g = {i, i + 1, a, b, 0};
    while (g.to < n && narrow(words, &rows[g.to], &g.x0, &g.x1, least))
        g.to++;
    while (g.from > 0 && narrow(words, &rows[g.from - 1], &g.x0, &g.x1, least))
        g.from--;
    float x = (g.x0 + g.x1) / 2;
    bool left, right;
    for (uint32_t k = g.from; k < g.to; k++) {
        sides(words, &rows[k], x, &left, &right);
        g.both += left && right;
    }
    return g;
}

/* The words of row r that border the gutter at x on one side, up to the next wide
 * white: [*from, *to). */
static bool bordering(const struct pdf_word *words, const struct row *r, float x, bool left,
                      uint32_t *from, uint32_t *to)
{
    uint32_t end = r->first + r->n, at = r->first;
    while (at < end && words[at].x0 < x)
        at++;
    *from = *to = at;
    if (left)
        while (*from > r->first &&
               (*from == at || words[*from].x0 - words[*from - 1].x1 < CELL_GAP * r->height))
            --*from;
    else
        while (*to < end && (*to == at || words[*to].x0 - words[*to - 1].x1 < CELL_GAP * r->height))
            ++*to;
    return *from < *to;
}

/* What stands on one side of a gutter. */
struct side {
    uint32_t rows, chars, letters, full; /* full: rows that reach the column's end */
    float x0, x1, y0, y1;
};

static struct side look(const struct pdf_word *words, const struct row *rows,
                        const struct gutter *g, bool left)
{
    struct side s = {.x0 = INFINITY, .x1 = -INFINITY, .y0 = INFINITY, .y1 = -INFINITY};
    float x = (g->x0 + g->x1) / 2;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t k = g->from; k < g->to; k++) {
            uint32_t from, to;
            if (!bordering(words, &rows[k], x, left, &from, &to))
                continue;
            if (pass) {
                s.full += words[to - 1].x1 > s.x0 + 0.8f * (s.x1 - s.x0);
                continue;
            }
            s.rows++;
            for (uint32_t w = from; w < to; w++) {
                s.chars += words[w].chars;
                s.letters += words[w].letters;
                s.y0 = fminf(s.y0, words[w].y0);
                s.y1 = fmaxf(s.y1, words[w].y1);
            }
            s.x0 = fminf(s.x0, words[from].x0);
            s.x1 = fmaxf(s.x1, words[to - 1].x1);
        }
    }
    return s;
}

/* Enough rows, long enough, of letters, most of them full; `percent` of them. */
static bool running_text(const struct side *s, uint32_t rows, uint32_t chars, uint32_t percent)
{
    return s->rows >= rows && s->chars >= chars * s->rows && s->letters * 10 >= s->chars * 7 &&
           s->full * 100 >= s->rows * percent;
}

static float baseline(const struct pdf_word *w)
{
    return w->y1 - 0.22f * height(w);
}

/* Share of the rows on the other side that stand level with a line of the text's:
 * all, in a table; few, where a text and a figure only share the page. */
static bool level_rows(const struct pdf_word *words, const struct row *rows, const struct gutter *g)
{
    uint32_t both = 0, level = 0;
    float x = (g->x0 + g->x1) / 2;
    for (uint32_t k = g->from; k < g->to; k++) {
        uint32_t l0, l1, r0, r1;
        if (!bordering(words, &rows[k], x, true, &l0, &l1) ||
            !bordering(words, &rows[k], x, false, &r0, &r1))
            continue;
        both++;
        level += fabsf(baseline(&words[l1 - 1]) - baseline(&words[r0])) < 0.1f * rows[k].height;
    }
    return level * 2 > both;
}

/* Columns, to be read one after the other: running text on both sides; or on one
 * of them, and what is beside it does not stand in its rows. */
static bool columns(const struct pdf_word *words, const struct row *rows, const struct gutter *g)
{
    struct side l = look(words, rows, g, true), r = look(words, rows, g, false);
    float shared = fminf(l.y1, r.y1) - fmaxf(l.y0, r.y0);
    if (l.rows < SIDE_ROWS || r.rows < SIDE_ROWS || shared < 0.4f * fminf(l.y1 - l.y0, r.y1 - r.y0))
        return false;
    if (running_text(&l, SIDE_ROWS, 16, 45) && running_text(&r, SIDE_ROWS, 16, 45))
        return true;
    return (running_text(&l, 8, 25, 65) || running_text(&r, 8, 25, 65)) &&
           !level_rows(words, rows, g);
}

/* White that row i offers: a gap between its words, or between it and a row
 * beside it (columns whose lines do not stand level). k counts them. */
static bool white(const struct pdf_word *words, const struct row *rows, uint32_t n, uint32_t i,
                  uint32_t k, float *a, float *b)
{
    const struct row *r = &rows[i];
    if (k + 1 < r->n) {
        *a = words[r->first + k].x1;
        *b = words[r->first + k + 1].x0;
        return true;
    }
    if (k + 1 > r->n || i + 1 >= n || rows[i + 1].y0 >= r->y1 - 0.15f * r->height)
        return false;
    const struct row *s = &rows[i + 1];
    float r1 = words[r->first + r->n - 1].x1, s1 = words[s->first + s->n - 1].x1;
    bool first = r1 < words[s->first].x0;
    *a = first ? r1 : s1;
    *b = first ? words[s->first].x0 : words[r->first].x0;
    return *b > *a;
}

static bool find_columns(const struct pdf_word *words, const struct row *rows, uint32_t n,
                         struct gutter *best)
{
    bool found = false;
    struct gutter last = {0};
    for (uint32_t i = 0; i < n; i++) {
        float a, b;
        for (uint32_t k = 0; k < rows[i].n; k++) {
            if (!white(words, rows, n, i, k, &a, &b) || b - a < GUTTER * rows[i].height)
                continue;
            if (i < last.to && a <= last.x0 + 0.1f && b >= last.x1 - 0.1f)
                continue; /* the gutter followed last runs through here */
            last = follow(words, rows, n, i, a, b);
            if (last.to - last.from < SIDE_ROWS ||
                (found && last.to - last.from <= best->to - best->from))
                continue;
            if (columns(words, rows, &last)) {
                *best = last;
                found = true;
            }
        }
    }
    return found;
}

/* ---- writing ---- */

static void put_line(struct page *p, const struct pdf_word *words, const struct row *r)
{
    struct pdf_line *l = &p->lines[p->n_lines++];
    *l = (struct pdf_line){.first = p->n_out,
                           .n = r->n,
                           .x0 = INFINITY,
                           .y0 = INFINITY,
                           .bold = true,
                           .region = p->n_regions,
                           .cells = 1};
    float end = words[r->first].x1;
    uint32_t rtl = 0;
    for (uint32_t k = 0; k < r->n; k++) {
        struct pdf_word w = words[r->first + k];
        l->cells += k && w.x0 - end > CELL_GAP * r->height;
        w.cell = (uint16_t)(l->cells - 1);
        end = fmaxf(k ? end : w.x1, w.x1);
        l->x0 = fminf(l->x0, w.x0);
        l->y0 = fminf(l->y0, w.y0);
        l->x1 = fmaxf(l->x1, w.x1);
        l->y1 = fmaxf(l->y1, w.y1);
        l->size = fmaxf(l->size, w.size);
        l->chars += w.chars;
        l->bold &= w.bold;
        rtl += w.rtl;
        p->out[p->n_out++] = w;
    }
    if (rtl * 2 <= r->n)
        return;
    for (uint32_t k = 0; k < r->n / 2; k++) { /* Arabic and Hebrew begin at the right */
        struct pdf_word t = p->out[l->first + k];
        p->out[l->first + k] = p->out[l->first + r->n - 1 - k];
        p->out[l->first + r->n - 1 - k] = t;
    }
    for (uint32_t k = 0; k < r->n; k++)
        p->out[l->first + k].cell = (uint16_t)(l->cells - 1 - p->out[l->first + k].cell);
}

static void put_region(struct page *p, struct pdf_word *words, uint32_t n, int depth);

/* Words of rows [from, to), those left of x first; returns how many are left. */
static uint32_t part(struct pdf_word *words, uint32_t n, float x, struct pdf_word *scratch)
{
    uint32_t left = 0, right = 0;
    for (uint32_t i = 0; i < n; i++)
        if (words[i].x0 < x)
            words[left++] = words[i];
        else
            scratch[right++] = words[i];
    memcpy(words + left, scratch, right * sizeof(*words));
    return left;
}

static void put_columns(struct page *p, struct pdf_word *words, const struct row *rows, uint32_t n,
                        const struct gutter *g, int depth)
{
    uint32_t a = rows[g->from].first,
             b = g->to < n ? rows[g->to].first : rows[n - 1].first + rows[n - 1].n;
    uint32_t end = rows[n - 1].first + rows[n - 1].n;
    struct pdf_word *scratch = malloc((b - a) * sizeof(*scratch));
    if (!scratch) {
        p->failed = true;
        return;
    }
    uint32_t left = part(words + a, b - a, (g->x0 + g->x1) / 2, scratch);
    free(scratch);
    put_region(p, words, a, depth + 1);
    put_region(p, words + a, left, depth + 1);
    put_region(p, words + a + left, b - a - left, depth + 1);
    put_region(p, words + b, end - b, depth + 1);
}

static void put_region(struct page *p, struct pdf_word *words, uint32_t n, int depth)
{
    if (!n || p->failed)
        return;
    struct row *rows = malloc(n * sizeof(*rows));
    if (!rows) {
        p->failed = true;
        return;
    }
    uint32_t n_rows = gather(words, n, rows);
    struct gutter g;
    if (depth < DEPTH_MAX && n_rows <= ROWS_MAX && find_columns(words, rows, n_rows, &g))
        put_columns(p, words, rows, n_rows, &g, depth);
    else {
        for (uint32_t i = 0; i < n_rows; i++)
            put_line(p, words, &rows[i]);
        p->n_regions++;
    }
    free(rows);
}

/* The file's own order: a new line where the next word does not follow on. */
static void put_as_is(struct page *p)
{
    struct row r = {0};
    for (uint32_t i = 0; i <= p->n; i++) {
        const struct pdf_word *w = &p->words[i], *prev = w - 1;
        bool same = i && i < p->n && fabsf(middle(w) - middle(prev)) < 0.5f * height(prev) &&
                    w->x0 >= prev->x0;
        if (!same && i > r.first) {
            r.n = i - r.first;
            r.height = height(&p->words[r.first]);
            put_line(p, p->words, &r);
            r.first = i;
        }
    }
    p->n_regions++;
}

/* Text set sideways has words far higher than wide; rows mean nothing there. */
static bool sideways(const struct pdf_word *words, uint32_t n)
{
    uint32_t high = 0, judged = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (words[i].chars < 4)
            continue;
        judged++;
        high += words[i].y1 - words[i].y0 > 1.2f * (words[i].x1 - words[i].x0);
    }
    return high * 2 > judged;
}

enum err_code pdf_order(struct pdf_word *words, uint32_t n, struct pdf_line **lines,
                        uint32_t *n_lines, struct err *err)
{
    struct page p = {.words = words,
                     .n = n,
                     .out = malloc((n + 1) * sizeof(*p.out)),
                     .lines = malloc((n + 1) * sizeof(*p.lines))};
    *n_lines = 0;
    *lines = NULL;
    p.failed = !p.out || !p.lines;
    if (!p.failed && (n > PDF_ORDER_WORDS || sideways(words, n)))
        put_as_is(&p);
    else if (!p.failed)
        put_region(&p, words, n, 0);
    if (!p.failed) {
        memcpy(words, p.out, n * sizeof(*words));
        *lines = p.lines;
        *n_lines = p.n_lines;
        p.lines = NULL;
    }
    free(p.out);
    free(p.lines);
    return p.failed ? err_set(err, ERR_NOMEM, "reading it takes more memory than a reader may use")
                    : OK;
}
