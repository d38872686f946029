#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/file.h"
#include "index/index_int.h"
#include "tests/stores.h"

static const char *in_store(const char *name)
{
    static char path[2][500];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof(path[0]), "%s/%s", scratch_dir(), name);
    return path[turn];
}

static enum err_code try_open(const char *dir, struct err *err)
{
    struct index *x;
    struct index_options opt = {.dir = dir};
    enum err_code rc = index_open(&opt, &x, err);
    if (!rc)
        index_close(x);
    return rc;
}

static void run_sql(const char *sql)
{
    sqlite3 *db;
    char *msg = NULL;
    CHECK_INT(sqlite3_open(in_store("carrel.db"), &db), SQLITE_OK);
    CHECK_MSG(sqlite3_exec(db, sql, NULL, NULL, &msg) == SQLITE_OK, "%s: %s", sql, msg);
    sqlite3_close(db);
}

TEST(a_store_is_made_where_there_is_none_unless_it_must_exist)
{
    struct index *x;
    struct err err = {0};
    struct index_options opt = {.dir = in_store("a/b"), .must_exist = true};
    CHECK_ERR(index_open(&opt, &x, &err), ERR_NOTFOUND);
    CHECK(!file_exists(in_store("a")));
    opt.must_exist = false;
    CHECK_OK(index_open(&opt, &x, &err), &err);
    index_close(x);
    opt.must_exist = true;
    CHECK_OK(index_open(&opt, &x, &err), &err);
    index_close(x);
    struct stat st;
    CHECK_INT(stat(opt.dir, &st), 0);
    CHECK_INT(st.st_mode & 077, 0);
}

TEST(a_folder_without_a_store_is_not_one)
{
    struct index *x;
    struct index_options opt = {.dir = scratch_dir(), .must_exist = true};
    CHECK_ERR(index_open(&opt, &x, NULL), ERR_NOTFOUND);
    CHECK(!file_exists(in_store("lock")) && !file_exists(in_store("carrel.db")));
}

TEST(a_store_has_one_owner_and_others_learn_who)
{
    struct index_holder who;
    struct err err = {0};
    CHECK_ERR(index_holder(scratch_dir(), &who, NULL), ERR_NOTFOUND);
    struct index *x = store_new();
    CHECK_OK(index_publish(x, "http://127.0.0.1:7171", &err), &err);
    pid_t child = fork();
    if (child == 0) {   /* another process: an OFD lock would not bar another thread's file either */
        bool right = try_open(scratch_dir(), NULL) == ERR_BUSY &&
                     index_holder(scratch_dir(), &who, NULL) == OK && who.pid == getppid() &&
                     strcmp(who.url, "http://127.0.0.1:7171") == 0;
        _exit(!right);
    }
    int status;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    CHECK_ERR(try_open(scratch_dir(), NULL), ERR_BUSY);
    index_close(x);
    CHECK_ERR(index_holder(scratch_dir(), &who, NULL), ERR_NOTFOUND);
    CHECK_ERR(try_open(scratch_dir(), &err), OK);
}

TEST(a_store_of_a_newer_version_is_refused_and_not_touched)
{
    struct err err = {0};
    struct stat before, after;
    index_close(store_new());
    run_sql("PRAGMA user_version = 99");
    CHECK_INT(stat(in_store("carrel.db"), &before), 0);
    CHECK_ERR(try_open(scratch_dir(), &err), ERR_INCOMPATIBLE);
    CHECK(strstr(err.msg, "99"));
    CHECK_INT(stat(in_store("carrel.db"), &after), 0);
    CHECK(before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
          before.st_mtim.tv_nsec == after.st_mtim.tv_nsec && before.st_size == after.st_size);
}

TEST(a_foreign_database_and_a_file_that_is_none_are_refused)
{
    struct err err = {0};
    run_sql("CREATE TABLE theirs (a)");
    CHECK_ERR(try_open(scratch_dir(), &err), ERR_FORMAT);
    CHECK_ERR(file_write_atomic(in_store("carrel.db"), STR("this is no database, this is a text"),
                                NULL), OK);
    CHECK_ERR(try_open(scratch_dir(), &err), ERR_FORMAT);
}

TEST(what_was_acknowledged_is_there_after_closing_and_opening)
{
    struct index *x = store_new();
    store_document(x, "a", "alpha\nbeta\ngamma");
    int64_t chunk = store_nearest(x, "beta");
    index_close(x);
    x = store_open(scratch_dir());
    CHECK_INT(store_nearest(x, "beta"), chunk);
    CHECK_INT(store_count(x, "gamma", NULL), 1);
    store_check(x);
    index_close(x);
}

static void fill(struct index *x, int n)
{
    char name[16], text[200];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "d%d", i);
        snprintf(text, sizeof(text), "first line of %d\nsecond line of %d\nthird of %d", i, i, i);
        store_document(x, name, text);
    }
}

static void check_filled(struct index *x, int n)
{
    char line[64];
    for (int i = 0; i < n; i++) {
        snprintf(line, sizeof(line), "second line of %d", i);
        CHECK_MSG(store_nearest(x, line) != 0, "\"%s\" is not found", line);
    }
    store_check(x);
}

TEST(a_lost_or_damaged_snapshot_is_made_again)
{
    struct index *x = store_new();
    struct index_counts n;
    struct err err = {0};
    fill(x, 30);
    index_close(x);
    for (int damage = 0; damage < 4; damage++) {
        struct buf b = {0};
        CHECK_OK(file_read(in_store("graphs/1.hnsw"), 1 << 24, &b, &err), &err);
        if (damage == 0)
            unlink(in_store("graphs/1.hnsw"));
        else if (damage == 1)
            b.ptr[b.len / 2] ^= 1;
        else if (damage == 2)
            b.len /= 2;
        else
            b.len = 0;
        if (damage)
            CHECK_OK(file_write_atomic(in_store("graphs/1.hnsw"), buf_view(&b), &err), &err);
        buf_free(&b);
        x = store_open(scratch_dir());
        CHECK_OK(index_counts(x, &n, &err), &err);
        CHECK_MSG(n.graph_rebuilt == (damage > 0), "damage %d", damage);
        check_filled(x, 30);
        index_close(x);
    }
    x = store_open(scratch_dir());
    CHECK_OK(index_counts(x, &n, &err), &err);
    CHECK(!n.graph_rebuilt);
    CHECK_INT(n.graph_nodes, 90);
    index_close(x);
}

TEST(a_snapshot_of_another_store_is_not_believed)
{
    struct index *x = store_new();
    struct index_counts n;
    struct err err = {0};
    struct buf b = {0};
    fill(x, 5);
    index_close(x);
    CHECK_OK(file_read(in_store("graphs/1.hnsw"), 1 << 24, &b, &err), &err);
    run_sql("UPDATE settings SET value = '12345' WHERE name = 'store_id'");
    x = store_open(scratch_dir());
    CHECK_OK(index_counts(x, &n, &err), &err);
    CHECK(n.graph_rebuilt);
    check_filled(x, 5);
    index_close(x);
    buf_free(&b);
}

TEST(an_old_snapshot_catches_up_with_the_database)
{
    struct index *x = store_new();
    struct err err = {0};
    struct buf old = {0};
    struct document_filter f = {.state = -1, .name = "d3", .limit = 1};
    struct document *d;
    struct arena a = {0};
    int n;
    fill(x, 20);
    index_close(x);
    CHECK_OK(file_read(in_store("graphs/1.hnsw"), 1 << 24, &old, &err), &err);
    x = store_open(scratch_dir());
    CHECK_OK(index_documents(x, &f, &a, &d, &n, &f.cursor, &err), &err);
    CHECK_OK(index_remove(x, d[0].id, NULL, &err), &err);
    store_document(x, "later", "a later line\nand another");
    index_close(x);
    CHECK_OK(file_write_atomic(in_store("graphs/1.hnsw"), buf_view(&old), &err), &err);
    x = store_open(scratch_dir());
    CHECK_INT(store_nearest(x, "second line of 3"), 0);
    CHECK(store_nearest(x, "a later line") && store_nearest(x, "second line of 4"));
    store_check(x);
    index_close(x);
    arena_deinit(&a);
    buf_free(&old);
}

TEST(a_rebuilt_graph_is_the_same_graph)
{
    struct index *x = store_new();
    struct err err = {0};
    struct buf one = {0}, two = {0};
    fill(x, 40);
    index_close(x);
    CHECK_OK(file_read(in_store("graphs/1.hnsw"), 1 << 24, &one, &err), &err);
    x = store_open(scratch_dir());
    CHECK_OK(index_rebuild(x, &err), &err);
    check_filled(x, 40);
    index_close(x);
    CHECK_OK(file_read(in_store("graphs/1.hnsw"), 1 << 24, &two, &err), &err);
    CHECK_INT(one.len, two.len);
    CHECK(memcmp(one.ptr, two.ptr, one.len) == 0);
    buf_free(&one);
    buf_free(&two);
}

static bool bytes_remain(const char *file, const char *bytes)
{
    struct buf b = {0};
    struct err err = {0};
    if (file_exists(in_store(file)))
        CHECK_OK(file_read(in_store(file), 1 << 26, &b, &err), &err);
    bool found = b.len && str_find(buf_view(&b), str_of(bytes), 0) != SIZE_MAX;
    buf_free(&b);
    return found;
}

TEST(no_byte_of_a_removed_document_stays_in_the_database)
{
    struct index *x = store_new();
    struct err err = {0};
    fill(x, 100);
    struct added d = store_document(x, "secret", "the xyzzyplugh lies under the oak");
    fill(x, 0);
    CHECK(bytes_remain("carrel.db-wal", "xyzzyplugh"));
    CHECK_OK(index_remove(x, d.id, NULL, &err), &err);
    CHECK_OK(graph_purge(x, &err), &err);
    index_close(x);
    CHECK(!bytes_remain("carrel.db", "xyzzyplugh") && !bytes_remain("carrel.db", "zzyplugh"));
    CHECK(!bytes_remain("carrel.db-wal", "xyzzyplugh"));
    x = store_open(scratch_dir());
    check_filled(x, 100);
    index_close(x);
}

TEST(words_are_indexed_anew_when_the_tokenizer_has_changed)
{
    struct index *x = store_new();
    fill(x, 3);
    index_close(x);
    run_sql("UPDATE settings SET value = '1' WHERE name = 'words_version'");
    x = store_open(scratch_dir());
    CHECK_INT(store_count(x, "lines", NULL), 6);
    store_check(x);
    index_close(x);
}

TEST(check_finds_what_was_broken_behind_its_back)
{
    static const char *const damage[] = {
        "DELETE FROM vectors WHERE chunk = 2", "UPDATE documents SET text_bytes = 3 WHERE seq = 1",
        "UPDATE texts SET body = CAST(x'ff' || substr(body, 2) AS BLOB) WHERE document = 1",
        "UPDATE documents SET chunks = 9 WHERE seq = 2", "DELETE FROM layouts WHERE document = 2",
        "UPDATE chunks SET words = 77 WHERE id = 1", "DELETE FROM jobs WHERE document = 4",
        "UPDATE vectors SET body = zeroblob(64) WHERE chunk = 3",
        "UPDATE documents SET size_bytes = 1 WHERE seq = 1",
    };
    for (size_t i = 0; i < sizeof(damage) / sizeof(*damage); i++) {
        int findings = 0;
        struct err err = {0};
        struct index *x = store_new();
        fill(x, 3);
        store_add(x, "waiting", "w", NULL);
        store_check(x);
        run_sql(damage[i]);
        CHECK_OK(index_check(x, true, NULL, NULL, &findings, &err), &err);
        CHECK_MSG(findings > 0, "%s: not found", damage[i]);
        index_close(x);
        char command[600];
        snprintf(command, sizeof(command), "rm -rf %s/*", scratch_dir());
        CHECK_INT(system(command), 0);
    }
}

TEST(check_finds_a_lost_or_changed_original)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct err err = {0};
    char *path;
    int findings;
    struct added d = store_document(x, "a", "text");
    CHECK_OK(index_blob_path(x, d.id, &a, &path, &err), &err);
    CHECK_ERR(file_write_atomic(path, STR("tExt"), NULL), OK);
    CHECK_OK(index_check(x, true, NULL, NULL, &findings, &err), &err);
    CHECK_INT(findings, 1);
    unlink(path);
    CHECK_OK(index_check(x, false, NULL, NULL, &findings, &err), &err);
    CHECK_INT(findings, 1);
    arena_deinit(&a);
    index_close(x);
}

/* ---- many at once */

struct crowd { struct index *x; int id; };

static void *live(void *arg)
{
    struct crowd *c = arg;
    char name[32], text[100];
    for (int i = 0; i < 25; i++) {
        snprintf(name, sizeof(name), "t%d-%d", c->id, i % 7);
        snprintf(text, sizeof(text), "thread%d round%d\ncommon line %d", c->id, i, i);
        struct added d = store_add(c->x, name, text, NULL);
        store_put(c->x, d.id, text);
        CHECK(store_nearest(c->x, "nowhere") == 0);
        CHECK_INT(store_count(c->x, text + strlen(text) - 1, NULL) >= 0, 1);
        if (i % 3 == 0)
            CHECK_ERR(index_remove(c->x, d.id, NULL, NULL), OK);
    }
    return NULL;
}

TEST(many_threads_write_and_search_at_once_and_all_stays_whole)
{
    enum { THREADS = 6 };
    struct index *x = store_new();
    pthread_t t[THREADS];
    struct crowd c[THREADS];
    for (int i = 0; i < THREADS; i++) {
        c[i] = (struct crowd){x, i};
        CHECK_INT(pthread_create(&t[i], NULL, live, &c[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    store_check(x);
    index_close(x);
    x = store_open(scratch_dir());
    store_check(x);
    index_close(x);
}

/* ---- the process is killed */

/* What the child tells on its pipe once it was acknowledged. */
struct act { int round, i, removed; char id[33]; };

static _Noreturn void write_until_killed(int round, int pipe)
{
    struct index *x = store_open(scratch_dir());
    struct rng r;
    rng_init(&r, (uint64_t)round);
    struct act kept[64];
    int n = 0;
    for (int i = 0;; i++) {
        struct act act = {.round = round, .i = i};
        char name[32], text[100];
        if (n == 64 || (n > 4 && rng_below(&r, 3) == 0)) {
            act = kept[--n];
            act.removed = 1;
            if (index_remove(x, act.id, NULL, NULL))
                _exit(1);
        } else {
            snprintf(name, sizeof(name), "r%d-%d", round, i);
            snprintf(text, sizeof(text), "round%d item%d\nsecond line of %d in %d", round, i, i, round);
            struct added d = store_add(x, name, text, NULL);
            memcpy(act.id, d.id, sizeof(act.id));
            if (rng_below(&r, 4)) {
                store_put(x, d.id, text);
                act.removed = -1;   /* ready */
            }
            kept[n++] = act;
        }
        if (write(pipe, &act, sizeof(act)) != sizeof(act))
            _exit(1);
    }
}

static void check_act(struct index *x, const struct act *a, bool gone)
{
    struct arena arena = {0};
    struct document d;
    char line[64];
    enum err_code rc = index_document(x, a->id, &arena, &d, NULL);
    snprintf(line, sizeof(line), "second line of %d in %d", a->i, a->round);
    if (gone) {
        CHECK_INT(rc, ERR_NOTFOUND);
        CHECK_INT(store_nearest(x, line), 0);
    } else {
        CHECK_INT(rc, OK);
        CHECK(a->removed != -1 || d.state == DOC_READY);
        CHECK(a->removed != -1 || store_nearest(x, line) != 0);
    }
    arena_deinit(&arena);
}

/* Replays a round: adds go on a pile, removals take its top, as the child did. */
static int replay(struct index *x, const struct act *acts, int n, struct act *alive, int pile)
{
    int bottom = pile;
    for (int i = 0; i < n; i++) {
        if (acts[i].removed == 1) {
            CHECK(pile > bottom);
            pile--;
            check_act(x, &acts[i], true);
        } else {
            alive[pile++] = acts[i];
        }
    }
    return pile;
}

TEST(what_was_acknowledged_survives_kill_9)
{
    enum { ACTS = 20000 };
    int rounds = test_slow() ? 100 : 10, pile = 0, total = 0;
    struct act *acts = calloc(ACTS, sizeof(*acts)), *alive = calloc(ACTS, sizeof(*alive));
    struct rng r;
    rng_init(&r, 77);
    index_close(store_new());
    for (int round = 0; round < rounds; round++) {
        int fd[2], n = 0;
        CHECK_INT(pipe(fd), 0);
        pid_t child = fork();
        if (child == 0) {
            close(fd[0]);
            write_until_killed(round, fd[1]);
        }
        close(fd[1]);
        n += read(fd[0], &acts[0], sizeof(*acts)) == sizeof(*acts);
        usleep((useconds_t)rng_below(&r, 200000));   /* the moment is the experiment */
        kill(child, SIGKILL);
        while (n < ACTS && read(fd[0], &acts[n], sizeof(*acts)) == sizeof(*acts))
            n++;
        close(fd[0]);
        waitpid(child, NULL, 0);
        struct index *x = store_open(scratch_dir());
        int before = pile;
        pile = replay(x, acts, n, alive, pile);
        /* Its last act may have been a removal that it could not report any more. */
        struct arena a = {0};
        struct document d;
        if (pile > before && index_document(x, alive[pile - 1].id, &a, &d, NULL) == ERR_NOTFOUND)
            pile--;
        arena_deinit(&a);
        for (int i = 0; i < pile; i++)
            check_act(x, &alive[i], false);
        store_check(x);
        index_close(x);
        total += n;
    }
    CHECK_MSG(total > rounds, "only %d acts in %d rounds", total, rounds);
    free(acts);
    free(alive);
}
