#include "base/sentence.h"
#include "base/clock.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "tests/cases.h"
#include "tests/test.h"

static void sentences_of(struct str text, struct buf *out)
{
    for (size_t at = 0; at < text.len;) {
        size_t end = sentence_end(text, at);
        CHECK(end > at && end <= text.len);
        buf_char(out, '[');
        buf_str(out, str_sub(text, at, end));
        buf_char(out, ']');
        at = end;
    }
}

TEST(sentences_are_what_the_case_file_says)
{
    cases_run("tests/cases/sentence.txt", sentences_of);
}

/* Text of the characters that decide, in random order. */
static void random_text(struct rng *r, struct buf *b, int n)
{
    static const char *const piece[] = {".",   "!",    "?",        " ", "\n",  "\r\n", "\n\n",
                                        "Mr",  "No",   "a",        "B", "3",   "(",    ")",
                                        "\"",  "「",   "。",       "…", "[1]", "- ",   "é",
                                        "U.S", "\xff", "\xe3\x80", "I", "etc", "\f",   "।"};
    buf_reset(b);
    for (int i = 0; i < n; i++)
        buf_puts(b, piece[rng_below(r, sizeof(piece) / sizeof(*piece))]);
}

TEST(sentences_tile_any_text_on_boundaries)
{
    struct rng r;
    rng_init(&r, 7);
    struct buf b = {0};
    for (int round = 0; round < 3000; round++) {
        random_text(&r, &b, 40);
        struct str s = buf_view(&b);
        for (size_t at = 0, end; at < s.len; at = end) {
            end = sentence_end(s, at);
            CHECK(end > at && end <= s.len);
            CHECK_INT(utf8_floor(s, end), end);
        }
    }
    buf_free(&b);
}

TEST(sentences_end_at_the_same_places_whether_or_not_more_text_precedes)
{
    struct str s = STR("First one. Second (with 3.5) is here! Third");
    struct str tail = str_sub(s, 11, s.len);
    CHECK_INT(sentence_end(s, 11) - 11, sentence_end(tail, 0));
}
