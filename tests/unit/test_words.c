#include "base/words.h"
#include "base/utf8.h"
#include "tests/cases.h"
#include "tests/test.h"

static bool show(void *arg, const struct word *w)
{
    struct buf *out = arg;
    if (out->len)
        buf_char(out, ' ');
    buf_str(out, w->surface);
    if (!str_eq(w->surface, w->stem)) {
        buf_char(out, '/');
        buf_str(out, w->stem);
    }
    return true;
}

static struct words *reader(void)
{
    struct words *w;
    struct err err;
    CHECK_OK(words_new(&w, &err), &err);
    return w;
}

static void words_of(struct str text, struct buf *out)
{
    struct words *w = reader();
    CHECK_OK(words_each(w, text, show, out, NULL), &(struct err){0});
    words_free(w);
}

TEST(words_are_what_the_case_file_says)
{
    cases_run("tests/cases/words.txt", words_of);
}

struct trail {
    struct str text;
    size_t last_start;
    int n, stop_at;
};

static bool follow(void *arg, const struct word *w)
{
    struct trail *t = arg;
    CHECK(w->start < w->end && w->end <= t->text.len && w->start >= t->last_start);
    CHECK_INT(utf8_floor(t->text, w->start), w->start);
    CHECK_INT(utf8_floor(t->text, w->end), w->end);
    CHECK(w->surface.len > 0 && w->surface.len <= WORDS_BYTES_MAX && w->stem.len > 0);
    CHECK(utf8_valid(w->surface));
    t->last_start = w->start;
    return ++t->n != t->stop_at;
}

TEST(words_tell_the_bytes_they_stand_on)
{
    struct trail t = {.text = STR("Ünïcode 東京 don't\xff stop \xe6\x9d and 1.5")};
    struct words *w = reader();
    CHECK_OK(words_each(w, t.text, follow, &t, NULL), &(struct err){0});
    CHECK_INT(t.n, 8);
    words_free(w);
}

TEST(words_stop_when_the_caller_has_enough)
{
    struct trail t = {.text = STR("one two three four"), .stop_at = 2};
    struct words *w = reader();
    CHECK_OK(words_each(w, t.text, follow, &t, NULL), &(struct err){0});
    CHECK_INT(t.n, 2);
    words_free(w);
}

TEST(words_of_a_second_text_do_not_depend_on_the_first)
{
    struct words *w = reader();
    struct buf first = {0}, again = {0};
    struct str text = STR("connected connection connects 3.14 connecting");
    words_each(w, text, show, &first, NULL);
    for (int i = 0; i < 20000; i++) { /* more words than the reader remembers */
        char word[32];                /* as long as the words of the text: 8 to 10 letters */
        snprintf(word, sizeof(word), "%05dxyzuv", i);
        word[8 + i % 3] = '\0';
        struct buf sink = {0};
        words_each(w, str_of(word), show, &sink, NULL);
        buf_free(&sink);
    }
    words_each(w, text, show, &again, NULL);
    CHECK_STR(buf_view(&again), first.ptr);
    CHECK_STR(buf_view(&first), "connected/connect connection/connect connects/connect 3.14 "
                                "connecting/connect");
    buf_free(&first);
    buf_free(&again);
    words_free(w);
}

TEST(words_in_the_table_of_function_words_are_all_found)
{
    static const char *const yes[] = {"a",          "the",        "what", "it's",
                                      "yourselves", "themselves", "then", "wouldn't",
                                      "you",        "about",      "i",    "why"};
    static const char *const no[] = {"", "th", "thee", "computer", "zebra", "aa", "yourselvess"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
        CHECK_MSG(words_is_stop(str_of(yes[i])), "%s", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
        CHECK_MSG(!words_is_stop(str_of(no[i])), "%s", no[i]);
}
