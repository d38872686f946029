#include "llm/engine_int.h"
#include <stdlib.h>
#include "base/log.h"

/* ---- sizes */

static int positive_or(int v, int otherwise)
{
    return v > 0 ? v : otherwise;
}

static struct kvcache_options cache_options(const struct engine_options *opt,
                                            const struct decoder_shape *s)
{
    return (struct kvcache_options){.type = opt->kv_type,
                                    .n_layers = s->n_layers,
                                    .n_kv_heads = s->n_kv_heads,
                                    .head_dim = s->head_dim,
                                    .no_share = opt->no_reuse};
}

/* Defaults filled in; the cache in whole pages, the context no longer than it. */
static struct engine_options complete(const struct engine_options *opt,
                                      const struct decoder_shape *s)
{
    struct engine_options o = *opt;
    const struct kvcache_options kv = cache_options(opt, s);
    size_t page = kvcache_page_bytes(&kv);
    o.sessions = positive_or(o.sessions, ENGINE_SESSIONS);
    o.queue = o.queue < 0 ? 0 : positive_or(o.queue, ENGINE_QUEUE);
    o.context = positive_or(o.context, s->context < ENGINE_CONTEXT ? s->context : ENGINE_CONTEXT);
    if (o.kv_bytes == 0) {
        size_t one = ((size_t)o.context + ATTN_PAGE - 1) / ATTN_PAGE;
        size_t quarters = (one + 3) / 4 * (size_t)o.sessions;
        o.kv_bytes = (quarters > one ? quarters : one) * page;
    }
    o.kv_bytes -= o.kv_bytes % page;
    size_t positions = o.kv_bytes / page * ATTN_PAGE;
    if ((size_t)o.context > positions)
        o.context = (int)positions;
    return o;
}

static int pass_rows(const struct engine_options *o)
{
    return o->sessions + ENGINE_PROPOSED_MAX + (o->slice > 0 ? o->slice : ENGINE_SLICE_MAX);
}

static int pass_logits(const struct engine_options *o)
{
    return o->sessions + ENGINE_PROPOSED_MAX;
}

void engine_sizes(const struct engine_options *opt, const struct decoder_shape *s, int *context,
                  size_t *kv_bytes, size_t *scratch_bytes)
{
    const struct engine_options o = complete(opt, s);
    *context = o.context;
    *kv_bytes = o.kv_bytes;
    *scratch_bytes = pass_bytes(s, pass_rows(&o), pass_logits(&o), o.context, team_size(o.team));
}

/* ---- opening and closing */

static enum err_code check_options(const struct engine_options *o, const struct decoder_shape *s,
                                   struct err *err)
{
    if (o->sessions > ENGINE_SESSIONS_MAX)
        return err_set(err, ERR_ARG, "%d sessions: need 1 to %d", o->sessions, ENGINE_SESSIONS_MAX);
    if (o->slice < 0 || o->slice > ENGINE_SLICE_MAX)
        return err_set(err, ERR_ARG, "slices of %d rows: need 0 to %d", o->slice, ENGINE_SLICE_MAX);
    if (vocab_size(o->vocab) > s->n_vocab)
        return err_set(err, ERR_ARG, "a vocabulary of %d and logits of %d", vocab_size(o->vocab),
                       s->n_vocab);
    if (o->context < 2 && o->kv_bytes > 0)
        return err_set(err, ERR_ARG, "a context of %d tokens: need 2, one of them the answer's",
                       o->context);
    if (o->context < 2)
        return err_set(err, ERR_LIMIT, "%zu bytes for the cache of a model: no page of %d tokens",
                       o->kv_bytes, ATTN_PAGE);
    return OK;
}

static void init_locks(struct engine *e)
{
    pthread_mutex_init(&e->trie_lock, NULL);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->work, NULL);
    pthread_cond_init(&e->quiet, NULL);
}

static void release(struct engine *e)
{
    pass_free(e->pass);
    kvcache_free(e->kv);
    gtrie_free(e->trie);
    free(e->live);
    free(e->part);
    free(e->run);
    pthread_cond_destroy(&e->quiet);
    pthread_cond_destroy(&e->work);
    pthread_mutex_destroy(&e->lock);
    pthread_mutex_destroy(&e->trie_lock);
    free(e);
}

static enum err_code make(struct engine *e, const struct decoder_shape *s, struct err *err)
{
    struct kvcache_options kv = cache_options(&e->opt, s);
    size_t n = (size_t)e->opt.sessions;
    kv.memory_bytes = e->opt.kv_bytes;
    e->n_vocab = vocab_size(e->opt.vocab);
    e->stride = s->n_vocab;
    e->live = calloc(n, sizeof(*e->live));
    e->part = calloc(n, sizeof(*e->part));
    e->run = calloc(n, sizeof(*e->run));
    if (!e->live || !e->part || !e->run)
        return err_set(err, ERR_NOMEM, "an engine of %zu sessions", n);
    enum err_code rc = kvcache_new(&kv, &e->kv, err);
    if (!rc)
        rc = pass_new(e->opt.decoder, e->opt.team, pass_rows(&e->opt), pass_logits(&e->opt),
                      e->opt.context, &e->pass, err);
    if (rc)
        return rc;
    e->state.pages = e->state.pages_free = kvcache_pages(e->kv);
    if (pthread_create(&e->thread, NULL, engine_run, e) != 0)
        return err_set(err, ERR_LIMIT, "no thread for the engine");
    return OK;
}

enum err_code engine_open(const struct engine_options *opt, struct engine **out, struct err *err)
{
    const struct decoder_shape *s = decoder_shape_of(opt->decoder);
    const struct engine_options full = complete(opt, s);
    *out = NULL;
    enum err_code rc = check_options(&full, s, err);
    if (rc)
        return rc;
    struct engine *e = calloc(1, sizeof(*e));
    if (!e)
        return err_set(err, ERR_NOMEM, "an engine");
    e->opt = full;
    init_locks(e);
    rc = make(e, s, err);
    if (rc) {
        release(e);
        return rc;
    }
    if (opt->context > full.context)
        log_warn("llm.context", "asked=%d has=%d reason=\"the cache holds no more\"", opt->context,
                 full.context);
    *out = e;
    return OK;
}

void engine_close(struct engine *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&e->lock);
    e->closing = true;
    pthread_cond_signal(&e->work);
    while (e->inside > 0)
        pthread_cond_wait(&e->quiet, &e->lock);
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->thread, NULL);
    release(e);
}

/* ---- telling */

int engine_context(const struct engine *e)
{
    return e->opt.context;
}

size_t engine_kv_bytes(const struct engine *e)
{
    return e->opt.kv_bytes;
}

void engine_state(struct engine *e, struct engine_state *out)
{
    pthread_mutex_lock(&e->lock);
    *out = e->state;
    out->waiting = e->n_waiting;
    pthread_mutex_unlock(&e->lock);
}
