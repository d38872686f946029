/* base/http.h - outgoing HTTP by libcurl; the one door to it.
 *
 * One request at a time over a handle that keeps its connections. TLS
 * certificates and names are always checked; nothing but http and https is
 * spoken; loopback addresses never go through a proxy. Redirects are followed
 * only where a request allows some, by http_check_step, and a key goes to no other origin than the one
 * it was given for.
 * A request that was answered is OK, whatever the status: http_status. What a
 * failed one had seen until then can be asked for too.
 * libcurl is set up with the first handle: a program that asks for none does
 * not pay for it.
 * Threads   one owner per handle; any number of handles.
 * Memory    http_free releases all; views are borrowed until the next http_send. */
#ifndef CARREL_BASE_HTTP_H
#define CARREL_BASE_HTTP_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "base/err.h"
#include "base/str.h"
#include "base/thread.h"

#define HTTP_HEADER_BYTES_MAX (256 << 10)   /* of one response */
#define HTTP_HEADERS_MAX 16                 /* of a request */

/* What an address names. */
struct http_address {
    char host[256];            /* a name or a number, IPv6 in brackets */
    int port;
    bool https, loopback;      /* loopback: 127.0.0.0/8, ::1 or localhost itself */
};
/* ERR_ARG: no http(s) address, or one with a user or a password in it. */
enum err_code http_address(const char *url, struct http_address *out, struct err *err);
/* May a redirect lead from `at` to `to`? ERR_IO: to plain http (but on this machine, from
 * plain http), or from another machine to this one. */
enum err_code http_check_step(const struct http_address *at, const struct http_address *to,
                              struct err *err);

struct http_request {
    const char *method;        /* NULL: GET, or POST with a body */
    const char *url;
    const char *const *headers; /* "Name: value", NULL-ended, at most HTTP_HEADERS_MAX; or NULL */
    const char *key;           /* sent as "Authorization: Bearer KEY"; or NULL */
    struct str body;           /* sent when its ptr is not NULL */
    FILE *file;                /* or this one is, of file_bytes */
    int64_t file_bytes;
    const char *ca_file;       /* PEM of authorities to trust beside the system's; or NULL */
    int connect_ms;            /* 0: 5000 */
    int idle_ms;               /* without a byte either way: ERR_IO; 0: no bound */
    int64_t max_bytes;         /* of the answer's body, ERR_LIMIT past it; 0: no bound */
    int redirects;             /* followed at most; a request with a body follows none */
    const struct stop *stop;   /* looked at ten times a second */
    /* The answer's body as it comes; false: enough, ERR_CANCELLED. Status and
     * headers can be asked for here. NULL: the body is dropped. */
    bool (*on_bytes)(void *arg, struct str bytes);
    void *arg;
};

/* Where a failure came from. */
enum http_fault {
    HTTP_FINE,
    HTTP_NO_HOST,              /* its name has no address */
    HTTP_UNREACHED,            /* nobody answers there */
    HTTP_SILENT,               /* connect_ms or idle_ms went by */
    HTTP_BROKEN,               /* the connection ended or spoke nonsense */
    HTTP_UNTRUSTED,            /* its certificate is not good */
    HTTP_REDIRECTED,           /* a redirect that is not followed */
    HTTP_STOPPED,              /* on_bytes or `stop` */
    HTTP_OTHER                 /* too large, no memory, a bad address */
};

struct http;
enum err_code http_new(struct http **out, struct err *err);
void http_free(struct http *h);                          /* NULL is fine */
/* ERR_IO: no whole answer came; ERR_LIMIT, ERR_CANCELLED as above. */
enum err_code http_send(struct http *h, const struct http_request *r, struct err *err);

/* Of the last request: */
int http_status(const struct http *h);                   /* 0: there was no answer */
enum http_fault http_fault(const struct http *h);
int64_t http_received(const struct http *h);             /* bytes of the answer's body */
/* A header of the answer, case of the name ignored; empty when absent. */
struct str http_header(const struct http *h, const char *name);
/* The same of the first answer of a chain of redirects. */
struct str http_first_header(const struct http *h, const char *name);
/* How long it asks to be left alone: retry-after-ms, or Retry-After as seconds
 * or as a date against `now_ms` (Unix time); -1: it does not say. */
int64_t http_retry_after_ms(const struct http *h, int64_t now_ms);
#endif
