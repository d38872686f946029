/* model/attn.h - attention over a cache that lies in pages.
 *
 * softmax(scale * q K^T) V with one KV head for `group` query heads (grouped
 * query attention, Ainslie et al. 2023, arXiv:2305.13245), causal, with an
 * optional sliding window and soft cap. Keys of a page lie 16 positions side by
 * side, so that a vector of scores is a chain over the head's dimensions; values
 * lie a position behind the other. Scores, maximum, exponentials and sums of a
 * query go in the order of its positions, whatever is computed beside it: a row
 * of `out` has the same bits in any batch, on any team, in any page order.
 * Types     F32; F16; Q8 (int8 with an F32 scale per position and head).
 * Threads   attn_put and attn_run on different heads at a time; nothing shared. */
#ifndef CARREL_MODEL_ATTN_H
#define CARREL_MODEL_ATTN_H
#include <stddef.h>
#include <stdint.h>

enum attn_type { ATTN_F32, ATTN_F16, ATTN_Q8 };
#define ATTN_PAGE 32            /* positions in a page */
#define ATTN_HEAD_MAX 512       /* dimensions of a head, a multiple of 2 */

/* Bytes of one layer's one KV head in a page (a multiple of 64). */
size_t attn_page_bytes(enum attn_type type, int head_dim);
/* Store k[head_dim] and v[head_dim] of position `slot` (0..ATTN_PAGE-1) in the head's part of
 * a page. */
void attn_put(enum attn_type type, int head_dim, void *part, int slot, const float *k,
              const float *v);

struct attn_job {
    enum attn_type type;
    int head_dim, group;       /* query heads that share this KV head */
    float scale, softcap;      /* softcap: cap * tanh(score / cap); 0: none */
    int window;                /* a query sees its last `window` positions; 0: all */
    void *const *pages;        /* of the timeline: position p is in pages[p / ATTN_PAGE] */
    size_t part;               /* offset of this layer's and head's part in each page */
    int n_rows, pos0;          /* rows are positions pos0, pos0 + 1, ... */
    const float *q;            /* row r, head g at q + r * ldq + g * head_dim; aligned as floats */
    float *out;                /* laid out alike, by ldo */
    size_t ldq, ldo;
};
/* Bytes of scratch for a job with these heads and rows. */
size_t attn_scratch_bytes(const struct attn_job *job);
void attn_run(const struct attn_job *job, void *scratch);
#endif
