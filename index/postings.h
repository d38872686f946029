/* index/postings.h - which chunks hold which words: FTS5 with our own tokenizer
 * and our own BM25.
 *
 * Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and
 * Beyond", 2009; with k1 0.9, b 0.4 (Anserini's) and Lucene's idf
 * ln(1 + (N - df + 0.5) / (df + 0.5)), which is never negative.
 * Tokens    the stem of every word; where its surface differs, "=surface" in
 *           the same place; of a CJK run each character, and each pair in the
 *           place of its first. A chunk's length counts places.
 * Tables    words_N, N the collection's number: contentless, so the text is
 *           stored once, in texts; who removes a row must bring its old text.
 * Threads   of their connection; the lengths are shared. */
#ifndef CARREL_INDEX_POSTINGS_H
#define CARREL_INDEX_POSTINGS_H
#include "index/index.h"
#include "index/lengths.h"
#include "index/sql.h"

/* Make the tokenizer `carrel` and the functions known to a new connection. */
enum err_code postings_register(struct conn *c, struct err *err);
/* A number that changes when the tokenizer would cut texts another way. */
enum err_code postings_version(struct conn *c, int64_t *out, struct err *err);
enum err_code postings_create(struct conn *c, int64_t collection, struct err *err);
enum err_code postings_drop(struct conn *c, int64_t collection, struct err *err);

/* What of a chunk is searched by words: its document's context, its heading path, its text. */
void postings_text(struct buf *out, struct str context, struct str heading, struct str text);
enum err_code postings_add(struct conn *c, int64_t collection, int64_t chunk, struct str text,
                           int64_t *words, struct err *err);
enum err_code postings_cut(struct conn *c, int64_t collection, int64_t chunk, struct str text,
                           struct err *err);
/* Merge away what was cut, about `pages` pages of it; *done when nothing is left. */
enum err_code postings_merge(struct conn *c, int64_t collection, int pages, bool *done,
                             struct err *err);
/* FTS5's own look at its structure; ERR_FORMAT. */
enum err_code postings_check(struct conn *c, int64_t collection, struct err *err);

/* Best first, ties by chunk id; keep(arg, chunk) says who may be found. */
enum err_code postings_search(struct conn *c, int64_t collection, const struct lengths *lengths,
                              struct str query, int k, bool (*keep)(void *arg, int64_t chunk),
                              void *arg, struct near_hit *hits, int *n, struct err *err);
/* In how many chunks each stem occurs. */
enum err_code postings_count(struct conn *c, int64_t collection, const struct lengths *lengths,
                             const struct str *stems, int n, int64_t *out, struct err *err);
#endif
