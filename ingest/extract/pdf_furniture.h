/* ingest/extract/pdf_furniture.h - running headers, footers and page numbers.
 *
 * A line is furniture of its page when it stands outermost at the top or bottom,
 * with white between it and the rest, and on at least 3 of the pages around, and
 * a third of those from the first to the last of them,
 *   - the same line stands at the same height; or
 *   - the same line but for numbers that count up with the pages ("F-12", "Page
 *     3 of 9"), at the bottom at any height (where pages are cut out of a longer
 *     flow their numbers stand behind the text); or
 *   - being a bare number, arabic or roman, numbers that count stand at its height.
 * A line that only repeats and is set as a title, bold or larger than the text,
 * has to stand on a quarter of all pages around. A row of a table, a line in much
 * larger type and the only lines of a page are never taken. (The features are
 * those of X. Lin, "Header and footer extraction by page-association", SPIE 5010,
 * 2003: neighbouring pages, position, text with its digits folded; the rules and
 * thresholds are ours.)
 * Units     PDF points. Threads  one owner. Memory  plain storage, nothing to
 *           release; the zero value is ready for the first page. */
#ifndef CARREL_INGEST_EXTRACT_PDF_FURNITURE_H
#define CARREL_INGEST_EXTRACT_PDF_FURNITURE_H
#include "ingest/extract/pdf_page.h"

#define FURNITURE_REACH 16  /* pages looked at before a page, and behind it */
#define FURNITURE_EDGE  4   /* lines looked at at either end of a page */
#define FURNITURE_TEXT  240 /* bytes; no header is longer */
#define FURNITURE_NUMBERS 6

struct furniture_mark {     /* a line at an edge */
    char text[FURNITURE_TEXT];  /* words joined by a blank, runs of digits as '#' */
    uint32_t len;               /* 0: no candidate */
    uint32_t line;              /* of its page */
    uint32_t numbers[FURNITURE_NUMBERS], n_numbers;
    float edge, height, size;   /* edge: from the page's, in points */
    float white;                /* to the next line inwards */
    bool bare, roman, bold, of_table, counts;
};

struct furniture_edges {
    uint32_t page;              /* its number; 0: none */
    float height;
    struct furniture_mark marks[2][FURNITURE_EDGE];  /* [top, bottom], outermost first */
    uint32_t n[2];
};

struct pdf_furniture {
    struct furniture_edges seen[2 * FURNITURE_REACH + 1];  /* by page number */
    uint32_t pages, first;      /* pages that lost a line, and the first of them */
    char example[64];           /* of such a line */
    bool worded;                /* the example has words */
};

/* Remember the edges of a page. Pages come in order, each once. */
void pdf_furniture_note(struct pdf_furniture *f, const struct pdf_page *p);
/* Take the furniture out of p->lines. p and FURNITURE_REACH pages behind it (or
 * all there are) have been noted, no more. `body`: size of running text, or 0. */
void pdf_furniture_drop(struct pdf_furniture *f, struct pdf_page *p, float body);
#endif
