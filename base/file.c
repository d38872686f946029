#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err_code read_fd(int fd, const char *path, size_t max, struct buf *out, struct err *err)
{
    char chunk[64 << 10]; /* beside `out`, which may be filled to its very maximum */
    for (size_t total = 0;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, "reading %s", path);
        if (n == 0)
            return buf_ok(out, path, err);
        total += (size_t)n;
        if (total > max)
            return err_set(err, ERR_LIMIT, "%s has more than %zu bytes", path, max);
        buf_add(out, chunk, (size_t)n);
        if (out->failed)
            return buf_ok(out, path, err);
    }
}

enum err_code file_read(const char *path, size_t max, struct buf *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? err_set(err, ERR_NOTFOUND, "%s: no such file", path)
                               : err_errno(err, "%s", path);
    size_t before = out->len;
    struct stat st;
    enum err_code rc = OK;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        if ((uint64_t)st.st_size > max)
            rc = err_set(err, ERR_LIMIT, "%s has %lld bytes, more than %zu", path,
                         (long long)st.st_size, max);
        else
            buf_reserve(out, (size_t)st.st_size);
    }
    if (!rc)
        rc = read_fd(fd, path, max, out, err);
    close(fd);
    if (rc && out->ptr) {
        out->len = before;
        out->ptr[before] = '\0';
    }
    return rc;
}

enum err_code file_write_all(int fd, const void *bytes, size_t n, struct err *err)
{
    const char *p = bytes;
    while (n > 0) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return err_errno(err, "writing %zu bytes", n);
        p += w;
        n -= (size_t)w;
    }
    return OK;
}

enum err_code file_sync_dir(const char *dir, struct err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "%s", dir);
    enum err_code rc = OK;
    if (fsync(fd) != 0 && errno != EINVAL) /* some file systems cannot sync a folder */
        rc = err_errno(err, "syncing %s", dir);
    close(fd);
    return rc;
}

static enum err_code sync_parent(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return file_sync_dir(".", err);
    char *dir = str_dup((struct str){path, slash == path ? 1 : (size_t)(slash - path)});
    if (!dir)
        return err_set(err, ERR_NOMEM, "the folder of %s", path);
    enum err_code rc = file_sync_dir(dir, err);
    free(dir);
    return rc;
}

static enum err_code fill(int fd, const char *tmp, const char *path, struct str bytes,
                          struct err *err)
{
    enum err_code rc = file_write_all(fd, bytes.ptr, bytes.len, err);
    if (!rc && fsync(fd) != 0)
        rc = err_errno(err, "syncing");
    if (close(fd) != 0 && !rc)
        rc = err_errno(err, "closing");
    if (!rc && rename(tmp, path) != 0)
        rc = err_errno(err, "renaming");
    if (rc) {
        unlink(tmp);
        return err_wrap(err, rc, "%s", path);
    }
    return sync_parent(path, err);
}

enum err_code file_write_atomic(const char *path, struct str bytes, struct err *err)
{
    struct buf tmp = {0};
    buf_printf(&tmp, "%s.XXXXXX", path);
    enum err_code rc = buf_ok(&tmp, path, err);
    if (!rc) {
        int fd = mkostemp(tmp.ptr, O_CLOEXEC);
        rc = fd < 0 ? err_errno(err, "%s", tmp.ptr) : fill(fd, tmp.ptr, path, bytes, err);
    }
    buf_free(&tmp);
    return rc;
}

static enum err_code make_dir(const char *dir, struct err *err)
{
    if (mkdir(dir, 0700) == 0)
        return OK;
    int why = errno;
    struct stat st;
    if (stat(dir, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return OK;
        why = ENOTDIR;
    }
    errno = why;
    return err_errno(err, "%s", dir);
}

enum err_code file_make_dirs(const char *dir, struct err *err)
{
    char *path = str_dup(str_of(dir));
    if (!path)
        return err_set(err, ERR_NOMEM, "%s", dir);
    enum err_code rc = OK;
    for (char *p = path + 1; *path && *p && !rc; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        rc = make_dir(path, err);
        *p = '/';
    }
    if (!rc)
        rc = make_dir(path, err);
    free(path);
    return rc;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}
