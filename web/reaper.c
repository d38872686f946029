#include "web/reaper.h"
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "base/clock.h"

struct client {
    struct client *prev, *next;
    int fd;
    struct address who;
    _Atomic double deadline_ms;
    atomic_int receiving;       /* 0: no; else 1 + ticks on which it was seen to have left */
    _Atomic double sending_ms;  /* since when; 0: not now */
    uint64_t acked;             /* bytes it had taken by then */
    struct stop *watch;         /* guarded by the reaper's lock */
};

struct reaper {
    pthread_mutex_t lock;       /* guards the list and every watch */
    struct client *first;
};

struct reaper *reaper_new(void)
{
    struct reaper *r = calloc(1, sizeof(*r));
    if (r)
        pthread_mutex_init(&r->lock, NULL);
    return r;
}

void reaper_free(struct reaper *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r);
}

struct client *reaper_add(struct reaper *r, int fd, const struct address *who)
{
    struct client *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->fd = fd;
    c->who = *who;
    pthread_mutex_lock(&r->lock);
    c->next = r->first;
    if (r->first)
        r->first->prev = c;
    r->first = c;
    pthread_mutex_unlock(&r->lock);
    return c;
}

struct address reaper_remove(struct reaper *r, struct client *c)
{
    struct address who = c->who;
    pthread_mutex_lock(&r->lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        r->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    pthread_mutex_unlock(&r->lock);
    free(c);
    return who;
}

const struct address *client_address(const struct client *c)
{
    return &c->who;
}

void client_expect(struct client *c, double deadline_ms)
{
    atomic_store(&c->deadline_ms, deadline_ms);
}

void client_receiving(struct client *c, bool yes)
{
    atomic_store(&c->receiving, yes ? 1 : 0);
}

/* Bytes the other side has acknowledged since the connection began. */
static uint64_t bytes_acked(int fd)
{
    struct tcp_info t = {0};
    socklen_t n = sizeof(t);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &n) == 0 ? t.tcpi_bytes_acked : UINT64_MAX;
}

void client_sending(struct client *c, bool yes)
{
    if (yes)
        c->acked = bytes_acked(c->fd);
    atomic_store(&c->sending_ms, yes ? clock_ms() : 0);
}

void client_watch(struct reaper *r, struct client *c, struct stop *stop)
{
    pthread_mutex_lock(&r->lock);
    c->watch = stop;
    pthread_mutex_unlock(&r->lock);
}

/* It has closed its side, or the connection is broken. */
static bool has_left(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* Gone with its body unfinished: nothing is unread, and that on two ticks, so
 * that what the library has read but not looked at yet is not taken for it. */
static bool left_halfway(struct client *c)
{
    int unread = 0, seen = atomic_load(&c->receiving);
    if (seen == 0 || !has_left(c->fd) || ioctl(c->fd, FIONREAD, &unread) != 0 || unread > 0)
        return false;
    return atomic_compare_exchange_strong(&c->receiving, &seen, seen + 1) && seen >= 2;
}

static bool reads_too_slowly(struct client *c, double now_ms)
{
    double since = atomic_load(&c->sending_ms), late = now_ms - since - WRITE_GRACE_MS;
    if (since == 0 || late <= 0)
        return false;
    return (double)(bytes_acked(c->fd) - c->acked) < late / 1000 * WRITE_RATE;
}

void reaper_tick(struct reaper *r, double now_ms)
{
    pthread_mutex_lock(&r->lock);
    for (struct client *c = r->first; c; c = c->next) {
        double deadline = atomic_load(&c->deadline_ms);
        if ((deadline > 0 && now_ms > deadline) || left_halfway(c) || reads_too_slowly(c, now_ms))
            shutdown(c->fd, SHUT_RDWR);
        if (c->watch && !stop_asked(c->watch) && has_left(c->fd))
            stop_set(c->watch);
    }
    pthread_mutex_unlock(&r->lock);
}

bool reaper_evict(struct reaper *r, double before_ms)
{
    struct client *first = NULL;
    pthread_mutex_lock(&r->lock);
    for (struct client *c = r->first; c; c = c->next) {
        double deadline = atomic_load(&c->deadline_ms);
        if (deadline > 1 && deadline < before_ms) {
            before_ms = deadline;
            first = c;
        }
    }
    if (first) {
        atomic_store(&first->deadline_ms, 1); /* past, and not chosen twice */
        shutdown(first->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&r->lock);
    return first != NULL;
}
