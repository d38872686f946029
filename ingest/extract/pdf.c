/* ingest/extract/pdf.c - pages, words and their rectangles, by poppler.
 *
 * poppler gives each page's characters with their rectangles; pdf_order.h puts
 * the words into reading order; pdf_furniture.h tells headers and footers from
 * text, for which some pages are held back; pdf_blocks.c makes paragraphs,
 * headings and tables of the rest. Every word keeps its rectangle. */
#include <math.h>
#include <poppler.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/utf8.h"
#include "ingest/extract/doc.h"
#include "ingest/extract/pdf_blocks.h"
#include "ingest/extract/pdf_furniture.h"

#define PAGES_MAX 20000
#define POINT_MAX 100000.0 /* 35 metres from the page's corner */
#define SAMPLES   12       /* pages looked at to learn the size of body text */
#define HELD      (FURNITURE_REACH + 3)
#define HELD_MAX  (48 << 20) /* bytes of pages held back; past them fewer are */

/* A file on its way through. */
struct reader {
    PopplerDocument *pdf;
    struct doc *doc;
    float body;                 /* size of running text */
    struct pdf_page held[HELD]; /* read, not yet written */
    int n_held, cleared;        /* of them without their furniture */
    size_t held_bytes;
    struct pdf_furniture furniture;
    struct warning *told; /* of furniture left out, once there was some */
    size_t chars, unreadable;
};

static bool bidi_mark(uint32_t cp)
{
    return (cp >= 0x202A && cp <= 0x202E) || cp == 0x200E || cp == 0x200F;
}

static bool right_to_left(uint32_t cp)
{
    return (cp >= 0x590 && cp <= 0x8FF) || (cp >= 0xFB1D && cp <= 0xFDFF) ||
           (cp >= 0xFE70 && cp <= 0xFEFE);
}

/* poppler's marks of direction have no rectangle of their own in some texts. */
static bool counts_fit(struct str s, guint n_rects, bool *skip_marks)
{
    size_t all = 0, marks = 0;
    for (size_t at = 0; at < s.len;) {
        uint32_t cp;
        at += (size_t)utf8_decode(s, at, &cp);
        all++;
        marks += bidi_mark(cp);
    }
    *skip_marks = marks && all - marks == n_rects;
    return all == n_rects || *skip_marks;
}

/* Damaged files put words at the end of the world, or nowhere. */
static float point(double v)
{
    return isfinite(v) ? (float)fmax(-POINT_MAX, fmin(v, POINT_MAX)) : 0;
}

static void grow(struct pdf_word *w, const PopplerRectangle *r)
{
    float x0 = point(fmin(r->x1, r->x2)), x1 = point(fmax(r->x1, r->x2));
    float y0 = point(fmin(r->y1, r->y2)), y1 = point(fmax(r->y1, r->y2));
    if (!w->chars || x0 < w->x0)
        w->x0 = x0;
    if (!w->chars || y0 < w->y0)
        w->y0 = y0;
    if (!w->chars || x1 > w->x1)
        w->x1 = x1;
    if (!w->chars || y1 > w->y1)
        w->y1 = y1;
}

struct fonts {
    GList *list;
    guint at;
};

/* Attributes of character i; called with growing i. */
static const PopplerTextAttributes *font_at(struct fonts *f, guint i)
{
    while (f->list) {
        const PopplerTextAttributes *a = f->list->data;
        if ((gint)i <= a->end_index)
            return (gint)i >= a->start_index ? a : NULL;
        f->list = f->list->next;
    }
    return NULL;
}

static bool is_bold(const char *font)
{
    return font &&
           (strcasestr(font, "bold") || strcasestr(font, "black") || strcasestr(font, "heavy"));
}

static void start_word(struct pdf_word *w, size_t at, const PopplerTextAttributes *font)
{
    *w = (struct pdf_word){.start = (uint32_t)at};
    if (font) {
        w->size = point(font->font_size);
        w->bold = is_bold(font->font_name);
    }
}

static void add_char(struct reader *r, struct pdf_word *w, uint32_t cp,
                     const PopplerRectangle *rect)
{
    grow(w, rect);
    w->chars += w->chars < UINT16_MAX;
    w->letters += utf8_is_letter(cp) && w->letters < UINT16_MAX;
    w->rtl |= right_to_left(cp);
    r->chars++;
    r->unreadable += cp == 0xFFFD || (cp >= 0xE000 && cp <= 0xF8FF) || (cp < 0x20 && cp != '\t');
}

/* Does the next character stand apart? poppler puts no blank between the cells
 * of a table; the white between their rectangles tells. */
static bool apart(const PopplerRectangle *a, const PopplerRectangle *b)
{
    double h = fabs(a->y2 - a->y1), w = fabs(a->x2 - a->x1);
    double gap =
        fmax(fmin(b->x1, b->x2) - fmax(a->x1, a->x2), fmin(a->x1, a->x2) - fmax(b->x1, b->x2));
    double step = fabs((a->y1 + a->y2) - (b->y1 + b->y2)) / 2;
    /* Of sideways text the characters stand above one another. */
    return step > 0.4 * h ? gap > 0.3 * fmin(h, w) || step > 1.5 * h : gap > 0.3 * h;
}

/* Cut the text at white space and at white on the page. */
static void cut_words(struct reader *r, struct pdf_page *p, const PopplerRectangle *rects,
                      GList *attributes, bool skip_marks)
{
    struct str s = str_of(p->text);
    struct fonts fonts = {attributes, 0};
    bool in_word = false;
    guint i = 0;
    for (size_t at = 0; at < s.len;) {
        uint32_t cp;
        int len = utf8_decode(s, at, &cp);
        bool mark = bidi_mark(cp);
        if (utf8_is_space(cp) || mark) {
            in_word = in_word && mark;
        } else {
            if (in_word && i && apart(&rects[i - 1], &rects[i]))
                in_word = false;
            if (!in_word)
                start_word(&p->words[p->n++], at, font_at(&fonts, i));
            in_word = true;
            add_char(r, &p->words[p->n - 1], cp, &rects[i]);
            p->words[p->n - 1].end = (uint32_t)(at + (size_t)len);
        }
        i += !(mark && skip_marks);
        at += (size_t)len;
    }
}

static bool has_right_to_left(const char *text)
{
    struct str s = str_of(text);
    for (size_t at = 0; at < s.len;) {
        uint32_t cp;
        at += (size_t)utf8_decode(s, at, &cp);
        if (right_to_left(cp))
            return true;
    }
    return false;
}

/* poppler selects text from the area's first corner to its last. Where lines run
 * from the right it begins too late unless these corners are mirrored; which of
 * the two finds more is the one to take. */
static char *whole_text(PopplerPage *page, PopplerRectangle *area)
{
    double w, h;
    poppler_page_get_size(page, &w, &h);
    *area = (PopplerRectangle){0, 0, w, h};
    char *text = poppler_page_get_text_for_area(page, area);
    if (!text || !has_right_to_left(text))
        return text;
    PopplerRectangle mirrored = {w, 0, 0, h};
    char *other = poppler_page_get_text_for_area(page, &mirrored);
    if (!other || strlen(other) <= strlen(text)) {
        g_free(other);
        return text;
    }
    g_free(text);
    *area = mirrored;
    return other;
}

static enum err_code page_words(struct reader *r, PopplerPage *page, struct pdf_page *out,
                                struct err *err)
{
    PopplerRectangle *rects = NULL, area;
    guint n = 0;
    out->text = whole_text(page, &area);
    bool skip, laid_out = out->text &&
                          poppler_page_get_text_layout_for_area(page, &area, &rects, &n) &&
                          counts_fit(str_of(out->text), n, &skip);
    enum err_code rc = OK;
    if (laid_out) {
        out->words = calloc((size_t)n + 1, sizeof(*out->words));
        GList *attributes = poppler_page_get_text_attributes_for_area(page, &area);
        if (out->words) {
            cut_words(r, out, rects, attributes, skip);
            struct pdf_word *fit = realloc(out->words, ((size_t)out->n + 1) * sizeof(*fit));
            out->words = fit ? fit : out->words; /* room for each character was taken */
            rc = pdf_order(out->words, out->n, &out->lines, &out->n_lines, err);
        } else {
            rc = err_set(err, ERR_NOMEM, "reading it takes more memory than a reader may use");
        }
        poppler_page_free_text_attributes(attributes);
    }
    g_free(rects);
    return rc;
}

static void page_deinit(struct pdf_page *p)
{
    g_free(p->text);
    free(p->words);
    free(p->lines);
}

/* ---- the whole file ---- */

/* Commonest font size, by characters, over pages spread through the file. */
static float body_size(PopplerDocument *pdf, int n_pages)
{
    uint32_t histogram[128] = {0}, best = 0;
    for (int i = 0; i < SAMPLES && i < n_pages; i++) {
        int at = n_pages <= SAMPLES ? i : (int)((int64_t)i * (n_pages - 1) / (SAMPLES - 1));
        PopplerPage *page = poppler_document_get_page(pdf, at);
        GList *list = page ? poppler_page_get_text_attributes(page) : NULL;
        for (GList *l = list; l; l = l->next) {
            const PopplerTextAttributes *a = l->data;
            int half = (int)(a->font_size * 2 + 0.5);
            if (half > 0 && half < 128)
                histogram[half] += (uint32_t)(a->end_index - a->start_index + 1);
        }
        poppler_page_free_text_attributes(list);
        if (page)
            g_object_unref(page);
    }
    for (uint32_t i = 1; i < 128; i++)
        best = histogram[i] > histogram[best] ? i : best;
    return (float)best / 2;
}

/* What people typed into the form of a page, which is no part of its text. */
static void read_fields(PopplerPage *page, uint32_t number, double height, struct doc *d)
{
    GList *list = poppler_page_get_form_field_mapping(page);
    for (GList *l = list; l; l = l->next) {
        const PopplerFormFieldMapping *m = l->data;
        PopplerFormField *f = m->field;
        char *text = NULL;
        if (poppler_form_field_get_field_type(f) == POPPLER_FORM_FIELD_TEXT &&
            !poppler_form_field_text_is_password(f))
            text = poppler_form_field_text_get_text(f);
        struct buf clean = {.max = 1 << 20};
        size_t invisible = 0;
        if (text && utf8_valid(str_of(text)) &&
            doc_clean(str_trim(str_of(text)), &clean, &invisible) && clean.len) {
            const PopplerRectangle *r = &m->area; /* origin at the bottom left */
            struct place at = {.page = number,
                               .x0 = point(fmin(r->x1, r->x2)),
                               .x1 = point(fmax(r->x1, r->x2)),
                               .y0 = point(height - fmax(r->y1, r->y2)),
                               .y1 = point(height - fmin(r->y1, r->y2))};
            doc_begin(d, BLOCK_TEXT, 0, number, SRC_NONE);
            doc_word(d, buf_view(&clean), &at);
            doc_end(d, SRC_NONE);
        }
        buf_free(&clean);
        g_free(text);
    }
    poppler_page_free_form_field_mapping(list);
}

static bool has_form(PopplerPage *page)
{
    GList *list = poppler_page_get_form_field_mapping(page);
    poppler_page_free_form_field_mapping(list);
    return list != NULL;
}

static size_t page_bytes(const struct pdf_page *p)
{
    return (p->text ? strlen(p->text) : 0) + p->n * sizeof(*p->words) +
           p->n_lines * sizeof(*p->lines);
}

/* Read page `index` to the end of those held. */
static enum err_code hold_page(struct reader *r, int index, struct err *err)
{
    struct pdf_page *p = &r->held[r->n_held++];
    PopplerPage *page = poppler_document_get_page(r->pdf, index);
    *p = (struct pdf_page){.number = (uint32_t)index + 1, .damaged = !page};
    if (!page)
        return OK;
    double width = 0, height = 0;
    poppler_page_get_size(page, &width, &height);
    p->width = point(fabs(width));
    p->height = point(fabs(height));
    p->form = has_form(page);
    enum err_code rc = page_words(r, page, p, err);
    g_object_unref(page);
    r->held_bytes += page_bytes(p);
    pdf_furniture_note(&r->furniture, p);
    return rc;
}

/* The first page that loses a line brings the warning; how many did is known at
 * the end. */
static void tell_furniture(struct reader *r)
{
    const struct pdf_furniture *f = &r->furniture;
    if (f->pages && !r->told) {
        int n = r->doc->n_warnings;
        doc_warn(r->doc, "page_furniture", f->first, "running headers and footers left out");
        r->told = r->doc->n_warnings > n ? &r->doc->warnings[n] : NULL;
    }
    if (r->told)
        snprintf(r->told->message, sizeof(r->told->message),
                 "running headers and footers on %u pages left out, e.g. \"%s\"", f->pages,
                 f->example);
}

static void write_fields(struct reader *r, const struct pdf_page *p)
{
    PopplerPage *page = p->form ? poppler_document_get_page(r->pdf, (int)p->number - 1) : NULL;
    if (!page)
        return;
    read_fields(page, p->number, (double)p->height, r->doc);
    g_object_unref(page);
}

static size_t written(const struct doc *d)
{
    return d->text.len + (d->is_open ? d->raw.len : 0);
}

static void write_page(struct reader *r, const struct pdf_page *p, const struct pdf_page *next)
{
    struct doc *d = r->doc;
    if (d->is_open)
        doc_page_turn(d, p->width, p->height);
    else
        doc_page_begin(d, p->width, p->height);
    size_t before = written(d);
    if (p->words) {
        pdf_blocks(p, next, r->body, d);
    } else if (p->text) { /* no rectangles: the text alone is better than nothing */
        doc_begin(d, BLOCK_TEXT, 0, p->number, SRC_NONE);
        doc_add(d, str_of(p->text));
        doc_end(d, SRC_NONE);
    }
    write_fields(r, p);
    if (!d->is_open)
        doc_page_end(d);
    if (p->damaged)
        doc_warn(d, "page_unreadable", p->number, "page %u is damaged and could not be read",
                 p->number);
    else if (written(d) == before)
        doc_warn(d, "page_without_text", p->number,
                 "page %u has no text; if it is a scan, its words cannot be found", p->number);
}

static void write_first(struct reader *r, bool last)
{
    write_page(r, &r->held[0], last ? NULL : &r->held[1]);
    r->held_bytes -= page_bytes(&r->held[0]);
    page_deinit(&r->held[0]);
    memmove(r->held, r->held + 1, (size_t)--r->n_held * sizeof(*r->held));
    r->cleared--;
}

/* Write what has enough pages behind it; at the end, everything. */
static void write_ready(struct reader *r, bool end)
{
    bool all = end || r->held_bytes > HELD_MAX;
    while (r->cleared < r->n_held && (all || r->n_held - r->cleared > FURNITURE_REACH)) {
        struct pdf_page *p = &r->held[r->cleared++];
        size_t bytes = page_bytes(p);
        if (!p->damaged)
            pdf_furniture_drop(&r->furniture, p, r->body);
        r->held_bytes -= bytes - page_bytes(p);
        tell_furniture(r);
        if (r->cleared > 1)
            write_first(r, false);
    }
    if (end && r->n_held)
        write_first(r, true);
}

struct seen {
    uint64_t hash;
    size_t block;
};

static int by_hash(const void *a, const void *b)
{
    uint64_t x = ((const struct seen *)a)->hash, y = ((const struct seen *)b)->hash;
    return (x > y) - (x < y);
}

/* A heading that stands on page after page is the page's head, not a section's:
 * it becomes text, so that it cuts no section in two. */
static void demote_page_heads(struct doc *d, int n_pages)
{
    struct seen *seen = malloc((d->n_blocks + 1) * sizeof(*seen));
    size_t n = 0, often = n_pages / 8 > 5 ? (size_t)n_pages / 8 : 5;
    for (size_t i = 0; seen && i < d->n_blocks; i++) {
        const struct block *b = &d->blocks[i];
        if (b->kind == BLOCK_HEADING)
            seen[n++] = (struct seen){hash64(d->text.ptr + b->start, b->end - b->start, 0), i};
    }
    if (n)
        qsort(seen, n, sizeof(*seen), by_hash);
    for (size_t i = 0, k; i < n; i = k) {
        for (k = i; k < n && seen[k].hash == seen[i].hash;)
            k++;
        for (size_t at = i; k - i >= often && at < k; at++) {
            d->blocks[seen[at].block].kind = BLOCK_TEXT;
            d->blocks[seen[at].block].level = 0;
        }
    }
    free(seen);
}

static enum err_code check_pages(const struct reader *r, int n, struct err *err)
{
    struct doc *d = r->doc;
    if (!d->n_blocks)
        return err_set(err, ERR_FORMAT,
                       "no text on any of its %d page%s: probably a scan, which carrel"
                       " cannot read yet",
                       n, n == 1 ? "" : "s");
    demote_page_heads(d, n);
    if (r->unreadable * 5 > r->chars)
        doc_warn(
            d, "unreadable_characters", 0,
            "%zu %% of its characters name no letter: the file does not say what its fonts mean",
            100 * r->unreadable / (r->chars ? r->chars : 1));
    return OK;
}

static enum err_code read_pages(PopplerDocument *pdf, struct doc *d, struct err *err)
{
    int n = poppler_document_get_n_pages(pdf);
    if (n < 1)
        return err_set(err, ERR_FORMAT, "the PDF is damaged: no page of it can be found");
    if (n > PAGES_MAX)
        return err_set(err, ERR_LIMIT, "it has %d pages; at most %d are read", n, PAGES_MAX);
    struct reader *r = calloc(1, sizeof(*r)); /* 200 KiB, most of it the furniture's */
    if (!r)
        return err_set(err, ERR_NOMEM, "reading it takes more memory than a reader may use");
    *r = (struct reader){.pdf = pdf, .doc = d, .body = body_size(pdf, n)};
    enum err_code rc = OK;
    for (int i = 0; i < n && !rc && !d->text.failed; i++) {
        rc = hold_page(r, i, err);
        if (!rc)
            write_ready(r, i == n - 1);
    }
    if (!rc)
        rc = check_pages(r, n, err);
    while (r->n_held)
        page_deinit(&r->held[--r->n_held]);
    free(r);
    return rc;
}

static enum err_code refuse(const GError *e, struct err *err)
{
    if (e && e->domain == POPPLER_ERROR && e->code == POPPLER_ERROR_ENCRYPTED)
        return err_set(err, ERR_FORMAT,
                       "it is protected by a password; take the protection off and add it again");
    return err_set(err, ERR_FORMAT, "the PDF is damaged and cannot be opened (%s)",
                   e ? e->message : "no reason given");
}

static GLogWriterOutput keep_quiet(GLogLevelFlags level, const GLogField *fields, gsize n,
                                   gpointer arg)
{
    (void)level, (void)fields, (void)n, (void)arg;
    return G_LOG_WRITER_HANDLED;
}

/* Programs that print to PDF put a file's name where a title belongs. */
static void read_title(PopplerDocument *pdf, struct doc *d)
{
    char *title = poppler_document_get_title(pdf);
    struct str s = str_trim(str_of(title));
    bool name = str_starts(s, STR("Microsoft ")) || str_ieq(s, STR("untitled"));
    static const char *const ENDS[] = {".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".indd",
                                       ".dvi", ".tex",  ".pdf", ".qxd",  ".rtf", ".odt"};
    for (size_t i = 0; i < sizeof(ENDS) / sizeof(*ENDS); i++)
        name |= str_ends(s, str_of(ENDS[i]));
    if (!name && utf8_valid(s))
        doc_title(d, s);
    g_free(title);
}

enum err_code pdf_read(const struct source *s, struct doc *d, struct err *err)
{
    static bool quiet;
    if (!quiet)
        g_log_set_writer_func(keep_quiet, NULL, NULL); /* glib allows it once */
    quiet = true;
    d->mime = "application/pdf";
    if (s->bytes.len > INT32_MAX)
        return err_set(err, ERR_LIMIT, "a PDF of more than 2 GiB");
    GError *e = NULL;
    GBytes *bytes = g_bytes_new_static(s->bytes.ptr, s->bytes.len);
    PopplerDocument *pdf = poppler_document_new_from_bytes(bytes, NULL, &e);
    enum err_code rc;
    if (!pdf) {
        rc = refuse(e, err);
    } else {
        read_title(pdf, d);
        rc = read_pages(pdf, d, err);
        g_object_unref(pdf);
    }
    g_clear_error(&e);
    g_bytes_unref(bytes);
    return rc;
}
