/* A body on its way to the store: names are only text, nothing is left behind. */
#include <dirent.h>
#include <unistd.h>
#include "base/json.h"
#include "base/utf8.h"
#include "tests/test.h"
#include "web/upload.h"

static struct index *open_store(void)
{
    struct index_options opt = {.dir = scratch_dir(), .volatile_store = true};
    struct index *x;
    struct err err;
    CHECK_OK(index_open(&opt, &x, &err), &err);
    return x;
}

#define FORM_TYPE "multipart/form-data; boundary=XyZ"
#define PART(head, data) "--XyZ\r\nContent-Disposition: form-data; " head "\r\n\r\n" data "\r\n"

static enum err_code push_all(struct upload *u, struct str body, size_t step, struct err *err)
{
    enum err_code rc = OK;
    for (size_t at = 0; at < body.len && !rc; at += step)
        rc = upload_push(u, str_sub(body, at, at + step), err);
    return rc ? rc : upload_finish(u, err);
}

TEST(upload_takes_a_form_cut_into_pieces_of_any_size)
{
    static const char body[] =
        PART("name=\"collection\"", "papers") PART("name=\"file\"; filename=\"a.txt\"", "hello\r\n")
        PART("name=\"wait\"", "true") PART("name=\"file\"; filename=\"b\"", "")
        PART("name=\"metadata\"", "{\"a\":1}") "--XyZ--\r\n";
    struct index *x = open_store();
    for (size_t step = 1; step < sizeof(body); step += 1 + step / 7) {
        struct upload *u;
        struct err err;
        CHECK_OK(upload_new(x, STR(FORM_TYPE), STR(""), 1000, &u, &err), &err);
        CHECK_OK(push_all(u, (struct str){body, sizeof(body) - 1}, step, &err), &err);
        CHECK_INT(u->n_files, 2);
        CHECK_STR(str_of(u->files[0].name), "a.txt");
        CHECK_INT(blob_size(u->files[0].blob), 7);
        CHECK_INT(blob_size(u->files[1].blob), 0);
        CHECK_STR(str_of(u->collection), "papers");
        CHECK_STR(str_of(u->metadata), "{\"a\":1}");
        CHECK(u->wait);
        upload_free(u);
    }
    index_close(x);
}

TEST(upload_stops_at_its_maximum_and_drops_what_it_has)
{
    struct index *x = open_store();
    struct upload *u;
    struct err err;
    CHECK_OK(upload_new(x, STR("text/plain"), STR("n.txt"), 10, &u, &err), &err);
    CHECK_OK(upload_push(u, STR("0123456789"), &err), &err);
    CHECK_ERR(upload_push(u, STR("x"), &err), ERR_LIMIT);
    CHECK(!u->disk_full);
    upload_free(u);
    index_close(x);
}

TEST(upload_names_the_field_that_was_wrong)
{
    static const struct { const char *body, *param; } bad[] = {
        {PART("name=\"wait\"", "maybe") "--XyZ--", "wait"},
        {PART("name=\"collection\"", "\xff") "--XyZ--", "collection"},
        {PART("name=\"collection\"", "a") PART("name=\"collection\"", "b") "--XyZ--", "collection"},
        {PART("name=\"wait\"", "true") "--XyZ--", "file"},
        {PART("name=\"photo\"; filename=\"x\"", "b") "--XyZ--", "file"}};
    struct index *x = open_store();
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct upload *u;
        struct err err;
        CHECK_OK(upload_new(x, STR(FORM_TYPE), STR(""), 1000, &u, &err), &err);
        CHECK_ERR(push_all(u, str_of(bad[i].body), 11, &err), ERR_ARG);
        CHECK_STR(str_of(u->param), bad[i].param);
        upload_free(u);
    }
    index_close(x);
}

TEST(upload_names_are_text_without_controls)
{
    static const struct { const char *raw, *want; } names[] = {
        {"report.pdf", "report.pdf"},
        {"../../etc/passwd", "../../etc/passwd"}, /* only text: no file is opened by it */
        {"a\r\nSet-Cookie: x", "aSet-Cookie: x"},
        {"\xe2\x80\xae" "fdp.exe", "fdp.exe"}, /* right-to-left override */
        {"caf\xc3\xa9.txt", "caf\xc3\xa9.txt"},
        {"bad \xff byte", "bad \xef\xbf\xbd byte"},
        {"  \t ", "unnamed"},
        {"", "unnamed"}};
    char out[UPLOAD_NAME_MAX + 1];
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        upload_clean_name(str_of(names[i].raw), out);
        CHECK_STR(str_of(out), names[i].want);
    }
}

TEST(upload_cuts_a_long_name_between_characters)
{
    struct buf raw = {0};
    char out[UPLOAD_NAME_MAX + 1];
    for (int i = 0; i < 400; i++)
        buf_puts(&raw, "\xe4\xb8\xad");
    upload_clean_name(buf_view(&raw), out);
    CHECK_INT(strlen(out), 255);
    CHECK(utf8_valid(str_of(out)));
    buf_free(&raw);
}

TEST(upload_names_made_of_hostile_strings_are_fit_to_store)
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
    json_array_foreach(list, i, one) {
        char out[UPLOAD_NAME_MAX + 1];
        upload_clean_name((struct str){json_string_value(one), json_string_length(one)}, out);
        struct str s = str_of(out);
        CHECK_MSG(s.len >= 1 && utf8_valid(s), "string %zu gives \"%s\"", i, out);
        for (size_t k = 0; k < s.len; k++)
            CHECK_MSG((unsigned char)out[k] >= 32 && out[k] != 127, "string %zu", i);
    }
    json_decref(list);
    buf_free(&text);
}
