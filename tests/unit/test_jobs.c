#include <pthread.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/thread.h"
#include "tests/stores.h"

static struct job take(struct index *x, struct arena *a)
{
    struct job j;
    struct err err = {0};
    CHECK_OK(jobs_take(x, false, NULL, a, &j, &err), &err);
    return j;
}

static enum document_state state_of(struct index *x, const char *id)
{
    struct arena a = {0};
    struct document d;
    struct err err = {0};
    CHECK_OK(index_document(x, id, &a, &d, &err), &err);
    arena_deinit(&a);
    return d.state;
}

TEST(jobs_are_taken_oldest_first_and_once)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct job j;
    struct added one = store_add(x, "a", "1", NULL), two = store_add(x, "b", "2", NULL);
    j = take(x, &a);
    CHECK_INT(j.id, one.job);
    CHECK_STR(str_of(j.document), one.id);
    CHECK_STR(str_of(j.document_name), "a");
    CHECK(j.state == JOB_RUNNING && j.attempts == 1);
    CHECK_INT(state_of(x, one.id), DOC_RUNNING);
    CHECK_INT(take(x, &a).id, two.job);
    CHECK_ERR(jobs_take(x, false, NULL, &a, &j, NULL), ERR_NOTFOUND);
    arena_deinit(&a);
    index_close(x);
}

TEST(putting_a_document_ends_its_job)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct job j;
    struct err err = {0};
    struct added d = store_add(x, "a", "text", NULL);
    CHECK_INT(take(x, &a).id, d.job);
    store_put(x, d.id, "text");
    CHECK_OK(jobs_find(x, d.job, &a, &j, &err), &err);
    CHECK(j.state == JOB_DONE && j.finished_ms > 0);
    CHECK_ERR(jobs_fail(x, d.job, "late", NULL), ERR_ARG);
    CHECK_ERR(jobs_retry(x, d.job, NULL), ERR_ARG);
    CHECK_ERR(jobs_cancel(x, d.job, NULL), ERR_ARG);
    CHECK_INT(state_of(x, d.id), DOC_READY);
    arena_deinit(&a);
    index_close(x);
}

TEST(progress_is_seen_where_the_job_and_its_document_are)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct job j;
    struct document d;
    struct err err = {0};
    struct added added = store_add(x, "a", "text", NULL);
    take(x, &a);
    CHECK(jobs_progress(x, added.job, "embed", 3, 8));
    CHECK_OK(jobs_find(x, added.job, &a, &j, &err), &err);
    CHECK_STR(str_of(j.stage), "embed");
    CHECK(j.done == 3 && j.total == 8);
    CHECK_OK(index_document(x, added.id, &a, &d, &err), &err);
    CHECK_STR(str_of(d.stage), "embed");
    CHECK(d.done == 3 && d.total == 8);
    CHECK(jobs_progress(x, 999, "x", 0, 0));   /* of no job: nobody objects */
    arena_deinit(&a);
    index_close(x);
}

TEST(a_failed_job_tells_why_and_can_be_tried_again)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct document doc;
    struct err err = {0};
    struct added d = store_add(x, "a", "text", NULL);
    take(x, &a);
    CHECK_OK(jobs_fail(x, d.job, "not a PDF", &err), &err);
    CHECK_OK(index_document(x, d.id, &a, &doc, &err), &err);
    CHECK_INT(doc.state, DOC_FAILED);
    CHECK_STR(str_of(doc.error), "not a PDF");
    CHECK_OK(jobs_retry(x, d.job, &err), &err);
    struct job j = take(x, &a);
    CHECK_INT(j.id, d.job);
    CHECK_INT(j.attempts, 1);
    store_put(x, d.id, "text");
    CHECK_OK(index_document(x, d.id, &a, &doc, &err), &err);
    CHECK_STR(str_of(doc.error), "");
    store_check(x);
    arena_deinit(&a);
    index_close(x);
}

TEST(a_cancelled_job_stops_its_worker)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct err err = {0};
    struct added d = store_add(x, "a", "text", NULL), e = store_add(x, "b", "more", NULL);
    take(x, &a);
    CHECK(jobs_progress(x, d.job, "extract", 0, 1));
    CHECK_OK(jobs_cancel(x, d.job, &err), &err);
    CHECK(!jobs_progress(x, d.job, "embed", 1, 1));
    CHECK_INT(state_of(x, d.id), DOC_FAILED);
    CHECK_OK(jobs_cancel(x, e.job, &err), &err);   /* before it ran */
    struct job j;
    CHECK_ERR(jobs_take(x, false, NULL, &a, &j, NULL), ERR_NOTFOUND);
    CHECK_ERR(jobs_cancel(x, 12345, NULL), ERR_NOTFOUND);
    arena_deinit(&a);
    index_close(x);
}

TEST(a_document_whose_job_was_cancelled_does_not_become_ready)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct err err = {0};
    struct content c = {.text = STR("late"), .title = "", .mime = ""};
    struct added d = store_add(x, "a", "text", NULL);
    take(x, &a);
    CHECK_OK(jobs_cancel(x, d.job, &err), &err);
    CHECK_ERR(index_put(x, d.id, &c, NULL), ERR_NOTFOUND);
    CHECK_INT(state_of(x, d.id), DOC_FAILED);
    jobs_drop(x, d.job);
    CHECK(jobs_progress(x, d.job, "embed", 1, 1));   /* forgotten: nobody objects */
    CHECK_OK(jobs_retry(x, d.job, &err), &err);
    take(x, &a);
    CHECK_OK(index_put(x, d.id, &c, &err), &err);
    CHECK_INT(state_of(x, d.id), DOC_READY);
    store_check(x);
    arena_deinit(&a);
    index_close(x);
}

TEST(removing_a_document_stops_the_worker_that_reads_it)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct err err = {0};
    struct added d = store_add(x, "a", "text", NULL);
    take(x, &a);
    CHECK_OK(index_remove(x, d.id, NULL, &err), &err);
    CHECK(!jobs_progress(x, d.job, "embed", 1, 1));
    CHECK_ERR(jobs_fail(x, d.job, "gone", NULL), ERR_NOTFOUND);
    arena_deinit(&a);
    index_close(x);
}

TEST(a_released_job_waits_again_and_the_attempt_does_not_count)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct err err = {0};
    struct added d = store_add(x, "a", "text", NULL);
    for (int i = 0; i < 5; i++) {
        struct job j = take(x, &a);
        CHECK_INT(j.attempts, 1);
        CHECK_OK(jobs_release(x, j.id, &err), &err);
        CHECK_INT(state_of(x, d.id), DOC_QUEUED);
    }
    arena_deinit(&a);
    index_close(x);
}

TEST(a_job_that_never_ended_is_tried_again_but_not_for_ever)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct document doc;
    struct err err = {0};
    struct added d = store_add(x, "a", "text", NULL);
    for (int i = 1; i <= JOB_ATTEMPTS_MAX; i++) {
        CHECK_INT(take(x, &a).attempts, i);
        index_close(x);   /* as a crash would: nobody ended or released it */
        x = store_open(scratch_dir());
    }
    CHECK_OK(index_document(x, d.id, &a, &doc, &err), &err);
    CHECK_INT(doc.state, DOC_FAILED);
    CHECK(strlen(doc.error) > 0);
    struct job j;
    CHECK_ERR(jobs_take(x, false, NULL, &a, &j, NULL), ERR_NOTFOUND);
    store_check(x);
    arena_deinit(&a);
    index_close(x);
}

TEST(jobs_are_listed_by_state_newest_first)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct job *v;
    struct err err = {0};
    char name[16];
    int n;
    int64_t next = 0;
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof(name), "%d", i);
        store_add(x, name, name, NULL);
    }
    take(x, &a);
    CHECK_OK(jobs_list(x, -1, 3, 0, &a, &v, &n, &next, &err), &err);
    CHECK(n == 3 && v[0].id > v[1].id && next == v[2].id);
    CHECK_OK(jobs_list(x, -1, 3, next, &a, &v, &n, &next, &err), &err);
    CHECK(n == 2 && next == 0);
    CHECK_OK(jobs_list(x, JOB_RUNNING, 3, 0, &a, &v, &n, &next, &err), &err);
    CHECK_INT(n, 1);
    CHECK_STR(str_of(job_state_name(v[0].state)), "running");
    arena_deinit(&a);
    index_close(x);
}

struct worker { struct index *x; struct stop stop; int taken; enum err_code last; };

static void *work(void *arg)
{
    struct worker *w = arg;
    struct arena a = {0};
    struct job j;
    while (!(w->last = jobs_take(w->x, true, &w->stop, &a, &j, NULL))) {
        w->taken++;
        if (jobs_fail(w->x, j.id, "done with it", NULL))
            break;
    }
    arena_deinit(&a);
    return NULL;
}

TEST(waiting_workers_share_the_jobs_and_stop_when_told)
{
    enum { WORKERS = 4, JOBS = 40 };
    struct index *x = store_new();
    struct worker w[WORKERS] = {{0}};
    pthread_t t[WORKERS];
    struct added d[JOBS];
    struct err err = {0};
    int taken = 0;
    for (int i = 0; i < WORKERS; i++) {
        w[i].x = x;
        CHECK_INT(pthread_create(&t[i], NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < JOBS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%d", i);
        d[i] = store_add(x, name, name, NULL);
    }
    for (int i = 0; i < JOBS; i++)
        CHECK_OK(jobs_wait_document(x, d[i].id, 30000, NULL, &err), &err);
    for (int i = 0; i < WORKERS; i++)
        stop_set(&w[i].stop);
    jobs_wake(x);
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(t[i], NULL);
        CHECK_INT(w[i].last, ERR_CANCELLED);
        taken += w[i].taken;
    }
    CHECK_INT(taken, JOBS);
    index_close(x);
}

TEST(waiting_for_a_document_ends_with_it_or_with_time)
{
    struct index *x = store_new();
    struct stop stop = {0};
    struct err err = {0};
    struct added d = store_add(x, "a", "text", NULL);
    CHECK_ERR(jobs_wait_document(x, d.id, 20, NULL, &err), ERR_BUSY);
    stop_set(&stop);
    CHECK_ERR(jobs_wait_document(x, d.id, 20000, &stop, &err), ERR_CANCELLED);
    store_put(x, d.id, "text");
    CHECK_OK(jobs_wait_document(x, d.id, 20, NULL, &err), &err);
    CHECK_OK(index_remove(x, d.id, NULL, &err), &err);
    CHECK_OK(jobs_wait_document(x, d.id, 20, NULL, &err), &err);
    index_close(x);
}
