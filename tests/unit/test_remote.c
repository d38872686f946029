#include "base/clock.h"
#include "llm/remote.h"
#include "tests/unit/stand_in.h"

#define STREAM      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
#define DELTA(text) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define FINISH(why)                                                                                \
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" why "\"}]}\n\n"
#define USAGE                                                                                      \
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3,"               \
    "\"prompt_tokens_details\":{\"cached_tokens\":8}}}\n\n"
#define DONE "data: [DONE]\n\n"
#define GOOD STREAM DELTA("Hel") DELTA("lo") FINISH("stop") USAGE DONE
/* Refused for now; comes back at once. */
#define BUSY(status)                                                                               \
    "HTTP/1.1 " status " No\r\nRetry-After-Ms: 1\r\nConnection: close\r\n"                         \
    "Content-Type: application/json\r\n\r\n{\"error\":{\"message\":\"not now\"}}"

static const struct llm_message question[] = {{LLM_SYSTEM, {"Be brief.", 9}},
                                              {LLM_USER, {"Say \"hi\"\n", 9}}};

/* One chat against scenes. */
struct talk {
    struct stand_in server;
    struct llm_remote_options opt;
    struct llm_chat req;
    struct llm_chat_reply reply;
    struct buf text;   /* what was emitted, "|" behind each piece */
    struct buf tokens; /* "token:logprob[top,top] " */
    int leave_after;   /* pieces; 0: never */
    int pieces;
    struct err err;
};

static bool hear(void *arg, const struct llm_piece *p)
{
    struct talk *t = arg;
    buf_printf(&t->text, "%.*s|", STR_ARG(p->text));
    for (int i = 0; i < p->n_tokens; i++) {
        buf_printf(&t->tokens, "%.*s:%.2f[", STR_ARG(p->tokens[i].bytes), p->tokens[i].logprob);
        for (int k = 0; k < p->tokens[i].n_top; k++)
            buf_printf(&t->tokens, "%.*s,", STR_ARG(p->tokens[i].top[k].text));
        buf_puts(&t->tokens, "] ");
    }
    return ++t->pieces != t->leave_after;
}

/* The zero talk with a question. */
static struct talk new_talk(void)
{
    return (struct talk){.req = {.messages = question, .n_messages = 2},
                         .opt = {.name = "far", .model = "big", .timeout_ms = 20000}};
}

static enum err_code chat(struct talk *t, const struct scene *scenes, int n)
{
    struct remote *r;
    stand_in_start(&t->server, scenes, n);
    t->opt.url = t->server.url;
    CHECK_OK(remote_open(&t->opt, &r, &t->err), &t->err);
    enum err_code rc = remote_chat(r, &t->req, hear, t, NULL, &t->reply, &t->err);
    remote_close(r);
    stand_in_stop(&t->server);
    return rc;
}

static void end_talk(struct talk *t)
{
    stand_in_deinit(&t->server);
    buf_free(&t->text);
    buf_free(&t->tokens);
}

TEST(remote_streams_an_answer_however_the_bytes_are_cut)
{
    static const size_t pieces[] = {0, 1, 2, 3, 7, 61};
    for (int i = 0; i < 6; i++) {
        struct talk t = new_talk();
        const struct scene s[] = {{GOOD, pieces[i], false}};
        CHECK_OK(chat(&t, s, 1), &t.err);
        CHECK_STR(buf_view(&t.text), "Hel|lo|");
        CHECK_STR(str_of(t.reply.model), "far");
        CHECK_INT(t.reply.finish, LLM_STOP);
        CHECK_INT(t.reply.usage.prompt_tokens, 12);
        CHECK_INT(t.reply.usage.completion_tokens, 3);
        CHECK_INT(t.reply.usage.cached_tokens, 8);
        CHECK_INT(t.reply.usage.n_attempts, 1);
        CHECK_INT(t.reply.usage.attempts[0].status, 200);
        CHECK_STR(str_of(t.reply.usage.attempts[0].error), "");
        end_talk(&t);
    }
}

TEST(remote_asks_for_what_was_asked)
{
    static const struct str stops[] = {{"END", 3}, {"\n\n", 2}};
    struct talk t = new_talk();
    json_t *schema = json_pack("{s:s}", "type", "string");
    t.req.sampling =
        (struct llm_sampling){.temperature = 0.5, .top_p = 0.25, .seed = 42, .top_k = 9};
    t.req.stops = stops;
    t.req.n_stops = 2;
    t.req.max_tokens = 77;
    t.req.schema = schema;
    t.req.logprobs = true;
    t.req.n_logprobs = 2;
    const struct scene s[] = {{STREAM DELTA("\\\"hi\\\"") FINISH("stop") DONE, 0, false}};
    CHECK_OK(chat(&t, s, 1), &t.err);
    struct str sent = buf_view(&t.server.seen[0]);
    CHECK(str_starts(sent, STR("POST /v1/chat/completions HTTP/1.1\r\n")));
    CHECK(stand_in_saw(&t.server, 0, "Content-Type: application/json\r\n"));
    CHECK(!stand_in_saw(&t.server, 0, "Authorization"));
    json_t *body;
    size_t head = str_find(sent, STR("\r\n\r\n"), 0);
    CHECK_OK(json_read(str_sub(sent, head + 4, sent.len), &body, &t.err), &t.err);
    json_t *want = json_pack(
        "{s:s,s:b,s:{s:b},s:[{s:s,s:s},{s:s,s:s}],s:i,s:f,s:f,s:i,s:i,s:[s,s],s:b,s:i,"
        "s:{s:s,s:{s:s,s:b,s:O}}}",
        "model", "big", "stream", 1, "stream_options", "include_usage", 1, "messages", "role",
        "system", "content", "Be brief.", "role", "user", "content", "Say \"hi\"\n", "max_tokens",
        77, "temperature", 0.5, "top_p", 0.25, "top_k", 9, "seed", 42, "stop", "END", "\n\n",
        "logprobs", 1, "top_logprobs", 2, "response_format", "type", "json_schema", "json_schema",
        "name", "answer", "strict", 0, "schema", schema);
    CHECK(want && json_equal(body, want));
    json_decref(body);
    json_decref(want);
    json_decref(schema);
    end_talk(&t);
}

/* Is this one asked for strictly? */
static bool asked_strictly(const char *schema)
{
    struct talk t = new_talk();
    json_t *s;
    CHECK_OK(json_read(str_of(schema), &s, &t.err), &t.err);
    t.req.schema = s;
    const struct scene scenes[] = {{STREAM FINISH("length") DONE, 0, false}};
    CHECK_OK(chat(&t, scenes, 1), &t.err);
    bool strict = stand_in_saw(&t.server, 0, "\"strict\":true");
    CHECK(strict || stand_in_saw(&t.server, 0, "\"strict\":false"));
    json_decref(s);
    end_talk(&t);
    return strict;
}

#define OBJECT(members, required)                                                                  \
    "{\"type\":\"object\",\"properties\":{" members "},\"required\":[" required \
    "],\"additionalProperties\":false}"

TEST(remote_asks_strictly_only_for_schemas_that_strict_servers_take)
{
    static const char *const strict[] = {
        OBJECT("", ""),
        OBJECT("\"a\":{\"type\":\"string\"},\"b\":{\"type\":[\"integer\",\"null\"]}",
               "\"b\",\"a\""),
        OBJECT("\"a\":{\"type\":\"array\",\"items\":" OBJECT("\"x\":{\"enum\":[1]}", "\"x\"") "}",
               "\"a\""),
        OBJECT("\"a\":{\"type\":\"string\",\"format\":\"date\"}", "\"a\""),
        OBJECT("\"a\":{\"anyOf\":[{\"type\":\"null\"},{\"$ref\":\"#\"}]}", "\"a\"")};
    static const char *const loose[] = {
        "{}", "{\"type\":\"object\"}", "{\"type\":\"string\"}",
        "{\"type\":\"object\",\"properties\":{}}", /* others are allowed */
        OBJECT("\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"string\"}", "\"a\""),
        OBJECT("\"a\":{\"type\":\"string\"}", "\"a\",\"b\""), OBJECT("\"a\":{}", "\"a\""),
        OBJECT("\"a\":true", "\"a\""),
        OBJECT("\"a\":{\"type\":\"string\",\"maxLength\":9}", "\"a\""),
        OBJECT("\"a\":{\"type\":\"string\",\"format\":\"uri\"}", "\"a\""),
        OBJECT("\"a\":{\"anyOf\":[{\"type\":\"object\"}]}", "\"a\""),
        OBJECT("\"a\":{\"type\":\"array\",\"items\":{\"type\":[\"null\",\"object\"]}}", "\"a\"")};
    for (size_t i = 0; i < sizeof(strict) / sizeof(strict[0]); i++)
        CHECK(asked_strictly(strict[i]));
    for (size_t i = 0; i < sizeof(loose) / sizeof(loose[0]); i++)
        CHECK(!asked_strictly(loose[i]));
}

TEST(remote_completes_a_prompt_without_turns)
{
    struct talk t = new_talk();
    t.req = (struct llm_chat){.prompt = STR("Once upon")};
    const struct scene s[] = {{STREAM "data: {\"choices\":[{\"text\":\" a\"}]}\r\n\r\n"
                                      "data: {\"choices\":[{\"text\":\" time\",\"finish_reason\":"
                                      "\"length\"}]}\r\n\r\n" DONE,
                               5, false}};
    CHECK_OK(chat(&t, s, 1), &t.err);
    CHECK_STR(buf_view(&t.text), " a| time|");
    CHECK_INT(t.reply.finish, LLM_LENGTH);
    CHECK_INT(t.reply.usage.prompt_tokens, 3);     /* 9 bytes, 3 a token */
    CHECK_INT(t.reply.usage.completion_tokens, 3); /* 7 bytes */
    CHECK(stand_in_saw(&t.server, 0, "POST /v1/completions "));
    CHECK(stand_in_saw(&t.server, 0, "\"prompt\":\"Once upon\""));
    end_talk(&t);
}

TEST(remote_gives_tokens_and_their_probabilities_where_they_are_asked_for)
{
    static const char reply[] = STREAM
        ": hello\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xc3\xa9!\"},"
        "\"logprobs\":{\"content\":["
        "{\"token\":\"?\",\"logprob\":-0.5,\"bytes\":[195,169],\"top_logprobs\":["
        "{\"token\":\"?\",\"logprob\":-0.5,\"bytes\":[195,169]},{\"token\":\"e\",\"logprob\":-1}]},"
        "{\"token\":\"!\",\"logprob\":-2,\"bytes\":null,\"top_logprobs\":[]}]}}]}\n\n" FINISH(
            "stop") DONE;
    struct talk t = new_talk();
    t.req.logprobs = true;
    const struct scene s[] = {{reply, 9, false}};
    CHECK_OK(chat(&t, s, 1), &t.err);
    CHECK_STR(buf_view(&t.text), "\xc3\xa9!|");
    CHECK_STR(buf_view(&t.tokens), "\xc3\xa9:-0.50[\xc3\xa9,e,] !:-2.00[] ");
    end_talk(&t);
}

TEST(remote_understands_a_server_that_does_not_stream)
{
    struct talk t = new_talk();
    const struct scene s[] = {
        {"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nConnection: "
         "close\r\n\r\n"
         "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello\"},"
         "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1}}",
         11, false}};
    CHECK_OK(chat(&t, s, 1), &t.err);
    CHECK_STR(buf_view(&t.text), "Hello|");
    CHECK_INT(t.reply.usage.completion_tokens, 1);
    end_talk(&t);
}

TEST(remote_maps_why_an_answer_finished)
{
    static const struct {
        const char *reply;
        enum llm_finish want;
    } c[] = {
        {STREAM DELTA("a") FINISH("stop") DONE, LLM_STOP},
        {STREAM DELTA("a") FINISH("length") DONE, LLM_LENGTH},
        {STREAM DELTA("a") FINISH("content_filter") DONE, LLM_REFUSED},
        {STREAM DELTA("a") FINISH("tool_calls") DONE, LLM_STOP},
        {STREAM DELTA("a") DONE, LLM_STOP},
        {STREAM DELTA("a") FINISH("length"), LLM_LENGTH}, /* without [DONE] */
        {STREAM "data: {\"choices\":[{\"delta\":{\"refusal\":\"No.\"}}]}\n\n" FINISH("stop") DONE,
         LLM_REFUSED},
    };
    for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
        struct talk t = new_talk();
        const struct scene s[] = {{c[i].reply, 0, false}};
        CHECK_OK(chat(&t, s, 1), &t.err);
        CHECK_INT(t.reply.finish, c[i].want);
        end_talk(&t);
    }
}

/* ---- JSON ---- */

#define PLAIN(text)                                                                                \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"              \
    "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"" text "\"},\"finish_reason\":\"stop\"}]}"

static json_t *pet_schema(void)
{
    return json_pack("{s:s,s:{s:{s:s},s:{s:s}},s:[s],s:b}", "type", "object", "properties", "pet",
                     "type", "string", "age", "type", "integer", "required", "pet",
                     "additionalProperties", 0);
}

TEST(remote_tells_json_when_it_is_whole_and_keeps_to_what_was_asked_for)
{
    static const struct {
        const char *reply;
        bool schema;
        const char *text, *says;   /* text NULL: refused, with these words */
    } c[] = {
        {STREAM DELTA("{\\\"pet\\\":") DELTA("\\\"cat\\\"}") FINISH("stop") DONE, true,
         "{\"pet\":|\"cat\"}|", ""},
        {PLAIN("{\\\"age\\\":3,\\n \\\"pet\\\":\\\"cat\\\"}"), true,   /* any order, any space */
         "{\"age\":3,\n \"pet\":\"cat\"}|", ""},
        {PLAIN("{\\\"pet\\\":7}"), true, NULL, "what it wrote does not keep to the schema"},
        {PLAIN("{}"), true, NULL, "what it wrote does not keep to the schema"},
        {PLAIN("Sure! {\\\"pet\\\":\\\"cat\\\"}"), true, NULL, "what it wrote is none"},
        {STREAM DELTA("{\\\"pet\\\":") DELTA("\\\"c") FINISH("stop") DONE, true, NULL, "is none"},
        {STREAM FINISH("stop") DONE, true, NULL, "is none"},
        {PLAIN("{}"), false, "{}|", ""},
        {PLAIN("[1]"), false, NULL, "what it wrote is no object"},
        {PLAIN("```json\\n{}\\n```"), false, NULL, "what it wrote is none"},
        /* cut by its greatest length: told as it is, and why */
        {STREAM DELTA("{\\\"pet\\\"") FINISH("length") DONE, true, "{\"pet\"|", ""},
        {STREAM DELTA("{\\\"pet\\\":"), true, NULL, "broke off"},
    };
    json_t *schema = pet_schema();
    for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
        struct talk t = new_talk();
        const struct scene s[] = {{c[i].reply, 0, false}};
        t.opt.attempts = 1;
        t.req.schema = c[i].schema ? schema : NULL;
        t.req.json_object = !c[i].schema;
        enum err_code rc = chat(&t, s, 1);
        CHECK_INT(rc, c[i].text ? OK : ERR_IO);
        CHECK_STR(buf_view(&t.text), c[i].text ? c[i].text : ""); /* nothing of what is no JSON */
        CHECK_MSG(c[i].text || strstr(t.err.msg, c[i].says), "%zu: %s", i, t.err.msg);
        CHECK_INT(t.server.served, 1);
        end_talk(&t);
    }
    json_decref(schema);
}

TEST(remote_holds_tokens_with_their_json)
{
    struct talk t = new_talk();
    const struct scene s[] = {
        {STREAM "data: {\"choices\":[{\"delta\":{\"content\":\"{\"},\"logprobs\":{\"content\":["
                "{\"token\":\"{\",\"logprob\":-0.5,\"top_logprobs\":[{\"token\":\"[\","
                "\"logprob\":-1}]}]}}]}\n\n"
                "data: {\"choices\":[{\"delta\":{\"content\":\"}\"},\"logprobs\":{\"content\":["
                "{\"token\":\"}\",\"logprob\":-0.25}]}}]}\n\n" DONE, 5, false}};
    t.req.json_object = t.req.logprobs = true;
    t.req.n_logprobs = 1;
    CHECK_OK(chat(&t, s, 1), &t.err);
    CHECK_STR(buf_view(&t.text), "{|}|");
    CHECK_STR(buf_view(&t.tokens), "{:-0.50[[,] }:-0.25[] ");
    end_talk(&t);
}

TEST(remote_cannot_judge_json_by_words_that_are_not_known_here)
{
    struct talk t = new_talk();
    json_t *schema = json_pack("{s:{s:s}}", "not", "type", "object");
    const struct scene s[] = {{PLAIN("{}"), 0, false}};
    t.req.schema = schema;
    CHECK_OK(chat(&t, s, 1), &t.err);
    CHECK_STR(buf_view(&t.text), "{}|");
    json_decref(schema);
    end_talk(&t);
}

/* ---- trying again ---- */

TEST(remote_tries_again_after_a_busy_or_broken_server_and_tells_of_each_attempt)
{
    static const char *const refusal[] = {BUSY("429"), BUSY("500"), BUSY("503"), BUSY("408"),
                                          BUSY("502")};
    for (int i = 0; i < 5; i++) {
        struct talk t = new_talk();
        const struct scene s[] = {{refusal[i], 3, false}, {refusal[i], 0, false}, {GOOD, 0, false}};
        CHECK_OK(chat(&t, s, 3), &t.err);
        CHECK_STR(buf_view(&t.text), "Hel|lo|");
        CHECK_INT(t.server.served, 3);
        CHECK_INT(t.reply.usage.n_attempts, 3);
        CHECK_INT(t.reply.usage.attempts[0].status, atoi(refusal[i] + 9));
        CHECK(strstr(t.reply.usage.attempts[0].error, "not now"));
        CHECK_STR(str_of(t.reply.usage.attempts[1].name), "far");
        CHECK_INT(t.reply.usage.attempts[2].status, 200);
        end_talk(&t);
    }
}

TEST(remote_tries_again_when_the_connection_is_lost_before_an_answer)
{
    struct talk t = new_talk();
    const struct scene s[] = {{NULL, 0, false}, {GOOD, 0, false}};
    CHECK_OK(chat(&t, s, 2), &t.err);
    CHECK_STR(buf_view(&t.text), "Hel|lo|");
    CHECK_INT(t.reply.usage.attempts[0].status, 0);
    end_talk(&t);
}

TEST(remote_waits_as_long_as_it_is_asked_to)
{
    struct talk t = new_talk();
    const struct scene s[] = {
        {"HTTP/1.1 429 No\r\nRetry-After-Ms: 120\r\nContent-Length: 0\r\n\r\n", 0, false},
        {GOOD, 0, false}};
    double begun = clock_ms();
    CHECK_OK(chat(&t, s, 2), &t.err);
    CHECK(clock_ms() - begun >= 120);
    CHECK(t.reply.usage.wait_ms >= 120);
    end_talk(&t);
}

TEST(remote_does_not_wait_for_a_server_that_asks_for_more_than_half_a_minute)
{
    struct talk t = new_talk();
    const struct scene s[] = {
        {"HTTP/1.1 429 No\r\nRetry-After: 31\r\nContent-Length: 0\r\n\r\n", 0, false},
        {GOOD, 0, false}};
    CHECK_ERR(chat(&t, s, 2), ERR_BUSY);
    CHECK_STR(str_of(t.err.msg), "far answered 429");
    CHECK_INT(t.server.served, 1);
    end_talk(&t);
}

TEST(remote_gives_up_after_its_attempts)
{
    struct talk t = new_talk();
    t.opt.attempts = 2;
    const struct scene s[] = {{BUSY("500"), 0, false}, {BUSY("429"), 0, false}, {GOOD, 0, false}};
    CHECK_ERR(chat(&t, s, 3), ERR_BUSY);
    CHECK_STR(str_of(t.err.msg), "far answered 429: not now");
    CHECK_INT(t.server.served, 2);
    CHECK_INT(t.reply.usage.n_attempts, 2);
    end_talk(&t);
}

TEST(remote_never_tries_again_after_the_first_piece)
{
    struct talk t = new_talk();
    const struct scene s[] = {{STREAM DELTA("Hel"), 0, false}, {GOOD, 0, false}};
    CHECK_ERR(chat(&t, s, 2), ERR_IO);
    CHECK_STR(str_of(t.err.msg), "far broke off in the middle of the answer");
    CHECK_STR(buf_view(&t.text), "Hel|");
    CHECK_INT(t.server.served, 1);
    end_talk(&t);
}

TEST(remote_does_not_repeat_what_the_server_refuses)
{
    static const struct {
        const char *reply;
        enum err_code want;
        const char *says;
    } c[] = {
        {"HTTP/1.1 400 No\r\nConnection: close\r\n\r\n{\"error\":{\"message\":\"no such field\"}}",
         ERR_ARG, "far answered 400: no such field"},
        {"HTTP/1.1 400 No\r\nConnection: close\r\n\r\n{\"error\":{\"message\":\"too many tokens\","
         "\"code\":\"context_length_exceeded\"}}",
         ERR_LIMIT, "far answered 400: too many tokens"},
        {"HTTP/1.1 401 No\r\nConnection: close\r\n\r\n{\"error\":{\"message\":\"bad key sk-1\"}}",
         ERR_IO, "far refuses the key (401): see its key_file"},
        {"HTTP/1.1 404 No\r\nConnection: close\r\n\r\n<html>", ERR_IO, "far answered 404"},
        {"HTTP/1.1 302 No\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", ERR_IO,
         "far answered 302"},
        {"HTTP/1.1 429 No\r\nConnection: close\r\n\r\n{\"error\":{\"message\":\"pay\","
         "\"code\":\"insufficient_quota\"}}",
         ERR_BUSY, "far answered 429: pay"},
        {"HTTP/1.1 500 No\r\nx-should-retry: false\r\nConnection: "
         "close\r\n\r\n{\"error\":\"ouch\"}",
         ERR_IO, "far answered 500: ouch"},
    };
    for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
        struct talk t = new_talk();
        const struct scene s[] = {{c[i].reply, 0, false}, {GOOD, 0, false}};
        CHECK_ERR(chat(&t, s, 2), c[i].want);
        CHECK_STR(str_of(t.err.msg), c[i].says);
        CHECK_INT(t.server.served, 1);
        end_talk(&t);
    }
}

TEST(remote_learns_the_newer_word_for_the_most_tokens)
{
    struct talk t = new_talk();
    const struct scene s[] = {
        {"HTTP/1.1 400 No\r\nConnection: close\r\n\r\n{\"error\":{\"message\":\"Unsupported "
         "parameter: 'max_tokens'. Use 'max_completion_tokens' instead.\"}}",
         0, false},
        {GOOD, 0, false}};
    CHECK_OK(chat(&t, s, 2), &t.err);
    CHECK(stand_in_saw(&t.server, 0, "\"max_tokens\":1024"));
    CHECK(stand_in_saw(&t.server, 1, "\"max_completion_tokens\":1024"));
    end_talk(&t);
}

/* ---- servers that misbehave ---- */

TEST(remote_says_what_is_wrong_with_an_answer)
{
    static const struct {
        const char *reply;
        enum err_code want;
        const char *says;
    } c[] = {
        {STREAM DELTA("a") "data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}\n\n",
         ERR_IO, "far ended the answer with an error: out of memory"},
        {STREAM DELTA("a") "event: error\ndata: {\"message\":\"boom\"}\n\n", ERR_IO,
         "far ended the answer with an error: boom"},
        {STREAM DELTA("a") "data: {oops\n\n", ERR_IO,
         "far sent an event that is no JSON object"},
        {STREAM DELTA("a") "data: [1]\n\n", ERR_IO, "far sent an event that is no JSON object"},
        {STREAM DELTA("a") "data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\n",
         ERR_IO, "far sent an event that is no JSON object"},
        {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n<html>",
         ERR_IO, "far answered with what is no JSON"},
    };
    for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
        struct talk t = new_talk();
        const struct scene s[] = {{c[i].reply, 3, false}, {GOOD, 0, false}};
        CHECK_ERR(chat(&t, s, 2), c[i].want);
        CHECK_STR(str_of(t.err.msg), c[i].says);
        CHECK_INT(t.server.served, 1);
        end_talk(&t);
    }
}

TEST(remote_shrugs_at_shapes_it_does_not_know)
{
    struct talk t = new_talk();
    const struct scene s[] = {
        {STREAM
         "data: {}\n\ndata: {\"choices\":null}\n\ndata: {\"choices\":[7,{\"delta\":null}]}\n\n"
         "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"}}]}\n\n"
         "data: "
         "{\"choices\":[{\"delta\":{\"content\":[1]}}],\"usage\":{\"prompt_tokens\":-4}}\n\n" DELTA(
             "yes") FINISH("stop") "data: [DONE]\n\ndata: {oops\n\n",
         0, false}};
    CHECK_OK(chat(&t, s, 1), &t.err);
    CHECK_STR(buf_view(&t.text), "yes|");
    end_talk(&t);
}

TEST(remote_bounds_the_length_of_an_event)
{
    struct buf big = {0};
    struct talk t = new_talk();
    buf_puts(&big, STREAM "data: ");
    for (int i = 0; i < (5 << 20) / 16; i++)
        buf_puts(&big, "xxxxxxxxxxxxxxxx");
    const struct scene s[] = {{big.ptr, 65536, false}};
    CHECK_ERR(chat(&t, s, 1), ERR_IO);
    CHECK_STR(str_of(t.err.msg), "far: a server-sent event is longer than 4194304 bytes");
    buf_free(&big);
    end_talk(&t);
}

TEST(remote_does_not_stay_with_a_server_that_goes_on_behind_the_end)
{
    struct talk t = new_talk();
    struct buf more = {0};
    buf_puts(&more, GOOD);
    for (int i = 0; i < 1 << 20; i++)
        buf_puts(&more, ": and so on, for ever and ever, as long as somebody listens, and then on "
                        "again\n");
    const struct scene s[] = {{more.ptr, strlen(GOOD), true}, {GOOD, 0, false}};
    CHECK_OK(chat(&t, s, 2), &t.err);
    CHECK_STR(buf_view(&t.text), "Hel|lo|");
    CHECK_INT(t.reply.finish, LLM_STOP);
    CHECK_INT(t.server.served, 1);
    buf_free(&more);
    end_talk(&t);
}

TEST(remote_takes_an_answer_as_whole_when_the_server_falls_silent_behind_its_end)
{
    struct talk t = new_talk();
    t.opt.timeout_ms = 60;
    const struct scene s[] = {{GOOD, 0, true}, {GOOD, 0, false}};
    CHECK_OK(chat(&t, s, 2), &t.err);
    CHECK_STR(buf_view(&t.text), "Hel|lo|");
    CHECK_INT(t.server.served, 1);
    end_talk(&t);
}

TEST(remote_gives_up_on_a_silent_server_without_asking_twice)
{
    struct talk t = new_talk();
    t.opt.timeout_ms = 60;
    const struct scene s[] = {{NULL, 0, true}, {GOOD, 0, false}};
    CHECK_ERR(chat(&t, s, 2), ERR_IO);
    CHECK_STR(str_of(t.err.msg), "far: 127.0.0.1: no byte came for 60 ms");
    CHECK_INT(t.server.served, 1);
    end_talk(&t);
}

TEST(remote_leaves_when_its_reader_has_left)
{
    struct talk t = new_talk();
    t.leave_after = 1;
    const struct scene s[] = {{STREAM DELTA("Hel"), 0, true}, {GOOD, 0, false}};
    CHECK_ERR(chat(&t, s, 2), ERR_CANCELLED); /* the scene ends when we hang up */
    CHECK_STR(buf_view(&t.text), "Hel|");
    CHECK_INT(t.server.served, 1);
    end_talk(&t);
}

TEST(remote_stops_while_it_waits_for_another_attempt)
{
    struct stop stop = {0};
    struct talk t = new_talk();
    struct remote *r;
    t.opt.url = "http://127.0.0.1:1/v1"; /* nobody is there */
    stop_set(&stop);
    CHECK_OK(remote_open(&t.opt, &r, &t.err), &t.err);
    CHECK_ERR(remote_chat(r, &t.req, hear, &t, &stop, &t.reply, &t.err), ERR_CANCELLED);
    remote_close(r);
}

/* ---- keys and options ---- */

static const char *key_file(const char *text)
{
    static char path[300];
    snprintf(path, sizeof(path), "%s/key", scratch_dir());
    FILE *f = fopen(path, "w");
    CHECK(f);
    fputs(text, f);
    fclose(f);
    return path;
}

TEST(remote_sends_the_first_line_of_its_key_file_and_never_repeats_it)
{
    struct talk t = new_talk();
    t.opt.key_file = key_file("sk-Very-Secret \r\nsecond line\n");
    t.opt.attempts = 1;
    const struct scene s[] = {
        {"HTTP/1.1 500 No\r\nConnection: close\r\n\r\n"
         "{\"error\":{\"message\":\"who is sk-Very-Secret? sk-Very-Secret!\"}}",
         0, false}};
    CHECK_ERR(chat(&t, s, 1), ERR_IO);
    CHECK(stand_in_saw(&t.server, 0, "Authorization: Bearer sk-Very-Secret\r\n"));
    CHECK(strstr(t.err.msg, "who is **************? **************!"));
    CHECK(!strstr(t.reply.usage.attempts[0].error, "Secret"));
    end_talk(&t);
}

TEST(remote_follows_no_redirect_so_that_nobody_else_gets_its_key_or_the_question)
{
    static const char *const status[] = {"301", "307", "308"};
    struct stand_in other;
    const struct scene nothing[] = {{GOOD, 0, false}};
    stand_in_start(&other, nothing, 1);
    for (int i = 0; i < 3; i++) {
        struct talk t = new_talk();
        char reply[256];
        snprintf(reply, sizeof(reply), "HTTP/1.1 %s No\r\nLocation: %s/chat/completions\r\n"
                                       "Content-Length: 0\r\nConnection: close\r\n\r\n",
                 status[i], other.url);
        const struct scene s[] = {{reply, 0, false}};
        t.opt.key_file = key_file("sk-Very-Secret\n");
        CHECK_ERR(chat(&t, s, 1), ERR_IO);
        CHECK(strstr(t.err.msg, status[i]) != NULL);
        end_talk(&t);
    }
    CHECK_INT(other.served, 0);
    stand_in_stop(&other);
    stand_in_deinit(&other);
}

/* Its words are cut to a length: what is left of a key at the end is no word either. */
TEST(remote_repeats_no_part_of_its_key_where_a_servers_words_are_cut)
{
    struct talk t = new_talk();
    struct buf reply = {0};
    t.opt.key_file = key_file("sk-Very-Secret\n");
    t.opt.attempts = 1;
    buf_puts(&reply, "HTTP/1.1 500 No\r\nConnection: close\r\n\r\n{\"error\":{\"message\":\"");
    for (int i = 0; i < 150; i++)
        buf_char(&reply, 'x');
    buf_puts(&reply, "sk-Very-Secret\"}}");
    const struct scene s[] = {{reply.ptr, 0, false}};
    CHECK_ERR(chat(&t, s, 1), ERR_IO);
    CHECK_MSG(strstr(t.err.msg, "xxx**********") && !strstr(t.err.msg, "sk-"), "%s", t.err.msg);
    buf_free(&reply);
    end_talk(&t);
}

TEST(remote_open_refuses_what_cannot_work)
{
    struct remote *r;
    struct err err;
    static const struct llm_remote_options bad[] = {
        {.url = "ftp://x/v1", .model = "m"},
        {.url = "http://host/v1?key=1", .model = "m"},
        {.url = "http://host/v1", .model = ""},
        {.url = "http://host/v1"},
        {.model = "m"},
        {.url = "http://host/v1", .model = "m", .key_file = "/nonexistent/key"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK_ERR(remote_open(&bad[i], &r, &err), ERR_ARG);
    struct llm_remote_options no_key = {.url = "http://host/v1", .model = "m"};
    static const char *const keys[] = {"", "\nsecond", "two words\n", "tab\tkey", "\xc3\xa9"};
    for (int i = 0; i < 5; i++) {
        no_key.key_file = key_file(keys[i]);
        CHECK_ERR(remote_open(&no_key, &r, &err), ERR_ARG);
    }
}

TEST(remote_is_named_after_its_host_when_nobody_names_it)
{
    struct remote *r;
    struct err err;
    const struct llm_remote_options o = {.url = "https://models.example:8443/v1/", .model = "m"};
    CHECK_OK(remote_open(&o, &r, &err), &err);
    CHECK_STR(str_of(remote_name(r)), "models.example");
    remote_close(r);
}
