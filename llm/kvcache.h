/* llm/kvcache.h - the memory of all timelines: pages of keys and values, shared
 * where timelines begin alike.
 *
 * A page holds ATTN_PAGE positions of every layer and KV head. A timeline (kv_seq)
 * is a list of pages; whole pages that have been computed are kept under the hash
 * of all tokens up to their end, and a later timeline with the same beginning
 * takes them instead of computing them anew (W. Kwon et al., "Efficient Memory
 * Management for Large Language Model Serving with PagedAttention", 2023,
 * arXiv:2309.06180, section 4; a hit compares the tokens, not the hash alone).
 * Pages that no timeline holds stay until memory is wanted, the longest
 * unused first. Timelines share within their circle only: how soon an answer comes
 * would else tell whoever may ask what others have asked (G. Gu et al., "Auditing
 * Prompt Caching in Language Model APIs", 2025, arXiv:2502.07776).
 * Threads   one owner (the engine's thread). Memory  one mapping of a size fixed
 *           at kvcache_new; never more. */
#ifndef CARREL_LLM_KVCACHE_H
#define CARREL_LLM_KVCACHE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "model/attn.h"

struct kvcache;
struct kvcache_options {
    enum attn_type type;
    int n_layers, n_kv_heads, head_dim;
    size_t memory_bytes;       /* rounded down to whole pages; at least one is wanted */
    bool no_share;             /* every timeline computes all its own (tests) */
};
enum err_code kvcache_new(const struct kvcache_options *opt, struct kvcache **out,
                          struct err *err);
void kvcache_free(struct kvcache *c);
size_t kvcache_page_bytes(const struct kvcache_options *opt);
enum attn_type kvcache_type(const struct kvcache *c);
size_t kvcache_part(const struct kvcache *c, int layer, int head); /* offset in a page */
int kvcache_pages(const struct kvcache *c);      /* in all */
int kvcache_pages_free(const struct kvcache *c); /* that no timeline holds or has reserved */

struct kv_seq {
    uint64_t circle;           /* who may share its pages; below 2^63; set before kv_begin */
    void **pages;              /* [n_pages]; for attn_job */
    int n_pages, cap;
    int n_whole;               /* pages that are shared or can be */
    int reserved;              /* pages promised and not yet taken */
    uint64_t hash;             /* of the tokens in the whole pages */
};
/* Promise pages for n_max positions, and begin with those its circle computed before:
 * positions [0, *n_shared) of ids hold (whole pages, fewer than n: one token at least is
 * left to compute). ERR_BUSY when the promise cannot be kept now, ERR_LIMIT when it
 * never can. */
enum err_code kv_begin(struct kvcache *c, struct kv_seq *s, const int32_t *ids, int n, int n_max,
                       int *n_shared, struct err *err);
/* Again, before the next slice: pages that others have computed since. */
int kv_catch_up(struct kvcache *c, struct kv_seq *s, const int32_t *ids, int n_done, int n);
/* Pages for positions [0, n), n within the promise. Cannot fail. */
void kv_grow(struct kvcache *c, struct kv_seq *s, int n);
/* Positions [0, n) of ids are computed and final: others may share them. */
void kv_commit(struct kvcache *c, struct kv_seq *s, const int32_t *ids, int n);
void kv_end(struct kvcache *c, struct kv_seq *s); /* zeroed is fine */
#endif
