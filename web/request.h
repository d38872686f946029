/* web/request.h - one request, from its head to its answer.
 *
 * Threads   one owner at a time: the connection's thread, then the handler's,
 *           then the connection's again (the connection is suspended between).
 * Memory    strings and pairs lie in its arena; the last reference frees it. */
#ifndef CARREL_WEB_REQUEST_H
#define CARREL_WEB_REQUEST_H
#include <stdatomic.h>
#include "base/arena.h"
#include "base/json.h"
#include "base/thread.h"
#include "index/index.h"
#include "web/fields.h"
#include "web/pool.h"
#include "web/reaper.h"
#include "web/route.h"
#include "web/service.h"

struct MHD_Connection;
struct stream;
struct upload;

enum request_state { REQUEST_NEW, REQUEST_BODY, REQUEST_DRAIN, REQUEST_WORK, REQUEST_DONE };

/* Who asks: what authorize() found. */
struct principal {
    bool anonymous;            /* no key; everything, while the store has none */
    unsigned scopes;           /* bit per enum scope */
    int64_t key;
    char collection[64];       /* "" for all */
};

#define REPLY_HEADERS 6
struct reply {
    int status;
    const char *type;          /* static */
    struct buf body;
    int fd;                    /* a file instead, or -1 */
    size_t fd_bytes;
    struct stream *stream;     /* events instead, or NULL */
    struct { const char *name; char *value; } headers[REPLY_HEADERS];
    int n_headers;
};

/* A failure, to be told as JSON or as a page once the handler is through. */
struct failure { int status; const char *code; char message[320]; const char *param; };

struct request {
    struct task task;          /* first: a pool runs it */
    atomic_int refs;
    enum request_state state;
    struct web *web;
    struct MHD_Connection *conn;
    struct client *client;
    const struct route *route; /* NULL until one is found */
    struct arena arena;
    char id[65];
    char method[12];
    struct str target, path;
    struct str params[ROUTE_PARAMS];       /* decoded */
    struct pair *query; int n_query;
    struct pair *form; int n_form;         /* BODY_FORM */
    json_t *json;                          /* BODY_JSON, checked */
    struct buf body;
    struct upload *upload;
    struct principal who;
    struct str accept, type, authorization, cookie, host;
    bool wants_html, head_only, has_body;
    int64_t length;                        /* declared, or -1 */
    size_t received;
    double began_ms, body_ms;
    struct stop stop;
    struct failure failure;
    const char *param;         /* of the field a handler is about to refuse, or NULL */
    struct reply reply;
};

/* NULL without memory. target is copied. */
struct request *request_new(struct web *w, struct MHD_Connection *c, const char *target);
void request_keep(struct request *r);
void request_release(struct request *r);
/* Path, query and route from the target. Sets r->failure and gives false when
 * there is nothing to run. */
bool request_route(struct request *r);
/* Its collection: the field's value, else the key's own, else "default". In arena. */
const char *request_collection(struct request *r, struct str wanted);
/* RFC 3339 in arena. */
const char *request_time(struct request *r, int64_t unix_ms);
#endif
