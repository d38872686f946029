/* cmd/wrap.h - text broken between words, for a terminal of some width.
 *
 * Text comes in pieces, cut anywhere between code points; a word is held back
 * until it is whole. A line break of the text stays one; other white space
 * becomes one blank. Han, kana and Hangul may be parted between any two signs.
 * Width   in columns; such signs take two, combining marks none. 0: text passes
 *         through as it is, for a pipe or a file.
 * Threads one owner. */
#ifndef CARREL_CMD_WRAP_H
#define CARREL_CMD_WRAP_H
#include <stdbool.h>
#include "base/str.h"

struct wrap {
    int width;          /* 0: do nothing */
    int indent;         /* columns before every line but the first */
    int column;         /* where the next sign goes; begins behind what stands there already */
    struct buf word;    /* the one that is not whole yet */
    int word_width;
    bool blank;         /* there was white space before it */
};

/* Columns of standard output, at most 100 (longer lines are hard to read); 0 when
 * it is no terminal. */
int wrap_columns(void);
void wrap_add(struct wrap *w, struct str text, struct buf *out);
/* The last word; `w` is ready for another text at column 0 and owns nothing. */
void wrap_end(struct wrap *w, struct buf *out);
#endif
