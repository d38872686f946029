/* tests/tools/peak.c - run a program and tell its largest resident memory.
 *
 *   peak PROGRAM [ARGUMENT...]     last line of standard error: "peak KIB ms MILLISECONDS"
 *
 * A small program of its own, because a process starts with the largest memory of the one that
 * forked it (Linux counts the image before exec): Python's would hide what is measured.
 * The exit status is the program's, 128 and more: the signal that ended it. */
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "base/clock.h"

extern char **environ;

int main(int argc, char **argv)
{
    pid_t child;
    int status;
    struct rusage use;
    double begun_ms = clock_ms();
    if (argc < 2 || posix_spawnp(&child, argv[1], NULL, NULL, argv + 1, environ) != 0) {
        fputs("peak PROGRAM [ARGUMENT...]\n", stderr);
        return 2;
    }
    if (wait4(child, &status, 0, &use) != child)
        return 2;
    fprintf(stderr, "peak %ld ms %.0f\n", use.ru_maxrss, clock_ms() - begun_ms);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
