/* The pool: bounded, and everything that was taken is run. */
#include <pthread.h>
#include <stdatomic.h>
#include "tests/test.h"
#include "web/pool.h"

struct job { struct task task; pthread_mutex_t *gate; atomic_int *ran; };

static void run(struct task *t)
{
    struct job *j = (struct job *)t;
    pthread_mutex_lock(j->gate);
    pthread_mutex_unlock(j->gate);
    atomic_fetch_add(j->ran, 1);
}

TEST(pool_refuses_what_is_beyond_its_queue_and_runs_the_rest)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    atomic_int ran = 0;
    struct job jobs[8];
    struct pool *p;
    struct err err;
    int taken = 0;
    CHECK_OK(pool_new("test", 2, 3, &p, &err), &err);
    pthread_mutex_lock(&gate);
    for (int i = 0; i < 8; i++) {
        jobs[i] = (struct job){.task.run = run, .gate = &gate, .ran = &ran};
        taken += pool_push(p, &jobs[i].task, &err) == OK;
    }
    CHECK_INT(taken, 5);
    CHECK_INT(err.code, ERR_BUSY);
    pthread_mutex_unlock(&gate);
    pool_stop(p);
    CHECK_INT(ran, 5);
    CHECK_ERR(pool_push(p, &jobs[0].task, &err), ERR_BUSY);
    CHECK(strstr(err.msg, "stopping"));
    pool_free(p);
}

TEST(pool_of_no_size_is_refused)
{
    struct pool *p;
    struct err err;
    CHECK_ERR(pool_new("test", 0, 1, &p, &err), ERR_ARG);
    CHECK_ERR(pool_new("test", 1000, 1, &p, &err), ERR_ARG);
}
