/* query/retrieve.h - candidates: by meaning from the graph, by words from BM25.
 *
 * The background is the mean vector of a few sentences about nothing in
 * particular. A question's dot product with it (its base) is the cosine it has
 * with texts of no concern: near 0 for the static encoder, .4 and more for the
 * bge family. Fusion and the evidence gate count cosines from there, so that
 * their constants hold for both.
 * Threads   no state. Memory  results in the caller's arena. Private to query/. */
#ifndef CARREL_QUERY_RETRIEVE_H
#define CARREL_QUERY_RETRIEVE_H
#include "query/query_int.h"

#define RETRIEVE_DEPTH 100     /* least candidates a side; 4 a wanted hit above that */

struct retrieved {
    struct near_hit *dense, *words;
    int n_dense, n_words;
    struct meaning meaning;
    const char *no_dense;      /* why the dense side was left out, or NULL */
    double embed_ms, ann_ms, words_ms;
};

/* background[dim]; zeros when the encoder has no vector for any of it. */
enum err_code retrieve_background(struct embed *e, float *background, struct err *err);
enum err_code retrieve(struct query *q, const struct scope *scope, const struct search_request *req,
                       struct arena *a, struct retrieved *out, struct err *err);
/* A cosine counted from the base: 0 there, 1 at 1. */
double retrieve_likeness(double cosine, double base);
#endif
