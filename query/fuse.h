/* query/fuse.h - one ranking out of two: by meaning and by words.
 *
 * score = weight * meaning + (1 - weight) * words, where
 *   words    BM25 over the best candidate's BM25
 *   meaning  (cosine - base) / (best candidate's - base), base being what the
 *            question has in common with texts of no concern (retrieve.h)
 * within 0..1. What BM25 did not find has no words; what the encoder did not
 * find counts as its last candidate (of the first FUSE_DEPTH), being at most
 * that near. Sums of scores, not of ranks: reciprocal rank fusion lets a weak
 * encoder drag good BM25 down.
 * Measured with the built-in encoder on scifact, cranfield, cacm, dbpedia-5k
 * and xquad-half: mean nDCG@10 of words .580, and of hybrid at weight .25 .601,
 * .30 .602, .35 .603, .40 .607, .45 .604, .50 .604; each gains .005 or more on
 * every set, so that the middle of the plateau is taken, not a peak. Min-max
 * over 100 candidates peaks as high but falls off faster as the weight grows.
 * Threads   no state. Private to query/. */
#ifndef CARREL_QUERY_FUSE_H
#define CARREL_QUERY_FUSE_H
#include "base/arena.h"
#include "base/err.h"
#include "index/index.h"

#define FUSE_DEPTH 100     /* so that scores do not hang on how many were asked for */

struct fused {
    int64_t chunk;
    double score;                    /* 0..1 */
    int dense_rank, words_rank;      /* from 1; 0: not among that side's candidates */
    double dense_score, words_score; /* as the index gave them */
};

struct fuse_side { const struct near_hit *hits; int n; double base; };   /* best first */

/* weight in [0, 1] is the dense side's; words.base is not looked at. Best first,
 * equal scores by chunk id; every chunk once; *out in arena, *n <= dense.n + words.n. */
enum err_code fuse(struct fuse_side dense, struct fuse_side words, double weight, struct arena *a,
                   struct fused **out, int *n, struct err *err);
#endif
