/* base/thread.h - a compute team, and stopping as a value.
 *
 * team   n threads (the caller is one of them) that share a loop. One loop at
 *        a time: a second caller waits its turn. A NULL team runs the loop in
 *        the caller, so that every room works without threads.
 * stop   a flag that long work looks at on each token, batch and job. */
#ifndef CARREL_BASE_THREAD_H
#define CARREL_BASE_THREAD_H
#include <stdatomic.h>
#include <stdbool.h>
#include "base/err.h"

struct stop { atomic_bool set; const struct stop *parent; };

void stop_set(struct stop *s);
bool stop_asked(const struct stop *s);   /* of it or of any parent; NULL: never */
enum err_code stop_check(const struct stop *s, struct err *err); /* ERR_CANCELLED or OK */

struct team;
/* `threads` 1..256, or 0 for the processors this process may use. */
enum err_code team_new(int threads, struct team **out, struct err *err);
void team_free(struct team *t);
int team_size(const struct team *t);     /* 1 for NULL */
/* Run fn(arg, i) for i in [0, n), each i once, in any order, on any thread. */
void parallel_for(struct team *t, int n, void (*fn)(void *arg, int i), void *arg);
#endif
