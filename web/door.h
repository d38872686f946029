/* web/door.h - the listening socket: accepts, reads each connection's first head
 * through the gate without taking it, and hands over what has passed.
 *
 * A head is looked at with MSG_PEEK, so that the HTTP library later reads the
 * same bytes. What is malformed, late or too much is answered here and closed.
 * The same thread calls the ticks: deadlines and heartbeats.
 * Threads   its own. Memory  door_close releases all. */
#ifndef CARREL_WEB_DOOR_H
#define CARREL_WEB_DOOR_H
#include <stdbool.h>
#include "base/err.h"
#include "web/limit.h"

struct sockaddr;
struct door;
struct door_options {
    const char *listen;            /* "host:port", "[v6]:port"; port 0 picks one */
    struct limit *limit;
    int max_connections;           /* in all */
    /* Connections that were handed over and are still open. */
    int (*open)(void *arg);
    /* Shut the one of them that is nearest to its deadline, if that is before. */
    bool (*evict)(void *arg, double before_ms);
    /* Take over a connected socket; false: it is closed already. */
    bool (*take)(void *arg, int fd, const struct sockaddr *sa, unsigned sa_len);
    void (*refused)(void *arg, int status);   /* for metrics */
    void (*tick)(void *arg, double now_ms);
    void *arg;
};

/* Listening, but nobody is served before door_open. ERR_ARG for a bad address. */
enum err_code door_listen(const struct door_options *opt, struct door **out, struct err *err);
bool door_is_loopback(const struct door *d);
const char *door_host(const struct door *d);  /* as in a URL: "127.0.0.1", "[::1]" */
int door_port(const struct door *d);
int door_waiting(const struct door *d);       /* connections whose head is not whole yet */
enum err_code door_open(struct door *d, struct err *err);
void door_stop(struct door *d);               /* no new connections from here on */
void door_close(struct door *d);              /* NULL is fine */
#endif
