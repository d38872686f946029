/* query/support.h - does a passage say what a claim says, and where?
 *
 * By words: the share of the claim's distinct content stems that the text has,
 * words with digits counting twice, 0..1. By numbers: every number of the claim
 * stands in the text ("1,200" and "1200" are one). By meaning: the encoder's
 * likeness of claim and text, when there is a callback.
 *   support = (words + likeness) / 2, words alone without an encoder; at most
 *             SUPPORT_NUMBERS when a number is missing; 1 when the passage has
 *             the claim word for word.
 * Threads   a struct words is one thread's. Memory  in the caller's arena.
 * Private to query/. */
#ifndef CARREL_QUERY_SUPPORT_H
#define CARREL_QUERY_SUPPORT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "base/words.h"

/* A changed number is the commonest way to be wrong in the right words. */
#define SUPPORT_NUMBERS 0.25

struct stems { uint64_t *h; double *weight; int n, cap; };
/* Distinct content stems of a text. */
enum err_code support_stems(struct words *w, struct str text, struct arena *a, struct stems *out,
                            struct err *err);
double support_share(const struct stems *claim, const struct stems *text);
/* The text's sentence with most of the claim's words, the first of equals, trimmed;
 * *share is -1 and the range empty when it has none. */
enum err_code support_sentence(struct words *w, struct str claim, struct str text, struct arena *a,
                               size_t *start, size_t *end, double *share, struct err *err);
/* Every number of the claim is in the text. */
bool support_numbers(struct str claim, struct str text);

struct support_how {
    struct words *words;
    /* Likeness of the claim to each text by meaning, about 0..1. May be NULL. */
    enum err_code (*likeness)(void *arg, struct str claim, const struct str *texts, int n,
                              double *out, struct err *err);
    void *arg;
};
struct support {
    size_t start, end;    /* the quote, in the passage; empty when that is blank */
    double words, like;   /* like is -1 without a callback */
    double value;         /* 0..1 */
    bool exact, numbers;
};
/* The one to three neighbouring sentences of `passage` that support the claim best. */
enum err_code support_find(const struct support_how *how, struct str claim, struct str passage,
                           struct arena *a, struct support *out, struct err *err);
double support_value(const struct support *s);
#endif
