#include "embed/pairs.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/json.h"

#define LINE_MAX_BYTES ((size_t)1 << 24)

/* An open file, or the reading end of a pipe from `xz -dc`. */
struct input {
    FILE *f;
    pid_t child;
};

static enum err_code spawn_xz(const char *path, pid_t *child, int *fd, struct err *err)
{
    extern char **environ;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return err_errno(err, "a pipe from xz");
    posix_spawn_file_actions_t act;
    posix_spawn_file_actions_init(&act);
    posix_spawn_file_actions_adddup2(&act, ends[1], STDOUT_FILENO);
    char *argv[] = {"xz", "-dc", "--", (char *)(uintptr_t)path, NULL};
    int rc = posix_spawnp(child, "xz", &act, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&act);
    close(ends[1]);
    if (rc) {
        close(ends[0]);
        return err_set(err, ERR_IO, "xz (package xz-utils): %s", strerror(rc));
    }
    *fd = ends[0];
    return OK;
}

static enum err_code open_input(const char *path, struct input *in, struct err *err)
{
    *in = (struct input){0};
    if (!str_ends(str_of(path), STR(".xz"))) {
        in->f = fopen(path, "re");
        return in->f ? OK : err_errno(err, "%s", path);
    }
    int fd = -1;
    enum err_code rc = spawn_xz(path, &in->child, &fd, err);
    if (rc)
        return rc;
    in->f = fdopen(fd, "r");
    if (in->f)
        return OK;
    close(fd);
    waitpid(in->child, NULL, 0);
    return err_errno(err, "%s", path);
}

/* `whole`: it was read to its end, so that a child must have ended well. */
static enum err_code close_input(struct input *in, const char *path, bool whole, struct err *err)
{
    bool bad = ferror(in->f) != 0;
    fclose(in->f);
    int status = 0;
    while (in->child && waitpid(in->child, &status, 0) < 0 && errno == EINTR)
        ;
    if (!whole)
        return OK;
    if (bad)
        return err_set(err, ERR_IO, "%s: a read failed", path);
    if (status)
        return err_set(err, ERR_FORMAT, "%s: xz could not read it to its end", path);
    return OK;
}

static bool is_skipped(struct str source, const char *skip)
{
    struct str rest = str_of(skip), name;
    while (str_split(&rest, ',', &name)) {
        bool begins = name.len && str_starts(source, name);
        if (begins && (source.len == name.len || source.ptr[name.len] == '-'))
            return true;
    }
    return false;
}

/* Number of the source called `name`, made when new; -1 without memory or room. */
static int source_id(struct pairs *p, struct str name)
{
    for (int i = p->n_sources - 1; i >= 0; i--)
        if (str_eq(p->sources[i], name))
            return i;
    if (p->n_sources == PAIRS_SOURCES_MAX)
        return -1;
    if (!p->sources) {
        p->sources = calloc(PAIRS_SOURCES_MAX, sizeof(*p->sources));
        p->counts = calloc(PAIRS_SOURCES_MAX, sizeof(*p->counts));
        if (!p->sources || !p->counts)
            return -1;
    }
    struct str copy = arena_str(&p->texts, name);
    if (!copy.ptr)
        return -1;
    p->sources[p->n_sources] = copy;
    return p->n_sources++;
}

static enum err_code append(struct pairs *p, struct str q, struct str text, struct str source,
                            struct err *err)
{
    if (p->n == PAIRS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d pairs", PAIRS_MAX);
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 1024;
        struct pair *v = realloc(p->v, cap * sizeof(*v));
        if (!v)
            return err_set(err, ERR_NOMEM, "%zu pairs", cap);
        p->v = v;
        p->cap = cap;
    }
    struct pair pair = {arena_str(&p->texts, q), arena_str(&p->texts, text), source_id(p, source)};
    if (!pair.q.ptr || !pair.p.ptr)
        return err_set(err, ERR_NOMEM, "%zu pairs", p->n);
    if (pair.source < 0)
        return err_set(err, ERR_LIMIT, "more than %d sources", PAIRS_SOURCES_MAX);
    p->counts[pair.source]++;
    p->v[p->n++] = pair;
    return OK;
}

static enum err_code take_line(struct pairs *p, struct str line, const char *path, const char *skip,
                               struct err *err)
{
    struct str q = {0}, text = {0}, source = str_of(path);
    const char *base = strrchr(path, '/');
    if (base)
        source = str_of(base + 1);
    json_t *o = NULL;
    enum err_code rc = json_read(line, &o, err);
    if (rc)
        return rc;
    if (!json_is_object(o))
        rc = err_set(err, ERR_FORMAT, "the line is no JSON object");
    if (!rc)
        rc = json_opt_str(o, "q", &q, err);
    if (!rc)
        rc = json_opt_str(o, "p", &text, err);
    if (!rc)
        rc = json_opt_str(o, "src", &source, err);
    if (!rc && (!q.len || !text.len))
        rc = err_set(err, ERR_FORMAT, "\"%s\" is missing or empty", q.len ? "p" : "q");
    if (!rc && is_skipped(source, skip))
        p->skipped++;
    else if (!rc)
        rc = append(p, q, text, source, err);
    json_decref(o);
    return rc;
}

static enum err_code read_lines(struct pairs *p, FILE *f, const char *path, const char *skip,
                                const struct stop *stop, struct err *err)
{
    char *line = NULL;
    size_t cap = 0, number = 0;
    enum err_code rc = OK;
    ssize_t got;
    while (!rc && (got = getline(&line, &cap, f)) > 0) {
        struct str s = str_trim((struct str){line, (size_t)got});
        number++;
        if (number % 1024 == 0)
            rc = stop_check(stop, err);
        if (rc || !s.len)
            continue;
        if (s.len > LINE_MAX_BYTES)
            rc = err_set(err, ERR_LIMIT, "a line of %zu bytes: want at most %zu", s.len,
                         LINE_MAX_BYTES);
        else
            rc = take_line(p, s, path, skip, err);
        if (rc)
            rc = err_wrap(err, rc == ERR_ARG ? ERR_FORMAT : rc, "%s line %zu", path, number);
    }
    free(line);
    return rc;
}

enum err_code pairs_read(struct pairs *p, const char *path, const char *skip,
                         const struct stop *stop, struct err *err)
{
    struct input in;
    enum err_code rc = open_input(path, &in, err);
    if (rc)
        return rc;
    rc = read_lines(p, in.f, path, skip, stop, err);
    enum err_code closed = close_input(&in, path, !rc, err);
    return rc ? rc : closed;
}

static int by_name(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int c = memcmp(x->ptr, y->ptr, n);
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

void pairs_name_sources(const struct pairs *p, struct buf *b)
{
    size_t n = (size_t)p->n_sources;
    struct str *names = malloc((n + 1) * sizeof(*names));
    if (!names) {
        b->failed = true;
        return;
    }
    if (n)
        memcpy(names, p->sources, n * sizeof(*names));
    qsort(names, n, sizeof(*names), by_name);
    for (size_t i = 0; i < n; i++) {
        buf_puts(b, i ? ", " : "");
        buf_str(b, names[i]);
    }
    free(names);
}

void pairs_deinit(struct pairs *p)
{
    free(p->v);
    free(p->sources);
    free(p->counts);
    arena_deinit(&p->texts);
    *p = (struct pairs){0};
}
