/* index/hnsw.h - approximate nearest neighbours in a layered graph.
 *
 * Y. Malkov and D. Yashunin, "Efficient and robust approximate nearest
 * neighbor search using Hierarchical Navigable Small World graphs", 2016,
 * arXiv:1603.09320. Algorithm numbers in the sources are the paper's.
 *
 * Vectors   float[dim], unit length (embed/ normalizes); distance is 1 - dot,
 *           from 0 (same direction) to 2 (opposite).
 * Labels    uint64_t chunk ids chosen by the caller, unique in one graph.
 * Links     go both ways: a node knows all that know it, so that removal
 *           leaves nothing that points at it.
 * Levels    from a hash of the label: the same labels and vectors added in the
 *           same order give the same graph, bit for bit, on one machine (vec.h).
 * Threads   any number of hnsw_search and hnsw_plan, or one hnsw_add,
 *           hnsw_apply or hnsw_remove: callers hold a rwlock.
 * Memory    the graph copies what it is given; hnsw_free releases all of it.
 * Disk      layout and checks are described at the top of hnsw_file.c. */
#ifndef CARREL_INDEX_HNSW_H
#define CARREL_INDEX_HNSW_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct hnsw;
struct hnsw_options {
    int dim;              /* floats in a vector, 1..4096 */
    int m;                /* links a node makes per layer, 2..128; it keeps 2*m on layer 0 */
    int ef_construction;  /* candidates weighed while linking; m..4096 */
    uint64_t seed;        /* of the level lottery; same seed, same graph */
};

struct hnsw_hit { uint64_t label; float distance; };

/* Make an empty graph. ERR_ARG when an option is out of its range. */
enum err_code hnsw_new(const struct hnsw_options *opt, struct hnsw **out, struct err *err);
void hnsw_free(struct hnsw *h);   /* NULL is fine */

/* Add one vector of unit length (within 2 %) under `label`. ERR_ARG when the
 * label is there or the vector is not of unit length. On failure the graph is
 * as it was before. */
enum err_code hnsw_add(struct hnsw *h, uint64_t label, const float *vec, struct err *err);
/* The same in two halves, so that searches go on during the long one: find the
 * links (reads only), then make them. The plan must be applied before any
 * other change, and holds a copy of the vector. */
struct hnsw_plan;
enum err_code hnsw_plan(const struct hnsw *h, uint64_t label, const float *vec,
                        struct hnsw_plan **plan, struct err *err);
enum err_code hnsw_apply(struct hnsw *h, struct hnsw_plan *plan, struct err *err);
void hnsw_plan_free(const struct hnsw *h, struct hnsw_plan *plan);
/* Remove `label`: never found again; its neighbours are linked anew so that
 * recall holds. The lowest freed slot is used again first. ERR_NOTFOUND. */
enum err_code hnsw_remove(struct hnsw *h, uint64_t label, struct err *err);
bool hnsw_has(const struct hnsw *h, uint64_t label);
size_t hnsw_count(const struct hnsw *h);
size_t hnsw_freed(const struct hnsw *h);     /* slots that wait to be used again */
/* The vector under `label`, borrowed until the next change; NULL without one. */
const float *hnsw_vector(const struct hnsw *h, uint64_t label);
/* Call fn for every label, in order of slots. */
void hnsw_each(const struct hnsw *h, void (*fn)(void *arg, uint64_t label), void *arg);

/* Find up to `k` nearest to `query`, nearest first (paper: algorithm 5).
 * `ef` (>= k) trades time for recall. Only labels for which keep(arg, label)
 * is true are returned (keep NULL: all). Writes hits[0..*n), *n <= k; an empty
 * graph gives *n = 0 and OK. */
enum err_code hnsw_search(const struct hnsw *h, const float *query, int k, int ef,
                          bool (*keep)(void *arg, uint64_t label), void *arg,
                          struct hnsw_hit *hits, int *n, struct err *err);

/* Snapshot of the links, whole or not at all; `tag` (e.g. store and collection)
 * comes back on load. Vectors stay where the truth is. */
enum err_code hnsw_save(const struct hnsw *h, const char *path, uint64_t tag, struct err *err);
/* Where a loaded graph finds its vectors: write out[dim]. ERR_NOTFOUND: that
 * label is gone; it is removed from the graph once all are read. */
struct hnsw_source {
    enum err_code (*vector)(void *arg, uint64_t label, float *out, struct err *err);
    void *arg;
};
/* Checked structure by structure, checksum right or not; ERR_FORMAT on any doubt
 * (also when it was made with other options), ERR_NOTFOUND without a file. */
enum err_code hnsw_load(const char *path, const struct hnsw_options *want,
                        const struct hnsw_source *source, struct hnsw **out, uint64_t *tag,
                        struct err *err);
enum err_code hnsw_load_bytes(const void *bytes, size_t n, const struct hnsw_options *want,
                              const struct hnsw_source *source, struct hnsw **out, uint64_t *tag,
                              struct err *err);
/* Every structural promise: both-way links, degrees, levels, entry, no node
 * alone in company, unit vectors. ERR_FORMAT names the first that is broken. */
enum err_code hnsw_check(const struct hnsw *h, struct err *err);
/* Same nodes, vectors and links in the same order. */
bool hnsw_equal(const struct hnsw *a, const struct hnsw *b);
#endif
