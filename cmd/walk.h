/* cmd/walk.h - the files that `carrel add` is to read.
 *
 * A folder gives all regular files below it, in the order of their names, but
 * for hidden ones (.git among them) and those that a .carrelignore leaves out.
 * Such a file holds for its folder and all below; a line is a glob (fnmatch):
 * without a slash it is held against each name, with one against the path from
 * its folder; a slash at its end means folders only; # begins a comment.
 * Links to folders are not followed.
 * Names     of documents: a folder's files are named by their path from the
 *           folder's parent ("notes/2024/may.md"), a file given by itself by its
 *           own name; bytes that are no UTF-8 become U+FFFD, controls "_".
 * Threads   one owner. Memory  walk_free releases all. */
#ifndef CARREL_CMD_WALK_H
#define CARREL_CMD_WALK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/thread.h"

struct walk_file {
    char *path, *name;
    int64_t size_bytes;
    bool piped;                /* standard input: its path means nothing to others */
};

struct walk {
    struct walk_file *files;   /* [n] */
    size_t n, cap;
    size_t ignored;            /* hidden, left out by a .carrelignore, or no regular file */
};

/* Add `path`, a file or a folder. ERR_IO, ERR_NOTFOUND (no such path), ERR_LIMIT,
 * ERR_CANCELLED. */
enum err_code walk_add(struct walk *w, const char *path, const struct stop *stop, struct err *err);
/* Add what a file without a path of its own holds, under `name`. */
enum err_code walk_add_piped(struct walk *w, const char *path, const char *name, struct err *err);
/* ERR_ARG naming two files that would have the same name. */
enum err_code walk_check(const struct walk *w, struct err *err);
void walk_free(struct walk *w);
#endif
