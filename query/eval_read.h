/* query/eval_read.h - a judged set from its BEIR-layout folder.
 *
 * queries.jsonl {_id, text}; qrels.tsv: a header line, then query, document,
 * grade by tabs; qa.jsonl (optional) {_id, question, answers, gold, answerable}.
 * A line that is none of this is ERR_FORMAT naming file and line.
 * Threads   plain values. Memory  in the caller's arena. Private to query/. */
#ifndef CARREL_QUERY_EVAL_READ_H
#define CARREL_QUERY_EVAL_READ_H
#include "base/arena.h"
#include "base/err.h"

struct judgement { const char *query, *document; int grade; };
struct judged_query {
    const char *id;
    struct str text;
    const struct judgement *judgements;   /* ordered by document */
    int n;
    int *grades;                          /* [n] */
};
struct judged_question {
    struct str question;
    const char **answers, **gold;         /* n_answers, n_gold */
    int n_answers, n_gold;
    bool answerable;
};
struct judged_set {
    struct judged_query *queries; int n_queries;       /* those with a relevant document */
    struct judged_question *questions; int n_questions; /* of qa.jsonl */
};
/* ERR_NOTFOUND without queries.jsonl or qrels.tsv. */
enum err_code eval_read(const char *dir, struct arena *a, struct judged_set *out, struct err *err);
/* Grade of a document, 0 when it was not judged. */
int eval_grade(const struct judged_query *q, const char *document);
#endif
