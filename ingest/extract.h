/* ingest/extract.h - have a file read by carrel-extract, in its sandbox.
 *
 * An extractor owns one carrel-extract --serve (request.h), started with
 * posix_spawn on the first file and again should it die. Nothing it sends back
 * is trusted: frame.h checks every byte.
 * Threads   one owner each. Memory  results in the caller's arena;
 *           extractor_free ends the server. */
#ifndef CARREL_INGEST_EXTRACT_H
#define CARREL_INGEST_EXTRACT_H
#include <stdbool.h>
#include "base/thread.h"
#include "ingest/frame.h"

struct extractor;
struct extract_options {
    const char *program;       /* path of carrel-extract; copied */
    int timeout_ms;            /* wall clock per file; 0: 20000 */
    size_t memory_bytes;       /* of a reader's address space; 0: 512 MiB */
    size_t max_text_bytes;     /* 0: 64 MiB */
};

enum err_code extractor_new(const struct extract_options *opt, struct extractor **out,
                            struct err *err);
void extractor_free(struct extractor *x);   /* NULL is fine */

/* Read `path`. ERR_FORMAT: it cannot be read, and err has the sentence for its
 * user. ERR_CANCELLED when `stop` is set meanwhile. Anything else is our own
 * trouble (ERR_IO, ERR_NOMEM), not the document's. */
enum err_code extract_file(struct extractor *x, const char *path, const char *name,
                           const char *mime, const struct stop *stop, struct arena *a,
                           struct extracted *out, struct err *err);

/* What the kernel offers: "landlock 7, seccomp", "no landlock, seccomp", ...
 * False when a part is missing. */
bool extract_sandbox(char out[64]);
#endif
