/* ingest/worker.h - a thread that takes jobs from the queue to the index.
 * Private to ingest/. */
#ifndef CARREL_INGEST_WORKER_H
#define CARREL_INGEST_WORKER_H
#include <pthread.h>
#include "index/jobs.h"
#include "ingest/chunk.h"
#include "ingest/extract.h"
#include "ingest/ingest.h"

struct ingest {
    struct ingest_options opt;
    struct extract_options extract;
    char sandbox[64];
    struct stop stop;
    struct worker *workers;
    int n_workers;
    pthread_mutex_t state;        /* guards what follows */
    pthread_cond_t plain_over;
    int plain_calls;              /* ingest_plain at work: its jobs are its own */
    struct ingest_stats stats;
};

/* What is embedded of a passage; borrowed, or in arena (ptr NULL without memory). */
struct str worker_text(const struct passage *p, struct arena *a);
/* Cut and embed a text: chunks, vectors and tokens of `c`, in arena. Counts
 * into the statistics. `job` 0: no progress to report. */
enum err_code worker_prepare(struct ingest *g, int64_t job, struct content *c, struct arena *a,
                             const struct stop *stop, struct err *err);
void worker_count(struct ingest *g, const struct ingest_stats *more);

/* Start g->n_workers threads; on failure none runs. */
enum err_code workers_start(struct ingest *g, struct err *err);
void workers_join(struct ingest *g);   /* after g->stop is set and jobs_wake */
#endif
