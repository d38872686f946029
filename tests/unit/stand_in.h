/* tests/unit/stand_in.h - a server on a loopback port that plays what it was told.
 *
 * One scene a connection, in order: the request is read whole and kept, the
 * bytes of the scene are sent in pieces, the connection is closed. It knows no
 * HTTP beyond where a request ends, so that a scene may be as wrong as it likes. */
#ifndef CARREL_TESTS_UNIT_STAND_IN_H
#define CARREL_TESTS_UNIT_STAND_IN_H
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tests/test.h"

struct scene {
    const char *bytes; /* NULL: none */
    size_t piece;      /* 0: all at once */
    bool hang;         /* then wait until the other side has left */
};

enum { SCENES_MAX = 16 };
struct stand_in {
    int fd, port, n;
    const struct scene *scenes;
    struct buf seen[SCENES_MAX]; /* the requests; read them after stand_in_stop */
    _Atomic int served;
    pthread_t thread;
    char url[64]; /* "http://127.0.0.1:PORT/v1" */
};

/* Bytes of the body that the headers announce. */
static size_t stand_in_body(struct str head)
{
    size_t at = str_find(head, STR("Content-Length: "), 0);
    return at == SIZE_MAX ? 0 : strtoul(head.ptr + at + 16, NULL, 10);
}

static void stand_in_read(int fd, struct buf *seen)
{
    char bytes[4096];
    size_t head = SIZE_MAX;
    for (;;) {
        head = head == SIZE_MAX ? str_find(buf_view(seen), STR("\r\n\r\n"), 0) : head;
        if (head != SIZE_MAX && seen->len >= head + 4 + stand_in_body(buf_view(seen)))
            return;
        ssize_t n = read(fd, bytes, sizeof(bytes));
        if (n <= 0)
            return;
        buf_add(seen, bytes, (size_t)n);
    }
}

static void stand_in_play(int fd, const struct scene *s)
{
    size_t n = s->bytes ? strlen(s->bytes) : 0, piece = s->piece ? s->piece : n;
    for (size_t i = 0; i < n; i += piece)
        if (send(fd, s->bytes + i, i + piece < n ? piece : n - i, MSG_NOSIGNAL) < 0)
            return;
    char rest;
    if (s->hang)
        while (read(fd, &rest, 1) > 0)
            ;
}

static void *stand_in_run(void *arg)
{
    struct stand_in *s = arg;
    for (int i = 0; i < s->n; i++) {
        int fd = accept(s->fd, NULL, NULL), on = 1;
        if (fd < 0)
            break;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        stand_in_read(fd, &s->seen[i]);
        s->served = i + 1;
        stand_in_play(fd, &s->scenes[i]);
        shutdown(fd, SHUT_WR); /* then what is unread does not become a reset */
        close(fd);
    }
    return NULL;
}

static inline void stand_in_start(struct stand_in *s, const struct scene *scenes, int n)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    *s = (struct stand_in){.scenes = scenes, .n = n};
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(n <= SCENES_MAX && s->fd >= 0 && bind(s->fd, (struct sockaddr *)&at, len) == 0 &&
          listen(s->fd, 8) == 0 && getsockname(s->fd, (struct sockaddr *)&at, &len) == 0);
    s->port = ntohs(at.sin_port);
    snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d/v1", s->port);
    CHECK_INT(pthread_create(&s->thread, NULL, stand_in_run, s), 0);
}

/* No more connections; `served` says how many there were. */
static inline void stand_in_stop(struct stand_in *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

static inline void stand_in_deinit(struct stand_in *s)
{
    for (int i = 0; i < SCENES_MAX; i++)
        buf_free(&s->seen[i]);
}

static inline bool stand_in_saw(const struct stand_in *s, int i, const char *text)
{
    return str_find(buf_view(&s->seen[i]), str_of(text), 0) != SIZE_MAX;
}
#endif
