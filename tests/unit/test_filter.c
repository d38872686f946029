#include "query/filter.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "query/cite.h"
#include "tests/cases.h"
#include "tests/test.h"

static const struct str KNOWN[] = {{"See http://good.example/a for more.", 35},
                                   {"Write to mailto:us@good.example today.", 38}};

static struct filter filter_of(int n_passages)
{
    return (struct filter){.n_passages = n_passages, .known = KNOWN, .n_known = 2};
}

static void whole(struct str input, struct buf *out)
{
    struct filter f = filter_of(2);
    filter_put(&f, input, out);
    filter_end(&f, out);
    filter_deinit(&f);
}

TEST(what_leaves_is_what_the_case_file_says)
{
    cases_run("tests/cases/filter.txt", whole);
}

/* Pieces that decide: brackets, schemes, tags, stops, wide and invisible characters. */
static void random_text(struct rng *r, int pieces, struct buf *b)
{
    static const char *const piece[] = {
        "[1]",  "[2]",   "[7]",   "[",     "]",     "1",      "7",      ", ",   "!",      "(",
        ")",    ":",     "://",   "http",  "https:", "java",  "script", "www.", "data:",  "<",
        ">",    "</",    "img ",  "|",     "think", "</think>", "\n",   "\n\n", " ",      "  ",
        "a",    "word ", "The. ", "é",     "中",    "【",     "】",     "［",   "\u200b", "^",
        "-",    "–",     "and",   "Passage ", "†",  "１",     "http://good.example/a", "/x?d=1",
        "evil.example", "[[", "]]", "][", "mailto:us@good.example"};
    buf_reset(b);
    for (int i = 0; i < pieces; i++)
        buf_puts(b, piece[rng_below(r, sizeof(piece) / sizeof(*piece))]);
}

static void chopped(struct rng *r, struct str input, struct buf *out)
{
    struct filter f = filter_of(2);
    for (size_t at = 0; at < input.len;) {
        size_t to = utf8_ceil(input, at + 1 + rng_below(r, 9));
        filter_put(&f, str_sub(input, at, to), out);
        at = to;
    }
    filter_end(&f, out);
    filter_deinit(&f);
}

TEST(however_a_text_is_chopped_what_leaves_is_the_same)
{
    struct rng r;
    struct buf in = {0}, one = {0}, two = {0};
    rng_init(&r, 5);
    for (int round = 0; round < 20000; round++) {
        random_text(&r, 1 + (int)rng_below(&r, 24), &in);
        buf_reset(&one);
        buf_reset(&two);
        whole(buf_view(&in), &one);
        chopped(&r, buf_view(&in), &two);
        CHECK_MSG(str_eq(buf_view(&one), buf_view(&two)), "round %d: \"%s\" gives \"%s\" and \"%s\"",
                  round, in.ptr, one.ptr ? one.ptr : "", two.ptr ? two.ptr : "");
    }
    buf_free(&in);
    buf_free(&one);
    buf_free(&two);
}

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

TEST(no_random_text_lets_a_forged_mark_or_a_strange_address_out)
{
    struct rng r;
    struct buf in = {0}, out = {0};
    int marks = 0;
    rng_init(&r, 6);
    for (int round = 0; round < 40000; round++) {
        struct arena a = {0};
        struct cite_mark *m;
        int n;
        random_text(&r, 1 + (int)rng_below(&r, 30), &in);
        buf_reset(&out);
        whole(buf_view(&in), &out);
        struct str s = buf_view(&out);
        CHECK_OK(cite_marks(s, &a, &m, &n, NULL), (&(struct err){0}));
        for (int i = 0; i < n; i++)
            CHECK_MSG(m[i].n >= 1 && m[i].n <= 2, "round %d: \"%s\" gives \"%s\"", round, in.ptr, out.ptr);
        static const char *const never[] = {"](", "]:", "![", "<img", "<script>", "<script ", "</s>", "<|", "【", "］"};
        for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
            CHECK_MSG(str_find(s, str_of(never[i]), 0) == SIZE_MAX, "round %d: \"%s\" gives \"%s\"",
                      round, in.ptr, out.ptr);
        for (size_t at = 0; (at = str_find(s, STR("www."), at)) != SIZE_MAX; at++)
            CHECK_MSG(false, "round %d: \"%s\" gives \"%s\"", round, in.ptr, out.ptr);
        for (size_t at = 0; (at = str_find(s, STR("://"), at)) != SIZE_MAX; at++)
            CHECK_MSG(at < 1 || !letter(s.ptr[at - 1]) || str_starts(str_sub(s, at - 4, s.len), STR("http://good.example")),
                      "round %d: \"%s\" gives \"%s\"", round, in.ptr, out.ptr);
        CHECK(utf8_valid(s));
        CHECK(str_eq(s, str_trim(s)));
        marks += n;
        arena_deinit(&a);
    }
    CHECK(marks > 10000);
    buf_free(&in);
    buf_free(&out);
}

TEST(words_leave_as_they_are_written)
{
    struct filter f = filter_of(1);
    struct buf out = {0};
    filter_put(&f, STR("The sky is bl"), &out);
    CHECK_STR(buf_view(&out), "The sky is");
    filter_put(&f, STR("ue ["), &out);
    CHECK_STR(buf_view(&out), "The sky is blue");
    filter_put(&f, STR("1]. It"), &out);
    CHECK_STR(buf_view(&out), "The sky is blue [1].");
    filter_end(&f, &out);
    CHECK_STR(buf_view(&out), "The sky is blue [1]. It");
    filter_deinit(&f);
    buf_free(&out);
}

TEST(an_address_without_end_is_not_held_for_ever)
{
    struct filter f = filter_of(1);
    struct buf out = {0};
    filter_put(&f, STR("http://evil.example/"), &out);
    for (int i = 0; i < 100000; i++)
        filter_put(&f, STR("aaaaaaaaaa"), &out);
    CHECK(f.held.len < 4096);
    filter_put(&f, STR(" Done."), &out);
    filter_end(&f, &out);
    CHECK_STR(buf_view(&out), FILTER_LINK_GONE " Done.");
    CHECK_INT(f.links_out, 1);
    filter_deinit(&f);
    buf_free(&out);
}
