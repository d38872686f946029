/* base/file.h - files, read whole, written whole or not at all.
 * Threads   no state. */
#ifndef CARREL_BASE_FILE_H
#define CARREL_BASE_FILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

/* Read all of `path` behind `out`; ERR_LIMIT past `max` bytes. */
enum err_code file_read(const char *path, size_t max, struct buf *out, struct err *err);
/* Write to a temporary neighbour, fsync, rename, fsync the folder. */
enum err_code file_write_atomic(const char *path, struct str bytes, struct err *err);
/* Loop over short writes and EINTR. */
enum err_code file_write_all(int fd, const void *bytes, size_t n, struct err *err);
enum err_code file_sync_dir(const char *dir, struct err *err);
/* Make `dir` and its parents, mode 0700 for what is new; there already is OK. */
enum err_code file_make_dirs(const char *dir, struct err *err);
bool file_exists(const char *path);
#endif
