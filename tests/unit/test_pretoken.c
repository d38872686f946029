/* tests/unit/test_pretoken.c - words as the published expressions cut them. */
#include "model/pretoken.h"
#include "tests/cases.h"
#include "tests/test.h"

#define BAR "\xc2\xa6"

static enum err_code add_word(void *arg, struct str word, struct err *err)
{
    struct buf *out = arg;
    (void)err;
    CHECK(word.len > 0);
    if (out->len)
        buf_puts(out, BAR);
    buf_str(out, word);
    return OK;
}

static void show(struct str input, struct buf *out)
{
    struct err err = {0};
    size_t bar = str_find(input, STR(BAR), 0);
    const struct pretoken *p = pretoken_find(str_sub(input, 0, bar));
    CHECK(p != NULL);
    CHECK_OK(pretoken_split(p, str_sub(input, bar + 2, input.len), add_word, out, &err), &err);
}

TEST(pretoken_cuts_as_the_published_expressions_do)
{
    cases_run("tests/cases/pretoken.txt", show);
}

static enum err_code refuse(void *arg, struct str word, struct err *err)
{
    int *calls = arg;
    (void)word;
    return ++*calls == 2 ? err_set(err, ERR_NOMEM, "no more") : OK;
}

TEST(pretoken_stops_at_the_first_error)
{
    int calls = 0;
    struct err err = {0};
    CHECK_ERR(pretoken_split(pretoken_find(STR("falcon")), STR("a b c d"), refuse, &calls, &err),
              ERR_NOMEM);
    CHECK_INT(calls, 2);
}

TEST(pretoken_of_nothing_is_nothing_and_unknown_names_are_unknown)
{
    int calls = 0;
    struct err err = {0};
    CHECK_OK(pretoken_split(pretoken_find(STR("")), STR(""), refuse, &calls, &err), &err);
    CHECK_INT(calls, 0);
    CHECK(pretoken_find(STR("none-such")) == NULL);
    CHECK(pretoken_whole_words(pretoken_find(STR("llama-bpe"))) &&
          !pretoken_whole_words(pretoken_find(STR("qwen2"))));
}
