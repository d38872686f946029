/* ingest/extract/entity.c - numbers ourselves, names by gumbo's table. */
#include "ingest/extract/entity.h"
#include <gumbo.h>
#include <string.h>
#include "base/utf8.h"

static size_t put(uint32_t cp, char out[8])
{
    if (cp == 0 || cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
        cp = 0xFFFD;
    struct buf b = {0};
    utf8_encode(&b, cp);
    size_t n = b.failed ? 0 : b.len;
    memcpy(out, b.ptr ? b.ptr : "", n);
    buf_free(&b);
    return n;
}

static size_t numeric(struct str e, char out[8])
{
    bool hex = e.len > 3 && (e.ptr[2] == 'x' || e.ptr[2] == 'X');
    uint32_t cp = 0;
    for (size_t i = hex ? 3 : 2; i + 1 < e.len; i++) {
        char c = e.ptr[i];
        int digit = c >= '0' && c <= '9'                 ? c - '0'
                    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                         : 99;
        if (digit >= (hex ? 16 : 10))
            return 0;
        cp = cp > 0x110000 ? cp : cp * (hex ? 16 : 10) + (uint32_t)digit;
    }
    return put(cp, out);
}

/* A page of one entity is the shortest way to the two thousand names gumbo knows. */
static size_t named(struct str e, char out[8])
{
    GumboOutput *page = gumbo_parse_with_options(&kGumboDefaultOptions, e.ptr, e.len);
    if (!page)
        return 0;
    size_t n = 0;
    const GumboNode *html = page->root;
    const GumboNode *body =
        html->v.element.children.length > 1 ? html->v.element.children.data[1] : NULL;
    if (body && body->type == GUMBO_NODE_ELEMENT && body->v.element.children.length == 1) {
        const GumboNode *t = body->v.element.children.data[0];
        size_t len = t->type == GUMBO_NODE_TEXT ? strlen(t->v.text.text) : 8;
        /* "&nothing;" would be read as "&not" and "hing;". */
        if (len < 8 && t->v.text.text[0] != '&' && t->v.text.text[len - 1] != ';') {
            memcpy(out, t->v.text.text, len);
            n = len;
        }
    }
    gumbo_destroy_output(&kGumboDefaultOptions, page);
    return n;
}

size_t entity_decode(struct str e, char out[8])
{
    static const struct {
        const char *name;
        const char *is;
    } COMMON[] = {
        {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&nbsp;", " "},
    };
    if (e.len < 4 || e.len > 40)
        return 0;
    if (e.ptr[1] == '#')
        return numeric(e, out);
    for (size_t i = 0; i < sizeof(COMMON) / sizeof(*COMMON); i++) {
        if (str_eqz(e, COMMON[i].name)) {
            out[0] = COMMON[i].is[0];
            return 1;
        }
    }
    return named(e, out);
}
