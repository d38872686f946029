/* llm/sampler.h - from logits to the next token.
 *
 * Order: logit bias, penalties, the grammar's mask, then greedy, or temperature,
 * top-k, top-p, min-p and a draw. Ties fall to the lower id; NaN counts as minus
 * infinity. Same logits, options and seed: same tokens, on any machine.
 *   repetition   divides positive and multiplies negative logits of tokens seen
 *                (N. Keskar et al., CTRL, 2019, arXiv:1909.05858)
 *   presence, frequency   as the OpenAI API defines them, on the answer's tokens
 *   top-p        A. Holtzman et al., 2019, arXiv:1904.09751
 *   min-p        M. Nguyen et al., 2024, arXiv:2407.01082
 * Threads   one owner. Memory  sampler_free releases all. */
#ifndef CARREL_LLM_SAMPLER_H
#define CARREL_LLM_SAMPLER_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "llm/llm.h"

/* ERR_ARG naming the option, what it is and what it may be. */
enum err_code sampler_check(const struct llm_sampling *o, int n_vocab, struct err *err);

struct sampler;
enum err_code sampler_new(const struct llm_sampling *o, int n_vocab, struct sampler **out,
                          struct err *err);
void sampler_free(struct sampler *s);
/* A token of the prompt (answer false) or of the answer was taken. */
void sampler_saw(struct sampler *s, int32_t id, bool answer);
/* May `id` come next? allowed: bit i of word i / 64, [(n_vocab + 63) / 64], NULL: all may.
 * -1 when none may. `logits` are read only. */
int32_t sampler_pick(struct sampler *s, const float *logits, const uint64_t *allowed);

/* Natural-log probabilities before temperature and penalties, as OpenAI gives
 * them: of `id`, and of the n <= n_vocab most likely, most likely first. -9999 at
 * the least. */
struct sampler_logprob { int32_t id; float logprob; };
float sampler_logprobs(const float *logits, int n_vocab, int32_t id, struct sampler_logprob *top,
                       int n);
#endif
