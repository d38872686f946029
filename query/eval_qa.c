#include "query/eval_qa.h"
#include <string.h>
#include "base/clock.h"
#include "query/cite.h"
#include "query/metric.h"
#include "query/query_int.h"

#define CURVE_STEPS 20

struct tally {
    double *evidence[2]; /* of [unanswerable, answerable] questions */
    int n[2], refused[2];
    int holds; /* answers with a gold one in it */
    int citations, citations_gold, answered;
    int64_t words;
    double f1, ms;
};

static bool listed(const char *name, const char *const *list, int n)
{
    for (int i = 0; i < n; i++)
        if (name && strcmp(name, list[i]) == 0)
            return true;
    return false;
}

/* The answer without its marks, behind `b`. */
static enum err_code plain_answer(const json_t *reply, struct arena *a, struct buf *b,
                                  struct err *err)
{
    const json_t *v = json_object_get(reply, "answer");
    struct str text = {json_string_value(v), json_string_length(v)};
    struct cite_mark *m = NULL;
    int n = 0;
    size_t at = 0;
    enum err_code rc = cite_marks(text, a, &m, &n, err);
    for (int i = 0; i < n && !rc; i++) {
        buf_str(b, str_sub(text, at, m[i].start));
        at = m[i].end;
    }
    buf_str(b, str_sub(text, at, text.len));
    return rc ? rc : buf_ok(b, "an answer", err);
}

/* Against the gold answer that fits best. */
static enum err_code compare(struct str answer, const struct judged_question *q, bool *holds,
                             double *f1, struct err *err)
{
    struct buf said = {0}, gold = {0};
    *holds = false;
    *f1 = 0;
    enum err_code rc = metric_normal(answer, &said, err);
    for (int i = 0; i < q->n_answers && !rc; i++) {
        buf_reset(&gold);
        rc = metric_normal(str_of(q->answers[i]), &gold, err);
        double got = rc ? 0 : metric_f1(buf_view(&said), buf_view(&gold));
        *f1 = got > *f1 ? got : *f1;
        *holds = *holds || (!rc && metric_contains(buf_view(&said), buf_view(&gold)));
    }
    buf_free(&said);
    buf_free(&gold);
    return rc;
}

static enum err_code judge(const json_t *reply, const struct judged_question *q, struct arena *a,
                           struct tally *t, struct err *err)
{
    const char *finish = json_string_value(json_object_get(reply, "finish_reason"));
    const json_t *list = json_object_get(reply, "citations");
    int kind = q->answerable;
    t->evidence[kind][t->n[kind]++] = json_number_value(json_object_get(reply, "evidence"));
    if (finish && strcmp(finish, "refused") == 0) {
        t->refused[kind]++;
        return OK;
    }
    if (!q->answerable)
        return OK;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *name = json_object_get(json_array_get(list, i), "document_name");
        t->citations++;
        t->citations_gold += listed(json_string_value(name), q->gold, q->n_gold);
    }
    struct buf text = {0};
    bool holds = false;
    double f1 = 0;
    enum err_code rc = plain_answer(reply, a, &text, err);
    if (!rc)
        rc = compare(buf_view(&text), q, &holds, &f1, err);
    t->holds += holds;
    t->f1 += f1;
    t->words += metric_words(buf_view(&text));
    t->answered++;
    buf_free(&text);
    return rc;
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static double below(const double *v, int n, double threshold)
{
    int under = 0;
    for (int i = 0; i < n; i++)
        under += v[i] < threshold;
    return share(under, n);
}

static json_t *render_answers(const struct tally *t)
{
    json_t *o = json_object();
    json_put(o, "questions", json_integer(t->n[0] + t->n[1]));
    json_put(o, "answerable", json_integer(t->n[1]));
    json_put(o, "contains_gold", json_real(share(t->holds, t->n[1])));
    json_put(o, "contains_gold_when_answered", json_real(share(t->holds, t->answered)));
    json_put(o, "gold_f1_mean", json_real(share(t->f1, t->n[1])));
    json_put(o, "citations", json_integer(t->citations));
    json_put(o, "citations_gold", json_real(share(t->citations_gold, t->citations)));
    json_put(o, "words_mean", json_real(share((double)t->words, t->answered)));
    json_put(o, "sentences_mean", json_real(share(t->citations, t->answered)));
    json_put(o, "ms_per_question", json_real(share(t->ms, t->n[0] + t->n[1])));
    return o;
}

/* null where there was nothing to count. */
static json_t *number(int of, double value)
{
    return of ? json_real(value) : json_null();
}

static json_t *render_refusals(const struct query *q, const struct tally *t)
{
    json_t *o = json_object(), *curve = json_array();
    for (int i = 1; i < CURVE_STEPS; i++) {
        double at = (double)i / CURVE_STEPS;
        json_t *point = json_object();
        json_put(point, "threshold", json_real(at));
        json_put(point, "answerable_refused", json_real(below(t->evidence[1], t->n[1], at)));
        json_put(point, "unanswerable_refused",
                 number(t->n[0], below(t->evidence[0], t->n[0], at)));
        json_array_append_new(curve, point);
    }
    json_put(o, "answerable", json_integer(t->n[1]));
    json_put(o, "unanswerable", json_integer(t->n[0]));
    json_put(o, "threshold", json_real(q->opt.min_evidence));
    json_put(o, "answerable_refused", json_real(share(t->refused[1], t->n[1])));
    json_put(o, "unanswerable_refused", number(t->n[0], share(t->refused[0], t->n[0])));
    json_put(o, "auc",
             number(t->n[0], metric_auc(t->evidence[1], t->n[1], t->evidence[0], t->n[0])));
    json_put(o, "curve", curve);
    return o;
}

static enum err_code ask_one(struct query *q, const struct judged_question *jq,
                             const char *collection, const struct stop *stop, struct tally *t,
                             struct err *err)
{
    struct ask_request r = {.question = jq->question, .collection = collection};
    struct arena a = {0};
    json_t *reply = NULL;
    double began = clock_ms();
    enum err_code rc = query_ask(q, &r, NULL, stop, &reply, err);
    t->ms += clock_ms() - began;
    if (!rc)
        rc = judge(reply, jq, &a, t, err);
    json_decref(reply);
    arena_deinit(&a);
    return rc;
}

enum err_code eval_questions(struct query *q, const struct judged_set *set, const char *collection,
                             const struct eval_progress *progress, const struct stop *stop,
                             json_t *out, struct err *err)
{
    struct arena a = {0};
    struct tally t = {0};
    enum err_code rc = OK;
    for (int k = 0; k < 2; k++) {
        t.evidence[k] = arena_alloc(&a, (size_t)set->n_questions, sizeof(double));
        if (!t.evidence[k])
            rc = err_set(err, ERR_NOMEM, "%d questions", set->n_questions);
    }
    for (int i = 0; i < set->n_questions && !rc; i++) {
        if (progress && progress->say)
            progress->say(progress->arg, "answers", i, set->n_questions);
        rc = ask_one(q, &set->questions[i], collection, stop, &t, err);
    }
    if (!rc) {
        json_put(out, "answers", render_answers(&t));
        json_put(out, "refusals", render_refusals(q, &t));
    }
    arena_deinit(&a);
    return rc;
}
