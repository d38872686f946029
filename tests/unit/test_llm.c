/* tests/unit/test_llm.c - the door: which generator answers, and what it says when none can. The
 * models have random weights, so that texts mean nothing, but the same comes out each time. */
#include "llm/llm.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/utf8.h"
#include "tests/random_model.h"
#include "tests/test.h"

/* A file of random weights in this test's own folder. */
static const char *random_file(const char *name)
{
    static char path[4][512];
    static int n;
    struct err err = {0};
    char *to = path[n++ % 4];
    snprintf(to, 512, "%s/%s.gguf", scratch_dir(), name);
    CHECK_OK(random_model_write(random_shape_find("tiny"), TENSOR_F16, to, &err), &err);
    return to;
}

static struct llm *opened(const struct llm_options *opt)
{
    struct llm *m;
    struct err err = {0};
    CHECK_OK(llm_open(opt, &m, &err), &err);
    return m;
}

/* The sentence that these options are refused with. */
static const char *refusal(const struct llm_options *opt, enum err_code want)
{
    static struct err err;
    struct llm *m;
    err = (struct err){0};
    CHECK_ERR(llm_open(opt, &m, &err), want);
    return err.msg;
}

struct heard {
    struct buf text;
    int pieces, stop_after;    /* 0: never */
};

static bool hear(void *arg, const struct llm_piece *piece)
{
    struct heard *h = arg;
    buf_str(&h->text, piece->text);
    return !h->stop_after || ++h->pieces < h->stop_after;
}

static enum err_code say(struct llm *m, const struct llm_chat *req, struct heard *h,
                         struct llm_chat_reply *out, struct err *err)
{
    buf_reset(&h->text);
    *err = (struct err){0};
    return llm_chat(m, req, hear, h, NULL, out, err);
}

static const struct llm_message HELLO = {LLM_USER, {"Who lends books?", 16}};
#define CHAT .messages = &HELLO, .n_messages = 1, .max_tokens = 12

/* ---- opening */

TEST(llm_without_a_model_is_extractive_and_says_how_to_get_one)
{
    struct llm *m = opened(&(struct llm_options){0});
    struct heard h = {0};
    struct llm_chat_reply reply;
    struct err err;
    json_t *status = llm_status_json(m);
    CHECK_STR(str_of(llm_name(m)), "extractive");
    CHECK_INT(llm_n_models(m), 0);
    CHECK_INT(llm_count(m, STR("words")), 0);
    CHECK_INT(json_object_size(status), 0);
    CHECK_ERR(say(m, &(struct llm_chat){CHAT}, &h, &reply, &err), ERR_NOTFOUND);
    CHECK_STR(str_of(err.msg), "no language model is installed: put a GGUF file into the models "
                               "folder, or name one by llm.model or llm.remote");
    json_decref(status);
    buf_free(&h.text);
    llm_close(m);
}

TEST(llm_files_that_cannot_answer_are_refused_with_a_sentence)
{
    const char *path = random_file("m");
    CHECK(strstr(refusal(&(struct llm_options){.model_path = "/no/such.gguf"}, ERR_IO),
                 "/no/such.gguf: No such file"));
    CHECK(strstr(refusal(&(struct llm_options){.model_path = "tests/golden/bert_tiny.gguf"},
                         ERR_FORMAT), "bert"));
    CHECK(strstr(refusal(&(struct llm_options){.model_path = path, .family = "vicuna"}, ERR_ARG),
                 "llm.template is `vicuna`, need one of llama2, llama3, chatml"));
    CHECK(strstr(refusal(&(struct llm_options){.model_path = path, .context = 5000}, ERR_ARG),
                 "llm.context is 5000, and "));
}

TEST(llm_memory_that_does_not_suffice_is_told_before_it_is_taken)
{
    const struct llm_options opt = {.model_path = random_file("m"), .kv_bytes = (size_t)1 << 50};
    const char *why = refusal(&opt, ERR_NOMEM);
    CHECK_MSG(strstr(why, "MiB for weights, 1073741824 MiB for the cache of 8 sessions and "), "%s",
              why);
    CHECK_MSG(strstr(why, " MiB to work with, and ") && strstr(why, " MiB are available ("), "%s",
              why);
}

TEST(llm_tells_what_it_has_loaded)
{
    const struct llm_options opt = {.model_path = random_file("m"), .context = 256, .sessions = 2};
    struct llm *m = opened(&opt);
    json_t *s = llm_status_json(m);
    struct llm_model it = llm_model_at(m, 0);
    CHECK_INT(llm_n_models(m), 1);
    CHECK_STR(str_of(it.kind), "local");
    CHECK_INT(it.context, 256);
    CHECK_STR(str_of(it.name), llm_name(m));
    CHECK(llm_count(m, STR("Who lends books?")) > 0);
    CHECK_STR(str_of(json_string_value(json_object_get(s, "template"))), "plain");
    CHECK_STR(str_of(json_string_value(json_object_get(s, "file"))), opt.model_path);
    CHECK(json_is_false(json_object_get(s, "changed_on_disk")));
    CHECK(json_integer_value(json_object_get(json_object_get(s, "kv"), "bytes")) > 0);
    CHECK_INT(json_integer_value(json_object_get(json_object_get(s, "sessions"), "most")), 2);
    json_decref(s);
    llm_close(m);
}

/* ---- answering */

TEST(llm_says_the_same_to_the_same)
{
    struct llm *m = opened(&(struct llm_options){.model_path = random_file("m"), .context = 256});
    struct heard a = {0}, b = {0};
    struct llm_chat_reply reply;
    struct err err;
    CHECK_OK(say(m, &(struct llm_chat){CHAT}, &a, &reply, &err), &err);
    CHECK_INT(reply.usage.completion_tokens, 12);
    CHECK_INT(reply.finish, LLM_LENGTH);
    CHECK_STR(str_of(reply.model), llm_name(m));
    CHECK_INT(reply.usage.n_attempts, 1);
    CHECK_INT(reply.usage.attempts[0].status, 200);
    CHECK(utf8_valid(buf_view(&a.text)));
    CHECK_OK(say(m, &(struct llm_chat){CHAT, .model = llm_name(m)}, &b, &reply, &err), &err);
    CHECK_STR(buf_view(&b.text), a.text.ptr);
    buf_free(&a.text);
    buf_free(&b.text);
    llm_close(m);
}

TEST(llm_max_tokens_of_the_configuration_holds_where_a_request_names_none)
{
    const struct llm_options opt = {
        .model_path = random_file("m"), .context = 256, .max_tokens = 5, .temperature = 0.25};
    struct llm *m = opened(&opt);
    struct heard h = {0};
    struct llm_chat_reply reply;
    struct err err;
    CHECK_OK(say(m, &(struct llm_chat){.messages = &HELLO, .n_messages = 1}, &h, &reply, &err),
             &err);
    CHECK_INT(reply.usage.completion_tokens, 5);
    CHECK_NEAR(llm_temperature(m), 0.25, 0);
    buf_free(&h.text);
    llm_close(m);
}

TEST(llm_requests_out_of_range_are_refused_by_name)
{
    struct llm *m = opened(&(struct llm_options){.model_path = random_file("m"), .context = 64});
    static char long_text[300];
    memset(long_text, 'x', sizeof(long_text));
    const struct str long_stop = {long_text, 257}, empty = {"", 0};
    json_t *not = json_pack("{s:{}}", "not");
    const struct { struct llm_chat req; enum err_code rc; const char *says; } cases[] = {
        {{.max_tokens = 1}, ERR_ARG, "no messages and no prompt"},
        {{CHAT, .stops = &long_stop, .n_stops = 1}, ERR_ARG, "stop text 1 has 257 bytes"},
        {{CHAT, .stops = &empty, .n_stops = 1}, ERR_ARG, "stop text 1 has 0 bytes"},
        {{CHAT, .n_stops = 17}, ERR_ARG, "17 stop texts, need at most 16"},
        {{CHAT, .logprobs = true, .n_logprobs = 21}, ERR_ARG, "top_logprobs is 21, need 0 to 20"},
        {{CHAT, .sampling = {.temperature = 3}}, ERR_ARG, "temperature"},
        {{.messages = &HELLO, .n_messages = 1, .max_tokens = -1}, ERR_ARG, "max_tokens is -1"},
        {{CHAT, .model = "gpt-9"}, ERR_NOTFOUND, "no model `gpt-9`: there is "},
        {{CHAT, .schema = not}, ERR_ARG, "not"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct heard h = {0};
        struct llm_chat_reply reply;
        struct err err;
        CHECK_MSG(say(m, &cases[i].req, &h, &reply, &err) == cases[i].rc, "case %zu: %s", i,
                  err.msg);
        CHECK_MSG(strstr(err.msg, cases[i].says), "%s, want %s", err.msg, cases[i].says);
        CHECK_INT(h.text.len, 0);
        buf_free(&h.text);
    }
    json_decref(not);
    llm_close(m);
}

TEST(llm_messages_past_the_context_are_refused_with_both_numbers)
{
    struct llm *m = opened(&(struct llm_options){.model_path = random_file("m"), .context = 64});
    struct buf text = {0};
    for (int i = 0; i < 100; i++)
        buf_puts(&text, "ab ");
    const struct llm_message long_one = {LLM_USER, buf_view(&text)};
    struct heard h = {0};
    struct llm_chat_reply reply;
    struct err err;
    char want[200];
    CHECK_ERR(say(m, &(struct llm_chat){.messages = &long_one, .n_messages = 1}, &h, &reply, &err),
              ERR_LIMIT);
    snprintf(want, sizeof(want), "and the context of %s holds 64 with the answer", llm_name(m));
    CHECK_MSG(strstr(err.msg, "the messages have ") && strstr(err.msg, want), "%s", err.msg);
    CHECK_INT(reply.usage.n_attempts, 1);
    CHECK_INT(reply.usage.attempts[0].status, 0);
    buf_free(&text);
    buf_free(&h.text);
    llm_close(m);
}

TEST(llm_ends_when_the_listener_has_left)
{
    struct llm *m = opened(&(struct llm_options){.model_path = random_file("m"), .context = 256});
    struct heard h = {.stop_after = 1};
    struct llm_chat_reply reply;
    struct err err;
    CHECK_ERR(say(m, &(struct llm_chat){CHAT}, &h, &reply, &err), ERR_CANCELLED);
    CHECK_INT(h.pieces, 1);
    buf_free(&h.text);
    llm_close(m);
}

TEST(llm_a_raw_prompt_gets_no_template_and_no_control_token)
{
    struct llm *m = opened(&(struct llm_options){.model_path = random_file("m"), .context = 256});
    struct heard a = {0}, b = {0};
    struct llm_chat_reply raw, plain;
    struct err err;
    CHECK_OK(say(m, &(struct llm_chat){.prompt = HELLO.content, .max_tokens = 4}, &a, &raw, &err),
             &err);
    CHECK_OK(say(m, &(struct llm_chat){CHAT}, &b, &plain, &err), &err);
    CHECK_INT(raw.usage.prompt_tokens, plain.usage.prompt_tokens); /* the family is plain */
    CHECK(str_starts(buf_view(&b.text), buf_view(&a.text)));
    CHECK_OK(say(m, &(struct llm_chat){.prompt = STR("</s>"), .max_tokens = 1}, &a, &raw, &err),
             &err);
    CHECK(raw.usage.prompt_tokens > 2); /* four signs, not one id */
    buf_free(&a.text);
    buf_free(&b.text);
    llm_close(m);
}

TEST(llm_holds_a_model_that_knows_no_json_to_a_schema)
{
    struct llm *m = opened(&(struct llm_options){.model_path = random_file("m"), .context = 256});
    json_t *schema = json_pack("{s:s,s:{s:{s:[s,s]},s:{s:s}},s:[s,s],s:b}", "type", "object",
                               "properties", "kind", "enum", "book", "map", "new", "type",
                               "boolean", "required", "kind", "new", "additionalProperties", 0);
    for (uint64_t seed = 0; seed < 5; seed++) {
        const struct llm_chat req = {CHAT, .schema = schema,
                                     .sampling = {.temperature = 1, .seed = seed}};
        struct llm_chat long_req = req;
        struct heard h = {0};
        struct llm_chat_reply reply;
        struct err err;
        json_t *v = NULL;
        long_req.max_tokens = 60;
        CHECK_OK(say(m, &long_req, &h, &reply, &err), &err);
        CHECK_OK(json_read(buf_view(&h.text), &v, &err), &err);
        const char *kind = json_string_value(json_object_get(v, "kind"));
        CHECK_MSG(kind && (strcmp(kind, "book") == 0 || strcmp(kind, "map") == 0), "%s",
                  h.text.ptr);
        CHECK(json_is_boolean(json_object_get(v, "new")) && json_object_size(v) == 2);
        CHECK_INT(reply.finish, LLM_STOP);
        json_decref(v);
        buf_free(&h.text);
    }
    json_decref(schema);
    llm_close(m);
}

/* ---- the file after loading */

TEST(llm_a_file_truncated_or_replaced_while_loaded_changes_nothing)
{
    const char *path = random_file("m");
    struct llm *m = opened(&(struct llm_options){.model_path = path, .context = 256});
    struct heard a = {0}, b = {0};
    struct llm_chat_reply reply;
    struct err err;
    CHECK_OK(say(m, &(struct llm_chat){CHAT}, &a, &reply, &err), &err);
    CHECK(truncate(path, 100) == 0);
    const struct llm_message other = {LLM_USER, STR("Another question, that no cache has.")};
    CHECK_OK(say(m, &(struct llm_chat){.messages = &other, .n_messages = 1, .max_tokens = 4}, &b,
                 &reply, &err), &err);
    CHECK_OK(say(m, &(struct llm_chat){CHAT}, &b, &reply, &err), &err);
    CHECK_STR(buf_view(&b.text), a.text.ptr);
    json_t *s = llm_status_json(m);
    CHECK(json_is_true(json_object_get(s, "changed_on_disk")));
    json_decref(s);
    CHECK(unlink(path) == 0);
    CHECK_OK(say(m, &(struct llm_chat){CHAT}, &b, &reply, &err), &err);
    s = llm_status_json(m);
    CHECK(json_is_true(json_object_get(s, "changed_on_disk")));
    json_decref(s);
    buf_free(&a.text);
    buf_free(&b.text);
    llm_close(m);
}

/* The stamp of the first generator, yours. */
static char *stamp_of(const struct llm_options *opt)
{
    struct llm *m = opened(opt);
    char *stamp = str_dup(str_of(llm_model_at(m, 0).stamp));
    llm_close(m);
    return stamp;
}

/* Write the same bytes into the file that is there, and set its times back. */
static void write_in_place(const char *path)
{
    struct buf bytes = {0};
    struct stat was;
    struct err err;
    CHECK_OK(file_read(path, 64 << 20, &bytes, &err), &err);
    CHECK(stat(path, &was) == 0);
    FILE *f = fopen(path, "r+b");
    CHECK(f && fwrite(bytes.ptr, 1, bytes.len, f) == bytes.len && fclose(f) == 0);
    const struct timespec times[] = {was.st_atim, was.st_mtim};
    CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
    buf_free(&bytes);
}

TEST(llm_a_stamp_is_that_of_the_file_that_was_loaded_and_of_how_it_is_used)
{
    const char *path = random_file("m");
    struct llm_options opt = {.model_path = path, .context = 256};
    char *a = stamp_of(&opt), *b = stamp_of(&opt);
    CHECK_STR(str_of(a), b);
    free(b);
    struct llm_options other = opt;
    other.family = "chatml";
    b = stamp_of(&other);
    CHECK(strcmp(a, b) != 0);
    free(b);
    other = opt;
    other.max_tokens = 9;
    b = stamp_of(&other);
    CHECK(strcmp(a, b) != 0);
    free(b);
    write_in_place(path);
    b = stamp_of(&opt);
    CHECK(strcmp(a, b) != 0);
    free(b);
    free(a);
}

TEST(llm_a_stamp_of_a_remote_is_its_address_and_model)
{
    struct llm_remote_options r = {.name = "far", .url = "http://127.0.0.1:1/v1", .model = "m"};
    const struct llm_options opt = {.remotes = &r, .n_remotes = 1};
    char *a = stamp_of(&opt);
    r.model = "n";
    char *b = stamp_of(&opt);
    CHECK(strcmp(a, b) != 0);
    free(a);
    free(b);
}

struct pieces { int n, most; };

static bool first_is_empty(void *arg, const struct llm_piece *p)
{
    struct pieces *h = arg;
    CHECK_INT(p->text.len == 0, h->n == 0);
    return ++h->n < h->most;
}

TEST(llm_says_with_an_empty_piece_that_it_has_taken_a_request)
{
    struct llm *m = opened(&(struct llm_options){.model_path = random_file("m"), .context = 256});
    struct llm_chat_reply reply;
    for (int most = 1; most < 4; most++) { /* who leaves is let go, at once too */
        struct pieces h = {0, most};
        CHECK_ERR(llm_chat(m, &(struct llm_chat){CHAT}, first_is_empty, &h, NULL, &reply, NULL),
                  ERR_CANCELLED);
        CHECK_INT(h.n, most);
    }
    llm_close(m);
}

/* ---- several generators: port 1 of this machine refuses every connection */

static const struct llm_remote_options AWAY = {
    .name = "away", .url = "http://127.0.0.1:1/v1", .model = "m", .attempts = 1, .timeout_ms = 500};

TEST(llm_a_remote_that_is_away_leaves_the_request_to_the_file)
{
    const struct llm_options opt = {.model_path = random_file("m"), .context = 256,
                                    .remotes = &AWAY, .n_remotes = 1, .remote_first = true};
    struct llm *m = opened(&opt);
    struct heard h = {0};
    struct llm_chat_reply reply;
    struct err err;
    CHECK_STR(str_of(llm_name(m)), "away");
    CHECK_INT(llm_count(m, STR("0123456789")), 4);
    CHECK_INT(llm_model_at(m, 0).context, 8192);
    CHECK_OK(say(m, &(struct llm_chat){CHAT}, &h, &reply, &err), &err);
    CHECK_STR(str_of(reply.model), llm_model_at(m, 1).name);
    CHECK_INT(reply.usage.n_attempts, 2);
    CHECK_STR(str_of(reply.usage.attempts[0].name), "away");
    CHECK(reply.usage.attempts[0].status != 200 && reply.usage.attempts[0].error[0]);
    CHECK_INT(reply.usage.attempts[1].status, 200);
    json_t *s = llm_status_json(m), *remote = json_array_get(json_object_get(s, "remotes"), 0);
    CHECK_STR(str_of(json_string_value(json_object_get(remote, "url"))), AWAY.url);
    json_decref(s);
    buf_free(&h.text);
    llm_close(m);
}

TEST(llm_a_name_chooses_one_generator_and_no_other)
{
    const struct llm_options opt = {.model_path = random_file("m"), .context = 256,
                                    .remotes = &AWAY, .n_remotes = 1};
    struct llm *m = opened(&opt);
    struct heard h = {0};
    struct llm_chat_reply reply;
    struct err err;
    CHECK_OK(say(m, &(struct llm_chat){CHAT}, &h, &reply, &err), &err);
    CHECK_INT(reply.usage.n_attempts, 1);
    CHECK(say(m, &(struct llm_chat){CHAT, .model = "away"}, &h, &reply, &err) != OK);
    CHECK_INT(reply.usage.n_attempts, 1);
    CHECK_STR(str_of(reply.usage.attempts[0].name), "away");
    CHECK_ERR(say(m, &(struct llm_chat){CHAT, .model = "none"}, &h, &reply, &err), ERR_NOTFOUND);
    CHECK_MSG(strstr(err.msg, ", away"), "%s", err.msg);
    buf_free(&h.text);
    llm_close(m);
}

TEST(llm_what_a_request_lacks_is_not_tried_elsewhere)
{
    const struct llm_options opt = {.model_path = random_file("m"), .context = 256,
                                    .remotes = &AWAY, .n_remotes = 1};
    struct llm *m = opened(&opt);
    struct heard h = {0};
    struct llm_chat_reply reply;
    struct err err;
    json_t *schema = json_pack("{s:s}", "type", "fish");
    CHECK_ERR(say(m, &(struct llm_chat){CHAT, .schema = schema}, &h, &reply, &err), ERR_ARG);
    CHECK_INT(reply.usage.n_attempts, 1);
    json_decref(schema);
    buf_free(&h.text);
    llm_close(m);
}
