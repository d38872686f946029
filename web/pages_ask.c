/* The ask page and the search page. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "base/utf8.h"
#include "web/access.h"
#include "web/pages.h"
#include "web/reply.h"

#define SNIPPET 420              /* bytes of a passage on the search page */
#define NEAREST 3                /* passages under a refusal */

const struct field page_ask_fields[] = {
    {"q", FIELD_TEXT, 0, QUESTION_BYTES_MAX, false, NULL, "the question"},
    {"collection", FIELD_TEXT, 0, 63, false, NULL, NULL},
    {.type = FIELD_END}};

const struct field page_search_query[] = {
    {"q", FIELD_TEXT, 0, QUESTION_BYTES_MAX, false, NULL, "what to look for"},
    {"collection", FIELD_TEXT, 0, 63, false, NULL, NULL},
    {"mode", FIELD_TEXT, 0, 0, false, "hybrid|dense|words", NULL},
    {.type = FIELD_END}};

/* From the form when there is one, else from the address. Empty is absent. */
static struct str given(struct request *r, const char *name)
{
    struct str v = pair_text(r->form, r->n_form, name);
    if (!v.ptr)
        v = pair_text(r->query, r->n_query, name);
    return v.len > 0 ? v : (struct str){NULL, 0};
}

static void question_form(struct request *r, struct str q, const char *collection)
{
    struct buf *b = &r->reply.body;
    buf_puts(b, "<form class=\"ask\" id=\"ask\" method=\"get\" action=\"/\" role=\"search\">"
                "<label class=\"hidden\" for=\"q\">Your question</label>"
                "<textarea id=\"q\" name=\"q\" rows=\"1\" maxlength=\"8000\" required "
                "placeholder=\"Ask your documents a question\" autocomplete=\"off\"");
    buf_puts(b, q.len ? ">" : " autofocus>");
    buf_html(b, q);
    buf_puts(b, "</textarea><div class=\"row\">");
    page_collections(r, collection);
    buf_puts(b, "<button type=\"submit\" class=\"main\">Ask</button></div></form>\n");
}

/* Who will answer, and whether that is on this machine. */
static void standing_generator(struct request *r)
{
    const struct llm *m = r->web->opt.llm;
    struct buf *b = &r->reply.body;
    if (llm_n_models(m) == 0)
        return;
    struct llm_model first = llm_model_at(m, 0);
    buf_puts(b, " Answers are written by ");
    buf_html(b, str_of(first.name));
    buf_puts(b, strcmp(first.kind, "remote") == 0 ? ", on another server." : ".");
}

static void standing(struct request *r)
{
    struct index_counts c;
    struct buf *b = &r->reply.body;
    if (r->who.collection[0] || index_counts(r->web->opt.index, &c, NULL) != OK)
        return;
    long long ready = (long long)c.documents[DOC_READY];
    long long waiting = (long long)(c.documents[DOC_QUEUED] + c.documents[DOC_RUNNING]);
    buf_puts(b, "<p class=\"standing\">");
    if (ready + waiting == 0)
        buf_puts(b, "There is nothing to read yet. <a href=\"/documents\">Add documents</a> "
                    "to begin.");
    else
        buf_printf(b, "<a href=\"/documents\">%lld document%s</a> ready", ready,
                   ready == 1 ? "" : "s");
    if (waiting > 0)
        buf_printf(b, ", %lld still being read", waiting);
    buf_puts(b, ready + waiting == 0 ? "" : ".");
    standing_generator(r);
    buf_puts(b, "</p>\n");
}

static uint32_t span_of(const json_t *o, const char *name)
{
    int64_t v = field_int(json_object_get(o, "span"), name, 0);
    return v < 0 || v > (int64_t)UINT32_MAX ? 0 : (uint32_t)v;
}

/* A source may be cited many times, each time with a span of its own: the k-th
 * mark [n] belongs to the k-th citation of that number, or to its last. */
static const json_t *citation_of(const json_t *list, int64_t n, int k)
{
    const json_t *found = NULL;
    for (size_t i = 0; i < json_array_size(list) && k >= 0; i++)
        if (field_int(json_array_get(list, i), "n", -1) == n) {
            found = json_array_get(list, i);
            k--;
        }
    return found;
}

static void link_of(struct buf *b, const json_t *c)
{
    const char *id = json_string_value(json_object_get(c, "document_id"));
    page_citation_link(b, id ? id : "", span_of(c, "start"), span_of(c, "end"));
}

/* The n of "[n]" at s[at], and the bytes it takes; 0 when there is none. */
static size_t mark_at(struct str s, size_t at, int64_t *n)
{
    size_t i = at + 1;
    *n = 0;
    while (i < s.len && i < at + 5 && s.ptr[i] >= '0' && s.ptr[i] <= '9')
        *n = *n * 10 + (s.ptr[i++] - '0');
    return i > at + 1 && i < s.len && s.ptr[i] == ']' ? i + 1 - at : 0;
}

#define SOURCES_MAX 64

struct prose {                   /* an answer on its way into the page */
    struct buf *b;
    struct str text;
    const json_t *citations;
    int seen[SOURCES_MAX];       /* marks told, by their number */
};

/* text[from, to): escaped, its marks as links. */
static void prose_part(struct prose *p, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        int64_t n;
        size_t len = p->text.ptr[i] == '[' ? mark_at(p->text, i, &n) : 0;
        const json_t *c = len && n < SOURCES_MAX ? citation_of(p->citations, n, p->seen[n]) : NULL;
        if (!c)
            continue;
        p->seen[n]++;
        buf_html(p->b, str_sub(p->text, from, i));
        buf_puts(p->b, "<a class=\"cite\" href=\"");
        link_of(p->b, c);
        buf_printf(p->b, "\" aria-label=\"Source %lld\">%lld</a>", (long long)n, (long long)n);
        from = i + len;
        i = from - 1;
    }
    if (from < to)
        buf_html(p->b, str_sub(p->text, from, to));
}

/* The answer, with what no source supports marked for the eye and for the ear. */
static void answer_text(struct buf *b, const json_t *reply)
{
    struct prose p = {b, field_text(reply, "answer"), json_object_get(reply, "citations"), {0}};
    const json_t *ranges = json_object_get(reply, "unsupported");
    size_t at = 0;
    for (size_t i = 0; i < json_array_size(ranges); i++) {
        const json_t *range = json_array_get(ranges, i);
        size_t start = (size_t)field_int(range, "start", 0);
        size_t end = (size_t)field_int(range, "end", 0);
        if (start < at || end <= start || end > p.text.len)
            continue;
        prose_part(&p, at, start);
        buf_puts(b, "<span class=\"unsure\" title=\"No source supports this\">");
        prose_part(&p, start, end);
        buf_puts(b, "<span class=\"hidden\"> (no source supports this)</span></span>");
        at = end;
    }
    prose_part(&p, at, p.text.len);
}

static void heading_path(struct buf *b, const json_t *heading)
{
    for (size_t i = 0; i < json_array_size(heading); i++) {
        buf_puts(b, i ? " › " : "");
        const json_t *h = json_array_get(heading, i);
        buf_html(b, (struct str){json_string_value(h), json_string_length(h)});
    }
}

/* `page`: the one that the card's head names. */
static void quote(struct buf *b, const json_t *c, struct str text, int64_t page)
{
    size_t cut = text.len > SNIPPET ? utf8_floor(text, SNIPPET) : text.len;
    buf_puts(b, "<blockquote><a href=\"");
    link_of(b, c);
    buf_puts(b, "\">");
    buf_html(b, str_sub(text, 0, cut));
    buf_puts(b, cut < text.len ? " …</a>" : "</a>");
    if (field_int(c, "page", 0) != page)
        buf_printf(b, " <span class=\"meta\">page&nbsp;%lld</span>",
                   (long long)field_int(c, "page", 0));
    buf_puts(b, "</blockquote>");
}

/* A source: where it is, and what is quoted from it: list[at] and all later
 * ones of its number. */
static void card(struct buf *b, const json_t *list, size_t at, const char *text_key)
{
    const json_t *c = json_array_get(list, at), *heading = json_object_get(c, "heading");
    int64_t page = field_int(c, "page", 0), n = field_int(c, "n", 0);
    buf_printf(b, "<li class=\"card\" id=\"c%lld\"><span class=\"n\" aria-hidden=\"true\">%lld"
                  "</span><div><a class=\"where\" href=\"", (long long)n, (long long)n);
    link_of(b, c);
    buf_puts(b, "\">");
    buf_html(b, field_text(c, "document_name"));
    if (page > 0)
        buf_printf(b, ", page&nbsp;%lld", (long long)page);
    buf_puts(b, "</a>");
    if (json_array_size(heading) > 0) {
        buf_puts(b, "<p class=\"meta\">");
        heading_path(b, heading);
        buf_puts(b, "</p>");
    }
    for (size_t i = at; i < json_array_size(list); i++)
        if (field_int(json_array_get(list, i), "n", 0) == n)
            quote(b, json_array_get(list, i), field_text(json_array_get(list, i), text_key), page);
    buf_puts(b, "</div></li>\n");
}

static void cards(struct buf *b, const char *title, const json_t *list, const char *text_key,
                  size_t most)
{
    if (json_array_size(list) == 0)
        return;
    buf_printf(b, "<h2>%s</h2><ol class=\"cards\">\n", title);
    for (size_t i = 0; i < json_array_size(list) && i < most; i++) {
        const json_t *c = json_array_get(list, i);
        if (citation_of(list, field_int(c, "n", 0), 0) == c) /* the first of its number */
            card(b, list, i, text_key);
    }
    buf_puts(b, "</ol>\n");
}

static void degraded(struct buf *b, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *d = json_array_get(list, i);
        buf_puts(b, "<p class=\"note warn\">");
        buf_html(b, (struct str){json_string_value(d), json_string_length(d)});
        buf_puts(b, "</p>\n");
    }
}

/* What a reader must know of the answer as a whole; app.js says the same. */
static void caveats(struct buf *b, const json_t *reply)
{
    struct str grounded = field_text(reply, "grounded"), end = field_text(reply, "finish_reason");
    bool none = str_eqz(grounded, "none");
    bool marked = json_array_size(json_object_get(reply, "unsupported")) > 0;
    if (none && !str_eqz(end, "refused"))
        buf_puts(b, "<p class=\"note warn\">No source supports this answer.</p>\n");
    else if (str_eqz(grounded, "partial"))
        buf_puts(b, marked ? "<p class=\"note warn\">No source supports what is underlined with "
                             "dots.</p>\n"
                           : "<p class=\"note warn\">Not every sentence has a source.</p>\n");
    if (str_eqz(end, "length"))
        buf_puts(b, "<p class=\"note warn\">The answer was cut off at its greatest length.</p>\n");
}

static void author(struct buf *b, const json_t *reply)
{
    struct str model = field_text(reply, "model");
    if (str_eqz(field_text(reply, "finish_reason"), "refused"))
        return;
    buf_puts(b, "<p class=\"meta author\">");
    if (str_eqz(model, "extractive")) {
        buf_puts(b, "Word for word from the documents");
    } else {
        buf_puts(b, "Written by ");
        buf_html(b, model);
    }
    buf_puts(b, "</p>\n");
}

static void whole_answer(struct buf *b, const json_t *reply)
{
    bool none = str_eqz(field_text(reply, "grounded"), "none");
    bool refused = str_eqz(field_text(reply, "finish_reason"), "refused");
    buf_printf(b, "<section class=\"answer%s\" id=\"answer\" aria-label=\"Answer\"><div "
                  "class=\"prose\">", refused ? " refused" : "");
    answer_text(b, reply);
    buf_puts(b, "</div>\n");
    author(b, reply);
    caveats(b, reply);
    degraded(b, json_object_get(reply, "degraded"));
    cards(b, "Sources", json_object_get(reply, "citations"), "quote", SIZE_MAX);
    if (none)
        cards(b, "Nearest passages", json_object_get(reply, "nearest"), "text", NEAREST);
    buf_puts(b, "</section>\n");
}

static void count_answer(struct request *r, const json_t *reply)
{
    struct str g = field_text(reply, "grounded");
    metrics_answer(r->web->metrics, str_eqz(g, "full") ? ANSWER_FULL
                   : str_eqz(g, "partial") ? ANSWER_PARTIAL : ANSWER_NONE, -1);
}

enum err_code page_ask(struct request *r, struct err *err)
{
    struct buf *b = &r->reply.body;
    struct str q = given(r, "q"), trimmed = str_trim(q);
    const char *collection;
    json_t *reply = NULL;
    enum err_code rc = access_collection(r, given(r, "collection"), &collection, err);
    if (!rc && trimmed.len > 0) {
        struct ask_request ask = {
            .question = trimmed,
            .collection = collection,
            .sampling.temperature = llm_temperature(r->web->opt.llm),
        };
        rc = query_ask(r->web->opt.query, &ask, NULL, &r->stop, &reply, err);
    }
    if (rc)
        return rc;
    page_open(r, trimmed.len ? "Answer" : "Ask", "ask");
    buf_puts(b, trimmed.len ? "<h1 class=\"hidden\">Answer</h1>\n"
                            : "<h1 class=\"hero\">What would you like to know?</h1>\n");
    question_form(r, trimmed, collection);
    if (reply)
        whole_answer(b, reply);
    else
        standing(r);
    if (reply)
        count_answer(r, reply);
    json_decref(reply);
    page_close(r, 200);
    return OK;
}

static void search_form(struct request *r, struct str q, const char *collection, struct str mode)
{
    static const char *const modes[][2] = {
        {"hybrid", "meaning and words"}, {"dense", "meaning"}, {"words", "words"}};
    struct buf *b = &r->reply.body;
    buf_puts(b, "<form class=\"ask\" method=\"get\" action=\"/search\" role=\"search\">"
                "<label class=\"hidden\" for=\"q\">Search for</label>"
                "<input id=\"q\" name=\"q\" type=\"search\" maxlength=\"8000\" required "
                "placeholder=\"Find passages\" value=\"");
    buf_html(b, q);
    buf_puts(b, "\"><div class=\"row\"><label class=\"inline\">by <select name=\"mode\" "
                "aria-label=\"Search by\">");
    for (int i = 0; i < 3; i++)
        buf_printf(b, "<option value=\"%s\"%s>%s</option>", modes[i][0],
                   str_eqz(mode, modes[i][0]) ? " selected" : "", modes[i][1]);
    buf_puts(b, "</select></label>");
    page_collections(r, collection);
    buf_puts(b, "<button type=\"submit\" class=\"main\">Search</button></div></form>\n");
}

static void search_hits(struct request *r, const struct search_request *q,
                        const struct search_result *found)
{
    struct buf *b = &r->reply.body;
    json_t *o = query_search_json(q, found);
    const json_t *hits = json_object_get(o, "hits");
    degraded(b, json_object_get(o, "degraded"));
    buf_printf(b, "<p class=\"standing\" role=\"status\">%zu passage%s in %.0f ms</p>",
               json_array_size(hits), json_array_size(hits) == 1 ? "" : "s", found->ms.total_ms);
    cards(b, "Passages", hits, "text", SIZE_MAX);
    json_decref(o);
}

enum err_code page_search(struct request *r, struct err *err)
{
    struct str q = str_trim(given(r, "q")), mode = given(r, "mode");
    struct search_request req = {.query = q, .top_k = 20};
    struct search_result found = {0};
    enum err_code rc = access_collection(r, given(r, "collection"), &req.collection, err);
    if (!rc && mode.ptr)
        rc = search_mode_parse(mode, &req.mode, err);
    if (!rc && q.len > 0)
        rc = query_search(r->web->opt.query, &req, &r->arena, &found, err);
    if (rc)
        return rc;
    page_open(r, "Search", "search");
    buf_puts(&r->reply.body, q.len ? "<h1 class=\"hidden\">Search</h1>\n"
                                   : "<h1 class=\"hero\">Find a passage</h1>\n");
    search_form(r, q, req.collection, mode);
    if (q.len > 0) {
        metrics_search(r->web->metrics, &found.ms, found.n_hits);
        search_hits(r, &req, &found);
    }
    page_close(r, 200);
    return OK;
}
