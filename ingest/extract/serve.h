/* ingest/extract/serve.h - one process per document, forked from a warm one.
 * Private to carrel-extract. */
#ifndef CARREL_INGEST_EXTRACT_SERVE_H
#define CARREL_INGEST_EXTRACT_SERVE_H
#include <stddef.h>
#include "ingest/extract/sandbox.h"

/* How a reader process ended, where the result itself does not tell. */
enum { READ_OK = 0, READ_REFUSED = 1, READ_USAGE = 2, READ_UNSAFE = 3 };

struct task {
    const char *name, *mime;
    size_t max_text;
    struct sandbox_options sandbox;
};

/* Enter the sandbox, read fd 0, write the result to fd 1; an exit status. */
int read_document(const struct task *t);
/* Answer requests (ingest/request.h) on REQUEST_FD until it closes. */
int serve(void);
#endif
