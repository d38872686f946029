/* ingest/ingest.h - the front door: bytes become documents, documents chunks.
 *
 * Worker threads take jobs (index/jobs.h), have carrel-extract read the blob
 * inside its sandbox (extract.h), cut the text (chunk.h), embed the chunks and
 * hand all of it to index_put. A file that cannot be read fails with its
 * reason; it never stops the queue.
 * Threads   locks inside. Memory  ingest_stop releases all. */
#ifndef CARREL_INGEST_INGEST_H
#define CARREL_INGEST_INGEST_H
#include "base/err.h"
#include "base/thread.h"
#include "embed/embed.h"
#include "index/index.h"

struct ingest;
struct ingest_options {
    struct index *index;
    struct embed *embed;
    const char *extract_path;   /* of carrel-extract; NULL: beside this program */
    int workers;                /* 0: as many as processors; negative: none (ingest_plain only) */
    int timeout_ms;             /* wall clock per file; 0: 20000 */
    size_t memory_bytes;        /* of the reader's address space; 0: 512 MiB */
    size_t max_text_bytes;      /* 0: 64 MiB */
    bool require_sandbox;       /* refuse to start where the kernel lacks Landlock or seccomp */
    int target_tokens, max_tokens, overlap_tokens;   /* of a chunk; 0: defaults of chunk.h */
};

enum err_code ingest_start(const struct ingest_options *opt, struct ingest **out, struct err *err);
/* Unfinished jobs go back to the queue. */
void ingest_stop(struct ingest *g);

struct ingest_stats {           /* since ingest_start */
    int64_t documents, failed, chunks, bytes, tokens;
    double extract_ms, chunk_ms, embed_ms, index_ms;   /* summed over workers */
};
void ingest_stats(struct ingest *g, struct ingest_stats *out);
/* "landlock 7, seccomp" or what is missing. */
const char *ingest_sandbox(const struct ingest *g);

/* Read, cut, embed and store texts that need no reader (carrel eval): makes
 * ready documents. title may be "". One transaction per call. */
struct plain { const char *name; struct str title, text; };
enum err_code ingest_plain(struct ingest *g, const char *collection, const struct plain *docs,
                           int n, const struct stop *stop, struct err *err);
/* Embed all passages of a collection anew by `e` (index_reembed); needs no
 * struct ingest. progress may be NULL. */
enum err_code ingest_reembed(struct index *x, struct embed *e, const char *collection,
                             void (*progress)(void *arg, int64_t done, int64_t total), void *arg,
                             const struct stop *stop, struct err *err);
/* The collection's encoder stamp and chunk settings as JSON text for index_collection. In arena. */
enum err_code ingest_collection(struct ingest *g, const char *name, bool create, struct arena *a,
                                struct collection *out, struct err *err);
#endif
