/* query/rarity.h - how telling each word of a question is in its collection.
 *
 * ln(1 + (N - n + .5) / (n + .5)) for a stem that n of N chunks have, as if the
 * collection had RARITY_PRIOR chunks more of which one in fifty has it: in a
 * store of three documents a word they lack is not five times as telling as
 * one they have. A stem that no chunk has counts half: it may be a slip or the
 * asker's own abbreviation. (Whole: .021 and .009 more answerable questions of
 * clapnq-half and xquad-half refused, no more of the unanswerable.)
 * Threads   immutable after rarity_read. Memory  in the caller's arena. Private to query/. */
#ifndef CARREL_QUERY_RARITY_H
#define CARREL_QUERY_RARITY_H
#include "base/arena.h"
#include "index/index.h"

#define RARITY_PRIOR 200

struct rarity { struct str *stems; double *idf; int n; };

double rarity_formula(int64_t with, int64_t total);
enum err_code rarity_read(struct index *x, const char *collection, struct str question,
                          struct arena *a, struct rarity *out, struct err *err);
/* An llm_request's idf callback; `arg` is the struct rarity. */
double rarity_idf(void *arg, struct str stem);
#endif
