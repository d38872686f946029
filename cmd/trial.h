/* cmd/trial.h - a decoder opened to be tried out by `carrel model run` and `check`: no
 * engine, no sampling; ids in, logits out, with a cache of its own.
 *
 * Threads   one owner. Memory  trial_close releases all; the zero value is closed. */
#ifndef CARREL_CMD_TRIAL_H
#define CARREL_CMD_TRIAL_H
#include "base/thread.h"
#include "llm/decoder.h"
#include "model/gguf.h"
#include "model/vocab.h"

#define TRIAL_ROWS   512       /* ids in one pass */
#define TRIAL_LOGITS 64        /* rows of logits in one pass */

struct trial {
    struct gguf *file;
    struct vocab *vocab;       /* NULL when the file's cannot be read: vocab_err says why */
    struct err vocab_err;
    struct decoder_shape shape;
    struct team *team;
    struct decoder *decoder;
    struct kvcache *cache;
    struct pass *pass;
    struct kv_seq seq;
    int n_done;                /* positions of the timeline that are computed */
};
/* What the file is, and its vocabulary. */
enum err_code trial_open(const char *path, struct trial *t, struct err *err);
/* The weights, and a timeline of at most `context` positions. threads 0: one a processor.
 * ERR_LIMIT past the context of the file; ERR_NOMEM with the sizes. */
enum err_code trial_load(struct trial *t, int threads, enum attn_type kv, int context,
                         struct err *err);
void trial_close(struct trial *t);
/* Begin the timeline anew. */
enum err_code trial_begin(struct trial *t, int context, struct err *err);
/* Behind what is done: ids[0..n), n <= TRIAL_ROWS, each below n_vocab. The logits of the last
 * n_logits (<= TRIAL_LOGITS) rows, [n_logits][n_vocab], borrowed until the next pass. */
const float *trial_pass(struct trial *t, const int32_t *ids, int n, int n_logits);
/* The same in passes of TRIAL_ROWS; the logits of the last row. */
const float *trial_feed(struct trial *t, const int32_t *ids, int n);
/* The id of the greatest logit, the lower one of equals; NaN counts as minus infinity. */
int32_t trial_best(const struct trial *t, const float *logits);
#endif
