/* tests/fuzz/replay.c - run a fuzz target over kept inputs, built by any compiler.
 *
 * replay PATH... gives the bytes of each file, and of each file in each folder,
 * to LLVMFuzzerTestOneInput, so that `make test` needs no clang. Prints
 * "N passed, N failed, 0 skipped" last. A crash ends the process; the name of
 * the input that did it is on standard error. */
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"

enum { SECONDS_EACH = 60 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static char current[4200];
static int passed, failed;

static void name_input(int signal_number)
{
    static const char text[] = "FAIL  crashed by ";
    if (write(2, text, sizeof(text) - 1) < 0 || write(2, current, strlen(current)) < 0 ||
        write(2, "\n", 1) < 0)
        _exit(2);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* On a copy of exactly n bytes, so that a sanitizer sees a read past the end. */
static void replay_file(const char *path)
{
    struct buf bytes = {0};
    struct err err;
    snprintf(current, sizeof(current), "%s", path);
    if (file_read(path, (size_t)64 << 20, &bytes, &err)) {
        fprintf(stderr, "FAIL  %s\n", err.msg);
        failed++;
        return;
    }
    uint8_t *exact = malloc(bytes.len ? bytes.len : 1);
    if (!exact)
        abort();
    memcpy(exact, bytes.ptr ? bytes.ptr : "", bytes.len);
    alarm(SECONDS_EACH);
    LLVMFuzzerTestOneInput(exact, bytes.len);
    free(exact);
    buf_free(&bytes);
    passed++;
}

static void replay(const char *path)
{
    DIR *d = opendir(path);
    char file[4200];
    if (!d) {
        replay_file(path);
        return;
    }
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') {
            snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
            replay_file(file);
        }
    closedir(d);
}

int main(int argc, char **argv)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM};
    for (size_t i = 0; i < sizeof(fatal) / sizeof(*fatal); i++)
        signal(fatal[i], name_input);
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed > 0 || passed == 0;
}
