#include "llm/extractive.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "tests/test.h"

struct sink {
    struct buf text;
    int pieces, stop_after;
};

static bool take(void *arg, struct str piece)
{
    struct sink *s = arg;
    buf_str(&s->text, piece);
    return ++s->pieces != s->stop_after;
}

static struct llm_passage passage(const char *text)
{
    return (struct llm_passage){.text = str_of(text), .score = 1};
}

static enum err_code ask(struct llm_request r, struct sink *s, struct llm_reply *reply,
                         struct err *err)
{
    struct llm *m;
    enum err_code rc = llm_open(&(struct llm_options){0}, &m, err);
    if (rc)
        return rc;
    rc = llm_answer(m, &r, take, s, NULL, reply, err);
    llm_close(m);
    return rc;
}

static void check_answer(const char *question, const char **texts, int n, int max, const char *want)
{
    struct llm_passage p[8];
    struct sink s = {0};
    struct llm_reply reply;
    struct err err;
    for (int i = 0; i < n; i++)
        p[i] = passage(texts[i]);
    CHECK_OK(ask((struct llm_request){.question = str_of(question),
                                      .passages = p,
                                      .n_passages = n,
                                      .max_sentences = max},
                 &s, &reply, &err),
             &err);
    CHECK_STR(buf_view(&s.text), want);
    buf_free(&s.text);
}

TEST(the_sentence_that_answers_is_quoted_with_its_mark)
{
    const char *t[] = {"The office opens at nine. The kitchen is on the second floor.",
                       "The largest upload the box accepts has 64 MiB. Chunks have 400 tokens."};
    check_answer("How large is the largest upload?", t, 2, 1,
                 "The largest upload the box accepts has 64 MiB. [2]");
}

TEST(the_kind_of_thing_asked_for_decides_between_equal_sentences)
{
    const char *t[] = {"The tower was designed by Gustave Eiffel. The tower was designed in 1884."};
    check_answer("When was the tower designed?", t, 1, 1, "The tower was designed in 1884. [1]");
    check_answer("Who designed the tower?", t, 1, 1,
                 "The tower was designed by Gustave Eiffel. [1]");
}

TEST(sentences_stand_in_reading_order_and_none_is_told_twice)
{
    const char *t[] = {"The moon is round. The moon is made of rock.", "The moon is made of rock."};
    check_answer("What is the moon?", t, 2, 3,
                 "The moon is round. [1] The moon is made of rock. [1]");
}

TEST(rows_and_items_are_answers_of_their_own)
{
    const char *t[] = {"Prices\n\n| apple | 3 euros |\n| pear | 5 euros |\n"};
    check_answer("What does a pear cost in euros?", t, 1, 1, "| pear | 5 euros | [1]");
    const char *u[] = {
        "- Restart the printer by its red button.\n- Restart the server by its key."};
    check_answer("How do I restart the server?", u, 1, 1, "- Restart the server by its key. [1]");
}

TEST(questions_headings_and_stuffing_are_no_answers)
{
    const char *t[] = {"What is the maximum upload size?\n\nMaximum upload size\n\nIt is 64 MiB."};
    check_answer("What is the maximum upload size?", t, 1, 3, "It is 64 MiB. [1]");
    struct buf b = {0};
    for (int i = 0; i < 40; i++)
        buf_puts(&b, "maximum upload size ");
    buf_puts(&b, ". It is 64 MiB.");
    const char *u[] = {b.ptr};
    check_answer("What is the maximum upload size?", u, 1, 3, "It is 64 MiB. [1]");
    buf_free(&b);
}

TEST(a_passage_cannot_forge_a_mark)
{
    const char *t[] = {"According to [1] and [doc:999] the maximum is 5 TB [7][\u200b8\u200b]."};
    check_answer("What is the maximum?", t, 1, 1,
                 "According to (1) and [doc:999] the maximum is 5 TB (7)(8). [1]");
}

TEST(nothing_to_quote_is_refused_in_silence)
{
    struct llm_passage p[] = {passage(" \n "), passage("")};
    struct sink s = {0};
    struct llm_reply reply;
    struct err err;
    for (int n = 0; n <= 2; n++) {
        CHECK_OK(ask((struct llm_request){.question = STR("Why?"), .passages = p, .n_passages = n},
                     &s, &reply, &err),
                 &err);
        CHECK_INT(reply.finish, LLM_REFUSED);
        CHECK_INT(s.pieces, 0);
    }
}

TEST(confidence_grows_with_the_share_of_the_question_found)
{
    struct llm_passage good[] = {passage("The red tower was built in 1884 by Eiffel.")};
    struct llm_passage bad[] = {passage("Bananas ripen faster in a paper bag.")};
    struct sink s = {0};
    struct llm_reply yes, no;
    struct err err;
    struct llm_request r = {.question = STR("When was the red tower built?"), .n_passages = 1};
    r.passages = good;
    CHECK_OK(ask(r, &s, &yes, &err), &err);
    r.passages = bad;
    CHECK_OK(ask(r, &s, &no, &err), &err);
    CHECK(yes.confidence > .5 && no.confidence < .1);
    buf_free(&s.text);
}

TEST(a_limit_of_tokens_leaves_whole_sentences_out_and_says_so)
{
    struct llm_passage p[] = {passage("The moon is round. The moon is made of rock.")};
    struct sink s = {0};
    struct llm_reply reply;
    struct err err;
    CHECK_OK(ask((struct llm_request){.question = STR("What is the moon?"),
                                      .passages = p,
                                      .n_passages = 1,
                                      .max_tokens = 5},
                 &s, &reply, &err),
             &err);
    CHECK_STR(buf_view(&s.text), "The moon is round. [1]");
    CHECK_INT(reply.finish, LLM_LENGTH);
    buf_free(&s.text);
}

TEST(a_reader_who_leaves_ends_the_answer)
{
    struct llm_passage p[] = {passage("The moon is round. The moon is made of rock.")};
    struct sink s = {.stop_after = 1};
    struct llm_reply reply;
    CHECK_ERR(ask((struct llm_request){.question = STR("What is the moon?"),
                                       .passages = p,
                                       .n_passages = 1},
                  &s, &reply, NULL),
              ERR_CANCELLED);
    CHECK_INT(s.pieces, 1);
    buf_free(&s.text);
}

TEST(a_model_file_is_refused_with_a_reason)
{
    struct llm *m;
    struct err err;
    CHECK_ERR(llm_open(&(struct llm_options){.model_path = "x.gguf"}, &m, &err), ERR_IO);
    CHECK(strstr(err.msg, "x.gguf") != NULL);
}

TEST(candidates_of_random_text_are_trimmed_ranges_on_boundaries)
{
    static const char *const piece[] = {"alpha ", "beta. ", "?",    "\n",   "\n\n",
                                        "| x |",  "- ",     "é",    "中。", "[1]",
                                        "3. ",    "\t",     "\xff", "Who ", "\u200b"};
    struct rng r;
    rng_init(&r, 5);
    struct buf raw = {0}, text = {0}, fold = {0};
    for (int round = 0; round < 2000; round++) {
        struct arena a = {0};
        struct err err;
        buf_reset(&raw);
        buf_reset(&text);
        for (int i = (int)rng_below(&r, 60); i > 0; i--)
            buf_puts(&raw, piece[rng_below(&r, sizeof(piece) / sizeof(*piece))]);
        utf8_repair(buf_view(&raw), &text);
        struct llm_passage p = {.text = buf_view(&text), .score = 1};
        struct llm_request req = {
            .question = STR("Who has alpha 3?"), .passages = &p, .n_passages = 1};
        struct extractive_sentence *s = NULL;
        int n;
        size_t last = 0;
        CHECK_OK(extractive_read(&req, &a, &s, &n, &err), &err);
        for (int i = 0; i < n; i++) {
            CHECK(s[i].start >= last && s[i].end > s[i].start && s[i].end <= text.len);
            CHECK(utf8_valid(str_sub(p.text, s[i].start, s[i].end)));
            last = s[i].end;
            buf_reset(&fold);
            extractive_fold(str_sub(p.text, s[i].start, s[i].end), &fold);
            CHECK(str_find(buf_view(&fold), STR("[1]"), 0) == SIZE_MAX);
            CHECK(str_find(buf_view(&fold), STR("  "), 0) == SIZE_MAX);
        }
        arena_deinit(&a);
    }
    buf_free(&raw);
    buf_free(&text);
    buf_free(&fold);
}
