/* embed/learn.h - a WordPiece vocabulary learned from texts.
 *
 * Pieces are lower case without accents, "##" before those that continue a word:
 * what model/wordpiece.h reads. Every character that the texts use often enough
 * is a piece, at the start of a word and inside one; the others are grown by
 * merging (embed/merge.h) over words counted once a text, and those that the
 * tokenizer, which takes the longest piece first, then hardly uses are dropped.
 * Threads   one owner. Memory  learned_free releases. Same texts, same pieces. */
#ifndef CARREL_EMBED_LEARN_H
#define CARREL_EMBED_LEARN_H
#include <stddef.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "base/thread.h"
#include "embed/pairs.h"

struct learn_options {
    int pieces;        /* at most so many, 128..200000; 0: 26700 */
    int min_char;      /* a character in fewer texts is left out; 0: 20 */
    int min_piece;     /* a longer piece used less often is left out; 0: 8 */
};

struct learned {
    struct str *pieces;    /* [n] "[UNK]" first, then by use, most used first */
    size_t n;
    size_t n_words;        /* distinct words that were counted */
    struct arena bytes;
};

/* ERR_ARG when the characters alone pass `pieces`; ERR_CANCELLED. */
enum err_code learn_pieces(const struct pairs *p, const struct learn_options *opt,
                           const struct stop *stop, struct learned *out, struct err *err);
void learned_free(struct learned *l);
#endif
