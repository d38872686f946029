/* tests/test_main.c - runs what TEST registered: each in a child of its own, as
 * a cmocka group of one, silent unless it fails. */
#include "tests/test.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"

enum { TESTS_MAX = 512, PASSED = 0, FAILED = 1, SKIPPED = 77 };

struct test {
    const char *name, *file;
    void (*fn)(void);
};

static struct test tests[TESTS_MAX];
static int n_tests;
static char base_dir[256], own_dir[300]; /* own_dir lies in base_dir */
static const struct test *running;       /* in the child */
static int outcome = PASSED;
static bool verbose;

void test_register(const char *name, const char *file, void (*fn)(void))
{
    if (n_tests == TESTS_MAX) {
        fprintf(stderr, "more than %d tests in one program\n", TESTS_MAX);
        exit(1);
    }
    tests[n_tests++] = (struct test){name, file, fn};
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
    char msg[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    outcome = FAILED;
    print_error("%s:%d: %s\n", file, line, msg);
    _fail(file, line);
    abort(); /* _fail jumps out of the test */
}

void test_skip(const char *why)
{
    outcome = SKIPPED;
    printf("%s\n", why);
    fflush(stdout);
    _skip(running->file, 0);
    abort();
}

bool test_slow(void)
{
    const char *v = getenv("CARREL_SLOW");
    return v && *v;
}

const char *data_path(const char *relative)
{
    static char paths[8][512];
    static int next;
    const char *root = getenv("CARREL_DATA");
    if (!root || !*root)
        test_skip("no data");
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", root, relative);
    if (access(path, R_OK) != 0)
        test_skip("no data");
    return path;
}

const char *scratch_dir(void)
{
    if (mkdir(own_dir, 0700) != 0 && errno != EEXIST)
        test_fail(__FILE__, __LINE__, "%s: %s", own_dir, strerror(errno));
    return own_dir;
}

/* ---- in the child */

static struct sigaction handler_before[32];
static const int faults[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS, SIGABRT};

static void save_handlers(void)
{
    for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++)
        sigaction(faults[i], NULL, &handler_before[faults[i]]);
}

/* cmocka catches faults and prints no more than their name; a sanitizer has a
 * report to make, and a plain death says where in a core file. */
static void run_body(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++)
        sigaction(faults[i], &handler_before[faults[i]], NULL);
    running->fn();
}

static void run_child(const struct test *t, int out)
{
    setpgid(0, 0);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    alarm(test_slow() ? 600 : 60);
    running = t;
    save_handlers();
    const struct CMUnitTest one[] = {{t->name, run_body, NULL, NULL, NULL}};
    int failed = _cmocka_run_group_tests(t->name, one, 1, NULL, NULL);
    if (failed && outcome == PASSED)
        outcome = FAILED;
    fflush(NULL);
    if (outcome != PASSED)
        _exit(outcome); /* a broken-off test leaks, which is not news */
    exit(PASSED);
}

/* ---- in the parent */

/* cmocka's frame around the message is left out. */
static bool noise(const char *line)
{
    return strncmp(line, "[====", 5) == 0 || strncmp(line, "[ RUN", 5) == 0 ||
           strncmp(line, "[  FAILED", 9) == 0 || strncmp(line, "[  PASSED", 9) == 0 ||
           strncmp(line, "[  SKIPPED", 10) == 0 || strstr(line, ": error: Failure!") ||
           strstr(line, ": error: Skipped!") || strstr(line, " 1 FAILED TEST") ||
           strstr(line, " 1 SKIPPED TEST") || line[0] == '\n';
}

static void show_output(int fd)
{
    lseek(fd, 0, SEEK_SET);
    FILE *f = fdopen(dup(fd), "r");
    char line[4096];
    while (f && fgets(line, sizeof(line), f))
        if (!noise(line))
            printf("    %s", line);
    if (f)
        fclose(f);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

static int report(const struct test *t, int status, int out, double ms)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
    if (code == PASSED) {
        if (verbose)
            printf("ok   %s (%.0f ms)\n", t->name, ms);
        return PASSED;
    }
    printf("%s %s\n", code == SKIPPED ? "skip" : "FAIL", t->name);
    show_output(out);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        printf("    %s: ran past %d s\n", t->file, test_slow() ? 600 : 60);
    else if (WIFSIGNALED(status))
        printf("    %s: died of signal %d\n", t->file, WTERMSIG(status));
    else if (code != SKIPPED && code != FAILED)
        printf("    %s: exited with %d\n", t->file, code);
    return code == SKIPPED ? SKIPPED : FAILED;
}

static int run_one(const struct test *t)
{
    int out = memfd_create("output", 0);
    snprintf(own_dir, sizeof(own_dir), "%s/t%d", base_dir, (int)(t - tests));
    fflush(NULL);
    double begin = clock_ms();
    pid_t pid = fork();
    if (pid == 0)
        run_child(t, out);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    kill(-pid, SIGKILL); /* whatever the test left running */
    int code = report(t, status, out, clock_ms() - begin);
    close(out);
    nftw(own_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return code;
}

static bool wanted(const struct test *t, int n_patterns, char **patterns)
{
    if (n_patterns == 0)
        return true;
    for (int i = 0; i < n_patterns; i++)
        if (strstr(t->name, patterns[i]))
            return true;
    return false;
}

int main(int argc, char **argv)
{
    bool list = argc > 1 && strcmp(argv[1], "-l") == 0;
    verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
    int skip = list || verbose ? 2 : 1, passed = 0, failed = 0, skipped = 0;
    const char *tmp = getenv("TMPDIR");
    snprintf(base_dir, sizeof(base_dir), "%s/carrel-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!list && !mkdtemp(base_dir)) {
        perror(base_dir);
        return 1;
    }
    for (int i = 0; i < n_tests; i++) {
        if (!wanted(&tests[i], argc - skip, argv + skip))
            continue;
        if (list) {
            puts(tests[i].name);
            continue;
        }
        int code = run_one(&tests[i]);
        passed += code == PASSED;
        failed += code == FAILED;
        skipped += code == SKIPPED;
    }
    if (list)
        return 0;
    rmdir(base_dir);
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed > 0;
}
