#include "llm/stops.h"
#include "base/rng.h"
#include "tests/test.h"

/* Feed `text` in pieces of `step` bytes; what came out, and whether a stop was found. */
static bool feed(const char **stops, int n, const char *text, size_t step, struct buf *out)
{
    struct str texts[STOPS_MAX];
    struct stops s;
    struct err err;
    for (int i = 0; i < n; i++)
        texts[i] = str_of(stops[i]);
    CHECK_OK(stops_init(&s, texts, n, &err), &err);
    struct str all = str_of(text);
    for (size_t at = 0; at < all.len; at += step)
        if (stops_take(&s, str_sub(all, at, at + step), out))
            return true;
    stops_end(&s, out);
    return false;
}

static void check_at_every_cut(const char **stops, int n, const char *text, const char *want,
                               bool found)
{
    for (size_t step = 1; step <= strlen(text); step++) {
        struct buf out = {0};
        CHECK_INT(feed(stops, n, text, step, &out), found);
        CHECK_STR(buf_view(&out), want);
        buf_free(&out);
    }
}

TEST(an_answer_ends_before_a_stop_text_however_it_is_cut)
{
    const char *one[] = {"\n\nQ:"};
    check_at_every_cut(one, 1, "It is blue.\n\nQ: and why?", "It is blue.", true);
    check_at_every_cut(one, 1, "It is\n\nblue.\n\nQ", "It is\n\nblue.\n\nQ", false);
    check_at_every_cut(one, 1, "\n\n\n\nQ:", "\n\n", true);
}

TEST(a_stop_text_inside_and_across_characters_is_found_whole)
{
    const char *stops[] = {"\xe2\x82\xac", "\xf0\x9f\x98\x80!"};
    check_at_every_cut(stops, 2, "5 \xe2\x82\xac", "5 ", true);
    check_at_every_cut(stops, 2, "\xf0\x9f\x98\x81!\xf0\x9f\x98\x80?", /* another face */
                       "\xf0\x9f\x98\x81!\xf0\x9f\x98\x80?", false);
    check_at_every_cut(stops, 2, "\xe2\x82\xad\xf0\x9f\x98\x80!", "\xe2\x82\xad", true);
}

TEST(of_several_stop_texts_the_one_that_is_whole_first_ends_the_answer)
{
    const char *stops[] = {"abcd", "bc", "abc"};
    check_at_every_cut(stops, 3, "xxabcdyy", "xx", true); /* "bc" and "abc" end together */
    const char *inner[] = {"abcde", "cd"};
    check_at_every_cut(inner, 2, "abcdef", "ab", true);
    check_at_every_cut(inner, 2, "abcxabcde", "abcxab", true);
}

TEST(text_that_may_begin_a_stop_waits_and_comes_when_it_does_not)
{
    struct str text = STR("</end>");
    struct stops s;
    struct err err;
    struct buf out = {0};
    CHECK_OK(stops_init(&s, &text, 1, &err), &err);
    CHECK(!stops_take(&s, STR("yes </en"), &out));
    CHECK_STR(buf_view(&out), "yes ");
    CHECK(!stops_take(&s, STR("try>"), &out));
    CHECK_STR(buf_view(&out), "yes </entry>");
    CHECK(!stops_take(&s, STR("<"), &out));
    CHECK_STR(buf_view(&out), "yes </entry>");
    stops_end(&s, &out);
    CHECK_STR(buf_view(&out), "yes </entry><");
    buf_free(&out);
}

/* Where the first stop text is whole, by looking at every end. */
static size_t end_by_force(struct str text, const struct str *stops, int n, size_t *start)
{
    for (size_t end = 1; end <= text.len; end++) {
        size_t longest = 0;
        for (int i = 0; i < n; i++)
            if (str_ends(str_sub(text, 0, end), stops[i]) && stops[i].len > longest)
                longest = stops[i].len;
        if (longest > 0) {
            *start = end - longest;
            return end;
        }
    }
    *start = text.len;
    return text.len;
}

TEST(ten_thousand_random_texts_end_where_a_search_by_force_says)
{
    struct rng r;
    rng_init(&r, 11);
    for (int round = 0; round < 10000; round++) {
        char letters[3][6], text[40];
        struct str stops[3];
        struct stops s;
        struct err err;
        struct buf out = {0};
        int n = 1 + (int)rng_below(&r, 3);
        for (int i = 0; i < n; i++) {
            stops[i] = (struct str){letters[i], 1 + (size_t)rng_below(&r, 5)};
            for (size_t k = 0; k < stops[i].len; k++)
                letters[i][k] = (char)('a' + rng_below(&r, 2));
        }
        for (size_t k = 0; k < sizeof(text); k++)
            text[k] = (char)('a' + rng_below(&r, 3));
        struct str all = {text, sizeof(text)};
        size_t start;
        bool want = end_by_force(all, stops, n, &start) > start || start < all.len;
        CHECK_OK(stops_init(&s, stops, n, &err), &err);
        bool found = false;
        for (size_t at = 0, step; at < all.len && !found; at += step) {
            step = 1 + (size_t)rng_below(&r, 7);
            found = stops_take(&s, str_sub(all, at, at + step), &out);
        }
        if (!found)
            stops_end(&s, &out);
        CHECK_INT(found, want);
        CHECK_INT(out.len, start);
        CHECK(memcmp(out.ptr ? out.ptr : "", text, start) == 0);
        buf_free(&out);
    }
}

TEST(stop_texts_that_cannot_be_are_refused_by_number)
{
    struct stops s;
    struct err err;
    char long_text[300] = {0};
    memset(long_text, 'x', 299);
    struct str many[STOPS_MAX + 1];
    for (int i = 0; i <= STOPS_MAX; i++)
        many[i] = STR("x");
    CHECK_ERR(stops_init(&s, many, STOPS_MAX + 1, &err), ERR_ARG);
    CHECK_STR(str_of(err.msg), "17 stop texts: at most 16");
    struct str two[] = {STR("ok"), STR("")};
    CHECK_ERR(stops_init(&s, two, 2, &err), ERR_ARG);
    CHECK_STR(str_of(err.msg), "stop text 2 has 0 bytes: need 1 to 256");
    two[1] = (struct str){long_text, 257};
    CHECK_ERR(stops_init(&s, two, 2, &err), ERR_ARG);
    two[1] = (struct str){long_text, 256};
    CHECK_OK(stops_init(&s, two, 2, &err), &err);
    two[1] = STR("\xa9");
    CHECK_ERR(stops_init(&s, two, 2, &err), ERR_ARG);
    CHECK_STR(str_of(err.msg), "stop text 2 is no UTF-8");
}

TEST(a_stop_text_of_256_equal_bytes_is_found_in_a_run_of_them)
{
    char run[700];
    memset(run, 'x', sizeof(run));
    run[100] = 'y';
    struct str text = {run + 200, 256};
    struct stops s;
    struct err err;
    struct buf out = {0};
    CHECK_OK(stops_init(&s, &text, 1, &err), &err);
    CHECK(stops_take(&s, (struct str){run, sizeof(run)}, &out));
    CHECK_INT(out.len, 101);
    buf_free(&out);
}
