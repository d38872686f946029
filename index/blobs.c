/* Original files. In blobs/tmp/ while they come in, then blobs/ab/<id>; the
 * order is: fsync the file, rename it, fsync both folders, commit the row. */
#include "index/blobs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/log.h"
#include "base/rng.h"
#include "index/blobs_int.h"
#include "index/store.h"

enum err_code blob_begin(struct index *x, size_t max_bytes, struct blob **out, struct err *err)
{
    uint8_t id[16];
    char hex[33], name[64];
    *out = NULL;
    struct blob *b = calloc(1, sizeof(*b));
    if (!b)
        return err_set(err, ERR_NOMEM, "an upload");
    rng_secret(id, sizeof(id));
    hash_hex(id, 16, hex);
    snprintf(name, sizeof(name), "blobs/tmp/%s.part", hex);
    b->index = x;
    b->max = max_bytes;
    b->fd = -1;
    b->path = index_path(x, name);
    b->hasher = hasher_new();
    enum err_code rc = OK;
    if (!b->path || !b->hasher)
        rc = err_set(err, ERR_NOMEM, "an upload");
    else if ((b->fd = open(b->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
        rc = err_errno(err, "a file for the upload");
    if (rc) {
        blob_drop(b);
        return rc;
    }
    *out = b;
    return OK;
}

enum err_code blob_write(struct blob *b, const void *bytes, size_t n, struct err *err)
{
    if (b->finished)
        return err_set(err, ERR_ARG, "the upload was finished");
    if (n > b->max - b->size)
        return err_set(err, ERR_LIMIT, "a file of more than %zu bytes", b->max);
    enum err_code rc = file_write_all(b->fd, bytes, n, err);
    if (rc)
        return err_wrap(err, rc, "upload");
    hasher_add(b->hasher, bytes, n);
    b->size += n;
    return OK;
}

enum err_code blob_finish(struct blob *b, struct err *err)
{
    if (b->finished)
        return OK;
    if (!b->index->opt.volatile_store && fsync(b->fd) != 0)
        return err_errno(err, "syncing the upload");
    int fd = b->fd;
    b->fd = -1;
    if (close(fd) != 0)
        return err_errno(err, "closing the upload");
    b->hash = hasher_done(b->hasher);
    b->hasher = NULL;
    b->finished = true;
    return OK;
}

size_t blob_size(const struct blob *b)
{
    return b->size;
}

struct hash128 blob_hash(const struct blob *b)
{
    return b->hash;
}

void blob_free(struct blob *b)
{
    if (!b)
        return;
    if (b->fd >= 0)
        close(b->fd);
    hasher_free(b->hasher);
    free(b->path);
    free(b);
}

void blob_drop(struct blob *b)
{
    if (b && b->path)
        unlink(b->path);
    blob_free(b);
}

static enum err_code copy_into(struct blob *b, int fd, const char *path, struct err *err)
{
    enum err_code rc = OK;
    char *bytes = malloc(1 << 18);
    if (!bytes)
        return err_set(err, ERR_NOMEM, "%s", path);
    for (;;) {
        ssize_t n = read(fd, bytes, 1 << 18);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_errno(err, "%s", path);
        else if (n > 0)
            rc = blob_write(b, bytes, (size_t)n, err);
        if (n <= 0 || rc)
            break;
    }
    free(bytes);
    return rc;
}

enum err_code blob_from_file(struct index *x, const char *path, size_t max_bytes, struct blob **out,
                             struct err *err)
{
    struct stat st;
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? err_set(err, ERR_NOTFOUND, "%s: no such file", path)
                               : err_errno(err, "%s", path);
    struct blob *b = NULL;
    enum err_code rc = OK;
    if (fstat(fd, &st) != 0)
        rc = err_errno(err, "%s", path);
    else if (!S_ISREG(st.st_mode))
        rc = err_set(err, ERR_ARG, "%s is not a regular file", path);
    if (!rc)
        rc = blob_begin(x, max_bytes, &b, err);
    if (!rc)
        rc = copy_into(b, fd, path, err);
    if (!rc)
        rc = blob_finish(b, err);
    close(fd);
    if (rc)
        blob_drop(b);
    else
        *out = b;
    return rc;
}

/* ---- their places */

void index_blob_name(const char *id, char out[64])
{
    snprintf(out, 64, "blobs/%.2s/%.32s", id, id);
}

void remove_blob(struct index *x, const char *id)
{
    char name[64];
    index_blob_name(id, name);
    char *path = index_path(x, name);
    if (path && unlink(path) != 0 && errno != ENOENT)
        log_warn("index.blob", "doc=%.8s error=not-removed", id);
    free(path);
}

static enum err_code sync_folder(struct index *x, const char *name, struct err *err)
{
    char *path = index_path(x, name);
    enum err_code rc = path ? file_sync_dir(path, err) : err_set(err, ERR_NOMEM, "a folder");
    free(path);
    return rc;
}

static enum err_code make_folder(struct index *x, const char *name, bool *made, struct err *err)
{
    char *path = index_path(x, name);
    if (!path)
        return err_set(err, ERR_NOMEM, "a folder");
    enum err_code rc = OK;
    if (mkdir(path, 0700) == 0)
        *made = true;
    else if (errno != EEXIST)
        rc = err_errno(err, "%s", path);
    free(path);
    return rc;
}

enum err_code blob_place(struct blob *b, const char *id, struct err *err)
{
    char name[64], folder[16];
    index_blob_name(id, name);
    snprintf(folder, sizeof(folder), "blobs/%.2s", id);
    char *path = index_path(b->index, name);
    if (!path)
        return err_set(err, ERR_NOMEM, "an upload");
    enum err_code rc = OK;
    bool made = false;
    if (rename(b->path, path) != 0) {   /* most often: the first of its folder */
        rc = errno == ENOENT ? make_folder(b->index, folder, &made, err)
                             : err_errno(err, "placing the upload");
        if (!rc && rename(b->path, path) != 0)
            rc = err_errno(err, "placing the upload");
    }
    if (!rc && made && !b->index->opt.volatile_store)
        rc = sync_folder(b->index, "blobs", err);
    free(path);
    return rc;
}

void blob_unplace(struct blob *b, const char *id)
{
    char name[64];
    index_blob_name(id, name);
    char *path = index_path(b->index, name);
    if (path && rename(path, b->path) != 0)
        unlink(path);
    free(path);
}

enum err_code blob_sync(struct index *x, const char *ids, int n, struct err *err)
{
    bool dirty[256] = {false};
    enum err_code rc = OK;
    if (x->opt.volatile_store)
        return OK;
    for (int i = 0; i < n; i++) {
        uint8_t first;
        if (hash_unhex((struct str){ids + 33 * i, 2}, &first, 1))
            dirty[first] = true;
    }
    for (int i = 0; i < 256 && !rc; i++) {
        char name[16];
        snprintf(name, sizeof(name), "blobs/%02x", i);
        if (dirty[i])
            rc = sync_folder(x, name, err);
    }
    return rc;
}

/* Both files hold the same bytes. */
enum err_code blob_same(const struct blob *b, const char *id, bool *same, struct err *err)
{
    char name[64];
    struct map one = {0}, two = {0};
    index_blob_name(id, name);
    char *path = index_path(b->index, name);
    enum err_code rc = path ? map_open(b->path, &one, err) : err_set(err, ERR_NOMEM, "an upload");
    *same = false;
    if (!rc && map_open(path, &two, NULL) == OK) {   /* a lost original is not the same */
        *same = one.len == two.len && memcmp(one.ptr, two.ptr, one.len) == 0;
        map_close(&two);
    }
    if (!rc)
        map_close(&one);
    free(path);
    return rc;
}

/* ---- at the start */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static bool is_upload(const char *name)
{
    uint8_t id[16];
    return strlen(name) == 37 && ends_with(name, ".part") &&
           hash_unhex((struct str){name, 32}, id, 16);
}

/* file_write_atomic's neighbour: N.hnsw.XXXXXX */
static bool is_torn_snapshot(const char *name)
{
    const char *dot = strstr(name, ".hnsw.");
    return dot && dot > name && strspn(name, "0123456789") == (size_t)(dot - name) &&
           strlen(dot) == 12;
}

static void sweep(struct index *x, const char *folder, bool (*ours)(const char *name))
{
    char *path = index_path(x, folder);
    DIR *d = path ? opendir(path) : NULL;
    for (struct dirent *e; d && (e = readdir(d));)
        if (ours(e->d_name))
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    free(path);
}

/* A blob without a row: its upload was never acknowledged, or its document's
 * removal was, and the process ended before the file could go. */
static enum err_code sweep_blobs(struct index *x, struct conn *c, const char *folder,
                                 struct err *err)
{
    enum err_code rc = OK;
    char *path = index_path(x, folder);
    DIR *d = path ? opendir(path) : NULL;
    for (struct dirent *e; d && !rc && (e = readdir(d));) {
        uint8_t id[16];
        int64_t known;
        if (!hash_unhex(str_of(e->d_name), id, 16))
            continue;
        rc = sql_int(c, &known, err, "SELECT count(*) FROM documents WHERE id = ?1", "b",
                     (struct str){(char *)id, 16});
        if (!rc && !known)
            unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        closedir(d);
    free(path);
    return rc;
}

enum err_code store_folders(struct index *x, struct conn *c, bool unclean, struct err *err)
{
    char name[16];
    bool made = false;
    enum err_code rc = make_folder(x, "blobs", &made, err);
    if (!rc)
        rc = make_folder(x, "blobs/tmp", &made, err);
    if (!rc)
        rc = make_folder(x, "graphs", &made, err);
    if (!rc && made && !x->opt.volatile_store)
        rc = sync_folder(x, "blobs", err);
    if (!rc && made && !x->opt.volatile_store)
        rc = sync_folder(x, "", err);
    if (rc)
        return rc;
    sweep(x, "blobs/tmp", is_upload);
    sweep(x, "graphs", is_torn_snapshot);
    for (int i = 0; i < 256 && unclean && !rc; i++) {
        snprintf(name, sizeof(name), "blobs/%02x", i);
        rc = sweep_blobs(x, c, name, err);
    }
    return rc;
}
