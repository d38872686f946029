#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "cmd/people.h"

struct wanted {
    const char *collection, *mode, *filter;
    int64_t top;
    bool explain;
};

/* The body of /v1/search; NULL and a sentence when the filter is no JSON object. */
static json_t *request_of(const struct wanted *w, struct str query, struct err *err)
{
    json_t *filter = NULL;
    if (w->filter && json_read(str_of(w->filter), &filter, err)) {
        err_wrap(err, ERR_ARG, "--filter");
        return NULL;
    }
    json_t *o = json_pack("{s:o,s:s*,s:b}", "query", json_text(query), "mode", w->mode, "explain",
                          w->explain);
    if (o && w->top)
        json_put(o, "top_k", json_integer(w->top));
    if (o && w->collection)
        json_put(o, "collection", json_text(str_of(w->collection)));
    if (o && filter)
        json_put(o, "filter", filter);
    if (!o)
        err_set(err, ERR_NOMEM, "a request");
    return o;
}

static int print_found(const struct cmd *c, const struct wanted *w, json_t *found)
{
    const json_t *hits = json_object_get(found, "hits");
    const json_t *degraded = json_object_get(found, "degraded");
    int status = json_array_size(hits) ? CMD_OK : CMD_NOTHING;
    if (c->json) {
        cmd_json(json_incref(found));
        return cmd_done(status);
    }
    size_t i;
    json_t *why;
    json_array_foreach(degraded, i, why)
        cmd_note("note: %s", json_string_value(why) ? json_string_value(why) : "");
    if (status == CMD_NOTHING)
        cmd_note("nothing found");
    people_hits(hits, w->explain);
    return cmd_done(status);
}

int cmd_search(int argc, char **argv)
{
    struct cmd c = {0};
    struct wanted w = {0};
    const struct arg args[] = {
        {"top", ARG_INT, &w.top, "N", "at most N passages (10)", 1, SEARCH_TOP_K_MAX},
        {"mode", ARG_TEXT, &w.mode, "MODE", "hybrid, dense or words (hybrid)", 0, 0},
        {"collection", ARG_TEXT, &w.collection, "NAME", "where to look (default)", 0, 0},
        {"filter", ARG_TEXT, &w.filter, "JSON", "only documents like {\"name\": \"a.pdf\"}", 0, 0},
        {"explain", ARG_FLAG, &w.explain, NULL, "say how each score came about", 0, 0},
    };
    const struct args_usage u = {"search", "QUERY...",
                                 "Find the passages that fit QUERY best, by meaning and by words.\n"
                                 "Exit status 4 when there are none.",
                                 args, 5};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    if (n < 0)
        return status;
    if (n == 0)
        return args_wrong(&u, &c, "what to search for?");
    struct target t;
    struct err err;
    struct buf query = {0};
    cmd_join(&query, n, argv);
    json_t *request = request_of(&w, buf_view(&query), &err), *found = NULL;
    buf_free(&query);
    if (!request)
        return cmd_fail(&c, err.code, &err);
    status = target_open(&c, WANT_INDEX | WANT_QUERY, false, cmd_catch_signals(), &t);
    if (status == CMD_OK) {
        enum err_code rc = fetch_search(&t, request, &found, &err);
        status = rc ? target_fail(&t, rc, &err) : print_found(&c, &w, found);
        target_close(&t);
    }
    json_decref(found);
    json_decref(request);
    return status;
}
