/* web/limit.h - how much one address may do: open connections at a time, and
 * failed attempts to sign in per minute.
 *
 * Addresses are IPv4, or the /64 of an IPv6. The table is bounded: when it is
 * full the address that was quiet the longest is forgotten.
 * Threads   locks inside. Memory  limit_free releases all. */
#ifndef CARREL_WEB_LIMIT_H
#define CARREL_WEB_LIMIT_H
#include <stdbool.h>
#include <stdint.h>

#define LIMIT_ADDRESSES     4096
#define LIMIT_FAILURES_MAX  20      /* per minute and address, in one burst */

struct sockaddr;
struct address { uint8_t bytes[16]; };
struct address address_of(const struct sockaddr *sa);   /* unknown family: all zero */

struct limit;
struct limit *limit_new(int connections_per_address);   /* NULL without memory */
void limit_free(struct limit *l);
/* Count a connection in; false, and not counted, when the address has enough. */
bool limit_enter(struct limit *l, const struct address *a);
void limit_leave(struct limit *l, const struct address *a);
/* Seconds until this address may try a key again; 0: now. `failed` counts one more. */
int limit_failures(struct limit *l, const struct address *a, double now_ms, bool failed);
#endif
