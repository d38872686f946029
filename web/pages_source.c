/* The source view: a document's stored text with the cited span marked, and for
 * a document with pages a picture of the cited page, drawn from where its words
 * lie (index/document.h) instead of by a PDF renderer: no untrusted file is
 * opened here. */
#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/utf8.h"
#include "web/access.h"
#include "web/pages.h"
#include "web/reply.h"

#define WINDOW_BEFORE 60000      /* bytes of text shown in front of the span */
#define WINDOW        200000     /* bytes shown in all */
#define WORDS_MAX     6000       /* drawn on one page */
#define QUADS_MAX     256

const struct field page_document_query[] = {
    {"start", FIELD_INT, 0, UINT32_MAX, false, NULL, "first byte of the span to mark"},
    {"end", FIELD_INT, 0, UINT32_MAX, false, NULL, "one past its last"},
    {"from", FIELD_INT, 0, UINT32_MAX, false, NULL, "where to begin in a long text"},
    {.type = FIELD_END}};

struct view {
    struct str text;
    struct layout layout;
    size_t start, end;           /* the span; equal: none */
    size_t from, to;             /* what is shown */
    uint32_t page;               /* of the marker written last */
    bool marked;                 /* id="cited" has been given */
    struct buf *b;
};

/* Text [s, e) with its part of the span marked. */
static void put(struct view *v, size_t s, size_t e)
{
    size_t a = v->start > s ? v->start : s, z = v->end < e ? v->end : e;
    if (a >= z) {
        buf_html(v->b, str_sub(v->text, s, e));
        return;
    }
    buf_html(v->b, str_sub(v->text, s, a));
    buf_puts(v->b, v->marked ? "<mark>" : "<mark id=\"cited\">");
    v->marked = true;
    buf_html(v->b, str_sub(v->text, a, z));
    buf_puts(v->b, "</mark>");
    buf_html(v->b, str_sub(v->text, z, e));
}

/* A block's text [s, e), with a marker wherever it runs over the end of a page. */
static void put_block(struct view *v, size_t s, size_t e)
{
    for (size_t at = s, to; at < e; at = to) {
        uint32_t page = layout_page(&v->layout, (uint32_t)at);
        if (at > s && page != v->page) {
            v->page = page;
            buf_printf(v->b, "<span class=\"pagemark\" id=\"page-%u\">Page %u</span>", page, page);
        }
        bool turns = page && page < v->layout.n_pages && v->layout.pages[page].start < e;
        to = turns ? v->layout.pages[page].start : e;
        put(v, at, to);
    }
}

static void page_marker(struct view *v, uint32_t page)
{
    if (page == 0 || page == v->page)
        return;
    v->page = page;
    buf_printf(v->b, "<p class=\"pagemark\" id=\"page-%u\">Page %u</p>\n", page, page);
}

static const char *tag_of(const struct block *k)
{
    static const char *const headings[] = {"h2", "h2", "h3", "h4", "h5", "h6", "h6"};
    switch (k->kind) {
    case BLOCK_HEADING: return headings[k->level <= 6 ? k->level : 6];
    case BLOCK_QUOTE:   return "blockquote";
    case BLOCK_CODE:
    case BLOCK_TABLE:   return "pre";
    default:            return "p";
    }
}

static const char *class_of(const struct block *k)
{
    static const char *const names[BLOCK_KINDS] = {"text", "head", "item", "quote", "code",
                                                   "table"};
    return names[k->kind < BLOCK_KINDS ? k->kind : BLOCK_TEXT];
}

/* Between blocks lies white space; should there be more, it is shown. */
static void put_gap(struct view *v, size_t s, size_t e)
{
    if (s >= e || str_trim(str_sub(v->text, s, e)).len == 0)
        return;
    buf_puts(v->b, "<p class=\"text\">");
    put(v, s, e);
    buf_puts(v->b, "</p>\n");
}

/* Long runs without blocks (or blocks of a megabyte) are still cut to the window. */
static void put_text(struct view *v)
{
    size_t at = v->from;
    buf_puts(v->b, "<article class=\"source prose\">\n");
    for (size_t i = 0; i < v->layout.n_blocks && at < v->to; i++) {
        const struct block *k = &v->layout.blocks[i];
        if (k->end <= at)
            continue;
        if (k->start >= v->to)
            break;
        size_t s = k->start > at ? k->start : at, e = k->end < v->to ? k->end : v->to;
        put_gap(v, at, s);
        page_marker(v, k->page && s == k->start ? k->page : layout_page(&v->layout, (uint32_t)s));
        buf_printf(v->b, "<%s class=\"%s\">", tag_of(k), class_of(k));
        put_block(v, s, e);
        buf_printf(v->b, "</%s>\n", tag_of(k));
        at = e;
    }
    put_gap(v, at, v->to);
    buf_puts(v->b, "</article>\n");
}

/* A word at its rectangle, stretched to its width so that any font fits. */
static void put_word(struct view *v, const struct place *w)
{
    float high = w->y1 - w->y0, wide = w->x1 - w->x0;
    if (!(high > 0.5f && wide > 0.1f))
        return;
    buf_printf(v->b, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%.1f\" textLength=\"%.1f\" "
                     "lengthAdjust=\"spacingAndGlyphs\">",
               (double)w->x0, (double)(w->y1 - high * 0.22f), (double)(high * 0.84f), (double)wide);
    buf_html(v->b, str_sub(v->text, w->start, w->end));
    buf_puts(v->b, "</text>");
}

static void put_picture(struct view *v, uint32_t number)
{
    float quads[QUADS_MAX][4];
    const struct layout *l = &v->layout;
    if (number < 1 || number > l->n_pages || l->n_places == 0)
        return;
    const struct page *p = &l->pages[number - 1];
    int n = layout_quads(l, (uint32_t)v->start, (uint32_t)v->end, quads, QUADS_MAX), words = 0;
    buf_printf(v->b, "<figure class=\"sheet\"><svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
                     "aria-label=\"Page %u with the cited words marked\" "
                     "font-family=\"Helvetica, Arial, sans-serif\">"
                     "<rect class=\"paper\" width=\"%.0f\" height=\"%.0f\"/>",
               (double)p->width, (double)p->height, number, (double)p->width, (double)p->height);
    for (int i = 0; i < n; i++)
        buf_printf(v->b, "<rect class=\"hit\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                         "height=\"%.1f\" rx=\"1.5\"/>", (double)quads[i][0] - 1,
                   (double)quads[i][1] - 1, (double)(quads[i][2] - quads[i][0]) + 2,
                   (double)(quads[i][3] - quads[i][1]) + 2);
    buf_puts(v->b, "<g class=\"ink\">");
    for (size_t i = 0; i < l->n_places && words < WORDS_MAX; i++)
        if (l->places[i].page == number && l->places[i].end <= v->text.len) {
            put_word(v, &l->places[i]);
            words++;
        }
    buf_printf(v->b, "</g></svg><figcaption>Page %u of %zu, drawn from the places of its words"
                     "</figcaption></figure>\n", number, l->n_pages);
}

static void put_warnings(struct buf *b, const char *text)
{
    json_t *list = NULL;
    if (!text || json_read(str_of(text), &list, NULL) != OK)
        return;
    for (size_t i = 0; i < json_array_size(list) && i < 20; i++) {
        const json_t *w = json_array_get(list, i);
        int64_t page = field_int(w, "page", 0);
        bool note = page_is_note(w);
        buf_puts(b, note ? "<p class=\"meta\">" : "<p class=\"note warn\">");
        buf_html(b, field_text(w, "message"));
        if (page > 0 && !note && !str_starts(field_text(w, "message"), STR("page ")))
            buf_printf(b, " (page %lld)", (long long)page);
        buf_puts(b, "</p>\n");
    }
    if (json_array_size(list) > 20)
        buf_printf(b, "<p class=\"note warn\">%zu more warnings</p>\n",
                   json_array_size(list) - 20);
    json_decref(list);
}

static void put_head(struct view *v, const struct document *d)
{
    struct buf *b = v->b;
    bool titled = d->title && d->title[0] && strcmp(d->title, d->name) != 0;
    buf_puts(b, "<p class=\"eyebrow\"><a href=\"/documents\">Documents</a></p><h1 class=\"name\">");
    buf_html(b, str_of(titled ? d->title : d->name));
    buf_puts(b, "</h1><p class=\"meta\">");
    if (titled) {
        buf_html(b, str_of(d->name));
        buf_puts(b, " · ");
    }
    page_bytes(b, d->size_bytes);
    if (d->pages > 0)
        buf_printf(b, " · %d page%s", d->pages, d->pages == 1 ? "" : "s");
    buf_printf(b, " · <a href=\"/v1/documents/%s/content\" download>Download the original</a> · "
                  "<a href=\"/documents/%s/delete\" class=\"delete\" data-id=\"%s\">Delete</a>"
                  "</p>\n",
               d->id, d->id, d->id);
    put_warnings(b, d->warnings);
}

/* Where the window begins and ends: on line boundaries where there are some. */
static void choose_window(struct view *v, int64_t from)
{
    size_t at = from >= 0 ? (size_t)from : v->start > WINDOW_BEFORE ? v->start - WINDOW_BEFORE : 0;
    if (from < 0 && v->text.len <= WINDOW)
        at = 0;
    at = utf8_floor(v->text, at < v->text.len ? at : v->text.len);
    size_t line = at > 0 ? str_find(v->text, STR("\n"), at) : SIZE_MAX;
    if (at > 0 && line != SIZE_MAX && line < at + 2000)
        at = line + 1;
    v->from = at;
    v->to = at + WINDOW < v->text.len ? utf8_floor(v->text, at + WINDOW) : v->text.len;
}

static void put_more(struct view *v, const char *id, bool later)
{
    size_t to = later ? v->to : v->from > WINDOW ? v->from - WINDOW : 0;
    if (later ? v->to >= v->text.len : v->from == 0)
        return;
    buf_printf(v->b, "<p class=\"more\"><a href=\"/documents/%s?from=%zu", id, to);
    if (v->end > v->start)
        buf_printf(v->b, "&amp;start=%zu&amp;end=%zu", v->start, v->end);
    buf_printf(v->b, "\">%s text</a></p>\n", later ? "Later" : "Earlier");
}

static enum err_code read_span(struct request *r, struct view *v, struct err *err)
{
    int64_t start = pair_int(r->query, r->n_query, "start", 0);
    int64_t end = pair_int(r->query, r->n_query, "end", start);
    if (start > end || end > (int64_t)v->text.len)
        return err_set(err, ERR_ARG, "the text has %zu bytes: [%lld, %lld) is not in it",
                       v->text.len, (long long)start, (long long)end);
    v->start = utf8_floor(v->text, (size_t)start);
    v->end = utf8_ceil(v->text, (size_t)end);
    return OK;
}

static void put_unread(struct buf *b, const struct document *d)
{
    buf_printf(b, "<p class=\"note%s\">", d->state == DOC_FAILED ? " bad" : "");
    if (d->state == DOC_FAILED)
        buf_html(b, str_of(d->error && d->error[0] ? d->error : "it could not be read"));
    else
        buf_puts(b, "This document is still being read.");
    buf_puts(b, "</p>\n");
}

static enum err_code show(struct request *r, const struct document *d, struct err *err)
{
    struct view v = {.b = &r->reply.body};
    struct index *x = r->web->opt.index;
    enum err_code rc = index_text(x, d->id, &r->arena, &v.text, err);
    if (!rc)
        rc = index_layout(x, d->id, &r->arena, &v.layout, err);
    if (!rc)
        rc = read_span(r, &v, err);
    if (rc)
        return rc;
    choose_window(&v, pair_int(r->query, r->n_query, "from", -1));
    uint32_t page = layout_page(&v.layout, (uint32_t)v.start);
    bool picture = page > 0 && v.layout.n_places > 0;
    page_open(r, d->name, "documents");
    put_head(&v, d);
    buf_printf(v.b, "<div class=\"%s\">\n", picture ? "spread" : "single");
    if (picture)
        put_picture(&v, page);
    buf_puts(v.b, "<div>\n");
    put_more(&v, d->id, false);
    put_text(&v);
    put_more(&v, d->id, true);
    buf_puts(v.b, "</div></div>\n");
    page_close(r, 200);
    return OK;
}

enum err_code page_document(struct request *r, struct err *err)
{
    struct document d;
    enum err_code rc = access_document(r, r->params[0], &d, err);
    if (rc)
        return rc;
    if (d.state == DOC_READY)
        return show(r, &d, err);
    struct view v = {.b = &r->reply.body};
    page_open(r, d.name, "documents");
    put_head(&v, &d);
    put_unread(v.b, &d);
    page_close(r, 200);
    return OK;
}
