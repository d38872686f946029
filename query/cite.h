/* query/cite.h - from "[n]" in an answer to bytes in stored text.
 *
 * A mark is "[n]" with n of one to four digits; engines see to it that nothing
 * else in an answer looks so. The claim of a mark is the text since the mark
 * before it, or of that the last sentence. Its quote in passage n is the range
 * that says the same, white space, invisible characters and the kind of
 * bracket apart; else the sentence of the passage that supports it best.
 * Every citation is checked against the stored text read anew: its bytes are
 * there, or the mark goes out of the answer.
 * Ranges    of the answer: bytes. Of passages: bytes of the document's stored text.
 * Threads   no state. Memory  results in the caller's arena. Private to query/. */
#ifndef CARREL_QUERY_CITE_H
#define CARREL_QUERY_CITE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "query/ground.h"

struct cite_mark { int n; size_t start, end; };
/* All marks, in order; in arena. */
enum err_code cite_marks(struct str answer, struct arena *a, struct cite_mark **out, int *n,
                         struct err *err);

/* Where `passage` says `claim`; false when it does not, or claim is blank. */
bool cite_locate(struct str claim, struct str passage, struct arena *a, size_t *start,
                 size_t *end);

struct cite_passage {
    struct str text;      /* as it was given to the generator */
    uint32_t start;       /* where that begins in the stored text */
    struct str stored;    /* all of the document's text, read anew; empty when it is gone */
};

/* The bytes [start, end) of p->text are in its stored text, on boundaries. */
bool cite_holds(const struct cite_passage *p, size_t start, size_t end);

struct citation {
    int n;                /* of the passage, from 1 */
    size_t answer_start, answer_end;   /* its claim */
    uint32_t start, end;  /* the quote, in stored text */
    bool exact;           /* the quote says what the claim says */
    double support;       /* 0..1: share of the claim's words in the quote, with
                             meaning when there is a callback; 1 when exact */
};

struct cite_request {
    struct str answer;
    const struct cite_passage *passages;
    int n_passages;
    /* Likeness of a claim and a quote by meaning, about 0..1. May be NULL. */
    enum err_code (*likeness)(void *arg, struct str claim, struct str quote, double *out,
                              struct err *err);
    void *arg;
};
struct cited {
    struct str answer;    /* without the marks that did not hold */
    struct citation *citations; int n;
    struct ground_claims claims;
};
enum err_code cite(const struct cite_request *req, struct arena *a, struct cited *out,
                   struct err *err);
#endif
