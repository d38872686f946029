/* base/sse.h - server-sent events, read as they come.
 *
 * WHATWG HTML, "Server-sent events", section 9.2.6: lines end in CR, LF or
 * CRLF, wherever the pieces are cut; a leading byte order mark and comments are
 * passed over; several data lines are one text with LF between; an event ends
 * at an empty line, and one that has none is never given. `id` and `retry` say
 * nothing here: we do not reconnect.
 * Threads   one owner. Memory  sse_deinit releases; views are borrowed during
 *           the call of `fn`. */
#ifndef CARREL_BASE_SSE_H
#define CARREL_BASE_SSE_H
#include <stdbool.h>
#include "base/err.h"
#include "base/str.h"

struct sse {
    struct buf line;           /* unfinished */
    struct buf event, data;    /* of the event that is coming */
    size_t max;                /* bytes of a line, and of an event's data */
    bool begun;                /* past the byte order mark */
    bool after_cr;             /* an LF here belongs to the CR before it */
    bool has_data;
};
/* `max` >= 1. */
void sse_init(struct sse *s, size_t max);
void sse_deinit(struct sse *s);
/* Read on. fn gets each whole event ("message" when it has no name) and gives
 * false to end: ERR_CANCELLED. ERR_LIMIT: an event past `max`, or past memory. After
 * an error there is nothing to read on. */
enum err_code sse_feed(struct sse *s, struct str bytes,
                       bool (*fn)(void *arg, struct str event, struct str data), void *arg,
                       struct err *err);
#endif
