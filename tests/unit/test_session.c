#include "query/session.h"
#include "tests/test.h"

static void check_resolve(const char *before, const char *question, const char *want)
{
    struct arena a = {0};
    struct str out;
    struct err err;
    CHECK_OK(session_resolve(str_of(before), str_of(question), &a, &out, &err), &err);
    CHECK_STR(out, want);
    arena_deinit(&a);
}

TEST(a_question_that_points_back_takes_the_last_ones_words_along)
{
    check_resolve("Who designed the Eiffel Tower?", "When was it built?",
                  "When was it built? designed Eiffel Tower");
    check_resolve("Where was Marie Curie born?", "And which prizes did she win in Stockholm?",
                  "And which prizes did she win in Stockholm? Marie Curie born");
}

TEST(a_question_too_short_to_stand_alone_takes_the_last_ones_words_along)
{
    check_resolve("How large may an upload be?", "Why?", "Why? large upload");
}

TEST(a_question_that_stands_alone_is_left_alone)
{
    check_resolve("Who designed the Eiffel Tower?", "Which rivers flow through Vienna?",
                  "Which rivers flow through Vienna?");
    check_resolve("", "Why is it so?", "Why is it so?");
}

TEST(words_the_question_has_already_are_not_carried)
{
    check_resolve("Who designed the Eiffel Tower?", "Is it the tower's top?",
                  "Is it the tower's top? designed Eiffel");
}
