#include "base/map.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err_code map_fd(int fd, const char *path, struct map *out, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_errno(err, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_IO, "%s is not a regular file", path);
    if (st.st_size == 0) {
        *out = (struct map){(const uint8_t *)"", 0};
        return OK;
    }
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return err_errno(err, "mapping %s", path);
    *out = (struct map){p, (size_t)st.st_size};
    return OK;
}

enum err_code map_open(const char *path, struct map *out, struct err *err)
{
    *out = (struct map){0};
    /* O_NONBLOCK: a pipe of that name must not hold us up. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? err_set(err, ERR_NOTFOUND, "%s: no such file", path)
                               : err_errno(err, "%s", path);
    enum err_code rc = map_fd(fd, path, out, err);
    close(fd);
    return rc;
}

void map_close(struct map *m)
{
    if (m->len)
        munmap((void *)(uintptr_t)m->ptr, m->len);
    *m = (struct map){0};
}
