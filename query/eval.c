#include "query/eval.h"
#include <string.h>
#include "query/eval_qa.h"
#include "query/eval_read.h"
#include "query/metric.h"
#include "query/query_int.h"

/* Measures at 10 and the time are of a search as people do it; recall at 100
 * needs a longer list, a document having several chunks. */
#define TOP_K      20
#define DEEP_TOP_K 300

struct measures {
    double ndcg, recall, mrr, deep, ms;
    int queries;
};

/* Grades of the documents found, each at its best chunk, at most `cap`. */
static int grades_of(const struct judged_query *jq, const struct search_result *r, int *out,
                     int cap)
{
    int n = 0;
    for (int i = 0; i < r->n_hits && n < cap; i++) {
        const char *name = r->hits[i].chunk.document_name;
        bool before = false;
        for (int k = 0; k < i && !before; k++)
            before = strcmp(r->hits[k].chunk.document_name, name) == 0;
        if (!before)
            out[n++] = eval_grade(jq, name);
    }
    return n;
}

static enum err_code measure(struct query *q, const struct judged_query *jq, const char *collection,
                             enum search_mode mode, struct measures *m, struct err *err)
{
    struct arena a = {0};
    struct search_result r;
    int grades[100];
    struct search_request req = {.query = jq->text,
                                 .collection = collection,
                                 .mode = mode,
                                 .top_k = TOP_K,
                                 .no_merge = true};
    enum err_code rc = query_search(q, &req, &a, &r, err);
    if (!rc) {
        int n = grades_of(jq, &r, grades, 100);
        m->ndcg += metric_ndcg(grades, n, jq->grades, jq->n, 10);
        m->recall += metric_recall(grades, n, jq->grades, jq->n, 10);
        m->mrr += metric_mrr(grades, n, 10);
        m->ms += r.ms.total_ms;
        m->queries++;
        req.top_k = DEEP_TOP_K;
        rc = query_search(q, &req, &a, &r, err);
    }
    if (!rc) {
        int n = grades_of(jq, &r, grades, 100);
        m->deep += metric_recall(grades, n, jq->grades, jq->n, 100);
    }
    arena_deinit(&a);
    return rc;
}

static json_t *render(const struct measures *m)
{
    json_t *o = json_object();
    double n = m->queries ? m->queries : 1;
    json_put(o, "ndcg_at_10", json_real(m->ndcg / n));
    json_put(o, "recall_at_10", json_real(m->recall / n));
    json_put(o, "recall_at_100", json_real(m->deep / n));
    json_put(o, "mrr_at_10", json_real(m->mrr / n));
    json_put(o, "ms_per_query", json_real(m->ms / n));
    return o;
}

static enum err_code eval_mode(struct query *q, const struct judged_set *set,
                               const char *collection, enum search_mode mode,
                               const struct eval_progress *progress, const struct stop *stop,
                               json_t *out, struct err *err)
{
    struct measures m = {0};
    enum err_code rc = OK;
    for (int i = 0; i < set->n_queries && !rc; i++) {
        if (progress && progress->say)
            progress->say(progress->arg, search_mode_name(mode), i, set->n_queries);
        rc = stop_check(stop, err);
        if (!rc)
            rc = measure(q, &set->queries[i], collection, mode, &m, err);
    }
    if (!rc)
        json_put(out, search_mode_name(mode), render(&m));
    return rc;
}

enum err_code eval_run(struct query *q, const char *dir, const char *collection,
                       const struct eval_progress *progress, const struct stop *stop, json_t **out,
                       struct err *err)
{
    static const enum search_mode MODES[] = {SEARCH_WORDS, SEARCH_DENSE, SEARCH_HYBRID};
    struct arena a = {0};
    struct judged_set set;
    struct scope scope;
    json_t *o = json_object();
    enum err_code rc = eval_read(dir, &a, &set, err);
    if (!rc)
        rc = query_scope(q, collection, &a, &scope, err);
    if (!rc) {
        json_put(o, "documents", json_integer(scope.collection.documents));
        json_put(o, "queries", json_integer(set.n_queries));
        json_put(o, "encoder", json_string(embed_stamp(q->opt.embed)->name));
        json_put(o, "dense_weight", json_real(q->opt.dense_weight));
    }
    for (int i = 0; i < 3 && !rc; i++)
        rc = eval_mode(q, &set, collection, MODES[i], progress, stop, o, err);
    if (!rc && set.n_questions)
        rc = eval_questions(q, &set, collection, progress, stop, o, err);
    if (rc)
        json_decref(o);
    else
        *out = o;
    arena_deinit(&a);
    return rc;
}
