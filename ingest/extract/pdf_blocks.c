/* ingest/extract/pdf_blocks.c - from lines on a page to blocks of text.
 *
 * Lines of a paragraph are joined by a blank, but for a hyphen at a line's end:
 * where the page's setter breaks words ("inter-" "national") it goes, else it
 * stays ("single-" "click"); both halves keep their own rectangle. A paragraph
 * that stops in mid-sentence at a page's end goes on on the next. Rows with
 * several cells that stand together are a table: a row a line, " | " between
 * cells, currency signs and closing brackets kept with their number. */
#include "ingest/extract/pdf_blocks.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"

struct maker {
    struct str text;
    const struct pdf_word *words;
    const struct pdf_line *lines;
    uint32_t n_lines, page;
    float body, leading; /* usual white between lines of a paragraph */
    bool breaks_words;   /* so many lines end in a hyphen that the setter put it there */
    struct doc *doc;
    struct buf clean; /* a word on its way */
    size_t invisible;
};

static float line_height(const struct pdf_line *l)
{
    return fmaxf(l->y1 - l->y0, 1);
}

/* ---- what a line is ---- */

static struct str word_text(const struct maker *m, const struct pdf_word *w)
{
    return str_sub(m->text, w->start, w->end);
}

static bool bullet(struct str w)
{
    static const char *const MARKS[] = {"\xE2\x80\xA2",
                                        "\xE2\x97\x8F",
                                        "\xE2\x96\xAA",
                                        "\xE2\x97\xA6",
                                        "\xE2\x80\xA3",
                                        "\xE2\x96\xA0",
                                        "\xC2\xB7",
                                        "\xEF\x82\xB7",
                                        "\xE2\x9E\xA2",
                                        "\xE2\x97\x8B",
                                        "\xE2\x80\x93",
                                        "-",
                                        "*"};
    for (size_t i = 0; i < sizeof(MARKS) / sizeof(*MARKS); i++)
        if (str_eqz(w, MARKS[i]))
            return true;
    return false;
}

static bool begins_item(const struct maker *m, const struct pdf_line *l)
{
    return l->n > 1 && bullet(word_text(m, &m->words[l->first]));
}

/* Signs that belong to the number beside them are no cell of their own. */
static bool currency(struct str w)
{
    return str_eqz(w, "$") || str_eqz(w, "\xE2\x82\xAC") || str_eqz(w, "\xC2\xA3") ||
           str_eqz(w, "($") || str_eqz(w, "(") || str_eqz(w, "\xC2\xA5");
}

static bool closing(struct str w)
{
    return str_eqz(w, ")") || str_eqz(w, "%") || str_eqz(w, ")%") || str_eqz(w, "%)");
}

static bool heading_letters(const struct maker *m, const struct pdf_line *l)
{
    uint32_t letters = 0;
    for (uint32_t i = 0; i < l->n; i++)
        letters += m->words[l->first + i].letters;
    return letters * 2 > l->chars && letters >= 3;
}

/* 1..6, or 0: no heading. */
static int heading_level(const struct maker *m, const struct pdf_line *l)
{
    if (m->body <= 0 || l->cells > 1 || l->chars > 160 || !heading_letters(m, l))
        return 0;
    float ratio = l->size / m->body;
    if (ratio >= 1.75f)
        return 1;
    if (ratio >= 1.35f)
        return 2;
    if (ratio >= 1.12f)
        return 3;
    struct str first = word_text(m, &m->words[l->first]);
    struct str last = word_text(m, &m->words[l->first + l->n - 1]);
    char end = last.len ? last.ptr[last.len - 1] : ' ';
    /* "(in millions)", "June 30,": bold, but heads of a table's columns. */
    bool sentence = end == ',' || (strchr(".;:", end) && l->n > 3) || str_starts(first, STR("("));
    return l->bold && l->chars <= 90 && ratio >= 0.95f && !sentence ? 4 : 0;
}

/* ---- words into the text ---- */

static void put_word(struct maker *m, const struct pdf_word *w, size_t cut)
{
    struct str s = word_text(m, w);
    struct place at = {.page = m->page, .x0 = w->x0, .y0 = w->y0, .x1 = w->x1, .y1 = w->y1};
    size_t marks = 0; /* of direction, which poppler itself puts around words from the right */
    buf_reset(&m->clean);
    doc_clean(str_sub(s, 0, s.len - cut), &m->clean, w->rtl ? &marks : &m->invisible);
    if (m->clean.len)
        doc_word(m->doc, buf_view(&m->clean), &at);
}

static void put_row(struct maker *m, const struct pdf_line *l)
{
    for (uint32_t i = 0; i < l->n; i++) {
        const struct pdf_word *w = &m->words[l->first + i];
        if (i) {
            const struct pdf_word *prev = w - 1;
            bool joined = currency(word_text(m, prev)) || closing(word_text(m, w)) ||
                          (w->cell == prev->cell && !currency(word_text(m, w)));
            doc_add(m->doc, joined ? STR(" ") : STR(" | "));
        }
        put_word(m, w, 0);
    }
}

/* Parts that keep their hyphen when a line ends behind it: "self-" "made". */
static bool compound(struct str part)
{
    static const char *const PARTS[] = {"self",   "well", "non",  "ex",   "co",    "long",
                                        "short",  "high", "low",  "full", "half",  "cross",
                                        "year",   "time", "part", "real", "third", "first",
                                        "second", "one",  "two",  "three"};
    for (size_t i = 0; i < sizeof(PARTS) / sizeof(*PARTS); i++)
        if (str_ieq(part, str_of(PARTS[i])))
            return true;
    return false;
}

static bool lower(char c)
{
    return c >= 'a' && c <= 'z';
}

/* Bytes of the hyphen at the end of `a`, when it joins on to `b`; else 0. */
static size_t hyphen_before(struct str a, struct str b)
{
    size_t hyphen = str_ends(a, STR("-")) ? 1 : str_ends(a, STR("\xC2\xAD")) ? 2 : 0;
    bool joins = hyphen && a.len >= hyphen + 2 && b.len && lower(b.ptr[0]) &&
                 lower(a.ptr[a.len - hyphen - 1]);
    return joins ? hyphen : 0;
}

/* Did only the line's end bring that hyphen in? */
static bool broken(const struct maker *m, struct str a, size_t hyphen)
{
    struct str part = str_sub(a, 0, a.len - hyphen);
    if (hyphen == 2) /* a soft hyphen says so */
        return true;
    return hyphen && m->breaks_words && !memchr(part.ptr, '-', part.len) && !compound(part);
}

/* Of justified text with broken words about every tenth line ends so; of other
 * text one in fifty does, by words that have a hyphen anyway. */
static bool page_breaks_words(const struct maker *m)
{
    uint32_t hyphens = 0, lines = 0;
    for (uint32_t i = 0; i + 1 < m->n_lines; i++) {
        const struct pdf_line *l = &m->lines[i];
        lines += l->n > 3;
        hyphens += hyphen_before(word_text(m, &m->words[l->first + l->n - 1]),
                                 word_text(m, &m->words[l[1].first])) > 0;
    }
    return hyphens >= 2 && hyphens * 25 >= lines;
}

static bool cjk_between(struct str a, struct str b)
{
    uint32_t x = 0, y = 0;
    if (!a.len || !b.len)
        return false;
    size_t last = utf8_floor(a, a.len - 1);
    utf8_decode(a, last, &x);
    utf8_decode(b, 0, &y);
    return utf8_is_cjk(x) && utf8_is_cjk(y);
}

/* A line of running text; `after` is the first word of the line that follows it in
 * the same block, empty when none does. */
static void put_running(struct maker *m, const struct pdf_line *l, struct str after)
{
    bool next = after.len > 0;
    for (uint32_t i = 0; i < l->n; i++) {
        const struct pdf_word *w = &m->words[l->first + i];
        struct str s = word_text(m, w);
        bool last = i + 1 == l->n;
        size_t hyphen = last && next ? hyphen_before(s, after) : 0;
        put_word(m, w, broken(m, s, hyphen) ? hyphen : 0);
        if (last ? next && !hyphen && !cjk_between(s, after) : true)
            doc_add(m->doc, STR(" "));
    }
}

/* ---- lines into blocks ---- */

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Median white between neighbouring lines of the page. */
static float usual_leading(const struct maker *m)
{
    float gaps[512];
    int n = 0;
    for (uint32_t i = 1; i < m->n_lines && n < 512; i++) {
        float gap = m->lines[i].y0 - m->lines[i - 1].y1;
        if (m->lines[i].region == m->lines[i - 1].region && gap < 3 * line_height(&m->lines[i]) &&
            gap > -line_height(&m->lines[i]))
            gaps[n++] = gap;
    }
    qsort(gaps, (size_t)n, sizeof(*gaps), by_value);
    return n ? gaps[n / 2] : 0;
}

/* Does line i begin a new paragraph, with line i - 1 before it in a block? */
static bool breaks(const struct maker *m, uint32_t i)
{
    const struct pdf_line *l = &m->lines[i], *p = l - 1;
    float h = line_height(l);
    if (l->region != p->region || l->y0 - p->y1 > fmaxf(m->leading, 0) + 0.45f * h || l->y0 < p->y0)
        return true;
    if (fabsf(l->size - p->size) > 0.1f * fmaxf(l->size, p->size) || begins_item(m, l))
        return true;
    /* A first line set in: further right than the line before and the line after. */
    bool set_in = l->x0 > p->x0 + 0.8f * h;
    bool next_back = i + 1 >= m->n_lines || m->lines[i + 1].region != l->region ||
                     m->lines[i + 1].x0 < l->x0 - 0.5f * h;
    return set_in && next_back && !begins_item(m, p);
}

/* Lines [from, to) that stand together as a table: at least two rows of several
 * cells, with at most two lines of one cell between them. Returns `to`. */
static uint32_t table_end(const struct maker *m, uint32_t from)
{
    uint32_t to = from, rows = 0, single = 0;
    for (uint32_t i = from; i < m->n_lines; i++) {
        const struct pdf_line *l = &m->lines[i];
        if (l->region != m->lines[from].region ||
            (i > from && l->y0 - l[-1].y1 > 4 * line_height(l)))
            break;
        bool row = l->cells > 1 && !(l->cells == 2 && begins_item(m, l));
        single = row ? 0 : single + 1;
        if (single > 2 || (!row && l->chars > 110))
            break;
        if (row) {
            rows++;
            to = i + 1;
        }
    }
    return rows >= 2 ? to : from;
}

static void put_table(struct maker *m, uint32_t from, uint32_t to)
{
    doc_begin(m->doc, BLOCK_TABLE, 0, m->page, SRC_NONE);
    for (uint32_t i = from; i < to; i++) {
        if (i > from)
            doc_add(m->doc, STR("\n"));
        put_row(m, &m->lines[i]);
    }
    doc_end(m->doc, SRC_NONE);
}

static struct str first_word(const struct maker *m, const struct pdf_line *l)
{
    return word_text(m, &m->words[l->first]);
}

/* ---- over the page's end ---- */

/* Does the word close a sentence, or open a list? */
static bool ends_sentence(struct str w)
{
    static const char *const ENDS[] = {".",
                                       "!",
                                       "?",
                                       ":",
                                       ";",
                                       "\xE3\x80\x82",
                                       "\xEF\xBC\x81",
                                       "\xEF\xBC\x9F",
                                       "\xEF\xBC\x9A",
                                       "\xD8\x9F",
                                       "\xDB\x94"};
    static const char *const BEHIND[] = {
        "\"", "'", ")", "]", "\xE2\x80\x9D", "\xE2\x80\x99", "\xC2\xBB", "\xE3\x80\x8D"};
    for (size_t i = 0; i < sizeof(BEHIND) / sizeof(*BEHIND); i++)
        if (str_ends(w, str_of(BEHIND[i])) && w.len > strlen(BEHIND[i])) {
            w.len -= strlen(BEHIND[i]);
            i = SIZE_MAX; /* the marks once more: (he said "no.") */
        }
    for (size_t i = 0; i < sizeof(ENDS) / sizeof(*ENDS); i++)
        if (str_ends(w, str_of(ENDS[i])))
            return true;
    return false;
}

/* "a)", "iv.": what numbers an item is no running text, small as it is. */
static bool list_mark(struct str w)
{
    return w.len <= 5 && (str_ends(w, STR(")")) || str_ends(w, STR(".")));
}

static bool lower_start(struct str w)
{
    uint32_t cp;
    if (!w.len || list_mark(w))
        return false;
    utf8_decode(w, 0, &cp);
    return !strcmp(utf8_category(cp), "Ll");
}

static bool full_line(const struct maker *m, const struct pdf_line *l)
{
    float widest = 0;
    for (uint32_t i = 0; i < m->n_lines; i++)
        if (m->lines[i].region == l->region && m->lines[i].cells == 1)
            widest = fmaxf(widest, m->lines[i].x1 - m->lines[i].x0);
    return l->n >= 5 && l->x1 - l->x0 >= 0.88f * widest;
}

/* Running text at the page's head: a full line, not set in as paragraphs are. */
static bool in_midst(const struct maker *m, const struct pdf_line *l)
{
    bool more = m->n_lines > 1 && !breaks(m, 1);
    return more && full_line(m, l) && l->x0 <= l[1].x0 + 0.5f * line_height(l) &&
           !list_mark(first_word(m, l));
}

/* Does the paragraph that ends with line l go on with the first line of page `n`? By a small
 * letter after an unfinished sentence; by any other sign when both lines are full. */
static bool runs_on(const struct maker *m, const struct pdf_line *l, const struct maker *n)
{
    const struct pdf_line *to = n->lines;
    if (l->cells > 1 || !n->n_lines || to->cells > 1 || begins_item(n, to) ||
        fabsf(l->size - to->size) > 0.1f * fmaxf(l->size, to->size) || heading_level(n, to))
        return false;
    struct str last = word_text(m, &m->words[l->first + l->n - 1]);
    if (ends_sentence(last))
        return false;
    return lower_start(first_word(n, to)) ||
           (l->bold == to->bold && full_line(m, l) && in_midst(n, to));
}

/* A block of lines from `from` on; returns where the next begins. A block that is
 * open already came over from the page before. */
static uint32_t put_block(struct maker *m, uint32_t from, const struct maker *next)
{
    const struct pdf_line *l = &m->lines[from];
    bool open = m->doc->is_open;
    bool alone = from + 1 >= m->n_lines || m->lines[from + 1].cells > 1 || breaks(m, from + 1);
    int level = open ? 0 : heading_level(m, l);
    if (level == 4 && !alone)
        level = 0;
    uint32_t to = from + 1;
    while (to < m->n_lines && to - from < (level ? 3 : 400) && m->lines[to].cells == 1 &&
           !breaks(m, to) && (!level || heading_level(m, &m->lines[to]) == level))
        to++;
    if (!open)
        doc_begin(m->doc,
                  level               ? BLOCK_HEADING
                  : begins_item(m, l) ? BLOCK_ITEM
                                      : BLOCK_TEXT,
                  level, m->page, SRC_NONE);
    bool over = to == m->n_lines && !level && next && runs_on(m, &m->lines[to - 1], next);
    for (uint32_t i = from; i < to; i++)
        put_running(m, &m->lines[i],
                    i + 1 < to ? first_word(m, &m->lines[i + 1])
                    : over     ? first_word(next, next->lines)
                               : STR(""));
    if (!over)
        doc_end(m->doc, SRC_NONE);
    return to;
}

/* The size most of the page is set in, where that is larger than the file's: an
 * appendix in larger type is not all headings. */
static float page_body(const struct maker *m)
{
    uint32_t histogram[128] = {0}, best = 0, chars = 0;
    for (uint32_t i = 0; i < m->n_lines; i++) {
        int half = (int)(m->lines[i].size * 2 + 0.5f);
        if (half > 0 && half < 128)
            histogram[half] += m->lines[i].chars;
        chars += m->lines[i].chars;
    }
    for (uint32_t i = 1; i < 128; i++)
        best = histogram[i] > histogram[best] ? i : best;
    bool most = chars > 400 && histogram[best] * 2 > chars;
    return most && (float)best / 2 > m->body && m->body > 0 ? (float)best / 2 : m->body;
}

static struct maker make(const struct pdf_page *p, float body, struct doc *d)
{
    struct maker m = {.text = str_of(p->text),
                      .words = p->words,
                      .lines = p->lines,
                      .n_lines = p->n_lines,
                      .page = p->number,
                      .body = body,
                      .doc = d};
    m.leading = usual_leading(&m);
    m.body = page_body(&m);
    m.breaks_words = page_breaks_words(&m);
    return m;
}

void pdf_blocks(const struct pdf_page *p, const struct pdf_page *next, float body, struct doc *d)
{
    struct maker m = make(p, body, d), after = {0};
    bool may_run_on = next && next->n_lines && !p->form;
    if (may_run_on)
        after = make(next, body, d);
    for (uint32_t i = 0; i < m.n_lines;) {
        uint32_t to = m.lines[i].cells > 1 ? table_end(&m, i) : i;
        if (to > i)
            put_table(&m, i, to);
        else
            to = put_block(&m, i, may_run_on ? &after : NULL);
        i = to;
    }
    d->invisible += m.invisible;
    buf_free(&m.clean);
}
