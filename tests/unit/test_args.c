#include "cmd/args.h"
#include "tests/test.h"

struct options {
    bool loud;
    const char *text;
    int64_t top;
    double share;
    struct cmd c;
    int status;
};

/* Parse argv[argc] by a table with an option of each kind; the count of words. */
static int parse(struct options *o, int argc, char **argv)
{
    const struct arg args[] = {
        {"loud", ARG_FLAG, &o->loud, NULL, "", 0, 0},
        {"text", ARG_TEXT, &o->text, "TEXT", "", 0, 0},
        {"top", ARG_INT, &o->top, "N", "", 1, 100},
        {"share", ARG_NUM, &o->share, "X", "", 0, 1},
    };
    const struct args_usage u = {"try", "WORD...", "A trial.", args, 4};
    return args_parse(&u, &o->c, argc, argv, &o->status);
}
#define PARSE(o, ...)                                                                              \
    parse(o, (int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)), (char *[]){__VA_ARGS__})

TEST(args_takes_options_anywhere_between_the_words)
{
    struct options o = {0};
    char *argv[] = {"try", "one", "--loud", "--top", "7", "two", "--text=a=b", "--share", "0.5"};
    CHECK_INT(parse(&o, 9, argv), 2);
    CHECK(strcmp(argv[0], "one") == 0 && strcmp(argv[1], "two") == 0);
    CHECK(o.loud && strcmp(o.text, "a=b") == 0 && o.top == 7 && o.share == 0.5);
}

TEST(args_understands_the_common_options_in_every_verb)
{
    struct options o = {0};
    CHECK_INT(PARSE(&o, "try", "--json", "--data", "d", "--server", "u", "--key-file", "k"), 0);
    CHECK(o.c.json && strcmp(o.c.data_dir, "d") == 0 && strcmp(o.c.server, "u") == 0);
}

TEST(args_ends_the_options_at_two_dashes)
{
    struct options o = {0};
    char *argv[] = {"try", "--", "--loud", "-x"};
    CHECK_INT(parse(&o, 4, argv), 2);
    CHECK(!o.loud && strcmp(argv[0], "--loud") == 0 && strcmp(argv[1], "-x") == 0);
}

TEST(args_keeps_a_single_dash_as_a_word)
{
    struct options o = {0};
    CHECK_INT(PARSE(&o, "try", "-"), 1);
}

TEST(args_refuses_what_it_does_not_know_or_cannot_read)
{
    struct options o = {0};
    CHECK_INT(PARSE(&o, "try", "--lod"), -1);
    CHECK_INT(o.status, CMD_USAGE);
    CHECK_INT(PARSE(&o, "try", "--top", "101"), -1);
    CHECK_INT(PARSE(&o, "try", "--top", "7x"), -1);
    CHECK_INT(PARSE(&o, "try", "--top"), -1);
    CHECK_INT(PARSE(&o, "try", "--loud=yes"), -1);
    CHECK_INT(PARSE(&o, "try", "--share", "nan"), -1);
    CHECK_INT(PARSE(&o, "try", "-v"), -1);
    CHECK_INT(o.top, 0);
}

TEST(args_suggests_a_near_word_and_no_far_one)
{
    const char *const verbs[] = {"search", "serve", "show"};
    CHECK(strcmp(args_nearest("serach", verbs, 3), "search") == 0);
    CHECK(strcmp(args_nearest("sow", verbs, 3), "show") == 0);
    CHECK(args_nearest("frobnicate", verbs, 3) == NULL);
    CHECK(args_nearest("", verbs, 3) == NULL);
}
