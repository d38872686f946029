/* llm/clue.h - what speaks for a sentence as the answer to a question.
 *
 * A question is read into its content stems with their rarity and the kind of
 * thing it asks for; a sentence into its words. clue_measure compares the two
 * and gives numbers within -1..1 that extractive.c weighs.
 * Threads   no state; the struct words is the caller's thread's own.
 * Memory    in the caller's arena. Private to llm/. */
#ifndef CARREL_LLM_CLUE_H
#define CARREL_LLM_CLUE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "base/words.h"

enum clue_kind { CLUE_ANY, CLUE_NAME, CLUE_TIME, CLUE_PLACE, CLUE_NUMBER, CLUE_REASON };

struct clue_term {
    uint64_t stem;        /* hash of the stem */
    bool stop, upper, digit, time, number, reason;
};
struct clue_text { struct clue_term *terms; int n; };

struct clue_question {
    enum clue_kind kind;
    uint64_t *stems;      /* distinct content stems, in order of the question */
    double *idf;          /* of each, > 0 */
    int n;
    double total;         /* sum of idf */
};

enum err_code clue_text(struct words *w, struct str text, struct arena *a, struct clue_text *out,
                        struct err *err);
/* idf may be NULL: all stems count the same. */
enum err_code clue_question(struct words *w, struct str question,
                            double (*idf)(void *arg, struct str stem), void *arg, struct arena *a,
                            struct clue_question *out, struct err *err);

/* The idf share of the question's stems that the text has: 0..1. */
double clue_cover(const struct clue_question *q, const struct clue_text *t);

struct clue_marks {
    double cover;         /* clue_cover */
    double pairs;         /* share of neighbouring stems found near each other, 0..1 */
    double cue;           /* the kind of thing asked for, in other words than the
                             question's: 1 there, -1 missing, 0 unknown */
};
void clue_measure(const struct clue_question *q, const struct clue_text *t, struct clue_marks *out);
/* Long, and fewer than a third of its words are new: stuffing, not a statement. */
bool clue_repeats(const struct clue_text *t);
#endif
