/* index/hnsw.h - approximate nearest neighbours in a layered graph.
 *
 * Y. Malkov and D. Yashunin, "Efficient and robust approximate nearest
 * neighbor search using Hierarchical Navigable Small World graphs", 2016,
 * arXiv:1603.09320. Algorithm numbers in the sources are the paper's.
 *
 * Vectors   float[dim], unit length (embed/ normalizes); distance is 1 - dot,
 *           from 0 (same direction) to 2 (opposite).
 * Labels    uint64_t chunk ids chosen by the caller, unique in one graph.
 * Levels    from a hash of the label: the same labels and vectors added in the
 *           same order give the same graph, bit for bit.
 * Threads   any number of hnsw_search, or one hnsw_add / hnsw_remove: callers
 *           hold a rwlock.
 * Memory    the graph copies what it is given; hnsw_free releases all of it.
 * Disk      layout and recovery are described at the top of hnsw_file.c. */
#ifndef CARREL_INDEX_HNSW_H
#define CARREL_INDEX_HNSW_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct hnsw;
struct hnsw_options {
    int dim;              /* floats in a vector, 1..4096 */
    int m;                /* links a node keeps per layer; layer 0 keeps 2*m */
    int ef_construction;  /* candidates weighed while linking; >= m */
    uint64_t seed;        /* of the level lottery; same seed, same graph */
};

struct hnsw_hit { uint64_t label; float distance; };

/* Make an empty graph. ERR_ARG when an option is out of its range. */
enum err_code hnsw_new(const struct hnsw_options *opt, struct hnsw **out, struct err *err);
void hnsw_free(struct hnsw *h);   /* NULL is fine */

/* Add one vector under `label`. On failure the graph is as it was before. */
enum err_code hnsw_add(struct hnsw *h, uint64_t label, const float *vec, struct err *err);
/* Remove `label`: never found again; its neighbours are linked anew so that
 * recall holds. ERR_NOTFOUND. */
enum err_code hnsw_remove(struct hnsw *h, uint64_t label, struct err *err);
bool hnsw_has(const struct hnsw *h, uint64_t label);
size_t hnsw_count(const struct hnsw *h);

/* Find up to `k` nearest to `query`, nearest first (paper: algorithm 5).
 * `ef` (>= k) trades time for recall. Only labels for which keep(arg, label)
 * is true are returned (keep NULL: all). Writes hits[0..*n), *n <= k; an empty
 * graph gives *n = 0 and OK. */
enum err_code hnsw_search(const struct hnsw *h, const float *query, int k, int ef,
                          bool (*keep)(void *arg, uint64_t label), void *arg,
                          struct hnsw_hit *hits, int *n, struct err *err);

/* Snapshot: whole or not at all; `tag` (e.g. collection and revision) comes back on load. */
enum err_code hnsw_save(const struct hnsw *h, const char *path, uint64_t tag, struct err *err);
/* Checked structure by structure, checksum right or not; ERR_FORMAT on any doubt. */
enum err_code hnsw_load(const char *path, const struct hnsw_options *want, struct hnsw **out,
                        uint64_t *tag, struct err *err);
enum err_code hnsw_load_bytes(const void *bytes, size_t n, const struct hnsw_options *want,
                              struct hnsw **out, uint64_t *tag, struct err *err);
/* Same nodes, vectors and links in the same order. */
bool hnsw_equal(const struct hnsw *a, const struct hnsw *b);
#endif
