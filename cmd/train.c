#include <stdio.h>
#include "base/clock.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/progress.h"
#include "embed/pairs.h"
#include "embed/trainer.h"
#include "model/gemm.h"

/* The options of the command line that are no options of the trainer. */
struct wish {
    const char *out, *name, *skip;
    int64_t threads;
};

struct report {
    struct progress bar;
    bool plain;
};

static void say(void *arg, size_t step, size_t steps, double loss)
{
    struct report *r = arg;
    struct progress_now now = {
        .what = "training", .unit = "steps", .done = (int64_t)step, .total = (int64_t)steps};
    progress_show(&r->bar, &now);
    if (r->plain && (step == steps || step % (steps / 10 ? steps / 10 : 1) == 0))
        cmd_note("step %zu of %zu: loss %.4f", step, steps, loss);
}

static enum err_code read_all(char **paths, int n, const char *skip, const struct stop *stop,
                              struct pairs *pairs, struct err *err)
{
    enum err_code rc = OK;
    for (int i = 0; i < n && !rc; i++)
        rc = pairs_read(pairs, paths[i], skip, stop, err);
    return rc;
}

static void tell(const struct cmd *c, const struct trainer_result *r, size_t skipped, double ms,
                 const char *path)
{
    if (c->json)
        cmd_json(json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:I,s:f}", "file", path, "pairs",
                           (json_int_t)r->pairs, "skipped", (json_int_t)skipped, "words",
                           (json_int_t)r->words, "pieces", (json_int_t)r->pieces, "steps",
                           (json_int_t)r->steps, "first_loss", r->first_loss, "last_loss",
                           r->last_loss, "bytes", (json_int_t)r->size_bytes, "seconds", ms / 1000));
    else
        printf("%s: %zu bytes, %zu pieces of %zu words, %zu pairs (%zu left out), %zu steps,\n"
               "loss %.4f to %.4f, %.0f s\n",
               path, r->size_bytes, r->pieces, r->words, r->pairs, skipped, r->steps, r->first_loss,
               r->last_loss, ms / 1000);
}

static enum err_code train(const struct cmd *c, struct trainer_options *opt, const struct wish *w,
                           char **paths, int n, struct err *err)
{
    struct pairs pairs = {0};
    struct trainer_result result;
    struct report report = {.plain = !c->json};
    double began = clock_ms();
    /* Before the team: it sets environment variables for the library. */
    enum err_code rc = gemm_init(err);
    if (!rc)
        rc = team_new((int)w->threads, &opt->team, err);
    if (!rc)
        rc = read_all(paths, n, w->skip, opt->stop, &pairs, err);
    if (!rc) {
        cmd_note("%zu pairs of %d sources, %zu left out", pairs.n, pairs.n_sources, pairs.skipped);
        progress_begin(&report.bar, c->json);
        opt->say = say;
        opt->arg = &report;
        rc = trainer_run(opt, &pairs, w->out, &result, err);
        progress_end(&report.bar);
    }
    if (!rc)
        tell(c, &result, pairs.skipped, clock_ms() - began, w->out);
    pairs_deinit(&pairs);
    team_free(opt->team);
    return rc;
}

static const char about[] =
    "Train a static encoder: learn a vocabulary and a vector for each of its pieces\n"
    "from pairs of a query and a passage that answers it, and write them as a GGUF\n"
    "that `embed.model` takes. PAIRS are files of lines {\"q\": query, \"p\": passage,\n"
    "\"src\": source}; a name ending in .xz is read through xz. The same pairs, options\n"
    "and processor give the same file. Measure --dense-weight with `carrel eval`.";

int cmd_train(int argc, char **argv)
{
    struct cmd c = {0};
    struct wish w = {0};
    struct trainer_options opt = {0};
    int64_t dim = 768, pieces = 26700, batch = 2048, passes = 3, seed = 1;
    const struct arg args[] = {
        {"out", ARG_TEXT, &w.out, "FILE", "the GGUF to write", 0, 0},
        {"name", ARG_TEXT, &w.name, "NAME", "its general.name (carrel-static)", 0, 0},
        {"skip", ARG_TEXT, &w.skip, "A,B", "leave out sources A, A-..., B, B-...", 0, 0},
        {"dim", ARG_INT, &dim, "N", "numbers in a vector, a multiple of 32 (768)", 32, 4096},
        {"pieces", ARG_INT, &pieces, "N", "size of the vocabulary (26700)", 128, 200000},
        {"bits8", ARG_FLAG, &opt.bits8, NULL, "8 bits a number, not 4", 0, 0},
        {"passes", ARG_INT, &passes, "N", "passes over the pairs (3)", 1, 1000},
        {"batch", ARG_INT, &batch, "N", "pairs in a batch (2048)", 2, 65536},
        {"rate", ARG_NUM, &opt.rate, "X", "highest rate of learning (0.02)", 1e-6, 1},
        {"seed", ARG_INT, &seed, "N", "of the first vectors and the order (1)", 1, INT64_MAX / 2},
        {"dense-weight", ARG_NUM, &opt.dense_weight, "X", "its share in hybrid search (0.4)", 0.01, 1},
        {"threads", ARG_INT, &w.threads, "N", "to work with (all processors)", 1, 256},
    };
    const struct args_usage u = {.verb = "train", .words = "--out FILE PAIRS...", .text = about,
                                 .args = args, .n_args = sizeof(args) / sizeof(*args),
                                 .no_store = true};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    if (n < 0)
        return status;
    if (!w.out || n == 0)
        return args_wrong(&u, &c, !w.out ? "--out FILE is missing" : "no file of pairs is given");
    opt.dim = (int)dim;
    opt.pieces = (int)pieces;
    opt.batch = (int)batch;
    opt.passes = (int)passes;
    opt.seed = (uint64_t)seed;
    opt.name = w.name;
    opt.stop = cmd_catch_signals();
    struct err err;
    enum err_code rc = train(&c, &opt, &w, argv, n, &err);
    return rc ? cmd_fail(&c, rc, &err) : cmd_done(CMD_OK);
}
