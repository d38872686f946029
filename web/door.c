#include "web/door.h"
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "web/gate.h"
#include "web/reaper.h"

#define TICK_MS 200
#define SLACK   64                   /* connections above the maximum, on their way out */

struct pending {                     /* accepted; its head is not yet whole */
    struct pending *prev, *next;
    int fd;
    struct sockaddr_storage sa;
    socklen_t sa_len;
    struct address who;
    double deadline_ms;
};

struct door {
    struct door_options opt;
    int fd, epoll;
    char host[80];
    int port;
    bool loopback;
    atomic_bool stopping;
    bool running;
    pthread_t thread;
    struct pending *first, *last;    /* newest and oldest; the thread's own */
    atomic_int n_pending;
    char peek[GATE_HEAD_MAX + 4096]; /* its own, too */
};

/* "host:port", "[v6]:port", ":port". */
static bool split_listen(const char *listen, char host[256], char port[8])
{
    const char *colon = strrchr(listen, ':');
    if (!colon || strlen(colon + 1) < 1 || strlen(colon + 1) > 5)
        return false;
    snprintf(port, 8, "%s", colon + 1);
    size_t n = (size_t)(colon - listen);
    if (n >= 2 && listen[0] == '[' && listen[n - 1] == ']') {
        listen++;
        n -= 2;
    }
    if (n >= 256)
        return false;
    memcpy(host, listen, n);
    host[n] = '\0';
    int64_t number;
    return str_int(str_of(port), 0, 65535, &number);
}

static void note_address(struct door *d)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof(sa);
    char text[INET6_ADDRSTRLEN] = "";
    getsockname(d->fd, (struct sockaddr *)&sa, &n);
    if (sa.ss_family == AF_INET6) {
        struct sockaddr_in6 *in = (void *)&sa;
        inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof(text));
        snprintf(d->host, sizeof(d->host), "[%s]", text);
        d->port = ntohs(in->sin6_port);
        d->loopback = IN6_IS_ADDR_LOOPBACK(&in->sin6_addr);
    } else {
        struct sockaddr_in *in = (void *)&sa;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
        snprintf(d->host, sizeof(d->host), "%s", text);
        d->port = ntohs(in->sin_port);
        d->loopback = (ntohl(in->sin_addr.s_addr) >> 24) == 127;
    }
}

static enum err_code bind_first(struct door *d, const struct addrinfo *list, struct err *err)
{
    const int one = 1;
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        d->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (d->fd < 0)
            continue;
        setsockopt(d->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(d->fd, a->ai_addr, a->ai_addrlen) == 0 && listen(d->fd, 511) == 0)
            return OK;
        int why = errno;
        close(d->fd);
        d->fd = -1;
        errno = why;
    }
    return err_errno(err, "listen on %s", d->opt.listen);
}

enum err_code door_listen(const struct door_options *opt, struct door **out, struct err *err)
{
    char host[256], port[8];
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    if (!split_listen(opt->listen, host, port))
        return err_set(err, ERR_ARG, "listen address \"%s\": need host:port", opt->listen);
    int why = getaddrinfo(host[0] ? host : NULL, port, &hints, &list);
    if (why)
        return err_set(err, ERR_ARG, "listen address \"%s\": %s", opt->listen, gai_strerror(why));
    struct door *d = calloc(1, sizeof(*d));
    enum err_code rc = d ? OK : err_set(err, ERR_NOMEM, "the listening socket");
    if (d) {
        d->opt = *opt;
        d->fd = d->epoll = -1;
        rc = bind_first(d, list, err);
    }
    freeaddrinfo(list);
    if (!rc && (d->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
        rc = err_errno(err, "epoll");
    if (rc) {
        door_close(d);
        return rc;
    }
    note_address(d);
    *out = d;
    return OK;
}

bool door_is_loopback(const struct door *d)
{
    return d->loopback;
}

const char *door_host(const struct door *d)
{
    return d->host;
}

int door_port(const struct door *d)
{
    return d->port;
}

int door_waiting(const struct door *d)
{
    return atomic_load(&d->n_pending);
}

static void forget(struct door *d, struct pending *p)
{
    if (p->prev)
        p->prev->next = p->next;
    else
        d->first = p->next;
    if (p->next)
        p->next->prev = p->prev;
    else
        d->last = p->prev;
    d->n_pending--;
    free(p);
}

static const char *phrase(int status)
{
    switch (status) {
    case 408: return "Request Timeout";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default:  return "Bad Request";
    }
}

/* One short answer, the unread bytes taken out (else the kernel would reset the
 * connection and the answer be lost), and closed. `why` holds no quotes. */
static void turn_away(struct door *d, int fd, int status, const char *why)
{
    static const char *const code[] = {"malformed_request", "too_many_requests", "unavailable"};
    char body[320], head[700];
    int nb = snprintf(body, sizeof(body),
                      "{\"error\":{\"code\":\"%s\",\"message\":\"%s\",\"param\":null,"
                      "\"request_id\":null}}\n",
                      code[status == 429 ? 1 : status == 503 ? 2 : 0], why);
    int nh = snprintf(head, sizeof(head),
                      "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: application/json\r\n"
                      "Content-Length: %d\r\nCache-Control: no-store\r\n"
                      "X-Content-Type-Options: nosniff\r\nReferrer-Policy: same-origin\r\n"
                      "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
                      "Cross-Origin-Opener-Policy: same-origin\r\n"
                      "Cross-Origin-Resource-Policy: same-origin\r\n%s\r\n%s",
                      status, phrase(status), nb,
                      status == 429 || status == 503 ? "Retry-After: 1\r\n" : "", body);
    if (send(fd, head, (size_t)nh, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        shutdown(fd, SHUT_WR);
    for (int i = 0; i < 64 && recv(fd, d->peek, sizeof(d->peek), MSG_DONTWAIT) > 0; i++)
        ;
    close(fd);
    d->opt.refused(d->opt.arg, status);
}

static void drop(struct door *d, struct pending *p)
{
    close(p->fd);
    limit_leave(d->opt.limit, &p->who);
    forget(d, p);
}

static void hand_over(struct door *d, struct pending *p)
{
    epoll_ctl(d->epoll, EPOLL_CTL_DEL, p->fd, NULL);
    if (!d->opt.take(d->opt.arg, p->fd, (struct sockaddr *)&p->sa, p->sa_len))
        limit_leave(d->opt.limit, &p->who);
    forget(d, p);
}

/* Look at what has come so far. */
static void inspect(struct door *d, struct pending *p, bool ended)
{
    ssize_t n = recv(p->fd, d->peek, sizeof(d->peek), MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR) && !ended)
        return;
    if (n <= 0) {
        drop(d, p);
        return;
    }
    struct gate_head head;
    struct str bytes = {d->peek, (size_t)n};
    enum gate_verdict v = gate_head(bytes, &head);
    if (v == GATE_OK && head.chunked && !gate_chunks(str_sub(bytes, head.len, bytes.len))) {
        v = GATE_REFUSE;
        head.status = 400;
        head.why = "the chunked body is malformed";
    }
    if (v == GATE_OK) {
        hand_over(d, p);
    } else if (v == GATE_REFUSE) {
        limit_leave(d->opt.limit, &p->who);
        turn_away(d, p->fd, head.status, head.why);
        forget(d, p);
    } else if (ended) {
        drop(d, p);
    }
}

/* When all places are taken, who is nearest to a deadline gives way: slow heads,
 * dripping bodies and idle connections cannot shut others out. */
static bool make_room(struct door *d)
{
    int n = d->n_pending + d->opt.open(d->opt.arg);
    if (n < d->opt.max_connections)
        return true;
    double oldest = d->last ? d->last->deadline_ms : HUGE_VAL;
    bool gone = d->opt.evict(d->opt.arg, oldest);
    if (!gone && d->last) {
        drop(d, d->last);
        gone = true;
    }
    return gone && n < d->opt.max_connections + SLACK; /* those shut go in a moment */
}

static bool accept_one(struct door *d)
{
    const int one = 1;
    struct pending in = {.sa_len = sizeof(in.sa)};
    in.fd = accept4(d->fd, (struct sockaddr *)&in.sa, &in.sa_len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (in.fd < 0) {
        if (errno == EMFILE || errno == ENFILE)
            log_warn("web.accept", "why=\"out of file descriptors\"");
        return errno == EINTR || errno == ECONNABORTED;
    }
    in.who = address_of((struct sockaddr *)&in.sa);
    if (!make_room(d)) {
        turn_away(d, in.fd, 503, "too many connections");
        return true;
    }
    if (!limit_enter(d->opt.limit, &in.who)) {
        turn_away(d, in.fd, 429, "too many connections from your address");
        return true;
    }
    setsockopt(in.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct pending *p = malloc(sizeof(*p));
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = p};
    if (!p || epoll_ctl(d->epoll, EPOLL_CTL_ADD, in.fd, &ev) != 0) {
        free(p);
        close(in.fd);
        limit_leave(d->opt.limit, &in.who);
        return true;
    }
    *p = in;
    p->deadline_ms = clock_ms() + HEAD_MS;
    p->next = d->first;
    if (d->first)
        d->first->prev = p;
    else
        d->last = p;
    d->first = p;
    d->n_pending++;
    return true;
}

static void expire(struct door *d, double now_ms)
{
    for (struct pending *p = d->first, *next; p; p = next) {
        next = p->next;
        if (now_ms <= p->deadline_ms)
            continue;
        limit_leave(d->opt.limit, &p->who);
        turn_away(d, p->fd, 408, "the request head did not come in time");
        forget(d, p);
    }
}

static void *serve(void *arg)
{
    struct door *d = arg;
    struct epoll_event ev[64];
    double ticked = 0;
    while (!atomic_load(&d->stopping)) {
        int n = epoll_wait(d->epoll, ev, 64, TICK_MS);
        for (int i = 0; i < n; i++) {
            struct pending *p = ev[i].data.ptr;
            if (p)
                inspect(d, p, (ev[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
            else
                for (int k = 0; k < 64 && accept_one(d); k++)
                    ;
        }
        double now = clock_ms();
        if (now - ticked < TICK_MS)
            continue;
        ticked = now;
        expire(d, now);
        d->opt.tick(d->opt.arg, now);
    }
    while (d->first)
        drop(d, d->first);
    return NULL;
}

enum err_code door_open(struct door *d, struct err *err)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(d->epoll, EPOLL_CTL_ADD, d->fd, &ev) != 0)
        return err_errno(err, "epoll");
    if (pthread_create(&d->thread, NULL, serve, d) != 0)
        return err_set(err, ERR_NOMEM, "a thread for the listening socket");
    d->running = true;
    return OK;
}

void door_stop(struct door *d)
{
    if (!d || !d->running)
        return;
    atomic_store(&d->stopping, true);
    pthread_join(d->thread, NULL);
    d->running = false;
    close(d->fd);
    d->fd = -1;
}

void door_close(struct door *d)
{
    if (!d)
        return;
    door_stop(d);
    if (d->fd >= 0)
        close(d->fd);
    if (d->epoll >= 0)
        close(d->epoll);
    free(d);
}
