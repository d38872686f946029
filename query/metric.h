/* query/metric.h - the measures of ranked retrieval and of answers.
 *
 * nDCG as trec_eval counts it (K. Järvelin and J. Kekäläinen, "Cumulated
 * gain-based evaluation of IR techniques", 2002; gain = grade, discount
 * log2(rank + 1), ideal over all judged documents). Recall and MRR take a grade
 * above 0 as relevant. Answer text is compared as SQuAD does (P. Rajpurkar et
 * al., 2016): lower case, without ASCII punctuation and English articles.
 * Threads   no state. Private to query/. */
#ifndef CARREL_QUERY_METRIC_H
#define CARREL_QUERY_METRIC_H
#include <stdbool.h>
#include "base/err.h"
#include "base/str.h"

/* ranked[n]: grades of the documents found, best first, 0 where not judged.
 * judged[m]: all grades of the query, in any order. A query without a relevant
 * document gives 0: leave it out of means. */
double metric_ndcg(const int *ranked, int n, const int *judged, int m, int k);
double metric_recall(const int *ranked, int n, const int *judged, int m, int k);
double metric_mrr(const int *ranked, int n, int k);
/* Share of (answerable, unanswerable) pairs that evidence puts in the right
 * order, ties half: the area under the refusal curve. */
double metric_auc(const double *answerable, int n, const double *unanswerable, int m);

/* SQuAD's normal form, words joined by one space, behind `out`. */
enum err_code metric_normal(struct str text, struct buf *out, struct err *err);
/* `gold`, not empty, stands in `text` on word boundaries; both in normal form. */
bool metric_contains(struct str text, struct str gold);
/* SQuAD's F1 of words shared, counted as often as both have them; both in normal form. */
double metric_f1(struct str text, struct str gold);
int metric_words(struct str text);   /* runs between white space */
#endif
