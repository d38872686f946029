/* llm/engine.h - one model that serves several timelines at once.
 *
 * One thread passes over the weights again and again; every pass takes the next
 * token of each running answer (with a few proposed ones, where the text repeats its prompt)
 * and slices of the prompts that wait, no longer than running answers can bear
 * (G.-I. Yu et al., "Orca", OSDI 2022: iteration-level scheduling; A. Agrawal et al.,
 * "Sarathi-Serve", 2024, arXiv:2403.02310: sliced prefill).
 * Greedy answers are the same tokens in any company, with and without reuse of
 * earlier prompts, with and without proposals (A. Saxena, "Prompt Lookup Decoding", 2023).
 * Threads   locks inside: any thread may generate; it waits, and its emit is
 *           called in it, so that a slow reader holds up nobody else.
 * Memory    engine_close releases all; bounded at engine_open. */
#ifndef CARREL_LLM_ENGINE_H
#define CARREL_LLM_ENGINE_H
#include "base/err.h"
#include "base/str.h"
#include "base/thread.h"
#include "llm/decoder.h"
#include "llm/grammar.h"
#include "llm/llm.h"
#include "llm/sampler.h"
#include "model/vocab.h"

#define ENGINE_SESSIONS 8       /* where nobody says how many */
struct engine;
struct engine_options {
    const struct decoder *decoder;
    const struct vocab *vocab;
    struct team *team;
    int context;               /* of a timeline; 0: the file's, at most 8192 */
    int sessions;              /* answers at a time; 0: 8 */
    int queue;                 /* that wait beyond; 0: 32; < 0: none */
    enum attn_type kv_type;
    size_t kv_bytes;           /* 0: enough for `sessions` timelines of a quarter of the
                                  context, and for one of all of it */
    int slice;                 /* rows of prompts in one pass, <= 512; 0: measured as it goes */
    bool no_reuse, no_lookup;  /* tests and measurements */
};
/* What engine_open would take for a decoder of this shape, before there is one
 * (opt->decoder and opt->vocab are not looked at): positions of a timeline, bytes of
 * the cache, bytes of scratch. */
void engine_sizes(const struct engine_options *opt, const struct decoder_shape *s, int *context,
                  size_t *kv_bytes, size_t *scratch_bytes);
/* ERR_ARG: an option out of range, a vocabulary larger than the logits; ERR_LIMIT: kv_bytes
 * holds no page; ERR_NOMEM. A cache smaller than one timeline shortens the context,
 * and the log says so. */
enum err_code engine_open(const struct engine_options *opt, struct engine **out, struct err *err);
void engine_close(struct engine *e);      /* ends running answers: ERR_CANCELLED */
int engine_context(const struct engine *e);
size_t engine_kv_bytes(const struct engine *e);

struct engine_request {
    const int32_t *prompt;     /* n_prompt >= 1 ids, each below n_vocab */
    int n_prompt;
    int max_tokens;            /* of the answer; 0: what the context leaves, at most 1024 */
    struct llm_sampling sampling;
    const struct str *stops;   /* the answer ends before the first of them */
    int n_stops;
    struct grammar *grammar;   /* this request's own (it is fitted to the vocabulary), or NULL */
    int n_logprobs;            /* -1: none; 0..20 most likely beside the one taken */
    bool begins;               /* the answer is the start of a text (a turn of a template): the
                                  space that a SentencePiece model puts in front is left out */
    bool ignore_end;           /* go on past the end token (measurements) */
    bool announce;             /* emit an empty piece once the request has its place in the queue */
    uint64_t circle;           /* within which prompts are reused; below 2^63 */
};
struct engine_reply {
    enum llm_finish finish;    /* LLM_STOP or LLM_LENGTH */
    struct llm_usage usage;
};
/* emit gets whole UTF-8, never a byte of a stop text, in the caller's thread. ERR_BUSY: the
 * queue is full; ERR_LIMIT: the prompt and one token pass the context (naming both); ERR_ARG:
 * an id, an option, a stop text or a bound out of range, or no token may follow;
 * ERR_CANCELLED: `stop`, emit said false, or the engine is closed: the place is free
 * within one token. */
enum err_code engine_generate(struct engine *e, const struct engine_request *req,
                              bool (*emit)(void *arg, const struct llm_piece *piece), void *arg,
                              const struct stop *stop, struct engine_reply *out, struct err *err);
/* Now, and since engine_open. */
struct engine_state {
    int running, waiting;      /* answers */
    int pages, pages_free;     /* of the cache; free: neither held nor promised */
    int64_t passes, rows;      /* over the weights; tokens put through them */
    int64_t prompt_tokens, reused_tokens;   /* of prompts; of these not computed anew */
    int64_t tokens;            /* of answers */
    int64_t proposed, accepted;             /* by prompt lookup */
    int64_t refused;           /* the queue was full */
};
void engine_state(struct engine *e, struct engine_state *out);
#endif
