/* tests/unit/test_grammar.c - what a schema's grammar takes, masks and ends. */
#include "base/json.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "llm/grammar.h"
#include "tests/cases.h"

static struct grammar *grammar_of(const char *schema)
{
    struct err err = {0};
    struct grammar *g;
    json_t *v;
    CHECK_OK(json_read(str_of(schema), &v, &err), &err);
    CHECK_OK(grammar_schema(v, &g, &err), &err);
    json_decref(v);
    return g;
}

/* Taken from end to end, in one piece and byte by byte alike, and whole. */
static bool takes(const char *schema, const char *text)
{
    struct err err = {0};
    struct grammar *g = grammar_of(schema);
    struct gstate *whole, *bytes;
    bool all = true;
    CHECK_OK(gstate_new(g, &whole, &err), &err);
    CHECK_OK(gstate_new(g, &bytes, &err), &err);
    bool once = gstate_take(whole, str_of(text));
    for (const char *c = text; *c && all; c++)
        all = gstate_take(bytes, (struct str){c, 1});
    CHECK_INT(all, once);
    all = all && gstate_may_end(bytes);
    CHECK_INT(once && gstate_may_end(whole), all);
    gstate_free(whole);
    gstate_free(bytes);
    grammar_free(g);
    return all;
}

#define TAKES(schema, text) CHECK_MSG(takes(schema, text), "%s does not take %s", schema, text)
#define REFUSES(schema, text) CHECK_MSG(!takes(schema, text), "%s takes %s", schema, text)

static void verdict(struct str schema, struct buf *out)
{
    struct err err = {0};
    struct grammar *g = NULL;
    json_t *v;
    CHECK_OK(json_read(schema, &v, &err), &err);
    buf_puts(out, grammar_schema(v, &g, &err) ? err.msg : "ok");
    grammar_free(g);
    json_decref(v);
}

TEST(grammar_refuses_a_schema_by_pointer_and_keyword)
{
    cases_run("tests/cases/schema.txt", verdict);
}

TEST(grammar_takes_integers_within_their_bounds_exactly)
{
    static const int bounds[][2] = {{0, 9}, {-5, 5}, {7, 123}, {99, 101}, {-120, -7}, {-1, 1000}};
    char schema[120], text[20];
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        snprintf(schema, sizeof(schema), "{\"type\":\"integer\",\"minimum\":%d,\"maximum\":%d}",
                 bounds[i][0], bounds[i][1]);
        for (int n = -1100; n <= 1100; n += n < -130 || n > 130 ? 97 : 1) {
            snprintf(text, sizeof(text), "%d", n);
            CHECK_MSG(takes(schema, text) == (n >= bounds[i][0] && n <= bounds[i][1]), "%s: %s",
                      schema, text);
        }
        REFUSES(schema, "-0");
        REFUSES(schema, "007");
    }
    TAKES("{\"type\":\"integer\",\"multipleOf\":7,\"minimum\":-20}", "-14");
    TAKES("{\"type\":\"integer\",\"multipleOf\":7,\"minimum\":-20}", "7000000");
    REFUSES("{\"type\":\"integer\",\"multipleOf\":7}", "15");
}

TEST(grammar_keeps_decimals_inside_their_bounds)
{
    const char *closed = "{\"type\":\"number\",\"minimum\":0.1,\"maximum\":2.5}";
    const char *open = "{\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":1}";
    TAKES(closed, "0.1");
    TAKES(closed, "0.100001");
    TAKES(closed, "2.5");
    TAKES(closed, "2.50000");
    TAKES(closed, "1");
    REFUSES(closed, "0.099999");
    REFUSES(closed, "2.500001");
    REFUSES(closed, "0");
    REFUSES(closed, "1.");
    REFUSES(closed, "01.0");
    REFUSES(open, "0");
    REFUSES(open, "0.0");
    REFUSES(open, "1");
    TAKES(open, "0.000001");
    TAKES(open, "0.999999");
    TAKES("{\"type\":\"number\",\"minimum\":-1.5,\"maximum\":-1.25}", "-1.3");
    REFUSES("{\"type\":\"number\",\"minimum\":-1.5,\"maximum\":-1.25}", "-1.2");
    TAKES("{\"type\":\"number\"}", "-12.5e-3");
    REFUSES("{\"type\":\"number\"}", "NaN");
}

TEST(grammar_counts_the_characters_of_strings_whichever_way_they_are_written)
{
    const char *two = "{\"type\":\"string\",\"minLength\":2,\"maxLength\":2}";
    TAKES(two, "\"ab\"");
    TAKES(two, "\"\xc3\xa9\xf0\x9f\x98\x80\"");
    TAKES(two, "\"\\u00e9\\ud83d\\ude00\"");
    TAKES(two, "\"\\n\\\\\"");
    REFUSES(two, "\"a\"");
    REFUSES(two, "\"abc\"");
    REFUSES(two, "\"\\ud83da\"");
    REFUSES(two, "\"a\\ude00\"");
    REFUSES(two, "\"a\\u0000\"");
    REFUSES(two, "\"a\xc3\"");
    REFUSES(two, "\"a\xed\xa0\x80\"");
    REFUSES(two, "\"a\n\"");
    REFUSES(two, "\"a\xc0\x80\"");
}

TEST(grammar_matches_patterns_on_characters)
{
    const char *any = "{\"type\":\"string\",\"pattern\":\"b+\"}";
    TAKES(any, "\"abba\"");
    REFUSES(any, "\"aa\"");
    TAKES("{\"pattern\":\"^(a|\\u00e9){2}$\"}", "\"a\xc3\xa9\"");
    REFUSES("{\"pattern\":\"^(a|\\u00e9){2}$\"}", "\"a\"");
    TAKES("{\"pattern\":\"^a|b$\"}", "\"axx\"");
    TAKES("{\"pattern\":\"^a|b$\"}", "\"xxb\"");
    REFUSES("{\"pattern\":\"^a|b$\"}", "\"xax\"");
    TAKES("{\"pattern\":\"^.$\"}", "\"\xf0\x9f\x98\x80\"");
    TAKES("{\"pattern\":\"^\\\\s\\\"$\"}", "\"\\t\\\"\"");
    TAKES("{\"pattern\":\"^[a-c]*$\",\"minLength\":3,\"maxLength\":4}", "\"abc\"");
    REFUSES("{\"pattern\":\"^[a-c]*$\",\"minLength\":3,\"maxLength\":4}", "\"ab\"");
    REFUSES("{\"pattern\":\"^[a-c]*$\",\"minLength\":3,\"maxLength\":4}", "\"abcab\"");
    TAKES("{\"type\":\"string\",\"format\":\"date\"}", "\"2024-01-31\"");
    REFUSES("{\"type\":\"string\",\"format\":\"date\"}", "\"2023-02-29\"");
    REFUSES("{\"type\":\"string\",\"format\":\"ipv4\"}", "\"1.2.3.256\"");
}

TEST(grammar_writes_objects_with_what_is_required_and_no_name_twice)
{
    const char *shut = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":"
                       "{\"type\":\"null\"}},\"required\":[\"b\"],\"additionalProperties\":false}";
    const char *wide = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},"
                       "\"additionalProperties\":{\"type\":\"boolean\"}}";
    TAKES(shut, "{\"a\":1,\"b\":null}");
    TAKES(shut, "{\"a\": 1, \"b\": null}");
    TAKES(shut, "{\"b\":null}");
    REFUSES(shut, "{\"a\":1}");
    REFUSES(shut, "{}");
    REFUSES(shut, "{\"b\":null,\"c\":1}");
    REFUSES(shut, "{\"b\":null,\"b\":null}");
    REFUSES(shut, "{\"b\":null,}");
    REFUSES(shut, "{\"a\":  1,\"b\":null}");
    TAKES(wide, "{}");
    TAKES(wide, "{\"a\":1,\"x\":true,\"y\":false}");
    TAKES(wide, "{\"aa\":true}");
    REFUSES(wide, "{\"a\":true}");
    REFUSES(wide, "{\"x\":true,\"x\":true}");
    REFUSES(wide, "{\"x\":true,\"a\":true}");
    REFUSES(wide, "{\"x\":1}");
}

TEST(grammar_holds_all_branches_of_all_of_together)
{
    const char *both = "{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"minimum\":3,\"type\":"
                       "\"integer\"}}},{\"properties\":{\"a\":{\"maximum\":4}},\"required\":[\"a\"],"
                       "\"additionalProperties\":false}]}";
    TAKES(both, "{\"a\":3}");
    REFUSES(both, "{\"a\":5}");
    REFUSES(both, "{}");
    REFUSES(both, "{\"a\":3,\"b\":1}");
}

TEST(grammar_follows_any_branch_of_any_of_until_it_cannot)
{
    const char *s = "{\"anyOf\":[{\"properties\":{\"k\":{\"type\":\"integer\"},\"z\":{\"const\":1}},"
                    "\"required\":[\"z\"],\"additionalProperties\":false},{\"properties\":{\"k\":{"
                    "\"type\":\"number\"}},\"additionalProperties\":false}]}";
    TAKES(s, "{\"k\":1,\"z\":1}");
    TAKES(s, "{\"k\":1.5}");
    TAKES(s, "{}");
    REFUSES(s, "{\"k\":1.5,\"z\":1}");
}

TEST(grammar_arrays_keep_count_order_and_difference)
{
    const char *tuple = "{\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"items\":"
                        "{\"type\":\"null\"},\"minItems\":2,\"maxItems\":3}";
    const char *set = "{\"type\":\"array\",\"items\":{\"enum\":[1,12,\"a\"]},\"uniqueItems\":true}";
    const char *words = "{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"uniqueItems\":true}";
    TAKES(tuple, "[1,\"\"]");
    TAKES(tuple, "[1, \"\", null]");
    REFUSES(tuple, "[1]");
    REFUSES(tuple, "[\"\",1]");
    REFUSES(tuple, "[1,\"\",null,null]");
    TAKES(set, "[12,1,\"a\"]");
    REFUSES(set, "[1,1]");
    REFUSES(set, "[12,12]");
    TAKES(words, "[\"a\",\"ab\",\"\"]");
    REFUSES(words, "[\"a\",\"a\"]");
    REFUSES(words, "[\"\",\"\"]");
}

TEST(grammar_of_any_json_is_any_object_and_nothing_else)
{
    struct err err = {0};
    struct grammar *g;
    struct gstate *s;
    CHECK_OK(grammar_json(&g, &err), &err);
    CHECK_OK(gstate_new(g, &s, &err), &err);
    CHECK(!gstate_take(s, STR("[")));
    CHECK(!gstate_take(s, STR("1")));
    CHECK(gstate_take(s, STR("{\"a\": {\"b\": [1, -2.5e3, \"x\\u00e9\", null, true]}, \"c\": {}")));
    CHECK(!gstate_may_end(s));
    CHECK(!gstate_take(s, STR("]")));
    CHECK(gstate_take(s, STR("}")));
    CHECK(gstate_may_end(s) && gstate_must_end(s));
    gstate_free(s);
    grammar_free(g);
}

TEST(grammar_nesting_is_bounded_and_can_always_be_ended)
{
    struct err err = {0};
    struct grammar *g = grammar_of("{}");
    struct gstate *s, *copy;
    int depth = 0;
    CHECK_OK(gstate_new(g, &s, &err), &err);
    CHECK_OK(gstate_new(g, &copy, &err), &err);
    while (gstate_take(s, STR("[")))
        depth++;
    CHECK_INT(depth, 32);
    CHECK_OK(gstate_copy(copy, s, &err), &err);
    while (depth-- > 0)
        CHECK(gstate_take(s, STR("]")));
    CHECK(gstate_must_end(s));
    CHECK(!gstate_must_end(copy) && gstate_take(copy, STR("]")));
    gstate_free(s);
    gstate_free(copy);
    grammar_free(g);
}
