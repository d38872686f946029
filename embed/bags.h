/* embed/bags.h - training texts as numbers, and the batches made of them.
 *
 * corpus    each pair as piece ids, cut to a window, sentence ends marked.
 * plan      the order of one pass: every pair once, and beside it, where its
 *           passage has sentences enough, a view: some sentences of the passage
 *           as the query, the others as the passage (the inverse cloze task of
 *           Lee, Chang and Toutanova 2019, arXiv:1906.00300), drawn anew each
 *           pass. Batches hold one source each, so that the other passages
 *           of a batch are hard to tell apart; what fills none is mixed.
 * bags      a batch as distinct pieces with weights 1 + ln tf: texts [0, batch)
 *           are queries, [batch, 2 batch) their passages.
 * Threads   one owner. Same seed, same batches. Private to embed/. */
#ifndef CARREL_EMBED_BAGS_H
#define CARREL_EMBED_BAGS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/rng.h"
#include "base/thread.h"
#include "embed/pairs.h"
#include "model/wordpiece.h"

#define BAGS_QUERY_MAX 64      /* pieces of a query that count */
#define BAGS_PASSAGE_MAX 256   /* of a passage */
#define BAGS_SENTENCE_END 0x80000000u

struct corpus_pair {
    size_t at;                 /* of its query in the corpus's ids; the passage follows */
    uint16_t n_query, n_passage;
    int source;
    uint64_t query_hash, passage_hash;
};

struct corpus {
    struct corpus_pair *pairs; /* those with a known piece on both sides */
    size_t n;
    uint32_t *ids;             /* BAGS_SENTENCE_END is set on a sentence's last piece */
    size_t n_ids, cap_ids;
    uint32_t *texts_with;      /* [n_pieces] passages and queries that hold each */
    int n_pieces, n_sources;
};

enum err_code corpus_new(struct corpus *c, const struct pairs *p, const struct wordpiece *w,
                         const struct stop *stop, struct err *err);
void corpus_deinit(struct corpus *c);

/* `view_end` > 0: pieces [view_start, view_end) of the passage are the query. */
struct plan_item { uint32_t pair; uint16_t view_start, view_end; };
struct plan { struct plan_item *items; size_t n_batches; int batch; };

/* `views`: share of the pairs with enough sentences that get one, 0..1. */
enum err_code plan_new(struct plan *p, const struct corpus *c, int batch, double views,
                       struct rng *rng, struct err *err);
void plan_deinit(struct plan *p);

struct bags {
    int batch;
    int *start;                /* [2 batch + 1] */
    int32_t *ids;              /* distinct within a text */
    float *weights;
    uint64_t *same;            /* [2 batch] hash of each text: equal texts are no contrast */
    int64_t *seen;             /* [n_pieces] the last text that held the piece */
    int *place;                /* [n_pieces] and where in `ids` */
    int64_t text;              /* number of the text at hand, from 1 */
};
enum err_code bags_new(struct bags *b, int batch, int n_pieces, struct err *err);
void bags_deinit(struct bags *b);
/* Fill with batch number `i` of the plan. */
void bags_fill(struct bags *b, const struct corpus *c, const struct plan *p, size_t i,
               struct rng *rng);
#endif
