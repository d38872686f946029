/* llm/engine_run.c - the engine's thread: pass after pass over the weights.
 *
 * Between two passes it dismisses whoever left, lets in from the queue in its order while
 * a place and the cache's promise can be had (the first that cannot be is waited for, so
 * that nobody starves), and chooses the rows of the next pass: one of each
 * answer with its proposals, then of the prompts in the order they came. A prompt that begins
 * as another one in the same pass waits for that one's pages instead of computing them, too.
 * Prompts that come together begin to be answered together: a token for eight takes hardly
 * longer than for one, and while nobody reads, prompts go in large slices. So a prompt is computed
 * up to its last token, which is then the first row of its answer, and waits there for
 * the others, if these want no more than engine_pace_waits allows. */
#include <limits.h>
#include <string.h>
#include "base/clock.h"
#include "llm/engine_int.h"

/* ---- coming and going, under the lock */

static void take_off(struct engine *e, int i)
{
    e->n_live--;
    memmove(&e->live[i], &e->live[i + 1], (size_t)(e->n_live - i) * sizeof(*e->live));
}

/* Hand the slot back; it is the caller's from here on. */
static void give_back(struct engine *e, struct slot *s)
{
    kv_end(e->kv, &s->seq);
    s->done_ms = clock_ms();
    s->ended = true;
    pthread_cond_signal(&s->ready);
}

void engine_queue(struct engine *e, struct slot *s)
{
    s->next = NULL;
    if (e->last)
        e->last->next = s;
    else
        e->first = s;
    e->last = s;
    e->n_waiting++;
}

static struct slot *take_first(struct engine *e)
{
    struct slot *s = e->first;
    e->first = s->next;
    if (!e->first)
        e->last = NULL;
    e->n_waiting--;
    return s;
}

/* NULL: goes on. */
static const char *why_leave(const struct engine *e, const struct slot *s)
{
    if (e->closing)
        return "the model is being closed";
    if (s->left)
        return "the reader left";
    return stop_asked(s->stop) ? "stopped" : NULL;
}

static void dismiss_live(struct engine *e)
{
    for (int i = e->n_live - 1; i >= 0; i--) {
        struct slot *s = e->live[i];
        const char *why = why_leave(e, s);
        if (!why)
            continue;
        engine_fail(s, ERR_CANCELLED, why);
        take_off(e, i);
        give_back(e, s);
    }
}

static void dismiss_waiting(struct engine *e)
{
    for (int n = e->n_waiting; n > 0; n--) {
        struct slot *s = take_first(e);
        const char *why = why_leave(e, s);
        if (why) {
            engine_fail(s, ERR_CANCELLED, why);
            give_back(e, s);
            continue;
        }
        engine_queue(e, s); /* after a whole round the order is as it was */
    }
}

static void admit(struct engine *e)
{
    while (e->first && e->n_live < e->opt.sessions) {
        struct slot *s = e->first;
        int shared = 0;
        enum err_code rc = kv_begin(e->kv, &s->seq, s->ids, s->n_ids, s->n_max, &shared, &s->err);
        if (rc == ERR_BUSY && e->n_live > 0)
            return;
        take_first(e);
        s->begun_ms = clock_ms();
        s->n_cached = s->n_done = shared;
        if (rc == OK) {
            e->live[e->n_live++] = s;
            continue;
        }
        s->rc = rc; /* with kv_begin's sentence */
        give_back(e, s);
    }
}

static void count_now(struct engine *e)
{
    e->state.running = e->n_live;
    e->state.waiting = e->n_waiting;
    e->state.pages_free = kvcache_pages_free(e->kv);
}

/* Wait for work; false: the engine closes and nobody is left. */
static bool gather(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    do {
        while (!e->closing && !e->first && e->n_live == 0)
            pthread_cond_wait(&e->work, &e->lock);
        dismiss_live(e);
        dismiss_waiting(e);
        admit(e);
        count_now(e);
    } while (!e->closing && e->n_live == 0);
    pthread_mutex_unlock(&e->lock);
    return e->n_live > 0;
}

/* ---- what the next pass takes */

static void add_part(struct engine *e, struct slot *s, int n, int n_logits)
{
    kv_grow(e->kv, &s->seq, s->n_done + n);
    s->n_rows = n;
    e->run[e->n_parts] = (struct pass_part){s->ids + s->n_done, n, s->n_done, n_logits, &s->seq};
    e->part[e->n_parts++] = (struct engine_part){.slot = s};
}

/* Do both begin with the same n tokens, and may each use what is computed for the other? */
static bool begin_alike(const struct slot *a, const struct slot *b, int n)
{
    return a->seq.circle == b->seq.circle && !memcmp(a->ids, b->ids, (size_t)n * sizeof(*a->ids));
}

/* Will this pass make a page that the prompt could take instead of computing it? */
static bool waits_for_twin(const struct engine *e, const struct slot *s)
{
    int page_end = (s->n_done / ATTN_PAGE + 1) * ATTN_PAGE;
    if (e->opt.no_reuse || page_end >= s->n_ids)
        return false;
    for (int i = e->n_answers; i < e->n_parts; i++) {
        const struct slot *other = e->part[i].slot;
        if (e->run[i].pos0 + e->run[i].n >= page_end && begin_alike(s, other, page_end))
            return true;
    }
    return false;
}

/* Up to its last token when it is to wait there. */
static void plan_prompts(struct engine *e, int rows, bool wait)
{
    for (int i = 0; i < e->n_live && rows > 0; i++) {
        struct slot *s = e->live[i];
        int left = s->n_ids - s->n_done - wait, n = left < rows ? left : rows;
        if (s->stage != STAGE_PROMPT || n < 1 || waits_for_twin(e, s))
            continue;
        add_part(e, s, n, n == left && !wait);
        e->n_prompt_rows += n;
        rows -= n;
    }
}

static void plan_answers(struct engine *e, bool propose)
{
    int share = propose && e->n_answers > 0 ? ENGINE_PROPOSED_MAX / e->n_answers : 0;
    for (int i = 0; i < e->n_live; i++) {
        struct slot *s = e->live[i];
        if (s->stage != STAGE_ANSWER)
            continue;
        engine_propose(e, s, share);
        e->n_proposed += s->n_proposed;
        add_part(e, s, 1 + s->n_proposed, 1 + s->n_proposed);
    }
}

/* ---- who waits for whom */

/* Pages that others have computed since. */
static void catch_up(struct engine *e)
{
    for (int i = 0; i < e->n_live; i++) {
        struct slot *s = e->live[i];
        if (s->stage != STAGE_PROMPT)
            continue;
        int known = kv_catch_up(e->kv, &s->seq, s->ids, s->n_done, s->n_ids);
        s->n_cached += known - s->n_done;
        s->n_done = known;
    }
}

static bool could_answer(const struct slot *s)
{
    return s->stage == STAGE_PROMPT && s->n_done == s->n_ids - 1;
}

/* Answers that could begin and need not wait are answers from now on. */
static void begin_answers(struct engine *e)
{
    int least = INT_MAX, rest = 0;
    bool running = false;
    for (int i = 0; i < e->n_live; i++) {
        const struct slot *s = e->live[i];
        int own = s->n_done - s->n_cached;
        running |= s->stage == STAGE_ANSWER;
        if (could_answer(s))
            least = own < least ? own : least;
        else if (s->stage == STAGE_PROMPT)
            rest += s->n_ids - s->n_done;
    }
    if (!running && engine_pace_waits(&e->pace, least, rest))
        return;
    for (int i = 0; i < e->n_live; i++)
        if (could_answer(e->live[i]))
            e->live[i]->stage = STAGE_ANSWER;
}

/* Rows that prompts want; of how many. */
static int count_wanted(const struct engine *e, int *n_prompts)
{
    int rows = 0;
    *n_prompts = 0;
    for (int i = 0; i < e->n_live; i++) {
        const struct slot *s = e->live[i];
        rows += s->stage == STAGE_PROMPT ? s->n_ids - s->n_done : 0;
        *n_prompts += s->stage == STAGE_PROMPT;
    }
    return rows;
}

static void plan(struct engine *e)
{
    int n_prompts;
    e->n_parts = e->n_proposed = e->n_prompt_rows = 0;
    catch_up(e);
    begin_answers(e);
    int wanted = count_wanted(e, &n_prompts);
    e->n_answers = e->n_live - n_prompts;
    bool probe = wanted > 0 && e->opt.slice == 0 && engine_pace_probes(&e->pace, e->n_answers);
    plan_answers(e, !probe);
    if (wanted == 0 || probe)
        return;
    int rows = e->opt.slice > 0 ? e->opt.slice
                                : engine_pace_rows(&e->pace, e->n_answers, e->n_proposed);
    plan_prompts(e, rows, e->n_answers == 0 && n_prompts > 1 && wanted > rows);
}

/* ---- a pass */

static void settle_part(void *arg, int i)
{
    const struct engine *e = arg;
    if (e->run[i].n_logits > 0)
        engine_settle(e, e->part[i].slot, e->part[i].logits, e->run[i].n_logits);
}

static void run_pass(struct engine *e)
{
    double begun_ms = clock_ms();
    const float *logits = NULL;
    pass_run(e->pass, e->kv, e->run, e->n_parts, &logits);
    for (int i = 0; i < e->n_parts; i++) {
        e->part[i].logits = logits;
        logits += (size_t)e->run[i].n_logits * (size_t)e->stride;
        e->part[i].slot->n_done += e->part[i].slot->stage == STAGE_PROMPT ? e->run[i].n : 0;
    }
    parallel_for(e->opt.team, e->n_parts, settle_part, e);
    for (int i = 0; i < e->n_parts; i++) {
        struct slot *s = e->part[i].slot;
        kv_commit(e->kv, &s->seq, s->ids, s->n_done);
    }
    engine_pace_learn(&e->pace, e->n_answers, e->n_proposed, e->n_prompt_rows,
                      clock_ms() - begun_ms);
}

/* ---- handing over, under the lock */

static void hand_over(struct slot *s)
{
    int shown = s->n_tokens;
    while (shown < s->n_shown && s->tokens[shown].end <= s->n_out)
        shown++;
    if (s->fresh.len == 0 && shown == s->n_tokens)
        return;
    buf_str(&s->text, buf_view(&s->fresh));
    buf_reset(&s->fresh);
    s->n_tokens = shown;
    pthread_cond_signal(&s->ready);
}

static void count_pass(struct engine *e)
{
    struct engine_state *t = &e->state;
    t->passes++;
    for (int i = 0; i < e->n_parts; i++) {
        struct slot *s = e->part[i].slot;
        t->rows += s->n_rows;
        t->tokens += s->n_answer - s->n_counted;
        if (s->n_counted == 0 && s->n_answer > 0) {
            s->first_ms = clock_ms();
            t->prompt_tokens += s->req->n_prompt;
            t->reused_tokens += s->n_cached;
        }
        s->n_counted = s->n_answer;
        if (i < e->n_answers) {
            t->proposed += s->n_proposed;
            t->accepted += s->n_agreed;
        }
    }
}

static void tell(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    count_pass(e);
    for (int i = e->n_live - 1; i >= 0; i--) {
        struct slot *s = e->live[i];
        hand_over(s);
        if (s->stage != STAGE_DONE)
            continue;
        take_off(e, i);
        give_back(e, s);
    }
    count_now(e);
    pthread_mutex_unlock(&e->lock);
}

void *engine_run(void *arg)
{
    struct engine *e = arg;
    while (gather(e)) {
        plan(e);
        run_pass(e);
        tell(e);
    }
    return NULL;
}
