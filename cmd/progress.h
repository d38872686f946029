/* cmd/progress.h - how far long work is, on standard error.
 *
 * On a terminal one line that is drawn over, about ten times a second:
 *   reading  [#########.........]  612/1384 files  9021 chunks  412 chunks/s  00:21 left
 * elsewhere a plain line every few seconds. Nothing when `quiet`.
 * Threads   one owner. Memory  the caller's. */
#ifndef CARREL_CMD_PROGRESS_H
#define CARREL_CMD_PROGRESS_H
#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool quiet, terminal, drawn;
    double begun_ms, last_ms;
    int64_t done_at_begin, total;
};

struct progress_now {
    const char *what;          /* "reading" */
    const char *unit;          /* "files" */
    int64_t done, total, failed;
    const char *things;        /* what is counted beside, "chunks"; NULL: nothing */
    int64_t n_things;
};

void progress_begin(struct progress *p, bool quiet);
void progress_show(struct progress *p, const struct progress_now *now);
/* Wipe the line; say nothing more. */
void progress_end(struct progress *p);
#endif
