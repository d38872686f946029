/* tests/unit/test_sandbox.c - what a reader that was taken over can do: nothing.
 * Each probe runs in a child inside the sandbox and tries one way out. */
#include "tests/test.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ingest/extract/sandbox.h"

enum { CONTAINED = 40, ESCAPED = 41, NO_CELL = 42 };

static int verdict(long rc)
{
    return rc < 0 ? CONTAINED : ESCAPED;
}

static int inherited = -1; /* a descriptor that was open before the sandbox */

static int open_file(void)
{
    return verdict(open("/etc/passwd", O_RDONLY));
}

static int openat2_file(void)
{
    struct open_how how = {.flags = O_RDONLY};
    return verdict(syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", &how, sizeof(how)));
}

static int create_file(void)
{
    return verdict(open("/tmp/carrel-escaped", O_WRONLY | O_CREAT, 0600));
}

static int list_folder(void)
{
    return verdict(open("/", O_RDONLY | O_DIRECTORY));
}

static int look_at_file(void)
{
    struct stat st;
    return verdict(stat("/etc/passwd", &st));
}

static int open_socket(void)
{
    return verdict(socket(AF_INET, SOCK_STREAM, 0));
}

static int connect_out(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    return verdict(connect(inherited, (struct sockaddr *)&to, sizeof(to)));
}

static int run_program(void)
{
    char *argv[] = {"/bin/true", NULL};
    return verdict(execve("/bin/true", argv, NULL));
}

static int fork_process(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return verdict(child);
}

static int trace_parent(void)
{
    return verdict(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int kill_parent(void)
{
    return verdict(kill((pid_t)syscall(SYS_getppid), 0));
}

static int signal_other(void)
{
    return verdict(syscall(SYS_tgkill, 1, 1, 0));
}

static int map_executable(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
               ? CONTAINED
               : ESCAPED;
}

static int make_executable(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NO_CELL : verdict(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int use_io_uring(void)
{
    char params[256] = {0};
    return verdict(syscall(SYS_io_uring_setup, 4, params));
}

static int write_elsewhere(void)
{
    return verdict(write(inherited, "x", 1));
}

static int take_memory(void)
{
    void *p =
        mmap(NULL, (size_t)2 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? CONTAINED : ESCAPED;
}

static int spin(void)
{
    for (volatile unsigned long i = 0;; i++)
        if (i == ~0UL)
            return ESCAPED;
}

static int write_without_end(void)
{
    static char block[1 << 20];
    for (int i = 0; i < 1024; i++)
        if (write(1, block, sizeof(block)) < 0)
            return CONTAINED;
    return ESCAPED;
}

static int read_and_compute(void)
{
    char byte;
    char *p = malloc(1 << 20);
    if (!p || read(0, &byte, 1) != 0 || write(1, "", 0) != 0)
        return ESCAPED;
    free(p);
    return CONTAINED;
}

/* Status of a child that enters the sandbox and runs the probe. fd 1 is a file of
 * its own, which may grow to 4 MiB. */
static int run_probe(int (*probe)(void))
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/out", scratch_dir());
    pid_t child = fork();
    if (child == 0) {
        struct sandbox_options opt = {.cpu_seconds = 1, .file_bytes = 4 << 20};
        struct sandbox_state state;
        int null = open("/dev/null", O_RDONLY), out = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        signal(SIGXFSZ, SIG_IGN); /* so that write tells */
        inherited = socket(AF_INET, SOCK_STREAM, 0);
        if (null < 0 || out < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0)
            _exit(NO_CELL);
        if (sandbox_enter(&opt, &state, NULL) || !state.seccomp || !state.landlock_abi)
            _exit(NO_CELL);
        _exit(probe());
    }
    int status = 0;
    CHECK(child > 0);
    waitpid(child, &status, 0);
    return status;
}

static bool has_sandbox(void)
{
    return !WIFEXITED(run_probe(open_socket)) ||
           WEXITSTATUS(run_probe(read_and_compute)) != NO_CELL;
}

/* Contained: the call failed, or the process died of having tried. */
static bool contained(int status)
{
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGXCPU ||
               WTERMSIG(status) == SIGXFSZ || WTERMSIG(status) == SIGKILL;
    return WIFEXITED(status) && WEXITSTATUS(status) == CONTAINED;
}

static const struct {
    const char *name;
    int (*fn)(void);
    int signal;
} PROBES[] = {
    {"open", open_file, 0},
    {"openat2", openat2_file, SIGSYS},
    {"create", create_file, 0},
    {"list a folder", list_folder, 0},
    {"stat", look_at_file, 0},
    {"socket", open_socket, SIGSYS},
    {"connect", connect_out, SIGSYS},
    {"execve", run_program, SIGSYS},
    {"fork", fork_process, SIGSYS},
    {"ptrace", trace_parent, SIGSYS},
    {"kill", kill_parent, SIGSYS},
    {"tgkill of another", signal_other, SIGSYS},
    {"mmap executable", map_executable, SIGSYS},
    {"mprotect executable", make_executable, SIGSYS},
    {"io_uring", use_io_uring, SIGSYS},
    {"write to another descriptor", write_elsewhere, 0},
};

TEST(no_way_out_of_the_sandbox_leads_anywhere)
{
    if (!has_sandbox())
        SKIP("this kernel has no Landlock or no seccomp");
    for (size_t i = 0; i < sizeof(PROBES) / sizeof(*PROBES); i++) {
        int status = run_probe(PROBES[i].fn);
        CHECK_MSG(contained(status), "%s: status %#x", PROBES[i].name, (unsigned)status);
#ifndef __SANITIZE_ADDRESS__ /* under which calls are refused, not deadly */
        if (PROBES[i].signal)
            CHECK_MSG(WIFSIGNALED(status) && WTERMSIG(status) == PROBES[i].signal,
                      "%s: status %#x, want signal %d", PROBES[i].name, (unsigned)status,
                      PROBES[i].signal);
#endif
    }
}

TEST(reading_computing_and_writing_go_on_inside_the_sandbox)
{
    if (!has_sandbox())
        SKIP("this kernel has no Landlock or no seccomp");
    CHECK_INT(WEXITSTATUS(run_probe(read_and_compute)), CONTAINED);
}

TEST(a_reader_that_computes_without_end_is_stopped)
{
    if (!has_sandbox())
        SKIP("this kernel has no Landlock or no seccomp");
    int status = run_probe(spin);
    CHECK(WIFSIGNALED(status));
}

TEST(a_reader_that_writes_without_end_is_stopped)
{
    if (!has_sandbox())
        SKIP("this kernel has no Landlock or no seccomp");
    CHECK(contained(run_probe(write_without_end)));
}

#ifndef __SANITIZE_ADDRESS__ /* whose shadow memory is larger than any limit */
TEST(a_reader_cannot_take_two_gibibytes)
{
    if (!has_sandbox())
        SKIP("this kernel has no Landlock or no seccomp");
    CHECK_INT(WEXITSTATUS(run_probe(take_memory)), CONTAINED);
}
#endif
