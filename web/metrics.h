/* web/metrics.h - what /metrics tells, in Prometheus text format 0.0.4.
 *
 * Requests and search phases are counted here as they happen; what the other
 * rooms count (documents, jobs, bytes, nodes) is asked of them when read.
 * Threads   counters are atomic. Memory  metrics_free releases all. */
#ifndef CARREL_WEB_METRICS_H
#define CARREL_WEB_METRICS_H
#include "base/str.h"
#include "query/query.h"

struct web;
struct metrics;
struct metrics *metrics_new(int n_routes);               /* NULL without memory */
void metrics_free(struct metrics *m);
/* One answered request; `route` -1: none matched. */
void metrics_request(struct metrics *m, int route, int status, double ms);
void metrics_search(struct metrics *m, const struct search_timings *t, int hits);
enum answer_kind { ANSWER_FULL, ANSWER_PARTIAL, ANSWER_NONE, ANSWER_KINDS };
void metrics_answer(struct metrics *m, enum answer_kind kind, double first_word_ms);
void metrics_write(struct web *w, struct buf *out);
#endif
