#include "tests/engines.h"

/* ---- the same answer in any company ---- */

/* Each prompt's answer from an engine that shares, reuses and guesses nothing, on one thread. */
static void answer_alone(const char *path, const struct prompt *p, int n, int max_tokens,
                         double temperature, struct answer *a)
{
    struct model m = load(path, 1);
    struct engine *e = start(
        &m,
        (struct engine_options){.sessions = 1, .slice = 512, .no_reuse = true, .no_lookup = true});
    for (int i = 0; i < n; i++) {
        struct engine_request r = request(&p[i], max_tokens, temperature);
        r.n_logprobs = 1;
        generate_well(e, &r, &a[i]);
        CHECK_INT(a[i].reply.usage.proposed_tokens, 0);
        CHECK_INT(a[i].reply.usage.cached_tokens, 0);
    }
    engine_close(e);
    unload(&m);
}

/* A cache of so many sessions keeps all pages. */
static void check_company(const char *path, const struct prompt *p, int n, int max_tokens,
                          double temperature, struct engine_options o, int threads,
                          const struct answer *want, const char *where)
{
    struct model m = load(path, threads);
    struct engine *e = start(&m, o);
    for (int round = o.slice > 0; round < 2;
         round++) { /* the second finds the pages of the first */
        struct asker k[PROMPTS] = {0};
        for (int i = 0; i < n; i++) {
            k[i].r = request(&p[i], max_tokens, temperature);
            k[i].r.n_logprobs = 1;
        }
        ask_all(e, k, n);
        for (int i = 0; i < n; i++) {
            CHECK_OK(k[i].a.rc, &k[i].a.err);
            check_same(&k[i].a, &want[i], where);
            if (round == 1 && o.slice == 0 && p[i].n > ATTN_PAGE)
                CHECK(k[i].a.reply.usage.cached_tokens >= ATTN_PAGE);
            answer_free(&k[i].a);
        }
    }
    engine_close(e);
    unload(&m);
}

static void check_model(const char *path, int max_tokens, double temperature)
{
    struct model m = load(path, 1);
    int context = decoder_shape_of(m.decoder)->context;
    struct prompt p[PROMPTS];
    struct answer want[PROMPTS] = {0};
    int n = PROMPTS;
    if (context < max_tokens + 12)
        max_tokens = context - 12;
    for (int i = 0; i < n; i++) {
        int most = context - max_tokens, len = 3 + 37 * i;
        p[i] = random_prompt(&m, len < most ? len : most, (uint64_t)i);
    }
    unload(&m);
    answer_alone(path, p, n, max_tokens, temperature, want);
    check_company(path, p, n, max_tokens, temperature, (struct engine_options){.sessions = 32}, 2,
                  want, "all of it");
    check_company(path, p, n, max_tokens, temperature,
                  (struct engine_options){.slice = 13, .no_lookup = true}, 1, want, "slices of 13");
    check_company(path, p, n, max_tokens, temperature,
                  (struct engine_options){.slice = 64, .no_reuse = true}, 2, want, "no reuse");
    for (int i = 0; i < n; i++)
        answer_free(&want[i]);
}

TEST(greedy_answers_are_the_same_in_company_with_reuse_and_with_lookup)
{
    check_model(data_path(STORIES), LONG, 0);
}

TEST(drawn_answers_are_the_same_in_company_with_reuse_and_with_lookup)
{
    check_model(data_path(STORIES), LONG, 0.9);
}

TEST(answers_of_small_weights_are_the_same_in_any_company)
{
    check_model(data_path("models/TinyStories-656K/TinyStories-656K-q8_0.gguf"), LONG, 0);
    check_model(data_path("models/TinyStories-656K/TinyStories-656K-f16.gguf"), LONG / 3, 0.5);
}

TEST(answers_of_every_kind_of_net_are_the_same_in_any_company)
{
    const char *name[] = {"llama-q4_k", "mixtral-f32", "phi3-swa-f32",
                          "qwen3-f32",  "llama-bf16",  "llama-tied-gqa1-f32"};
    for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
        char path[80];
        snprintf(path, sizeof(path), "oracle/%s.gguf", name[i]);
        check_model(data_path(path), LONG < 60 ? 10 : 60, i % 2 ? 1 : 0);
    }
}

TEST(answers_from_a_cache_of_eight_bits_are_the_same_in_any_company)
{
    const char *path = data_path(STORIES);
    struct model m = load(path, 2);
    struct prompt p[2] = {random_prompt(&m, 100, 1), random_prompt(&m, 120, 2)};
    struct answer want = {0};
    struct asker k[2] = {0};
    struct engine *e =
        start(&m, (struct engine_options){.kv_type = ATTN_Q8, .no_lookup = true, .no_reuse = true});
    for (int i = 0; i < 2; i++)
        k[i].r = request(&p[i], 200, 0);
    generate_well(e, &k[1].r, &want);
    engine_close(e);
    e = start(&m, (struct engine_options){.kv_type = ATTN_Q8});
    ask_all(e, k, 2);
    check_same(&k[1].a, &want, "eight bits");
    answer_free(&want);
    for (int i = 0; i < 2; i++)
        answer_free(&k[i].a);
    engine_close(e);
    unload(&m);
}

/* ---- text ---- */

TEST(a_story_goes_on_as_its_golden_text_says)
{
    struct model m = load(data_path(STORIES), 2);
    struct engine *e = start(&m, (struct engine_options){0});
    struct prompt p = encode(&m, "Once upon a time");
    struct engine_request r = request(&p, 40, 0);
    struct answer a = {0};
    generate_well(e, &r, &a);
    CHECK(str_starts(buf_view(&a.text),
                     STR(", there was a little girl named Lily. She loved to play outside in the "
                         "park.")));
    CHECK_INT(a.reply.finish, LLM_LENGTH);
    CHECK_INT(a.reply.usage.completion_tokens, 40);
    CHECK_INT(a.reply.usage.prompt_tokens, p.n);
    CHECK(a.reply.usage.prefill_ms > 0 && a.reply.usage.decode_ms > 0);
    answer_free(&a);
    engine_close(e);
    unload(&m);
}

TEST(a_stop_text_ends_the_answer_before_it_with_and_without_logprobs)
{
    struct model m = load(data_path(STORIES), 1);
    struct engine *e = start(&m, (struct engine_options){0});
    struct prompt p = encode(&m, "Once upon a time");
    struct str stops[] = {STR("zzz"), STR("y. She lo")};
    struct engine_request r = request(&p, 100, 0);
    r.stops = stops;
    r.n_stops = 2;
    for (int logprobs = -1; logprobs < 3; logprobs += 3) {
        struct answer a = {0};
        r.n_logprobs = logprobs;
        generate_well(e, &r, &a);
        CHECK_STR(buf_view(&a.text), ", there was a little girl named Lil");
        CHECK_INT(a.reply.finish, LLM_STOP);
        CHECK(a.reply.usage.completion_tokens < 40);
        answer_free(&a);
    }
    struct str bad = STR("");
    r.stops = &bad;
    r.n_stops = 1;
    struct answer a = {0};
    generate(e, &r, &a);
    CHECK_INT(a.rc, ERR_ARG);
    engine_close(e);
    unload(&m);
}

static void count_text(struct answer *a)
{
    CHECK(a->n_tokens > 0); /* every piece of text comes with what it came from */
}

TEST(logprobs_come_with_the_text_they_belong_to)
{
    struct model m = load(data_path(STORIES), 2);
    struct engine *e = start(&m, (struct engine_options){0});
    struct prompt p = encode(&m, "Once upon a time");
    struct engine_request r = request(&p, 50, 0);
    struct answer a = {.at_piece = count_text};
    r.n_logprobs = 5;
    generate_well(e, &r, &a);
    CHECK_INT(a.n_tokens, 50);
    CHECK_INT(a.n_best, 50); /* greedy */
    CHECK_STR(buf_view(&a.bytes), a.text.ptr);
    answer_free(&a);
    engine_close(e);
    unload(&m);
}

/* ---- reuse and lookup ---- */

TEST(a_conversation_reuses_its_earlier_turns_answers_among_them)
{
    struct model m = load(data_path(STORIES), 2);
    struct engine *e = start(&m, (struct engine_options){0});
    struct prompt p =
        encode(&m, "Once upon a time, there was a boy who had a red ball and a dog. ");
    struct engine_request r = request(&p, 100, 0);
    struct answer a = {0}, b = {0};
    generate_well(e, &r, &a);
    CHECK_INT(a.reply.usage.cached_tokens, 0);
    struct buf all = {0};
    buf_puts(&all, "Once upon a time, there was a boy who had a red ball and a dog. ");
    buf_str(&all, buf_view(&a.text));
    buf_puts(&all, " What then?");
    struct prompt q = encode(&m, all.ptr);
    int same = 0;
    while (same < p.n && q.ids[same] == p.ids[same])
        same++;
    r = request(&q, 20, 0);
    generate_well(e, &r, &b);
    CHECK_MSG(b.reply.usage.cached_tokens > same,
              "%d tokens were reused, %d are the first turn's prompt", b.reply.usage.cached_tokens,
              same);
    CHECK_INT(b.reply.usage.cached_tokens % ATTN_PAGE, 0);
    buf_free(&all);
    answer_free(&a);
    answer_free(&b);
    engine_close(e);
    unload(&m);
}

TEST(prompts_that_come_together_and_begin_alike_are_computed_once)
{
    struct model m = load(data_path(STORIES), 2);
    struct engine *e = start(&m, (struct engine_options){0});
    struct asker k[PROMPTS] = {0};
    struct prompt p[PROMPTS];
    struct engine_state s;
    for (int i = 0; i < PROMPTS; i++) {
        p[i] = random_prompt(&m, 330, 9);
        p[i].ids[328] = 10 + i; /* ten pages alike */
        k[i].r = request(&p[i], 1, 0);
    }
    ask_all(e, k, PROMPTS);
    engine_state(e, &s);
    CHECK_INT(s.prompt_tokens, PROMPTS * 330);
    CHECK_INT(s.reused_tokens, (PROMPTS - 1) * 320);
    for (int i = 0; i < PROMPTS; i++)
        answer_free(&k[i].a);
    engine_close(e);
    unload(&m);
}

TEST(prompts_are_reused_within_a_circle_only_also_of_those_that_come_together)
{
    struct model m = load(data_path(STORIES), 2);
    struct engine *e = start(&m, (struct engine_options){0});
    struct prompt p = random_prompt(&m, 330, 9);
    struct asker k[4] = {0};
    for (int round = 0; round < 2; round++) {
        int reused[2] = {0, 0};
        for (int i = 0; i < 4; i++) {
            k[i] = (struct asker){.r = request(&p, 20, 0)};
            k[i].r.circle = (uint64_t)i % 2;
        }
        ask_all(e, k, 4);
        for (int i = 0; i < 4; i++) {
            CHECK_OK(k[i].a.rc, &k[i].a.err);
            check_same(&k[i].a, &k[0].a, "another circle");
            reused[i % 2] += k[i].a.reply.usage.cached_tokens;
        }
        for (int i = 0; i < 4; i++)
            answer_free(&k[i].a);
        CHECK_INT(reused[0], round ? 2 * 320 : 320);
        CHECK_INT(reused[1], round ? 2 * 320 : 320);
    }
    engine_close(e);
    unload(&m);
}

TEST(an_answer_that_repeats_itself_takes_fewer_passes_than_tokens)
{
    struct model m = load(data_path(STORIES), 1);
    struct prompt p = encode(&m, "Once upon a time");
    struct engine_request r = request(&p, 400, 0);
    struct engine_state s;
    struct answer a = {0};
    struct engine *e = start(&m, (struct engine_options){0});
    generate_well(e, &r, &a);
    engine_state(e, &s);
    CHECK_INT(s.tokens, 400);
    CHECK(a.reply.usage.accepted_tokens > 20);
    CHECK_INT(s.accepted, a.reply.usage.accepted_tokens);
    CHECK_INT(s.proposed, a.reply.usage.proposed_tokens);
    CHECK_INT(s.passes, 400 - a.reply.usage.accepted_tokens);
    CHECK_INT(s.rows, p.n + s.passes - 1 + s.proposed);
    answer_free(&a);
    engine_close(e);
    unload(&m);
}

/* ---- grammar ---- */

static const char *SCHEMA =
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":20},"
    "\"kind\":{\"enum\":[\"red\",\"green\"]},\"tags\":{\"type\":\"array\",\"maxItems\":4,\"items\":"
    "{\"enum\":[\"a red ball\",\"a red bell\"]}}},\"required\":[\"name\",\"kind\",\"tags\"],"
    "\"additionalProperties\":false}";

TEST(a_schema_holds_drawn_answers_with_and_without_lookup)
{
    struct model m = load(data_path(STORIES), 2);
    json_t *schema = json_loads(SCHEMA, 0, NULL);
    struct err err;
    CHECK(schema != NULL);
    struct engine *e[2];
    int accepted = 0;
    for (int i = 0; i < 2; i++)
        e[i] = start(&m, (struct engine_options){.no_lookup = i == 0});
    struct prompt p = encode(&m, SCHEMA);
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct engine_request r = request(&p, 120, seed ? 1 : 0);
        struct answer a[2] = {0};
        r.sampling.seed = seed;
        r.n_logprobs = 2;
        for (int i = 0; i < 2; i++) {
            CHECK_OK(grammar_schema(schema, &r.grammar, &err), &err);
            generate_well(e[i], &r, &a[i]);
            grammar_free(r.grammar);
        }
        check_same(&a[0], &a[1], "with a grammar");
        json_t *got = json_loadb(a[0].text.ptr, a[0].text.len, 0, NULL);
        CHECK_MSG(got && json_is_string(json_object_get(got, "name")) &&
                      json_is_array(json_object_get(got, "tags")) && json_object_size(got) == 3,
                  "no JSON of the schema: %s", a[0].text.ptr);
        CHECK_INT(a[0].reply.finish, LLM_STOP);
        accepted += a[1].reply.usage.accepted_tokens;
        json_decref(got);
        answer_free(&a[0]);
        answer_free(&a[1]);
    }
    CHECK(accepted > 0);
    for (int i = 0; i < 2; i++)
        engine_close(e[i]);
    json_decref(schema);
    unload(&m);
}
