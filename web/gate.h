/* web/gate.h - the strict look at a request head, before any parser acts on it.
 *
 * RFC 9112 (HTTP/1.1 syntax) and RFC 9110 section 5. Debian's libmicrohttpd is
 * lenient where request smuggling lives: duplicate Host or Content-Length,
 * folded lines, spaces before the colon, NULs, odd chunk sizes. The door runs
 * this over the raw bytes of each connection's first head; the server runs it
 * again over the head that the library understood, for every request.
 * Threads   no state. Memory  nothing kept. */
#ifndef CARREL_WEB_GATE_H
#define CARREL_WEB_GATE_H
#include <stdbool.h>
#include <stddef.h>
#include "base/str.h"

#define GATE_HEAD_MAX    16384   /* bytes of request line and headers */
#define GATE_HEADERS_MAX 100

enum gate_verdict {
    GATE_OK,      /* a whole head, and nothing wrong with it */
    GATE_MORE,    /* nothing wrong so far, but no end either */
    GATE_REFUSE   /* status and why say what is wrong */
};

struct gate_head {
    int status;            /* to refuse with: 400, 431, 501 or 505 */
    const char *why;       /* static sentence */
    size_t len;            /* bytes of the head, the empty line included */
    bool chunked;
    struct str method, target, host;   /* borrowed from the bytes */
};

/* Judge the bytes a client has sent so far. */
enum gate_verdict gate_head(struct str bytes, struct gate_head *out);

/* Judge chunk framing (RFC 9112 section 7.1) of the bytes behind a head, as far
 * as they are there; false when they cannot become a well-formed body. */
bool gate_chunks(struct str body);

/* "name", "name:port", "[v6]:port": its host part without port. False when the
 * value is not of that form. */
bool gate_host(struct str value, struct str *name);

/* What a browser says about who sent a request; empty views when absent. */
struct gate_sender { struct str host, origin, site, mode; };

/* May this sender do that? `unsafe`: the request changes something. A foreign
 * page may link here; it may neither post nor load anything. */
bool gate_sender(const struct gate_sender *s, bool unsafe);
#endif
