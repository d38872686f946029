/* index/index.h - the front door to everything that must survive.
 *
 * One folder, one owning process: carrel.db (SQLite, WAL: the truth),
 * blobs/ (original files), graphs/ (HNSW snapshots: derived, rebuilt on any
 * doubt), lock. One writer thread commits in groups with synchronous=FULL: a
 * call that returns OK has survived power loss. Readers see a document whole
 * or not at all.
 * Ids       documents have 128-bit random ids, here 32 hex digits in char[33];
 *           chunks and jobs have integers that are never used again.
 * Scores    near: cosine, -1..1. words: BM25 (k1 0.9, b 0.4), > 0.
 * Threads   locks inside: any thread may call any function.
 * Memory    results lie in the caller's arena; index_close releases the rest.
 * Disk      schema.sql; versions and migration at the top of store.c. */
#ifndef CARREL_INDEX_INDEX_H
#define CARREL_INDEX_INDEX_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "base/thread.h"
#include "index/document.h"

struct index;
struct blob;                   /* index/blobs.h */

struct index_options {
    const char *dir;           /* made when absent */
    bool must_exist;           /* ERR_NOTFOUND instead of making one */
    bool volatile_store;       /* scratch: no syncs at all (carrel eval) */
    int m;                     /* HNSW links; 0: 16 */
    int ef_construction;       /* 0: 200 */
};

/* ERR_BUSY: another process owns it (index_holder says who). ERR_INCOMPATIBLE:
 * written by a newer carrel; left untouched. */
enum err_code index_open(const struct index_options *opt, struct index **out, struct err *err);
void index_close(struct index *x);      /* waits for the writer, saves graphs */

/* Who holds the folder: its process and, when it serves, its address. */
struct index_holder { long pid; char url[128]; };
enum err_code index_holder(const char *dir, struct index_holder *out, struct err *err);
/* Tell later index_holder callers where we serve. */
enum err_code index_publish(struct index *x, const char *url, struct err *err);

/* ---- collections ---- */
struct collection {
    int64_t id;
    char name[64];             /* letters, digits, . _ - ; 1..63 bytes */
    char *stamp;               /* the encoder's, opaque JSON text; compared whole */
    int dim;
    char *settings;            /* chunking, JSON text */
    int64_t documents, chunks;
    int64_t revision;          /* grows with every change of its documents */
    int64_t created_ms;
};
/* Find it, or make it when `create`. ERR_INCOMPATIBLE when it is there with
 * another stamp (say how to re-embed). stamp NULL: take what is there. */
enum err_code index_collection(struct index *x, const char *name, const char *stamp, int dim,
                               const char *settings, bool create, struct arena *a,
                               struct collection *out, struct err *err);
enum err_code index_collections(struct index *x, struct arena *a, struct collection **out, int *n,
                                struct err *err);
/* With all its documents. */
enum err_code index_collection_remove(struct index *x, const char *name, int64_t *documents,
                                      struct err *err);

/* What an encoder is given of a chunk. */
struct passage { struct str context, heading, text; };
struct reembed {
    const char *stamp;         /* of the encoder that comes */
    int dim;
    enum err_code (*embed)(void *arg, const struct passage *p, int n, float *out /* [n][dim] */,
                           struct err *err);
    void (*progress)(void *arg, int64_t done, int64_t total);   /* may be NULL */
    void *arg;
};
/* Embed all chunks of a collection anew: a second generation beside the first,
 * which takes its place in one transaction, with the stamp. Nothing changes on
 * failure. ERR_BUSY when its documents changed meanwhile; ERR_NOTFOUND. The
 * caller sees to it that nobody searches it in that moment. */
enum err_code index_reembed(struct index *x, const char *collection, const struct reembed *r,
                            const struct stop *stop, struct err *err);

/* ---- documents ---- */
enum document_state { DOC_QUEUED, DOC_RUNNING, DOC_READY, DOC_FAILED, DOC_STATES };
const char *document_state_name(enum document_state s);

struct document {
    char id[33];
    char collection[64];
    char *name, *uri, *mime, *metadata;   /* metadata: JSON object text */
    char *title;
    char *stage, *error;                  /* "" when there is none */
    char *warnings;                       /* JSON array [{code, message, page}] */
    enum document_state state;
    int64_t job;                          /* newest, 0 when gone */
    int64_t size_bytes, text_bytes, tokens, done, total;
    int pages, chunks;
    int64_t created_ms, updated_ms;
};

struct new_document {
    const char *collection;    /* must exist */
    const char *name;          /* 1..1024 bytes of UTF-8 without controls */
    const char *uri;           /* or "" */
    const char *mime;          /* as declared, or "" */
    const char *metadata;      /* JSON object text, or NULL for {} */
    struct blob *blob;         /* finished (blob_finish); taken over on success */
};
struct added { char id[33]; int64_t job; bool duplicate; enum document_state state; };

/* Durably accept n documents, in one transaction: rows `queued`, a job each.
 * Same collection, name and bytes as a document that is not failed: `duplicate`,
 * nothing stored. Same name and other bytes: a new document; the old one goes
 * in the transaction that makes the new one ready. */
enum err_code index_add(struct index *x, const struct new_document *docs, int n, struct added *out,
                        struct err *err);

/* What reading and embedding made of a document. */
struct content {
    struct str text;
    const struct layout *layout;
    const char *title, *mime;            /* as found */
    struct str context;                  /* found by words with each chunk, e.g. the file's name */
    const struct warning *warnings; int n_warnings;
    const struct chunk *chunks; int n_chunks;
    const float *vectors;                /* [n_chunks][dim]; a zero row has none */
    int64_t tokens;
};
/* Make it ready: text, layout, chunks, words, vectors, job done and the older
 * document of that name gone, in one transaction; then the graph.
 * ERR_NOTFOUND when it was deleted or its job cancelled meanwhile (nothing is stored). */
enum err_code index_put(struct index *x, const char *id, const struct content *c, struct err *err);
/* Many at once, e.g. by a bulk load: one transaction, one sync. */
enum err_code index_put_many(struct index *x, int n, const char *const *ids,
                             const struct content *c, struct err *err);

struct removed { int64_t documents, chunks, vectors, answers; };
/* Gone in one transaction: row, text, chunks, words, vectors, answers, job; then
 * graph and blob. ERR_NOTFOUND. */
enum err_code index_remove(struct index *x, const char *id, struct removed *out, struct err *err);

enum err_code index_document(struct index *x, const char *id, struct arena *a,
                             struct document *out, struct err *err);
struct document_filter {
    const char *collection;    /* or NULL */
    int state;                 /* enum document_state, or -1 */
    const char *name;          /* exact, or NULL */
    int limit;                 /* 1..1000 */
    int64_t cursor;            /* 0 first; then *next */
};
/* Newest first. *next is 0 after the last. */
enum err_code index_documents(struct index *x, const struct document_filter *f, struct arena *a,
                              struct document **out, int *n, int64_t *next, struct err *err);
/* Stored text, all of it. */
enum err_code index_text(struct index *x, const char *id, struct arena *a, struct str *out,
                         struct err *err);
enum err_code index_layout(struct index *x, const char *id, struct arena *a, struct layout *out,
                           struct err *err);
/* Path of the original bytes, in arena. */
enum err_code index_blob_path(struct index *x, const char *id, struct arena *a, char **out,
                              struct err *err);

/* ---- chunks and search ---- */
struct stored_chunk {
    int64_t id;
    char document[33];
    char *document_name, *uri;
    int ordinal;               /* place in its document, from 0 */
    uint32_t start, end, page;
    int tokens;
    char *heading;             /* '\n' between levels */
    struct str text;           /* equals the stored text's [start, end) */
};
/* Ids that are gone are left out; order as asked. */
enum err_code index_chunks_by_id(struct index *x, const int64_t *ids, int n, struct arena *a,
                                 struct stored_chunk **out, int *n_out, struct err *err);
enum err_code index_chunks_of(struct index *x, const char *document, struct arena *a,
                              struct stored_chunk **out, int *n, struct err *err);
/* Chunks with from <= ordinal < to of a document. */
enum err_code index_chunks_range(struct index *x, const char *document, int from, int to,
                                 struct arena *a, struct stored_chunk **out, int *n,
                                 struct err *err);

struct near_hit { int64_t chunk; float score; };
/* `filter`: JSON object {"field": value | [values]} over metadata, and the
 * fields "name", "document_id", "mime"; NULL or {} for all. Best first. */
enum err_code index_near(struct index *x, const char *collection, const float *query, int k, int ef,
                         const char *filter, struct near_hit *hits, int *n, struct err *err);
enum err_code index_words(struct index *x, const char *collection, struct str query, int k,
                          const char *filter, struct near_hit *hits, int *n, struct err *err);
/* How many chunks of the collection hold each of the n folded words' stems; out[n]. And
 * *total, its chunks: what an IDF needs. */
enum err_code index_word_counts(struct index *x, const char *collection, const struct str *stems,
                                int n, int64_t *out, int64_t *total, struct err *err);

/* ---- answers (cache), conversations, keys, usage ---- */
/* Found only when the collection has not changed since. ERR_NOTFOUND. */
enum err_code index_answer_find(struct index *x, const char *collection, struct str key,
                                struct arena *a, struct str *json, struct err *err);
/* `revision`: of the collection before retrieval began; a change since then
 * makes this a no-op. `documents`: the n ids it cites. */
enum err_code index_answer_keep(struct index *x, const char *collection, int64_t revision,
                                struct str key, struct str json, const char *const *documents,
                                int n, struct err *err);

struct message { char role[16]; char *content; int64_t created_ms; };
/* `id` "" makes one and writes it there. */
enum err_code index_conversation_add(struct index *x, char id[33], const char *role,
                                     struct str content, struct err *err);
enum err_code index_conversation(struct index *x, const char *id, struct arena *a,
                                 struct message **out, int *n, struct err *err);

struct key { int64_t id; char name[64]; char prefix[12]; char scopes[64]; char collection[64];
             int64_t created_ms, used_ms; };
/* `hash`: 32 bytes, of the secret (web/keys makes both). */
enum err_code index_key_add(struct index *x, const struct key *k, const uint8_t hash[32],
                            int64_t *id, struct err *err);
enum err_code index_key_find(struct index *x, const char *prefix, const uint8_t hash[32],
                             struct key *out, struct err *err);   /* constant-time compare */
enum err_code index_keys(struct index *x, struct arena *a, struct key **out, int *n,
                         struct err *err);
enum err_code index_key_remove(struct index *x, int64_t id, struct err *err);
int index_key_count(struct index *x);   /* cached: asked on every request */

struct usage { const char *kind, *model; int64_t prompt_tokens, completion_tokens; double ms; };
void index_usage(struct index *x, const struct usage *u);   /* counted, written with a later commit */

/* ---- the whole ---- */
struct index_counts {
    int64_t documents[DOC_STATES], chunks, vectors, answers, jobs_waiting, jobs_running;
    int64_t db_bytes, blob_bytes, graph_nodes, graph_deleted;
    bool graph_rebuilt;        /* at the last open, because of doubt */
    double open_ms;
};
enum err_code index_counts(struct index *x, struct index_counts *out, struct err *err);
/* Every invariant: ranges, texts, words, vectors, graph against a rebuilt one
 * when `deep`. Calls say(arg, sentence) per finding; *findings counts them. */
enum err_code index_check(struct index *x, bool deep, void (*say)(void *arg, const char *sentence),
                          void *arg, int *findings, struct err *err);
/* Throw the graphs away and build them again. */
enum err_code index_rebuild(struct index *x, struct err *err);
#endif
