/* ingest/extract/text.c - plain text, as it stands: paragraphs between blank
 * lines, underlined titles as headings (setext, reStructuredText), blocks
 * indented behind "::" and files of code as code, separated values as rows. */
#include <ctype.h>
#include <string.h>
#include "base/utf8.h"
#include "ingest/extract/charset.h"
#include "ingest/extract/doc.h"

struct reader {
    struct doc *doc;
    struct decoded in;
    size_t at;      /* in in.text */
    char styles[8]; /* underlines in the order they appeared: level - 1 */
    int n_styles;
    bool literal; /* the paragraph before ended in "::" */
};

struct line {
    struct str text;
    size_t start, next;
}; /* next: where the next line starts */

static struct line line_at(struct str s, size_t at)
{
    size_t end = at;
    const char *nl = memchr(s.ptr + at, '\n', s.len - at), *cr;
    end = nl ? (size_t)(nl - s.ptr) : s.len;
    cr = memchr(s.ptr + at, '\r', end - at);
    if (cr && cr + 1 != nl) /* old Mac line ends */
        return (struct line){{s.ptr + at, (size_t)(cr - s.ptr) - at}, at, (size_t)(cr - s.ptr) + 1};
    size_t next = nl ? end + 1 : end;
    if (cr)
        end--;
    return (struct line){{s.ptr + at, end - at}, at, next};
}

static bool blank(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!isspace((unsigned char)s.ptr[i]))
            return false;
    return true;
}

static size_t indent(struct str s)
{
    size_t n = 0;
    while (n < s.len && (s.ptr[n] == ' ' || s.ptr[n] == '\t'))
        n++;
    return n;
}

/* A line of one repeated mark, at least as long as the title above it. */
static char underline(struct str s, size_t title_len)
{
    struct str t = str_trim(s);
    if (t.len < 3 || t.len + 1 < title_len || !strchr("=-~^\"'`#*+.:_", t.ptr[0]) || indent(s))
        return 0;
    for (size_t i = 1; i < t.len; i++)
        if (t.ptr[i] != t.ptr[0])
            return 0;
    return t.ptr[0];
}

static int level_of(struct reader *r, char style)
{
    for (int i = 0; i < r->n_styles; i++)
        if (r->styles[i] == style)
            return i < 6 ? i + 1 : 6;
    if (r->n_styles < (int)sizeof(r->styles))
        r->styles[r->n_styles++] = style;
    return r->n_styles < 6 ? r->n_styles : 6;
}

static void put(struct reader *r, enum block_kind kind, int level, size_t start, size_t end)
{
    doc_begin(r->doc, kind, level, 0, charset_source(&r->in, start));
    doc_add(r->doc, str_sub(r->in.text, start, end));
    doc_end(r->doc, charset_source(&r->in, end));
}

/* A title of at most 200 bytes with a line under it (and perhaps over it). */
static bool heading(struct reader *r)
{
    struct str s = r->in.text;
    struct line a = line_at(s, r->at);
    bool over = underline(a.text, 0) != 0;
    if (over && a.next >= s.len)
        return false;
    struct line title = over ? line_at(s, a.next) : a;
    struct str t = str_trim(title.text);
    if (!t.len || t.len > 200 || title.next >= s.len || underline(title.text, 0) ||
        (!over && indent(title.text)))
        return false;
    struct line under = line_at(s, title.next);
    char style = underline(under.text, utf8_count(t));
    if (!style || (over && style != str_trim(a.text).ptr[0]))
        return false;
    size_t start = (size_t)(t.ptr - s.ptr);
    put(r, BLOCK_HEADING, level_of(r, over ? (char)(style | 0x80) : style), start, start + t.len);
    r->at = under.next;
    r->literal = false;
    return true;
}

/* Lines up to a blank one; a literal block goes on over blank lines while it is indented. */
static size_t paragraph_end(struct reader *r, bool literal, size_t *next)
{
    struct str s = r->in.text;
    size_t end = r->at, at = r->at;
    while (at < s.len) {
        struct line l = line_at(s, at);
        bool empty = blank(l.text);
        if (literal ? !empty && !indent(l.text) : empty)
            break;
        if (!empty)
            end = l.start + l.text.len;
        at = l.next;
    }
    *next = at;
    return end;
}

static void paragraph(struct reader *r)
{
    struct line first = line_at(r->in.text, r->at);
    bool literal = r->literal && indent(first.text);
    size_t next, end = paragraph_end(r, literal, &next);
    put(r, literal ? BLOCK_CODE : BLOCK_TEXT, 0, r->at, end);
    r->literal = !literal && str_ends(str_sub(r->in.text, r->at, end), STR("::"));
    r->at = next;
}

/* "Title: ..." in a first paragraph of such lines (PEPs, mail-like notes). */
static void title_from_fields(struct reader *r)
{
    struct str s = r->in.text;
    for (size_t at = 0, n = 0; at < s.len && n < 30; n++) {
        struct line l = line_at(s, at);
        size_t colon = str_find(l.text, STR(":"), 0);
        if (blank(l.text) || (colon == SIZE_MAX && !indent(l.text)))
            return;
        if (colon != SIZE_MAX && str_ieq(str_sub(l.text, 0, colon), STR("title")))
            doc_title(r->doc, str_sub(l.text, colon + 1, l.text.len));
        at = l.next;
    }
}

static bool listed(const char *ext, const char *list)
{
    size_t n = strlen(ext);
    for (const char *p = strstr(list, ext); n && p; p = strstr(p + 1, ext))
        if (p[-1] == ' ' && p[n] == ' ')
            return true;
    return false;
}

static enum block_kind whole_kind(const char *ext)
{
    if (listed(ext, " csv tsv tab "))
        return BLOCK_TABLE;
    if (listed(ext,
               " c h cc cpp hpp cs go java js mjs ts tsx jsx py rb rs sh bash pl lua php sql kt "
               "swift r json jsonl yaml yml toml ini cfg conf css scss diff patch cmake mk "))
        return BLOCK_CODE;
    return BLOCK_TEXT;
}

static void read_paragraphs(struct reader *r)
{
    while (r->at < r->in.text.len) {
        struct line l = line_at(r->in.text, r->at);
        if (blank(l.text))
            r->at = l.next;
        else if (!heading(r))
            paragraph(r);
    }
}

enum err_code text_read(const struct source *s, struct doc *d, struct err *err)
{
    struct reader r = {.doc = d};
    enum err_code rc = charset_decode(s->bytes, NULL, s->max_text, &r.in, err);
    if (rc)
        goto done;
    d->mime = whole_kind(s->ext) == BLOCK_TABLE ? "text/csv" : "text/plain";
    if (r.in.guessed)
        doc_warn(d, "charset_guessed", 0, "the text says nowhere how it is encoded; read as %s",
                 r.in.charset);
    if (r.in.invalid)
        doc_warn(d, "invalid_bytes", 0, "%zu bytes are wrong in %s and were replaced", r.in.invalid,
                 r.in.charset);
    enum block_kind kind = whole_kind(s->ext);
    title_from_fields(&r);
    if (kind == BLOCK_TEXT)
        read_paragraphs(&r);
    else if (r.in.text.len)
        put(&r, kind, 0, 0, r.in.text.len);
done:
    charset_deinit(&r.in);
    return rc;
}
