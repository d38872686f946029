#include "cmd/walk.h"
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/str.h"
#include "base/utf8.h"

enum { DEPTH_MAX = 64, IGNORE_BYTES_MAX = 1 << 20 };
#define FILES_MAX ((size_t)50 * 1000 * 1000)

/* One folder on the way down; the way back up is `parent`. */
struct level {
    const struct level *parent;
    struct buf ignore; /* its .carrelignore */
    size_t path_len;   /* of its path, which its children's begin with */
    int depth;
};

/* ---- .carrelignore ---- */

static bool line_matches(struct str line, const char *relative, const char *name, bool folder)
{
    char glob[1024];
    line = str_trim(line);
    if (line.len == 0 || line.ptr[0] == '#' || line.len >= sizeof(glob))
        return false;
    if (line.ptr[line.len - 1] == '/') {
        if (!folder)
            return false;
        line.len--;
    }
    bool anchored = memchr(line.ptr, '/', line.len) != NULL;
    if (line.len && line.ptr[0] == '/') {
        line.ptr++;
        line.len--;
    }
    memcpy(glob, line.ptr, line.len);
    glob[line.len] = 0;
    return fnmatch(glob, anchored ? relative : name, anchored ? FNM_PATHNAME : 0) == 0;
}

/* Does any .carrelignore from here up leave `path` out? */
static bool ignored(const struct level *l, const char *path, const char *name, bool folder)
{
    for (; l; l = l->parent) {
        struct str rest = buf_view(&l->ignore), line;
        while (rest.len && str_split(&rest, '\n', &line))
            if (line_matches(line, path + l->path_len + 1, name, folder))
                return true;
    }
    return false;
}

/* ---- the list ---- */

/* A file's name as a document's: UTF-8 without controls. */
static char *clean_name(struct str raw)
{
    struct buf fixed = {0}, out = {0};
    utf8_repair(raw, &fixed);
    struct str s = buf_view(&fixed);
    for (size_t i = 0; i < s.len;) {
        uint32_t cp;
        int n = utf8_decode(s, i, &cp);
        if (utf8_is_control(cp))
            buf_char(&out, '_');
        else
            buf_add(&out, s.ptr + i, (size_t)n);
        i += (size_t)n;
    }
    buf_free(&fixed);
    return buf_take(&out, NULL);
}

static enum err_code keep_file(struct walk *w, const char *path, struct str name, int64_t size,
                               struct err *err)
{
    if (w->n == FILES_MAX)
        return err_set(err, ERR_LIMIT, "more than %zu files", FILES_MAX);
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 256;
        struct walk_file *grown = realloc(w->files, cap * sizeof(*grown));
        if (!grown)
            return err_set(err, ERR_NOMEM, "a list of %zu files", cap);
        w->files = grown;
        w->cap = cap;
    }
    struct walk_file f = {.path = strdup(path), .name = clean_name(name), .size_bytes = size};
    if (!f.path || !f.name) {
        free(f.path);
        free(f.name);
        return err_set(err, ERR_NOMEM, "a list of %zu files", w->n);
    }
    w->files[w->n++] = f;
    return OK;
}

static enum err_code walk_folder(struct walk *w, const struct level *parent, const char *path,
                                 size_t name_at, const struct stop *stop, struct err *err);

/* One entry of a folder: a file is kept, a folder walked, all else passed over. */
static enum err_code take_entry(struct walk *w, const struct level *l, const char *path,
                                const char *name, size_t name_at, const struct stop *stop,
                                struct err *err)
{
    struct stat st, link;
    if (lstat(path, &link) != 0 || stat(path, &st) != 0)
        return errno == ENOENT ? OK : err_errno(err, "%s", path); /* gone, or a dangling link */
    bool folder = S_ISDIR(st.st_mode);
    if (name[0] == '.' || ignored(l, path, name, folder) || (folder && S_ISLNK(link.st_mode)) ||
        (!folder && !S_ISREG(st.st_mode))) {
        w->ignored += strcmp(name, ".carrelignore") != 0;
        return OK;
    }
    if (folder)
        return walk_folder(w, l, path, name_at, stop, err);
    return keep_file(w, path, str_of(path + name_at), st.st_size, err);
}

static enum err_code walk_entries(struct walk *w, const struct level *l, const char *path,
                                  size_t name_at, const struct stop *stop, struct err *err)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0)
        return err_errno(err, "%s", path);
    enum err_code rc = OK;
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        char child[PATH_MAX];
        if (!rc && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            if (snprintf(child, sizeof(child), "%s/%s", path, name) >= (int)sizeof(child))
                rc = err_set(err, ERR_LIMIT, "%s/%s: the path is longer than %d bytes", path, name,
                             PATH_MAX);
            else if (!(rc = stop_check(stop, err)))
                rc = take_entry(w, l, child, name, name_at, stop, err);
        }
        free(entries[i]);
    }
    free(entries);
    return rc;
}

/* `name_at`: where in the paths below the documents' names begin. */
static enum err_code walk_folder(struct walk *w, const struct level *parent, const char *path,
                                 size_t name_at, const struct stop *stop, struct err *err)
{
    struct level l = {
        .parent = parent, .path_len = strlen(path), .depth = parent ? parent->depth + 1 : 0};
    char file[PATH_MAX];
    if (l.depth > DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "%s: more than %d folders deep", path, DEPTH_MAX);
    snprintf(file, sizeof(file), "%s/.carrelignore", path);
    enum err_code rc = OK;
    if (file_exists(file))
        rc = file_read(file, IGNORE_BYTES_MAX, &l.ignore, err);
    if (!rc)
        rc = walk_entries(w, &l, path, name_at, stop, err);
    buf_free(&l.ignore);
    return rc;
}

enum err_code walk_add(struct walk *w, const char *path, const struct stop *stop, struct err *err)
{
    struct stat st;
    char full[PATH_MAX];
    if (stat(path, &st) != 0 || !realpath(path, full))
        return errno == ENOENT
                   ? err_set(err, ERR_NOTFOUND, "%s: there is no such file or folder", path)
                   : err_errno(err, "%s", path);
    const char *slash = strrchr(full, '/');
    if (S_ISDIR(st.st_mode))
        return walk_folder(w, NULL, full[1] ? full : "", (size_t)(slash + 1 - full), stop, err);
    if (S_ISREG(st.st_mode))
        return keep_file(w, full, str_of(slash + 1), st.st_size, err);
    return err_set(err, ERR_ARG, "%s is neither a file nor a folder", path);
}

enum err_code walk_add_piped(struct walk *w, const char *path, const char *name, struct err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_errno(err, "standard input");
    enum err_code rc = keep_file(w, path, str_of(name), st.st_size, err);
    if (!rc)
        w->files[w->n - 1].piped = true;
    return rc;
}

static int by_name(const void *a, const void *b)
{
    const struct walk_file *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

enum err_code walk_check(const struct walk *w, struct err *err)
{
    const struct walk_file **order = calloc(w->n + 1, sizeof(*order));
    if (!order)
        return err_set(err, ERR_NOMEM, "a list of %zu files", w->n);
    for (size_t i = 0; i < w->n; i++)
        order[i] = &w->files[i];
    qsort(order, w->n, sizeof(*order), by_name);
    enum err_code rc = OK;
    for (size_t i = 1; i < w->n && !rc; i++)
        if (strcmp(order[i - 1]->name, order[i]->name) == 0 &&
            strcmp(order[i - 1]->path, order[i]->path) != 0)
            rc = err_set(err, ERR_ARG,
                         "%s and %s would both be named \"%s\"; add the folder above "
                         "them, or one at a time with --name",
                         order[i - 1]->path, order[i]->path, order[i]->name);
    free(order);
    return rc;
}

void walk_free(struct walk *w)
{
    for (size_t i = 0; i < w->n; i++) {
        free(w->files[i].path);
        free(w->files[i].name);
    }
    free(w->files);
    *w = (struct walk){0};
}
