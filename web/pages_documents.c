/* The documents page: upload, what is being read, what failed and why, delete. */
#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "index/jobs.h"
#include "web/access.h"
#include "web/pages.h"
#include "web/reply.h"

#define LISTED 50

const struct field page_documents_query[] = {
    {"collection", FIELD_TEXT, 0, 63, false, NULL, NULL},
    {"state", FIELD_TEXT, 0, 0, false, "|queued|running|ready|failed", NULL},
    {"cursor", FIELD_TEXT, 0, 20, false, NULL, NULL},
    {.type = FIELD_END}};

static void upload_form(struct request *r)
{
    struct buf *b = &r->reply.body;
    buf_puts(b, "<form class=\"drop\" id=\"upload\" method=\"post\" action=\"/v1/documents\" "
                "enctype=\"multipart/form-data\" data-max=\"");
    buf_printf(b, "%zu", r->web->opt.max_upload_bytes);
    buf_puts(b, "\"><p class=\"big\"><label for=\"file\">Choose files</label><span class=\"js\"> "
                "or drop them here</span></p>"
                "<input id=\"file\" type=\"file\" name=\"file\" multiple required>"
                "<p class=\"meta\">PDF, Markdown, HTML and plain text, up to ");
    page_bytes(b, (int64_t)r->web->opt.max_upload_bytes);
    buf_puts(b, " each.</p><div class=\"row\">");
    if (!r->who.collection[0])
        buf_puts(b, "<label class=\"inline\">Collection <input name=\"collection\" "
                    "placeholder=\"default\" maxlength=\"63\" pattern=\"[A-Za-z0-9._\\-]+\" "
                    "autocomplete=\"off\"></label>");
    buf_puts(b, "<button type=\"submit\" class=\"main\">Add</button></div>"
                "<ul class=\"progress\" id=\"uploads\" aria-live=\"polite\"></ul></form>\n");
}

static void facts(struct request *r, const struct document *d)
{
    struct buf *b = &r->reply.body;
    buf_puts(b, "<p class=\"meta\">");
    page_bytes(b, d->size_bytes);
    if (d->pages > 0)
        buf_printf(b, " · %d page%s", d->pages, d->pages == 1 ? "" : "s");
    if (d->state == DOC_READY)
        buf_printf(b, " · %d passage%s", d->chunks, d->chunks == 1 ? "" : "s");
    if (strcmp(d->collection, "default") != 0) {
        buf_puts(b, " · ");
        buf_html(b, str_of(d->collection));
    }
    buf_printf(b, " · <time datetime=\"%s\">%.10s</time></p>", request_time(r, d->created_ms),
               request_time(r, d->created_ms));
}

static const char *state_words(enum document_state s)
{
    static const char *const words[DOC_STATES] = {"waiting", "being read", "ready", "failed"};
    return words[s];
}

static void progress(struct buf *b, const struct document *d)
{
    if (d->state != DOC_RUNNING)
        return;
    buf_puts(b, "<p class=\"meta\">");
    buf_html(b, str_of(d->stage ? d->stage : ""));
    if (d->total > 0)
        buf_printf(b, " <progress max=\"%lld\" value=\"%lld\" aria-label=\"Progress\"></progress>",
                   (long long)d->total, (long long)d->done);
    buf_puts(b, "</p>");
}

/* The first that tells of something missing; notes stand on the document's page. */
static void warnings(struct buf *b, const struct document *d)
{
    json_t *list = NULL;
    if (!d->warnings || json_read(str_of(d->warnings), &list, NULL) != OK)
        return;
    const json_t *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *w = json_array_get(list, i);
        if (page_is_note(w))
            continue;
        first = n++ ? first : w;
    }
    if (first) {
        buf_puts(b, "<p class=\"note warn\">");
        buf_html(b, field_text(first, "message"));
        if (n > 1)
            buf_printf(b, ", and %zu more", n - 1);
        buf_puts(b, "</p>");
    }
    json_decref(list);
}

static void row(struct request *r, const struct document *d)
{
    struct buf *b = &r->reply.body;
    buf_printf(b, "<li class=\"doc\" data-id=\"%s\" data-state=\"%s\"><div class=\"what\">", d->id,
               document_state_name(d->state));
    if (d->state == DOC_READY)
        buf_printf(b, "<a class=\"name\" href=\"/documents/%s\">", d->id);
    else
        buf_puts(b, "<span class=\"name\">");
    buf_html(b, str_of(d->name));
    buf_puts(b, d->state == DOC_READY ? "</a>" : "</span>");
    facts(r, d);
    progress(b, d);
    if (d->state == DOC_FAILED) {
        buf_puts(b, "<p class=\"note bad\">");
        buf_html(b, str_of(d->error && d->error[0] ? d->error : "it could not be read"));
        buf_puts(b, "</p>");
    }
    warnings(b, d);
    buf_printf(b, "</div><span class=\"state %s\">%s</span><span class=\"acts\">",
               document_state_name(d->state), state_words(d->state));
    if (d->state == DOC_FAILED)
        buf_printf(b, "<form method=\"post\" action=\"/documents/%s/retry\"><button "
                      "class=\"quiet\">Try again</button></form>", d->id);
    buf_printf(b, "<a class=\"quiet delete\" href=\"/documents/%s/delete\">Delete<span "
                  "class=\"hidden\"> ", d->id);
    buf_html(b, str_of(d->name));
    buf_puts(b, "</span></a></span></li>\n");
}

static void filter_form(struct request *r, const char *collection, int state)
{
    struct buf *b = &r->reply.body;
    buf_puts(b, "<form class=\"filter\" method=\"get\" action=\"/documents\"><label "
                "class=\"inline\">State <select name=\"state\"><option "
                "value=\"\">all</option>");
    for (int s = 0; s < DOC_STATES; s++)
        buf_printf(b, "<option value=\"%s\"%s>%s</option>",
                   document_state_name((enum document_state)s), s == state ? " selected" : "",
                   state_words((enum document_state)s));
    buf_puts(b, "</select></label>");
    page_collections(r, collection ? collection : "");
    buf_puts(b, "<button class=\"quiet\">Show</button></form>\n");
}

static void list(struct request *r, const struct document_filter *f, const struct document *docs,
                 int n, int64_t next)
{
    struct buf *b = &r->reply.body;
    bool moving = false;
    for (int i = 0; i < n; i++)
        moving = moving || docs[i].state == DOC_QUEUED || docs[i].state == DOC_RUNNING;
    buf_puts(b, "<section id=\"list\" aria-labelledby=\"list-title\"><div class=\"row\">"
                "<h2 id=\"list-title\">In the box</h2>");
    filter_form(r, f->collection, f->state);
    buf_puts(b, "</div>\n");
    if (moving) /* without JavaScript the page looks again by itself */
        buf_puts(b, "<noscript><p class=\"meta\"><a href=\"/documents#list\">Look again</a> to see "
                    "how far reading has come.</p></noscript>");
    if (n == 0)
        buf_puts(b, "<p class=\"standing\">No documents here yet.</p>");
    buf_puts(b, "<ul class=\"docs\" id=\"docs\">\n");
    for (int i = 0; i < n; i++)
        row(r, &docs[i]);
    buf_puts(b, "</ul>\n");
    if (next) {
        buf_printf(b, "<p><a href=\"/documents?cursor=%lld", (long long)next);
        if (f->state >= 0)
            buf_printf(b, "&amp;state=%s", document_state_name((enum document_state)f->state));
        if (f->collection) {
            buf_puts(b, "&amp;collection=");
            buf_url(b, str_of(f->collection));
        }
        buf_puts(b, "#list\">Older documents</a></p>\n");
    }
    buf_puts(b, "</section>\n");
}

static struct str given(struct request *r, const char *name)
{
    struct str v = pair_text(r->query, r->n_query, name);
    return v.len > 0 ? v : (struct str){NULL, 0};
}

enum err_code page_documents(struct request *r, struct err *err)
{
    struct document_filter f = {.state = -1, .limit = LISTED};
    struct document *docs;
    struct str state = given(r, "state"), collection = given(r, "collection");
    int n;
    int64_t next = 0;
    enum err_code rc = OK;
    for (int s = 0; s < DOC_STATES && state.ptr; s++)
        if (str_eqz(state, document_state_name((enum document_state)s)))
            f.state = s;
    if (given(r, "cursor").ptr && !str_int(given(r, "cursor"), 1, INT64_MAX, &f.cursor))
        return err_set(err, ERR_ARG, "cursor is not one of ours");
    if (collection.ptr || r->who.collection[0])
        rc = access_collection(r, collection, &f.collection, err);
    if (!rc)
        rc = index_documents(r->web->opt.index, &f, &r->arena, &docs, &n, &next, err);
    if (rc)
        return rc;
    page_open(r, "Documents", "documents");
    buf_puts(&r->reply.body, "<h1>Documents</h1>\n");
    upload_form(r);
    list(r, &f, docs, n, next);
    page_close(r, 200);
    return OK;
}

enum err_code page_delete(struct request *r, struct err *err)
{
    struct document d;
    struct buf *b = &r->reply.body;
    enum err_code rc = access_document(r, r->params[0], &d, err);
    if (rc)
        return rc;
    page_open(r, "Delete", "documents");
    buf_puts(b, "<section class=\"failure\"><h1>Delete this document?</h1><p class=\"name\">");
    buf_html(b, str_of(d.name));
    buf_printf(b, "</p><p>Its text, its passages and every kept answer that cites it go with it. "
                  "This cannot be undone.</p><form method=\"post\" "
                  "action=\"/documents/%s/delete\" class=\"row\"><button class=\"main bad\">Delete"
                  "</button><a class=\"quiet\" href=\"/documents#list\">Keep it</a></form>"
                  "</section>\n", d.id);
    page_close(r, 200);
    return OK;
}

enum err_code page_delete_now(struct request *r, struct err *err)
{
    struct document d;
    struct removed gone;
    enum err_code rc = access_document(r, r->params[0], &d, err);
    if (!rc)
        rc = index_remove(r->web->opt.index, d.id, &gone, err);
    if (!rc)
        reply_see_other(r, "/documents#list");
    return rc;
}

enum err_code page_retry(struct request *r, struct err *err)
{
    struct document d;
    enum err_code rc = access_document(r, r->params[0], &d, err);
    if (!rc)
        rc = jobs_retry(r->web->opt.index, d.job, err);
    if (!rc)
        reply_see_other(r, "/documents#list");
    return rc;
}
