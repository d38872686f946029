/* base/heap.h - a binary heap of (distance, id), for beams.
 * Ties are broken by id, so that equal input gives equal order. */
#ifndef CARREL_BASE_HEAP_H
#define CARREL_BASE_HEAP_H
#include <stdbool.h>
#include <stdint.h>

struct item { float d; uint32_t id; };
struct heap { struct item *v; int n; bool far; /* true: the farthest on top */ };

void heap_push(struct heap *h, struct item it);   /* v has room for it */
struct item heap_pop(struct heap *h);             /* n > 0 */
#endif
