/* llm/pass.c - one pass over the layers, for rows of several timelines.
 *
 * Of a layer: h = norm(x); qkv = W h; mix = attention; y = W mix; x += y;
 * h = norm(x); y = feed-forward(h); x += y. A sum and the norm behind it are one
 * step, the last of a layer with the first norm of the next. In the last layer
 * all but keys and values is worked out only for rows whose logits are wanted. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "llm/pass_int.h"
#include "model/act.h"
#include "model/attn.h"

#define ROWS 8                 /* of one piece of row work, at most */
#define TEAM_COST 8000         /* nanoseconds of row work that are worth the team */
#define LOGITS 4096            /* of one piece of capping */
#define ALIGN 64

/* ---- scratch ---- */

/* Bytes are counted with `base` NULL, and given out with it. */
struct layout { uint8_t *base; size_t used; };

static void *give(struct layout *l, size_t rows, size_t columns, size_t size)
{
    void *at = l->base ? l->base + l->used : NULL;
    l->used += (rows * columns * size + ALIGN - 1) / ALIGN * ALIGN;
    return at;
}

/* Of one member of the team. */
static size_t attend_bytes(const struct decoder_shape *s, int max_rows)
{
    struct attn_job job = {.head_dim = s->head_dim,
                           .group = s->n_heads / s->n_kv_heads,
                           .n_rows = max_rows < PASS_BLOCK ? max_rows : PASS_BLOCK};
    return (attn_scratch_bytes(&job) + ALIGN - 1) / ALIGN * ALIGN;
}

static void lay_out(struct pass *p, const struct decoder_shape *s, int threads, struct layout *l)
{
    size_t n = (size_t)p->max_rows, dim = (size_t)s->n_embd, one = sizeof(float);
    size_t used = (size_t)s->n_experts_used, n_turn = (size_t)s->head_dim;
    p->n_q = s->n_heads * s->head_dim;
    p->n_kv = s->n_kv_heads * s->head_dim;
    p->ld_qkv = p->n_q + 2 * p->n_kv;
    p->x = give(l, n, dim, one);
    p->h = give(l, n, dim, one);
    p->y = give(l, n, dim, one);
    p->qkv = give(l, n, (size_t)p->ld_qkv, one);
    p->mix = give(l, n, (size_t)p->n_q, one);
    p->ff = give(l, n, 2 * (size_t)s->n_ff, one);
    p->turn[0] = give(l, n, n_turn, one);
    p->turn[1] = give(l, n, n_turn, one);
    p->logits = give(l, (size_t)p->max_logits, (size_t)s->n_vocab, one);
    p->route = give(l, n, (size_t)s->n_experts, one);
    p->share = give(l, n, used, one);
    p->chosen = give(l, n, used, sizeof(int));
    p->picked = give(l, n, 1, sizeof(int));
    p->gathered = give(l, n, used ? dim : 0, one);
    p->pos = give(l, n, 1, sizeof(int));
    p->part_row = give(l, n, 1, sizeof(int));
    p->block = give(l, n, 1, sizeof(struct pass_block));
    p->scratch_bytes = attend_bytes(s, p->max_rows);
    p->scratch = give(l, (size_t)threads, p->scratch_bytes, 1);
}

static int widest(const struct decoder_shape *s)
{
    int q = s->n_heads * s->head_dim, k = s->n_embd > s->n_ff ? s->n_embd : s->n_ff;
    return q > k ? q : k;
}

size_t pass_bytes(const struct decoder_shape *s, int max_rows, int max_logits, int max_context,
                  int threads)
{
    struct pass p = {.max_rows = max_rows, .max_logits = max_logits, .max_context = max_context};
    struct layout l = {0};
    lay_out(&p, s, threads, &l);
    /* A mat_input keeps a row as BF16 and as int8 with its sums: 4 bytes an element. */
    return l.used + (size_t)max_rows * (size_t)widest(s) * 4;
}

static void set_turns(struct pass *p)
{
    const struct decoder *d = p->d;
    const float *factors = d->freqs;
    if (!factors)
        factors = p->max_context > d->net.rope.original ? d->freqs_long : d->freqs_short;
    p->gain[0] = rope_freqs(&d->net.rope, factors, p->freq[0]);
    p->gain[1] = rope_freqs(&d->net.rope_local, NULL, p->freq[1]);
    if (!(d->net.arch->local_base > 0))
        p->turn[1] = NULL;
}

static enum err_code fill(struct pass *p, struct err *err)
{
    const struct decoder_shape *s = &p->d->net.shape;
    struct layout l = {0};
    int threads = team_size(p->team);
    enum err_code rc = mat_input_new(p->max_rows, widest(s), &p->input, err);
    if (rc)
        return rc;
    lay_out(p, s, threads, &l);
    p->memory_bytes = l.used;
    void *map = mmap(NULL, l.used, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return err_set(err, ERR_NOMEM, "%zu bytes of scratch for passes of %d rows", l.used,
                       p->max_rows);
    p->memory = map;
    madvise(map, l.used, MADV_HUGEPAGE);   /* fewer misses; may be refused */
    l = (struct layout){p->memory, 0};
    lay_out(p, s, threads, &l);
    set_turns(p);
    return OK;
}

enum err_code pass_new(const struct decoder *d, struct team *team, int max_rows, int max_logits,
                       int max_context, struct pass **out, struct err *err)
{
    *out = NULL;
    if (max_rows < 1 || max_rows > 1 << 16 || max_logits < 0 || max_logits > max_rows ||
        max_context < 1 || max_context > 1 << 24)
        return err_set(err, ERR_ARG, "passes of %d rows, %d of them wanted, below position %d",
                       max_rows, max_logits, max_context);
    struct pass *p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(err, ERR_NOMEM, "scratch for passes");
    p->d = d;
    p->team = team;
    p->max_rows = max_rows;
    p->max_logits = max_logits;
    p->max_context = max_context;
    enum err_code rc = fill(p, err);
    if (rc)
        pass_free(p);
    else
        *out = p;
    return rc;
}

void pass_free(struct pass *p)
{
    if (!p)
        return;
    mat_input_free(p->input);
    if (p->memory)
        munmap(p->memory, p->memory_bytes);
    free(p);
}

/* ---- row work ---- */

struct row_work {
    struct pass *p;
    int n, piece;              /* rows; of one piece */
    void (*fn)(struct pass *p, int row);
};

static void run_rows(void *arg, int piece)
{
    const struct row_work *w = arg;
    int end = (piece + 1) * w->piece < w->n ? (piece + 1) * w->piece : w->n;
    for (int r = piece * w->piece; r < end; r++)
        w->fn(w->p, r);
}

void pass_rows(struct pass *p, int n, int cost, void (*fn)(struct pass *p, int row))
{
    int share = (n + team_size(p->team) - 1) / team_size(p->team);
    struct row_work w = {p, n, share < ROWS ? share : ROWS, fn};
    if ((int64_t)n * cost >= TEAM_COST && n > 1)
        parallel_for(p->team, (n + w.piece - 1) / w.piece, run_rows, &w);
    else
        for (int r = 0; r < n; r++)
            fn(p, r);
}

/* ---- the steps ---- */

static const struct pass_part *part_of(const struct pass *p, int row, int *at)
{
    int i = p->n_parts - 1;
    while (p->part_row[i] > row)
        i--;
    *at = row - p->part_row[i];
    return &p->parts[i];
}

static void embed_row(struct pass *p, int row)
{
    int dim = p->d->net.shape.n_embd, at;
    const struct pass_part *t = part_of(p, row, &at);
    float *x = p->x + (size_t)row * (size_t)dim, scale = p->d->net.embd_scale;
    mat_row(p->d->embd, t->ids[at], x);
    for (int i = 0; scale != 1 && i < dim; i++)
        x[i] *= scale;
    act_rms_norm(p->h + (size_t)row * (size_t)dim, x, p->norm, dim, (float)p->d->net.eps);
}

/* x += norm(y) (or y), h = norm(x) */
static void join_row(struct pass *p, int row)
{
    int dim = p->d->net.shape.n_embd;
    size_t at = (size_t)row * (size_t)dim;
    if (p->post)
        act_rms_norm(p->y + at, p->y + at, p->post, dim, (float)p->d->net.eps);
    act_add(p->x + at, p->y + at, (size_t)dim);
    act_rms_norm(p->h + at, p->x + at, p->norm, dim, (float)p->d->net.eps);
}

static void join(struct pass *p, const float *post, const float *norm)
{
    p->post = post;
    p->norm = norm;
    pass_rows(p, p->rows, p->d->net.shape.n_embd / 4, join_row);
}

static void multiply_qkv(struct pass *p)
{
    const struct decoder_layer *l = &p->d->layer[p->layer];
    size_t dim = (size_t)p->d->net.shape.n_embd, ld = (size_t)p->ld_qkv;
    const struct mat_task apart[3] = {{l->q, l->q_bias, p->qkv, ld},
                                      {l->k, l->k_bias, p->qkv + p->n_q, ld},
                                      {l->v, l->v_bias, p->qkv + p->n_q + p->n_kv, ld}};
    const struct mat_task fused = {l->qkv, NULL, p->qkv, ld};
    mat_input_set(p->input, p->rows, (int)dim, p->h, dim);
    mat_mul(p->team, p->input, l->qkv ? &fused : apart, l->qkv ? 1 : 3);
}

/* Only rows whose logits are wanted go on: they move to the front. */
static void keep_wanted(struct pass *p)
{
    size_t dim = (size_t)p->d->net.shape.n_embd, n_q = (size_t)p->n_q, kept = 0;
    for (int i = 0; i < p->n_parts; i++) {
        const struct pass_part *t = &p->parts[i];
        size_t from = (size_t)(p->part_row[i] + t->n - t->n_logits), n = (size_t)t->n_logits;
        if (from != kept) {
            memmove(p->x + kept * dim, p->x + from * dim, n * dim * sizeof(float));
            memmove(p->mix + kept * n_q, p->mix + from * n_q, n * n_q * sizeof(float));
        }
        kept += n;
    }
    p->rows = (int)kept;
}

static void run_layer(struct pass *p)
{
    const struct decoder *d = p->d;
    const struct decoder_layer *l = &d->layer[p->layer];
    bool last = p->layer == d->net.shape.n_layers - 1;
    size_t dim = (size_t)d->net.shape.n_embd;
    const struct mat_task out = {l->o, l->o_bias, p->y, dim};
    multiply_qkv(p);
    pass_attend(p);
    if (last)
        keep_wanted(p);
    if (p->rows == 0)
        return;
    mat_input_set(p->input, p->rows, p->n_q, p->mix, (size_t)p->n_q);
    mat_mul(p->team, p->input, &out, 1);
    join(p, l->post_attn_norm, l->ffn_norm);
    pass_feed(p);
    join(p, l->post_ffn_norm, last ? d->output_norm : d->layer[p->layer + 1].attn_norm);
}

static void cap_some(void *arg, int piece)
{
    struct pass *p = arg;
    size_t all = (size_t)p->rows * (size_t)p->d->net.shape.n_vocab, from = (size_t)piece * LOGITS;
    act_softcap(p->logits + from, all - from < LOGITS ? all - from : LOGITS,
                (float)p->d->net.final_softcap);
}

static void make_logits(struct pass *p)
{
    const struct decoder *d = p->d;
    size_t dim = (size_t)d->net.shape.n_embd, n = (size_t)d->net.shape.n_vocab;
    const struct mat_task task = {d->output ? d->output : d->embd, NULL, p->logits, n};
    mat_input_set(p->input, p->rows, (int)dim, p->h, dim);
    mat_mul(p->team, p->input, &task, 1);
    if (d->net.final_softcap > 0)
        parallel_for(p->team, (int)(((size_t)p->rows * n + LOGITS - 1) / LOGITS), cap_some, p);
}

static void begin(struct pass *p, const struct kvcache *kv, const struct pass_part *parts,
                  int n_parts)
{
    p->kv = kv;
    p->parts = parts;
    p->n_parts = n_parts;
    p->rows = 0;
    for (int i = 0; i < n_parts; i++) {
        p->part_row[i] = p->rows;
        for (int r = 0; r < parts[i].n; r++)
            p->pos[p->rows++] = parts[i].pos0 + r;
    }
}

void pass_run(struct pass *p, const struct kvcache *kv, const struct pass_part *parts, int n_parts,
              const float **logits)
{
    begin(p, kv, parts, n_parts);
    *logits = p->logits;
    p->norm = p->d->layer[0].attn_norm;
    pass_rows(p, p->rows, p->d->net.shape.n_embd / 2, embed_row);
    pass_turns(p);
    for (p->layer = 0; p->layer < p->d->net.shape.n_layers; p->layer++)
        run_layer(p);
    if (p->rows > 0)
        make_logits(p);
}
