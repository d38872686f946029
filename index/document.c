/* The layout of a document as bytes, and where words lie on its pages.
 *
 * Format 1: the bytes 'L' 1, then three lists, each a count and its elements.
 * Numbers are LEB128 varints; signed ones are zigzag first. Every list counts
 * its starts from where the element before ended, so that ranges in order are
 * small numbers and ranges out of order cannot be written at all.
 *   block  gap, length, kind | level << 4, page, then 0 or src_start + 1 and
 *          the source length
 *   page   gap, length, width, height
 *   place  gap, length, page - page before, x0 - x1 before, y0 - y0 before,
 *          x1 - x0, y1 - y0
 * Sizes and coordinates are kept in 1/64 point, finer than any hand can mark. */
#include "index/document.h"
#include <math.h>
#include <string.h>

#define UNIT 64.0f            /* steps of a point */
#define POINTS_MAX 1000000.0f /* a page of 350 m: beyond it lies only nonsense */

static void put(struct buf *b, uint64_t v)
{
    while (v >= 128) {
        buf_char(b, (char)(v | 128));
        v >>= 7;
    }
    buf_char(b, (char)v);
}

static void put_signed(struct buf *b, int64_t v)
{
    put(b, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

static int64_t quantum(float points)
{
    return lrintf(points * UNIT);
}

static bool sane(float points)
{
    return points >= -POINTS_MAX && points <= POINTS_MAX;   /* NaN is not */
}

static enum err_code put_range(struct buf *b, uint32_t start, uint32_t end, uint32_t *last,
                               struct err *err)
{
    if (start < *last || end < start)
        return err_set(err, ERR_ARG, "layout: range [%u, %u) after byte %u is out of order", start,
                       end, *last);
    put(b, start - *last);
    put(b, end - start);
    *last = end;
    return OK;
}

static enum err_code put_blocks(struct buf *b, const struct layout *l, struct err *err)
{
    uint32_t last = 0;
    put(b, l->n_blocks);
    for (size_t i = 0; i < l->n_blocks; i++) {
        const struct block *k = &l->blocks[i];
        if (k->kind >= BLOCK_KINDS || k->level > 6)
            return err_set(err, ERR_ARG, "layout: block of kind %d, level %d", k->kind, k->level);
        enum err_code rc = put_range(b, k->start, k->end, &last, err);
        if (rc)
            return rc;
        buf_char(b, (char)(k->kind | k->level << 4));
        put(b, k->page);
        bool placed = k->src_start != SRC_NONE && k->src_end != SRC_NONE;
        if (placed && k->src_end < k->src_start)
            return err_set(err, ERR_ARG, "layout: source range [%u, %u)", k->src_start, k->src_end);
        put(b, placed ? (uint64_t)k->src_start + 1 : 0);
        if (placed)
            put(b, k->src_end - k->src_start);
    }
    return OK;
}

static enum err_code put_pages(struct buf *b, const struct layout *l, struct err *err)
{
    uint32_t last = 0;
    put(b, l->n_pages);
    for (size_t i = 0; i < l->n_pages; i++) {
        const struct page *p = &l->pages[i];
        if (!sane(p->width) || !sane(p->height) || p->width < 0 || p->height < 0)
            return err_set(err, ERR_ARG, "layout: page %zu of %g x %g points", i + 1,
                           (double)p->width, (double)p->height);
        enum err_code rc = put_range(b, p->start, p->end, &last, err);
        if (rc)
            return rc;
        put(b, (uint64_t)quantum(p->width));
        put(b, (uint64_t)quantum(p->height));
    }
    return OK;
}

static enum err_code put_places(struct buf *b, const struct layout *l, struct err *err)
{
    uint32_t last = 0;
    int64_t page = 0, x = 0, y = 0;
    put(b, l->n_places);
    for (size_t i = 0; i < l->n_places; i++) {
        const struct place *p = &l->places[i];
        if (!sane(p->x0) || !sane(p->y0) || !sane(p->x1) || !sane(p->y1) || p->x1 < p->x0 ||
            p->y1 < p->y0)
            return err_set(err, ERR_ARG, "layout: rectangle %g %g %g %g", (double)p->x0,
                           (double)p->y0, (double)p->x1, (double)p->y1);
        enum err_code rc = put_range(b, p->start, p->end, &last, err);
        if (rc)
            return rc;
        put_signed(b, (int64_t)p->page - page);
        put_signed(b, quantum(p->x0) - x);
        put_signed(b, quantum(p->y0) - y);
        put(b, (uint64_t)(quantum(p->x1) - quantum(p->x0)));
        put(b, (uint64_t)(quantum(p->y1) - quantum(p->y0)));
        page = p->page;
        x = quantum(p->x1);
        y = quantum(p->y0);
    }
    return OK;
}

enum err_code layout_encode(const struct layout *l, struct buf *out, struct err *err)
{
    buf_puts(out, "L\1");
    enum err_code rc = put_blocks(out, l, err);
    if (!rc)
        rc = put_pages(out, l, err);
    if (!rc)
        rc = put_places(out, l, err);
    return rc ? rc : buf_ok(out, "layout", err);
}

/* What is left to read. A bad number sets `bad` and reads as 0. */
struct reader {
    const uint8_t *p, *end;
    bool bad;
};

static uint64_t take(struct reader *r, uint64_t max)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 63 && r->p < r->end; shift += 7) {
        uint8_t byte = *r->p++;
        v |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            if (v <= max)
                return v;
            break;
        }
    }
    r->bad = true;
    return 0;
}

static int64_t take_signed(struct reader *r)
{
    uint64_t v = take(r, (uint64_t)1 << 40);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* A count of elements that take at least `least` bytes each: what cannot be
 * there is refused before anything is allocated for it. */
static size_t take_count(struct reader *r, size_t least)
{
    return (size_t)take(r, (uint64_t)(r->end - r->p) / least);
}

static void take_range(struct reader *r, size_t text_len, uint32_t *start, uint32_t *end,
                       uint32_t *last)
{
    *start = *last + (uint32_t)take(r, text_len - *last);
    *end = *start + (uint32_t)take(r, text_len - *start);
    *last = *end;
}

static float take_points(struct reader *r, int64_t base, int64_t *value)
{
    *value = base;
    if (*value < (int64_t)(-POINTS_MAX * UNIT) || *value > (int64_t)(POINTS_MAX * UNIT))
        r->bad = true;
    return r->bad ? 0 : (float)*value / UNIT;
}

static void take_block(struct reader *r, size_t text_len, struct block *k, uint32_t *last)
{
    take_range(r, text_len, &k->start, &k->end, last);
    uint64_t kind = take(r, 127);
    k->kind = kind & 15;
    k->level = (uint8_t)(kind >> 4);
    if (k->kind >= BLOCK_KINDS || k->level > 6)
        r->bad = true;
    k->page = (uint32_t)take(r, UINT32_MAX);
    uint64_t src = take(r, UINT32_MAX);
    k->src_start = k->src_end = SRC_NONE;
    if (src) {
        k->src_start = (uint32_t)(src - 1);
        k->src_end = k->src_start + (uint32_t)take(r, SRC_NONE - 1 - k->src_start);
    }
}

static void take_page(struct reader *r, size_t text_len, struct page *p, uint32_t *last)
{
    int64_t ignored;
    take_range(r, text_len, &p->start, &p->end, last);
    p->width = take_points(r, (int64_t)take(r, INT32_MAX), &ignored);
    p->height = take_points(r, (int64_t)take(r, INT32_MAX), &ignored);
}

static void take_place(struct reader *r, size_t text_len, struct place *p, uint32_t *last,
                       int64_t *page, int64_t *x, int64_t *y)
{
    int64_t x0, y1;
    take_range(r, text_len, &p->start, &p->end, last);
    *page += take_signed(r);
    if (*page < 0 || *page > UINT32_MAX)
        r->bad = true;
    p->page = r->bad ? 0 : (uint32_t)*page;
    p->x0 = take_points(r, *x + take_signed(r), &x0);
    p->y0 = take_points(r, *y + take_signed(r), y);
    p->x1 = take_points(r, x0 + (int64_t)take(r, INT32_MAX), x);
    p->y1 = take_points(r, *y + (int64_t)take(r, INT32_MAX), &y1);
}

static bool take_lists(struct reader *r, size_t text_len, struct arena *a, struct layout *out)
{
    uint32_t last = 0;
    out->n_blocks = take_count(r, 5);
    out->blocks = arena_alloc(a, out->n_blocks + 1, sizeof(*out->blocks));
    for (size_t i = 0; out->blocks && i < out->n_blocks && !r->bad; i++)
        take_block(r, text_len, &out->blocks[i], &last);
    last = 0;
    out->n_pages = take_count(r, 4);
    out->pages = arena_alloc(a, out->n_pages + 1, sizeof(*out->pages));
    for (size_t i = 0; out->pages && i < out->n_pages && !r->bad; i++)
        take_page(r, text_len, &out->pages[i], &last);
    int64_t page = 0, x = 0, y = 0;
    last = 0;
    out->n_places = take_count(r, 7);
    out->places = arena_alloc(a, out->n_places + 1, sizeof(*out->places));
    for (size_t i = 0; out->places && i < out->n_places && !r->bad; i++)
        take_place(r, text_len, &out->places[i], &last, &page, &x, &y);
    return out->blocks && out->pages && out->places;
}

enum err_code layout_decode(struct str bytes, size_t text_len, struct arena *a, struct layout *out,
                            struct err *err)
{
    struct layout l = {0};
    if (text_len > UINT32_MAX)
        return err_set(err, ERR_LIMIT, "a text of %zu bytes, at most %u", text_len, UINT32_MAX);
    if (bytes.len < 2 || memcmp(bytes.ptr, "L\1", 2) != 0)
        return err_set(err, ERR_FORMAT, "layout: not of format 1");
    struct reader r = {.p = (const uint8_t *)bytes.ptr + 2,
                       .end = (const uint8_t *)bytes.ptr + bytes.len};
    if (!take_lists(&r, text_len, a, &l))
        return err_set(err, ERR_NOMEM, "a layout of %zu bytes", bytes.len);
    if (r.bad || r.p != r.end)
        return err_set(err, ERR_FORMAT, "layout: byte %zu of %zu does not fit a text of %zu",
                       bytes.len - (size_t)(r.end - r.p), bytes.len, text_len);
    *out = l;
    return OK;
}

uint32_t layout_page(const struct layout *l, uint32_t at)
{
    size_t low = 0, high = l->n_pages;   /* pages before low begin at or before `at` */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (l->pages[mid].start <= at)
            low = mid + 1;
        else
            high = mid;
    }
    if (l->n_pages == 0)
        return 0;
    return low ? (uint32_t)low : 1;
}

static size_t first_place(const struct layout *l, uint32_t start)
{
    size_t low = 0, high = l->n_places;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (l->places[mid].end <= start)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The next word stands on the line of `q`: they share more than half of the
 * lower one's height, and reading goes on to the right. */
static bool same_line(const float q[4], const struct place *p, float last_x0)
{
    float top = q[1] > p->y0 ? q[1] : p->y0;
    float bottom = q[3] < p->y1 ? q[3] : p->y1;
    float least = q[3] - q[1] < p->y1 - p->y0 ? q[3] - q[1] : p->y1 - p->y0;
    return bottom - top > least / 2 && p->x0 >= last_x0;
}

int layout_quads(const struct layout *l, uint32_t start, uint32_t end, float (*quads)[4], int cap)
{
    int n = 0;
    float last_x0 = 0;
    size_t i = first_place(l, start);
    if (start >= end || i == l->n_places)
        return 0;
    uint32_t page = l->places[i].page;
    for (; i < l->n_places && l->places[i].start < end && l->places[i].page == page; i++) {
        const struct place *p = &l->places[i];
        float *q = n ? quads[n - 1] : NULL;
        if (q && same_line(q, p, last_x0)) {
            q[1] = q[1] < p->y0 ? q[1] : p->y0;
            q[2] = q[2] > p->x1 ? q[2] : p->x1;
            q[3] = q[3] > p->y1 ? q[3] : p->y1;
        } else {
            if (n == cap)
                break;
            memcpy(quads[n++], (float[4]){p->x0, p->y0, p->x1, p->y1}, sizeof(*quads));
        }
        last_x0 = p->x0;
    }
    return n;
}
