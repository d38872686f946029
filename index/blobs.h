/* index/blobs.h - original files on their way in (open to web, ingest and cmd).
 *
 * blob_begin opens a temporary file inside the store; bytes are hashed as they
 * are written; blob_finish syncs it. index_add moves it to its place. A blob
 * that is dropped (or a crash) leaves nothing that the next open keeps.
 * Threads   one owner per blob. */
#ifndef CARREL_INDEX_BLOBS_H
#define CARREL_INDEX_BLOBS_H
#include "base/hash.h"
#include "index/index.h"

enum err_code blob_begin(struct index *x, size_t max_bytes, struct blob **out, struct err *err);
enum err_code blob_write(struct blob *b, const void *bytes, size_t n, struct err *err); /* ERR_LIMIT */
enum err_code blob_finish(struct blob *b, struct err *err);
size_t blob_size(const struct blob *b);
struct hash128 blob_hash(const struct blob *b);
void blob_drop(struct blob *b);      /* NULL is fine */
/* A finished blob with all of `path`'s bytes. */
enum err_code blob_from_file(struct index *x, const char *path, size_t max_bytes, struct blob **out,
                             struct err *err);
#endif
