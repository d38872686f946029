/* embed/bert.h - the BERT encoder: token ids to unit vectors.
 *
 * Devlin et al. 2018 (arXiv:1810.04805), post-layer-norm, GELU by erf; pooling
 * by the first token or the mean (Reimers and Gurevych 2019, arXiv:1908.10084).
 * File      GGUF of architecture "bert" as llama.cpp's converter writes it;
 *           weights F32, F16, BF16, Q8_0 or Q4_0, made F32 at load.
 * Texts of a batch lie behind each other without padding; attention is worked
 * out text by text. Same text, same bits, whatever its batch.
 * Threads   one owner at a time. Memory  owns weights, embeddings and scratch; names and
 *           pieces are read from the GGUF, which must outlive it. Private to embed/. */
#ifndef CARREL_EMBED_BERT_H
#define CARREL_EMBED_BERT_H
#include <stddef.h>
#include "base/err.h"
#include "base/str.h"
#include "base/thread.h"
#include "model/gguf.h"
#include "model/wordpiece.h"

#define BERT_WINDOW 512        /* tokens of a text at most, [CLS] and [SEP] counted */
#define BERT_BATCH_TOKENS 1024 /* of all texts in flight */

enum bert_pooling { BERT_MEAN = 1, BERT_CLS = 2 };   /* llama.cpp's numbers */

struct bert;
struct bert_info {
    struct str name;           /* general.name; borrowed from the GGUF */
    int dim, layers, heads, ffn;
    int window;                /* 3..BERT_WINDOW */
    enum bert_pooling pooling;
    size_t weight_bytes;       /* held in memory, beside the file */
};

/* `pooling`: 0 takes the file's. ERR_FORMAT names the key or tensor, ERR_NOMEM. */
enum err_code bert_open(const struct gguf *g, enum bert_pooling pooling, struct bert **out,
                        struct err *err);
void bert_free(struct bert *b);
const struct bert_info *bert_info(const struct bert *b);
const struct wordpiece *bert_wordpiece(const struct bert *b);

/* Embed texts[0..*taken), as many of the n >= 1 as fit a batch, at least one:
 * out[*taken][dim]. Each is cut at the window; tokens[i] (may be NULL) is what
 * it has uncut, [CLS] and [SEP] counted. ERR_FORMAT when the weights give no
 * finite numbers. */
enum err_code bert_embed(struct bert *b, struct team *team, const struct str *texts, int n,
                         float *out, int *tokens, int *taken, struct err *err);
#endif
