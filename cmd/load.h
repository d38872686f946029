/* cmd/load.h - many files into the store: offer each, then wait until all are read.
 *
 * A file whose bytes the store already has under its name costs a comparison
 * and nothing else; one that failed before is tried again. Files are accepted
 * in batches, each one transaction, while the ingest workers read what was
 * accepted before; whatever was accepted survives a stop, and is read by the
 * next `carrel add` or `carrel serve`. Through a server each file is an upload.
 * Threads   one owner. Memory  load_free releases all but the target. */
#ifndef CARREL_CMD_LOAD_H
#define CARREL_CMD_LOAD_H
#include "cmd/target.h"
#include "cmd/walk.h"
#include "index/blobs.h"

#define LOAD_BATCH 64
#define LOAD_BATCH_BYTES ((int64_t)32 << 20)

enum load_state { LOAD_TODO, LOAD_UNCHANGED, LOAD_WAITING, LOAD_READY, LOAD_FAILED, LOAD_STATES };

struct load_item {
    const struct walk_file *file;
    enum load_state state;
    char id[33];
    char *error;               /* of a failed one; yours until load_free */
    int64_t chunks;
};

struct load {
    struct target *t;
    const char *collection, *metadata;   /* metadata: JSON object text or NULL */
    int64_t max_file_bytes;
    struct load_item *items;   /* [n] */
    size_t n;
    size_t count[LOAD_STATES];
    size_t polled;             /* items before it are ready or failed */
    int64_t chunks, bytes;     /* of what became ready */
    size_t batch[LOAD_BATCH];  /* items whose blobs wait for index_add */
    struct blob *blobs[LOAD_BATCH];
    int n_batch;
    int64_t batch_bytes;
};

enum err_code load_init(struct load *l, struct target *t, const struct walk *w, struct err *err);
void load_free(struct load *l);
/* Look at item i and accept it if it is new. Only trouble with the store is an
 * error; trouble with the file is the item's. */
enum err_code load_offer(struct load *l, size_t i, struct err *err);
/* Accept what load_offer has gathered. */
enum err_code load_flush(struct load *l, struct err *err);
/* See which have been read meanwhile. */
enum err_code load_poll(struct load *l, struct err *err);
#endif
