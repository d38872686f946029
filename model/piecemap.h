/* model/piecemap.h - from a piece's bytes to its number, in constant time.
 *
 * Open addressing under a secret seed, so that nobody can prepare collisions;
 * a slot holds 8 bytes, the texts stay where the caller has them.
 * Threads   many readers or one writer. Memory  the texts are borrowed for the
 *           life of the map; the zero value finds nothing; piecemap_free releases. */
#ifndef CARREL_MODEL_PIECEMAP_H
#define CARREL_MODEL_PIECEMAP_H
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

struct piecemap_slot { uint32_t mark; int32_t id; };   /* id -1: empty */
struct piecemap { struct piecemap_slot *slots; size_t n, mask; uint64_t seed; };

/* Room for `n` different texts; it grows past them. ERR_NOMEM. */
enum err_code piecemap_init(struct piecemap *m, size_t n, struct err *err);
void piecemap_free(struct piecemap *m);
/* Let texts[id] mean `id`, also when it meant another number before. ERR_NOMEM. */
enum err_code piecemap_put(struct piecemap *m, const struct str *texts, int32_t id,
                           struct err *err);
/* The number of `s`, or -1. */
int32_t piecemap_find(const struct piecemap *m, const struct str *texts, struct str s);
#endif
