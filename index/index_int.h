/* index/index_int.h - the store's insides, for the files of index/ only.
 *
 * Locks, in the order in which they may be taken:
 *   stripes[]     one upload of a name at a time (documents.c)
 *   graph.work    whoever changes a graph (graph.c)
 *   shelves_lock  the list of collections in memory (shelf.c)
 *   graph.lock    a graph and what waits to enter it
 *   writer.lock   the queue of changes (writer.c)
 *   pool_lock, running_lock, events_lock, usage_lock, filters_lock   leaves */
#ifndef CARREL_INDEX_INDEX_INT_H
#define CARREL_INDEX_INDEX_INT_H
#include <pthread.h>
#include <stdatomic.h>
#include "index/hnsw.h"
#include "index/index.h"
#include "index/lengths.h"
#include "index/sql.h"

/* ---- writer.c: the one thread that changes the database */

struct task {
    /* In a savepoint of its own: on failure nothing of it remains. */
    enum err_code (*change)(struct conn *c, void *arg, struct err *err);
    /* After the commit, in commit order, before the caller goes on; cannot fail. */
    void (*after)(void *arg);
    void *arg;
    struct err err;
    enum err_code rc;
    bool done;
    struct task *next;
};
struct writer {
    pthread_mutex_t lock;
    pthread_cond_t work, finished;
    struct task *first, *last;
    bool stop, started;
    bool truncate;             /* empty the write-ahead log when there is nothing else to do */
    pthread_t thread;
    struct conn *conn;
    int64_t commits, tasks;
};
enum err_code writer_start(struct writer *w, struct conn *conn, struct err *err);
/* As soon as the queue is empty, fold the log into the database and empty it. */
void writer_truncate(struct writer *w);
void writer_stop(struct writer *w);     /* finishes what is queued; closes the connection */
/* Queue, and wait until it is on disk. */
enum err_code writer_run(struct writer *w,
                         enum err_code (*change)(struct conn *c, void *arg, struct err *err),
                         void (*after)(void *arg), void *arg, struct err *err);

/* ---- filter.c: metadata to chunks */

struct span { int64_t first, last; };   /* chunk ids [first, last) */
struct filter {
    bool all;
    struct span *spans;        /* in order */
    size_t n;
    int64_t chunks;            /* in all of them */
};
struct kept_filter { char *json; uint64_t changes; struct filter filter; };
struct shelf;
/* `changes`: of the shelf, read before the connection's transaction began.
 * Spans in the arena. ERR_ARG when the filter is none. */
enum err_code filter_read(struct conn *c, struct shelf *s, uint64_t changes, const char *json,
                          struct arena *a, struct filter *out, struct err *err);
bool filter_keeps(const struct filter *f, int64_t chunk);

/* ---- shelf.c: a collection in memory */

#define FILTERS_KEPT 8
struct waiting { uint64_t label; float *vec; };   /* vec NULL: to be removed */
struct graph {
    pthread_mutex_t work;      /* held by whoever changes `h` */
    pthread_rwlock_t lock;     /* guards `h` against readers, and the queue */
    struct hnsw *h;
    struct waiting *queue;     /* [head, tail) waits, in order of commits */
    size_t head, tail, cap;
    size_t unsaved;            /* changes of `h` since the snapshot */
    bool doubted;              /* the snapshot was refused or missing at open */
};
struct shelf {
    int64_t id;
    char name[64];
    int dim;
    struct lengths lengths;
    struct graph graph;
    _Atomic int refs;          /* one is the list's */
    _Atomic uint64_t changes;  /* of its documents, since the store was opened */
    pthread_mutex_t filters_lock;
    struct kept_filter filters[FILTERS_KEPT];
    unsigned next_filter;
};
enum err_code shelf_new(struct index *x, int64_t id, const char *name, int dim, struct shelf **out,
                        struct err *err);
void shelf_put_in(struct index *x, struct shelf *s);      /* the list takes the reference */
struct shelf *shelf_take_out(struct index *x, const char *name);   /* and hands it back */
struct shelf *shelf_take(struct index *x, const char *name);   /* NULL when there is none */
struct shelf *shelf_at(struct index *x, int i);           /* i-th, referenced; NULL past the end */
void shelf_give(struct shelf *s);                         /* NULL is fine */

/* ---- graph.c: from commits to links */

enum err_code graph_init(struct graph *g, int dim, const struct index_options *opt,
                         struct err *err);
void graph_deinit(struct graph *g);
/* Load the snapshot, queue what SQLite has beyond it. */
enum err_code graph_open(struct index *x, struct shelf *s, struct conn *c, struct err *err);
enum err_code graph_reserve(struct graph *g, size_t more, struct err *err);
/* Takes over vec (malloc'ed, of unit length); room must be reserved. */
void graph_push(struct graph *g, uint64_t label, float *vec);
/* The nearest kept chunks, best first: graph and queue together. */
enum err_code graph_search(const struct shelf *s, const float *query, int k, int ef,
                           bool (*keep)(void *arg, int64_t chunk), void *arg, struct near_hit *hits,
                           int *n, struct err *err);
/* Exactly, among `ids` only. */
enum err_code graph_scan(const struct shelf *s, const float *query, int k, const int64_t *ids,
                         size_t n_ids, struct near_hit *hits, int *n);
size_t graph_waiting(const struct shelf *s);
enum err_code graph_start(struct index *x, struct err *err);   /* its thread */
void graph_stop(struct index *x);                              /* and the last snapshots */
void graph_wake(struct index *x);
/* Merge the words of removed documents away and empty the log they may stand in:
 * then no byte of them is left. What the thread does when idle. */
enum err_code graph_purge(struct index *x, struct err *err);
/* Wait while more than `most` vectors stand in the queue. */
void graph_wait(struct index *x, const struct shelf *s, size_t most);
enum err_code graph_rebuild(struct index *x, struct shelf *s, struct err *err);
void graph_forget(struct index *x, int64_t collection);        /* its snapshot */
char *graph_path(struct index *x, int64_t collection);         /* yours */
/* Sorted insertion of a hit; *n <= k. */
void near_insert(struct near_hit *hits, int *n, int k, struct near_hit it);

/* ---- jobs.c */

struct running { int64_t id, document; char stage[16]; int64_t done, total; bool cancelled; };
/* Where a running job stands, in memory; leaves what is not running as it is. */
enum err_code jobs_standing(struct index *x, int64_t id, struct arena *a, char **stage,
                            int64_t *done, int64_t *total, struct err *err);
/* Its document (by seq) is read no longer; or should not be: its worker hears of it. */
void jobs_forget_document(struct index *x, int64_t seq);
void jobs_interrupt_document(struct index *x, int64_t seq);

/* ---- the whole */

#define STRIPES 64
struct index {
    char *dir;
    struct index_options opt;
    int lock_fd;
    struct writer writer;
    pthread_mutex_t pool_lock;
    struct conn *pool;
    pthread_rwlock_t shelves_lock;
    struct shelf **shelves;
    int n_shelves;
    pthread_mutex_t stripes[STRIPES];

    pthread_mutex_t events_lock;      /* something changed: waiters look again */
    pthread_cond_t events;
    uint64_t n_events;

    pthread_mutex_t running_lock;
    struct running *running;
    int n_running, cap_running;

    pthread_mutex_t usage_lock;
    struct usage_row { char kind[32], model[96]; struct usage sum; int64_t requests; } *usage;
    int n_usage;

    pthread_mutex_t graph_lock;       /* with graph_cond: the graph thread's alarm */
    pthread_cond_t graph_cond, graph_moved;
    bool graph_alarm, graph_quit, graph_started;
    pthread_t graph_thread;

    _Atomic int n_keys;
    _Atomic bool merge_words;         /* cut words wait to be merged away */
    uint64_t store_id;                /* random: snapshots of another store are refused */
    bool rebuilt;
    double open_ms;
};

struct conn *reader_take(struct index *x, struct err *err);   /* NULL on failure */
void reader_give(struct index *x, struct conn *c);
/* A reader in a transaction of its own: all it reads is of one moment. */
struct conn *reader_begin(struct index *x, struct err *err);
void reader_end(struct index *x, struct conn *c);
void index_event(struct index *x);    /* rouse all who wait for a change */
char *index_path(const struct index *x, const char *name);    /* dir/name; yours */
/* blobs/ab/abcd….; in out[n]. */
void index_blob_name(const char *id, char out[64]);

/* Parts of changes, run inside the writer. */
struct removal {               /* what a removed document leaves to be done after the commit */
    struct shelf *shelf;
    int64_t first_chunk, chunks;
    char id[33];
};
enum err_code remove_document(struct conn *c, int64_t seq, struct removal *out,
                              struct removed *count, struct err *err);
void remove_after(const struct removal *r);
void remove_blob(struct index *x, const char *id);
enum err_code collection_touch(struct conn *c, int64_t collection, int64_t *answers,
                               struct err *err);
enum err_code text_slice(struct conn *c, int64_t document, uint32_t start, uint32_t end,
                         struct buf *out, struct err *err);
enum err_code usage_flush(struct index *x, struct conn *c, struct err *err);
void *memdup(const void *p, size_t n);
#endif
