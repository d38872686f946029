/* Signing in: the page takes a key once and keeps it in a strict cookie. */
#include <stdio.h>
#include <string.h>
#include "web/access.h"
#include "web/pages.h"
#include "web/reply.h"

#define COOKIE_TAIL "; Path=/; HttpOnly; SameSite=Strict"

const struct field page_login_fields[] = {
    {"next", FIELD_TEXT, 0, 4096, false, NULL, "where to go then"},
    {"key", FIELD_TEXT, 0, 256, false, NULL, NULL},
    {.type = FIELD_END}};

/* A path of ours: neither //host nor /\host, nor anything that could end a header. */
static struct str safe_next(struct str next)
{
    if (next.len < 1 || next.ptr[0] != '/' ||
        (next.len > 1 && (next.ptr[1] == '/' || next.ptr[1] == '\\')))
        return STR("/");
    for (size_t i = 0; i < next.len; i++)
        if (next.ptr[i] <= ' ' || next.ptr[i] >= 0x7f)
            return STR("/");
    return next;
}

static void form(struct request *r, struct str next, const char *problem, int status)
{
    struct buf *b = &r->reply.body;
    page_open(r, "Sign in", "login");
    buf_puts(b, "<section class=\"failure\"><h1>Sign in</h1><p>This box asks for a key. Whoever "
                "runs it makes one with <code>carrel key add NAME</code>.</p>");
    if (problem)
        buf_printf(b, "<p class=\"note bad\" role=\"alert\">%s</p>", problem);
    buf_puts(b, "<form class=\"login\" method=\"post\" action=\"/login\"><input type=\"hidden\" "
                "name=\"next\" value=\"");
    buf_html(b, next);
    buf_puts(b, "\"><label for=\"key\">Key</label><input id=\"key\" name=\"key\" type=\"password\" "
                "autocomplete=\"current-password\" required autofocus>"
                "<button class=\"main\">Sign in</button></form>");
    if (r->cookie.len > 0) /* a strict cookie stays behind when another site links here */
        buf_puts(b, "<p class=\"meta\"><a href=\"");
    if (r->cookie.len > 0) {
        buf_html(b, next);
        buf_puts(b, "\">Go on</a> if you have signed in before.</p>");
    }
    buf_puts(b, "</section>\n");
    page_close(r, status);
}

enum err_code page_login(struct request *r, struct err *err)
{
    (void)err;
    form(r, safe_next(pair_text(r->query, r->n_query, "next")), NULL, 200);
    return OK;
}

enum err_code page_login_now(struct request *r, struct err *err)
{
    struct str next = safe_next(pair_text(r->form, r->n_form, "next"));
    struct str text = str_trim(pair_text(r->form, r->n_form, "key"));
    struct key key;
    char cookie[400];
    (void)err;
    if (!access_key(r, text, &key)) {
        if (!r->failure.status)
            form(r, next, "That is not a key of this box.", 401);
        return OK;
    }
    snprintf(cookie, sizeof(cookie), ACCESS_COOKIE "=%.*s; Max-Age=31536000" COOKIE_TAIL,
             STR_ARG(text));
    char *to = arena_strz(&r->arena, next);
    reply_see_other(r, to ? to : "/");
    reply_header(r, "Set-Cookie", cookie);
    return OK;
}

enum err_code page_logout(struct request *r, struct err *err)
{
    (void)err;
    reply_see_other(r, "/login");
    reply_header(r, "Set-Cookie", ACCESS_COOKIE "=; Max-Age=0" COOKIE_TAIL);
    return OK;
}
