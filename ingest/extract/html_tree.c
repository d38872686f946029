/* ingest/extract/html_tree.c - flattening, and what a visitor never sees. */
#include "ingest/extract/html_tree.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_ 400

const char *html_attr(const GumboNode *g, const char *name)
{
    if (g->type != GUMBO_NODE_ELEMENT)
        return NULL;
    const GumboAttribute *a = gumbo_get_attribute(&g->v.element.attributes, name);
    return a ? a->value : NULL;
}

bool html_is(const struct html_tree *t, uint32_t i, GumboTag tag)
{
    const GumboNode *g = t->nodes[i].g;
    return g->type == GUMBO_NODE_ELEMENT && g->v.element.tag == tag;
}

bool html_is_block(GumboTag tag)
{
    switch (tag) {
    case GUMBO_TAG_ADDRESS: case GUMBO_TAG_ARTICLE: case GUMBO_TAG_ASIDE: case GUMBO_TAG_BLOCKQUOTE:
    case GUMBO_TAG_BODY: case GUMBO_TAG_CENTER: case GUMBO_TAG_DD: case GUMBO_TAG_DETAILS:
    case GUMBO_TAG_DIR: case GUMBO_TAG_DIV: case GUMBO_TAG_DL: case GUMBO_TAG_DT:
    case GUMBO_TAG_FIELDSET: case GUMBO_TAG_FIGCAPTION: case GUMBO_TAG_FIGURE:
    case GUMBO_TAG_FOOTER: case GUMBO_TAG_FORM: case GUMBO_TAG_H1: case GUMBO_TAG_H2:
    case GUMBO_TAG_H3: case GUMBO_TAG_H4: case GUMBO_TAG_H5: case GUMBO_TAG_H6:
    case GUMBO_TAG_HEADER: case GUMBO_TAG_HGROUP: case GUMBO_TAG_HR: case GUMBO_TAG_HTML:
    case GUMBO_TAG_LI: case GUMBO_TAG_MAIN: case GUMBO_TAG_NAV: case GUMBO_TAG_OL:
    case GUMBO_TAG_P: case GUMBO_TAG_PRE: case GUMBO_TAG_SECTION: case GUMBO_TAG_SUMMARY:
    case GUMBO_TAG_TABLE: case GUMBO_TAG_TBODY: case GUMBO_TAG_TD: case GUMBO_TAG_TFOOT:
    case GUMBO_TAG_TH: case GUMBO_TAG_THEAD: case GUMBO_TAG_TR: case GUMBO_TAG_UL:
    case GUMBO_TAG_CAPTION: case GUMBO_TAG_LISTING: case GUMBO_TAG_XMP:
        return true;
    default:
        return false;
    }
}

/* ---- what is never content ---- */

static bool dropped_tag(GumboTag tag)
{
    switch (tag) {
    case GUMBO_TAG_SCRIPT: case GUMBO_TAG_STYLE: case GUMBO_TAG_NOSCRIPT: case GUMBO_TAG_TEMPLATE:
    case GUMBO_TAG_IFRAME: case GUMBO_TAG_OBJECT: case GUMBO_TAG_EMBED: case GUMBO_TAG_SVG:
    case GUMBO_TAG_CANVAS: case GUMBO_TAG_VIDEO: case GUMBO_TAG_AUDIO: case GUMBO_TAG_NAV:
    case GUMBO_TAG_SELECT: case GUMBO_TAG_BUTTON: case GUMBO_TAG_TEXTAREA: case GUMBO_TAG_INPUT:
    case GUMBO_TAG_MENU: case GUMBO_TAG_HEAD: case GUMBO_TAG_DATALIST: case GUMBO_TAG_LINK:
    case GUMBO_TAG_NOFRAMES: case GUMBO_TAG_NOEMBED: case GUMBO_TAG_APPLET: case GUMBO_TAG_MAP:
        return true;
    default:
        return false;
    }
}

/* The style without blanks, in lower case: "display:none;...". */
static bool style_hides(const char *style)
{
    static const char *const HIDES[] = {"display:none", "visibility:hidden", "font-size:0;",
                                        "font-size:0px", "opacity:0;"};
    char s[256];
    size_t n = 0;
    for (; *style && n + 2 < sizeof(s); style++)
        if (!isspace((unsigned char)*style))
            s[n++] = (char)tolower((unsigned char)*style);
    if (n && s[n - 1] != ';')
        s[n++] = ';';
    s[n] = '\0';
    for (size_t i = 0; i < sizeof(HIDES) / sizeof(*HIDES); i++)
        if (strstr(s, HIDES[i]))
            return true;
    return false;
}

static bool role_drops(const char *role)
{
    static const char *const ROLES[] = {"navigation", "banner", "contentinfo", "search", "menu",
                                        "menubar", "complementary", "dialog", "alertdialog",
                                        "toolbar", "tablist"};
    for (size_t i = 0; i < sizeof(ROLES) / sizeof(*ROLES); i++)
        if (!strcasecmp(role, ROLES[i]))
            return true;
    return false;
}

static enum html_why judge(const GumboNode *g)
{
    const char *hidden = html_attr(g, "aria-hidden"), *style = html_attr(g, "style"),
               *role = html_attr(g, "role");
    if (dropped_tag(g->v.element.tag))
        return HTML_DROPPED;
    if (html_attr(g, "hidden") || (hidden && !strcasecmp(hidden, "true")) ||
        (style && style_hides(style)))
        return HTML_HIDDEN;
    return role && role_drops(role) ? HTML_DROPPED : HTML_KEPT;
}

/* ---- what class and id suggest ---- */

static const char *const GOOD[] = {"article", "body", "content", "entry", "main", "page", "post",
                                   "text", "blog", "story", "prose", "markdown"};
static const char *const BAD[] = {
    "banner", "combx", "comment", "contact", "foot", "gdpr", "masthead", "meta", "outbrain",
    "promo", "related", "scroll", "share", "sharing", "shoutbox", "sidebar", "skyscraper",
    "sponsor", "shopping", "tags", "tool", "widget", "newsletter", "cookie", "subscribe", "byline",
    "author", "recommend", "breadcrumb", "caption-credit"};
static const char *const UNLIKELY[] = {
    "banner", "breadcrumb", "combx", "comment", "community", "cover-wrap", "disqus", "extra",
    "footer", "gdpr", "legends", "menu", "related", "remark", "replies", "rss", "shoutbox",
    "sidebar", "skyscraper", "social", "sponsor", "supplemental", "ad-break", "agegate",
    "pagination", "pager", "popup", "navbar", "-ad-", "cookie", "newsletter", "sitenav",
    "toolbar", "masthead", "share", "promo", "editsection", "noprint", "printfooter", "catlinks"};
static const char *const MAYBE[] = {"article", "body",   "column", "content",
                                    "main",    "shadow", "post"};

static bool holds(const char *s, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strstr(s, words[i]))
            return true;
    return false;
}
#define HOLDS(s, words) holds((s), (words), sizeof(words) / sizeof(*(words)))

static void names_of(const GumboNode *g, char out[NAME_MAX_])
{
    const char *parts[2] = {html_attr(g, "class"), html_attr(g, "id")};
    size_t n = 0;
    for (int i = 0; i < 2; i++) {
        for (const char *p = parts[i]; p && *p && n + 2 < NAME_MAX_; p++)
            out[n++] = (char)tolower((unsigned char)*p);
        out[n++] = ' ';
        if (n + 2 >= NAME_MAX_)
            break;
    }
    out[n] = '\0';
}

static void weigh(struct html_node *x)
{
    char names[NAME_MAX_];
    GumboTag tag = x->g->v.element.tag;
    names_of(x->g, names);
    int good = HOLDS(names, GOOD), bad = HOLDS(names, BAD);
    x->weight = (int8_t)(good - bad);
    bool keep = tag == GUMBO_TAG_BODY || tag == GUMBO_TAG_HTML || tag == GUMBO_TAG_A ||
                tag == GUMBO_TAG_ARTICLE || tag == GUMBO_TAG_MAIN;
    if (x->why == HTML_KEPT && !keep && HOLDS(names, UNLIKELY) && !HOLDS(names, MAYBE))
        x->why = HTML_UNLIKELY;
    if (x->why == HTML_KEPT && (tag == GUMBO_TAG_FOOTER || tag == GUMBO_TAG_ASIDE))
        x->why = HTML_UNLIKELY;
}

/* ---- flattening ---- */

static const GumboVector *children(const GumboNode *g)
{
    static const GumboVector NONE;
    if (g->type == GUMBO_NODE_ELEMENT || g->type == GUMBO_NODE_TEMPLATE)
        return &g->v.element.children;
    return g->type == GUMBO_NODE_DOCUMENT ? &g->v.document.children : &NONE;
}

/* The node after g in document order below root; NULL at the end. */
static const GumboNode *after(const GumboNode *g, const GumboNode *root)
{
    if (children(g)->length)
        return children(g)->data[0];
    while (g != root) {
        const GumboVector *around = children(g->parent);
        if (g->index_within_parent + 1 < around->length)
            return around->data[g->index_within_parent + 1];
        g = g->parent;
    }
    return NULL;
}

static uint32_t count_nodes(const GumboNode *root)
{
    uint32_t n = 0;
    for (const GumboNode *g = root; g; g = after(g, root))
        n++;
    return n;
}

static void count_text(struct html_node *x)
{
    for (const char *p = x->g->v.text.text; *p; p++) {
        x->chars += !isspace((unsigned char)*p) && ((unsigned char)*p & 0xC0) != 0x80;
        x->commas += *p == ',' || !strncmp(p, "\xE3\x80\x81", 3) || !strncmp(p, "\xEF\xBC\x8C", 3);
    }
}

static void look(struct html_tree *t, uint32_t i)
{
    struct html_node *x = &t->nodes[i];
    if (x->g->type == GUMBO_NODE_TEXT || x->g->type == GUMBO_NODE_CDATA)
        count_text(x);
    if (x->g->type == GUMBO_NODE_TEMPLATE)
        x->why = HTML_DROPPED;
    if (x->g->type != GUMBO_NODE_ELEMENT)
        return;
    x->why = (uint8_t)judge(x->g);
    if (x->why == HTML_KEPT)
        weigh(x);
    if (x->g->v.element.tag == GUMBO_TAG_BODY && !t->body)
        t->body = i;
}

static bool seen_by_visitors(uint8_t why)
{
    return why != HTML_DROPPED && why != HTML_HIDDEN;
}

/* Children stand behind their parents: one pass from the back sums subtrees. */
static void sum_up(struct html_tree *t)
{
    for (uint32_t i = t->n; i-- > 1;) {
        struct html_node *x = &t->nodes[i], *up = &t->nodes[x->parent];
        GumboTag tag = x->g->type == GUMBO_NODE_ELEMENT ? x->g->v.element.tag : GUMBO_TAG_UNKNOWN;
        if (x->why == HTML_HIDDEN)
            t->hidden_chars += x->chars;
        up->fields += x->fields + (tag == GUMBO_TAG_INPUT);
        if (!seen_by_visitors(x->why))
            continue;
        up->block_inside |= html_is_block(tag) || x->block_inside;
        if (x->why == HTML_UNLIKELY)
            continue;
        up->chars += x->chars;
        up->link_chars += tag == GUMBO_TAG_A ? x->chars : x->link_chars;
        up->commas += x->commas;
        up->paragraphs += x->paragraphs + (tag == GUMBO_TAG_P);
        up->items += x->items + (tag == GUMBO_TAG_LI);
        up->images += x->images + (tag == GUMBO_TAG_IMG);
    }
    t->body_chars = t->nodes[t->body].chars;
}

enum err_code html_tree_build(const GumboNode *root, struct html_tree *out, struct err *err)
{
    *out = (struct html_tree){.n = count_nodes(root)};
    out->nodes = calloc(out->n, sizeof(*out->nodes));
    if (!out->nodes)
        return err_set(err, ERR_NOMEM, "reading it takes more memory than a reader may use");
    uint32_t i = 0, up = 0, depth = 0;
    for (const GumboNode *g = root; g; g = after(g, root), i++, depth++) {
        for (; i && out->nodes[up].g != g->parent; depth--) {
            out->nodes[up].end = i;
            up = out->nodes[up].parent;
        }
        out->depth = depth > out->depth ? depth : out->depth;
        out->nodes[i] = (struct html_node){.g = g, .parent = up, .end = i + 1};
        look(out, i);
        up = i;
    }
    for (; i && up; up = out->nodes[up].parent)
        out->nodes[up].end = i;
    out->nodes[0].end = i;
    sum_up(out);
    return OK;
}

void html_tree_deinit(struct html_tree *t)
{
    free(t->nodes);
    *t = (struct html_tree){0};
}
