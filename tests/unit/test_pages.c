/* Text is text on every page, whatever it holds. */
#include <stdlib.h>
#include "base/json.h"
#include "tests/test.h"
#include "web/pages.h"
#include "web/reply.h"

/* Undo buf_html. */
static void unescape(struct str s, struct buf *out)
{
    static const char *const names[][2] = {{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"},
                                           {"&quot;", "\""}, {"&#39;", "'"}};
    for (size_t i = 0; i < s.len;) {
        size_t k = 0;
        while (k < 5 && !str_starts(str_sub(s, i, s.len), str_of(names[k][0])))
            k++;
        CHECK_MSG(s.ptr[i] != '&' || k < 5, "a bare & in %.*s", STR_ARG(s));
        buf_puts(out, k < 5 ? names[k][1] : "");
        if (k == 5)
            buf_char(out, s.ptr[i]);
        i += k < 5 ? strlen(names[k][0]) : 1;
    }
}

static struct request *request(bool html)
{
    struct web *w = calloc(1, sizeof(*w));
    struct request *r = request_new(w, NULL, "/");
    CHECK(r != NULL);
    r->wants_html = html;
    snprintf(r->id, sizeof(r->id), "rid");
    return r;
}

static void done(struct request *r)
{
    struct web *w = r->web;
    request_release(r);
    free(w);
}

/* The page's sentence, read back from its HTML, is what went in. */
static void check_told(struct str message)
{
    char text[300];
    snprintf(text, sizeof(text), "x%.*s", STR_ARG(message));
    struct request *r = request(true);
    reply_refuse(r, 422, "invalid_argument", text);
    page_failure(r);
    struct str page = buf_view(&r->reply.body);
    size_t from = str_find(page, STR("</h1><p>"), 0) + 8;
    size_t to = str_find(page, STR(".</p><p class=\"meta\">Request rid"), from);
    CHECK_MSG(to != SIZE_MAX, "the page is broken by \"%s\"", text);
    struct str told = str_sub(page, from, to);
    for (size_t i = 0; i < told.len; i++)
        CHECK_MSG(!strchr("<>\"'", told.ptr[i]), "unescaped: %.*s", STR_ARG(told));
    struct buf back = {0};
    unescape(told, &back);
    text[0] = 'X';
    CHECK_STR(buf_view(&back), text);
    buf_free(&back);
    done(r);
}

TEST(pages_tell_hostile_strings_as_the_text_they_are)
{
    struct buf text = {0};
    struct err err;
    json_t *list, *one;
    size_t i;
    FILE *f = fopen(data_path("hostile/strings/blns.json"), "rb");
    char chunk[4096];
    CHECK(f != NULL);
    for (size_t n; (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
        buf_add(&text, chunk, n);
    fclose(f);
    CHECK_OK(json_read(buf_view(&text), &list, &err), &err);
    json_array_foreach(list, i, one)
        if (json_string_length(one) < 250)
            check_told((struct str){json_string_value(one), json_string_length(one)});
    json_decref(list);
    buf_free(&text);
}

TEST(pages_tell_markup_as_text)
{
    check_told(STR("<script>alert(1)</script>"));
    check_told(STR("\"><img src=x onerror=alert(1)>"));
    check_told(STR("&lt;b&gt; &amp; 'quoted'"));
}

TEST(pages_failures_are_json_for_programs)
{
    struct request *r = request(false);
    json_t *v;
    struct err err;
    r->param = "top_k";
    reply_refuse(r, 422, "invalid_argument", "top_k is \"0\"");
    page_failure(r);
    CHECK_INT(r->reply.status, 422);
    CHECK_OK(json_read(str_trim(buf_view(&r->reply.body)), &v, &err), &err);
    const json_t *e = json_object_get(v, "error");
    CHECK_STR(field_text(e, "code"), "invalid_argument");
    CHECK_STR(field_text(e, "message"), "top_k is \"0\"");
    CHECK_STR(field_text(e, "param"), "top_k");
    CHECK_STR(field_text(e, "request_id"), "rid");
    json_decref(v);
    done(r);
}

TEST(pages_links_to_a_citation_are_fit_for_an_attribute)
{
    struct buf b = {0};
    page_citation_link(&b, "a\"b c", 1, 22);
    CHECK_STR(buf_view(&b), "/documents/a%22b%20c?start=1&amp;end=22#cited");
    buf_free(&b);
}

TEST(pages_tell_what_was_left_out_on_purpose_from_what_is_missing)
{
    json_t *note = json_pack("{s:s}", "code", "page_furniture");
    json_t *alarm = json_pack("{s:s}", "code", "page_empty"), *bare = json_object();
    CHECK(page_is_note(note));
    CHECK(!page_is_note(alarm) && !page_is_note(bare));
    json_decref(note);
    json_decref(alarm);
    json_decref(bare);
}

TEST(pages_say_sizes_as_people_do)
{
    static const struct { int64_t n; const char *want; } sizes[] = {
        {0, "0 bytes"}, {999, "999 bytes"}, {1000, "1.0 KB"}, {12345, "12 KB"},
        {4200000, "4.2 MB"}, {5000000000, "5.0 GB"}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        struct buf b = {0};
        page_bytes(&b, sizes[i].n);
        CHECK_STR(buf_view(&b), sizes[i].want);
        buf_free(&b);
    }
}
