/* ingest/extract/format.h - which reader gets a document.
 *
 * Signatures in the first bytes decide; the declared name and media type only
 * choose among the kinds of text. A name that promises a kind which the bytes
 * are not is refused with a sentence, as are the kinds that are not read yet.
 * Threads   no state. */
#ifndef CARREL_INGEST_EXTRACT_FORMAT_H
#define CARREL_INGEST_EXTRACT_FORMAT_H
#include "ingest/extract/doc.h"

struct format {
    const char *name;          /* "PDF" */
    const char *mime;
    enum err_code (*read)(const struct source *s, struct doc *d, struct err *err);
};

/* ERR_FORMAT with the reason when nobody reads it. Borrowed, static. */
enum err_code format_find(const struct source *s, const struct format **out, struct err *err);
/* Extension of a name in lower case into out[16]; "" when there is none. */
const char *format_extension(const char *name, char out[16]);
#endif
