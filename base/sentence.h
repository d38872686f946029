/* base/sentence.h - where sentences end (UAX #29 in spirit, with the usual
 * abbreviations, initials, decimals and list marks of English kept whole).
 * Threads   no state. */
#ifndef CARREL_BASE_SENTENCE_H
#define CARREL_BASE_SENTENCE_H
#include <stddef.h>
#include "base/str.h"

/* End of the sentence that begins at `start`, > start (its trailing white
 * space is included); s.len at the last. A blank line, a form feed and a line break
 * before a list mark always end one; white space at `start` belongs to what
 * follows. The sentences of a text tile it without gaps. */
size_t sentence_end(struct str s, size_t start);
#endif
