/* index/blobs_int.h - an upload's file, for the files of index/ only. */
#ifndef CARREL_INDEX_BLOBS_INT_H
#define CARREL_INDEX_BLOBS_INT_H
#include "base/map.h"
#include "index/blobs.h"
#include "index/index_int.h"

struct blob {
    struct index *index;
    int fd;
    bool finished;
    size_t size, max;
    char *path;
    struct hasher *hasher;
    struct hash128 hash;
};

void blob_free(struct blob *b);                       /* without its file */
/* To its place under blobs/, and back. */
enum err_code blob_place(struct blob *b, const char *id, struct err *err);
void blob_unplace(struct blob *b, const char *id);
/* Sync the folders of n ids, 33 bytes each. */
enum err_code blob_sync(struct index *x, const char *ids, int n, struct err *err);
enum err_code blob_same(const struct blob *b, const char *id, bool *same, struct err *err);
#endif
