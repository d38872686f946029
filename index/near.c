/* The two searches of a collection: by vector and by words. */
#include <math.h>
#include <stdlib.h>
#include "base/vec.h"
#include "index/index_int.h"
#include "index/postings.h"

#define K_MAX      10000
#define SCAN_MOST  4096     /* chunks a filter may leave and be scanned whatever the graph's size */
#define SCAN_SHARE 8        /* or one in so many: the beam would have to be as many times wider */

static enum err_code begin(struct index *x, const char *collection, int k, struct shelf **s,
                           uint64_t *changes, struct conn **c, struct err *err)
{
    *c = NULL;
    if (k < 1 || k > K_MAX)
        return err_set(err, ERR_ARG, "k %d: want 1..%d", k, K_MAX);
    *s = shelf_take(x, collection);
    if (!*s)
        return err_set(err, ERR_NOTFOUND, "no collection \"%.64s\"", collection);
    *changes = (*s)->changes;   /* before the transaction: see filter_read */
    *c = reader_begin(x, err);
    return *c ? OK : ERR_IO;
}

static bool keep(void *arg, int64_t chunk)
{
    return filter_keeps(arg, chunk);
}

static enum err_code check_query(const float *query, int dim, struct err *err)
{
    float square = vec_dot(query, query, dim);
    if (!(square > 0.9f && square < 1.1f))
        return err_set(err, ERR_ARG, "a query of squared length %g, want 1", (double)square);
    return OK;
}

static enum err_code scan(const struct shelf *s, const float *query, int k, const struct filter *f,
                          struct near_hit *hits, int *n, struct err *err)
{
    int64_t *ids = malloc(((size_t)f->chunks + 1) * sizeof(*ids));
    size_t count = 0;
    if (!ids)
        return err_set(err, ERR_NOMEM, "%lld chunks", (long long)f->chunks);
    for (size_t i = 0; i < f->n; i++)
        for (int64_t id = f->spans[i].first; id < f->spans[i].last; id++)
            ids[count++] = id;
    enum err_code rc = graph_scan(s, query, k, ids, count, hits, n);
    free(ids);
    return rc;
}

static enum err_code near(const struct shelf *s, const float *query, int k, int ef,
                          struct filter *f, struct near_hit *hits, int *n, struct err *err)
{
    int64_t all = s->lengths.chunks;
    if (f->all)
        return graph_search(s, query, k, ef, NULL, NULL, hits, n, err);
    if (f->chunks <= SCAN_MOST || f->chunks * SCAN_SHARE <= all)
        return scan(s, query, k, f, hits, n, err);
    int64_t wider = (int64_t)ef * all / f->chunks;
    return graph_search(s, query, k, wider < 4096 ? (int)wider : 4096 > ef ? 4096 : ef, keep, f,
                        hits, n, err);
}

enum err_code index_near(struct index *x, const char *collection, const float *query, int k, int ef,
                         const char *filter, struct near_hit *hits, int *n, struct err *err)
{
    struct shelf *s = NULL;
    uint64_t changes;
    struct conn *c;
    struct arena a = {0};
    struct filter f;
    *n = 0;
    enum err_code rc = begin(x, collection, k, &s, &changes, &c, err);
    if (!rc)
        rc = check_query(query, s->dim, err);
    if (!rc)
        rc = filter_read(c, s, changes, filter, &a, &f, err);
    reader_end(x, c);
    if (!rc)
        rc = near(s, query, k, ef < k ? k : ef, &f, hits, n, err);
    arena_deinit(&a);
    shelf_give(s);
    return rc;
}

enum err_code index_words(struct index *x, const char *collection, struct str query, int k,
                          const char *filter, struct near_hit *hits, int *n, struct err *err)
{
    struct shelf *s = NULL;
    uint64_t changes;
    struct conn *c;
    struct arena a = {0};
    struct filter f;
    *n = 0;
    enum err_code rc = begin(x, collection, k, &s, &changes, &c, err);
    if (!rc)
        rc = filter_read(c, s, changes, filter, &a, &f, err);
    if (!rc)
        rc = postings_search(c, s->id, &s->lengths, query, k, f.all ? NULL : keep, &f, hits, n,
                             err);
    reader_end(x, c);
    arena_deinit(&a);
    shelf_give(s);
    return rc;
}

enum err_code index_word_counts(struct index *x, const char *collection, const struct str *stems,
                                int n, int64_t *out, int64_t *total, struct err *err)
{
    struct shelf *s = NULL;
    uint64_t changes;
    struct conn *c;
    enum err_code rc = begin(x, collection, 1, &s, &changes, &c, err);
    if (!rc) {
        *total = s->lengths.chunks;
        rc = postings_count(c, s->id, &s->lengths, stems, n, out, err);
    }
    reader_end(x, c);
    shelf_give(s);
    return rc;
}
