/* base/err.h - one value, one direction: a code back, a sentence for the operator.
 *
 * Functions that can fail return enum err_code (0 is OK) and take a
 * `struct err *` last, which may be NULL. The sentence names the thing, the
 * value found and the value wanted, in lower case, without a full stop.
 * Threads   no state; a struct err belongs to its caller.
 * Memory    nothing is allocated. */
#ifndef CARREL_BASE_ERR_H
#define CARREL_BASE_ERR_H

enum err_code {
    OK = 0,
    ERR_ARG,          /* the caller asked for something out of its range */
    ERR_NOMEM,        /* memory ran out */
    ERR_IO,           /* the operating system refused */
    ERR_FORMAT,       /* outside bytes are not what they should be */
    ERR_LIMIT,        /* a stated maximum would be passed */
    ERR_NOTFOUND,     /* no such thing */
    ERR_BUSY,         /* someone else holds it, or a queue is full: try later */
    ERR_CANCELLED,    /* a struct stop was set */
    ERR_INCOMPATIBLE, /* store or encoder of another version: needs a command */
    ERR_N             /* count of the codes */
};

struct err {
    enum err_code code;
    char msg[240];
};

/* Write the sentence and return `code`. */
enum err_code err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "context: " in front of the sentence already there; return `code`. */
enum err_code err_wrap(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Like err_set, with ": strerror(errno)" behind; ENOMEM gives ERR_NOMEM,
 * ENOSPC and EDQUOT give ERR_LIMIT, all else ERR_IO. */
enum err_code err_errno(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* "argument", "memory", ...: a word for logs. Static. */
const char *err_name(enum err_code code);
#endif
