/* ingest/extract/pdf_furniture.c - what repeats at the edges of pages. */
#include "ingest/extract/pdf_furniture.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/str.h"
#include "base/utf8.h"

#define RING   (2 * FURNITURE_REACH + 1)
#define LEAST  3    /* pages a line repeats on */
#define SHARE  3    /* one page in so many of its run: headers of odd pages, with gaps */
#define MARGIN 0.2f /* of the page's height: where lines that only repeat may stand */
#define WHITE  0.6f /* between furniture and text, in heights of its line */
#define PARTS  3    /* of a header: left, middle, right; a row of a table has more */
#define LARGER 1.3f /* than the text: a title, which may well repeat on slides */
#define TITLES 4    /* one page in so many of all: titles that tables carry over some pages */

enum { TOP, BOTTOM };

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- lines at the edges ---- */

static float from_edge(const struct pdf_page *p, const struct pdf_line *l, int side)
{
    return side == TOP ? l->y0 : p->height - l->y1;
}

/* The lines of `p` nearest to an edge, outermost first: one more than are judged. */
static uint32_t outermost(const struct pdf_page *p, int side, uint32_t out[FURNITURE_EDGE + 1])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_lines; i++) {
        float d = from_edge(p, &p->lines[i], side);
        uint32_t at = n < FURNITURE_EDGE + 1 ? n++ : FURNITURE_EDGE + 1;
        while (at && d < from_edge(p, &p->lines[out[at - 1]], side)) {
            if (at <= FURNITURE_EDGE)
                out[at] = out[at - 1];
            at--;
        }
        if (at <= FURNITURE_EDGE)
            out[at] = i;
    }
    return n;
}

/* Words of line l joined by blanks; false when they do not fit. */
static bool line_text(const struct pdf_page *p, const struct pdf_line *l, char *out, size_t cap,
                      size_t *len)
{
    size_t n = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        const struct pdf_word *w = &p->words[l->first + i];
        if (n + (w->end - w->start) + 2 > cap)
            return false;
        if (i)
            out[n++] = ' ';
        memcpy(out + n, p->text + w->start, w->end - w->start);
        n += w->end - w->start;
    }
    out[n] = '\0';
    *len = n;
    return n > 0;
}

/* Runs of digits become '#', their values go into m->numbers. Of more or longer
 * numbers than a header has, the digits stay. */
static void fold_numbers(struct furniture_mark *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0, k; i < m->len; i = k) {
        uint32_t value = 0;
        for (k = i; k < m->len && digit(m->text[k]) && k - i < 9; k++)
            value = value * 10 + (uint32_t)(m->text[k] - '0');
        bool whole = k > i && !(k < m->len && digit(m->text[k])) && !(i && digit(m->text[i - 1]));
        if (whole && m->n_numbers < FURNITURE_NUMBERS) {
            m->numbers[m->n_numbers++] = value;
            m->text[n++] = '#';
            continue;
        }
        k = i + 1;
        m->text[n++] = m->text[i];
    }
    m->text[n] = '\0';
    m->len = n;
}

static uint32_t roman_value(char c)
{
    static const char LETTERS[] = "ivxlcdm";
    static const uint32_t VALUES[] = {1, 5, 10, 50, 100, 500, 1000};
    const char *at = c ? strchr(LETTERS, c) : NULL;
    return at ? VALUES[at - LETTERS] : 0;
}

/* "xiv", "- ii -": its value; 0 when it is none. Capitals are initials as often. */
static uint32_t roman(struct str s)
{
    while (s.len && strchr("-[( ", s.ptr[0]) && s.ptr[0])
        s = str_sub(s, 1, s.len);
    while (s.len && strchr("-]). ", s.ptr[s.len - 1]) && s.ptr[s.len - 1])
        s.len--;
    uint32_t sum = 0, last = 0;
    for (size_t i = s.len; i-- > 0;) {
        uint32_t v = roman_value(s.ptr[i]);
        if (!v || s.len > 9)
            return 0;
        sum = v < last ? sum - v : sum + v;
        last = v;
    }
    return sum;
}

/* Is the mark nothing but a page's number, "12", "- 12 -", "3/7" or "iv"? */
static void find_bare(struct furniture_mark *m, uint32_t letters)
{
    uint32_t value = m->n_numbers ? 0 : roman((struct str){m->text, m->len});
    if (value) {
        m->bare = m->roman = true;
        m->numbers[0] = value;
        m->n_numbers = 1;
        m->text[0] = '#';
        m->len = 1;
    } else {
        m->bare = !letters && m->len <= 12 && m->n_numbers >= 1 && m->n_numbers <= 2;
    }
}

static void note_line(const struct pdf_page *p, const struct pdf_line *l,
                      const struct pdf_line *next, int side, struct furniture_mark *m)
{
    size_t len = 0;
    uint32_t letters = 0;
    *m = (struct furniture_mark){.line = (uint32_t)(l - p->lines)};
    m->edge = from_edge(p, l, side);
    m->height = fmaxf(l->y1 - l->y0, 1);
    m->size = l->size;
    m->bold = l->bold;
    m->white = !next ? INFINITY : side == TOP ? next->y0 - l->y1 : l->y0 - next->y1;
    m->of_table = l->cells > PARTS || (side == TOP && next && l->cells > 1 && next->cells > 1 &&
                                       m->white < 2 * m->height);
    if (!line_text(p, l, m->text, sizeof(m->text), &len))
        return;
    m->len = (uint32_t)len;
    for (uint32_t i = 0; i < l->n; i++)
        letters += p->words[l->first + i].letters;
    fold_numbers(m);
    find_bare(m, letters);
}

void pdf_furniture_note(struct pdf_furniture *f, const struct pdf_page *p)
{
    struct furniture_edges *e = &f->seen[p->number % RING];
    uint32_t at[FURNITURE_EDGE + 1];
    e->page = p->number;
    e->height = p->height;
    for (int side = TOP; side <= BOTTOM; side++) {
        uint32_t n = outermost(p, side, at);
        e->n[side] = n < FURNITURE_EDGE ? n : FURNITURE_EDGE;
        for (uint32_t i = 0; i < e->n[side]; i++)
            note_line(p, &p->lines[at[i]], i + 1 < n ? &p->lines[at[i + 1]] : NULL, side,
                      &e->marks[side][i]);
    }
}

/* ---- what repeats ---- */

static bool same_height(const struct furniture_mark *a, const struct furniture_mark *b)
{
    return fabsf(a->edge - b->edge) <= fmaxf(3, 0.5f * a->height);
}

/* Is b, on page q, the line a of page p again? *counting: its numbers count with the
 * pages; the others are equal. */
static bool again(const struct furniture_mark *a, uint32_t p, const struct furniture_mark *b,
                  uint32_t q, bool *counting)
{
    *counting = false;
    if (!a->len || a->len != b->len || memcmp(a->text, b->text, a->len) ||
        a->n_numbers != b->n_numbers || a->roman != b->roman ||
        fabsf(a->size - b->size) > 0.1f * fmaxf(a->size, b->size))
        return false;
    for (uint32_t i = 0; i < a->n_numbers; i++) {
        if (a->numbers[i] == b->numbers[i])
            continue;
        if ((int64_t)a->numbers[i] - p != (int64_t)b->numbers[i] - q)
            return false;
        *counting = true;
    }
    return true;
}

/* Does line m of page `e` stand on enough of the pages around? */
static bool repeats(const struct pdf_furniture *f, const struct furniture_edges *e, int side,
                    struct furniture_mark *m, float body)
{
    bool title = m->bold || (body > 0 && m->size > 1.05f * body);
    uint32_t around = 1, pages = 1, counted = 1, first = e->page, last = e->page;
    for (uint32_t i = 0; i < RING; i++) {
        const struct furniture_edges *o = &f->seen[i];
        bool here = false, counting;
        if (!o->page || o->page == e->page || o->page + FURNITURE_REACH < e->page ||
            o->page > e->page + FURNITURE_REACH)
            continue;
        around++;
        for (uint32_t k = 0; k < o->n[side] && !here; k++) {
            here = again(m, e->page, &o->marks[side][k], o->page, &counting) &&
                   (same_height(m, &o->marks[side][k]) || (counting && side == BOTTOM));
            counted += here && counting;
        }
        if (!here)
            continue;
        pages++;
        first = o->page < first ? o->page : first;
        last = o->page > last ? o->page : last;
    }
    m->counts = counted >= LEAST;
    return pages >= LEAST && pages * SHARE >= last - first + 1 &&
           (m->counts || (m->edge <= MARGIN * e->height && (!title || pages * TITLES >= around)));
}

/* Do bare numbers that count stand at the height of m on other pages? Only the
 * outermost bare number of each page is asked. */
static bool among_numbers(struct pdf_furniture *f, const struct furniture_edges *e, int side,
                          const struct furniture_mark *m, float body)
{
    for (uint32_t i = 0; i < RING; i++) {
        struct furniture_edges *o = &f->seen[i];
        uint32_t k = 0;
        while (k < o->n[side] && !o->marks[side][k].bare)
            k++;
        if (!o->page || o->page == e->page || k == o->n[side])
            continue;
        struct furniture_mark *b = &o->marks[side][k];
        if (same_height(m, b) && fabsf(m->size - b->size) <= 0.1f * fmaxf(m->size, b->size) &&
            (b->counts || (repeats(f, o, side, b, body) && b->counts)))
            return true;
    }
    return false;
}

/* How many of the outermost lines of a side are furniture: as many as repeat one
 * below the other, up to the last that has white behind it. */
static uint32_t depth(struct pdf_furniture *f, struct furniture_edges *e, int side, float body)
{
    uint32_t deep = 0;
    bool number_seen = false;
    for (uint32_t i = 0; i < e->n[side]; i++) {
        struct furniture_mark *m = &e->marks[side][i];
        bool large = !m->bare && body > 0 && m->size > LARGER * body;
        if (large || m->of_table)
            break;
        if (!repeats(f, e, side, m, body) &&
            !(m->bare && !number_seen && among_numbers(f, e, side, m, body)))
            break;
        number_seen |= m->bare;
        if (m->white >= WHITE * m->height)
            deep = i + 1;
    }
    return deep;
}

static void keep_example(struct pdf_furniture *f, const struct pdf_page *p,
                         const struct furniture_mark *m)
{
    char text[FURNITURE_TEXT];
    size_t len;
    if (f->worded || (f->example[0] && m->bare) ||
        !line_text(p, &p->lines[m->line], text, sizeof(text), &len))
        return;
    struct str s = {text, len};
    bool cut = len > sizeof(f->example) - 4;
    s.len = cut ? utf8_floor(s, sizeof(f->example) - 4) : len;
    snprintf(f->example, sizeof(f->example), "%.*s%s", STR_ARG(s), cut ? "\xE2\x80\xA6" : "");
    f->worded = !m->bare;
}

/* Take the lines that are marked by n == 0 out of the page. */
static void compact(struct pdf_page *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_lines; i++)
        if (p->lines[i].n)
            p->lines[n++] = p->lines[i];
    p->n_lines = n;
}

void pdf_furniture_drop(struct pdf_furniture *f, struct pdf_page *p, float body)
{
    struct furniture_edges *e = &f->seen[p->number % RING];
    uint32_t deep[2], lines[2 * FURNITURE_EDGE], n = 0;
    for (int side = TOP; side <= BOTTOM; side++) {
        deep[side] = depth(f, e, side, body);
        for (uint32_t i = 0; i < deep[side]; i++) {
            uint32_t line = e->marks[side][i].line, k = 0;
            while (k < n && lines[k] != line)
                k++;
            lines[k] = line;
            n += k == n;
        }
    }
    if (!n || n == p->n_lines)
        return;
    for (int side = TOP; side <= BOTTOM; side++)
        for (uint32_t i = 0; i < deep[side]; i++)
            keep_example(f, p, &e->marks[side][i]);
    for (uint32_t k = 0; k < n; k++)
        p->lines[lines[k]].n = 0;
    compact(p);
    f->first = f->first ? f->first : p->number;
    f->pages++;
}
