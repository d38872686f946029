/* ingest/extract/html.c - a page's content as blocks, by gumbo.
 *
 * html_tree.h decides what is content; this file writes it down: white space as
 * browsers collapse it, list marks, data tables as rows with " | " between
 * cells, preformatted text as it stands. Text nodes point into the source, so
 * blocks know their bytes. */
#include <ctype.h>
#include <gumbo.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/utf8.h"
#include "ingest/extract/charset.h"
#include "ingest/extract/doc.h"
#include "ingest/extract/html_tree.h"

struct writer {
    struct doc *doc;
    struct decoded in;
    struct html_tree tree;
    size_t first, last; /* source of the open block's text, in in.text; first SIZE_MAX: none yet */
    bool space;         /* a blank is due before the next word */
    bool pre;
    uint32_t cell_end; /* while < this node we write a data table's cell */
};

/* ---- text ---- */

static void open_block(struct writer *w, enum block_kind kind, int level)
{
    doc_begin(w->doc, kind, level, 0, SRC_NONE);
    w->first = SIZE_MAX;
    w->space = false;
}

static void close_block(struct writer *w)
{
    if (!w->doc->is_open)
        return;
    bool seen = w->first != SIZE_MAX;
    if (seen)
        w->doc->open.src_start = (uint32_t)charset_source(&w->in, w->first);
    doc_end(w->doc, seen ? charset_source(&w->in, w->last) : SRC_NONE);
}

static void add_collapsed(struct writer *w, const char *p)
{
    while (*p) {
        size_t n = strcspn(p, " \t\n\r\f");
        if (n) {
            size_t have = w->doc->raw.len;
            bool fresh =
                !have || w->doc->raw.ptr[have - 1] == '\n' || w->doc->raw.ptr[have - 1] == ' ';
            if (w->space && !fresh)
                doc_add(w->doc, STR(" "));
            doc_add(w->doc, (struct str){p, n});
            w->space = false;
        }
        p += n;
        size_t blanks = strspn(p, " \t\n\r\f");
        w->space |= blanks > 0;
        p += blanks;
    }
}

static bool blank(const char *p)
{
    return p[strspn(p, " \t\n\r\f")] == '\0';
}

static void add_text(struct writer *w, const GumboText *t)
{
    if (!w->doc->is_open) {
        if (blank(t->text))
            return;
        open_block(w, BLOCK_TEXT, 0);
    }
    const char *src = t->original_text.data;
    if (!blank(t->text) && src >= w->in.text.ptr &&
        src + t->original_text.length <= w->in.text.ptr + w->in.text.len) {
        size_t at = (size_t)(src - w->in.text.ptr);
        size_t end = at + t->original_text.length;
        w->last = w->first == SIZE_MAX || end > w->last ? end : w->last;
        w->first = at < w->first ? at : w->first; /* parsers move what strays into a table */
    }
    if (w->pre)
        doc_add(w->doc, str_of(t->text));
    else
        add_collapsed(w, t->text);
}

/* ---- elements ---- */

static int heading_level(GumboTag tag)
{
    return tag >= GUMBO_TAG_H1 && tag <= GUMBO_TAG_H6 ? (int)(tag - GUMBO_TAG_H1) + 1 : 0;
}

/* "3. " in a numbered list, "- " in any other. */
static void add_mark(struct writer *w, uint32_t i)
{
    const struct html_node *nodes = w->tree.nodes;
    uint32_t list = nodes[i].parent;
    char mark[32] = "- ";
    if (html_is(&w->tree, list, GUMBO_TAG_OL)) {
        const char *start = html_attr(nodes[list].g, "start");
        int64_t n = 1;
        if (start)
            str_int(str_of(start), -1000000, 1000000, &n);
        /* Counting is linear in the list, so only short ones are numbered afresh. */
        const GumboVector *v = &nodes[list].g->v.element.children;
        for (unsigned k = 0; k < nodes[i].g->index_within_parent && k < 10000; k++) {
            const GumboNode *c = v->data[k];
            n += c->type == GUMBO_NODE_ELEMENT && c->v.element.tag == GUMBO_TAG_LI;
        }
        snprintf(mark, sizeof(mark), "%lld. ", (long long)n);
    }
    doc_add(w->doc, str_of(mark));
}

/* A table of data: two rows and two columns at least, none inside another, and
 * no cell that is a page of its own. */
static bool data_table(const struct html_tree *t, uint32_t table)
{
    uint32_t rows = 0, cells = 0;
    const char *role = html_attr(t->nodes[table].g, "role");
    if (role && (!strcasecmp(role, "presentation") || !strcasecmp(role, "none")))
        return false;
    for (uint32_t i = table + 1; i < t->nodes[table].end; i++) {
        if (html_is(t, i, GUMBO_TAG_TABLE))
            return false;
        rows += html_is(t, i, GUMBO_TAG_TR);
        bool cell = html_is(t, i, GUMBO_TAG_TD) || html_is(t, i, GUMBO_TAG_TH);
        cells += cell;
        if (cell && (t->nodes[i].chars > 1500 || t->nodes[i].paragraphs > 3))
            return false;
    }
    return rows >= 2 && cells >= 2 * rows - 1;
}

static enum block_kind kind_around(const struct writer *w, uint32_t i)
{
    for (uint32_t up = w->tree.nodes[i].parent, n = 0; up && n < 32;
         up = w->tree.nodes[up].parent, n++) {
        if (html_is(&w->tree, up, GUMBO_TAG_LI))
            return BLOCK_ITEM;
        if (html_is(&w->tree, up, GUMBO_TAG_BLOCKQUOTE))
            return BLOCK_QUOTE;
    }
    return BLOCK_TEXT;
}

static void enter_in_table(struct writer *w, uint32_t i, GumboTag tag)
{
    size_t n = w->doc->raw.len;
    if (tag == GUMBO_TAG_TR || tag == GUMBO_TAG_CAPTION) {
        if (n && w->doc->raw.ptr[n - 1] != '\n')
            doc_add(w->doc, STR("\n"));
        w->space = false;
    } else if (tag == GUMBO_TAG_TD || tag == GUMBO_TAG_TH) {
        if (n && w->doc->raw.ptr[n - 1] != '\n')
            doc_add(w->doc, STR(" | "));
        w->space = false;
    } else
        w->space = true;
    (void)i;
}

static void enter_block(struct writer *w, uint32_t i, GumboTag tag)
{
    /* <li><p>: the paragraph stays behind its mark. */
    bool only_mark = w->doc->is_open && w->doc->open.kind == BLOCK_ITEM && w->first == SIZE_MAX;
    if (tag == GUMBO_TAG_LI) {
        close_block(w);
        open_block(w, BLOCK_ITEM, 0);
        add_mark(w, i);
    } else if (heading_level(tag)) {
        close_block(w);
        open_block(w, BLOCK_HEADING, heading_level(tag));
    } else if (tag == GUMBO_TAG_PRE || tag == GUMBO_TAG_LISTING || tag == GUMBO_TAG_XMP) {
        close_block(w);
        open_block(w, BLOCK_CODE, 0);
        w->pre = true;
    } else if (tag == GUMBO_TAG_TABLE && data_table(&w->tree, i)) {
        close_block(w);
        open_block(w, BLOCK_TABLE, 0);
        w->cell_end = w->tree.nodes[i].end;
    } else if (!only_mark && !(w->doc->is_open && w->doc->open.kind == BLOCK_HEADING)) {
        close_block(w);
        enum block_kind kind = kind_around(w, i);
        if (kind == BLOCK_TEXT && tag == GUMBO_TAG_BLOCKQUOTE)
            kind = BLOCK_QUOTE;
        open_block(w, kind, 0);
    } else
        w->space = true;
}

static void enter(struct writer *w, uint32_t i)
{
    const GumboNode *g = w->tree.nodes[i].g;
    if (g->type == GUMBO_NODE_TEXT || g->type == GUMBO_NODE_CDATA ||
        g->type == GUMBO_NODE_WHITESPACE) {
        add_text(w, &g->v.text);
        return;
    }
    if (g->type != GUMBO_NODE_ELEMENT)
        return;
    GumboTag tag = g->v.element.tag;
    if (tag == GUMBO_TAG_BR && w->doc->is_open) {
        if (i < w->cell_end || w->doc->open.kind == BLOCK_HEADING)
            w->space = true;
        else {
            doc_add(w->doc, STR("\n"));
            w->space = false;
        }
    } else if (i < w->cell_end && w->doc->is_open)
        enter_in_table(w, i, tag);
    else if (html_is_block(tag))
        enter_block(w, i, tag);
}

static void leave(struct writer *w, uint32_t i)
{
    const GumboNode *g = w->tree.nodes[i].g;
    if (g->type != GUMBO_NODE_ELEMENT || !html_is_block(g->v.element.tag))
        return;
    GumboTag tag = g->v.element.tag;
    if (w->pre && (tag == GUMBO_TAG_PRE || tag == GUMBO_TAG_LISTING || tag == GUMBO_TAG_XMP))
        w->pre = false;
    bool in_heading = w->doc->is_open && w->doc->open.kind == BLOCK_HEADING && !heading_level(tag);
    if (i >= w->cell_end && !in_heading)
        close_block(w);
    if (i < w->cell_end && w->tree.nodes[i].end == w->cell_end && tag == GUMBO_TAG_TABLE) {
        w->cell_end = 0;
        close_block(w);
    }
}

/* Every node of [from, end) that is kept, with its leaving: no recursion, pages
 * nest as deep as their authors like. */
static void write_range(struct writer *w, uint32_t from)
{
    const struct html_node *nodes = w->tree.nodes;
    uint32_t end = nodes[from].end, i = from;
    while (i < end && !w->doc->raw.failed && !w->doc->text.failed) {
        bool skip = nodes[i].why != HTML_KEPT;
        if (!skip)
            enter(w, i);
        uint32_t next = skip ? nodes[i].end : i + 1, up = i;
        for (; nodes[up].end == next; up = nodes[up].parent) {
            if (nodes[up].why == HTML_KEPT)
                leave(w, up);
            if (up == from)
                break;
        }
        i = next;
    }
    close_block(w);
}

static void write_chosen(struct writer *w)
{
    const struct html_tree *t = &w->tree;
    for (uint32_t i = 0; i < t->n;) {
        const struct html_node *x = &t->nodes[i];
        if (x->chosen && x->why == HTML_KEPT)
            write_range(w, i);
        i = x->chosen || x->why != HTML_KEPT ? x->end : i + 1;
    }
}

/* ---- what would take too long ---- */

/* gumbo searches its stack of open elements from the top for some tags, and a
 * tag's attributes from the first for each: work that grows with the square of
 * these. Pages that people write stay far below both. */
#define DEPTH_MAX      5000
#define ATTRIBUTES_MAX 2000

/* Tags that stay open until they are closed, and may stand inside themselves. */
static bool nests(struct str tag)
{
    static const char *const TAGS[] = {
        "div", "span",  "b",      "i",       "u",       "a",          "em",  "strong", "font",
        "big", "small", "center", "section", "article", "blockquote", "ul",  "ol",     "table",
        "s",   "tt",    "code",   "strike",  "dl",      "fieldset",   "nobr"};
    for (size_t i = 0; i < sizeof(TAGS) / sizeof(*TAGS); i++)
        if (str_ieq(tag, str_of(TAGS[i])))
            return true;
    return false;
}

static size_t name_end(struct str s, size_t at)
{
    while (at < s.len && isalnum((unsigned char)s.ptr[at]))
        at++;
    return at;
}

/* A sentence when the page would take too long, else NULL. One pass. */
static const char *too_much(struct str s)
{
    size_t depth = 0, attributes = 0;
    for (size_t at = 0; at < s.len; at++) {
        const char *open = memchr(s.ptr + at, '<', s.len - at);
        if (!open)
            return NULL;
        at = (size_t)(open - s.ptr) + 1;
        bool closing = at < s.len && s.ptr[at] == '/';
        at += closing;
        size_t end = name_end(s, at);
        bool counts = nests(str_sub(s, at, end));
        depth = !counts ? depth : !closing ? depth + 1 : depth ? depth - 1 : 0;
        if (depth > DEPTH_MAX)
            return "the page nests its elements more than 5000 deep";
        for (attributes = 0; end > at && end < s.len && s.ptr[end] != '>' && s.ptr[end] != '<';
             end++)
            attributes +=
                isspace((unsigned char)s.ptr[end]) && !isspace((unsigned char)s.ptr[end - 1]);
        if (attributes > ATTRIBUTES_MAX)
            return "a tag of the page has more than 2000 attributes";
        at = end - 1;
    }
    return NULL;
}

/* ---- the page ---- */

/* charset=... in a <meta> among the first two kilobytes. */
static bool declared_charset(struct str bytes, char out[40])
{
    struct str head = str_sub(bytes, 0, 2048);
    for (size_t i = 0; i + 8 < head.len; i++) {
        if (strncasecmp(head.ptr + i, "charset", 7))
            continue;
        size_t at = i + 7, n = 0;
        while (at < head.len && strchr(" =\"'\t", head.ptr[at]) && head.ptr[at])
            at++;
        while (at < head.len && n < 39 &&
               (isalnum((unsigned char)head.ptr[at]) || strchr("-_:.", head.ptr[at])) &&
               head.ptr[at])
            out[n++] = head.ptr[at++];
        out[n] = '\0';
        return n > 0;
    }
    return false;
}

/* <title>, else og:title. */
static void read_title(struct writer *w)
{
    const struct html_tree *t = &w->tree;
    const char *og = NULL;
    uint32_t end = t->body ? t->body : t->n;
    for (uint32_t i = 0; i < end; i++) {
        if (html_is(t, i, GUMBO_TAG_TITLE) && i + 1 < t->nodes[i].end &&
            t->nodes[i + 1].g->type == GUMBO_NODE_TEXT)
            doc_title(w->doc, str_of(t->nodes[i + 1].g->v.text.text));
        const char *property = html_attr(t->nodes[i].g, "property");
        if (property && !strcmp(property, "og:title"))
            og = html_attr(t->nodes[i].g, "content");
    }
    if (og)
        doc_title(w->doc, str_of(og));
}

static void warn(struct writer *w)
{
    const struct html_tree *t = &w->tree;
    if (w->in.guessed)
        doc_warn(w->doc, "charset_guessed", 0,
                 "the page says nowhere how it is encoded; read as %s", w->in.charset);
    if (t->hidden_chars)
        doc_warn(w->doc, "hidden_text", 0,
                 "%u characters that a visitor of the page does not see were left out",
                 t->hidden_chars);
    uint32_t total = t->body_chars > t->chosen_chars ? t->body_chars : t->chosen_chars;
    if (t->chosen_chars * 2 < total)
        doc_warn(w->doc, "mostly_left_out", 0,
                 "%u %% of the page's words were taken for navigation, comments or advertising",
                 (unsigned)(100 - 100ULL * t->chosen_chars / total));
}

enum err_code html_read(const struct source *s, struct doc *d, struct err *err)
{
    struct writer w = {.doc = d};
    char declared[40];
    bool known = declared_charset(s->bytes, declared);
    enum err_code rc = charset_decode(s->bytes, known ? declared : NULL, s->max_text, &w.in, err);
    if (rc)
        goto done;
    d->mime = "text/html";
    const char *why = too_much(w.in.text);
    if (why) {
        rc = err_set(err, ERR_FORMAT, "%s", why);
        goto done;
    }
    GumboOptions opt = kGumboDefaultOptions;
    opt.max_errors = 0;
    GumboOutput *page = gumbo_parse_with_options(&opt, w.in.text.ptr, w.in.text.len);
    if (!page) {
        rc = err_set(err, ERR_FORMAT, "the page could not be taken apart");
        goto done;
    }
    rc = html_tree_build(page->root, &w.tree, err);
    if (!rc) {
        html_choose(&w.tree);
        read_title(&w);
        write_chosen(&w);
        if (!d->n_blocks) {
            html_choose_all(&w.tree);
            write_chosen(&w);
        }
        warn(&w);
    }
    /* gumbo releases a page by recursion: a deep one goes with the process. */
    if (!rc && w.tree.depth < 5000)
        gumbo_destroy_output(&opt, page);
done:
    html_tree_deinit(&w.tree);
    charset_deinit(&w.in);
    return rc;
}
