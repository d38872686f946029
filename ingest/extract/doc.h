/* ingest/extract/doc.h - a document while it is being read.
 *
 * A reader opens a block, adds text, closes it; the doc cleans the text
 * (controls and invisible characters out, line ends to '\n', NFC), puts blank
 * lines between blocks and keeps every range. A block without any text leaves
 * no trace. Source positions are bytes of the original file.
 * Threads   one owner. Memory  doc_deinit releases; a failed append (memory, or
 *           past the limit of text) is seen once, at the end, by doc_ok. */
#ifndef CARREL_INGEST_EXTRACT_DOC_H
#define CARREL_INGEST_EXTRACT_DOC_H
#include <stdbool.h>
#include "base/err.h"
#include "index/document.h"

#define DOC_WARNINGS_MAX 200
#define DOC_TITLE_MAX    200

/* What a reader is given. */
struct source {
    struct str bytes;
    const char *name, *mime;   /* as declared, or "" */
    const char *ext;           /* of the name, lower case, without the dot, or "" */
    size_t max_text;           /* bytes of text; more is refused */
};

struct doc {
    struct buf text;           /* closed blocks */
    struct buf raw;            /* the open one, as added */
    struct block open;
    bool is_open;
    struct block *blocks; size_t n_blocks, cap_blocks;
    struct page *pages;   size_t n_pages, cap_pages;
    struct place *places; size_t n_places, cap_places;
    size_t open_place;         /* first place of the open block; their ranges lie in raw */
    size_t open_page;          /* first page that began inside it; so do theirs */
    struct warning warnings[DOC_WARNINGS_MAX];
    int n_warnings, more_warnings;
    char title[DOC_TITLE_MAX + 1];
    const char *mime;
    size_t invisible;          /* bidi controls and tag characters taken out */
    bool failed, too_long;     /* too_long: text would pass its maximum */
};

/* A reader: OK, or ERR_FORMAT / ERR_LIMIT with the reason its user sees. */
enum err_code text_read(const struct source *s, struct doc *d, struct err *err);
enum err_code markdown_read(const struct source *s, struct doc *d, struct err *err);
enum err_code html_read(const struct source *s, struct doc *d, struct err *err);
enum err_code pdf_read(const struct source *s, struct doc *d, struct err *err);

void doc_init(struct doc *d, size_t max_text);
void doc_deinit(struct doc *d);

void doc_begin(struct doc *d, enum block_kind kind, int level, uint32_t page, size_t src);
void doc_add(struct doc *d, struct str s);
/* Add a word that is clean NFC already, lying at `at` of its page (range unset). */
void doc_word(struct doc *d, struct str word, const struct place *at);
/* Close the open block; src is the end of its source. Nothing open: nothing. */
void doc_end(struct doc *d, size_t src);

/* Pages: between these, blocks belong to the page. */
void doc_page_begin(struct doc *d, float width, float height);
void doc_page_end(struct doc *d);
/* The page ends inside the open block of words, which runs on on a new page. */
void doc_page_turn(struct doc *d, float width, float height);

void doc_warn(struct doc *d, const char *code, uint32_t page, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The first title that is given and not blank stays. */
void doc_title(struct doc *d, struct str title);

/* s cleaned and in NFC behind `out`; counts what was invisible. False without memory. */
bool doc_clean(struct str s, struct buf *out, size_t *invisible);

/* After the last block: closes what is open, and gives the whole as a layout
 * (borrowed). ERR_FORMAT "no text", ERR_LIMIT, ERR_NOMEM. */
enum err_code doc_ok(struct doc *d, struct layout *out, struct err *err);
#endif
