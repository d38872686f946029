/* embed/merge.h - which neighbouring symbols to join, most frequent pair first.
 *
 * R. Sennrich, B. Haddow and A. Birch, "Neural Machine Translation of Rare
 * Words with Subword Units", 2016 (arXiv:1508.07909), algorithm 1, kept fast
 * by counting only what a merge changes and a heap of the counts.
 * Symbols are numbers; the i-th merge makes the symbol n_symbols + i.
 * Threads   no state. Same words, same merges: equal counts go by the pair. */
#ifndef CARREL_EMBED_MERGE_H
#define CARREL_EMBED_MERGE_H
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* A word as symbols, and how often it counts. Merging rewrites symbols[0..n). */
struct merge_word { int32_t *symbols; int n; int64_t count; };
struct merge { int32_t left, right; };

/* Up to `want` merges of pairs that occur at least twice, into out[0..*n_out). */
enum err_code merge_learn(struct merge_word *words, size_t n_words, int n_symbols, int want,
                          struct merge *out, int *n_out, struct err *err);
#endif
