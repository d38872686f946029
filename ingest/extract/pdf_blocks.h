/* ingest/extract/pdf_blocks.h - a page's words become paragraphs, headings,
 * list items and tables in a document. Private to the PDF reader. */
#ifndef CARREL_INGEST_EXTRACT_PDF_BLOCKS_H
#define CARREL_INGEST_EXTRACT_PDF_BLOCKS_H
#include "ingest/extract/doc.h"
#include "ingest/extract/pdf_order.h"

/* words[n] of `text` are reordered. `body`: font size of running text, 0 when unknown. */
enum err_code pdf_blocks(const char *text, struct pdf_word *words, uint32_t n, uint32_t page,
                         float body, struct doc *d, struct err *err);
#endif
