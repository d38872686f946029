#include "tests/test.h"
#include <limits.h>

TEST(str_sub_is_clamped_to_the_text)
{
    CHECK_STR(str_sub(STR("hello"), 1, 3), "el");
    CHECK_STR(str_sub(STR("hello"), 3, 99), "lo");
    CHECK_STR(str_sub(STR("hello"), 4, 2), "");
    CHECK_STR(str_sub((struct str){NULL, 0}, 1, 2), "");
}

TEST(str_find_gives_the_first_at_or_after)
{
    CHECK_INT(str_find(STR("abcabc"), STR("bc"), 0), 1);
    CHECK_INT(str_find(STR("abcabc"), STR("bc"), 2), 4);
    CHECK(str_find(STR("abcabc"), STR("bc"), 5) == SIZE_MAX);
    CHECK(str_find(STR("ab"), STR("abc"), 0) == SIZE_MAX);
    CHECK(str_find(STR("ab"), STR("b"), 3) == SIZE_MAX);
    CHECK_INT(str_find(STR("ab"), STR(""), 2), 2);
    CHECK_INT(str_find(STR("a\0b\0c"), STR("\0c"), 0), 3);
}

TEST(str_split_gives_every_field_and_an_empty_last_one)
{
    struct str rest = STR("a,,b,"), field;
    const char *const want[] = {"a", "", "b", ""};
    for (int i = 0; i < 4; i++) {
        CHECK(str_split(&rest, ',', &field));
        CHECK_STR(field, want[i]);
    }
    CHECK(!str_split(&rest, ',', &field));
}

TEST(str_compares_starts_ends_and_case)
{
    CHECK(str_ieq(STR("HeLLo"), STR("hEllO")) && !str_ieq(STR("a["), STR("a{")));
    CHECK(str_starts(STR("path/x"), STR("path")) && !str_starts(STR("pa"), STR("path")));
    CHECK(str_ends(STR("x.pdf"), STR(".pdf")) && !str_ends(STR("pdf"), STR(".pdf")));
    CHECK_STR(str_trim(STR(" \t\r\n a b \v\f")), "a b");
    CHECK_STR(str_trim(STR("  ")), "");
}

TEST(str_int_takes_whole_decimal_numbers_in_range_and_nothing_else)
{
    int64_t v = 7;
    CHECK(str_int(STR("9223372036854775807"), INT64_MIN, INT64_MAX, &v) && v == INT64_MAX);
    CHECK(str_int(STR("-9223372036854775808"), INT64_MIN, INT64_MAX, &v) && v == INT64_MIN);
    CHECK(str_int(STR("-12"), -12, 0, &v) && v == -12);
    const char *const no[] = {"",
                              "-",
                              "+1",
                              " 1",
                              "1 ",
                              "0x1",
                              "1e3",
                              "9223372036854775808",
                              "-9223372036854775809",
                              "99999999999999999999999"};
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
        CHECK_MSG(!str_int(str_of(no[i]), INT64_MIN, INT64_MAX, &v), "%s", no[i]);
    CHECK(!str_int(STR("11"), 0, 10, &v) && !str_int(STR("-1"), 0, 10, &v));
    CHECK_INT(v, -12);
}

TEST(str_distance_counts_edits)
{
    CHECK_INT(str_distance(STR("kitten"), STR("sitting")), 3);
    CHECK_INT(str_distance(STR(""), STR("abc")), 3);
    CHECK_INT(str_distance(STR("servr"), STR("server")), 1);
    CHECK_INT(str_distance(STR("flaw"), STR("lawn")), 2);
}

TEST(buf_grows_and_stays_terminated)
{
    struct buf b = {0};
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,", i);
    CHECK_INT(b.len, 10 * 2 + 90 * 3 + 900 * 4);
    CHECK_INT(strlen(b.ptr), b.len);
    char big[2000];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    buf_reset(&b);
    buf_printf(&b, "<%s>", big);
    CHECK_INT(b.len, 2001);
    CHECK(b.ptr[2000] == '>' && b.ptr[2001] == '\0');
    buf_free(&b);
}

TEST(buf_past_its_maximum_fails_and_changes_nothing_more)
{
    struct buf b = {.max = 8};
    struct err err;
    buf_puts(&b, "12345678");
    CHECK_ERR(buf_ok(&b, "it", &err), OK);
    buf_char(&b, '9');
    buf_puts(&b, "");
    CHECK_STR(buf_view(&b), "12345678");
    CHECK_ERR(buf_ok(&b, "the page", &err), ERR_LIMIT);
    CHECK_STR(str_of(err.msg), "the page passes 8 bytes");
    buf_reset(&b);
    buf_puts(&b, "again");
    CHECK_STR(buf_view(&b), "again");
    buf_free(&b);
}

TEST(buf_take_hands_the_bytes_over)
{
    struct buf b = {0};
    size_t n;
    char *p = buf_take(&b, &n); /* of an empty one: an empty string */
    CHECK(p && n == 0 && *p == '\0');
    free(p);
    buf_puts(&b, "text");
    p = buf_take(&b, &n);
    CHECK(n == 4 && strcmp(p, "text") == 0 && b.ptr == NULL && b.len == 0);
    free(p);
    b.max = 2;
    buf_puts(&b, "text");
    CHECK(buf_take(&b, &n) == NULL && n == 0);
}

TEST(buf_escapes_for_html_and_for_urls)
{
    struct buf b = {0};
    buf_html(&b, STR("<a href=\"x\">'&'</a>"));
    CHECK_STR(buf_view(&b), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
    buf_reset(&b);
    buf_url(&b, STR("a b/\xc3\xa9~-._?"));
    CHECK_STR(buf_view(&b), "a%20b%2F%C3%A9~-._%3F");
    buf_free(&b);
}

TEST(err_sentences_are_set_wrapped_and_cut_at_a_character)
{
    struct err err;
    CHECK_ERR(err_set(&err, ERR_ARG, "k is %d", 3), ERR_ARG);
    CHECK_ERR(err_wrap(&err, ERR_FORMAT, "search of %s", "x"), ERR_FORMAT);
    CHECK_STR(str_of(err.msg), "search of x: k is 3");
    CHECK_INT(err.code, ERR_FORMAT);
    char many[600];
    for (int i = 0; i < 299; i++)
        memcpy(many + 2 * i, "\xc3\xa9", 3);
    err_set(&err, ERR_ARG, "%s", many); /* 239 bytes would cut an e acute in two */
    CHECK_INT(strlen(err.msg), 238);
    CHECK_ERR(err_set(NULL, ERR_IO, "x"), ERR_IO);
    err_set(&err, ERR_ARG, "a");
    err_set(&err, ERR_ARG, "b %s", err.msg);
    CHECK_STR(str_of(err.msg), "b a");
}
