/* llm/engine_ask.c - a caller's side of a request.
 *
 * All that a request needs is made here, in the caller's thread, before the engine's
 * thread sees it, and released here; so that thread allocates little and waits for nobody. */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "llm/engine_int.h"

/* ---- checking */

static enum err_code check_prompt(const struct engine *e, const struct engine_request *r,
                                  struct err *err)
{
    if (r->n_prompt < 1)
        return err_set(err, ERR_ARG, "a prompt of %d tokens: need 1", r->n_prompt);
    if (r->n_prompt >= e->opt.context)
        return err_set(err, ERR_LIMIT,
                       "the prompt has %d tokens and the context holds %d, the answer's among them",
                       r->n_prompt, e->opt.context);
    for (int i = 0; i < r->n_prompt; i++)
        if (r->prompt[i] < 0 || r->prompt[i] >= e->stride)
            return err_set(err, ERR_ARG, "token %d of the prompt is %d: need 0 to %d", i,
                           r->prompt[i], e->stride - 1);
    return OK;
}

static enum err_code check(const struct engine *e, const struct engine_request *r, struct err *err)
{
    if (r->max_tokens < 0)
        return err_set(err, ERR_ARG, "max_tokens is %d: need 0 (what fits) or more", r->max_tokens);
    if (r->n_logprobs < -1 || r->n_logprobs > ENGINE_LOGPROBS_MAX)
        return err_set(err, ERR_ARG, "%d logprobs a token: need -1 (none) to %d", r->n_logprobs,
                       ENGINE_LOGPROBS_MAX);
    return check_prompt(e, r, err);
}

/* ---- what a request needs */

/* The trie is made when the first grammar comes, which may never be. */
static enum err_code need_trie(struct engine *e, struct err *err)
{
    pthread_mutex_lock(&e->trie_lock);
    enum err_code rc = e->trie ? OK : gtrie_new(e->opt.vocab, &e->trie, err);
    pthread_mutex_unlock(&e->trie_lock);
    return rc;
}

static enum err_code make_grammar(struct engine *e, struct slot *s, struct err *err)
{
    if (!s->req->grammar)
        return OK;
    s->allowed = calloc((size_t)(e->stride + 63) / 64, sizeof(*s->allowed));
    if (!s->allowed)
        return err_set(err, ERR_NOMEM, "a mask of %d tokens", e->stride);
    enum err_code rc = need_trie(e, err);
    if (!rc)
        rc = grammar_fit(s->req->grammar, e->trie, err);
    if (!rc)
        rc = gstate_new(s->req->grammar, &s->grammar, err);
    return rc ? rc : gstate_new(s->req->grammar, &s->ahead, err);
}

static enum err_code make_ids(struct slot *s, struct err *err)
{
    size_t n = (size_t)s->n_max, answer = n - (size_t)s->req->n_prompt;
    s->ids = malloc(n * sizeof(*s->ids));
    bool ok = s->ids != NULL;
    if (s->req->n_logprobs >= 0) {
        ok &= (s->tokens = calloc(answer, sizeof(*s->tokens))) != NULL;
        s->tops = calloc(answer * (size_t)s->req->n_logprobs + 1, sizeof(*s->tops));
        ok &= s->tops != NULL;
    }
    if (!ok)
        return err_set(err, ERR_NOMEM, "an answer of %zu tokens", answer);
    memcpy(s->ids, s->req->prompt, (size_t)s->req->n_prompt * sizeof(*s->ids));
    s->n_ids = s->req->n_prompt;
    return OK;
}

static int most_tokens(const struct engine *e, const struct engine_request *r)
{
    int left = e->opt.context - r->n_prompt;
    int want = r->max_tokens > 0 ? r->max_tokens : ENGINE_TOKENS;
    return r->n_prompt + (want < left ? want : left);
}

static enum err_code make(struct engine *e, struct slot *s, struct err *err)
{
    s->n_max = most_tokens(e, s->req);
    s->decoder.begins = s->req->begins;
    s->seq.circle = s->req->circle;
    enum err_code rc = stops_init(&s->stops, s->req->stops, s->req->n_stops, err);
    if (!rc)
        rc = sampler_new(&s->req->sampling, e->n_vocab, &s->sampler, err);
    if (!rc)
        rc = make_ids(s, err);
    if (!rc)
        rc = make_grammar(e, s, err);
    if (rc)
        return rc;
    for (int i = s->n_ids > 64 ? s->n_ids - 64 : 0; i < s->n_ids; i++)
        sampler_saw(s->sampler, s->ids[i], false); /* it looks back no further */
    return OK;
}

static void release(struct slot *s)
{
    sampler_free(s->sampler);
    if (s->grammar)
        gstate_free(s->grammar);
    if (s->ahead)
        gstate_free(s->ahead);
    free(s->allowed);
    free(s->ids);
    free(s->tokens);
    free(s->tops);
    buf_free(&s->decoded);
    buf_free(&s->fresh);
    buf_free(&s->text);
    pthread_cond_destroy(&s->ready);
}

/* ---- in the queue */

static enum err_code enter(struct engine *e, struct slot *s, struct err *err)
{
    if (e->closing)
        return err_set(err, ERR_CANCELLED, "the model is being closed");
    if (e->inside >= e->opt.sessions + e->opt.queue) {
        e->state.refused++;
        return err_set(err, ERR_BUSY, "%d answers are being written or wait, the most there may be",
                       e->inside);
    }
    e->inside++;
    s->queued_ms = clock_ms();
    engine_queue(e, s);
    pthread_cond_signal(&e->work);
    return OK;
}

static void leave(struct engine *e)
{
    e->inside--;
    if (e->closing && e->inside == 0)
        pthread_cond_signal(&e->quiet);
}

/* ---- what comes */

/* What the caller is shown; made once, as large as it can get. */
struct show {
    struct buf text;
    struct llm_token *tokens; /* [n_max - n_prompt] */
    struct llm_top *tops;     /* [n_max - n_prompt][n_logprobs] */
    int done;                 /* tokens shown before */
    bool failed;              /* there was no memory for the text */
};

static enum err_code show_init(struct show *w, const struct slot *s, struct err *err)
{
    *w = (struct show){0};
    if (!s->tokens)
        return OK;
    size_t n = (size_t)(s->n_max - s->req->n_prompt);
    w->tokens = calloc(n, sizeof(*w->tokens));
    w->tops = calloc(n * (size_t)s->req->n_logprobs + 1, sizeof(*w->tops));
    return w->tokens && w->tops ? OK : err_set(err, ERR_NOMEM, "logprobs of %zu tokens", n);
}

static void show_deinit(struct show *w)
{
    buf_free(&w->text);
    free(w->tokens);
    free(w->tops);
}

static void fill_token(const struct engine *e, const struct slot *s, struct show *w, int i)
{
    int n = s->req->n_logprobs < e->n_vocab ? s->req->n_logprobs : e->n_vocab;
    size_t row = (size_t)i * (size_t)s->req->n_logprobs;
    for (int k = 0; k < n; k++) {
        const struct sampler_logprob *t = &s->tops[row + (size_t)k];
        w->tops[row + (size_t)k] = (struct llm_top){vocab_text(e->opt.vocab, t->id), t->logprob};
    }
    w->tokens[i] = (struct llm_token){.bytes = vocab_text(e->opt.vocab, s->tokens[i].id),
                                      .logprob = s->tokens[i].logprob,
                                      .top = w->tops + row,
                                      .n_top = n};
}

/* Tokens before `n_tokens` and the text in w->text, to the reader. */
static bool show(const struct engine *e, const struct slot *s, struct show *w, int n_tokens,
                 bool (*emit)(void *arg, const struct llm_piece *piece), void *arg)
{
    for (int i = w->done; i < n_tokens; i++)
        fill_token(e, s, w, i);
    const struct llm_piece piece = {.text = buf_view(&w->text),
                                    .tokens = s->tokens ? w->tokens + w->done : NULL,
                                    .n_tokens = n_tokens - w->done};
    w->done = n_tokens;
    return (piece.text.len == 0 && piece.n_tokens == 0) || emit(arg, &piece);
}

/* Until the answer has ended and all of it is shown, or the reader has left and the engine has
 * let go of the slot. Enters and returns with the lock held. */
static void follow(struct engine *e, struct slot *s, struct show *w,
                   bool (*emit)(void *arg, const struct llm_piece *piece), void *arg)
{
    for (;;) {
        while (!s->ended && (s->left || (s->text.len == 0 && s->n_tokens == w->done)))
            pthread_cond_wait(&s->ready, &e->lock);
        bool ended = s->ended, failed = s->text.failed;
        if (s->left)
            return;
        struct buf taken = s->text;
        s->text = w->text;
        w->text = taken;
        buf_reset(&s->text);
        int n_tokens = s->n_tokens;
        pthread_mutex_unlock(&e->lock);
        w->failed = failed;
        bool stays = !failed && show(e, s, w, n_tokens, emit, arg);
        pthread_mutex_lock(&e->lock);
        s->left = !stays;
        if (ended)
            return;
    }
}

static enum err_code conclude(const struct slot *s, bool failed, struct engine_reply *out,
                              struct err *err)
{
    if (failed)
        return err_set(err, ERR_NOMEM, "no memory for the text of an answer");
    if (s->rc || s->left)
        return err_set(err, s->rc ? s->rc : ERR_CANCELLED, "%s",
                       s->rc ? s->err.msg : "the reader left");
    *out = (struct engine_reply){.finish = s->finish};
    out->usage.prompt_tokens = s->req->n_prompt;
    out->usage.cached_tokens = s->n_cached;
    out->usage.completion_tokens = s->n_answer;
    out->usage.proposed_tokens = s->proposed;
    out->usage.accepted_tokens = s->accepted;
    out->usage.wait_ms = s->begun_ms - s->queued_ms;
    out->usage.prefill_ms = s->first_ms - s->begun_ms;
    out->usage.decode_ms = s->done_ms - s->first_ms;
    return OK;
}

/* Tell the reader that there is a place for it. Enters and returns with the lock held. */
static void announce(struct engine *e, struct slot *s,
                     bool (*emit)(void *arg, const struct llm_piece *piece), void *arg)
{
    pthread_mutex_unlock(&e->lock);
    bool stays = emit(arg, &(struct llm_piece){.text = STR("")});
    pthread_mutex_lock(&e->lock);
    s->left = s->left || !stays;
}

static enum err_code serve(struct engine *e, struct slot *s,
                           bool (*emit)(void *arg, const struct llm_piece *piece), void *arg,
                           struct engine_reply *out, struct err *err)
{
    struct show w;
    enum err_code rc = show_init(&w, s, err);
    if (!rc) {
        pthread_mutex_lock(&e->lock);
        rc = enter(e, s, err);
        if (!rc) {
            if (s->req->announce)
                announce(e, s, emit, arg);
            follow(e, s, &w, emit, arg);
            leave(e);
        }
        pthread_mutex_unlock(&e->lock);
        if (!rc)
            rc = conclude(s, w.failed, out, err);
    }
    show_deinit(&w);
    return rc;
}

enum err_code engine_generate(struct engine *e, const struct engine_request *req,
                              bool (*emit)(void *arg, const struct llm_piece *piece), void *arg,
                              const struct stop *stop, struct engine_reply *out, struct err *err)
{
    enum err_code rc = check(e, req, err);
    if (rc)
        return rc;
    struct slot *s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(err, ERR_NOMEM, "an answer");
    s->req = req;
    s->stop = stop;
    pthread_cond_init(&s->ready, NULL);
    rc = make(e, s, err);
    if (!rc)
        rc = serve(e, s, emit, arg, out, err);
    release(s);
    free(s);
    return rc;
}
