/* cmd/reindex.c - graphs built again, or vectors made again by another encoder. */
#include <stdio.h>
#include "base/clock.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/progress.h"
#include "cmd/target.h"

struct reindex {
    struct cmd c;
    bool embed;
    const char *collection;
    struct target t;
    struct progress progress;
    int64_t vectors;
};

static enum err_code relink(struct reindex *r, struct err *err)
{
    struct index_counts counts = {0};
    enum err_code rc = index_rebuild(r->t.rooms.index, err);
    if (!rc)
        rc = index_counts(r->t.rooms.index, &counts, err);
    r->vectors = counts.graph_nodes;
    return rc;
}

static void show(void *arg, int64_t done, int64_t total)
{
    struct reindex *r = arg;
    r->vectors = total;
    progress_show(&r->progress, &(struct progress_now){.what = "embedding", .unit = "passages",
                                                       .done = done, .total = total});
}

static enum err_code embed_again(struct reindex *r, struct err *err)
{
    struct rooms *x = &r->t.rooms;
    progress_begin(&r->progress, r->c.json);
    enum err_code rc =
        ingest_reembed(x->index, x->embed, r->collection, show, r, cmd_catch_signals(), err);
    progress_end(&r->progress);
    return rc;
}

static void tell(const struct reindex *r, double seconds)
{
    if (r->c.json)
        cmd_json(json_pack("{s:I,s:b,s:f}", "vectors", (json_int_t)r->vectors, "embedded",
                           r->embed, "seconds", seconds));
    else
        printf("%s %lld vectors anew in %.1f s\n", r->embed ? "made" : "linked",
               (long long)r->vectors, seconds);
}

int cmd_reindex(int argc, char **argv)
{
    struct reindex r = {.collection = "default"};
    const struct arg args[] = {
        {"embed", ARG_FLAG, &r.embed, NULL, "make the vectors anew by the encoder in use", 0, 0},
        {"collection", ARG_TEXT, &r.collection, "NAME", "with --embed: which (default)", 0, 0},
    };
    const struct args_usage u = {
        "reindex", "",
        "Throw the search graphs away and build them again from the stored vectors.\n"
        "With --embed, the passages of a collection are embedded again first, by the\n"
        "encoder in use: that is how a collection gets another encoder. The old vectors\n"
        "serve until the new ones are complete, and stay if anything fails.",
        args, 2};
    int status, n = args_parse(&u, &r.c, argc, argv, &status);
    if (n < 0)
        return status;
    if (n > 0)
        return args_wrong(&u, &r.c, "reindex takes no words, and there is \"%s\"", argv[0]);
    struct err err;
    status = target_open_alone(&r.c, r.embed ? WANT_INDEX | WANT_EMBED : WANT_INDEX,
                               "carrel reindex", cmd_catch_signals(), &r.t);
    if (status)
        return status;
    double begun = clock_ms();
    enum err_code rc = r.embed ? embed_again(&r, &err) : relink(&r, &err);
    if (rc)
        status = target_fail(&r.t, rc, &err);
    else
        tell(&r, (clock_ms() - begun) / 1000);
    target_close(&r.t);
    return cmd_done(status);
}
