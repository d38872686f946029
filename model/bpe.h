/* model/bpe.h - byte-level byte-pair encoding: a word to token ids.
 *
 * A. Radford et al., "Language Models are Unsupervised Multitask Learners",
 * 2019, section 2.2: the word's bytes are the first symbols, then the pair of
 * least rank is joined, leftmost first. Pieces are given and found as the bytes
 * they stand for; files write them in GPT-2's alphabet of 256 visible
 * characters, which bpe_plain reads.
 * Threads   immutable after bpe_new. Memory  pieces are borrowed for its life. */
#ifndef CARREL_MODEL_BPE_H
#define CARREL_MODEL_BPE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"
#include "model/joiner.h"

#define BPE_MERGES_MAX ((size_t)1 << 20)   /* Llama 3 has 280,147 */

/* Bytes of `piece` behind *out (which has room for piece.len) in place of the
 * visible characters; their count, or SIZE_MAX when one is not of the alphabet. */
size_t bpe_plain(struct str piece, char *out);

struct bpe_source {
    const struct str *plain;   /* [n] bytes of each piece, may be empty */
    const bool *usable;        /* [n] may come out of text */
    size_t n;
    /* "left right" in the visible alphabet, best first */
    struct str (*merge)(const void *arg, size_t i);
    const void *arg;
    size_t n_merges;
    bool whole_words;          /* a word that is a piece needs no merges */
    int32_t unk;               /* for a byte that has no piece; -1: it is left out */
};

struct bpe;
/* ERR_FORMAT naming a merge that is not two pieces with a space between. */
enum err_code bpe_new(const struct bpe_source *src, struct bpe **out, struct err *err);
void bpe_free(struct bpe *b);
/* Ids of one word of a pre-tokenizer. A word past JOINER_WORD_MAX bytes is cut
 * there. ERR_NOMEM. */
enum err_code bpe_encode(const struct bpe *b, struct str word, struct joiner *scratch,
                         struct joiner_ids *out, struct err *err);
#endif
