/* Lines on a terminal break between words. */
#include "cmd/wrap.h"
#include "tests/test.h"

/* `text` in pieces of `step` bytes, at most `width` columns. */
static void check_wrapped(const char *text, size_t step, struct wrap w, const char *wanted)
{
    struct buf out = {0};
    struct str s = str_of(text);
    for (size_t i = 0; i < s.len; i += step)
        wrap_add(&w, str_sub(s, i, i + step < s.len ? i + step : s.len), &out);
    wrap_end(&w, &out);
    CHECK_STR(buf_view(&out), wanted);
    buf_free(&out);
}

TEST(wrap_breaks_between_words_however_the_text_arrives)
{
    for (size_t step = 1; step < 30; step++)
        check_wrapped("Rent is due on the third day.", step, (struct wrap){.width = 11},
                      "Rent is due\non the\nthird day.");
}

TEST(wrap_leaves_text_for_a_pipe_as_it_is)
{
    check_wrapped("two  blanks,\n a line far longer than anything", 7, (struct wrap){.indent = 4},
                  "two  blanks,\n a line far longer than anything");
}

TEST(wrap_begins_behind_what_stands_there_and_indents_the_rest)
{
    check_wrapped("Cats are welcome here", 99, (struct wrap){.width = 12, .indent = 4, .column = 4},
                  "Cats are\n    welcome\n    here");
}

TEST(wrap_keeps_line_breaks_and_lets_a_long_word_stand)
{
    check_wrapped("one\n\na-word-too-long two", 99, (struct wrap){.width = 8},
                  "one\n\na-word-too-long\ntwo");
}

TEST(wrap_parts_signs_that_stand_without_blanks_and_counts_columns)
{
    check_wrapped("\u4e2d\u6587\u4e2d\u6587", 99, (struct wrap){.width = 6},
                  "\u4e2d\u6587\u4e2d\n\u6587");
    check_wrapped("e\u0301e\u0301 e\u0301", 99, (struct wrap){.width = 4}, "e\u0301e\u0301 e\u0301");
}
