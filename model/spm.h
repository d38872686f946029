/* model/spm.h - SentencePiece's byte-pair model: text to token ids by scores.
 *
 * T. Kudo and J. Richardson, "SentencePiece: A simple and language independent
 * subword tokenizer", 2018, arXiv:1808.06226. The characters are the first
 * symbols, a space is U+2581; of all neighbours that together are a piece, the
 * pair of the highest score is joined, leftmost first. A character that is no
 * piece falls apart into the pieces of its bytes; where there are none, a run
 * of such characters is one unknown token.
 * Threads   immutable after spm_new. Memory  pieces and marks are borrowed. */
#ifndef CARREL_MODEL_SPM_H
#define CARREL_MODEL_SPM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"
#include "model/joiner.h"

#define SPM_SPACE "\xe2\x96\x81"   /* U+2581 */

struct spm_source {
    const struct str *pieces;  /* [n] */
    const float *scores;       /* [n], finite */
    const bool *usable;        /* [n] may come out of text */
    size_t n;
    int32_t bytes[256];        /* piece of each byte, or -1 */
    int32_t unk;               /* or -1: what has no piece is left out */
};

struct spm;
enum err_code spm_new(const struct spm_source *src, struct spm **out, struct err *err);
void spm_free(struct spm *s);
/* Ids of `text`, with a space in front if `prefix`. A stretch that could be
 * one piece (a word, where no piece holds a space inside) is cut past
 * JOINER_WORD_MAX bytes. ERR_NOMEM. */
enum err_code spm_encode(const struct spm *s, struct str text, bool prefix, struct joiner *scratch,
                         struct joiner_ids *out, struct err *err);
#endif
