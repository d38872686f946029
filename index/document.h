/* index/document.h - what a document is once it has been read: one text and
 * where its parts lie. Pure data, shared by ingest (which makes it), index
 * (which keeps it) and query (which cites from it).
 *
 * Provenance: original bytes -> `text` (UTF-8, NFC, the one string everything
 * points into) -> ranges. All ranges are half-open bytes of `text` on UTF-8
 * boundaries. Pages count from 1; 0 means the source has no pages. Rectangles
 * are PDF points (1/72 inch), origin at the top left of the page, x0 <= x1 and
 * y0 <= y1. Source ranges are bytes of the original file; SRC_NONE where the
 * source has no such place.
 * Disk      layout_encode writes all of it but the text and the warnings as one
 *           compact byte string (format at the top of document.c);
 *           layout_decode trusts nothing.
 * Threads   plain values. Memory  the caller's; layout_decode's in its arena. */
#ifndef CARREL_INDEX_DOCUMENT_H
#define CARREL_INDEX_DOCUMENT_H
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define SRC_NONE UINT32_MAX

enum block_kind { BLOCK_TEXT, BLOCK_HEADING, BLOCK_ITEM, BLOCK_QUOTE, BLOCK_CODE, BLOCK_TABLE,
                  BLOCK_KINDS };

struct block {              /* in text order, not overlapping */
    uint32_t start, end;
    uint32_t src_start, src_end;
    uint32_t page;
    uint8_t kind;           /* enum block_kind */
    uint8_t level;          /* of a heading 1..6, else 0 */
};

struct page { uint32_t start, end; float width, height; };   /* its part of the text */

struct place {              /* a word on a page; in text order */
    uint32_t start, end;
    uint32_t page;
    float x0, y0, x1, y1;
};

struct layout {
    struct block *blocks; size_t n_blocks;
    struct page *pages;   size_t n_pages;
    struct place *places; size_t n_places;
};

struct warning { char code[32]; char message[160]; uint32_t page; };

/* A chunk of the text, as the chunker cut it. */
struct chunk {
    uint32_t start, end;
    uint32_t page;          /* of its first byte */
    int tokens;             /* in the encoder's own tokens */
    struct str heading;     /* headings above it, outermost first, joined by '\n' */
};

enum err_code layout_encode(const struct layout *l, struct buf *out, struct err *err);
/* ERR_FORMAT unless every range lies in order inside text_len. */
enum err_code layout_decode(struct str bytes, size_t text_len, struct arena *a, struct layout *out,
                            struct err *err);
/* Page on which byte `at` lies; 0 without pages. */
uint32_t layout_page(const struct layout *l, uint32_t at);
/* Rectangles that cover [start, end), one per line of words, on the page where
 * it begins: writes up to cap, returns how many. */
int layout_quads(const struct layout *l, uint32_t start, uint32_t end, float (*quads)[4], int cap);
#endif
