/* ingest/extract/pdf_page.h - a page between its reading and its writing.
 * Private to the PDF reader, which holds some pages back to see what repeats
 * over them, and what runs on from one to the next. */
#ifndef CARREL_INGEST_EXTRACT_PDF_PAGE_H
#define CARREL_INGEST_EXTRACT_PDF_PAGE_H
#include "ingest/extract/pdf_order.h"

struct pdf_page {
    uint32_t number;           /* from 1 */
    float width, height;       /* points */
    char *text;                /* as poppler gives it, or NULL (g_free) */
    struct pdf_word *words;    /* [n], in reading order, or NULL (free) */
    struct pdf_line *lines;    /* [n_lines] of them, or NULL (free) */
    uint32_t n, n_lines;
    bool damaged;              /* there is no such page */
    bool form;                 /* it has fields to type into */
};
#endif
