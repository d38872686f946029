/* query/cache.h - the exact-match answer cache over index_answer_*.
 *
 * The key is everything an answer depends on beside the documents: the
 * question as it is searched (case, white space and closing stops folded),
 * collection, filter, the asking settings, the encoder's hash and the engine; for
 * a language model also what cache_model says. With a temperature and no seed
 * nothing is kept.
 * What depends on documents is the index's to judge: any change of the
 * collection makes its answers unfindable.
 * Threads   no state. Memory  in the caller's arena. Private to query/. */
#ifndef CARREL_QUERY_CACHE_H
#define CARREL_QUERY_CACHE_H
#include "query/query_int.h"

/* What a language model's answer depends on beside: the models in their order with their stamps,
 * the prompt's version, schema, stops, passages as served and the conversation. */
struct cache_served { const struct hit *hits; int n_hits; const struct ask_turn *turns; int n_turns; };
enum err_code cache_model(const struct query *q, const struct ask_request *req,
                          const struct cache_served *served, struct arena *a, struct str *out,
                          struct err *err);
/* `model`: of cache_model, or empty. ERR_ARG when the filter is not a JSON object. */
enum err_code cache_key(const struct query *q, const struct ask_request *req,
                        struct str search_query, const struct scope *scope, struct str model,
                        struct arena *a, struct str *out, struct err *err);
/* *out is yours, or NULL when nothing valid is kept. */
enum err_code cache_find(struct query *q, const struct scope *scope, struct str key,
                         struct arena *a, json_t **out, struct err *err);
/* `sources`, citations or hits, name the documents that it goes with. */
enum err_code cache_keep(struct query *q, const struct scope *scope, struct str key,
                         const json_t *value, const json_t *sources, struct arena *a,
                         struct err *err);
#endif
