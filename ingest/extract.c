/* ingest/extract.c - spawn, ask, collect, and say why it failed. */
#include "ingest/extract.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "ingest/request.h"

extern char **environ;

#define CPU_SECONDS 10
#define KEEP_BYTES  ((size_t)4 << 20) /* of the result's room, from one file to the next */
#define GRACE_MS    5000 /* the server keeps the time; we wait this much longer for it */

struct extractor {
    char *program;
    int timeout_ms;
    size_t memory_bytes, max_text;
    pid_t server; /* 0: not running */
    int sock;
    struct buf result; /* kept from file to file */
};

enum err_code extractor_new(const struct extract_options *opt, struct extractor **out,
                            struct err *err)
{
    struct extractor *x = calloc(1, sizeof(*x));
    if (!x || !(x->program = strdup(opt->program))) {
        free(x);
        return err_set(err, ERR_NOMEM, "an extractor");
    }
    x->timeout_ms = opt->timeout_ms ? opt->timeout_ms : 20000;
    x->memory_bytes = opt->memory_bytes ? opt->memory_bytes : (size_t)512 << 20;
    x->max_text = opt->max_text_bytes ? opt->max_text_bytes : (size_t)64 << 20;
    x->result.max = 4 * x->max_text + ((size_t)16 << 20);
    x->sock = -1;
    *out = x;
    return OK;
}

static void end_server(struct extractor *x)
{
    if (!x->server)
        return;
    close(x->sock);
    kill(x->server, SIGKILL); /* its reader dies with it (PR_SET_PDEATHSIG) */
    while (waitpid(x->server, NULL, 0) < 0 && errno == EINTR)
        ;
    x->server = 0;
    x->sock = -1;
}

void extractor_free(struct extractor *x)
{
    if (!x)
        return;
    end_server(x);
    buf_free(&x->result);
    free(x->program);
    free(x);
}

/* posix_spawn shares our memory until exec (CLONE_VFORK): no page table is
 * copied, however large the models in this process are. */
static enum err_code start_server(struct extractor *x, struct err *err)
{
    int pair[2];
    char *argv[] = {x->program, "--serve", NULL};
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    if (x->server)
        return OK;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return err_errno(err, "a socket pair for carrel-extract");
    /* Whatever signals this thread blocks or ignores: limits must reach the reader. */
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&fa, pair[1], REQUEST_FD);
    int rc = posix_spawn(&x->server, x->program, &fa, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&attr);
    close(pair[1]);
    if (rc) {
        close(pair[0]);
        x->server = 0;
        errno = rc;
        return err_errno(err, "starting %s", x->program);
    }
    x->sock = pair[0];
    return OK;
}

/* ---- one file ---- */

static enum err_code send_request(struct extractor *x, const struct request *q, const int fds[2],
                                  struct err *err)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct iovec io = {(void *)q, sizeof(*q)};
    struct msghdr m = {.msg_iov = &io,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(2 * sizeof(int))};
    memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
    ssize_t n;
    do
        n = sendmsg(x->sock, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(*q) ? OK : err_errno(err, "asking carrel-extract");
}

/* Wait until fd can be read, the time is over (ERR_BUSY) or we are to stop. */
static enum err_code wait_readable(int fd, double until, const struct stop *stop, struct err *err)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, 100);
        if (ready > 0)
            return OK;
        if (ready < 0 && errno != EINTR)
            return err_errno(err, "poll");
        if (stop_asked(stop))
            return err_set(err, ERR_CANCELLED, "stopped");
        if (clock_ms() > until)
            return err_set(err, ERR_BUSY, "carrel-extract does not answer");
    }
}

/* All that comes through the pipe; past the cap the pipe is closed, and its
 * writer dies of it. */
static enum err_code collect(struct extractor *x, int *pipe_end, double until,
                             const struct stop *stop, struct err *err)
{
    buf_reset(&x->result);
    for (;;) {
        enum err_code rc = wait_readable(*pipe_end, until, stop, err);
        if (rc)
            return rc;
        if (!buf_reserve(&x->result, 65536)) {
            close(*pipe_end);
            *pipe_end = -1;
            return OK;
        }
        size_t room = x->result.cap - x->result.len - 1;
        ssize_t n = read(*pipe_end, x->result.ptr + x->result.len, room);
        if (n == 0)
            return OK;
        if (n < 0 && errno != EINTR)
            return err_errno(err, "reading from carrel-extract");
        x->result.len += n > 0 ? (size_t)n : 0;
    }
}

static enum err_code take_reply(struct extractor *x, struct reply *out, double until,
                                const struct stop *stop, struct err *err)
{
    enum err_code rc = wait_readable(x->sock, until, stop, err);
    if (rc)
        return rc;
    ssize_t n = recv(x->sock, out, sizeof(*out), 0);
    return n == (ssize_t)sizeof(*out) ? OK
                                      : err_set(err, ERR_IO, "carrel-extract ended unexpectedly");
}

static enum err_code say_signal(const struct extractor *x, const struct reply *r, struct err *err)
{
    size_t mib = x->memory_bytes >> 20;
    switch (WTERMSIG(r->status)) {
    case SIGXCPU:
        return err_set(err, ERR_FORMAT, "reading it took more than %d s of processor time",
                       CPU_SECONDS);
    case SIGSYS:
        return err_set(err, ERR_FORMAT,
                       "its reader was stopped when it tried something forbidden:"
                       " the file may be an attack");
    case SIGABRT:
    case SIGTRAP:
        return err_set(err, ERR_FORMAT,
                       "its reader gave up: the file is damaged or needs more than"
                       " %zu MiB of memory",
                       mib);
    case SIGKILL:
        return err_set(err, ERR_FORMAT, "its reader was killed, perhaps because memory ran out");
    case SIGPIPE:
        return err_set(err, ERR_FORMAT, "it holds more text than the %zu MiB allowed",
                       x->max_text >> 20);
    default:
        return err_set(err, ERR_FORMAT,
                       "its reader crashed on it (%s): the file is damaged or hostile",
                       strsignal(WTERMSIG(r->status)));
    }
}

static enum err_code judge(struct extractor *x, const struct reply *r, size_t size, struct arena *a,
                           struct extracted *out, struct err *err)
{
    if (r->timed_out)
        return err_set(err, ERR_FORMAT, "reading it took longer than %g s", x->timeout_ms / 1e3);
    if (WIFSIGNALED(r->status))
        return say_signal(x, r, err);
    int status = WEXITSTATUS(r->status);
    if (status > 1)
        return err_set(err, ERR_IO, "carrel-extract could not enter its sandbox (exit %d)", status);
    bool broken;
    enum err_code rc = frame_read(buf_view(&x->result), size, a, out, &broken, err);
    if (broken)
        return err_wrap(err, rc, "its reader returned nonsense");
    return rc;
}

static enum err_code ask(struct extractor *x, int in, int out, const char *name, const char *mime,
                         struct err *err)
{
    struct request q = {.memory_bytes = x->memory_bytes,
                        .max_text = x->max_text,
                        .timeout_ms = (uint32_t)x->timeout_ms,
                        .cpu_seconds = CPU_SECONDS};
    int fds[2] = {in, out};
    snprintf(q.name, sizeof(q.name), "%s", name);
    snprintf(q.mime, sizeof(q.mime), "%s", mime);
    enum err_code rc = start_server(x, err);
    return rc ? rc : send_request(x, &q, fds, err);
}

enum err_code extract_file(struct extractor *x, const char *path, const char *name,
                           const char *mime, const struct stop *stop, struct arena *a,
                           struct extracted *out, struct err *err)
{
    struct stat st;
    struct reply reply;
    int pipes[2] = {-1, -1};
    double until = clock_ms() + x->timeout_ms + GRACE_MS;
    if (stop_asked(stop))
        return err_set(err, ERR_CANCELLED, "stopped");
    int in = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0)
        return err_errno(err, "%s", path);
    enum err_code rc = OK;
    if (fstat(in, &st) || !S_ISREG(st.st_mode))
        rc = err_set(err, ERR_IO, "%s is not a regular file", path);
    if (!rc && pipe2(pipes, O_CLOEXEC))
        rc = err_errno(err, "a pipe");
    if (!rc)
        rc = ask(x, in, pipes[1], name, mime, err);
    close(in);
    if (pipes[1] >= 0)
        close(pipes[1]);
    if (!rc)
        rc = collect(x, &pipes[0], until, stop, err);
    if (pipes[0] >= 0)
        close(pipes[0]);
    if (!rc)
        rc = take_reply(x, &reply, until, stop, err);
    if (rc)
        end_server(x); /* its next reply would belong to this file */
    else
        rc = judge(x, &reply, (size_t)st.st_size, a, out, err);
    if (x->result.cap > KEEP_BYTES) /* one large document must not cost its size for ever */
        buf_free(&x->result);
    return rc == ERR_BUSY ? ERR_IO : rc;
}

/* ---- what the kernel offers ---- */

bool extract_sandbox(char out[64])
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    bool filter = prctl(PR_GET_SECCOMP) >= 0;
    char landlock[40] = "no landlock";
    if (abi > 0)
        snprintf(landlock, sizeof(landlock), "landlock %d", (int)abi);
    snprintf(out, 64, "%.40s, %s", landlock, filter ? "seccomp" : "no seccomp");
    return abi > 0 && filter;
}
