#include "base/thread.h"
#include <pthread.h>
#include "base/cpu.h"
#include "tests/test.h"

static struct team *team_of(int threads)
{
    struct team *t;
    struct err err;
    CHECK_OK(team_new(threads, &t, &err), &err);
    return t;
}

enum { N = 1000 };

static void count(void *arg, int i)
{
    atomic_fetch_add(&((atomic_int *)arg)[i], 1);
}

static void check_each_once(struct team *t, int n)
{
    static atomic_int seen[N];
    memset(seen, 0, sizeof(seen));
    parallel_for(t, n, count, seen);
    for (int i = 0; i < N; i++)
        CHECK_INT(seen[i], i < n);
}

TEST(team_runs_every_index_once)
{
    for (int threads = 1; threads <= 9; threads += 2) {
        struct team *t = team_of(threads);
        CHECK_INT(team_size(t), threads);
        for (int round = 0; round < 200; round++)
            check_each_once(t, round * 5);
        team_free(t);
    }
    check_each_once(NULL, N);
    CHECK_INT(team_size(NULL), 1);
}

TEST(team_of_nought_has_a_thread_for_each_processor)
{
    struct team *t = team_of(0);
    CHECK_INT(team_size(t), cpu_get()->cores);
    team_free(t);
    CHECK_ERR(team_new(257, &t, NULL), ERR_ARG);
    CHECK_ERR(team_new(-1, &t, NULL), ERR_ARG);
    CHECK(t == NULL);
    team_free(NULL);
}

static void dally(int looks)
{
    for (volatile int i = 0; i < looks; i++)
        ;
}

static void count_slowly(void *arg, int i)
{
    dally(i % 2 * 20000);
    count(arg, i);
}

/* Pauses about as long as a thread looks before it sleeps, on either side: it is met
 * looking, falling asleep and asleep. */
TEST(team_loses_no_loop_to_a_thread_that_falls_asleep)
{
    for (int threads = 2; threads <= 3; threads++) {
        struct team *t = team_of(threads);
        atomic_int seen[3] = {0};
        for (int round = 0; round < 3000; round++) {
            parallel_for(t, 3, round % 7 ? count : count_slowly, seen);
            dally(round * 37 % 40000);
        }
        for (int i = 0; i < 3; i++)
            CHECK_INT(seen[i], 3000);
        team_free(t);
    }
}

struct nest {
    struct team *team;
    atomic_int n;
};

static void inner(void *arg, int i)
{
    (void)i;
    atomic_fetch_add(&((struct nest *)arg)->n, 1);
}

static void outer(void *arg, int i)
{
    (void)i;
    parallel_for(((struct nest *)arg)->team, 10, inner, arg);
}

TEST(team_loop_within_a_loop_ends)
{
    struct nest nest = {.team = team_of(4)};
    for (int round = 0; round < 100; round++)
        parallel_for(nest.team, 20, outer, &nest);
    CHECK_INT(nest.n, 100 * 20 * 10);
    team_free(nest.team);
}

static void *caller(void *arg)
{
    for (int round = 0; round < 200; round++)
        parallel_for(((struct nest *)arg)->team, 7, inner, arg);
    return NULL;
}

TEST(team_serves_many_callers_one_after_another)
{
    struct nest nest = {.team = team_of(3)};
    pthread_t thread[6];
    for (int i = 0; i < 6; i++)
        CHECK_INT(pthread_create(&thread[i], NULL, caller, &nest), 0);
    for (int i = 0; i < 6; i++)
        pthread_join(thread[i], NULL);
    CHECK_INT(nest.n, 6 * 200 * 7);
    team_free(nest.team);
}

TEST(stop_of_a_parent_stops_the_child)
{
    struct stop parent = {0}, child = {.parent = &parent};
    struct err err;
    CHECK(!stop_asked(&child) && !stop_asked(NULL));
    CHECK_ERR(stop_check(&child, &err), OK);
    stop_set(&parent);
    CHECK(stop_asked(&child));
    CHECK_ERR(stop_check(&child, &err), ERR_CANCELLED);
    struct stop other = {0}, below = {.parent = &other};
    stop_set(&below);
    CHECK(stop_asked(&below) && !stop_asked(&other));
}
