#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "cmd/people.h"
#include "cmd/wrap.h"

enum { NEAREST_SHOWN = 3 };

struct told { /* what of the answer stands on the screen already */
    bool any;
    struct wrap wrap;
};

static bool print_piece(void *arg, struct str text)
{
    struct told *t = arg;
    struct buf out = {0};
    t->any |= text.len > 0;
    wrap_add(&t->wrap, text, &out);
    cmd_text(buf_view(&out));
    buf_free(&out);
    return fflush(stdout) == 0;
}

/* The word that was held back, and the line's end. */
static void print_rest(struct told *t)
{
    struct buf out = {0};
    wrap_end(&t->wrap, &out);
    cmd_text(buf_view(&out));
    putchar('\n');
    buf_free(&out);
}

/* Passages that came near, under a refusal. */
static void print_nearest(const json_t *nearest)
{
    size_t i;
    json_t *hit, *few = json_array();
    json_array_foreach(nearest, i, hit) if (i < NEAREST_SHOWN) json_array_append(few, hit);
    if (json_array_size(few)) {
        printf("\nThe nearest passages:\n\n");
        people_hits(few, false);
    }
    json_decref(few);
}

/* What a reader must know of the answer as a whole: on standard error, as all notes. */
static void print_caveats(const json_t *reply)
{
    struct str answer = str_of(people_text(reply, "answer"));
    const json_t *range, *why;
    size_t i;
    if (strcmp(people_text(reply, "finish_reason"), "length") == 0)
        cmd_note("note: the answer was cut off at its greatest length");
    json_array_foreach(json_object_get(reply, "unsupported"), i, range)
    {
        size_t start = (size_t)people_number(range, "start");
        size_t end = (size_t)people_number(range, "end");
        struct str claim = str_trim(str_sub(answer, start, end));
        cmd_note("note: no source supports: \"%.*s\"", STR_ARG(claim));
    }
    json_array_foreach(json_object_get(reply, "degraded"), i, why)
        cmd_note("note: %s", json_string_value(why) ? json_string_value(why) : "");
}

static int print_reply(const struct cmd *c, json_t *reply, struct told *told)
{
    bool refused = strcmp(people_text(reply, "finish_reason"), "refused") == 0;
    int status = refused ? CMD_NOTHING : CMD_OK;
    if (c->json) {
        cmd_json(json_incref(reply));
        return cmd_done(status);
    }
    if (!told->any)
        print_piece(told, str_of(people_text(reply, "answer")));
    print_rest(told);
    print_caveats(reply);
    if (refused) {
        print_nearest(json_object_get(reply, "nearest"));
        return cmd_done(status);
    }
    putchar('\n');
    people_citations(json_object_get(reply, "citations"));
    return cmd_done(status);
}

static int ask(const struct cmd *c, const json_t *request)
{
    struct target t;
    struct err err;
    json_t *reply = NULL;
    int status = target_open(c, WANT_INDEX | WANT_QUERY | WANT_LLM, false, cmd_catch_signals(), &t);
    if (status)
        return status;
    struct told told = {.wrap = {.width = wrap_columns()}};
    enum err_code rc = fetch_ask(&t, request, c->json ? NULL : print_piece, &told, &reply, &err);
    if (rc && told.any)
        print_rest(&told);
    status = rc ? target_fail(&t, rc, &err) : print_reply(c, reply, &told);
    buf_free(&told.wrap.word);
    json_decref(reply);
    target_close(&t);
    return status;
}

int cmd_ask(int argc, char **argv)
{
    struct cmd c = {0};
    const char *collection = NULL;
    int64_t top = 0;
    const struct arg args[] = {
        {"collection", ARG_TEXT, &collection, "NAME", "where to look (default)", 0, 0},
        {"top", ARG_INT, &top, "N", "passages the answer may use", 1, 50},
    };
    const struct args_usage u = {
        "ask", "QUESTION...",
        "Answer QUESTION from the documents. Each [n] in the answer stands for the\n"
        "citation of that number beneath it: document, page and the very words.\n"
        "Exit status 4 when the documents do not answer it.",
        args, 2};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    if (n < 0)
        return status;
    if (n == 0)
        return args_wrong(&u, &c, "what is the question?");
    struct buf question = {0};
    cmd_join(&question, n, argv);
    json_t *request = json_pack("{s:o}", "question", json_text(buf_view(&question)));
    buf_free(&question);
    if (collection)
        json_put(request, "collection", json_text(str_of(collection)));
    if (top)
        json_put(request, "top_k", json_integer(top));
    status = request ? ask(&c, request) : cmd_exit_with(&c, CMD_FAILED, "no memory");
    json_decref(request);
    return status;
}
