/* base/memory.h - how much memory this process may still take.
 * Threads   no state. */
#ifndef CARREL_BASE_MEMORY_H
#define CARREL_BASE_MEMORY_H
#include <stddef.h>

/* Bytes: the least of what the machine has (MemAvailable of /proc/meminfo), what the
 * limits on address space and data leave (RLIMIT_AS, RLIMIT_DATA), and what the control groups
 * that the process is in allow (version 2 and 1). `why` (may be NULL) names the one that is
 * least: "memory of the machine", "limit on address space", ... A source
 * that cannot be read counts for nothing; SIZE_MAX without any. */
size_t memory_available(const char **why);
#endif
