/* base/map.h - a file as read-only memory.
 * Threads   immutable after open. Memory  borrowed until map_close. */
#ifndef CARREL_BASE_MAP_H
#define CARREL_BASE_MAP_H
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct map { const uint8_t *ptr; size_t len; };
/* A regular file; an empty one gives ptr "" and len 0. */
enum err_code map_open(const char *path, struct map *out, struct err *err);
void map_close(struct map *m);
#endif
