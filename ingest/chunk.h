/* ingest/chunk.h - cut a document's text into passages.
 *
 * Follows headings and sentences; measures in the encoder's tokens; never cuts
 * a UTF-8 sequence; keeps tables and code whole where they fit in max_tokens.
 * Every chunk equals its byte range of the text, chunks are in order, and
 * together they cover every byte that is not white space.
 * Threads   no state. Memory  results in the caller's arena. */
#ifndef CARREL_INGEST_CHUNK_H
#define CARREL_INGEST_CHUNK_H
#include "base/arena.h"
#include "base/err.h"
#include "index/document.h"

struct chunk_options {
    int target_tokens;      /* aim; 0: CHUNK_TARGET */
    int max_tokens;         /* never more, but for one token that is itself longer; 0: CHUNK_MAX */
    int overlap_tokens;     /* of whole sentences repeated from the chunk before; 0: none */
    /* Tokens of a text; adds up over pieces cut at white space. */
    enum err_code (*count)(void *arg, struct str text, int *n, struct err *err);
    void *arg;
};
#define CHUNK_TARGET 320
#define CHUNK_MAX    480    /* under BERT's 512 with room for the heading path */

enum err_code chunk_text(struct str text, const struct layout *l, const struct chunk_options *opt,
                         struct arena *a, struct chunk **out, int *n, struct err *err);
#endif
