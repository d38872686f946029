/* ingest/extract/serve.c - take a request, fork, watch the clock, reply. */
#include "ingest/extract/serve.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ingest/extract/charset.h"
#include "ingest/request.h"

/* A request and its two descriptors: 1, or 0 when carrel has gone. */
static int receive(struct request *q, int fds[2])
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec io = {q, sizeof(*q)};
    struct msghdr m = {.msg_iov = &io,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    ssize_t n;
    do
        n = recvmsg(REQUEST_FD, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (n != (ssize_t)sizeof(*q) || !c || c->cmsg_type != SCM_RIGHTS ||
        c->cmsg_len != CMSG_LEN(2 * sizeof(int)))
        return 0;
    memcpy(fds, CMSG_DATA(c), 2 * sizeof(int));
    q->name[REQUEST_NAME_MAX] = q->mime[REQUEST_MIME_MAX] = '\0';
    return 1;
}

/* In the child: the document is 0, the result 1, what libraries mutter goes nowhere. */
static _Noreturn void read_request(const struct request *q, const int fds[2])
{
    struct task t = {.name = q->name,
                     .mime = q->mime,
                     .max_text = q->max_text,
                     .sandbox = {.memory_bytes = q->memory_bytes, .cpu_seconds = q->cpu_seconds}};
#ifndef __SANITIZE_ADDRESS__ /* whose findings must be seen */
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 2) < 0)
        _exit(READ_UNSAFE);
#endif
    signal(SIGPIPE, SIG_DFL);
    if (dup2(fds[0], 0) < 0 || dup2(fds[1], 1) < 0)
        _exit(READ_UNSAFE);
    _exit(read_document(&t));
}

/* Wait for the child; kill it when its time is over or carrel hangs up. */
static struct reply watch(pid_t child, uint32_t timeout_ms)
{
    struct reply r = {0};
    struct rusage used;
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    struct pollfd p[2] = {{.fd = pidfd, .events = POLLIN}, {.fd = REQUEST_FD, .events = POLLRDHUP}};
    int ready;
    do
        ready = pidfd < 0 ? -1 : poll(p, 2, (int)timeout_ms);
    while (ready < 0 && errno == EINTR && pidfd >= 0);
    if (ready <= 0 || !(p[0].revents & POLLIN)) {
        r.timed_out = ready == 0;
        kill(child, SIGKILL);
    }
    while (wait4(child, &r.status, 0, &used) < 0 && errno == EINTR)
        ;
    r.peak_kb = used.ru_maxrss;
    if (pidfd >= 0)
        close(pidfd);
    return r;
}

int serve(void)
{
    struct request q;
    int fds[2];
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* Ctrl-C is carrel's to handle */
    if (prctl(PR_SET_DUMPABLE, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return READ_UNSAFE;
    close_range(REQUEST_FD + 1, ~0U, 0);
    charset_warm();
    while (receive(&q, fds)) {
        pid_t child = fork();
        if (child == 0)
            read_request(&q, fds);
        close(fds[0]);
        close(fds[1]);
        struct reply r = {.status = READ_UNSAFE << 8};
        if (child > 0)
            r = watch(child, q.timeout_ms);
        if (send(REQUEST_FD, &r, sizeof(r), MSG_NOSIGNAL) != (ssize_t)sizeof(r))
            break;
    }
    return 0;
}
