/* llm/pass_ffn.c - the feed-forward: one gated pair of matrices, or those of the
 * experts that a row's router chooses (A. Jiang et al., "Mixtral of Experts", 2024,
 * arXiv:2401.04088). A row adds its experts in their order, so that its bits do
 * not hang on who else is in the pass. */
#include <math.h>
#include <string.h>
#include "llm/pass_int.h"
#include "model/act.h"

static void gate_row(struct pass *p, int row)
{
    size_t n = (size_t)p->d->net.shape.n_ff;
    float *gate = p->ff + (size_t)row * 2 * n;
    if (p->d->net.arch->gelu)
        act_gelu_tanh_mul(gate, gate + n, n);
    else
        act_silu_mul(gate, gate + n, n);
}

/* ff = gate(x) * up(x), y = down(ff), for n rows of x. */
static void feed(struct pass *p, const struct decoder_layer *l, const struct mat *gate,
                 const struct mat *up, const struct mat *down, int n, const float *x, float *y)
{
    const struct decoder_shape *s = &p->d->net.shape;
    size_t ld = 2 * (size_t)s->n_ff, dim = (size_t)s->n_embd;
    const struct mat_task apart[2] = {{gate, l->gate_bias, p->ff, ld},
                                      {up, l->up_bias, p->ff + s->n_ff, ld}};
    const struct mat_task fused = {l->gate_up, NULL, p->ff, ld};
    const struct mat_task back = {down, l->down_bias, y, dim};
    mat_input_set(p->input, n, s->n_embd, x, dim);
    mat_mul(p->team, p->input, l->gate_up ? &fused : apart, l->gate_up ? 1 : 2);
    pass_rows(p, n, s->n_ff, gate_row);
    mat_input_set(p->input, n, s->n_ff, p->ff, ld);
    mat_mul(p->team, p->input, &back, 1);
}

/* The experts of a row: those with the best scores (of equal ones the first), in
 * ascending order, and their shares, softmax over the chosen. */
static void choose_row(struct pass *p, int row)
{
    const struct decoder_shape *s = &p->d->net.shape;
    int n = s->n_experts, used = s->n_experts_used, taken = 0;
    const float *score = p->route + (size_t)row * (size_t)n;
    float *share = p->share + (size_t)row * (size_t)used, sum = 0, top = -INFINITY;
    int *chosen = p->chosen + (size_t)row * (size_t)used;
    for (int e = 0; e < n && taken < used; e++) {
        int better = 0;
        for (int o = 0; o < n; o++)
            better += score[o] > score[e] || (score[o] == score[e] && o < e);
        if (better < used)
            chosen[taken++] = e;
    }
    for (; taken < used; taken++)      /* scores that are no numbers have no order */
        chosen[taken] = taken;
    for (int i = 0; i < used; i++)
        top = score[chosen[i]] > top ? score[chosen[i]] : top;
    for (int i = 0; i < used; i++)
        sum += share[i] = expf(score[chosen[i]] - top);
    for (int i = 0; i < used; i++)
        share[i] /= sum;
}

/* The rows of an expert to p->picked, and their h side by side. */
static int pick_rows(struct pass *p, int expert)
{
    const struct decoder_shape *s = &p->d->net.shape;
    size_t dim = (size_t)s->n_embd;
    int n = 0;
    for (int i = 0; i < p->rows * s->n_experts_used; i++) {
        if (p->chosen[i] != expert)
            continue;
        memcpy(p->gathered + (size_t)n * dim, p->h + (size_t)(i / s->n_experts_used) * dim,
               dim * sizeof(float));
        p->picked[n++] = i;
    }
    return n;
}

static void feed_experts(struct pass *p, const struct decoder_layer *l)
{
    const struct decoder_shape *s = &p->d->net.shape;
    size_t dim = (size_t)s->n_embd;
    const struct mat_task route = {l->router, NULL, p->route, (size_t)s->n_experts};
    mat_input_set(p->input, p->rows, s->n_embd, p->h, dim);
    mat_mul(p->team, p->input, &route, 1);
    pass_rows(p, p->rows, s->n_experts * s->n_experts, choose_row);
    memset(p->y, 0, (size_t)p->rows * dim * sizeof(float));
    for (int e = 0; e < s->n_experts; e++) {
        int n = pick_rows(p, e);
        if (n == 0)
            continue;
        feed(p, l, l->gate_exps[e], l->up_exps[e], l->down_exps[e], n, p->gathered, p->gathered);
        for (int i = 0; i < n; i++) {
            float *y = p->y + (size_t)(p->picked[i] / s->n_experts_used) * dim;
            for (size_t j = 0; j < dim; j++)
                y[j] += p->share[p->picked[i]] * p->gathered[(size_t)i * dim + j];
        }
    }
}

void pass_feed(struct pass *p)
{
    const struct decoder_layer *l = &p->d->layer[p->layer];
    if (l->router)
        feed_experts(p, l);
    else
        feed(p, l, l->gate, l->up, l->down, p->rows, p->h, p->y);
}
