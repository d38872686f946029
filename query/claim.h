/* query/claim.h - a model's answer, sentence by sentence: what is cited, and what stands.
 *
 * A claim is a sentence that says something: not a heading, a question, a line that
 * ends in a colon, or words like "Yes". The marks of a sentence are those inside of it and
 * behind its stop (a mark that begins a line belongs to what follows it). Each mark
 * becomes a citation: the one to three sentences of that passage that support it
 * best, verbatim; where marks stand within a sentence each answers for the words since the one before.
 * A claim is supported when one of its citations, or all of them together, reach
 * CLAIM_SUPPORT. What is not supported, or has no mark, is told.
 * In JSON answers there are no marks: every string and number is a claim, and cites
 * the passage that supports it best, if one does.
 * Threads   no state. Memory  in the caller's arena. Private to query/. */
#ifndef CARREL_QUERY_CLAIM_H
#define CARREL_QUERY_CLAIM_H
#include "query/cite.h"
#include "query/support.h"

/* On the STS benchmark's dev set, one sentence as the claim and the other as the passage
 * (built-in encoder): the share of pairs at or above
 *                                     .40  .45  .50  .55  .60
 *   people say the same (4 to 5)      .94  .92  .90  .87  .82
 *   roughly (3 to 4)                  .76  .71  .64  .57  .50
 *   of the same topic (2 to 3)        .46  .37  .28  .23  .17
 *   not the same (0 to 2)             .13  .10  .08  .05  .03
 * A claim marked in vain costs a look at its quote, which stands beside it. */
#define CLAIM_SUPPORT 0.5

struct claim_range { size_t start, end; };
struct claim_request {
    struct str answer;         /* every "[n]" in it has 1 <= n <= n_passages (filter.h) */
    bool json;
    const struct cite_passage *passages;
    int n_passages;
    /* As in support.h; may be NULL. */
    enum err_code (*likeness)(void *arg, struct str claim, const struct str *texts, int n,
                              double *out, struct err *err);
    void *arg;
};
struct claims {
    struct citation *citations; int n;           /* one a mark, in its order */
    struct claim_range *unsupported; int n_unsupported;
    int n_claims, supported;
    int lost;                  /* marks of passages whose bytes are no longer stored */
};
enum err_code claim_check(const struct claim_request *req, struct arena *a, struct claims *out,
                          struct err *err);
/* full: every claim stands, and the evidence speaks for a whole answer; none: no claim does. */
enum grounded claim_grounded(double evidence, const struct claims *c);
#endif
