/* base/arena.h - memory that is released all at once.
 *
 * One arena a request or a job; nothing in it is freed alone.
 * Threads   one owner. Memory  the zero value is an empty arena; arena_deinit
 *           releases, arena_reset empties and keeps the first block. */
#ifndef CARREL_BASE_ARENA_H
#define CARREL_BASE_ARENA_H
#include <stdarg.h>
#include <stddef.h>
#include "base/str.h"

struct arena_block;
struct arena { struct arena_block *first, *last; size_t used; };

void arena_deinit(struct arena *a);
void arena_reset(struct arena *a);
/* Zeroed, aligned to 16; NULL without memory or when count * size overflows. */
void *arena_alloc(struct arena *a, size_t count, size_t size);
char *arena_strz(struct arena *a, struct str s);         /* terminated copy */
struct str arena_str(struct arena *a, struct str s);     /* copy; ptr NULL without memory */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#endif
