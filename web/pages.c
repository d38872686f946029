#include "web/pages.h"
#include <stdio.h>
#include <string.h>
#include "web/access.h"
#include "web/assets.h"
#include "web/reply.h"

const struct field page_asset_query[] = {
    {"v", FIELD_TEXT, 0, 64, false, NULL, "version, for caches"}, {.type = FIELD_END}};

static void tab(struct buf *b, const char *path, const char *name, const char *label,
                const char *current)
{
    buf_printf(b, "<a href=\"%s\"%s>%s</a>", path,
               strcmp(name, current) == 0 ? " aria-current=\"page\"" : "", label);
}

void page_open(struct request *r, const char *title, const char *current)
{
    struct buf *b = &r->reply.body;
    const char *v = assets_version();
    buf_reset(b);
    buf_puts(b, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    buf_html(b, str_of(title));
    buf_puts(b, title[0] ? " · carrel</title>\n" : "carrel</title>\n");
    buf_printf(b, "<link rel=\"stylesheet\" href=\"/assets/style.css?v=%s\">\n"
                  "<link rel=\"icon\" type=\"image/svg+xml\" href=\"/assets/favicon.svg?v=%s\">\n"
                  "<script src=\"/assets/app.js?v=%s\" defer></script>\n"
                  "</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to content</a>\n"
                  "<header class=\"top\"><a class=\"brand\" href=\"/\">carrel</a>", v, v, v);
    if (strcmp(current, "login") != 0) {
        buf_puts(b, "<nav aria-label=\"Main\">");
        tab(b, "/", "ask", "Ask", current);
        tab(b, "/search", "search", "Search", current);
        tab(b, "/documents", "documents", "Documents", current);
        buf_puts(b, "</nav>");
    }
    if (r->who.key)
        buf_puts(b, "<form class=\"out\" method=\"post\" action=\"/logout\">"
                    "<button class=\"quiet\">Sign out</button></form>");
    buf_puts(b, "</header>\n<main id=\"main\">\n");
}

void page_close(struct request *r, int status)
{
    buf_puts(&r->reply.body, "</main>\n</body>\n</html>\n");
    reply_body(r, status, "text/html; charset=utf-8");
}

void page_collections(struct request *r, const char *chosen)
{
    struct buf *b = &r->reply.body;
    struct collection *c;
    int n, seen = 0;
    if (index_collections(r->web->opt.index, &r->arena, &c, &n, NULL) != OK)
        return;
    for (int i = 0; i < n; i++)
        seen += access_sees(r, c[i].name);
    if (seen < 2)
        return;
    buf_puts(b, "<label class=\"inline\">in <select name=\"collection\" "
                "aria-label=\"Collection\">");
    for (int i = 0; i < n; i++) {
        if (!access_sees(r, c[i].name))
            continue;
        buf_puts(b, "<option value=\"");
        buf_html(b, str_of(c[i].name));
        buf_puts(b, strcmp(c[i].name, chosen) == 0 ? "\" selected>" : "\">");
        buf_html(b, str_of(c[i].name));
        buf_puts(b, "</option>");
    }
    buf_puts(b, "</select></label>");
}

void page_citation_link(struct buf *b, const char *document, uint32_t start, uint32_t end)
{
    buf_puts(b, "/documents/");
    buf_url(b, str_of(document));
    buf_printf(b, "?start=%u&amp;end=%u#cited", start, end);
}

bool page_is_note(const json_t *warning)
{
    return str_eqz(field_text(warning, "code"), "page_furniture");
}

void page_bytes(struct buf *b, int64_t n)
{
    static const char *const unit[] = {"KB", "MB", "GB", "TB"};
    double v = (double)n;
    int u = -1;
    while (v >= 1000 && u < 3) {
        v /= 1000;
        u++;
    }
    if (u < 0)
        buf_printf(b, "%lld bytes", (long long)n);
    else
        buf_printf(b, v < 10 ? "%.1f %s" : "%.0f %s", v, unit[u]);
}

static const char *headline(int status)
{
    switch (status) {
    case 401: return "A key is needed";
    case 403: return "Not allowed";
    case 404: return "Nothing here";
    case 413: return "Too large";
    case 429: return "Too much at once";
    case 503: return "Not just now";
    case 507: return "The disk is full";
    default:  return status >= 500 ? "Something broke" : "That did not work";
    }
}

void page_failure(struct request *r)
{
    struct failure f = r->failure;
    struct buf *b = &r->reply.body;
    reply_deinit(&r->reply);
    if (!r->wants_html) {
        reply_json(r, f.status, reply_failure_json(r));
        return;
    }
    page_open(r, headline(f.status), "");
    buf_printf(b, "<section class=\"failure\"><p class=\"eyebrow\">%d</p><h1>%s</h1><p>", f.status,
               headline(f.status));
    if (f.message[0] >= 'a' && f.message[0] <= 'z')
        f.message[0] = (char)(f.message[0] - 32);
    buf_html(b, str_of(f.message));
    buf_puts(b, ".</p><p class=\"meta\">Request ");
    buf_html(b, str_of(r->id));
    buf_puts(b, "</p><p><a href=\"/\">Back to the start</a></p></section>\n");
    page_close(r, f.status);
}

enum err_code page_asset(struct request *r, struct err *err)
{
    struct str name = r->params[0].ptr ? r->params[0] : STR("favicon.svg");
    const struct asset *a = asset_find(name);
    if (!a)
        return err_set(err, ERR_NOTFOUND, "there is no such file");
    bool versioned = str_eqz(pair_text(r->query, r->n_query, "v"), assets_version());
    reply_text(r, 200, a->type, a->bytes);
    reply_header(r, "Cache-Control", versioned ? "public, max-age=31536000, immutable"
                                               : "no-cache");
    return OK;
}
