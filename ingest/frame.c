/* ingest/frame.c - writing and distrustful reading of extraction results. */
#include "ingest/frame.h"
#include <string.h>
#include "base/utf8.h"

static const char MAGIC[4] = {'C', 'X', 'R', '1'};
#define HEAD 12 /* tag and length */

static void put_le(struct buf *b, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        buf_char(b, (char)(v >> (8 * i)));
}

static uint64_t take_le(const char *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v |= (uint64_t)(unsigned char)p[i] << (8 * i);
    return v;
}

void frame_begin(struct buf *b)
{
    buf_add(b, MAGIC, sizeof(MAGIC));
}

void frame_put(struct buf *b, const char tag[4], struct str payload)
{
    buf_add(b, tag, 4);
    put_le(b, payload.len, 8);
    buf_str(b, payload);
}

void frame_warning(struct buf *b, const struct warning *w)
{
    size_t code = strlen(w->code), message = strlen(w->message);
    buf_add(b, "WARN", 4);
    put_le(b, 4 + 1 + code + message, 8);
    put_le(b, w->page, 4);
    put_le(b, code, 1);
    buf_add(b, w->code, code);
    buf_add(b, w->message, message);
}

void frame_end(struct buf *b)
{
    frame_put(b, "DONE", STR(""));
}

/* ---- reading ---- */

enum tag { TAG_FAIL, TAG_MIME, TAG_TITL, TAG_TEXT, TAG_LAYO, TAG_DONE, TAG_WARN, TAGS };
static const char NAMES[TAGS][5] = {"FAIL", "MIME", "TITL", "TEXT", "LAYO", "DONE", "WARN"};

struct parts {
    struct str of[TAGS]; /* ptr NULL: not there; WARN: the last one */
    struct warning *warnings;
    int n_warnings;
};

static int tag_of(const char *p)
{
    for (int t = 0; t < TAGS; t++)
        if (!memcmp(p, NAMES[t], 4))
            return t;
    return -1;
}

/* Copy at most cap - 1 bytes of s: valid UTF-8, controls turned to spaces. */
static void copy_line(struct str s, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t at = 0; at < s.len;) {
        uint32_t cp;
        int len = utf8_decode(s, at, &cp);
        bool bad =
            (cp == 0xFFFD && len == 1) || utf8_is_control(cp) || cp == 0x2028 || cp == 0x2029;
        size_t step = bad ? 1 : (size_t)len;
        if (n + step >= cap)
            break;
        if (bad)
            out[n] = ' ';
        else
            memcpy(out + n, s.ptr + at, step);
        n += step;
        at += (size_t)len;
    }
    out[n] = '\0';
}

static bool take_warning(struct str p, struct parts *parts)
{
    if (p.len < 5)
        return false;
    size_t code = (unsigned char)p.ptr[4];
    if (code > p.len - 5)
        return false;
    if (parts->n_warnings == FRAME_WARNINGS_MAX)
        return true;
    struct warning *w = &parts->warnings[parts->n_warnings++];
    w->page = (uint32_t)take_le(p.ptr, 4);
    copy_line((struct str){p.ptr + 5, code}, w->code, sizeof(w->code));
    copy_line(str_sub(p, 5 + code, p.len), w->message, sizeof(w->message));
    return true;
}

/* Cut the bytes into frames; a sentence when they do not fit together. */
static const char *split(struct str bytes, struct parts *parts)
{
    if (bytes.len < sizeof(MAGIC) || memcmp(bytes.ptr, MAGIC, sizeof(MAGIC)))
        return "no result";
    size_t at = sizeof(MAGIC);
    while (!parts->of[TAG_DONE].ptr) {
        if (bytes.len - at < HEAD)
            return "the result ends early";
        int tag = tag_of(bytes.ptr + at);
        uint64_t len = take_le(bytes.ptr + at + 4, 8);
        at += HEAD;
        if (tag < 0)
            return "a frame of an unknown kind";
        if (len > bytes.len - at)
            return "a frame longer than the result";
        if (tag != TAG_WARN && parts->of[tag].ptr)
            return "a frame that came twice";
        parts->of[tag] = (struct str){bytes.ptr + at, (size_t)len};
        if (tag == TAG_WARN && !take_warning(parts->of[tag], parts))
            return "a broken warning";
        at += (size_t)len;
    }
    return at == bytes.len ? NULL : "bytes behind the result";
}

static bool boundary(struct str text, uint32_t at)
{
    return at >= text.len || ((unsigned char)text.ptr[at] & 0xC0) != 0x80;
}

/* layout_decode has checked order and bounds; it does not see the text. */
static const char *check_layout(const struct layout *l, struct str text, size_t src_size)
{
    for (size_t i = 0; i < l->n_blocks; i++) {
        const struct block *b = &l->blocks[i];
        if (!boundary(text, b->start) || !boundary(text, b->end))
            return "a block that cuts a character";
        if (b->src_start != SRC_NONE && (b->src_start > b->src_end || b->src_end > src_size))
            return "a block from outside the file";
    }
    for (size_t i = 0; i < l->n_pages; i++)
        if (!boundary(text, l->pages[i].start) || !boundary(text, l->pages[i].end))
            return "a page that cuts a character";
    for (size_t i = 0; i < l->n_places; i++)
        if (!boundary(text, l->places[i].start) || !boundary(text, l->places[i].end))
            return "a word that cuts a character";
    return NULL;
}

static enum err_code copy_out(const struct parts *parts, size_t src_size, struct arena *a,
                              struct extracted *out, struct err *err)
{
    struct str text = parts->of[TAG_TEXT];
    if (!text.ptr || !parts->of[TAG_LAYO].ptr)
        return err_set(err, ERR_FORMAT, "a result without text or layout");
    if (text.len >= UINT32_MAX || !utf8_valid(text) || memchr(text.ptr, '\0', text.len))
        return err_set(err, ERR_FORMAT, "text that is not UTF-8");
    char title[FRAME_TITLE_MAX + 1], mime[128];
    copy_line(parts->of[TAG_TITL], title, sizeof(title));
    copy_line(parts->of[TAG_MIME], mime, sizeof(mime));
    *out = (struct extracted){.warnings = parts->warnings, .n_warnings = parts->n_warnings};
    out->text = (struct str){arena_strz(a, text), text.len};
    out->title = arena_strz(a, str_trim(str_of(title)));
    out->mime = arena_strz(a, str_of(mime));
    if (!out->text.ptr || !out->title || !out->mime)
        return err_set(err, ERR_NOMEM, "a document's text");
    enum err_code rc = layout_decode(parts->of[TAG_LAYO], text.len, a, &out->layout, err);
    if (rc)
        return rc;
    const char *wrong = check_layout(&out->layout, text, src_size);
    return wrong ? err_set(err, ERR_FORMAT, "%s", wrong) : OK;
}

enum err_code frame_read(struct str bytes, size_t src_size, struct arena *a, struct extracted *out,
                         bool *broken, struct err *err)
{
    struct parts parts = {.warnings = arena_alloc(a, FRAME_WARNINGS_MAX, sizeof(struct warning))};
    *broken = false;
    if (!parts.warnings)
        return err_set(err, ERR_NOMEM, "a document's warnings");
    const char *wrong = split(bytes, &parts);
    if (wrong) {
        *broken = true;
        return err_set(err, ERR_FORMAT, "%s", wrong);
    }
    if (parts.of[TAG_FAIL].ptr) {
        char reason[200];
        copy_line(parts.of[TAG_FAIL], reason, sizeof(reason));
        return err_set(err, ERR_FORMAT, "%s", reason);
    }
    enum err_code rc = copy_out(&parts, src_size, a, out, err);
    *broken = rc == ERR_FORMAT;
    return rc;
}
