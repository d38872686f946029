/* llm/extractive.h - the generator that needs no model: it quotes.
 *
 * Every sentence of the passages (a line each in lists and tables) is a
 * candidate, described by a few numbers (EXTRACTIVE_MARKS) and weighed by
 * constants fitted on judged questions (extractive.c names sets and figures).
 * The best, and up to max_sentences in all that stand beside it, are emitted in
 * reading order, verbatim but for this: white space is folded to one space,
 * control and invisible characters are left out, and a number in square
 * brackets gets round ones, so that "[n]" in an answer is always the engine's
 * own mark.
 * Same input, same bytes. Threads  no state. Private to llm/, tests and tools. */
#ifndef CARREL_LLM_EXTRACTIVE_H
#define CARREL_LLM_EXTRACTIVE_H
#include "base/arena.h"
#include "llm/llm.h"

#define EXTRACTIVE_SENTENCES 3    /* when a request names no maximum */

enum extractive_mark {
    MARK_COVER,       /* idf share of the question's stems in the sentence */
    MARK_COVER_REL,   /* that over the best candidate's */
    MARK_PASSAGE,     /* idf share in its whole passage and heading */
    MARK_AROUND,      /* idf share in the sentence and its neighbours */
    MARK_PAIRS,       /* neighbouring stems of the question found together */
    MARK_CUE,         /* has the kind of thing asked for: 1, -1, 0 unknown */
    MARK_COS,         /* similarity of meaning; 0 without a callback */
    MARK_FIRST,       /* 1 / number of its passage */
    MARK_SCORE,       /* its passage's score over the best passage's */
    EXTRACTIVE_MARKS
};

struct extractive_sentence {
    int passage;                      /* from 0 */
    size_t start, end;                /* of the passage's text, trimmed */
    float mark[EXTRACTIVE_MARKS];
    bool plain;                       /* a statement: no question, heading or stuffing */
    double score;                     /* log odds up to a constant: orders candidates */
    uint64_t sketch;                  /* of its stems: sentences nearly equal are told once */
};

/* All candidates, in reading order, in arena. */
enum err_code extractive_read(const struct llm_request *req, struct arena *a,
                              struct extractive_sentence **out, int *n, struct err *err);
/* 0..1: how likely the candidate answers, from its marks. */
double extractive_confidence(const struct extractive_sentence *s);
/* Choose up to `max`: out[] gets indices in reading order; returns how many. */
int extractive_choose(const struct extractive_sentence *s, int n, int max, int *out);
/* The sentence as an answer shows it, behind `b`. */
void extractive_fold(struct str sentence, struct buf *b);

/* llm_answer of this engine. */
enum err_code extractive_answer(const struct llm_request *req,
                                bool (*emit)(void *arg, struct str piece), void *emit_arg,
                                const struct stop *stop, struct llm_reply *out, struct err *err);
#endif
