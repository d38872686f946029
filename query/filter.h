/* query/filter.h - what of a model's text may leave, while it is being written.
 *
 * A model may be confused, poisoned by a passage, or somebody else's server. What
 * passes is plain text in which
 *   marks     "[n]" is always ours, 1 <= n <= n_passages: [1, 2], [1-3], [^1], 【1】
 *             and [Passage 1] become [1][2] and so on; any other number goes out;
 *   links     no Markdown link, image or reference, no tag with attributes or of
 *             a kind that loads or runs; an address stands only if a known text has it
 *             letter for letter, else "(link removed)" stands in its place: an answer
 *             cannot carry what it read to somebody's server;
 *   controls  control tokens of templates and our own fence lose their bracket,
 *             invisible characters go; a first <think> block is left out.
 * White space at both ends goes, and more than one empty line.
 * However the text is chopped, what comes out is the same; at most a word, a
 * mark or an address is held back.
 * Threads   one owner. Memory  filter_deinit releases. Private to query/. */
#ifndef CARREL_QUERY_FILTER_H
#define CARREL_QUERY_FILTER_H
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

#define FILTER_LINK_GONE "(link removed)"
#define FILTER_MARKS_MAX 128   /* marks of one answer; more go out: each costs a search for its quote */

struct filter {
    int n_passages;
    const struct str *known;   /* borrowed: texts whose addresses may be repeated */
    int n_known;
    int marks_out, links_out;  /* how many did not pass */
    int marks;                 /* how many did */
    /* the filter's own */
    struct buf held;           /* not decided yet */
    struct buf gap;            /* white space that something must follow */
    size_t written;
    uint32_t last;             /* code point written last, white space included */
    int forged;                /* bytes of what is becoming "[digits" in the output */
    int last_mark;             /* written last, or 0 */
    int ws;                    /* letters w written last */
    bool verbatim, plain_tag, swallowing, thinking, squeeze;
};
/* The zero value with the first three set. A piece is UTF-8; `out` grows. */
void filter_put(struct filter *f, struct str piece, struct buf *out);
void filter_end(struct filter *f, struct buf *out);   /* what was held back */
void filter_deinit(struct filter *f);
#endif
