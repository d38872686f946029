/* llm/lookup.h - prompt lookup: what may follow, guessed from what was written before.
 *
 * An answer that quotes its prompt repeats runs of it: the tokens behind an earlier
 * occurrence of the last three (or two) tokens are proposed, and the model verifies them all
 * in one pass (A. Saxena, "Prompt Lookup Decoding", 2023; verification as Y. Leviathan et al.,
 * 2022, arXiv:2211.17192, here by equality with the token that is drawn anyway).
 * A row that is not accepted costs time, so proposals grow while they are accepted and
 * pause for longer and longer while they are not.
 * Threads   one owner. Memory  none; the zero value is ready. */
#ifndef CARREL_LLM_LOOKUP_H
#define CARREL_LLM_LOOKUP_H
#include <stdint.h>

#define LOOKUP_MAX 8           /* tokens in one proposal */

struct lookup {
    int length;                /* to propose next; 0: as at first */
    int pause;                 /* the last pause in tokens */
    int wait;                  /* tokens still to come without a proposal */
};
/* What may follow ids[0..n): up to `max` tokens into out; how many, 0 while it pauses or
 * finds nothing. */
int lookup_propose(struct lookup *l, const int32_t *ids, int n, int max, int32_t *out);
/* Of `proposed` > 0 tokens the first `accepted` came true. */
void lookup_learn(struct lookup *l, int proposed, int accepted);
#endif
