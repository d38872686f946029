/* llm/engine_settle.c - what becomes of logits.
 *
 * Row r of an answer's part are the logits behind its r-th proposed token. The token is drawn
 * from each row in turn as if nothing had been proposed; the next row counts only when the token
 * drawn is the one that was proposed. So the answer is the same with and without
 * proposals, at any temperature: a row that does not count costs no draw. */
#include "llm/engine_int.h"

void engine_fail(struct slot *s, enum err_code rc, const char *why)
{
    s->stage = STAGE_DONE;
    s->rc = err_set(&s->err, rc, "%s", why);
}

static void end_as(struct slot *s, enum llm_finish finish)
{
    s->stage = STAGE_DONE;
    s->finish = finish;
}

/* ---- text */

/* What the decoder put into s->decoded goes through the stop texts; true at one. */
static bool take_text(struct slot *s)
{
    size_t before = s->fresh.len;
    s->n_decoded += s->decoded.len;
    bool stopped = stops_take(&s->stops, buf_view(&s->decoded), &s->fresh);
    s->n_out += s->fresh.len - before;
    buf_reset(&s->decoded);
    return stopped;
}

/* The answer ended by itself: the rest of its text is out. */
static void flush_text(struct slot *s)
{
    vocab_decode_end(&s->decoder, &s->decoded);
    if (take_text(s))
        return;
    size_t before = s->fresh.len;
    stops_end(&s->stops, &s->fresh);
    s->n_out += s->fresh.len - before;
}

static void note_logprobs(const struct engine *e, struct slot *s, int32_t id, const float *logits)
{
    if (!s->tokens)
        return;
    int n = s->req->n_logprobs;
    struct engine_token *t = &s->tokens[s->n_shown];
    t->id = id;
    t->logprob =
        sampler_logprobs(logits, e->n_vocab, id, s->tops + (size_t)s->n_shown * (size_t)n, n);
    t->end = s->n_decoded + (size_t)s->decoder.n_held;
    s->n_shown++;
}

/* ---- tokens */

static int32_t pick(const struct engine *e, struct slot *s, const float *logits)
{
    if (s->grammar)
        gstate_mask(s->grammar, e->trie, s->n_max - s->n_ids, s->allowed);
    return sampler_pick(s->sampler, logits, s->allowed);
}

static bool ends(const struct engine *e, const struct slot *s, int32_t id)
{
    return vocab_is_end(e->opt.vocab, id) && (!s->req->ignore_end || s->grammar);
}

static void take_token(const struct engine *e, struct slot *s, int32_t id, const float *logits)
{
    s->n_answer++;
    if (ends(e, s, id)) {
        flush_text(s);
        end_as(s, LLM_STOP);
        return;
    }
    sampler_saw(s->sampler, id, true);
    s->ids[s->n_ids++] = id;
    if (s->grammar && !gstate_take(s->grammar, vocab_text(e->opt.vocab, id))) {
        engine_fail(s, ERR_ARG, "the grammar allowed a token and then would not take it");
        return;
    }
    vocab_decode(e->opt.vocab, &s->decoder, id, &s->decoded);
    bool stopped = take_text(s);
    note_logprobs(e, s, id, logits);
    if (stopped) {
        end_as(s, LLM_STOP);
    } else if (s->grammar && gstate_must_end(s->grammar)) {
        flush_text(s);
        end_as(s, LLM_STOP);
    } else if (s->n_ids == s->n_max) {
        flush_text(s);
        end_as(s, LLM_LENGTH);
    }
}

void engine_settle(const struct engine *e, struct slot *s, const float *logits, int n_logits)
{
    int begun = s->n_ids;
    s->stage = STAGE_ANSWER;
    for (int r = 0; r < n_logits && s->stage == STAGE_ANSWER; r++) {
        int32_t proposed = r < s->n_proposed ? s->ids[begun + r] : -1;
        int32_t id = pick(e, s, logits + (size_t)r * (size_t)e->stride);
        if (id < 0) {
            engine_fail(s, ERR_ARG, "no token of this model may follow: the bounds leave none");
            break;
        }
        take_token(e, s, id, logits + (size_t)r * (size_t)e->stride);
        s->n_done = begun + r;
        if (id != proposed)
            break;
        s->accepted++;
        s->n_agreed++;
    }
    if (s->fresh.failed || s->decoded.failed)
        engine_fail(s, ERR_NOMEM, "no memory for the text of an answer");
    if (s->n_proposed > 0)
        lookup_learn(&s->lookup, s->n_proposed, s->n_agreed);
}

/* ---- proposals */

/* How many of the proposed tokens the grammar would take. */
static int lawful(const struct engine *e, struct slot *s, const int32_t *ids, int n)
{
    if (!s->grammar)
        return n;
    if (n == 0 || gstate_copy(s->ahead, s->grammar, NULL))
        return 0;
    for (int i = 0; i < n; i++)
        if (vocab_is_control(e->opt.vocab, ids[i]) ||
            !gstate_take(s->ahead, vocab_text(e->opt.vocab, ids[i])))
            return i;
    return n;
}

void engine_propose(const struct engine *e, struct slot *s, int max)
{
    int left = s->n_max - s->n_ids - 1; /* the row before them draws one */
    if (max > LOOKUP_MAX)
        max = LOOKUP_MAX;
    s->n_agreed = s->n_proposed = 0;
    if (e->opt.no_lookup || max < 1 || left < 1)
        return;
    int n =
        lookup_propose(&s->lookup, s->ids, s->n_ids, max < left ? max : left, s->ids + s->n_ids);
    s->n_proposed = lawful(e, s, s->ids + s->n_ids, n);
    s->proposed += s->n_proposed;
}
