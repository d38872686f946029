/* ingest/extract/sandbox.c - limits, Landlock, seccomp, in that order. */
#include "ingest/extract/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A sanitizer maps terabytes of shadow memory and reads /proc to explain a
 * finding: such builds keep the walls but are refused calls instead of killed,
 * and have no limit of address space. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#define UNLISTED  SCMP_ACT_ERRNO(EPERM)
#else
#define SANITIZED 0
#define UNLISTED  SCMP_ACT_KILL_PROCESS
#endif

/* Rights of Landlock ABI 2 to 5 that the headers of Debian 12 do not name. */
#define FS_REFER     (1ULL << 13)
#define FS_TRUNCATE  (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)
#define NET_ALL      3ULL /* bind and connect TCP, ABI 4 */
#define SCOPE_ALL    3ULL /* abstract sockets and signals, ABI 6 */

struct ruleset {
    uint64_t fs, net, scope;
};

static enum err_code limit(int what, rlim_t value, const char *name, struct err *err)
{
    struct rlimit r = {value, value};
    if (setrlimit(what, &r))
        return err_errno(err, "setrlimit %s", name);
    return OK;
}

static enum err_code set_limits(const struct sandbox_options *opt, struct err *err)
{
    unsigned cpu = opt->cpu_seconds ? opt->cpu_seconds : 10;
    size_t memory = opt->memory_bytes ? opt->memory_bytes : (size_t)512 << 20;
    enum err_code rc = limit(RLIMIT_CPU, cpu, "cpu", err);
    if (!rc && !SANITIZED)
        rc = limit(RLIMIT_AS, memory, "address space", err);
    if (!rc)
        rc = limit(RLIMIT_FSIZE, opt->file_bytes, "file size", err);
    if (!rc)
        rc = limit(RLIMIT_NOFILE, 8, "files", err);
    if (!rc)
        rc = limit(RLIMIT_NPROC, 0, "processes", err);
    return rc ? rc : limit(RLIMIT_CORE, 0, "core", err);
}

static int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

static enum err_code enter_landlock(int abi, struct err *err)
{
    struct ruleset all = {.fs = (1ULL << 13) - 1};
    all.fs |= abi >= 2 ? FS_REFER : 0;
    all.fs |= abi >= 3 ? FS_TRUNCATE : 0;
    all.fs |= abi >= 5 ? FS_IOCTL_DEV : 0;
    all.net = abi >= 4 ? NET_ALL : 0;
    all.scope = abi >= 6 ? SCOPE_ALL : 0;
    size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    int fd = (int)syscall(SYS_landlock_create_ruleset, &all, size, 0);
    if (fd < 0)
        return err_errno(err, "landlock_create_ruleset");
    long rc = syscall(SYS_landlock_restrict_self, fd, 0);
    enum err_code code = rc ? err_errno(err, "landlock_restrict_self") : OK;
    close(fd);
    return code;
}

/* What reading needs: bytes in and out, memory, time, an end. */
static const int ALLOWED[] = {
    SCMP_SYS(read),           SCMP_SYS(pread64),         SCMP_SYS(readv),
    SCMP_SYS(write),          SCMP_SYS(writev),          SCMP_SYS(lseek),
    SCMP_SYS(fstat),          SCMP_SYS(close),           SCMP_SYS(brk),
    SCMP_SYS(munmap),         SCMP_SYS(mremap),          SCMP_SYS(madvise),
    SCMP_SYS(futex),          SCMP_SYS(clock_gettime),   SCMP_SYS(gettimeofday),
    SCMP_SYS(time),           SCMP_SYS(getrandom),       SCMP_SYS(getpid),
    SCMP_SYS(gettid),         SCMP_SYS(sched_yield),     SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(restart_syscall), SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};
/* Habits of libraries: refused, not deadly. */
static const int REFUSED[] = {
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getcwd),
    SCMP_SYS(ioctl),
    SCMP_SYS(fcntl),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(prlimit64),
    SCMP_SYS(getrlimit),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getdents64),
};
#if SANITIZED
static const int SANITIZER[] = {
    SCMP_SYS(sigaltstack),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(prctl),
    SCMP_SYS(mincore),
};
#endif

static int add_all(scmp_filter_ctx f, uint32_t action, const int *calls, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++)
        rc = seccomp_rule_add(f, action, calls[i], 0);
    return rc;
}

/* Memory, but never executable; signals, but only to itself (abort). */
static int add_conditions(scmp_filter_ctx f)
{
    struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    struct scmp_arg_cmp self = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid());
    int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_exec);
    if (!rc)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_exec);
    return rc ? rc : seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, self);
}

static enum err_code enter_seccomp(struct err *err)
{
    scmp_filter_ctx f = seccomp_init(UNLISTED);
    if (!f)
        return err_set(err, ERR_NOMEM, "a system call filter");
    int rc = add_all(f, SCMP_ACT_ALLOW, ALLOWED, sizeof(ALLOWED) / sizeof(*ALLOWED));
    if (!rc)
        rc = add_all(f, SCMP_ACT_ERRNO(EACCES), REFUSED, sizeof(REFUSED) / sizeof(*REFUSED));
#if SANITIZED
    if (!rc)
        rc = add_all(f, SCMP_ACT_ALLOW, SANITIZER, sizeof(SANITIZER) / sizeof(*SANITIZER));
#endif
    if (!rc)
        rc = add_conditions(f);
    if (!rc)
        rc = seccomp_load(f);
    seccomp_release(f);
    errno = -rc;
    return rc ? err_errno(err, "system call filter") : OK;
}

static bool seccomp_there(void)
{
    return prctl(PR_GET_SECCOMP) >= 0;
}

enum err_code sandbox_enter(const struct sandbox_options *opt, struct sandbox_state *out,
                            struct err *err)
{
    *out = (struct sandbox_state){landlock_abi(), seccomp_there()};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || prctl(PR_SET_DUMPABLE, 0) ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return err_errno(err, "prctl");
    if (close_range(3, ~0U, 0))
        return err_errno(err, "close_range");
    enum err_code rc = set_limits(opt, err);
    if (!rc && out->landlock_abi)
        rc = enter_landlock(out->landlock_abi, err);
    if (!rc && out->seccomp)
        rc = enter_seccomp(err);
    return rc;
}
