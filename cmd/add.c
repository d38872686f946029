/* cmd/add.c - `carrel add`: files and folders into the store. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/load.h"
#include "cmd/progress.h"
#include "cmd/people.h"

enum { POLL_MS = 50, FAILURES_SHOWN = 20 };

struct add {
    struct cmd c;
    const char *collection, *metadata, *name;
    struct walk walk;
    struct load load;
    struct target t;
    struct progress progress;
    struct stop *stop;
    int stdin_fd; /* -1, or a file in memory with what came in */
    double begun_ms;
};

/* ---- what to read ---- */

/* Standard input as a file without a name, so that it is a file like others. */
static enum err_code copy_stdin(struct add *a, struct err *err)
{
    static char bytes[65536];
    a->stdin_fd = memfd_create("stdin", MFD_CLOEXEC);
    if (a->stdin_fd < 0)
        return err_errno(err, "standard input");
    for (;;) {
        ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));
        if (n == 0)
            return OK;
        if (n < 0 && errno != EINTR)
            return err_errno(err, "standard input");
        enum err_code rc = n > 0 ? file_write_all(a->stdin_fd, bytes, (size_t)n, err) : OK;
        if (!rc)
            rc = stop_check(a->stop, err);
        if (rc)
            return rc;
    }
}

static enum err_code add_stdin(struct add *a, struct err *err)
{
    char path[40];
    enum err_code rc = copy_stdin(a, err);
    if (rc)
        return rc;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", a->stdin_fd);
    return walk_add_piped(&a->walk, path, a->name, err);
}

/* --name names the only file. */
static enum err_code rename_only(struct add *a, struct err *err)
{
    if (!a->name)
        return OK;
    if (a->walk.n != 1)
        return err_set(err, ERR_ARG, "--name names one file, and here are %zu", a->walk.n);
    char *name = strdup(a->name);
    if (!name)
        return err_set(err, ERR_NOMEM, "a name");
    free(a->walk.files[0].name);
    a->walk.files[0].name = name;
    return OK;
}

static enum err_code check_metadata(const struct add *a, struct err *err)
{
    json_t *v = NULL;
    if (!a->metadata)
        return OK;
    enum err_code rc = json_read(str_of(a->metadata), &v, err);
    if (!rc && !json_is_object(v))
        rc = err_set(err, ERR_ARG, "want a JSON object, like {\"team\": \"legal\"}");
    json_decref(v);
    return rc ? err_wrap(err, ERR_ARG, "--metadata") : OK;
}

static enum err_code collect(struct add *a, int n, char **words, struct err *err)
{
    enum err_code rc = OK;
    for (int i = 0; i < n && !rc; i++)
        rc = strcmp(words[i], "-") == 0 ? add_stdin(a, err)
                                        : walk_add(&a->walk, words[i], a->stop, err);
    if (!rc)
        rc = rename_only(a, err);
    if (!rc)
        rc = check_metadata(a, err);
    return rc ? rc : walk_check(&a->walk, err);
}

/* ---- reading it ---- */

static void show_progress(struct add *a)
{
    const struct load *l = &a->load;
    progress_show(&a->progress, &(struct progress_now){
                                    .what = l->count[LOAD_TODO] ? "adding" : "reading",
                                    .unit = "files",
                                    .done = (int64_t)(l->count[LOAD_READY] + l->count[LOAD_FAILED] +
                                                      l->count[LOAD_UNCHANGED]),
                                    .total = (int64_t)l->n,
                                    .failed = (int64_t)l->count[LOAD_FAILED],
                                    .things = "passages",
                                    .n_things = l->chunks});
}

static void pause_ms(int ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

static enum err_code load_all(struct add *a, struct err *err)
{
    struct load *l = &a->load;
    enum err_code rc = load_init(l, &a->t, &a->walk, err);
    double polled_ms = clock_ms();
    for (size_t i = 0; i < l->n && !rc && !stop_asked(a->stop); i++) {
        rc = load_offer(l, i, err);
        if (!rc && clock_ms() - polled_ms > 200) {
            rc = load_poll(l, err);
            polled_ms = clock_ms();
            show_progress(a);
        }
    }
    if (!rc)
        rc = load_flush(l, err);
    while (!rc && l->count[LOAD_WAITING] && !stop_asked(a->stop)) {
        rc = load_poll(l, err);
        show_progress(a);
        if (l->count[LOAD_WAITING])
            pause_ms(POLL_MS);
    }
    return rc == ERR_CANCELLED ? OK : rc;
}

/* ---- telling ---- */

static json_t *failures_json(const struct load *l)
{
    json_t *list = json_array();
    for (size_t i = 0; i < l->n; i++)
        if (l->items[i].state == LOAD_FAILED)
            json_array_append_new(list, json_pack("{s:o,s:o}", "name",
                                                  json_text(str_of(l->items[i].file->name)),
                                                  "error", json_text(str_of(l->items[i].error))));
    return list;
}

static json_t *documents_json(const struct load *l)
{
    json_t *list = json_array();
    for (size_t i = 0; i < l->n; i++) {
        const struct load_item *it = &l->items[i];
        if (*it->id)
            json_array_append_new(list, json_pack("{s:s,s:o,s:b}", "id", it->id, "name",
                                                  json_text(str_of(it->file->name)), "duplicate",
                                                  it->state == LOAD_UNCHANGED));
    }
    return list;
}

/* Time of each stage, summed over the workers; null through a server. */
static json_t *stages_json(struct add *a)
{
    struct ingest_stats s = {0};
    if (!a->t.rooms.ingest)
        return json_null();
    ingest_stats(a->t.rooms.ingest, &s);
    return json_pack("{s:f,s:f,s:f,s:f}", "extract", s.extract_ms, "chunk", s.chunk_ms, "embed",
                     s.embed_ms, "index", s.index_ms);
}

static void tell_json(struct add *a, double seconds)
{
    const struct load *l = &a->load;
    cmd_json(json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:o,s:o,s:o}", "files",
                       (json_int_t)l->n, "added", (json_int_t)l->count[LOAD_READY], "unchanged",
                       (json_int_t)l->count[LOAD_UNCHANGED], "failed",
                       (json_int_t)l->count[LOAD_FAILED], "unfinished",
                       (json_int_t)(l->count[LOAD_TODO] + l->count[LOAD_WAITING]), "ignored",
                       (json_int_t)a->walk.ignored, "chunks", (json_int_t)l->chunks, "bytes",
                       (json_int_t)l->bytes, "seconds", seconds, "stages_ms", stages_json(a),
                       "failures", failures_json(l), "documents", documents_json(l)));
}

static void tell_failures(const struct load *l)
{
    size_t told = 0;
    for (size_t i = 0; i < l->n && told < FAILURES_SHOWN; i++) {
        const struct load_item *it = &l->items[i];
        if (it->state != LOAD_FAILED)
            continue;
        fputs("  ", stdout);
        people_line(str_of(it->file->name), 200);
        fputs(": ", stdout);
        people_line(str_of(it->error), 240);
        putchar('\n');
        told++;
    }
    if (l->count[LOAD_FAILED] > told)
        printf("  and %zu more: `carrel ls --state failed` lists them\n",
               l->count[LOAD_FAILED] - told);
}

static void tell_people(const struct add *a, double seconds)
{
    const struct load *l = &a->load;
    char size[16];
    printf("added %zu file%s (%s, %lld passage%s) in %.1f s", l->count[LOAD_READY],
           l->count[LOAD_READY] == 1 ? "" : "s", people_size(l->bytes, size), (long long)l->chunks,
           l->chunks == 1 ? "" : "s", seconds);
    if (l->count[LOAD_UNCHANGED])
        printf("; %zu unchanged", l->count[LOAD_UNCHANGED]);
    putchar('\n');
    if (l->count[LOAD_FAILED]) {
        printf("%zu could not be read:\n", l->count[LOAD_FAILED]);
        tell_failures(l);
    }
    size_t waiting = l->count[LOAD_WAITING], todo = l->count[LOAD_TODO];
    if (waiting + todo)
        cmd_note("stopped: %zu files wait to be read and %zu were not looked at; the same command "
                 "goes on "
                 "where it stopped",
                 waiting, todo);
}

static int tell(struct add *a)
{
    const struct load *l = &a->load;
    double seconds = (clock_ms() - a->begun_ms) / 1000;
    if (a->c.json)
        tell_json(a, seconds);
    else
        tell_people(a, seconds);
    size_t bad = l->count[LOAD_FAILED] + l->count[LOAD_WAITING] + l->count[LOAD_TODO];
    return cmd_done(bad ? CMD_PARTIAL : CMD_OK);
}

/* ---- the verb ---- */

static enum err_code ready_collection(struct add *a, struct err *err)
{
    struct collection made;
    struct arena arena = {0};
    if (a->t.client)
        return OK; /* the server makes it with the first upload */
    a->load.max_file_bytes = a->t.rooms.config->ingest.max_file_bytes;
    enum err_code rc =
        ingest_collection(a->t.rooms.ingest, a->collection, true, &arena, &made, err);
    arena_deinit(&arena);
    return rc;
}

static int add(struct add *a, int n, char **words)
{
    struct err err;
    enum err_code rc = collect(a, n, words, &err);
    if (rc)
        return cmd_exit_with(&a->c, rc == ERR_NOTFOUND ? CMD_NOTHING : cmd_exit_of(rc), "%s",
                             err.msg);
    if (a->walk.n == 0)
        return cmd_exit_with(&a->c, CMD_NOTHING,
                             "there is no file to read (hidden ones and those in a "
                             ".carrelignore are left out)");
    int status = target_open(&a->c, WANT_INDEX | WANT_INGEST, true, a->stop, &a->t);
    if (status)
        return status;
    a->load.collection = a->collection;
    a->load.metadata = a->metadata;
    progress_begin(&a->progress, a->c.json);
    rc = ready_collection(a, &err);
    if (!rc)
        rc = load_all(a, &err);
    progress_end(&a->progress);
    status = rc ? target_fail(&a->t, rc, &err) : tell(a);
    load_free(&a->load);
    target_close(&a->t);
    return status;
}

int cmd_add(int argc, char **argv)
{
    struct add a = {.collection = "default", .stdin_fd = -1};
    const struct arg args[] = {
        {"collection", ARG_TEXT, &a.collection, "NAME", "where to put them (default)", 0, 0},
        {"name", ARG_TEXT, &a.name, "NAME", "what to call the one file; needed with -", 0, 0},
        {"metadata", ARG_TEXT, &a.metadata, "JSON", "kept with each, for `search --filter`", 0, 0},
    };
    const struct args_usage u = {
        "add", "PATH...",
        "Read files and folders into the store; - is standard input. The files of a\n"
        "folder are named by their path from its parent (notes/2024/may.md), a single\n"
        "file by its own name. A name that is there already is replaced if its bytes\n"
        "differ, and left alone if they do not: run it again to take in what is new.\n"
        "Hidden files are left out, and what a .carrelignore names (globs, a line each).\n"
        "Exit status 3 when some could not be read.",
        args, 3};
    int status, n = args_parse(&u, &a.c, argc, argv, &status);
    if (n < 0)
        return status;
    if (n == 0)
        return args_wrong(&u, &a.c, "which files or folders?");
    for (int i = 0; i < n; i++)
        if (strcmp(argv[i], "-") == 0 && (!a.name || n > 1))
            return args_wrong(&u, &a.c, "- stands alone and needs --name NAME");
    a.stop = cmd_catch_signals();
    a.begun_ms = clock_ms();
    status = add(&a, n, argv);
    walk_free(&a.walk);
    if (a.stdin_fd >= 0)
        close(a.stdin_fd);
    return status;
}
