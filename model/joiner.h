/* model/joiner.h - the loop in every merging tokenizer: of all neighbours that
 * may be joined, join the best pair, leftmost first, until none is left.
 *
 * R. Sennrich, B. Haddow and A. Birch, "Neural Machine Translation of Rare
 * Words with Subword Units", 2016, arXiv:1508.07909, with a heap of candidates
 * as SentencePiece has it: O(n log n) for a word of n symbols, whatever it holds.
 * Who may join whom, and how soon, is the caller's: bpe.c asks its table of
 * pairs, spm.c its pieces' scores.
 * Threads   one owner. Memory  the zero value is empty; joiner_free releases.
 *           At most 2^16 bytes of word: 5 MiB. */
#ifndef CARREL_MODEL_JOINER_H
#define CARREL_MODEL_JOINER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

#define JOINER_WORD_MAX ((size_t)1 << 16)   /* bytes of a word; longer ones are cut */

/* A symbol: bytes [at, at + len) of the word, as number `sym`; len 0 once it
 * was joined to the one on its left. next and prev are -1 at the ends. */
struct joiner_link { uint32_t at, len; int32_t sym, prev, next; };
struct joiner_wish { uint64_t key; uint32_t len; int32_t sym; };   /* private */

struct joiner {
    struct joiner_link *links;    /* [n]; the first one never goes away */
    size_t n, cap;
    struct joiner_wish *heap;
    size_t n_heap;
};

/* May `left` and `right` become one symbol? *rank: less is sooner. */
struct joiner_rule {
    bool (*join)(const void *arg, struct str word, const struct joiner_link *left,
                 const struct joiner_link *right, uint32_t *rank, int32_t *sym);
    const void *arg;
};

/* Empty, with room for `n` symbols, n <= JOINER_WORD_MAX. ERR_NOMEM. */
enum err_code joiner_begin(struct joiner *j, size_t n, struct err *err);
void joiner_push(struct joiner *j, size_t at, size_t len, int32_t sym);
/* Join all that can be; then walk links from 0 along next. */
void joiner_run(struct joiner *j, struct str word, const struct joiner_rule *rule);
void joiner_free(struct joiner *j);

/* Where ids go: the first `cap` are written, all are counted. */
struct joiner_ids { int32_t *ids; size_t cap, n; };
static inline void joiner_emit(struct joiner_ids *out, int32_t id)
{
    if (out->n < out->cap)
        out->ids[out->n] = id;
    out->n++;
}
#endif
