#include "web/limit.h"
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "base/hash.h"
#include "base/rng.h"

#define PROBES 16                       /* places looked at for one address */

struct entry {
    struct address who;
    bool used;
    int open;                           /* connections */
    double failures, at_ms;             /* a bucket that leaks, and when it was looked at */
};

struct limit {
    pthread_mutex_t lock;               /* guards the table */
    int per_address;
    uint64_t seed;                      /* so that nobody can aim at one place */
    struct entry table[LIMIT_ADDRESSES];
};

struct address address_of(const struct sockaddr *sa)
{
    struct address a = {{0}};
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        a.bytes[0] = 4;
        memcpy(a.bytes + 1, &in->sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)sa;
        a.bytes[0] = 6;
        memcpy(a.bytes + 1, &in->sin6_addr, 8);
    }
    return a;
}

struct limit *limit_new(int connections_per_address)
{
    struct limit *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    pthread_mutex_init(&l->lock, NULL);
    l->per_address = connections_per_address;
    rng_secret(&l->seed, sizeof(l->seed));
    return l;
}

void limit_free(struct limit *l)
{
    if (!l)
        return;
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* Its entry, made if need be in place of the quietest neighbour without an open
 * connection; NULL when all of those are connected. Called with the lock. */
static struct entry *find(struct limit *l, const struct address *a)
{
    uint64_t h = hash64(a->bytes, sizeof(a->bytes), l->seed);
    struct entry *best = NULL;
    for (uint64_t i = 0; i < PROBES; i++) {
        struct entry *e = &l->table[(h + i) % LIMIT_ADDRESSES];
        if (e->used && memcmp(&e->who, a, sizeof(*a)) == 0)
            return e;
        if (e->used && e->open > 0)
            continue;
        if (!best || (!e->used && best->used) || (e->used == best->used && e->at_ms < best->at_ms))
            best = e;
    }
    if (best)
        *best = (struct entry){.who = *a, .used = true};
    return best;
}

bool limit_enter(struct limit *l, const struct address *a)
{
    pthread_mutex_lock(&l->lock);
    struct entry *e = find(l, a);
    bool ok = e && e->open < l->per_address;
    if (ok)
        e->open++;
    pthread_mutex_unlock(&l->lock);
    return ok;
}

void limit_leave(struct limit *l, const struct address *a)
{
    pthread_mutex_lock(&l->lock);
    struct entry *e = find(l, a);
    if (e && e->open > 0)
        e->open--;
    pthread_mutex_unlock(&l->lock);
}

int limit_failures(struct limit *l, const struct address *a, double now_ms, bool failed)
{
    const double per_ms = LIMIT_FAILURES_MAX / 60000.0;
    int wait_s = 0;
    pthread_mutex_lock(&l->lock);
    struct entry *e = find(l, a);
    if (e) {
        if (e->at_ms > 0)
            e->failures -= (now_ms - e->at_ms) * per_ms;
        e->failures = (e->failures > 0 ? e->failures : 0) + (failed ? 1 : 0);
        if (e->failures > LIMIT_FAILURES_MAX)   /* who goes on failing waits no longer for it */
            e->failures = LIMIT_FAILURES_MAX;
        e->at_ms = now_ms;
        if (e->failures >= LIMIT_FAILURES_MAX)
            wait_s = 1 + (int)((e->failures - LIMIT_FAILURES_MAX + 1) / per_ms / 1000);
    }
    pthread_mutex_unlock(&l->lock);
    return wait_s;
}
