/* ingest/extract/sandbox.h - the cell in which a document is read.
 *
 * Entered once, before the first byte of the document is looked at, and never
 * left: dies with its parent, cannot be traced, gains no privileges; resource
 * limits; no file descriptor but 0, 1 and 2; Landlock with no rule at all (no
 * path can be opened); seccomp (libseccomp, default: kill the process) with a
 * short list of calls that compute, read and write; no memory may become
 * executable. Calls that libraries make out of habit (open, stat, isatty) are
 * refused with EACCES instead, which reveals nothing and lets them go on.
 * After the example of OpenSSH's sandbox: deny by default.
 * Threads   call from the only thread. Memory  none kept. */
#ifndef CARREL_INGEST_EXTRACT_SANDBOX_H
#define CARREL_INGEST_EXTRACT_SANDBOX_H
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

struct sandbox_options {
    size_t memory_bytes;     /* of address space; 0: 512 MiB */
    unsigned cpu_seconds;    /* 0: 10 */
    size_t file_bytes;       /* that may be written to a file; pipes are not counted */
};

struct sandbox_state { int landlock_abi; /* 0: the kernel has none */ bool seccomp; };

/* ERR_IO when a part that the kernel has cannot be set up: then nothing may be
 * read. A part that the kernel lacks is told in *out. */
enum err_code sandbox_enter(const struct sandbox_options *opt, struct sandbox_state *out,
                            struct err *err);
#endif
