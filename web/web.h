/* web/web.h - the front door to HTTP: API, pages, streams, over libmicrohttpd.
 *
 * One route table (route.c): method, path, scope, limits, handler. A strict
 * gate looks at every request head before any handler does.
 * Threads   its own; locks inside. Memory  web_stop releases all. */
#ifndef CARREL_WEB_WEB_H
#define CARREL_WEB_WEB_H
#include <stddef.h>
#include "base/err.h"
#include "embed/embed.h"
#include "index/index.h"
#include "ingest/ingest.h"
#include "llm/llm.h"
#include "query/query.h"

struct web;
struct web_options {
    const char *listen;        /* "127.0.0.1:7171", "[::1]:0"; port 0 picks one */
    struct index *index;
    struct embed *embed;
    struct llm *llm;
    struct ingest *ingest;
    struct query *query;
    int threads;               /* that answer requests; 0: 4 */
    int max_connections;       /* 0: 512 */
    size_t max_upload_bytes;   /* 0: 256 MiB */
    bool insecure;             /* serve a non-loopback address without any key */
    const char *version;       /* for /v1/status */
    const char *hosts;         /* further names we go by, "box.example,search"; or NULL */
};
/* Listening when it returns. ERR_ARG for a non-loopback address without a key. */
enum err_code web_start(const struct web_options *opt, struct web **out, struct err *err);
const char *web_url(const struct web *w);   /* "http://127.0.0.1:7171" */
void web_stop(struct web *w);               /* ends streams, waits for handlers */
#endif
