/* cmd/eval.c - `carrel eval`: a judged set into a scratch store, then query/eval. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/open.h"
#include "cmd/progress.h"
#include "cmd/people.h"
#include "query/eval.h"

enum { BATCH = 64 };

struct eval {
    struct cmd c;
    struct rooms rooms;
    struct progress progress;
    struct stop *stop;
    const char *dir;
    char scratch[256];
    int documents;
    json_t *rows[BATCH]; /* what the batch's views point into */
    struct plain batch[BATCH];
    int n_batch;
};

/* ---- the scratch store ---- */

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static enum err_code make_scratch(struct eval *e, struct err *err)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(e->scratch, sizeof(e->scratch), "%s/carrel-eval-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (mkdtemp(e->scratch))
        return OK;
    e->scratch[0] = 0;
    return err_errno(err, "a scratch folder in %s", tmp && *tmp ? tmp : "/tmp");
}

static enum err_code open_scratch(struct eval *e, const char *model, struct err *err)
{
    struct config *config = NULL;
    enum err_code rc = make_scratch(e, err);
    if (!rc)
        rc = open_config(&e->c, &config, err);
    if (!rc)
        rc = config_set(config, "store.dir", e->scratch, "eval", err);
    if (!rc && model)
        rc = config_set(config, "embed.model", model, "--model", err);
    if (!rc)
        rc = rooms_open(&config, WANT_QUERY | WANT_INGEST | WANT_CREATE | WANT_VOLATILE, &e->rooms,
                        err);
    open_config_free(config);
    struct arena a = {0};
    struct collection made;
    if (!rc)
        rc = ingest_collection(e->rooms.ingest, "default", true, &a, &made, err);
    arena_deinit(&a);
    return rc;
}

/* ---- the corpus ---- */

static enum err_code flush(struct eval *e, struct err *err)
{
    enum err_code rc = OK;
    if (e->n_batch)
        rc = ingest_plain(e->rooms.ingest, "default", e->batch, e->n_batch, e->stop, err);
    for (int i = 0; i < e->n_batch; i++)
        json_decref(e->rows[i]);
    e->documents += rc ? 0 : e->n_batch;
    e->n_batch = 0;
    return rc;
}

static enum err_code take_row(struct eval *e, struct str line, struct err *err)
{
    json_t *row = NULL;
    struct str id = {0}, title = STR(""), text = STR("");
    enum err_code rc = json_read(line, &row, err);
    if (!rc && !json_is_object(row))
        rc = err_set(err, ERR_FORMAT, "want an object {_id, title, text}");
    if (!rc)
        rc = json_opt_str(row, "_id", &id, err);
    if (!rc)
        rc = json_opt_str(row, "title", &title, err);
    if (!rc)
        rc = json_opt_str(row, "text", &text, err);
    if (!rc && !id.len)
        rc = err_set(err, ERR_FORMAT, "a row without _id");
    if (rc) {
        json_decref(row);
        return rc;
    }
    e->rows[e->n_batch] = row;
    e->batch[e->n_batch++] = (struct plain){id.ptr, title, text};
    return e->n_batch == BATCH ? flush(e, err) : OK;
}

/* Lines of a file, for progress; 0 when it cannot be read. */
static int64_t count_lines(const char *path)
{
    static char bytes[65536];
    FILE *f = fopen(path, "rbe");
    int64_t n = 0;
    size_t got;
    while (f && (got = fread(bytes, 1, sizeof(bytes), f)) > 0)
        for (size_t i = 0; i < got; i++)
            n += bytes[i] == '\n';
    if (f)
        fclose(f);
    return n;
}

static void say(void *arg, const char *what, int done, int total)
{
    struct eval *e = arg;
    if (done <= 1) {
        progress_end(&e->progress);
        progress_begin(&e->progress, e->c.json);
    }
    progress_show(&e->progress, &(struct progress_now){
                                    .what = what, .unit = "done", .done = done, .total = total});
}

static enum err_code fill(struct eval *e, struct err *err)
{
    char path[4200];
    snprintf(path, sizeof(path), "%s/corpus.jsonl", e->dir);
    int64_t total = count_lines(path), n = 0;
    FILE *f = fopen(path, "rbe");
    if (!f)
        return err_errno(err, "%s", path);
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    enum err_code rc = OK;
    while (!rc && (len = getline(&line, &cap, f)) >= 0) {
        struct str row = str_trim((struct str){line, (size_t)len});
        n++;
        rc = row.len ? take_row(e, row, err) : OK;
        if (rc && rc != ERR_CANCELLED)
            err_wrap(err, rc, "%s:%lld", path, (long long)n);
        say(e, "embedding the corpus", (int)n, (int)total);
    }
    if (!rc)
        rc = flush(e, err);
    free(line);
    fclose(f);
    return rc;
}

/* ---- telling ---- */

static void print_row(const json_t *result, const char *mode)
{
    const json_t *m = json_object_get(result, mode);
    if (!json_is_object(m))
        return;
    printf("%-8s", mode);
    static const char *const keys[] = {"ndcg_at_10", "recall_at_10", "recall_at_100", "mrr_at_10"};
    for (int i = 0; i < 4; i++)
        printf("  %10.4f", json_number_value(json_object_get(m, keys[i])));
    printf("  %10.2f\n", json_number_value(json_object_get(m, "ms_per_query")));
}

/* Numbers of an object on one line; lists (curves) are for --json. */
static void print_numbers(const json_t *result, const char *name)
{
    const json_t *o = json_object_get(result, name);
    const char *key;
    json_t *v;
    if (!json_is_object(o))
        return;
    printf("\n%s\n", name);
    json_object_foreach((json_t *)o, key, v) if (json_is_number(v))
        printf("  %-28s %.4g\n", key, json_number_value(v));
}

static void tell(const struct eval *e, json_t *result)
{
    if (e->c.json) {
        cmd_json(json_incref(result));
        return;
    }
    printf("%lld documents, %lld queries\n\n", (long long)people_number(result, "documents"),
           (long long)people_number(result, "queries"));
    printf("%-8s  %10s  %10s  %10s  %10s  %10s\n", "", "nDCG@10", "recall@10", "recall@100",
           "MRR@10", "ms/query");
    print_row(result, "words");
    print_row(result, "dense");
    print_row(result, "hybrid");
    print_row(result, "rerank");
    print_numbers(result, "answers");
    print_numbers(result, "refusals");
}

static enum err_code run(struct eval *e, const char *model, struct err *err)
{
    json_t *result = NULL;
    const struct eval_progress p = {say, e};
    enum err_code rc = open_scratch(e, model, err);
    if (!rc)
        rc = fill(e, err);
    progress_end(&e->progress);
    progress_begin(&e->progress, e->c.json);
    if (!rc)
        rc = eval_run(e->rooms.query, e->dir, "default", &p, e->stop, &result, err);
    progress_end(&e->progress);
    if (!rc)
        tell(e, result);
    json_decref(result);
    return rc;
}

int cmd_eval(int argc, char **argv)
{
    struct eval e = {0};
    const char *model = NULL;
    const struct arg args[] = {
        {"model", ARG_TEXT, &model, "FILE", "GGUF of the encoder (the configured one)", 0, 0},
    };
    const struct args_usage u = {
        "eval",
        "DIR",
        "Measure search on a judged set: corpus.jsonl, queries.jsonl and qrels.tsv as\n"
        "BEIR lays them out, read into a scratch store. With qa.jsonl also answers: how\n"
        "many hold a gold answer, and how many questions without one are refused.",
        args,
        1,
        true};
    int status, n = args_parse(&u, &e.c, argc, argv, &status);
    if (n < 0)
        return status;
    if (n != 1)
        return args_wrong(&u, &e.c, "which folder?");
    struct err err;
    e.dir = argv[0];
    e.stop = cmd_catch_signals();
    progress_begin(&e.progress, e.c.json);
    enum err_code rc = run(&e, model, &err);
    progress_end(&e.progress);
    for (int i = 0; i < e.n_batch; i++)
        json_decref(e.rows[i]);
    rooms_close(&e.rooms);
    if (*e.scratch)
        nftw(e.scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return rc ? cmd_fail(&e.c, rc, &err) : cmd_done(CMD_OK);
}
