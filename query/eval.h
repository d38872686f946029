/* query/eval.h - measure retrieval, answers and refusals on judged sets.
 *
 * A BEIR-layout folder: corpus.jsonl {_id,title,text}, queries.jsonl
 * {_id,text}, qrels.tsv (query, document, grade; header line), and optionally
 * qa.jsonl {_id,question,answers,gold,answerable}. nDCG with gain = grade and
 * discount log2(rank + 1) (trec_eval); recall@k and MRR@10 count grade > 0;
 * queries without a relevant document are left out of the means.
 * The corpus is already in the index (cmd/eval fills a scratch store, each
 * document named by its _id). */
#ifndef CARREL_QUERY_EVAL_H
#define CARREL_QUERY_EVAL_H
#include "query/query.h"

struct eval_progress { void (*say)(void *arg, const char *what, int done, int total); void *arg; };

/* *out: the last line of `carrel eval --json` in API.md; with qa.jsonl also
 * "answers": {...} and "refusals": {threshold curve}. */
enum err_code eval_run(struct query *q, const char *dir, const char *collection,
                       const struct eval_progress *progress, const struct stop *stop, json_t **out,
                       struct err *err);
#endif
