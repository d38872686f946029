/* query/eval_qa.h - the answers and refusals of a judged set.
 * Threads   no state. Private to query/. */
#ifndef CARREL_QUERY_EVAL_QA_H
#define CARREL_QUERY_EVAL_QA_H
#include "query/eval.h"
#include "query/eval_read.h"

/* Asks every question of the set; sets `answers` and, in `refusals`, the share
 * refused of each kind over thresholds of evidence:
 * answers  {questions, answerable, contains_gold, contains_gold_when_answered,
 *           gold_f1_mean (a refusal counts 0; for answers as long as clapnq's), citations,
 *           citations_gold, words_mean, sentences_mean, ms_per_question}
 * refusals {answerable, unanswerable, threshold, answerable_refused,
 *           unanswerable_refused, auc, curve: [{threshold, answerable_refused,
 *           unanswerable_refused}]} */
enum err_code eval_questions(struct query *q, const struct judged_set *set, const char *collection,
                             const struct eval_progress *progress, const struct stop *stop,
                             json_t *out, struct err *err);
#endif
