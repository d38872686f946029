#include "query/query.h"
#include "tests/unit/box.h"

#define CORPUS "tests/corpus"

static void open_library(struct box *b)
{
    static const char *const name[] = {"opening-hours.md", "lending-rules.md", "reading-room.txt",
                                       "computers.md", "friends.html"};
    box_open(b);
    for (int i = 0; i < 5; i++)
        box_add_file(b, CORPUS, name[i]);
}

static bool refused(const json_t *reply)
{
    return strcmp(box_str(reply, "finish_reason"), "refused") == 0;
}

static int check_question(struct box *b, struct str line)
{
    struct str question, document, words;
    CHECK(str_split(&line, '\t', &question) && str_split(&line, '\t', &document) &&
          str_split(&line, '\t', &words));
    char *q = str_dup(question);
    json_t *reply = box_ask(b, q);
    const json_t *first = json_array_get(json_object_get(reply, "citations"), 0);
    box_check_reply(b, reply);
    bool right = str_eqz(document, "-")
                     ? refused(reply)
                     : !refused(reply) &&
                           str_find(str_of(box_str(reply, "answer")), words, 0) != SIZE_MAX &&
                           str_eqz(document, box_str(first, "document_name"));
    if (!right)
        printf("    %s -> %s (%.2f)\n", q, box_str(reply, "answer"),
               json_number_value(json_object_get(reply, "evidence")));
    free(q);
    json_decref(reply);
    return right;
}

TEST(questions_about_the_library_are_answered_from_the_right_document)
{
    struct box b;
    struct buf file = {0};
    struct err err;
    struct str line;
    int right = 0, all = 0;
    open_library(&b);
    CHECK_OK(file_read("tests/cases/library.tsv", 1 << 16, &file, &err), &err);
    struct str rest = buf_view(&file);
    str_split(&rest, '\n', &line);
    while (rest.len && str_split(&rest, '\n', &line)) {
        right += check_question(&b, line);
        all++;
    }
    fflush(stdout);
    CHECK_INT(all, 18);
    CHECK_INT(right, all);
    buf_free(&file);
    box_close(&b);
}

static json_t *search(struct box *b, const char *query, enum search_mode mode, int top_k)
{
    struct arena a = {0};
    struct search_result r;
    struct err err;
    struct search_request req = {
        .query = str_of(query), .mode = mode, .top_k = top_k, .explain = true};
    CHECK_OK(query_search(b->query, &req, &a, &r, &err), &err);
    json_t *o = query_search_json(&req, &r);
    arena_deinit(&a);
    return o;
}

TEST(every_hit_is_the_stored_text_of_its_span)
{
    struct box b;
    struct err err;
    open_library(&b);
    for (int mode = SEARCH_HYBRID; mode <= SEARCH_WORDS; mode++) {
        json_t *o = search(&b, "fee for a late book", (enum search_mode)mode, 10);
        const json_t *hits = json_object_get(o, "hits");
        CHECK(json_array_size(hits) > 0);
        double last = 1e9;
        for (size_t i = 0; i < json_array_size(hits); i++) {
            const json_t *h = json_array_get(hits, i);
            struct arena a = {0};
            struct str text;
            CHECK_OK(index_text(b.index, box_str(h, "document_id"), &a, &text, &err), &err);
            CHECK(str_eq(str_of(box_str(h, "text")),
                         str_sub(text, (size_t)box_int(h, "span", "start"),
                                 (size_t)box_int(h, "span", "end"))));
            CHECK_INT(box_int(h, NULL, "n"), i + 1);
            double score = json_number_value(json_object_get(h, "score"));
            CHECK(score <= last);
            last = score;
            arena_deinit(&a);
        }
        CHECK_STR(str_of(box_str(json_array_get(hits, 0), "document_name")), "lending-rules.md");
        CHECK_STR(str_of(box_str(o, "mode")), search_mode_name((enum search_mode)mode));
        json_decref(o);
    }
    box_close(&b);
}

TEST(neighbouring_chunks_of_a_long_document_become_one_hit)
{
    struct box b;
    struct buf text = {0};
    struct err err;
    box_open(&b);
    for (int i = 0; i < 120; i++)
        buf_printf(&text, "Sentence %d says that the lighthouse keeper counts ships. ", i);
    box_add(&b, "long", buf_view(&text));
    struct arena a = {0};
    struct search_result r, apart;
    struct search_request req = {.query = STR("lighthouse keeper counts ships"), .top_k = 10};
    CHECK_OK(query_search(b.query, &req, &a, &r, &err), &err);
    req.no_merge = true;
    CHECK_OK(query_search(b.query, &req, &a, &apart, &err), &err);
    CHECK(apart.n_hits > 1 && r.n_hits < apart.n_hits);
    CHECK(r.hits[0].end - r.hits[0].start > apart.hits[0].end - apart.hits[0].start);
    CHECK(str_eq(r.hits[0].text, str_sub(buf_view(&text), r.hits[0].start, r.hits[0].end)));
    arena_deinit(&a);
    buf_free(&text);
    box_close(&b);
}

TEST(a_side_that_cannot_serve_is_named_in_degraded)
{
    struct box b;
    open_library(&b);
    json_t *o = search(&b, "\xf0\x90\x8d\x88\xf0\x90\x8d\x88", SEARCH_HYBRID, 5);
    CHECK_INT(json_array_size(json_object_get(o, "degraded")), 1);
    CHECK_STR(str_of(box_str(o, "mode")), "words");
    CHECK_INT(json_array_size(json_object_get(o, "hits")), 0);
    json_decref(o);
    box_close(&b);
}

TEST(an_answer_is_kept_until_a_document_changes)
{
    struct box b;
    open_library(&b);
    json_t *one = box_ask(&b, "Who built the reading room?");
    json_t *two = box_ask(&b, "  who BUILT the reading   room");
    CHECK(json_is_false(json_object_get(one, "cached")));
    CHECK(json_is_true(json_object_get(two, "cached")));
    CHECK_STR(str_of(box_str(one, "answer")), box_str(two, "answer"));
    box_add(&b, "new", STR("The roof of the reading room leaks."));
    json_t *three = box_ask(&b, "Who built the reading room?");
    CHECK(json_is_false(json_object_get(three, "cached")));
    const json_t *c = json_array_get(json_object_get(three, "citations"), 0);
    struct removed gone;
    struct err err;
    CHECK_OK(index_remove(b.index, box_str(c, "document_id"), &gone, &err), &err);
    CHECK(gone.answers > 0);
    json_t *four = box_ask(&b, "Who built the reading room?");
    CHECK(json_is_false(json_object_get(four, "cached")));
    CHECK(strstr(box_str(four, "answer"), "Brandt") == NULL);
    json_decref(one);
    json_decref(two);
    json_decref(three);
    json_decref(four);
    box_close(&b);
}

TEST(a_follow_up_is_searched_in_the_light_of_the_question_before)
{
    struct box b;
    struct err err;
    json_t *one = NULL, *two = NULL;
    open_library(&b);
    struct ask_request r = {.question = STR("Who founded the Friends of the Quay Library?"),
                            .conversation = ""};
    CHECK_OK(query_ask(b.query, &r, NULL, NULL, &one, &err), &err);
    struct ask_request next = {.question = STR("In which year was that?"),
                               .conversation = box_str(one, "conversation_id")};
    CHECK_OK(query_ask(b.query, &next, NULL, NULL, &two, &err), &err);
    CHECK(strstr(box_str(two, "search_query"), "Friends") != NULL);
    CHECK(strstr(box_str(two, "answer"), "1978") != NULL);
    CHECK_STR(str_of(box_str(two, "conversation_id")), box_str(one, "conversation_id"));
    struct ask_request lost = {.question = STR("Why?"), .conversation = "nosuchconversation"};
    json_t *three = NULL;
    CHECK_ERR(query_ask(b.query, &lost, NULL, NULL, &three, &err), ERR_NOTFOUND);
    json_decref(one);
    json_decref(two);
    box_close(&b);
}

struct told {
    struct buf order, answer;
    int citations, leave_at, events;
};

static bool told(struct told *t, char what)
{
    buf_char(&t->order, what);
    return ++t->events != t->leave_at;
}

static bool on_query(void *arg, struct str q)
{
    CHECK(q.len > 0);
    return told(arg, 'q');
}

static bool on_sources(void *arg, const json_t *hits)
{
    CHECK(json_is_array(hits));
    return told(arg, 's');
}

static bool on_delta(void *arg, struct str text)
{
    buf_str(&((struct told *)arg)->answer, text);
    return told(arg, 'd');
}

static bool on_citation(void *arg, const json_t *c)
{
    struct told *t = arg;
    t->citations++;
    /* what it speaks of has been told */
    CHECK((size_t)box_int(c, "answer_span", "end") <= t->answer.len);
    return told(t, 'c');
}

TEST(events_tell_the_same_as_the_reply_and_in_order)
{
    struct box b;
    struct err err;
    open_library(&b);
    for (int round = 0; round < 2; round++) { /* made, then from the cache */
        struct told t = {.leave_at = -1};
        struct ask_events e = {on_query, on_sources, on_delta, on_citation, &t};
        struct ask_request r = {.question =
                                    STR("Who may hold a library card and what does it cost?")};
        json_t *reply = NULL;
        CHECK_OK(query_ask(b.query, &r, &e, NULL, &reply, &err), &err);
        CHECK_STR(buf_view(&t.answer), box_str(reply, "answer"));
        CHECK_INT(t.citations, json_array_size(json_object_get(reply, "citations")));
        CHECK(str_starts(buf_view(&t.order), STR("qsdc")));
        box_check_reply(&b, reply);
        json_decref(reply);
        buf_free(&t.answer);
        buf_free(&t.order);
    }
    box_close(&b);
}

TEST(a_reader_who_leaves_stops_the_work)
{
    struct box b;
    open_library(&b);
    for (int at = 1; at <= 4; at++) {
        struct told t = {.leave_at = at};
        struct ask_events e = {on_query, on_sources, on_delta, on_citation, &t};
        struct ask_request r = {.question = STR("Who built the reading room?")};
        json_t *reply = NULL;
        CHECK_ERR(query_ask(b.query, &r, &e, NULL, &reply, NULL), ERR_CANCELLED);
        CHECK_INT(t.events, at);
        CHECK(reply == NULL);
        buf_free(&t.answer);
        buf_free(&t.order);
    }
    box_close(&b);
}

TEST(an_empty_store_refuses_and_says_why)
{
    struct box b;
    box_open(&b);
    json_t *reply = box_ask(&b, "Is anybody there?");
    CHECK(refused(reply));
    CHECK_STR(str_of(box_str(reply, "grounded")), "none");
    CHECK(strstr(box_str(reply, "answer"), "no documents") != NULL);
    json_decref(reply);
    box_close(&b);
}

TEST(requests_out_of_range_are_refused_not_bent)
{
    struct box b;
    struct err err;
    struct arena a = {0};
    struct search_result r;
    json_t *reply = NULL;
    box_open(&b);
    struct search_request empty = {.query = STR("")}, wide = {.query = STR("x"), .top_k = 1001};
    struct search_request bad = {.query = STR("\xff")},
                          lost = {.query = STR("x"), .collection = "no"};
    CHECK_ERR(query_search(b.query, &empty, &a, &r, &err), ERR_ARG);
    CHECK_ERR(query_search(b.query, &wide, &a, &r, &err), ERR_ARG);
    CHECK_ERR(query_search(b.query, &bad, &a, &r, &err), ERR_ARG);
    CHECK_ERR(query_search(b.query, &lost, &a, &r, &err), ERR_NOTFOUND);
    struct ask_request hot = {.question = STR("x"), .sampling.temperature = 3};
    struct ask_request filter = {.question = STR("x"), .filter = "[1]"};
    CHECK_ERR(query_ask(b.query, &hot, NULL, NULL, &reply, &err), ERR_ARG);
    CHECK_ERR(query_ask(b.query, &filter, NULL, NULL, &reply, &err), ERR_ARG);
    enum search_mode m;
    CHECK_ERR(search_mode_parse(STR("fuzzy"), &m, &err), ERR_ARG);
    CHECK(strstr(err.msg, "hybrid, dense or words") != NULL);
    arena_deinit(&a);
    box_close(&b);
}

TEST(counts_tell_searches_answers_refusals_and_cache_hits)
{
    struct box b;
    struct query_counts c;
    open_library(&b);
    json_decref(search(&b, "desks", SEARCH_WORDS, 3));
    json_decref(box_ask(&b, "Who built the reading room?"));
    json_decref(box_ask(&b, "Who built the reading room?"));
    json_decref(box_ask(&b, "What is the boiling point of mercury?"));
    query_counts(b.query, &c);
    CHECK_INT(c.searches, 1);
    CHECK_INT(c.asks, 3);
    CHECK_INT(c.cached, 1);
    CHECK_INT(c.refused, 1);
    CHECK(c.ask_ms > 0);
    box_close(&b);
}

/* Documents that attack: nothing they say may become a citation, and the honest
 * document's answer stays in sight. */
TEST(hostile_passages_forge_no_citation_and_hide_no_answer)
{
    struct buf file = {0};
    struct err err;
    json_t *cases;
    CHECK_OK(file_read(data_path("hostile/injection/cases.json"), 1 << 20, &file, &err), &err);
    CHECK_OK(json_read(buf_view(&file), &cases, &err), &err);
    struct box b;
    box_open(&b);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i), *want = json_object_get(c, "must_contain");
        box_add(&b, "benign", str_of(box_str(c, "benign")));
        box_add(&b, "poison", str_of(box_str(c, "poison")));
        json_t *reply = box_ask(&b, box_str(c, "question"));
        box_check_reply(&b, reply);
        for (size_t k = 0; k < json_array_size(want); k++)
            CHECK_MSG(strstr(box_str(reply, "answer"), json_string_value(json_array_get(want, k))),
                      "%s: %s", box_str(c, "id"), box_str(reply, "answer"));
        json_decref(reply);
    }
    json_decref(cases);
    buf_free(&file);
    box_close(&b);
}
