/* index/store.h - parts of opening a store that have their own files (private). */
#ifndef CARREL_INDEX_STORE_H
#define CARREL_INDEX_STORE_H
#include "index/index_int.h"
#include "index/jobs.h"

/* blobs.c: make the folders; remove what uploads that did not end left behind,
 * and after a crash the blobs that no document names. Foreign files stay. */
/* Put a collection of the database into memory: its chunks, its graph. */
enum err_code store_open_shelf(struct index *x, struct conn *c, int64_t id, const char *name,
                               int dim, struct err *err);
enum err_code store_folders(struct index *x, struct conn *c, bool unclean, struct err *err);
/* put.c: index all words anew when the tokenizer has changed. */
enum err_code store_words(struct conn *c, struct err *err);
#endif
