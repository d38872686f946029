/* llm/decoder.h - a decoder-only transformer: token ids in, logits out.
 *
 * Architectures llama (with Mistral, Mixtral's experts, SmolLM2, TinyLlama,
 * DeepSeek), qwen2, qwen3, phi3, gemma2, gemma3: one net whose parts are there
 * or not, read from the GGUF's own keys (decoder_arch.c has the table).
 * A pass takes rows of several timelines at once; every row's numbers are its
 * own, whatever is computed beside it.
 * Threads   weights are immutable after decoder_open; a pass has its own scratch,
 *           one owner. Memory  owns repacked weights; the file may be closed. */
#ifndef CARREL_LLM_DECODER_H
#define CARREL_LLM_DECODER_H
#include "base/err.h"
#include "base/thread.h"
#include "llm/kvcache.h"
#include "model/gguf.h"

struct decoder;
struct decoder_shape {
    char arch[32];
    int n_layers, n_heads, n_kv_heads, head_dim, n_embd, n_ff, n_vocab;
    int n_experts, n_experts_used;    /* 0: dense */
    int context;                      /* that the file was trained for */
    int window;                       /* sliding; 0: none */
    bool tied;                        /* the embedding is the output too */
    bool exact;                       /* computed with floats, see decoder_math */
    int64_t n_params;
    size_t weight_bytes;              /* in memory once packed */
    size_t touched_bytes;             /* of the file's weights that one token reads (experts: those
                                         used; of the embedding a row) */
};
/* How quantized weights meet activations. Rounding these to int8 is what makes a large
 * model fast; a small one (DECODER_EXACT_BYTES of weights as floats) loses more by it than it
 * gains: it is computed with floats throughout. */
enum decoder_math { DECODER_AUTO, DECODER_ROUNDED, DECODER_EXACT };
#define DECODER_EXACT_BYTES ((size_t)32 << 20)
/* What `g` holds, without loading it; sizes as of DECODER_AUTO. ERR_FORMAT: not a decoder we know (naming
 * the architecture and those we know), a key or tensor missing or out of shape. */
enum err_code decoder_shape(const struct gguf *g, struct decoder_shape *out, struct err *err);
/* Is there memory for its weights, a cache and scratch of these bytes? ERR_NOMEM with the
 * three, what there is, and what limits it. `whose`: of the cache, in the sentence; or "". */
enum err_code decoder_fits(const struct decoder_shape *s, size_t cache, const char *whose,
                           size_t work, struct err *err);
/* Check every tensor against one table, repack. `progress` (0..1) may be NULL. ERR_IO: the
 * file was written meanwhile. */
enum err_code decoder_open(const struct gguf *g, struct team *team, enum decoder_math math,
                           void (*progress)(void *arg, double done), void *progress_arg,
                           struct decoder **out, struct err *err);
void decoder_free(struct decoder *d);
const struct decoder_shape *decoder_shape_of(const struct decoder *d);

/* Scratch for passes of at most max_rows rows, max_logits of them wanted, over
 * positions below max_context (which also chooses between LongRoPE's factors).
 * pass_bytes is what pass_new takes. */
struct pass;
size_t pass_bytes(const struct decoder_shape *s, int max_rows, int max_logits, int max_context,
                  int threads);
enum err_code pass_new(const struct decoder *d, struct team *team, int max_rows, int max_logits,
                       int max_context, struct pass **out, struct err *err);
void pass_free(struct pass *p);

/* Tokens ids[0..n) of one timeline at positions pos0...; its pages reach
 * pos0 + n. Logits are wanted of the last n_logits rows. */
struct pass_part {
    const int32_t *ids;
    int n, pos0, n_logits;
    const struct kv_seq *seq;
};
/* At least one part; in each 1 <= n, 0 <= n_logits <= n, ids below n_vocab; together
 * within pass_new's maxima. logits: the wanted rows of part 0, then of part 1, ...;
 * [rows][n_vocab], borrowed until the next run. */
void pass_run(struct pass *p, const struct kvcache *kv, const struct pass_part *parts, int n_parts,
              const float **logits);
#endif
