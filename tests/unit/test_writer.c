/* The one writer, and what it does when memory or space runs out. */
#include <pthread.h>
#include <sched.h>
#include <sqlite3.h>
#include <unistd.h>
#include "index/index_int.h"
#include "tests/stores.h"

struct note { const char *name; bool fail; int after; };

static enum err_code write_note(struct conn *c, void *arg, struct err *err)
{
    struct note *n = arg;
    enum err_code rc = sql_exec(c, err, "INSERT INTO settings VALUES (?1, 'x')", "s", n->name);
    return rc ? rc : n->fail ? err_set(err, ERR_LIMIT, "as asked") : OK;
}

static void after_note(void *arg)
{
    ((struct note *)arg)->after++;
}

static bool noted(struct index *x, const char *name)
{
    int64_t n = 0;
    struct conn *c = reader_take(x, NULL);
    CHECK_ERR(sql_int(c, &n, NULL, "SELECT count(*) FROM settings WHERE name = ?1", "s", name), OK);
    reader_give(x, c);
    return n > 0;
}

TEST(a_change_that_fails_leaves_nothing_and_its_sentence)
{
    struct index *x = store_new();
    struct err err = {0};
    struct note good = {.name = "good"}, bad = {.name = "bad", .fail = true};
    CHECK_OK(writer_run(&x->writer, write_note, after_note, &good, &err), &err);
    CHECK_ERR(writer_run(&x->writer, write_note, after_note, &bad, &err), ERR_LIMIT);
    CHECK_STR(str_of(err.msg), "as asked");
    CHECK(noted(x, "good") && !noted(x, "bad"));
    CHECK(good.after == 1 && bad.after == 0);
    index_close(x);
}

/* Holds the writer up until it is told to go on. */
struct blocker { pthread_mutex_t lock; pthread_cond_t go; bool free; };

static enum err_code block(struct conn *c, void *arg, struct err *err)
{
    struct blocker *b = arg;
    (void)c;
    (void)err;
    pthread_mutex_lock(&b->lock);
    while (!b->free)
        pthread_cond_wait(&b->go, &b->lock);
    pthread_mutex_unlock(&b->lock);
    return OK;
}

struct member { struct index *x; struct note note; struct blocker *b; enum err_code rc; char name[16]; };

static void *join_group(void *arg)
{
    struct member *m = arg;
    m->rc = m->b ? writer_run(&m->x->writer, block, NULL, m->b, NULL)
                 : writer_run(&m->x->writer, write_note, after_note, &m->note, NULL);
    return NULL;
}

/* How many changes wait for the writer to take them. */
static int queued(struct index *x)
{
    int n = 0;
    pthread_mutex_lock(&x->writer.lock);
    for (struct task *t = x->writer.first; t; t = t->next)
        n++;
    pthread_mutex_unlock(&x->writer.lock);
    return n;
}

static int64_t taken(struct index *x)
{
    pthread_mutex_lock(&x->writer.lock);
    int64_t n = x->writer.tasks;
    pthread_mutex_unlock(&x->writer.lock);
    return n;
}

TEST(changes_that_queue_up_share_a_commit_and_one_failing_spoils_no_other)
{
    enum { N = 40 };
    struct index *x = store_new();
    struct member m[N + 1];
    pthread_t t[N + 1];
    struct blocker b = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    int64_t commits = x->writer.commits, tasks = taken(x);
    m[N] = (struct member){.x = x, .b = &b};
    CHECK_INT(pthread_create(&t[N], NULL, join_group, &m[N]), 0);
    while (taken(x) == tasks)
        sched_yield();
    for (int i = 0; i < N; i++) {
        m[i] = (struct member){.x = x, .note = {.fail = i % 4 == 1}};
        snprintf(m[i].name, sizeof(m[i].name), "n%d", i);
        m[i].note.name = m[i].name;
        CHECK_INT(pthread_create(&t[i], NULL, join_group, &m[i]), 0);
    }
    while (queued(x) < N)
        sched_yield();
    pthread_mutex_lock(&b.lock);
    b.free = true;
    pthread_cond_signal(&b.go);
    pthread_mutex_unlock(&b.lock);
    for (int i = 0; i <= N; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < N; i++) {
        CHECK_INT(m[i].rc, i % 4 == 1 ? ERR_LIMIT : OK);
        CHECK_INT(m[i].note.after, i % 4 != 1);
        CHECK(noted(x, m[i].name) == (i % 4 != 1));
    }
    CHECK_INT(x->writer.commits - commits, 2);   /* the one held up, and all the rest */
    index_close(x);
}

/* ---- no space */

struct room { int64_t pages; };

static enum err_code set_room(struct conn *c, void *arg, struct err *err)
{
    char sql[64];
    int64_t now = 0, more = ((struct room *)arg)->pages;
    enum err_code rc = sql_int(c, &now, err, "PRAGMA page_count", "");
    snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %lld", (long long)(now + more));
    return rc ? rc : sql_int(c, &now, err, sql, "");
}

static void leave_room(struct index *x, int64_t pages)
{
    struct room r = {pages};
    struct err err = {0};
    CHECK_OK(writer_run(&x->writer, set_room, NULL, &r, &err), &err);
}

TEST(a_full_disk_refuses_documents_and_keeps_serving_the_others)
{
    struct index *x = store_new();
    struct err err = {0};
    char name[32], text[400];
    store_document(x, "before", "before the end\nof space");
    leave_room(x, 30);
    enum err_code rc = OK;
    int n = 0;
    for (; n < 1000 && !rc; n++) {
        snprintf(name, sizeof(name), "d%d", n);
        snprintf(text, sizeof(text), "unique%d line %0300d\nsecond%d", n, n, n);
        struct new_document d = {"c", name, "", "", NULL, store_blob(x, str_of(text))};
        struct added added;
        rc = index_add(x, &d, 1, &added, &err);
        if (rc)
            blob_drop(d.blob);
        else
            rc = store_try_put(x, added.id, text, &err);
    }
    CHECK_INT(rc, ERR_LIMIT);
    CHECK(n > 1);
    CHECK_INT(store_count(x, "space", NULL), 1);
    CHECK(store_nearest(x, "of space") != 0);
    leave_room(x, 100000);   /* without being opened again */
    store_document(x, "after", "after it");
    CHECK_INT(store_count(x, "after", NULL), 1);
    store_check(x);
    index_close(x);
    x = store_open(scratch_dir());
    store_check(x);
    index_close(x);
}

/* ---- no memory: SQLite's n-th allocation fails */

static sqlite3_mem_methods usual;
static _Atomic long countdown;   /* at 1 the next allocation fails; <= 0: none does */
static _Atomic bool for_ever;

static bool fails(void)
{
    if (countdown <= 0)
        return false;
    if (countdown == 1 && for_ever)
        return true;
    return countdown-- == 1;
}

static void *failing_malloc(int n)
{
    return fails() ? NULL : usual.xMalloc(n);
}

static void *failing_realloc(void *p, int n)
{
    return fails() ? NULL : usual.xRealloc(p, n);
}

static void install_failing_memory(void)
{
    sqlite3_mem_methods mine;
    sqlite3_shutdown();
    CHECK_INT(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &usual), SQLITE_OK);
    mine = usual;
    mine.xMalloc = failing_malloc;
    mine.xRealloc = failing_realloc;
    CHECK_INT(sqlite3_config(SQLITE_CONFIG_MALLOC, &mine), SQLITE_OK);
}

TEST(memory_that_runs_out_at_any_point_leaves_the_store_whole)
{
    static const char *const text = "first line of words\nsecond line of others";
    long step = test_slow() ? 1 : 23;
    install_failing_memory();
    struct index *x = store_new();
    struct err err = {0};
    int failures = 0;
    for (int ever = 0; ever < 2; ever++)
        for (long n = 1, done = 0; !done; n += step) {
            struct near_hit hits[4];
            int found;
            struct added d = store_add(x, "a", n % 2 ? text : "other bytes", NULL);
            countdown = n;
            for_ever = ever;
            enum err_code rc = store_try_put(x, d.id, text, &err);
            if (!rc)
                rc = index_words(x, "c", STR("words"), 4, NULL, hits, &found, &err);
            if (!rc)
                rc = index_remove(x, d.id, NULL, &err);
            done = countdown > 1 || (countdown == 1 && !rc);
            countdown = 0;
            failures += rc != OK;
            CHECK_MSG(done || rc || n > 0, "allocation %ld", n);
            if (index_remove(x, d.id, NULL, &err))
                CHECK_INT(store_count(x, "words", NULL), 0);
        }
    CHECK_MSG(failures > 3, "%d failures", failures);
    store_check(x);
    index_close(x);
    x = store_open(scratch_dir());
    store_check(x);
    index_close(x);
}
