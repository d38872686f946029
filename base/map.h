/* base/map.h - a file as read-only memory.
 *
 * Whoever cuts a mapped file short sends SIGBUS to its readers. Not here: bytes
 * that are gone read as zeros, and map_torn tells. (A handler of that signal puts
 * zero pages in their place; a fault in any other memory ends the program as ever.)
 * Bytes that must not change between a check and their use are copied: map_begin,
 * then map_copy from the front, then map_rest.
 * Threads   immutable once open. Memory  borrowed until map_close. */
#ifndef CARREL_BASE_MAP_H
#define CARREL_BASE_MAP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct map { const uint8_t *ptr; size_t len; };
/* A regular file; an empty one gives ptr "" and len 0. */
enum err_code map_open(const char *path, struct map *out, struct err *err);
void map_close(struct map *m);
/* Has the file been found shorter than it was? */
bool map_torn(const struct map *m);

/* In steps: *fd is the caller's to close, and nothing may be read yet. */
enum err_code map_begin(const char *path, struct map *out, int *fd, struct err *err);
/* Bytes [from, to) as they are now, for good; `from` a multiple of map_page. ERR_IO when the
 * file has become shorter. */
enum err_code map_copy(const struct map *m, int fd, size_t from, size_t to, struct err *err);
/* [from, len) are the file's own; `from` a multiple of map_page. What was copied becomes
 * read-only. */
enum err_code map_rest(struct map *m, int fd, size_t from, struct err *err);
size_t map_page(void);
#endif
