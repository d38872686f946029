/* embed/pairs.h - what an encoder is trained on: a query and a passage that answers it.
 *
 * Input     lines of JSON {"q": text, "p": text, "src": name of the source,
 *           optional}; a file whose name ends in .xz is read through `xz -dc`.
 *           Empty lines are skipped, other keys ignored.
 * Threads   one owner while reading, immutable afterwards.
 * Memory    all texts lie in the struct's arena; pairs_deinit releases. */
#ifndef CARREL_EMBED_PAIRS_H
#define CARREL_EMBED_PAIRS_H
#include <stddef.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "base/thread.h"

#define PAIRS_MAX 16000000
#define PAIRS_SOURCES_MAX 4096

struct pair { struct str q, p; int source; };

struct pairs {
    struct pair *v;
    size_t n, cap;
    struct str *sources;    /* [n_sources], by first appearance */
    size_t *counts;         /* [n_sources] pairs of each */
    int n_sources;
    size_t skipped;         /* pairs of sources that were to be left out */
    struct arena texts;
};

/* Append the pairs of `path`. `skip` names sources to leave out, with commas
 * between ("a,b"): those called a, or beginning with "a-"; NULL: none. A pair
 * without a source has the file's name. ERR_IO, ERR_FORMAT with file and line,
 * ERR_LIMIT past PAIRS_MAX, ERR_CANCELLED; then *p must be thrown away. */
enum err_code pairs_read(struct pairs *p, const char *path, const char *skip,
                         const struct stop *stop, struct err *err);
/* "arxiv, wordnet, ...": the sources in alphabetical order, behind `b`. */
void pairs_name_sources(const struct pairs *p, struct buf *b);
void pairs_deinit(struct pairs *p);
#endif
