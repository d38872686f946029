/* web/reaper.h - deadlines for slow clients, and an eye on those that leave.
 *
 * The library's own timeout restarts with every byte, so a client that drips
 * would stay for ever. Here each connection has one moment by which its next
 * step must be done; past it the socket is shut.
 * Threads   locks inside. Memory  a client lives from reaper_add to reaper_remove. */
#ifndef CARREL_WEB_REAPER_H
#define CARREL_WEB_REAPER_H
#include "base/thread.h"
#include "web/limit.h"

#define HEAD_MS        10000   /* for a whole request head */
#define IDLE_MS        15000   /* between two requests on one connection */
#define BODY_GRACE_MS  10000   /* before a body must flow */
#define BODY_RATE      8192    /* bytes a second from then on, on average */
#define WRITE_GRACE_MS 10000   /* before an answer must be taken */
#define WRITE_RATE     16384   /* bytes a second from then on, on average */

struct reaper;
struct client;

struct reaper *reaper_new(void);                 /* NULL without memory */
void reaper_free(struct reaper *r);
struct client *reaper_add(struct reaper *r, int fd, const struct address *who);
struct address reaper_remove(struct reaper *r, struct client *c);   /* before its fd is closed */
const struct address *client_address(const struct client *c);
/* The next step must be done by then (clock_ms); 0: whenever. */
void client_expect(struct client *c, double deadline_ms);
/* A body is still to come: one that leaves now is shut within two ticks (the
 * library waits for its timeout). */
void client_receiving(struct client *c, bool yes);
/* An answer is on its way: what the client has acknowledged must keep to the rate. */
void client_sending(struct client *c, bool yes);
/* Set `stop` once the client has gone; NULL ends the watch. */
void client_watch(struct reaper *r, struct client *c, struct stop *stop);
/* Shut what is late. Called a few times a second by one thread. */
void reaper_tick(struct reaper *r, double now_ms);
/* Make room: shut the connection whose deadline comes first, if that is before
 * `before_ms`; one that is being worked for has none. False: there is none. */
bool reaper_evict(struct reaper *r, double before_ms);
#endif
