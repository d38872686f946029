/* web/service.h - what the files of this room share while it serves. Private.
 *
 * Threads   immutable after web_start, but for what has locks inside. */
#ifndef CARREL_WEB_SERVICE_H
#define CARREL_WEB_SERVICE_H
#include "base/thread.h"
#include "web/limit.h"
#include "web/metrics.h"
#include "web/pool.h"
#include "web/reaper.h"
#include "web/web.h"

struct MHD_Daemon;
struct door;
struct streams;

struct web {
    struct web_options opt;
    char url[128];
    char host[80];             /* bound address as in a URL */
    char own_name[128];        /* gethostname, when others may reach us by it */
    bool loopback, wildcard;
    struct MHD_Daemon *daemon;
    struct door *door;
    struct limit *limit;
    struct reaper *reaper;
    struct metrics *metrics;
    struct streams *streams;
    struct pool *quick, *asks, *waits;
    struct stop stop;
    atomic_int in_flight;      /* requests between target and completion */
    atomic_int handed;         /* connections the library has and has not closed */
    double began_ms;
};
#endif
