/* query/ground.h - the evidence gate: is there ground enough to answer?
 *
 * Evidence is the generator's confidence that its best sentence answers the
 * question (0..1, llm/extractive.c says how it is fitted). Below the minimum
 * the box says so instead of answering.
 * Threads   no state. Private to query/. */
#ifndef CARREL_QUERY_GROUND_H
#define CARREL_QUERY_GROUND_H
#include <stdbool.h>

/* The highest that refuses at most one in ten answerable questions on each
 * given set (`carrel eval` prints the whole curve). Refused at
 *                                            .20   .30   .40   .50
 *   clapnq-half, answerable                  .04   .08   .13   .20
 *   clapnq-half, not in its passage          .39   .49   .56   .61
 *   xquad-half, answerable                   .02   .04   .06   .10
 *   xquad-half, gold passage taken out       .67   .80   .85   .90
 *   either's questions to the other's texts  .75   .88   .92   .97
 * A wrong refusal costs a reader a second look at the passages, which are shown
 * with it; a wrong answer still shows where its words stand. So neither error
 * is made rare at the price of the other. */
#define GROUND_MIN_EVIDENCE 0.30
/* From here on the sources are taken to answer the whole question: of what
 * clapnq-half's passages cannot answer, three in five stay below. */
#define GROUND_FULL_EVIDENCE 0.50

enum grounded { GROUNDED_NONE, GROUNDED_PARTIAL, GROUNDED_FULL };
const char *ground_name(enum grounded g);   /* "none", "partial", "full" */

struct ground_claims {
    int citations;        /* that verified */
    int bare;             /* statements without one */
    int dropped;          /* marks taken out: no such passage, or bytes not there */
    double least_support; /* of the citations */
};
bool ground_opens(double evidence, double min);
enum grounded ground_of(double evidence, const struct ground_claims *c);

#endif
