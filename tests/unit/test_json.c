#include "base/json.h"
#include <dirent.h>
#include "base/file.h"
#include "tests/test.h"

static json_t *parse(const char *text)
{
    json_t *v = NULL;
    struct err err = {0};
    CHECK_OK(json_read(str_of(text), &v, &err), &err);
    return v;
}

TEST(json_written_is_compact_and_in_the_order_it_was_set)
{
    json_t *v =
        parse(" { \"z\" : 1, \"a\" : [ 0.1, true, null, \"\\u00e9\\n\" ], \"m\": -3.5e10 } ");
    struct buf b = {0};
    json_write(&b, v);
    CHECK_STR(buf_view(&b), "{\"z\":1,\"a\":[0.1,true,null,\"é\\n\"],\"m\":-35000000000.0}");
    json_decref(v);
    buf_free(&b);
}

TEST(json_numbers_that_were_floats_come_back_as_the_same_floats)
{
    float x[] = {0.1f, 1.0f / 3, 3.4e38f, 1.17549435e-38f, -0.99999994f};
    for (int i = 0; i < 5; i++) {
        json_t *v = json_real((double)x[i]);
        struct buf b = {0};
        json_write(&b, v);
        json_t *back = parse(b.ptr);
        CHECK((float)json_number_value(back) == x[i]);
        json_decref(v);
        json_decref(back);
        buf_free(&b);
    }
}

TEST(json_faults_name_their_line_and_column)
{
    json_t *v;
    struct err err;
    CHECK_ERR(json_read(STR("{\n  \"a\": tru\n}"), &v, &err), ERR_FORMAT);
    CHECK(v == NULL);
    CHECK_MSG(strstr(err.msg, "line 2, column 10"), "%s", err.msg);
    CHECK_ERR(json_read(STR("{\"a\":1,\"a\":2}"), &v, &err), ERR_FORMAT);
    CHECK_ERR(json_read(STR("1 2"), &v, &err), ERR_FORMAT);
    CHECK_ERR(json_read(STR("12\0"), &v, &err), ERR_FORMAT);
    CHECK_ERR(json_read(STR(""), &v, &err), ERR_FORMAT);
    CHECK_ERR(json_read(STR("\"\xff\""), &v, &err), ERR_FORMAT);
}

TEST(json_deeper_than_the_maximum_is_refused)
{
    struct buf b = {0};
    for (int depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        buf_reset(&b);
        for (int i = 0; i < depth; i++)
            buf_char(&b, '[');
        buf_puts(&b, "\"[[[\\\"[[[\"");
        for (int i = 0; i < depth; i++)
            buf_char(&b, ']');
        json_t *v;
        CHECK_ERR(json_read(buf_view(&b), &v, NULL), depth > JSON_DEPTH_MAX ? ERR_FORMAT : OK);
        json_decref(v);
    }
    buf_free(&b);
}

TEST(json_text_mends_what_is_not_utf8_and_keeps_nuls)
{
    json_t *v = json_text(STR("a\xff"
                              "b"));
    CHECK_STR(str_of(json_string_value(v)), "a\xef\xbf\xbd"
                                            "b");
    json_decref(v);
    v = json_text(STR("a\0b"));
    CHECK_INT(json_string_length(v), 3);
    struct buf b = {0};
    json_write(&b, v);
    CHECK_STR(buf_view(&b), "\"a\\u0000b\"");
    json_decref(v);
    v = parse(b.ptr);
    CHECK_INT(json_string_length(v), 3);
    json_decref(v);
    buf_free(&b);
}

TEST(json_optional_texts_keep_their_default_or_name_the_fault)
{
    json_t *o = parse("{\"n\":7,\"s\":\"t\",\"z\":null}");
    struct err err;
    struct str s = STR("default");
    CHECK_ERR(json_opt_str(o, "absent", &s, &err), OK);
    CHECK_ERR(json_opt_str(o, "z", &s, &err), OK);
    CHECK_STR(s, "default");
    CHECK_ERR(json_opt_str(o, "s", &s, &err), OK);
    CHECK_STR(s, "t");
    CHECK_ERR(json_opt_str(o, "n", &s, &err), ERR_ARG);
    CHECK_STR(str_of(err.msg), "n is a number, need a string");
    json_decref(o);
}

/* JSONTestSuite, Nicolas Seriot: y_ must be read, n_ must not, i_ is ours to say.
 * We refuse duplicate keys, which RFC 8259 section 4 leaves open, and \u0000 in
 * keys, for which jansson has no room. */
static bool wanted(const char *name)
{
    return name[0] == 'y' && !strstr(name, "duplicated_key") && !strstr(name, "null_in_key");
}

TEST(json_test_suite_is_read_as_its_file_names_say)
{
    const char *dir = data_path("hostile/json/test_parsing");
    DIR *d = opendir(dir);
    CHECK(d != NULL);
    int n = 0, wrong = 0;
    for (struct dirent *e; (e = readdir(d));) {
        if (!strstr(e->d_name, ".json"))
            continue;
        char path[1024];
        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        struct buf b = {0};
        CHECK_OK(file_read(path, 1 << 20, &b, NULL), &(struct err){0});
        json_t *v;
        bool read = json_read(buf_view(&b), &v, NULL) == OK;
        bool want = wanted(e->d_name);
        if (e->d_name[0] != 'i' && read != want) {
            printf("%s: %s\n", e->d_name, read ? "read" : "refused");
            wrong++;
        }
        json_decref(v);
        buf_free(&b);
        n++;
    }
    closedir(d);
    CHECK(n > 300);
    CHECK_INT(wrong, 0);
}
