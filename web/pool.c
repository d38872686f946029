#include "web/pool.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define POOL_THREADS_MAX 64
#define POOL_STACK       ((size_t)1 << 20)   /* address space; touched as needed */

struct pool {
    pthread_mutex_t lock;    /* guards all of it */
    pthread_cond_t work;
    const char *name;
    pthread_t threads[POOL_THREADS_MAX];
    int n, size;             /* threads there are, and may be */
    int idle, running;
    int waiting, queue;      /* tasks queued, and how many may be */
    struct task *first, *last;
    bool closing;
};

static void *serve(void *arg)
{
    struct pool *p = arg;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->first && !p->closing) {
            p->idle++;
            pthread_cond_wait(&p->work, &p->lock);
            p->idle--;
        }
        struct task *t = p->first;
        if (!t)
            break;
        p->first = t->next;
        p->waiting--;
        p->running++;
        pthread_mutex_unlock(&p->lock);
        t->run(t);
        pthread_mutex_lock(&p->lock);
        p->running--;
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

enum err_code pool_new(const char *name, int threads, int queue, struct pool **out,
                       struct err *err)
{
    if (threads < 1 || threads > POOL_THREADS_MAX || queue < 0)
        return err_set(err, ERR_ARG, "a %s pool of %d threads: need 1 to %d", name, threads,
                       POOL_THREADS_MAX);
    struct pool *p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(err, ERR_NOMEM, "the %s pool", name);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    p->name = name;
    p->size = threads;
    p->queue = queue;
    *out = p;
    return OK;
}

void pool_stop(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    int n = p->n;
    p->n = 0;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < n; i++)
        pthread_join(p->threads[i], NULL);
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pool_stop(p);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* One more thread, if none is idle for the new task. Called with the lock. */
static void grow(struct pool *p)
{
    pthread_attr_t attr;
    if (p->idle >= p->waiting || p->n >= p->size || pthread_attr_init(&attr) != 0)
        return;
    pthread_attr_setstacksize(&attr, POOL_STACK);
    if (pthread_create(&p->threads[p->n], &attr, serve, p) == 0)
        p->n++;
    pthread_attr_destroy(&attr);
}

enum err_code pool_push(struct pool *p, struct task *t, struct err *err)
{
    enum err_code rc = OK;
    t->next = NULL;
    pthread_mutex_lock(&p->lock);
    if (p->closing) {
        rc = err_set(err, ERR_BUSY, "the server is stopping");
        goto done;
    }
    if (p->running + p->waiting >= p->size + p->queue) {
        rc = err_set(err, ERR_BUSY, "%d %s requests run and %d wait: try again", p->running,
                     p->name, p->waiting);
        goto done;
    }
    if (p->first)
        p->last->next = t;
    else
        p->first = t;
    p->last = t;
    p->waiting++;
    grow(p);
    if (p->n == 0) { /* not one thread could be started */
        p->first = NULL;
        p->waiting = 0;
        rc = err_set(err, ERR_BUSY, "no thread for %s requests", p->name);
        goto done;
    }
    pthread_cond_signal(&p->work);
done:
    pthread_mutex_unlock(&p->lock);
    return rc;
}

void pool_load(struct pool *p, int *running, int *waiting)
{
    pthread_mutex_lock(&p->lock);
    *running = p->running;
    *waiting = p->waiting;
    pthread_mutex_unlock(&p->lock);
}
