/* cmd/download.h - one large file over HTTP, resumed where it was cut.
 *
 * The bytes go to PATH.part; PATH.part.from says of which address and which version
 * of it (its ETag or date), so that a later call goes on with a Range request and
 * If-Range, and begins anew when the file has changed. A cut connection is taken up again
 * at once, a server that is busy or away after a wait, up to five times without a
 * byte in between. At most five redirects, as base/http.h follows them.
 * Threads   one owner. Memory  the caller's.
 * Disk      the space is checked before the first byte; nothing stands under PATH
 *           before download_keep. */
#ifndef CARREL_CMD_DOWNLOAD_H
#define CARREL_CMD_DOWNLOAD_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"
#include "base/thread.h"

struct download_options {
    const char *url, *path;
    const char *ca_file;       /* as in base/http.h; NULL: none */
    struct str magic;          /* the file's first bytes; another beginning is ERR_FORMAT at once */
    const struct stop *stop;
    /* How far it is; total < 0: the server does not say. `what`: "pulling", "checking". */
    void (*progress)(void *arg, const char *what, int64_t done, int64_t total);
    void (*note)(void *arg, const char *text);   /* how much comes, why it waits or begins anew */
    void *arg;
};
struct download_result {
    int64_t bytes, resumed_from;
    char sha256[65];
    char server_sum[65];       /* of X-Linked-ETag, where it is a SHA-256; or "" */
};
/* Have all of it in PATH.part. ERR_NOTFOUND (404), ERR_LIMIT (no space), ERR_BUSY (another process
 * is at it), ERR_FORMAT (other first bytes; the part is removed), ERR_CANCELLED and ERR_IO (what
 * there is stays for the next call). */
enum err_code download_fetch(const struct download_options *opt, struct download_result *out,
                             struct err *err);
/* Sync PATH.part and rename it; or remove it. */
enum err_code download_keep(const char *path, struct err *err);
void download_drop(const char *path);
/* Size and SHA-256 of a file that is there; progress and stop as above. */
enum err_code download_sum(const struct download_options *opt, const char *path,
                           struct download_result *out, struct err *err);
#endif
