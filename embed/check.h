/* embed/check.h - is an installed encoder what it says, and do we run it right?
 *
 * Models of shapes that the world publishes numbers about (bge-small-en-v1.5,
 * bge-base-en-v1.5, all-MiniLM-L6-v2) are asked a few sentences and compared
 * with those numbers; every model is asked whether batches change its bits.
 * Threads   as embed.h. */
#ifndef CARREL_EMBED_CHECK_H
#define CARREL_EMBED_CHECK_H
#include <stdbool.h>
#include "base/err.h"
#include "embed/embed.h"

enum check_verdict {
    VERDICT_SAME,        /* all published numbers met */
    VERDICT_DIFFERENT,   /* another model, a broken file, or wrong pooling */
    VERDICT_UNKNOWN,     /* nothing published for a model of this shape */
};

struct check_result {
    enum check_verdict verdict;
    const char *model;   /* the published model compared with, or NULL. Static */
    const char *source;  /* of the worst number, or NULL. Static */
    int numbers;         /* compared */
    double worst;        /* largest |difference|, in units of what is allowed: <= 1 is good */
    bool stable;         /* one by one and in a batch gave the same bits */
    char says[240];      /* a sentence for the operator */
};

/* ERR_* only when the encoder itself fails. */
enum err_code check_model(struct embed *e, struct check_result *out, struct err *err);
#endif
