#include "cmd/download.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/http.h"
#include "base/sha256.h"
#include "cmd/people.h"

enum { REDIRECTS = 5, TRIES = 5, CONNECT_MS = 10000, IDLE_MS = 30000, SLICE_MS = 50 };
enum { WAIT_MS = 500, WAIT_MAX_MS = 30000, CHUNK = 1 << 20, SPARE = 16 << 20, FROM_MAX = 8192 };

struct download {
    const struct download_options *opt;
    struct http *http;
    char *part, *from; /* paths */
    char version[256]; /* ETag or date of what PATH.part holds; "" not known */
    int fd;
    int64_t have, total; /* total -1: not known */
    struct sha256 sum;   /* of the `have` bytes */
    struct download_result *out;
    bool answered;        /* this answer's head was looked at */
    bool mixed;           /* it is of another file than what we have */
    enum err_code failed; /* why it was left */
    struct err why;
};

/* ---- what lies on the disk ---- */

static void show(const struct download_options *opt, const char *what, int64_t done, int64_t total)
{
    if (opt->progress)
        opt->progress(opt->arg, what, done, total);
}

static void note(const struct download *d, const char *text)
{
    if (d->opt->note)
        d->opt->note(d->opt->arg, text);
}

/* Add all that fd holds to `sum`. */
static enum err_code sum_fd(const struct download_options *opt, int fd, struct sha256 *sum,
                            int64_t *bytes, struct err *err)
{
    struct stat st;
    char *chunk = malloc(CHUNK);
    enum err_code rc = chunk ? OK : err_set(err, ERR_NOMEM, "a chunk");
    if (!rc && fstat(fd, &st) != 0)
        rc = err_errno(err, "a file's size");
    for (*bytes = 0; !rc;) {
        ssize_t n = pread(fd, chunk, CHUNK, *bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_errno(err, "reading at %lld", (long long)*bytes);
        if (n <= 0)
            break;
        sha256_add(sum, chunk, (size_t)n);
        *bytes += n;
        show(opt, "checking", *bytes, st.st_size);
        rc = stop_check(opt->stop, err);
    }
    free(chunk);
    return rc;
}

static void write_digits(struct sha256 *sum, char out[65])
{
    uint8_t bytes[SHA256_BYTES];
    sha256_done(sum, bytes);
    hash_hex(bytes, SHA256_BYTES, out);
}

enum err_code download_sum(const struct download_options *opt, const char *path,
                           struct download_result *out, struct err *err)
{
    struct sha256 sum;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "%s", path);
    sha256_init(&sum);
    enum err_code rc = sum_fd(opt, fd, &sum, &out->bytes, err);
    close(fd);
    if (!rc)
        write_digits(&sum, out->sha256);
    return rc ? err_wrap(err, rc, "%s", path) : OK;
}

static enum err_code begin_anew(struct download *d, struct err *err)
{
    sha256_init(&d->sum);
    d->have = 0;
    d->total = -1;
    d->out->resumed_from = 0;
    d->version[0] = 0;
    unlink(d->from);
    return ftruncate(d->fd, 0) == 0 ? OK : err_errno(err, "%s", d->part);
}

/* PATH.part.from: the address, the version; it must be our address. */
static bool read_from(struct download *d)
{
    struct buf text = {0};
    struct str rest, url, version;
    bool ours = file_read(d->from, FROM_MAX, &text, NULL) == OK;
    rest = buf_view(&text);
    ours = ours && str_split(&rest, '\n', &url) && str_split(&rest, '\n', &version) &&
           str_eqz(url, d->opt->url) && version.len && version.len < sizeof(d->version);
    if (ours)
        snprintf(d->version, sizeof(d->version), "%.*s", STR_ARG(version));
    buf_free(&text);
    return ours;
}

static enum err_code open_part(struct download *d, struct err *err)
{
    if (asprintf(&d->part, "%s.part", d->opt->path) < 0)
        d->part = NULL;
    if (asprintf(&d->from, "%s.part.from", d->opt->path) < 0)
        d->from = NULL;
    if (!d->part || !d->from)
        return err_set(err, ERR_NOMEM, "a path");
    d->fd = open(d->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (d->fd < 0)
        return err_errno(err, "%s", d->part);
    if (flock(d->fd, LOCK_EX | LOCK_NB) != 0)
        return err_set(err, ERR_BUSY, "%s is being pulled by another process", d->opt->path);
    sha256_init(&d->sum);
    if (!read_from(d))
        return begin_anew(d, err);
    enum err_code rc = sum_fd(d->opt, d->fd, &d->sum, &d->have, err);
    d->out->resumed_from = d->have;
    return rc;
}

/* ---- an answer ---- */

static bool fail(struct download *d, enum err_code rc)
{
    d->failed = rc;
    return rc == OK;
}

/* "bytes 5-9/10" or "bytes * /10" (without the space): false when it is neither. */
static bool read_range(struct str s, int64_t *first, int64_t *total)
{
    int64_t last;
    if (!str_starts(s, STR("bytes ")))
        return false;
    s = str_sub(s, 6, s.len);
    size_t slash = str_find(s, STR("/"), 0), dash = str_find(s, STR("-"), 0);
    *first = -1;
    if (slash == SIZE_MAX || !str_int(str_sub(s, slash + 1, s.len), 0, INT64_MAX, total))
        return false;
    return str_eqz(str_sub(s, 0, slash), "*") ||
           (dash < slash && str_int(str_sub(s, 0, dash), 0, INT64_MAX, first) &&
            str_int(str_sub(s, dash + 1, slash), *first, *total - 1, &last));
}

/* A strong ETag, else the date; empty: nothing to resume by. */
static struct str version_of(const struct http *h)
{
    struct str tag = http_header(h, "etag");
    if (tag.len && !str_starts(tag, STR("W/")))
        return tag;
    return http_header(h, "last-modified");
}

/* Before the first byte: what will come, and whether there is room for it. */
static enum err_code check_space(struct download *d, struct err *err)
{
    struct statvfs fs;
    char size[16], room[16], text[100];
    if (d->total < 0 || fstatvfs(d->fd, &fs) != 0)
        return OK;
    double need = (double)(d->total - d->have) + SPARE;
    double left = (double)fs.f_bavail * (double)fs.f_frsize;
    people_size((int64_t)left, room);
    if (need > left)
        return err_set(err, ERR_LIMIT, "%s: %s are needed, with a little to spare, and %s are free",
                       d->opt->path, people_size((int64_t)need, size), room);
    snprintf(text, sizeof(text), "%s to fetch, and %s are free", people_size(d->total - d->have, size),
             room);
    note(d, text);
    return OK;
}

static enum err_code save_version(struct download *d, struct err *err)
{
    struct buf text = {0};
    struct str version = version_of(d->http);
    if (!version.len || version.len >= sizeof(d->version))
        return OK; /* then a cut means to begin anew */
    snprintf(d->version, sizeof(d->version), "%.*s", STR_ARG(version));
    buf_printf(&text, "%s\n%s\n", d->opt->url, d->version);
    enum err_code rc = buf_ok(&text, "an address", err);
    if (!rc)
        rc = file_write_atomic(d->from, buf_view(&text), err);
    buf_free(&text);
    return rc;
}

/* 206: the rest of the same file? When it is not, we begin anew with the next request. */
static enum err_code check_rest(struct download *d, struct err *err)
{
    int64_t first, total;
    struct str version = version_of(d->http);
    bool same = read_range(http_header(d->http, "content-range"), &first, &total) &&
                first == d->have && (d->total < 0 || total == d->total) &&
                (!version.len || str_eqz(version, d->version));
    d->total = total;
    d->mixed = !same;
    return same ? OK : err_set(err, ERR_IO, "the server sends another part than asked for");
}

/* Look at status and headers, once an answer. */
static enum err_code take_head(struct download *d, struct err *err)
{
    d->answered = true;
    if (http_status(d->http) == 206)
        return check_rest(d, err);
    if (d->have) {
        note(d,
             "the file has changed, or the server cannot go on in the middle: from its beginning");
        enum err_code rc = begin_anew(d, err);
        if (rc)
            return rc;
    }
    if (!str_int(http_header(d->http, "content-length"), 0, INT64_MAX, &d->total))
        d->total = -1;
    struct str linked = http_first_header(d->http, "x-linked-etag"); /* huggingface.co gives it */
    uint8_t sum[SHA256_BYTES];
    if (linked.len == 66 && hash_unhex(str_sub(linked, 1, 65), sum, SHA256_BYTES))
        hash_hex(sum, SHA256_BYTES, d->out->server_sum);
    enum err_code rc = check_space(d, err);
    return rc ? rc : save_version(d, err);
}

static enum err_code check_magic(struct download *d, struct err *err)
{
    char begin[16];
    size_t n = d->opt->magic.len;
    if (n > sizeof(begin) || d->have < (int64_t)n)
        return OK;
    if (pread(d->fd, begin, n, 0) != (ssize_t)n)
        return err_errno(err, "%s", d->part);
    if (memcmp(begin, d->opt->magic.ptr, n) == 0)
        return OK;
    return err_set(err, ERR_FORMAT, "what lies at %s does not begin with %.*s", d->opt->url,
                   STR_ARG(d->opt->magic));
}

static bool take_bytes(void *arg, struct str bytes)
{
    struct download *d = arg;
    int status = http_status(d->http);
    if (status != 200 && status != 206)
        return false; /* an error page: the status says enough */
    if (!d->answered && !fail(d, take_head(d, &d->why)))
        return false;
    int64_t before = d->have;
    if (lseek(d->fd, before, SEEK_SET) < 0)
        return fail(d, err_errno(&d->why, "%s", d->part));
    enum err_code rc = file_write_all(d->fd, bytes.ptr, bytes.len, &d->why);
    if (rc)
        return fail(d, err_wrap(&d->why, rc, "%s", d->part));
    sha256_add(&d->sum, bytes.ptr, bytes.len);
    d->have += (int64_t)bytes.len;
    show(d->opt, "pulling", d->have, d->total);
    return before >= (int64_t)d->opt->magic.len || fail(d, check_magic(d, &d->why));
}

/* ---- attempts ---- */

static enum err_code send_request(struct download *d, struct err *err)
{
    char range[64], if_range[300];
    const char *headers[] = {"Accept: */*", NULL, NULL, NULL};
    if (d->have) {
        snprintf(range, sizeof(range), "Range: bytes=%lld-", (long long)d->have);
        snprintf(if_range, sizeof(if_range), "If-Range: %s", d->version);
        headers[1] = range;
        headers[2] = if_range;
    }
    const struct http_request q = {
        .url = d->opt->url,
        .headers = headers,
        .ca_file = d->opt->ca_file,
        .connect_ms = CONNECT_MS,
        .idle_ms = IDLE_MS,
        .redirects = REDIRECTS,
        .stop = d->opt->stop,
        .on_bytes = take_bytes,
        .arg = d,
    };
    d->answered = d->mixed = false;
    d->failed = OK;
    return http_send(d->http, &q, err);
}

static enum err_code refusal(const struct download *d, int status, struct err *err)
{
    if (status == 404 || status == 410)
        return err_set(err, ERR_NOTFOUND, "there is nothing at %s (%d)", d->opt->url, status);
    if (status == 401 || status == 403)
        return err_set(err, ERR_IO,
                       "%s wants a login, or that its licence be accepted (%d): fetch "
                       "it with a browser",
                       d->opt->url, status);
    return err_set(err, status == 429 ? ERR_BUSY : ERR_IO, "%s answered %d", d->opt->url, status);
}

enum verdict { WHOLE, AGAIN, GIVE_UP };

/* The range was past the end: all is there, or nothing fits together. */
static enum verdict judge_end(struct download *d, enum err_code *rc, struct err *err)
{
    int64_t first, total;
    if (read_range(http_header(d->http, "content-range"), &first, &total) && total == d->have) {
        d->total = total;
        return WHOLE;
    }
    *rc = begin_anew(d, err);
    return *rc ? GIVE_UP : AGAIN;
}

static enum verdict judge(struct download *d, enum err_code *rc, struct err *err)
{
    enum http_fault fault = http_fault(d->http);
    int status = http_status(d->http);
    bool lost = fault == HTTP_NO_HOST || fault == HTTP_UNREACHED || fault == HTTP_SILENT ||
                fault == HTTP_BROKEN;
    if (d->mixed) {
        *rc = begin_anew(d, err);
        return *rc ? GIVE_UP : AGAIN;
    }
    if (d->failed) {
        *rc = err_set(err, d->failed, "%s", d->why.msg);
        return GIVE_UP;
    }
    if (status == 416 && d->have)
        return judge_end(d, rc, err);
    if (status && status != 200 && status != 206 && fault != HTTP_REDIRECTED) {
        *rc = refusal(d, status, err);
        return status == 408 || status == 429 || status >= 500 ? AGAIN : GIVE_UP;
    }
    if (*rc && fault == HTTP_UNTRUSTED && err)
        *rc = err_set(err, ERR_IO, "%.200s (see llm.ca_file)", err->msg);
    if (*rc)
        return lost ? AGAIN : GIVE_UP;
    if (!d->answered) /* no byte came */
        *rc = take_head(d, err);
    return *rc ? GIVE_UP : WHOLE;
}

static enum err_code wait_for(struct download *d, int failures, struct err *err)
{
    const struct timespec slice = {.tv_nsec = SLICE_MS * 1000000L};
    int64_t ms = http_retry_after_ms(d->http, clock_now_ms());
    if (ms < 0)
        ms = failures ? (int64_t)WAIT_MS << failures : SLICE_MS;
    if (ms > WAIT_MAX_MS)
        ms = WAIT_MAX_MS;
    for (double end = clock_ms() + (double)ms; clock_ms() < end && !stop_asked(d->opt->stop);)
        nanosleep(&slice, NULL);
    return stop_check(d->opt->stop, err);
}

static void note_again(const struct download *d, const char *why)
{
    char text[280];
    snprintf(text, sizeof(text), "%.240s; trying again", why);
    note(d, text);
}

/* Until it is whole; `failures` counts those in a row that brought no byte. */
static enum err_code fetch(struct download *d, struct err *err)
{
    for (int failures = 0;;) {
        int64_t before = d->have;
        if (d->have && !d->version[0]) { /* nothing says that it is still the same file */
            enum err_code rc = begin_anew(d, err);
            if (rc)
                return rc;
        }
        enum err_code rc = send_request(d, err);
        enum verdict v = judge(d, &rc, err);
        if (v == WHOLE)
            return OK;
        failures = d->have > before ? 0 : failures + 1;
        if (v == GIVE_UP || failures == TRIES)
            return rc ? rc : err_set(err, ERR_IO, "%s gives no whole file", d->opt->url);
        if (rc)
            note_again(d, err ? err->msg : "cut off");
        rc = wait_for(d, failures, err);
        if (rc)
            return rc;
    }
}

enum err_code download_fetch(const struct download_options *opt, struct download_result *out,
                             struct err *err)
{
    struct download d = {.opt = opt, .fd = -1, .total = -1, .out = out};
    *out = (struct download_result){0};
    enum err_code rc = http_new(&d.http, err);
    if (!rc)
        rc = open_part(&d, err);
    if (!rc)
        rc = fetch(&d, err);
    if (!rc) {
        out->bytes = d.have;
        write_digits(&d.sum, out->sha256);
    }
    if (rc == ERR_FORMAT)
        download_drop(opt->path);
    if (d.fd >= 0)
        close(d.fd);
    http_free(d.http);
    free(d.part);
    free(d.from);
    return rc;
}

/* ---- the end ---- */

enum err_code download_keep(const char *path, struct err *err)
{
    char *part = NULL, *from = NULL, *dir = str_dup(str_of(path));
    enum err_code rc = OK;
    int fd = -1;
    if (asprintf(&part, "%s.part", path) < 0)
        part = NULL;
    if (asprintf(&from, "%s.part.from", path) < 0)
        from = NULL;
    if (!part || !from || !dir)
        rc = err_set(err, ERR_NOMEM, "a path");
    if (!rc) {
        fd = open(part, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) != 0 || rename(part, path) != 0)
            rc = err_errno(err, "%s", part);
    }
    if (!rc) {
        unlink(from);
        char *slash = strrchr(dir, '/');
        if (slash)
            *slash = 0;
        rc = file_sync_dir(slash ? dir : ".", err);
    }
    if (fd >= 0)
        close(fd);
    free(part);
    free(from);
    free(dir);
    return rc;
}

void download_drop(const char *path)
{
    static const char *const ends[] = {".part", ".part.from"};
    char *name;
    for (int i = 0; i < 2; i++)
        if (asprintf(&name, "%s%s", path, ends[i]) >= 0) {
            unlink(name);
            free(name);
        }
}
