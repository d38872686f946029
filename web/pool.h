/* web/pool.h - threads that answer, so that the connection threads never wait.
 *
 * A pool grows to its size as work comes and keeps a bounded queue: work beyond
 * it is refused at once (ERR_BUSY), which the server turns into 429 (503 when it stops).
 * Threads   locks inside: any thread may push. Memory  pool_free releases all. */
#ifndef CARREL_WEB_POOL_H
#define CARREL_WEB_POOL_H
#include "base/err.h"

struct task {                 /* lies inside the caller's own struct */
    void (*run)(struct task *t);
    struct task *next;
};

struct pool;
/* name: static, for messages; threads 1..64; queue: tasks that may wait, >= 0. */
enum err_code pool_new(const char *name, int threads, int queue, struct pool **out,
                       struct err *err);
/* Run what is queued (tasks look at their own stop), end the threads; from then
 * on every push is ERR_BUSY. NULL is fine, and so is a second time. */
void pool_stop(struct pool *p);
void pool_free(struct pool *p);      /* stops first; nobody may push any more */
enum err_code pool_push(struct pool *p, struct task *t, struct err *err);
/* Tasks that run and that wait now. */
void pool_load(struct pool *p, int *running, int *waiting);
#endif
