#include "base/map.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files cut short while they are mapped ----
 *
 * The handler reads this table, so a slot's end is written before its begin and
 * taken away after it. A map that finds no slot is unguarded; that many are never
 * open at once. */
enum { GUARDS = 128 };

static struct guard {
    atomic_uintptr_t begin, end;   /* pages of the file; begin 0: free */
    atomic_bool torn;
} guards[GUARDS];
static pthread_mutex_t guards_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before;    /* whoever had the signal */

size_t map_page(void)
{
    static atomic_size_t bytes;
    if (!atomic_load(&bytes))
        atomic_store(&bytes, (size_t)sysconf(_SC_PAGESIZE));
    return atomic_load(&bytes);
}

/* Zeros in place of all from the page that is gone: mmap is a bare system call here. */
static bool patch(struct guard *g, uintptr_t at)
{
    uintptr_t page = at & ~(uintptr_t)(map_page() - 1);
    atomic_store(&g->torn, true);
    return mmap((void *)page, atomic_load(&g->end) - page, PROT_READ,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
}

static void on_bus(int sig, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    uintptr_t at = (uintptr_t)info->si_addr;
    for (int i = 0; i < GUARDS; i++) {
        uintptr_t begin = atomic_load(&guards[i].begin);
        if (begin && at >= begin && at < atomic_load(&guards[i].end) && patch(&guards[i], at)) {
            errno = saved;
            return;
        }
    }
    sigaction(sig, &before, NULL);   /* the same instruction faults again, for them */
}

/* At every map, since a test's frame may have taken the signal meanwhile. */
static void listen_for_bus(void)
{
    struct sigaction now, ours = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (sigaction(SIGBUS, NULL, &now) != 0 ||
        ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_bus))
        return;
    before = now;
    sigaction(SIGBUS, &ours, NULL);
}

static void guard(const uint8_t *ptr, size_t len)
{
    size_t page = map_page();
    pthread_mutex_lock(&guards_lock);
    listen_for_bus();
    for (int i = 0; i < GUARDS; i++) {
        if (atomic_load(&guards[i].begin))
            continue;
        atomic_store(&guards[i].torn, false);
        atomic_store(&guards[i].end, (uintptr_t)ptr + (len + page - 1) / page * page);
        atomic_store(&guards[i].begin, (uintptr_t)ptr);
        break;
    }
    pthread_mutex_unlock(&guards_lock);
}

/* Of the map, or NULL. */
static struct guard *guard_of(const struct map *m)
{
    uintptr_t at = (uintptr_t)m->ptr;
    for (int i = 0; m->len && i < GUARDS; i++) {
        uintptr_t begin = atomic_load(&guards[i].begin);
        if (begin && begin >= at && begin - at < m->len)
            return &guards[i];
    }
    return NULL;
}

bool map_torn(const struct map *m)
{
    struct guard *g = guard_of(m);
    return g && atomic_load(&g->torn);
}

/* ---- mapping */

static enum err_code open_file(const char *path, int *fd, size_t *len, struct err *err)
{
    struct stat st;
    /* O_NONBLOCK: a pipe of that name must not hold us up. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return errno == ENOENT ? err_set(err, ERR_NOTFOUND, "%s: no such file", path)
                               : err_errno(err, "%s", path);
    enum err_code rc = OK;
    if (fstat(*fd, &st) != 0)
        rc = err_errno(err, "%s", path);
    else if (!S_ISREG(st.st_mode))
        rc = err_set(err, ERR_IO, "%s is not a regular file", path);
    if (rc)
        close(*fd);
    else
        *len = (size_t)st.st_size;
    return rc;
}

enum err_code map_begin(const char *path, struct map *out, int *fd, struct err *err)
{
    size_t len = 0;
    *out = (struct map){0};
    enum err_code rc = open_file(path, fd, &len, err);
    if (rc)
        return rc;
    if (len == 0) {
        *out = (struct map){(const uint8_t *)"", 0};
        return OK;
    }
    void *p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        rc = err_errno(err, "mapping %s", path);
        close(*fd);
        return rc;
    }
    *out = (struct map){p, len};
    return OK;
}

enum err_code map_copy(const struct map *m, int fd, size_t from, size_t to, struct err *err)
{
    uint8_t *p = (uint8_t *)(uintptr_t)m->ptr;
    if (to > from && mprotect(p + from, to - from, PROT_READ | PROT_WRITE) != 0)
        return err_set(err, ERR_NOMEM, "%zu bytes of a file", to - from);
    while (from < to) {
        ssize_t n = pread(fd, p + from, to - from, (off_t)from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, "reading");
        if (n == 0)
            return err_set(err, ERR_IO, "the file was cut short to %zu bytes while it was read",
                           from);
        from += (size_t)n;
    }
    return OK;
}

enum err_code map_rest(struct map *m, int fd, size_t from, struct err *err)
{
    uint8_t *p = (uint8_t *)(uintptr_t)m->ptr;
    size_t copied = from < m->len ? from : m->len;
    if (copied && mprotect(p, copied, PROT_READ) != 0)
        return err_errno(err, "protecting");
    if (from >= m->len)
        return OK;
    if (mmap(p + from, m->len - from, PROT_READ, MAP_SHARED | MAP_FIXED, fd, (off_t)from) ==
        MAP_FAILED)
        return err_errno(err, "mapping");
    guard(p + from, m->len - from);
    return OK;
}

enum err_code map_open(const char *path, struct map *out, struct err *err)
{
    int fd;
    enum err_code rc = map_begin(path, out, &fd, err);
    if (rc)
        return rc;
    rc = map_rest(out, fd, 0, err);
    close(fd);
    if (rc)
        map_close(out);
    return rc;
}

void map_close(struct map *m)
{
    struct guard *g = guard_of(m);
    if (g) {
        pthread_mutex_lock(&guards_lock);
        atomic_store(&g->begin, 0);
        pthread_mutex_unlock(&guards_lock);
    }
    if (m->len)
        munmap((void *)(uintptr_t)m->ptr, m->len);
    *m = (struct map){0};
}
