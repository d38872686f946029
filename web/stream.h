/* web/stream.h - server-sent events (HTML living standard, section 9.2).
 *
 * A handler begins a stream and writes events while the connection's thread
 * sends them; the connection sleeps while there is nothing to send. A comment
 * line goes out when STREAM_BEAT_MS passed without an event. When the client
 * leaves, the request's `stop` is set.
 * Threads   one writer; locks inside. Memory  stream_end gives the writer's half
 *           back; the other half goes with the response. */
#ifndef CARREL_WEB_STREAM_H
#define CARREL_WEB_STREAM_H
#include "web/request.h"

#define STREAM_BEAT_MS    15000
#define STREAM_AHEAD_MAX  ((size_t)1 << 20)   /* bytes unsent before the writer waits */

struct streams *streams_new(void);               /* NULL without memory */
void streams_free(struct streams *all);          /* all have ended */
void streams_tick(struct streams *all, double now_ms);

/* From here on the reply is events. NULL without memory. */
struct stream *stream_begin(struct request *r);
/* False when nobody reads any more. */
bool stream_event(struct stream *s, const char *event, const json_t *data);
/* The same for clients that read lines of data alone: no `event:` line. */
bool stream_data(struct stream *s, struct str data);
/* Wait so long, or until nobody reads any more: then false. */
bool stream_pause(struct stream *s, int ms);
void stream_end(struct stream *s);
/* What reply.c needs: the bytes of a response, and their end. */
long stream_pull(void *stream, uint64_t pos, char *out, size_t max);
void stream_closed(void *stream);
#endif
