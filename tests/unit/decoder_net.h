/* tests/unit/decoder_net.h - a model file opened with its cache and scratch, and
 * whole sequences run through it, for the decoder's tests. */
#ifndef CARREL_TESTS_DECODER_NET_H
#define CARREL_TESTS_DECODER_NET_H
#include "llm/decoder.h"
#include "llm/kvcache.h"
#include "tests/test.h"

#define NET_ROWS 512

struct net {
    struct decoder *d;
    const struct decoder_shape *s;
    struct kvcache *kv;
    struct pass *pass;
    struct team *team;
    int context;
};

static void net_close(struct net *n)
{
    pass_free(n->pass);
    kvcache_free(n->kv);
    decoder_free(n->d);
    team_free(n->team);
}

/* `context` positions of scratch and eight times that of cache. */
static struct net net_open_as(const char *path, enum decoder_math math, enum attn_type type,
                              int context, int threads)
{
    struct net n = {.context = context};
    struct err err = {0};
    struct gguf *g;
    CHECK_OK(gguf_open(path, &g, &err), &err);
    if (threads > 1)
        CHECK_OK(team_new(threads, &n.team, &err), &err);
    CHECK_OK(decoder_open(g, n.team, math, NULL, NULL, &n.d, &err), &err);
    gguf_close(g);
    n.s = decoder_shape_of(n.d);
    struct kvcache_options opt = {type, n.s->n_layers, n.s->n_kv_heads, n.s->head_dim, 0, true};
    opt.memory_bytes = kvcache_page_bytes(&opt) * (size_t)(8 * (context / ATTN_PAGE + 1));
    CHECK_OK(kvcache_new(&opt, &n.kv, &err), &err);
    int rows = context < NET_ROWS ? context : NET_ROWS;
    CHECK_OK(pass_new(n.d, n.team, rows, rows, context, &n.pass, &err), &err);
    return n;
}

/* As a large model would be computed. */
__attribute__((unused)) static struct net net_open(const char *path, enum attn_type type,
                                                   int context, int threads)
{
    return net_open_as(path, DECODER_ROUNDED, type, context, threads);
}

static struct kv_seq net_begin(struct net *n)
{
    struct kv_seq s = {0};
    struct err err = {0};
    int32_t any = 0;
    int shared;
    CHECK_OK(kv_begin(n->kv, &s, &any, 1, n->context, &shared, &err), &err);
    return s;
}

/* Tokens ids[from..to) of a timeline that holds those before; logits of all of
 * them (or of the last only) to out. */
static void net_run(struct net *n, struct kv_seq *s, const int32_t *ids, int from, int to,
                    bool last_only, float *out)
{
    const float *logits;
    int wanted = last_only ? 1 : to - from;
    struct pass_part part = {ids + from, to - from, from, wanted, s};
    kv_grow(n->kv, s, to);
    pass_run(n->pass, n->kv, &part, 1, &logits);
    memcpy(out, logits, (size_t)wanted * (size_t)n->s->n_vocab * sizeof(*out));
}

/* Logits [to][n_vocab] of a whole sequence in slices of `slice`. Yours. */
static inline float *net_logits(struct net *n, const int32_t *ids, int to, int slice)
{
    size_t vocab = (size_t)n->s->n_vocab;
    float *all = malloc((size_t)to * vocab * sizeof(*all));
    struct kv_seq s = net_begin(n);
    for (int at = 0; at < to; at += slice)
        net_run(n, &s, ids, at, at + slice < to ? at + slice : to, false, all + (size_t)at * vocab);
    kv_end(n->kv, &s);
    return all;
}

static inline int net_best(const float *logits, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        best = logits[i] > logits[best] ? i : best;
    return best;
}
#endif
