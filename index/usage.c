/* Usage: summed in memory, written now and then, so that counting costs nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "index/index_int.h"

#define KINDS_MAX 64   /* kinds times models; what is beyond counts as "other" */

static struct usage_row *row_of(struct index *x, const struct usage *u)
{
    for (int i = 0; i < x->n_usage; i++)
        if (strcmp(x->usage[i].kind, u->kind) == 0 && strcmp(x->usage[i].model, u->model) == 0)
            return &x->usage[i];
    if (!x->usage)
        x->usage = calloc(KINDS_MAX + 1, sizeof(*x->usage));
    if (!x->usage)
        return NULL;
    if (x->n_usage >= KINDS_MAX) {
        x->n_usage = KINDS_MAX + 1;
        snprintf(x->usage[KINDS_MAX].kind, sizeof(x->usage->kind), "other");
        return &x->usage[KINDS_MAX];
    }
    struct usage_row *r = &x->usage[x->n_usage++];
    snprintf(r->kind, sizeof(r->kind), "%s", u->kind);
    snprintf(r->model, sizeof(r->model), "%s", u->model);
    return r;
}

void index_usage(struct index *x, const struct usage *u)
{
    pthread_mutex_lock(&x->usage_lock);
    struct usage_row *r = row_of(x, u);
    if (r) {
        r->requests++;
        r->sum.prompt_tokens += u->prompt_tokens;
        r->sum.completion_tokens += u->completion_tokens;
        r->sum.ms += u->ms;
    }
    pthread_mutex_unlock(&x->usage_lock);
}

enum err_code usage_flush(struct index *x, struct conn *c, struct err *err)
{
    pthread_mutex_lock(&x->usage_lock);
    struct usage_row *rows = x->usage;
    int n = x->n_usage;
    x->usage = NULL;
    x->n_usage = 0;
    pthread_mutex_unlock(&x->usage_lock);
    enum err_code rc = OK;
    for (int i = 0; i < n && !rc; i++)
        rc = sql_exec(c, err, "INSERT INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
                              "ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, "
                              "prompt_tokens = prompt_tokens + excluded.prompt_tokens, "
                              "completion_tokens = completion_tokens + excluded.completion_tokens, "
                              "ms = ms + excluded.ms",
                      "issiiid", clock_now_ms() / 86400000, rows[i].kind, rows[i].model,
                      rows[i].requests, rows[i].sum.prompt_tokens, rows[i].sum.completion_tokens,
                      rows[i].sum.ms);
    free(rows);
    return rc;
}
