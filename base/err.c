#include "base/err.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Keep `msg`; a character that the maximum cut in two is left out. */
static enum err_code keep(struct err *err, enum err_code code, char *msg)
{
    size_t n = strlen(msg), i = n;
    if (n == sizeof(err->msg) - 1) {
        while (i > 0 && ((unsigned char)msg[i - 1] & 0xc0) == 0x80)
            i--;
        unsigned char lead = i > 0 ? (unsigned char)msg[i - 1] : 0;
        size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
        if (want > n - i + 1)
            msg[i - 1] = '\0';
    }
    err->code = code;
    memcpy(err->msg, msg, sizeof(err->msg));
    return code;
}

/* ": " and as much of `tail` as fits, behind the n bytes of `msg`. */
static void join(char *msg, size_t cap, int n, const char *tail)
{
    if (n < 0 || (size_t)n + 3 > cap)
        return;
    size_t at = (size_t)n + 2, len = strnlen(tail, cap - at - 1);
    memcpy(msg + n, ": ", 2);
    memcpy(msg + at, tail, len);
    msg[at + len] = '\0';
}

enum err_code err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    if (!err)
        return code;
    char msg[sizeof(err->msg)] = ""; /* apart, since an argument may be err->msg itself */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    return keep(err, code, msg);
}

enum err_code err_wrap(struct err *err, enum err_code code, const char *fmt, ...)
{
    if (!err)
        return code;
    char msg[sizeof(err->msg)] = "";
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    join(msg, sizeof(msg), n, err->msg);
    return keep(err, code, msg);
}

enum err_code err_errno(struct err *err, const char *fmt, ...)
{
    int no = errno;
    enum err_code code = ERR_IO;
    if (no == ENOMEM)
        code = ERR_NOMEM;
    else if (no == ENOSPC || no == EDQUOT)
        code = ERR_LIMIT;
    if (!err)
        return code;
    char msg[sizeof(err->msg)] = "", why[96];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    /* The GNU strerror_r returns its text, not always in `why`. */
    join(msg, sizeof(msg), n, strerror_r(no, why, sizeof(why)));
    return keep(err, code, msg);
}

const char *err_name(enum err_code code)
{
    static const char *const name[ERR_N] = {
        "ok",    "argument",  "memory", "io",        "format",
        "limit", "not found", "busy",   "cancelled", "incompatible",
    };
    return (unsigned)code < ERR_N ? name[code] : "unknown";
}
