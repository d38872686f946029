/* ingest/extract/charset.h - bytes of any charset become UTF-8, with the way back.
 *
 * Order of trust: byte order mark; strict UTF-8; the charset the document
 * declares (HTML); UTF-16/32 by their zero bytes; uchardet's guess, of which a
 * warning is due. Bytes that are wrong in the charset become U+FFFD, counted.
 * Threads   one owner. Memory  charset_deinit releases. */
#ifndef CARREL_INGEST_EXTRACT_CHARSET_H
#define CARREL_INGEST_EXTRACT_CHARSET_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

struct mark { size_t text, src; };    /* these two positions are the same place */

struct decoded {
    struct str text;         /* UTF-8; borrowed from the source or held in `own` */
    char charset[40];        /* as iconv names it */
    bool guessed;            /* nobody said so: warn */
    size_t invalid;          /* bytes that became U+FFFD */
    struct buf own;
    struct mark *marks;      /* NULL: text is the source's bytes from `skip` on */
    size_t n_marks, cap_marks;
    size_t skip;             /* bytes of byte order mark */
    struct str src;
    void *cd;                /* iconv_t of the charset; NULL for UTF-8 */
};

/* Open what conversion needs from disk: before the sandbox, in which no file opens. */
void charset_warm(void);
/* `declared` NULL or a name from the document. ERR_FORMAT: these bytes are not
 * text (a reason follows); ERR_LIMIT past max_text bytes of UTF-8. */
enum err_code charset_decode(struct str bytes, const char *declared, size_t max_text,
                             struct decoded *out, struct err *err);
void charset_deinit(struct decoded *d);
/* Byte of the source at which the text's byte `at` came to be. */
size_t charset_source(const struct decoded *d, size_t at);
#endif
