/* ingest/request.h - how carrel asks carrel-extract --serve for a document.
 *
 * One SOCK_SEQPACKET message each way over descriptor 3. A request carries two
 * descriptors (SCM_RIGHTS): the document, open for reading, and the pipe that
 * the result (frame.h) goes to. The reply comes when the reader has ended.
 * The server forks a fresh process per document, which enters its sandbox before
 * it reads a byte; a fork of this small process costs a fifth of an exec.
 * Both ends are the same build: the structs travel as they lie in memory. */
#ifndef CARREL_INGEST_REQUEST_H
#define CARREL_INGEST_REQUEST_H
#include <stdint.h>

#define REQUEST_FD       3
#define REQUEST_NAME_MAX 1024
#define REQUEST_MIME_MAX 128

struct request {
    uint64_t memory_bytes, max_text;
    uint32_t timeout_ms, cpu_seconds;
    char name[REQUEST_NAME_MAX + 1], mime[REQUEST_MIME_MAX + 1];
};

struct reply {
    int32_t status;          /* as waitpid gives it */
    uint32_t timed_out;
    int64_t peak_kb;
};
#endif
