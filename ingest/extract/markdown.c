/* ingest/extract/markdown.c - CommonMark with GitHub's tables, by md4c.
 *
 * md4c hands out text as pointers into its input, so every block knows its
 * bytes. Markup is dropped, text kept: a link is its words, an image its
 * alternative text, a table a row per line with " | " between cells. YAML front
 * matter stays as the text it is and gives the title. */
#include <ctype.h>
#include <md4c.h>
#include <stdio.h>
#include <string.h>
#include "base/utf8.h"
#include "ingest/extract/charset.h"
#include "ingest/extract/doc.h"
#include "ingest/extract/entity.h"

struct reader {
    struct doc *doc;
    struct decoded in;
    struct str md;                         /* behind the front matter */
    size_t src_last;                       /* end of the source seen in the open block */
    int quote, list, code, table, heading; /* depths, and heading's level */
    bool first_cell, in_html_tag;
    int numbers[32]; /* of the items of open lists; 0: bullets */
};

static size_t source_of(const struct reader *r, const char *p)
{
    return charset_source(&r->in, (size_t)(p - r->in.text.ptr));
}

static bool inside(const struct reader *r, const char *p, size_t n)
{
    return p >= r->in.text.ptr && p + n <= r->in.text.ptr + r->in.text.len;
}

static void add(struct reader *r, const char *p, size_t n)
{
    if (inside(r, p, n)) {
        if (r->doc->is_open && r->doc->open.src_start == SRC_NONE)
            r->doc->open.src_start = (uint32_t)source_of(r, p);
        r->src_last = (size_t)(p + n - r->in.text.ptr);
    }
    doc_add(r->doc, (struct str){p, n});
}

static void begin(struct reader *r, enum block_kind kind, int level)
{
    doc_begin(r->doc, kind, level, 0, SRC_NONE);
    r->src_last = 0;
}

static void end(struct reader *r)
{
    doc_end(r->doc, r->src_last ? charset_source(&r->in, r->src_last) : SRC_NONE);
}

static void close_open(struct reader *r)
{
    if (r->doc->is_open)
        end(r);
}

static enum block_kind kind_here(const struct reader *r)
{
    return r->list ? BLOCK_ITEM : r->quote ? BLOCK_QUOTE : BLOCK_TEXT;
}

/* The item's mark: text, so that numbered steps keep their numbers. */
static void begin_item(struct reader *r, const MD_BLOCK_LI_DETAIL *li)
{
    close_open(r);
    begin(r, BLOCK_ITEM, 0);
    int depth = r->list < 32 ? r->list - 1 : 31;
    char mark[48];
    int n = r->numbers[depth] ? snprintf(mark, sizeof(mark), "%d. ", r->numbers[depth]++)
                              : snprintf(mark, sizeof(mark), "- ");
    doc_add(r->doc, (struct str){mark, (size_t)n});
    if (li->is_task)
        doc_add(r->doc, li->task_mark == ' ' ? STR("[ ] ") : STR("[x] "));
}

static int enter_block(MD_BLOCKTYPE type, void *detail, void *arg)
{
    struct reader *r = arg;
    switch (type) {
    case MD_BLOCK_QUOTE:
        close_open(r);
        r->quote++;
        break;
    case MD_BLOCK_UL:
    case MD_BLOCK_OL:
        close_open(r);
        if (r->list++ < 32)
            r->numbers[r->list - 1] =
                type == MD_BLOCK_OL ? (int)((MD_BLOCK_OL_DETAIL *)detail)->start : 0;
        break;
    case MD_BLOCK_LI:
        begin_item(r, detail);
        break;
    case MD_BLOCK_H:
        close_open(r);
        begin(r, BLOCK_HEADING, (int)((MD_BLOCK_H_DETAIL *)detail)->level);
        break;
    case MD_BLOCK_CODE:
        close_open(r);
        begin(r, BLOCK_CODE, 0);
        r->code++;
        break;
    case MD_BLOCK_P:
        if (!r->doc->is_open || r->src_last) /* a loose item's first paragraph follows its mark */
            begin(r, kind_here(r), 0);
        break;
    case MD_BLOCK_HTML:
        close_open(r);
        begin(r, kind_here(r), 0);
        r->in_html_tag = false;
        break;
    case MD_BLOCK_TABLE:
        close_open(r);
        begin(r, BLOCK_TABLE, 0);
        r->table++;
        break;
    case MD_BLOCK_TR:
        r->first_cell = true;
        break;
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
        if (!r->first_cell)
            doc_add(r->doc, STR(" | "));
        r->first_cell = false;
        break;
    default:
        break;
    }
    return r->doc->raw.failed;
}

static int leave_block(MD_BLOCKTYPE type, void *detail, void *arg)
{
    struct reader *r = arg;
    (void)detail;
    switch (type) {
    case MD_BLOCK_QUOTE:
        close_open(r);
        r->quote--;
        break;
    case MD_BLOCK_UL:
    case MD_BLOCK_OL:
        close_open(r);
        r->list--;
        break;
    case MD_BLOCK_TR:
        doc_add(r->doc, STR("\n"));
        break;
    case MD_BLOCK_TABLE:
        r->table--;
        end(r);
        break;
    case MD_BLOCK_CODE:
        r->code--;
        end(r);
        break;
    case MD_BLOCK_H:
    case MD_BLOCK_P:
    case MD_BLOCK_HTML:
    case MD_BLOCK_LI:
        close_open(r);
        break;
    default:
        break;
    }
    return r->doc->raw.failed || r->doc->text.failed;
}

static int span(MD_SPANTYPE type, void *detail, void *arg)
{
    (void)type, (void)detail, (void)arg;
    return 0;
}

/* Text between tags; what stands inside <...> is markup. */
static void add_html(struct reader *r, const char *p, size_t n)
{
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        if (!r->in_html_tag && p[i] == '<') {
            add(r, p + from, i - from);
            r->in_html_tag = true;
        } else if (r->in_html_tag && p[i] == '>') {
            r->in_html_tag = false;
            from = i + 1;
        }
    }
    if (!r->in_html_tag)
        add(r, p + from, n - from);
}

static int text(MD_TEXTTYPE type, const MD_CHAR *p, MD_SIZE n, void *arg)
{
    struct reader *r = arg;
    if (!r->doc->is_open)
        begin(r, kind_here(r), 0);
    char utf8[8];
    switch (type) {
    case MD_TEXT_NULLCHAR:
        break;
    case MD_TEXT_BR:
        doc_add(r->doc, r->table ? STR(" ") : STR("\n"));
        break;
    case MD_TEXT_SOFTBR:
        doc_add(r->doc, STR(" "));
        break;
    case MD_TEXT_ENTITY: {
        size_t len = entity_decode((struct str){p, n}, utf8);
        if (len && inside(r, p, n)) {
            add(r, p, 0);
            r->src_last = (size_t)(p + n - r->in.text.ptr);
            doc_add(r->doc, (struct str){utf8, len});
        } else
            add(r, p, n);
        break;
    }
    case MD_TEXT_HTML:
        add_html(r, p, n);
        break;
    default:
        add(r, p, n);
    }
    return r->doc->raw.failed;
}

/* ---- front matter ---- */

/* "---" lines around "key: value" lines at the very start (Jekyll, Hugo). */
static size_t front_matter(struct str s)
{
    if (!str_starts(s, STR("---\n")) && !str_starts(s, STR("---\r\n")))
        return 0;
    size_t at = str_find(s, STR("\n---"), 3);
    if (at == SIZE_MAX || at > 65536)
        return 0;
    size_t end = str_find(s, STR("\n"), at + 1);
    return end == SIZE_MAX ? s.len : end + 1;
}

static void read_front_matter(struct reader *r, size_t len)
{
    struct str rest = str_sub(r->in.text, 0, len), line;
    while (str_split(&rest, '\n', &line)) {
        if (!str_starts(line, STR("title:")))
            continue;
        struct str v = str_trim(str_sub(line, 6, line.len));
        if (v.len >= 2 && (v.ptr[0] == '"' || v.ptr[0] == '\'') && v.ptr[v.len - 1] == v.ptr[0])
            v = str_sub(v, 1, v.len - 1);
        doc_title(r->doc, v);
    }
    struct str body = str_sub(r->in.text, 4, len);
    size_t fence = str_find(body, STR("\n---"), 0);
    body = str_sub(body, 0, fence == SIZE_MAX ? 0 : fence);
    begin(r, BLOCK_TEXT, 0);
    add(r, body.ptr, body.len);
    end(r);
}

enum err_code markdown_read(const struct source *s, struct doc *d, struct err *err)
{
    struct reader r = {.doc = d};
    enum err_code rc = charset_decode(s->bytes, NULL, s->max_text, &r.in, err);
    if (rc)
        goto done;
    d->mime = "text/markdown";
    if (r.in.guessed)
        doc_warn(d, "charset_guessed", 0, "the text says nowhere how it is encoded; read as %s",
                 r.in.charset);
    size_t front = front_matter(r.in.text);
    if (front)
        read_front_matter(&r, front);
    r.md = str_sub(r.in.text, front, r.in.text.len);
    MD_PARSER parser = {.flags = MD_DIALECT_GITHUB,
                        .enter_block = enter_block,
                        .leave_block = leave_block,
                        .enter_span = span,
                        .leave_span = span,
                        .text = text};
    if (r.md.len >= UINT32_MAX)
        rc = err_set(err, ERR_LIMIT, "Markdown of more than 4 GiB");
    else if (md_parse(r.md.ptr, (MD_SIZE)r.md.len, &parser, &r) < 0)
        rc = err_set(err, ERR_NOMEM, "reading it takes more memory than a reader may use");
    close_open(&r);
done:
    charset_deinit(&r.in);
    return rc;
}
