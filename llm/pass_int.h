/* llm/pass_int.h - what pass.c, pass_attn.c and pass_ffn.c share. Private to them.
 *
 * Rows of all parts lie behind each other. Everything between the products and
 * attention is a row's own and done row by row; a step that is small is done by
 * the caller alone, for waking the team costs microseconds. */
#ifndef CARREL_LLM_PASS_INT_H
#define CARREL_LLM_PASS_INT_H
#include <stdatomic.h>
#include "llm/decoder_int.h"

#define PASS_BLOCK 64          /* rows of a timeline that one job of attention takes */

/* Rows [row, row + n) of one part, for one job of attention. */
struct pass_block { int part, row, n; };

struct pass {
    const struct decoder *d;
    struct team *team;
    int max_rows, max_logits, max_context;
    int n_q, n_kv, ld_qkv;     /* floats of a row's queries, of its keys, of all three */
    struct mat_input *input;
    uint8_t *memory;           /* all of what follows */
    size_t memory_bytes;       /* of the mapping */
    float *x;                  /* [rows][n_embd], what the layers add to */
    float *h;                  /* [rows][n_embd], normalised: what products take */
    float *y;                  /* [rows][n_embd], what they give */
    float *qkv;                /* [rows][ld_qkv] */
    float *mix;                /* [rows][n_q] */
    float *ff;                 /* [rows][2 n_ff]: gate, then up */
    float *turn[2];            /* [rows][n_rot]: cosines, then sines; of local layers at 1 */
    float *logits;             /* [max_logits][n_vocab] */
    float *route;              /* [rows][n_experts] */
    float *share;              /* [rows][n_experts_used] */
    int *chosen;               /* [rows][n_experts_used], ascending */
    int *picked;               /* [rows]: those of one expert */
    float *gathered;           /* [rows][n_embd], their h, then their y */
    int *pos, *part_row;       /* [rows]: positions; first rows of the parts */
    struct pass_block *block;  /* [rows] */
    uint8_t *scratch;          /* [team_size][scratch_bytes] */
    size_t scratch_bytes;
    double freq[2][ROPE_HALF_MAX], gain[2];

    /* The run that is going on. */
    const struct kvcache *kv;
    const struct pass_part *parts;
    int n_parts, rows, n_blocks;
    int layer;
    atomic_int next;           /* job of attention that nobody has taken yet */
    const float *post, *norm;  /* of the step between two products */
    int cap_rows;              /* logits to cap */
};

/* fn(p, r) for rows [0, n), on the team when `cost` (about nanoseconds of a row)
 * makes it worth while. */
void pass_rows(struct pass *p, int n, int cost, void (*fn)(struct pass *p, int row));
/* Once a run: what the positions turn. */
void pass_turns(struct pass *p);
/* mix = attention over qkv, which is normalised, turned and put in the cache on
 * the way. In the last layer only rows whose logits are wanted are mixed. */
void pass_attend(struct pass *p);
/* y = feed-forward of h. */
void pass_feed(struct pass *p);
#endif
