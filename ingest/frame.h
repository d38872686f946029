/* ingest/frame.h - what carrel-extract tells carrel, as bytes on a pipe.
 *
 * A result is the magic "CXR1" and then frames: a tag of four letters, the
 * payload's length (u64, little endian), the payload. Tags, each at most once
 * but WARN, in any order, the last one DONE with no payload:
 *   FAIL  the reason, a sentence: the document cannot be read; nothing else counts
 *   MIME  what it is    TITL  its title    TEXT  its text (UTF-8)
 *   LAYO  layout_encode's bytes
 *   WARN  u32 page, u8 length of the code, the code, the message
 * The reader of frames trusts nothing: carrel-extract may have been taken over
 * by the document it read.
 * Threads   no state. Memory  results are copies in the caller's arena. */
#ifndef CARREL_INGEST_FRAME_H
#define CARREL_INGEST_FRAME_H
#include "base/arena.h"
#include "base/err.h"
#include "index/document.h"

#define FRAME_WARNINGS_MAX 256   /* kept of a document */
#define FRAME_TITLE_MAX    200   /* bytes kept of a title */

/* A document as it was read. */
struct extracted {
    struct str text;             /* UTF-8, terminated */
    struct layout layout;
    char *title, *mime;          /* "" when unknown */
    struct warning *warnings;
    int n_warnings;
};

void frame_begin(struct buf *b);
void frame_put(struct buf *b, const char tag[4], struct str payload);
void frame_warning(struct buf *b, const struct warning *w);
void frame_end(struct buf *b);

/* Check and take apart a whole result. ERR_FORMAT with the FAIL sentence, or
 * with one that names what is wrong with the bytes (*broken true then).
 * `src_size`: bytes of the original, which source ranges must lie in. */
enum err_code frame_read(struct str bytes, size_t src_size, struct arena *a,
                         struct extracted *out, bool *broken, struct err *err);
#endif
