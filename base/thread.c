#include "base/thread.h"
#include <pthread.h>
#include <stdlib.h>
#include "base/cpu.h"

void stop_set(struct stop *s)
{
    atomic_store(&s->set, true);
}

bool stop_asked(const struct stop *s)
{
    for (; s; s = s->parent)
        if (atomic_load_explicit(&s->set, memory_order_relaxed))
            return true;
    return false;
}

enum err_code stop_check(const struct stop *s, struct err *err)
{
    return stop_asked(s) ? err_set(err, ERR_CANCELLED, "stopped") : OK;
}

/* A loop is published by raising `round`; every worker takes part in every round,
 * and the caller returns when the last has left it. So nothing of one loop can be
 * seen by the next.
 * Between loops that follow each other closely all look at the atomics and touch no
 * lock. Who has looked long enough sleeps under `state`: he says so first, in `asleep`
 * or `waits`, and looks once more; the other side changes what he looks at first, and
 * reads that word then. In the one order of these atomics, one of the two sees the other. */
struct team {
    pthread_mutex_t turn;  /* held by the caller for its whole loop */
    pthread_mutex_t state; /* guards sleeping and `quit` */
    pthread_cond_t begin, end;
    void (*fn)(void *arg, int i);
    void *arg;
    int n;
    bool quit;
    atomic_int next;   /* index that nobody has taken yet */
    atomic_int busy;   /* workers still in this round */
    atomic_uint round;
    atomic_int asleep; /* workers that must be woken */
    atomic_bool waits; /* the caller must be */
    int spins;   /* looks at an atomic before going to sleep */
    int workers; /* threads beside the caller */
    pthread_t *thread;
};

/* True while this thread runs a loop's body: a loop inside it runs serially. */
static _Thread_local bool inside;

static void pause_a_little(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void take_indices(struct team *t)
{
    inside = true;
    for (int i; (i = atomic_fetch_add(&t->next, 1)) < t->n;)
        t->fn(t->arg, i);
    inside = false;
}

static bool wait_begin(struct team *t, unsigned seen)
{
    for (int i = 0; i < t->spins; i++) {
        if (atomic_load(&t->round) != seen)
            return true;
        pause_a_little();
    }
    pthread_mutex_lock(&t->state);
    atomic_fetch_add(&t->asleep, 1);
    while (atomic_load(&t->round) == seen && !t->quit)
        pthread_cond_wait(&t->begin, &t->state);
    atomic_fetch_sub(&t->asleep, 1);
    bool go_on = !t->quit;
    pthread_mutex_unlock(&t->state);
    return go_on;
}

static void leave(struct team *t)
{
    if (atomic_fetch_sub(&t->busy, 1) > 1 || !atomic_load(&t->waits))
        return;
    pthread_mutex_lock(&t->state);
    pthread_cond_signal(&t->end);
    pthread_mutex_unlock(&t->state);
}

static void *work(void *arg)
{
    struct team *t = arg;
    for (unsigned seen = 0; wait_begin(t, seen); seen++) {
        take_indices(t);
        leave(t);
    }
    return NULL;
}

enum err_code team_new(int threads, struct team **out, struct err *err)
{
    *out = NULL;
    if (threads < 0 || threads > 256)
        return err_set(err, ERR_ARG, "%d threads: need 1 to 256, or 0 for all", threads);
    if (threads == 0)
        threads = cpu_get()->cores < 256 ? cpu_get()->cores : 256;
    struct team *t = calloc(1, sizeof(*t));
    if (t)
        t->thread = calloc((size_t)threads, sizeof(*t->thread));
    if (!t || !t->thread) {
        free(t);
        return err_set(err, ERR_NOMEM, "a team of %d threads", threads);
    }
    pthread_mutex_init(&t->turn, NULL);
    pthread_mutex_init(&t->state, NULL);
    pthread_cond_init(&t->begin, NULL);
    pthread_cond_init(&t->end, NULL);
    /* Some 20 us: longer than the gap between two layers of a model, and only
     * where every thread has a processor to itself. */
    t->spins = threads <= cpu_get()->cores ? 500 : 0;
    for (; t->workers < threads - 1; t->workers++) {
        if (pthread_create(&t->thread[t->workers], NULL, work, t) != 0) {
            team_free(t);
            return err_set(err, ERR_LIMIT, "no more threads for a team of %d", threads);
        }
    }
    *out = t;
    return OK;
}

void team_free(struct team *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->state);
    t->quit = true;
    pthread_cond_broadcast(&t->begin);
    pthread_mutex_unlock(&t->state);
    for (int i = 0; i < t->workers; i++)
        pthread_join(t->thread[i], NULL);
    pthread_cond_destroy(&t->begin);
    pthread_cond_destroy(&t->end);
    pthread_mutex_destroy(&t->state);
    pthread_mutex_destroy(&t->turn);
    free(t->thread);
    free(t);
}

int team_size(const struct team *t)
{
    return t ? t->workers + 1 : 1;
}

static void wake(struct team *t)
{
    pthread_mutex_lock(&t->state);
    pthread_cond_broadcast(&t->begin);
    pthread_mutex_unlock(&t->state);
}

static void wait_end(struct team *t)
{
    for (int i = 0; i < t->spins; i++) {
        if (atomic_load(&t->busy) == 0)
            return;
        pause_a_little();
    }
    pthread_mutex_lock(&t->state);
    atomic_store(&t->waits, true);
    while (atomic_load(&t->busy) > 0)
        pthread_cond_wait(&t->end, &t->state);
    atomic_store(&t->waits, false);
    pthread_mutex_unlock(&t->state);
}

static void run_together(struct team *t, int n, void (*fn)(void *arg, int i), void *arg)
{
    t->fn = fn;
    t->arg = arg;
    t->n = n;
    atomic_store(&t->next, 0);
    atomic_store(&t->busy, t->workers);
    atomic_fetch_add(&t->round, 1);
    if (atomic_load(&t->asleep) > 0)
        wake(t);
    take_indices(t);
    wait_end(t);
}

void parallel_for(struct team *t, int n, void (*fn)(void *arg, int i), void *arg)
{
    if (!t || t->workers == 0 || n < 2 || inside) {
        for (int i = 0; i < n; i++)
            fn(arg, i);
        return;
    }
    pthread_mutex_lock(&t->turn);
    run_together(t, n, fn, arg);
    pthread_mutex_unlock(&t->turn);
}
