/* llm/stops.h - texts that end an answer, found while it comes piece by piece.
 *
 * The answer ends before the stop text that is whole first (of several that end at
 * the same byte: the longest), however the answer is cut into pieces. What may be the
 * beginning of one is held back until that is known; it is never more than
 * the longest stop text less a byte (D. Knuth, J. Morris, V. Pratt, "Fast Pattern
 * Matching in Strings", 1977: the automaton's state is the length held).
 * Threads   one owner. Memory  nothing is allocated; texts are borrowed. */
#ifndef CARREL_LLM_STOPS_H
#define CARREL_LLM_STOPS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

#define STOPS_MAX 16
#define STOPS_BYTES_MAX 256

struct stops {
    int n;
    struct stops_text {
        struct str text;
        int at;                          /* bytes of it that the answer ends with now */
        uint8_t back[STOPS_BYTES_MAX];   /* of i + 1 bytes: the longest border */
    } texts[STOPS_MAX];
    int longest;               /* the text with the greatest `at`: that much is held */
};
/* ERR_ARG: too many, or one that is empty, too long or no UTF-8. None (n 0) holds nothing. */
enum err_code stops_init(struct stops *s, const struct str *texts, int n, struct err *err);
/* Take the text that came next; what can be part of no stop text goes behind `out`.
 * True: the answer ends here, what lies before the stop text is out, all else is dropped. */
bool stops_take(struct stops *s, struct str text, struct buf *out);
/* The answer ended by itself: what was held goes behind `out`. */
void stops_end(struct stops *s, struct buf *out);
#endif
