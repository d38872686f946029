/* query/query_int.h - what the files of this room share.
 *
 * Threads   struct query is immutable after query_new but for the counts,
 *           which `lock` guards. Private to query/. */
#ifndef CARREL_QUERY_QUERY_INT_H
#define CARREL_QUERY_QUERY_INT_H
#include <pthread.h>
#include "query/query.h"

struct query {
    struct query_options opt;      /* defaults filled in */
    float *background;             /* [dim], see retrieve.h */
    pthread_mutex_t lock;          /* guards counts */
    struct query_counts counts;
};

/* A request's own view of its collection, taken before retrieval begins. */
struct scope {
    const char *name;
    struct collection collection;
};
/* ERR_NOTFOUND when there is no such collection. */
enum err_code query_scope(struct query *q, const char *collection, struct arena *a,
                          struct scope *out, struct err *err);
/* query_search, keeping the question's vector (NULL when it has none) and base.
 * per_document > 0: no document gives more hits while others have some. */
struct meaning { float *vector; double base; };
enum err_code query_search_in(struct query *q, const struct scope *scope,
                              const struct search_request *req, int per_document, struct arena *a,
                              struct search_result *out, struct meaning *meaning, struct err *err);
#endif
