/* query/join.h - hits that stand side by side in a document become one.
 *
 * Chunks of one document with consecutive places are joined, at most
 * JOIN_CHUNKS of them; the joined hit keeps the best one's place, score and
 * explanation and covers the whole range. Overlap between chunks is told once.
 * Threads   no state. Private to query/. */
#ifndef CARREL_QUERY_JOIN_H
#define CARREL_QUERY_JOIN_H
#include "query/query.h"

#define JOIN_CHUNKS 3     /* about 1,000 tokens: a page, still quick to read */

/* hits[0..*n) best first, each with its own chunk's range. Fills in n (from 1)
 * and leaves `text` NULL where the range grew: the caller reads it. */
void join_hits(struct hit *hits, int *n);
#endif
