/* web/multipart.h - multipart/form-data (RFC 7578, RFC 2046 section 5.1), pushed
 * in pieces of any size and handed on as it comes.
 *
 * Our own, because a push parser of 200 lines that has been split at every byte
 * is easier to trust than a form decoder of 2,000.
 * Threads   one owner. Memory  multipart_free releases all. */
#ifndef CARREL_WEB_MULTIPART_H
#define CARREL_WEB_MULTIPART_H
#include <stdbool.h>
#include "base/err.h"
#include "base/str.h"

#define MULTIPART_PARTS_MAX 128
#define MULTIPART_HEAD_MAX  8192     /* bytes of one part's headers */

struct multipart_part {              /* views live until the callback returns */
    struct str name;
    struct str filename;             /* ptr NULL: a field, not a file */
    struct str type;                 /* Content-Type, or empty */
};

/* Any error they return ends the parse and comes back from multipart_push. */
struct multipart_events {
    enum err_code (*begin)(void *arg, const struct multipart_part *part, struct err *err);
    enum err_code (*data)(void *arg, struct str bytes, struct err *err);
    enum err_code (*end)(void *arg, struct err *err);
    void *arg;
};

struct multipart;
/* The boundary of a Content-Type value; false when it is not multipart/form-data
 * with a boundary of 1..70 bytes. Borrowed from `type`. */
bool multipart_boundary(struct str type, struct str *boundary);
/* NULL without memory. */
struct multipart *multipart_new(struct str boundary, const struct multipart_events *events);
void multipart_free(struct multipart *m);
/* ERR_FORMAT for a malformed part, ERR_LIMIT past a maximum. After an error
 * nothing more may be pushed. */
enum err_code multipart_push(struct multipart *m, struct str bytes, struct err *err);
/* All has been pushed: ERR_FORMAT unless the closing delimiter was seen. */
enum err_code multipart_finish(struct multipart *m, struct err *err);
#endif
