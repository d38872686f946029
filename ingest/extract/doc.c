/* ingest/extract/doc.c - blocks, pages and words become one clean text. */
#include "ingest/extract/doc.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"

void doc_init(struct doc *d, size_t max_text)
{
    *d = (struct doc){.text.max = max_text, .raw.max = 4 * max_text, .mime = ""};
}

void doc_deinit(struct doc *d)
{
    buf_free(&d->text);
    buf_free(&d->raw);
    free(d->blocks);
    free(d->pages);
    free(d->places);
}

/* Room for one more of `size` bytes in *list; NULL without memory. */
static void *push(struct doc *d, void *list, size_t *n, size_t *cap, size_t size)
{
    void **items = list;
    if (*n == *cap) {
        size_t more = *cap ? *cap * 2 : 64;
        void *moved = realloc(*items, more * size);
        if (!moved) {
            d->failed = true;
            return NULL;
        }
        *items = moved;
        *cap = more;
    }
    return (char *)*items + (*n)++ * size;
}

/* ---- cleaning ---- */

static bool plain(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x7F || (c < 0x20 && c != '\n' && c != '\t'))
            return false;
    }
    return true;
}

/* Characters that steer or smuggle and that no reader sees (Trojan Source,
 * CVE-2021-42574; tag characters mirror ASCII invisibly). */
static bool smuggler(uint32_t cp)
{
    return (cp >= 0x202A && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069) ||
           (cp >= 0xE0000 && cp <= 0xE007F);
}

/* Harmless, but they break words apart for search: soft hyphen, zero-width
 * space, word joiner, marks of direction, byte order mark. */
static bool ignorable(uint32_t cp)
{
    return cp == 0xAD || cp == 0x200B || cp == 0x200E || cp == 0x200F || cp == 0x061C ||
           (cp >= 0x2060 && cp <= 0x2064) || cp == 0xFEFF || (cp >= 0xFFF9 && cp <= 0xFFFB);
}

static void add_cleaned(struct str s, size_t at, int len, uint32_t cp, struct buf *out)
{
    bool after_cr = at > 0 && s.ptr[at - 1] == '\r';
    if (cp == '\n' && after_cr)
        return;
    if (cp == '\r' || cp == '\f' || cp == '\v' || cp == 0x85 || cp == 0x2028 || cp == 0x2029)
        buf_char(out, '\n');
    else if (cp == 0xA0 || cp == 0x202F || cp == 0x2007)
        buf_char(out, ' ');
    else if (cp == 0xFFFD && len == 1)
        buf_puts(out, "\xEF\xBF\xBD");
    else if (cp == '\n' || cp == '\t' || !((cp < 0x20) || (cp >= 0x7F && cp < 0xA0)))
        buf_add(out, s.ptr + at, (size_t)len);
}

bool doc_clean(struct str s, struct buf *out, size_t *invisible)
{
    if (plain(s)) {
        buf_str(out, s);
        return !out->failed;
    }
    struct buf clean = {.max = out->max ? 4 * out->max : 0};
    for (size_t at = 0; at < s.len;) {
        uint32_t cp;
        int len = utf8_decode(s, at, &cp);
        if (smuggler(cp))
            (*invisible)++;
        else if (!ignorable(cp))
            add_cleaned(s, at, len, cp, &clean);
        at += (size_t)len;
    }
    struct str v = buf_view(&clean);
    if (utf8_is_nfc_quick(v))
        buf_str(out, v);
    else if (utf8_nfc(v, out, NULL))
        out->failed = true;
    bool ok = !clean.failed && !out->failed;
    buf_free(&clean);
    return ok;
}

/* ---- blocks ---- */

void doc_begin(struct doc *d, enum block_kind kind, int level, uint32_t page, size_t src)
{
    if (d->is_open)
        doc_end(d, src);
    d->open = (struct block){.kind = (uint8_t)kind,
                             .level = (uint8_t)level,
                             .page = page,
                             .src_start = src < SRC_NONE ? (uint32_t)src : SRC_NONE};
    d->open_place = d->n_places;
    d->open_page = d->n_pages;
    d->is_open = true;
    buf_reset(&d->raw);
}

void doc_add(struct doc *d, struct str s)
{
    buf_str(&d->raw, s);
}

void doc_word(struct doc *d, struct str word, const struct place *at)
{
    struct place *p = push(d, &d->places, &d->n_places, &d->cap_places, sizeof(*p));
    if (!p)
        return;
    *p = *at;
    p->start = (uint32_t)d->raw.len;
    buf_str(&d->raw, word);
    p->end = (uint32_t)d->raw.len;
}

static struct str trim_lines(struct str s)
{
    while (s.len && strchr(" \t\n\r\f", s.ptr[s.len - 1]) && s.ptr[s.len - 1])
        s.len--;
    while (s.len && (s.ptr[0] == '\n' || s.ptr[0] == '\r')) {
        s.ptr++;
        s.len--;
    }
    return s;
}

static void separate(struct doc *d, const struct block *next)
{
    if (!d->n_blocks)
        return;
    const struct block *last = &d->blocks[d->n_blocks - 1];
    bool list = last->kind == BLOCK_ITEM && next->kind == BLOCK_ITEM && last->page == next->page;
    buf_puts(&d->text, list ? "\n" : "\n\n");
}

/* Pages that began inside the block now closed: their bounds lay in raw, whose
 * byte 0 is now byte `start` of the text. */
static void settle_pages(struct doc *d, size_t start)
{
    for (size_t i = d->open_page; i && i < d->n_pages; i++) {
        size_t at = start + d->pages[i].start;
        at = at < d->text.len ? at : d->text.len;
        d->pages[i - 1].end = d->pages[i].start = d->pages[i].end = (uint32_t)at;
    }
    d->open_page = d->n_pages;
}

void doc_end(struct doc *d, size_t src)
{
    if (!d->is_open)
        return;
    d->is_open = false;
    d->failed |= d->raw.failed;
    d->too_long |= d->text.len + d->raw.len > d->text.max;
    bool worded = d->n_places > d->open_place;
    struct str raw = buf_view(&d->raw);
    raw = worded ? raw : d->open.kind == BLOCK_CODE ? trim_lines(raw) : str_trim(raw);
    size_t back = d->text.len;
    separate(d, &d->open);
    size_t start = d->text.len;
    if (worded)
        buf_str(&d->text, raw);
    else if (!doc_clean(raw, &d->text, &d->invisible))
        d->failed = true;
    while (d->text.len > start && strchr(" \n\t", d->text.ptr[d->text.len - 1]))
        d->text.ptr[--d->text.len] = '\0';
    struct block *b = NULL;
    if (!d->text.failed && d->text.len > start)
        b = push(d, &d->blocks, &d->n_blocks, &d->cap_blocks, sizeof(*b));
    if (!b) {
        if (!d->text.failed && d->text.ptr)
            d->text.ptr[d->text.len = back] = '\0';
        d->n_places = d->open_place;
        settle_pages(d, d->text.len);
        return;
    }
    settle_pages(d, start);
    *b = d->open;
    b->start = (uint32_t)start;
    b->end = (uint32_t)d->text.len;
    b->src_end = b->src_start == SRC_NONE || src >= SRC_NONE ? SRC_NONE : (uint32_t)src;
    if (b->src_end == SRC_NONE || b->src_end < b->src_start)
        b->src_start = b->src_end = SRC_NONE;
    for (size_t i = d->open_place; i < d->n_places; i++) {
        d->places[i].start += (uint32_t)start;
        d->places[i].end += (uint32_t)start;
    }
}

/* ---- pages, warnings, title ---- */

void doc_page_begin(struct doc *d, float width, float height)
{
    doc_end(d, SRC_NONE);
    struct page *p = push(d, &d->pages, &d->n_pages, &d->cap_pages, sizeof(*p));
    if (p)
        *p = (struct page){(uint32_t)d->text.len, (uint32_t)d->text.len, width, height};
}

void doc_page_end(struct doc *d)
{
    doc_end(d, SRC_NONE);
    if (d->n_pages)
        d->pages[d->n_pages - 1].end = (uint32_t)d->text.len;
}

void doc_page_turn(struct doc *d, float width, float height)
{
    struct page *p = push(d, &d->pages, &d->n_pages, &d->cap_pages, sizeof(*p));
    if (p)
        *p = (struct page){(uint32_t)d->raw.len, (uint32_t)d->raw.len, width, height};
}

void doc_warn(struct doc *d, const char *code, uint32_t page, const char *fmt, ...)
{
    if (d->n_warnings == DOC_WARNINGS_MAX) {
        d->more_warnings++;
        return;
    }
    struct warning *w = &d->warnings[d->n_warnings++];
    *w = (struct warning){.page = page};
    snprintf(w->code, sizeof(w->code), "%s", code);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(w->message, sizeof(w->message), fmt, ap);
    va_end(ap);
}

void doc_title(struct doc *d, struct str title)
{
    struct buf clean = {.max = 1 << 20};
    size_t n = 0;
    if (d->title[0] || !doc_clean(str_sub(title, 0, 4096), &clean, &n)) {
        buf_free(&clean);
        return;
    }
    struct str s = str_trim(buf_view(&clean));
    s.len = s.len > DOC_TITLE_MAX ? utf8_floor(s, DOC_TITLE_MAX) : s.len;
    for (size_t i = n = 0; i < s.len; i++) {
        char c = strchr("\n\t ", s.ptr[i]) && s.ptr[i] ? ' ' : s.ptr[i];
        if (c != ' ' || d->title[n - 1] != ' ') /* s is trimmed: never first */
            d->title[n++] = c;
    }
    d->title[n] = '\0';
    buf_free(&clean);
}

static void title_from_heading(struct doc *d)
{
    for (size_t i = 0; i < d->n_blocks && !d->title[0]; i++)
        if (d->blocks[i].kind == BLOCK_HEADING)
            doc_title(d, str_sub(buf_view(&d->text), d->blocks[i].start, d->blocks[i].end));
}

enum err_code doc_ok(struct doc *d, struct layout *out, struct err *err)
{
    doc_end(d, SRC_NONE);
    if (d->text.failed && d->too_long)
        return err_set(err, ERR_LIMIT, "it holds more than %zu MiB of text", d->text.max >> 20);
    if (d->text.failed || d->failed)
        return err_set(err, ERR_NOMEM, "reading it takes more memory than a reader may use");
    if (!d->n_blocks)
        return err_set(err, ERR_FORMAT, "no text: there is nothing in it to read");
    title_from_heading(d);
    if (d->invisible)
        doc_warn(
            d, "invisible_characters", 0,
            "%zu invisible control characters, which can hide text from its reader, were left out",
            d->invisible);
    if (d->more_warnings)
        snprintf(d->warnings[DOC_WARNINGS_MAX - 1].message, sizeof(d->warnings[0].message),
                 "and %d more warnings like these", d->more_warnings + 1);
    *out = (struct layout){d->blocks, d->n_blocks, d->pages, d->n_pages, d->places, d->n_places};
    return OK;
}
