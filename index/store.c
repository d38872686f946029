/* The folder of a store, and its opening and closing.
 *
 *   lock         held (an OFD lock) while the store is open; says who and where;
 *                emptied by a clean close, so that the next open knows of a crash
 *   carrel.db    SQLite in WAL mode: the truth. schema.sql; PRAGMA user_version
 *                is its version, application_id "carl"
 *   carrel.db.vN the database as it was before migrating from version N
 *   blobs/ab/…   original files, named by their document's id
 *   blobs/tmp/   files on their way in
 *   graphs/N.hnsw  snapshots: derived
 * What is not in this list is somebody else's and left alone.
 *
 * Migration: versions[i] takes the database from version i to i + 1; all of it
 * is one transaction, after a copy. A version beyond the last is refused
 * before anything is written. */
#include "index/store.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/rng.h"
#include "index/index_int.h"
#include "index/postings.h"

#define APPLICATION_ID 0x6361726c   /* "carl" */

static const char *const versions[] = {sql_schema};
#define VERSION ((int)(sizeof(versions) / sizeof(*versions)))

char *index_path(const struct index *x, const char *name)
{
    struct buf b = {0};
    buf_printf(&b, "%s/%s", x->dir, name);
    return buf_take(&b, NULL);
}

void *memdup(const void *p, size_t n)
{
    void *copy = malloc(n ? n : 1);
    if (copy)
        memcpy(copy, p, n);
    return copy;
}

/* ---- lock */

static char *dir_path(const char *dir, const char *name)
{
    struct buf b = {0};
    buf_printf(&b, "%s/%s", dir, name);
    return buf_take(&b, NULL);
}

static enum err_code write_holder(int fd, const char *url, struct err *err)
{
    char text[192];
    int n = snprintf(text, sizeof(text), "%ld %s\n", (long)getpid(), url);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return err_errno(err, "writing the lock file");
    return OK;
}

static enum err_code lock(struct index *x, bool *unclean, struct err *err)
{
    char *path = index_path(x, "lock");
    if (!path)
        return err_set(err, ERR_NOMEM, "the lock file");
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    enum err_code rc = OK;
    x->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (x->lock_fd < 0)
        rc = err_errno(err, "%s", path);
    else if (fcntl(x->lock_fd, F_OFD_SETLK, &whole) != 0)
        rc = errno == EAGAIN || errno == EACCES
                 ? err_set(err, ERR_BUSY, "%s is in use by another process", x->dir)
                 : err_errno(err, "locking %s", path);
    free(path);
    if (rc)
        return rc;
    *unclean = lseek(x->lock_fd, 0, SEEK_END) > 0;
    return write_holder(x->lock_fd, "", err);
}

enum err_code index_publish(struct index *x, const char *url, struct err *err)
{
    if (strlen(url) >= sizeof(((struct index_holder *)0)->url) || strchr(url, '\n'))
        return err_set(err, ERR_ARG, "an address of %zu bytes", strlen(url));
    return write_holder(x->lock_fd, url, err);
}

enum err_code index_holder(const char *dir, struct index_holder *out, struct err *err)
{
    char text[192] = "", *path = dir_path(dir, "lock");
    if (!path)
        return err_set(err, ERR_NOMEM, "the lock file");
    memset(out, 0, sizeof(*out));
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    free(path);
    if (fd < 0 || fcntl(fd, F_OFD_GETLK, &whole) != 0 || whole.l_type == F_UNLCK ||
        pread(fd, text, sizeof(text) - 1, 0) < 0) {
        if (fd >= 0)
            close(fd);
        return err_set(err, ERR_NOTFOUND, "nobody holds %s", dir);
    }
    close(fd);
    text[strcspn(text, "\n")] = '\0';
    char *rest = text;
    out->pid = strtol(text, &rest, 10);
    snprintf(out->url, sizeof(out->url), "%.*s", (int)sizeof(out->url) - 1,
             *rest == ' ' ? rest + 1 : rest);
    return OK;
}

/* ---- the database's version */

static enum err_code check_version(const char *path, int64_t *version, struct err *err)
{
    struct conn *c;
    int64_t app = 0, tables = 0;
    *version = 0;
    if (!file_exists(path))
        return OK;
    enum err_code rc = sql_open(path, SQL_READ, &c, err);
    if (rc)
        return rc;
    rc = sql_int(c, version, err, "PRAGMA user_version", "");
    if (!rc)
        rc = sql_int(c, &app, err, "PRAGMA application_id", "");
    if (!rc)
        rc = sql_int(c, &tables, err, "SELECT count(*) FROM sqlite_schema", "");
    sql_close(c);
    if (rc)
        return rc;
    if ((app != APPLICATION_ID || *version == 0) && tables > 0)
        return err_set(err, ERR_FORMAT, "%s is a database, but not carrel's", path);
    if (*version > VERSION)
        return err_set(err, ERR_INCOMPATIBLE, "%s has version %lld; this carrel knows up to %d",
                       path, (long long)*version, VERSION);
    return OK;
}

static enum err_code run(struct conn *c, const char *sql, struct err *err)
{
    if (sqlite3_exec(c->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return sql_fail(c->db, "preparing the store", err);
    return OK;
}

static enum err_code copy_before(struct index *x, struct conn *c, int64_t version, struct err *err)
{
    char name[48];
    snprintf(name, sizeof(name), "carrel.db.v%lld", (long long)version);
    char *path = index_path(x, name);
    if (!path)
        return err_set(err, ERR_NOMEM, "a copy of the store");
    unlink(path);   /* of a migration that did not end */
    enum err_code rc = sql_exec(c, err, "VACUUM INTO ?1", "s", path);
    free(path);
    return rc;
}

static enum err_code migrate(struct index *x, struct conn *c, int64_t version, struct err *err)
{
    char pragma[80];
    enum err_code rc = OK;
    if (version == VERSION)
        return OK;
    if (version > 0)
        rc = copy_before(x, c, version, err);
    if (!rc)
        rc = run(c, "BEGIN EXCLUSIVE", err);
    for (int64_t v = version; v < VERSION && !rc; v++)
        rc = run(c, versions[v], err);
    snprintf(pragma, sizeof(pragma), "PRAGMA application_id=%d; PRAGMA user_version=%d;",
             APPLICATION_ID, VERSION);
    if (!rc)
        rc = run(c, pragma, err);
    if (!rc)
        rc = run(c, "COMMIT", err);
    if (rc && !sqlite3_get_autocommit(c->db))
        (void)run(c, "ROLLBACK", NULL);
    return rc;
}

/* ---- opening, step by step */

static enum err_code read_setting(struct conn *c, const char *name, int64_t fresh, int64_t *out,
                                  struct err *err)
{
    struct err none = {0};
    enum err_code rc = sql_int(c, out, &none,
                               "SELECT CAST(value AS INTEGER) FROM settings WHERE name = ?1", "s",
                               name);
    if (rc != ERR_NOTFOUND)
        return rc ? err_set(err, rc, "%s", none.msg) : OK;
    *out = fresh;
    return sql_exec(c, err, "INSERT INTO settings VALUES (?1, CAST(?2 AS TEXT))", "si", name,
                    fresh);
}

/* Jobs that ran when the process ended go back in the queue, but not for ever. */
static enum err_code recover_jobs(struct conn *c, struct err *err)
{
    static const char *const why = "its reader ended without a word, several times";
    int64_t now = clock_now_ms();
    enum err_code rc = sql_exec(
        c, err, "UPDATE documents SET state = ?1, error = ?2, updated_ms = ?3 WHERE seq IN "
                "(SELECT document FROM jobs WHERE state = ?4 AND attempts >= ?5)",
        "isiii", (int64_t)DOC_FAILED, why, now, (int64_t)JOB_RUNNING, (int64_t)JOB_ATTEMPTS_MAX);
    if (!rc)
        rc = sql_exec(c, err, "UPDATE jobs SET state = ?1, error = ?2, finished_ms = ?3 "
                              "WHERE state = ?4 AND attempts >= ?5",
                      "isiii", (int64_t)JOB_FAILED, why, now, (int64_t)JOB_RUNNING,
                      (int64_t)JOB_ATTEMPTS_MAX);
    if (!rc)
        rc = sql_exec(c, err, "UPDATE documents SET state = ?1 WHERE seq IN "
                              "(SELECT document FROM jobs WHERE state = ?2)",
                      "ii", (int64_t)DOC_QUEUED, (int64_t)JOB_RUNNING);
    if (!rc)
        rc = sql_exec(c, err, "UPDATE jobs SET state = ?1, stage = '' WHERE state = ?2", "ii",
                      (int64_t)JOB_QUEUED, (int64_t)JOB_RUNNING);
    return rc;
}

/* After a crash: SQLite's own recovery has run by now; this reads every page. */
static enum err_code quick_check(struct conn *c, struct err *err)
{
    enum err_code rc = OK;
    sqlite3_stmt *st = sql_get(c, err, "PRAGMA quick_check(1)", "");
    if (!st)
        return ERR_IO;
    if (sql_next(st, &rc, err)) {
        struct str rest = sql_blob(st, 0), said = {NULL, 0};
        while (str_split(&rest, '\n', &said))   /* of several lines the last says what */
            ;
        if (!str_eqz(said, "ok"))
            rc = err_set(err, ERR_FORMAT, "carrel.db is damaged: %.*s", STR_ARG(said));
        sql_done(st);
    }
    return rc;
}

static enum err_code prepare(struct index *x, struct conn *c, bool unclean, struct err *err)
{
    int64_t version, store_id, merge, keys;
    uint64_t secret;
    char *path = index_path(x, "carrel.db");
    enum err_code rc = path ? check_version(path, &version, err) : ERR_NOMEM;
    free(path);
    rng_secret(&secret, sizeof(secret));
    if (!rc)
        rc = migrate(x, c, version, err);
    if (!rc && unclean && version > 0)
        rc = quick_check(c, err);
    if (!rc)
        rc = run(c, "BEGIN IMMEDIATE", err);
    if (!rc)
        rc = read_setting(c, "store_id", (int64_t)(secret >> 1), &store_id, err);
    if (!rc)
        rc = recover_jobs(c, err);
    if (!rc)
        rc = store_words(c, err);
    if (!rc)
        rc = sql_int(c, &keys, err, "SELECT count(*) FROM keys", "");
    if (!rc)
        rc = sql_int(c, &merge, err,
                     "SELECT count(*) FROM settings WHERE name = 'merge_words'", "");
    if (!rc)
        rc = run(c, "COMMIT", err);
    if (rc)
        return rc;
    x->store_id = (uint64_t)store_id;
    x->n_keys = (int)keys;
    x->merge_words = merge > 0;
    return OK;
}

enum err_code store_open_shelf(struct index *x, struct conn *c, int64_t id, const char *name,
                               int dim, struct err *err)
{
    struct shelf *s;
    enum err_code rc = shelf_new(x, id, name, dim, &s, err);
    if (rc)
        return rc;
    rc = graph_open(x, s, c, err);
    if (rc)
        shelf_give(s);
    else
        shelf_put_in(x, s);
    return rc;
}

static enum err_code open_shelves(struct index *x, struct err *err)
{
    struct conn *c = reader_take(x, err);
    if (!c)
        return err && err->code ? err->code : ERR_IO;
    enum err_code rc = OK;
    sqlite3_stmt *st = sql_get(c, err, "SELECT id, name, dim FROM collections ORDER BY id", "");
    if (!st)
        rc = ERR_IO;
    while (st && !rc && sql_next(st, &rc, err)) {
        char name[64];
        sql_copy(st, 1, name, sizeof(name));
        rc = store_open_shelf(x, c, sqlite3_column_int64(st, 0), name, sqlite3_column_int(st, 2), err);
    }
    sql_done(st);
    reader_give(x, c);
    return rc;
}

static void init(struct index *x, const struct index_options *opt)
{
    x->opt = *opt;
    x->lock_fd = -1;
    pthread_mutex_init(&x->pool_lock, NULL);
    pthread_rwlock_init(&x->shelves_lock, NULL);
    for (int i = 0; i < STRIPES; i++)
        pthread_mutex_init(&x->stripes[i], NULL);
    pthread_mutex_init(&x->events_lock, NULL);
    pthread_cond_init(&x->events, NULL);
    pthread_mutex_init(&x->running_lock, NULL);
    pthread_mutex_init(&x->usage_lock, NULL);
    pthread_mutex_init(&x->graph_lock, NULL);
    pthread_cond_init(&x->graph_cond, NULL);
    pthread_cond_init(&x->graph_moved, NULL);
}

static enum err_code open_database(struct index *x, struct conn **out, struct err *err)
{
    int64_t version;
    char *path = index_path(x, "carrel.db");
    if (!path)
        return err_set(err, ERR_NOMEM, "the store");
    enum err_code rc = check_version(path, &version, err);
    if (!rc && x->opt.must_exist && version == 0)
        rc = err_set(err, ERR_NOTFOUND, "no store in %s", x->dir);
    if (!rc)
        rc = sql_open(path, x->opt.volatile_store ? SQL_SCRATCH : SQL_WRITE, out, err);
    free(path);
    return rc;
}

static enum err_code open_all(struct index *x, struct err *err)
{
    bool unclean = false;
    struct conn *c = NULL;
    enum err_code rc = x->opt.must_exist ? OK : file_make_dirs(x->dir, err);
    if (!rc && !file_exists(x->dir))
        rc = err_set(err, ERR_NOTFOUND, "no store in %s", x->dir);
    if (!rc && x->opt.must_exist) {
        char *db = index_path(x, "carrel.db");
        if (!db || (!file_exists(db) && errno != EACCES))   /* the lock will say so */
            rc = err_set(err, ERR_NOTFOUND, "no store in %s", x->dir);
        free(db);
    }
    if (!rc)
        rc = lock(x, &unclean, err);
    if (!rc)
        rc = open_database(x, &c, err);
    if (!rc)
        rc = prepare(x, c, unclean, err);
    if (!rc)
        rc = store_folders(x, c, unclean, err);
    if (rc) {
        sql_close(c);
        return rc;
    }
    rc = writer_start(&x->writer, c, err);
    if (!rc)
        rc = open_shelves(x, err);
    if (!rc)
        rc = graph_start(x, err);
    return rc;
}

enum err_code index_open(const struct index_options *opt, struct index **out, struct err *err)
{
    double begin = clock_ms();
    struct err local = {0};
    *out = NULL;
    struct index *x = calloc(1, sizeof(*x));
    if (!x)
        return err_set(err, ERR_NOMEM, "a store");
    init(x, opt);
    x->dir = str_dup(str_of(opt->dir));
    enum err_code rc = x->dir ? open_all(x, &local) : err_set(&local, ERR_NOMEM, "a store");
    if (rc) {
        index_close(x);
        return err_set(err, rc, "%s", local.msg);
    }
    x->open_ms = clock_ms() - begin;
    log_info("index.open", "ms=%.1f collections=%d rebuilt=%d", x->open_ms, x->n_shelves,
             x->rebuilt);
    *out = x;
    return OK;
}

/* ---- closing */

static void deinit(struct index *x)
{
    pthread_mutex_destroy(&x->pool_lock);
    pthread_rwlock_destroy(&x->shelves_lock);
    for (int i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&x->stripes[i]);
    pthread_mutex_destroy(&x->events_lock);
    pthread_cond_destroy(&x->events);
    pthread_mutex_destroy(&x->running_lock);
    pthread_mutex_destroy(&x->usage_lock);
    pthread_mutex_destroy(&x->graph_lock);
    pthread_cond_destroy(&x->graph_cond);
    pthread_cond_destroy(&x->graph_moved);
    free(x->shelves);
    free(x->running);
    free(x->usage);
    free(x->dir);
    free(x);
}

void index_close(struct index *x)
{
    if (!x)
        return;
    bool whole = x->graph_started;
    graph_stop(x);
    for (struct conn *c = x->pool, *next; c; c = next) {
        next = c->next;
        sql_close(c);
    }
    writer_stop(&x->writer);   /* last of all connections: it folds the log into the file */
    for (int i = 0; i < x->n_shelves; i++)
        shelf_give(x->shelves[i]);
    if (whole && ftruncate(x->lock_fd, 0) != 0)
        log_warn("index.close", "lock=not-emptied");
    if (x->lock_fd >= 0)
        close(x->lock_fd);
    deinit(x);
}

void index_event(struct index *x)
{
    pthread_mutex_lock(&x->events_lock);
    x->n_events++;
    pthread_cond_broadcast(&x->events);
    pthread_mutex_unlock(&x->events_lock);
}
