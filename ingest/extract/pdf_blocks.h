/* ingest/extract/pdf_blocks.h - a page's words become paragraphs, headings,
 * list items and tables in a document. Private to the PDF reader. */
#ifndef CARREL_INGEST_EXTRACT_PDF_BLOCKS_H
#define CARREL_INGEST_EXTRACT_PDF_BLOCKS_H
#include "ingest/extract/doc.h"
#include "ingest/extract/pdf_page.h"

/* Write the lines of `p`. A block left open by the page before goes on with its
 * first line; where the last paragraph runs on on `next` (or NULL) its block is
 * left open. `body`: font size of running text, 0 when unknown. */
void pdf_blocks(const struct pdf_page *p, const struct pdf_page *next, float body, struct doc *d);
#endif
