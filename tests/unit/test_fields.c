/* Field tables: what a request may carry, and how strictly. */
#include "tests/test.h"
#include "web/fields.h"

static const struct field fields[] = {
    {"query", FIELD_TEXT, 1, 10, true, NULL, NULL},
    {"top_k", FIELD_INT, 1, 100, false, NULL, NULL},
    {"mode", FIELD_TEXT, 0, 0, false, "words|dense", NULL},
    {"heat", FIELD_NUMBER, 0, 2, false, NULL, NULL},
    {"explain", FIELD_BOOL, 0, 0, false, NULL, NULL},
    {"filter", FIELD_OBJECT, 0, 0, false, NULL, NULL},
    {.type = FIELD_END}};

static enum err_code read(const char *body, const char **param, struct err *err)
{
    static struct arena a;
    json_t *o = NULL;
    enum err_code rc = fields_body(str_of(body), fields, false, &a, &o, param, err);
    if (!rc)
        json_decref(o);
    return rc;
}

TEST(fields_takes_a_body_that_keeps_to_the_table)
{
    const char *param;
    struct err err;
    CHECK_OK(read("{\"query\":\"x\"}", &param, &err), &err);
    CHECK_OK(read("{\"query\":\"x\",\"top_k\":1,\"mode\":\"words\",\"heat\":0.5,\"explain\":true,"
                  "\"filter\":{\"a\":[1]}}", &param, &err), &err);
    CHECK_OK(read("{\"query\":\"x\",\"top_k\":null}", &param, &err), &err);
}

TEST(fields_names_the_field_that_breaks_the_table)
{
    static const struct { const char *body, *param; } bad[] = {
        {"{}", "query"},
        {"{\"query\":null}", "query"},
        {"{\"query\":\"\"}", "query"},
        {"{\"query\":\"12345678901\"}", "query"},
        {"{\"query\":1}", "query"},
        {"{\"query\":\"a\\u0000b\"}", "query"},
        {"{\"query\":\"x\",\"top_k\":0}", "top_k"},
        {"{\"query\":\"x\",\"top_k\":101}", "top_k"},
        {"{\"query\":\"x\",\"top_k\":1.0}", "top_k"},
        {"{\"query\":\"x\",\"top_k\":\"1\"}", "top_k"},
        {"{\"query\":\"x\",\"mode\":\"both\"}", "mode"},
        {"{\"query\":\"x\",\"heat\":2.1}", "heat"},
        {"{\"query\":\"x\",\"explain\":\"true\"}", "explain"},
        {"{\"query\":\"x\",\"filter\":[]}", "filter"},
        {"{\"query\":\"x\",\"topk\":3}", "topk"}};
    const char *param;
    struct err err;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        CHECK_MSG(read(bad[i].body, &param, &err) == ERR_ARG, "%s", bad[i].body);
        CHECK_STR(str_of(param), bad[i].param);
    }
    CHECK_MSG(strstr(err.msg, "top_k") != NULL, "no suggestion in: %s", err.msg);
}

TEST(fields_tells_what_is_not_json_from_json_it_does_not_take)
{
    static const char *const not_json[] = {"", "{", "{\"query\":\"x\"} x", "[1,]", "nul", "{'a':1}",
                                           "\"\xff\"", "{\"a\":1,\"a\":2,}"};
    static const char *const json[] = {"[]", "1", "\"x\"", "null",
                                       "{\"query\":\"x\",\"query\":\"y\"}", "{\"a\\u0000b\":1}",
                                       "{\"\\\\u0000\\u0000\":[]}"};
    const char *param;
    struct err err;
    for (size_t i = 0; i < sizeof(not_json) / sizeof(*not_json); i++)
        CHECK_MSG(read(not_json[i], &param, &err) == ERR_FORMAT, "%s", not_json[i]);
    for (size_t i = 0; i < sizeof(json) / sizeof(*json); i++)
        CHECK_MSG(read(json[i], &param, &err) == ERR_ARG, "%s", json[i]);
}

TEST(fields_takes_no_nul_for_the_end_of_json)
{
    struct arena a = {0};
    const char *param;
    struct err err;
    json_t *o;
    CHECK_ERR(fields_body((struct str){"123\0", 4}, fields, false, &a, &o, &param, &err), ERR_FORMAT);
    arena_deinit(&a);
}

TEST(fields_decodes_a_query_string_once)
{
    struct arena a = {0};
    struct pair *p;
    struct err err;
    int n;
    CHECK_OK(fields_decode(STR("q=a+b%2Bc&name=%C3%A9%2520&&x"), &a, &p, &n, &err), &err);
    CHECK_INT(n, 3);
    CHECK_STR(pair_text(p, n, "q"), "a b+c");
    CHECK_STR(pair_text(p, n, "name"), "\xc3\xa9%20");
    CHECK_INT(pair_text(p, n, "x").len, 0);
    CHECK(pair_text(p, n, "y").ptr == NULL);
    arena_deinit(&a);
}

TEST(fields_refuses_a_query_string_that_is_not_text)
{
    static const char *const bad[] = {"a=%", "a=%1", "a=%zz", "a=%00", "%ff=1", "a=%c0%80"};
    struct arena a = {0};
    struct pair *p;
    struct err err;
    int n;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK_MSG(fields_decode(str_of(bad[i]), &a, &p, &n, &err) == ERR_FORMAT, "%s", bad[i]);
    arena_deinit(&a);
}

TEST(fields_checks_pairs_by_the_same_table)
{
    static const char *const bad[] = {"top_k=0", "top_k=x", "top_k=", "top_k=1&top_k=2",
                                      "mode=both", "explain=1", "nope=1", "query="};
    struct arena a = {0};
    struct pair *p;
    const char *param;
    struct err err;
    int n;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        CHECK_OK(fields_decode(str_of(bad[i]), &a, &p, &n, &err), &err);
        CHECK_MSG(fields_pairs(p, n, fields, &a, &param, &err) == ERR_ARG, "%s", bad[i]);
    }
    CHECK_OK(fields_decode(STR("query=x&top_k=7&explain=true"), &a, &p, &n, &err), &err);
    CHECK_OK(fields_pairs(p, n, fields, &a, &param, &err), &err);
    CHECK_INT(pair_int(p, n, "top_k", 1), 7);
    CHECK(pair_bool(p, n, "explain", false));
    arena_deinit(&a);
}
