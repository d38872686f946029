/* ingest/extract/pdf_order.h - the words of a page in the order they are read.
 *
 * Words are gathered into rows by their height on the page. Where a white gutter
 * runs down through several rows and both its sides are running text, they are
 * columns and are read one after the other; where one side is numbers or short
 * labels it is a table, and its rows stay whole, so that a number keeps its
 * label. (Recursive cuts after Nagy and Seth's X-Y tree, 1984; the test for
 * running text is ours.)
 * Units     PDF points, origin at the top left.
 * Threads   no state. Memory  *lines is yours (free). */
#ifndef CARREL_INGEST_EXTRACT_PDF_ORDER_H
#define CARREL_INGEST_EXTRACT_PDF_ORDER_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct pdf_word {
    uint32_t start, end;     /* bytes of the page's raw text */
    float x0, y0, x1, y1;
    float size;              /* of its font */
    uint16_t chars, letters;
    bool bold, rtl;
    uint16_t cell;           /* out: its cell in its line, from 0 */
};

struct pdf_line {
    uint32_t first, n;       /* words[first, first + n), in reading order */
    float x0, y0, x1, y1, size;
    uint32_t cells, chars;
    uint32_t region;         /* lines of one column share it */
    bool bold;               /* all of its words */
};

#define PDF_ORDER_WORDS 30000   /* past these a page keeps the file's own order */

/* Reorder words[n] and cut them into lines. ERR_NOMEM. */
enum err_code pdf_order(struct pdf_word *words, uint32_t n, struct pdf_line **lines,
                        uint32_t *n_lines, struct err *err);
#endif
