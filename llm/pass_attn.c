/* llm/pass_attn.c - from the product of queries, keys and values to the mix of
 * values: heads normalised, turned, put in the pages, attended. */
#include "llm/pass_int.h"
#include "model/act.h"
#include "model/attn.h"

#define SMALL_ROWS 4           /* rows whose turning is not worth the team */
#define SMALL_WORK (1 << 16)   /* multiplications of attention that are not */

/* ---- turning ---- */

static void turn_row(struct pass *p, int row)
{
    const struct decoder_net *net = &p->d->net;
    int n = net->rope.n_rot / 2;
    for (int local = 0; local < (p->turn[1] ? 2 : 1); local++) {
        float *at = p->turn[local] + (size_t)row * 2 * (size_t)n;
        rope_angles(p->freq[local], n, p->gain[local], p->pos[row], at, at + n);
    }
}

void pass_turns(struct pass *p)
{
    pass_rows(p, p->rows, 20 * p->d->net.rope.n_rot, turn_row);
}

static void turn_head(const struct pass *p, float *head, const float *norm, const float *turn)
{
    const struct decoder_net *net = &p->d->net;
    int n = net->rope.n_rot / 2;
    if (norm)
        act_rms_norm(head, head, norm, net->shape.head_dim, (float)net->eps);
    act_rope(head, turn, turn + n, 2 * n, net->arch->neighbours);
}

/* Queries of one KV head, its keys and values, for all rows of a part. */
static void put_head(void *arg, int i)
{
    const struct pass *p = arg;
    const struct decoder_net *net = &p->d->net;
    const struct decoder_layer *l = &p->d->layer[p->layer];
    int part = i / net->shape.n_kv_heads, head = i % net->shape.n_kv_heads;
    int dim = net->shape.head_dim, group = net->shape.n_heads / net->shape.n_kv_heads;
    const struct pass_part *t = &p->parts[part];
    bool local = p->turn[1] && decoder_window(net, p->layer) > 0;
    size_t offset = kvcache_part(p->kv, p->layer, head);
    for (int r = 0; r < t->n; r++) {
        size_t row = (size_t)(p->part_row[part] + r);
        const float *turn = p->turn[local] + row * (size_t)net->rope.n_rot;
        float *q = p->qkv + row * (size_t)p->ld_qkv + (size_t)(head * group * dim);
        float *k = p->qkv + row * (size_t)p->ld_qkv + p->n_q + (size_t)(head * dim);
        for (int g = 0; g < group; g++)
            turn_head(p, q + (size_t)(g * dim), l->q_norm, turn);
        turn_head(p, k, l->k_norm, turn);
        int pos = t->pos0 + r;
        attn_put(kvcache_type(p->kv), dim, (char *)t->seq->pages[pos / ATTN_PAGE] + offset,
                 pos % ATTN_PAGE, k, k + p->n_kv);
    }
}

/* ---- attending ---- */

static void attend_block(const struct pass *p, const struct pass_block *b, int head,
                         uint8_t *scratch)
{
    const struct decoder_net *net = &p->d->net;
    const struct pass_part *t = &p->parts[b->part];
    int dim = net->shape.head_dim, group = net->shape.n_heads / net->shape.n_kv_heads;
    size_t at = (size_t)(head * group * dim);
    struct attn_job job = {
        .type = kvcache_type(p->kv), .head_dim = dim, .group = group, .scale = net->score_scale,
        .softcap = (float)net->attn_softcap, .window = decoder_window(net, p->layer),
        .pages = t->seq->pages, .part = kvcache_part(p->kv, p->layer, head),
        .n_rows = b->n, .pos0 = t->pos0 + b->row - p->part_row[b->part],
        .q = p->qkv + (size_t)b->row * (size_t)p->ld_qkv + at, .ldq = (size_t)p->ld_qkv,
        .out = p->mix + (size_t)b->row * (size_t)p->n_q + at, .ldo = (size_t)p->n_q,
    };
    attn_run(&job, scratch);
}

/* One member of the team, with its own scratch: jobs as long as there are any,
 * those at the ends of the timelines, which are the longest, first. */
static void attend_jobs(void *arg, int member)
{
    struct pass *p = arg;
    int heads = p->d->net.shape.n_kv_heads, n = p->n_blocks * heads;
    uint8_t *scratch = p->scratch + (size_t)member * p->scratch_bytes;
    for (int i; (i = atomic_fetch_add(&p->next, 1)) < n;)
        attend_block(p, &p->block[p->n_blocks - 1 - i / heads], i % heads, scratch);
}

/* Cut the rows of all parts, or only those whose logits are wanted, into blocks;
 * gives about how many multiplications a head of them takes. */
static int64_t cut_blocks(struct pass *p, bool wanted)
{
    int64_t work = 0;
    p->n_blocks = 0;
    for (int i = 0; i < p->n_parts; i++) {
        const struct pass_part *t = &p->parts[i];
        int end = p->part_row[i] + t->n;
        for (int row = wanted ? end - t->n_logits : p->part_row[i]; row < end;) {
            int n = end - row < PASS_BLOCK ? end - row : PASS_BLOCK;
            p->block[p->n_blocks++] = (struct pass_block){i, row, n};
            work += (int64_t)n * (t->pos0 + t->n);
            row += n;
        }
    }
    return work * p->d->net.shape.head_dim * 2;
}

void pass_attend(struct pass *p)
{
    const struct decoder_shape *s = &p->d->net.shape;
    int puts = p->n_parts * s->n_kv_heads;
    if (p->rows <= SMALL_ROWS)
        for (int i = 0; i < puts; i++)
            put_head(p, i);
    else
        parallel_for(p->team, puts, put_head, p);
    int64_t work = cut_blocks(p, p->layer == s->n_layers - 1) * s->n_heads;
    atomic_store(&p->next, 0);
    if (work < SMALL_WORK)
        attend_jobs(p, 0);
    else
        parallel_for(p->team, team_size(p->team), attend_jobs, p);
}
