#include "cmd/trial.h"
#include <math.h>

enum err_code trial_open(const char *path, struct trial *t, struct err *err)
{
    enum err_code rc = gguf_open(path, &t->file, err);
    if (!rc)
        rc = decoder_shape(t->file, &t->shape, err);
    if (rc)
        return rc;
    if (vocab_open(t->file, &t->vocab, &t->vocab_err))
        t->vocab = NULL;
    return OK;
}

static struct kvcache_options cache_of(const struct trial *t, enum attn_type kv, int context)
{
    struct kvcache_options o = {.type = kv,
                                .n_layers = t->shape.n_layers,
                                .n_kv_heads = t->shape.n_kv_heads,
                                .head_dim = t->shape.head_dim,
                                .no_share = true};
    o.memory_bytes = kvcache_page_bytes(&o) * (((size_t)context + ATTN_PAGE - 1) / ATTN_PAGE);
    return o;
}

enum err_code trial_load(struct trial *t, int threads, enum attn_type kv, int context,
                         struct err *err)
{
    if (context > t->shape.context)
        return err_set(err, ERR_LIMIT, "%d tokens, and the context holds %d", context,
                       t->shape.context);
    const struct kvcache_options cache = cache_of(t, kv, context);
    enum err_code rc = team_new(threads, &t->team, err);
    if (!rc)
        rc = decoder_fits(&t->shape, cache.memory_bytes, "",
                          pass_bytes(&t->shape, TRIAL_ROWS, TRIAL_LOGITS, context,
                                     team_size(t->team)), err);
    if (!rc)
        rc = decoder_open(t->file, t->team, DECODER_AUTO, NULL, NULL, &t->decoder, err);
    if (!rc)
        rc = kvcache_new(&cache, &t->cache, err);
    if (!rc)
        rc = pass_new(t->decoder, t->team, TRIAL_ROWS, TRIAL_LOGITS, context, &t->pass, err);
    return rc ? rc : trial_begin(t, context, err);
}

void trial_close(struct trial *t)
{
    if (t->cache)
        kv_end(t->cache, &t->seq);
    if (t->pass)
        pass_free(t->pass);
    if (t->cache)
        kvcache_free(t->cache);
    if (t->decoder)
        decoder_free(t->decoder);
    if (t->team)
        team_free(t->team);
    vocab_free(t->vocab);
    gguf_close(t->file);
    *t = (struct trial){0};
}

enum err_code trial_begin(struct trial *t, int context, struct err *err)
{
    static const int32_t none[1];
    int shared;
    kv_end(t->cache, &t->seq);
    t->seq = (struct kv_seq){0};
    t->n_done = 0;
    return kv_begin(t->cache, &t->seq, none, 1, context, &shared, err);
}

const float *trial_pass(struct trial *t, const int32_t *ids, int n, int n_logits)
{
    const float *logits = NULL;
    const struct pass_part part = {
        .ids = ids, .n = n, .pos0 = t->n_done, .n_logits = n_logits, .seq = &t->seq};
    kv_grow(t->cache, &t->seq, t->n_done + n);
    pass_run(t->pass, t->cache, &part, 1, &logits);
    t->n_done += n;
    return logits;
}

const float *trial_feed(struct trial *t, const int32_t *ids, int n)
{
    for (; n > TRIAL_ROWS; ids += TRIAL_ROWS, n -= TRIAL_ROWS)
        trial_pass(t, ids, TRIAL_ROWS, 0);
    return trial_pass(t, ids, n, 1);
}

int32_t trial_best(const struct trial *t, const float *logits)
{
    int32_t best = -1;
    for (int32_t i = 0; i < t->shape.n_vocab; i++)
        if (!isnan(logits[i]) && (best < 0 || logits[i] > logits[best]))
            best = i;
    return best < 0 ? 0 : best;
}
