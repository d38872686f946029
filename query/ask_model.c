/* query/ask_model.c - a language model answers: its prompt, its text as it comes, its
 * claims. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/vec.h"
#include "query/ask_int.h"
#include "query/filter.h"
#include "query/retrieve.h"
#include "query/session.h"

enum {
    ANSWER_BYTES_MAX = 64 << 10, /* a server elsewhere may not keep to max_tokens */
    ANSWER_MS_MAX = 300000,      /* from the first token on */
    ANSWER_TOKENS = 512,         /* left free for it where a request names no maximum */
    REWRITE_TOKENS = 64,
    REWRITE_BYTES_MAX = 1024,
    FITS_MAX = 4                 /* attempts at a prompt, when counts were estimates */
};

/* ---- which generator ---- */

static bool wants_json(const struct asking *k)
{
    return k->req->schema || k->req->json_object;
}

enum err_code ask_generator(struct asking *k)
{
    const char *name = k->req->generator;
    const struct llm *m = k->q->opt.llm;
    k->by_model = name ? llm_find(m, str_of(name)) >= 0 : llm_n_models(m) > 0;
    if (k->by_model)
        return OK;
    if (name && strcmp(name, "extractive") != 0)
        return err_set(k->err, ERR_NOTFOUND, "no generator `%.80s`: see the list of models", name);
    if (wants_json(k))
        return err_set(k->err, ERR_ARG, "response_format: the extractive engine quotes; JSON needs a "
                                        "language model");
    return OK;
}

/* ---- follow-up questions ---- */

static bool gather(void *arg, const struct llm_piece *piece)
{
    struct buf *b = arg;
    buf_str(b, piece->text);
    return b->len < REWRITE_BYTES_MAX;
}

/* The model's words for the question, as the search query; false when it has none that will do. */
static bool rewrite(struct asking *k)
{
    struct prompt p;
    struct buf said = {0};
    struct llm_chat_reply reply;
    const struct str line = STR("\n");
    const int n = k->n_turns < PROMPT_TURNS_MAX ? k->n_turns : PROMPT_TURNS_MAX;
    const struct ask_turn *turns = k->turns + (k->n_turns - n);
    if (prompt_rewrite(k->req->question, turns, n, &k->a, &p, NULL))
        return false;
    struct llm_chat chat = {.model = k->req->generator,
                            .messages = p.messages,
                            .n_messages = p.n_messages,
                            .circle = llm_circle_of_collection(k->scope.collection.id),
                            .max_tokens = REWRITE_TOKENS,
                            .stops = &line,
                            .n_stops = 1};
    enum err_code rc = llm_chat(k->q->opt.llm, &chat, gather, &said, k->stop, &reply, NULL);
    bool ok = !rc && reply.finish == LLM_STOP &&
              prompt_rewritten(buf_view(&said), k->req->question, turns, n, &k->a,
                               &k->search_query);
    buf_free(&said);
    return ok;
}

enum err_code ask_rewrite(struct asking *k)
{
    bool alone = true;
    k->search_query = k->req->question;
    if (!k->n_turns)
        return OK;
    enum err_code rc = session_stands_alone(k->req->question, &alone, k->err);
    if (rc || alone)
        return rc;
    double began = clock_ms();
    k->rewritten = rewrite(k);
    k->rewrite_ms = clock_ms() - began;
    rc = stop_check(k->stop, k->err);
    if (rc || k->rewritten)
        return rc;
    return session_query(k->turns, k->n_turns, k->req->question, &k->a, &k->search_query, k->err);
}

/* ---- the prompt ---- */

static int count_tokens(void *arg, struct str text)
{
    return llm_count(arg, text);
}

static enum err_code prepare(struct asking *k, int room)
{
    int n = k->found.n_hits;
    struct prompt_passage *p = arena_alloc(&k->a, (size_t)n, sizeof(*p));
    if (!p)
        return err_set(k->err, ERR_NOMEM, "%d passages", n);
    for (int i = 0; i < n; i++) {
        const struct hit *h = &k->found.hits[i];
        p[i] = (struct prompt_passage){h->text, h->chunk.document_name, h->chunk.heading};
    }
    struct prompt_request r = {.question = k->rewritten ? k->search_query : k->req->question,
                               .collection = k->scope.name,
                               .passages = p,
                               .n_passages = n,
                               .turns = k->turns,
                               .n_turns = k->n_turns,
                               .json = wants_json(k)};
    struct prompt_room has = {room, count_tokens, k->q->opt.llm};
    return prompt_fit(&r, &has, &k->a, &k->prompt, k->err);
}

/* Tokens for the prompt; an answer gets what it asks for, at most a quarter of the context. */
static int prompt_room(const struct asking *k, int context)
{
    int answer = k->req->max_tokens ? k->req->max_tokens : ANSWER_TOKENS;
    return context - (answer < context / 4 ? answer : context / 4);
}

/* ---- the stream ---- */

enum ended { ENDED_WELL, ENDED_LEFT, ENDED_LONG, ENDED_MEMORY };
struct speaking {
    struct asking *k;
    const char *by;            /* the generator that is asked; NULL: all, in their order */
    struct filter filter;
    double first_ms;           /* of the clock; 0: nothing came yet */
    enum ended ended;
};

/* Tell what has been added to the answer since `from`. */
static bool tell_from(struct speaking *s, size_t from)
{
    struct asking *k = s->k;
    const struct ask_events *e = k->events;
    struct str more = str_sub(buf_view(&k->raw), from, k->raw.len);
    if (k->raw.failed || s->filter.held.failed) {
        s->ended = ENDED_MEMORY;
        return false;
    }
    if (!more.len)
        return true;
    k->streamed = true;
    if (e && e->delta && !e->delta(e->arg, more)) {
        s->ended = ENDED_LEFT;
        return false;
    }
    return true;
}

static bool take_piece(void *arg, const struct llm_piece *piece)
{
    struct speaking *s = arg;
    struct asking *k = s->k;
    size_t from = k->raw.len;
    double now = clock_ms();
    if (!piece->text.len) { /* a generator has taken the request */
        s->ended = ask_tell_sources(k, k->hits) ? ENDED_LEFT : s->ended;
        return s->ended == ENDED_WELL;
    }
    s->first_ms = s->first_ms > 0 ? s->first_ms : now;
    if (wants_json(k))
        buf_str(&k->raw, piece->text);
    else
        filter_put(&s->filter, piece->text, &k->raw);
    if (!tell_from(s, from))
        return false;
    if (k->raw.len < ANSWER_BYTES_MAX && now - s->first_ms < ANSWER_MS_MAX)
        return true;
    s->ended = ENDED_LONG;
    return false;
}

static enum err_code chat(struct asking *k, struct speaking *s)
{
    const struct ask_request *r = k->req;
    struct llm_chat c = {.model = s->by,
                         .messages = k->prompt.messages,
                         .n_messages = k->prompt.n_messages,
                         .circle = llm_circle_of_collection(k->scope.collection.id),
                         .max_tokens = r->max_tokens,
                         .sampling = r->sampling,
                         .stops = r->stops,
                         .n_stops = r->n_stops,
                         .schema = r->schema,
                         .json_object = r->json_object};
    if (r->sampling.temperature > 0 && !r->has_seed)
        rng_secret(&c.sampling.seed, sizeof(c.sampling.seed));
    enum err_code rc =
        llm_chat(k->q->opt.llm, &c, take_piece, s, k->stop, &k->spoke, k->err);
    if (s->ended == ENDED_LEFT)
        return ask_left(k);
    if (s->ended == ENDED_MEMORY)
        return err_set(k->err, ERR_NOMEM, "an answer");
    if (s->ended == ENDED_LONG) {
        k->spoke.finish = LLM_LENGTH;
        k->passing = true;
        ask_degrade(k, "answer: ended at the longest that is told");
        rc = OK;
    }
    return rc;
}

/* Addresses in passages and question may be repeated, no others. */
static enum err_code speak(struct asking *k, struct speaking *s)
{
    struct str known[2] = {k->prompt.messages[1].content, k->req->question};
    s->filter.n_passages = k->prompt.passages;
    s->filter.known = known;
    s->filter.n_known = 2;
    enum err_code rc = chat(k, s);
    size_t from = k->raw.len;
    if (rc)
        return rc;
    if (!wants_json(k))
        filter_end(&s->filter, &k->raw);
    if (!tell_from(s, from))
        return s->ended == ENDED_LEFT ? ask_left(k) : err_set(k->err, ERR_NOMEM, "an answer");
    return OK;
}

/* ---- claims ---- */

static enum err_code likeness(void *arg, struct str claim, const struct str *texts, int n,
                              double *out, struct err *err)
{
    struct asking *k = arg;
    int dim = embed_stamp(k->q->opt.embed)->dim;
    size_t row = (size_t)dim;
    struct str *all = malloc((size_t)(n + 1) * sizeof(*all));
    float *v = malloc((size_t)(n + 1) * row * sizeof(*v));
    enum err_code rc = all && v ? OK : err_set(err, ERR_NOMEM, "%d vectors of %d", n + 1, dim);
    if (!rc) {
        memcpy(all + 1, texts, (size_t)n * sizeof(*all));
        all[0] = claim;
        rc = embed_texts(k->q->opt.embed, all, n + 1, v, NULL, k->stop, err);
    }
    for (int i = 0; i < n && !rc; i++) {
        double like = retrieve_likeness(vec_dot(v, v + (size_t)(i + 1) * row, dim),
                                        vec_dot(v, k->q->background, dim));
        out[i] = like > 0 ? like : 0;
    }
    free(all);
    free(v);
    return rc;
}

static enum err_code check_claims(struct asking *k)
{
    int n = k->prompt.passages;
    struct cite_passage *p = ask_passages(k);
    bool *wanted = arena_alloc(&k->a, (size_t)k->found.n_hits, sizeof(*wanted));
    if (!p || !wanted)
        return err_set(k->err, ERR_NOMEM, "%d passages", n);
    for (int i = 0; i < n; i++)
        wanted[i] = true;
    struct claim_request r = {.answer = buf_view(&k->raw),
                              .json = wants_json(k),
                              .passages = p,
                              .n_passages = n,
                              .likeness = likeness,
                              .arg = k};
    enum err_code rc = ask_stored(k, wanted, p);
    if (!rc)
        rc = claim_check(&r, &k->a, &k->claims, k->err);
    if (!rc && k->claims.lost) /* its number may have been told */
        rc = err_set(k->err, ERR_BUSY, "a document was deleted while it was being cited: ask again");
    return rc ? rc : ask_render_citations(k, k->claims.citations, k->claims.n, p);
}

/* ---- the front ---- */

static void say_what_was_taken(struct asking *k, const struct filter *f)
{
    if (f->marks_out)
        ask_degrade(k, arena_printf(&k->a, "citations: %d numbers left out, of no passage",
                                    f->marks_out));
    if (f->links_out)
        ask_degrade(k, arena_printf(&k->a, "links: %d left out, of no passage", f->links_out));
}

/* Nothing was told yet and somebody else may do better: the passages themselves. */
static bool may_fall(const struct asking *k, enum err_code rc)
{
    bool passes_up = rc == ERR_BUSY || rc == ERR_CANCELLED || rc == ERR_ARG || rc == ERR_NOTFOUND;
    return !passes_up && !k->streamed && !wants_json(k);
}

static enum err_code fall(struct asking *k, const char *why)
{
    char name[96], error[400];
    log_warn("ask.fallback", "model=%s error=%s",
             log_quote(llm_name(k->q->opt.llm), name, sizeof(name)),
             log_quote(why, error, sizeof(error)));
    ask_degrade(k, arena_printf(&k->a, "generator: %s; these are the passages' own sentences", why));
    k->by_model = false;
    return OK;
}

/* Smaller prompts, until one has room: counts may be estimates, or another model's.
 * *small: not even one passage has, in this context. */
static enum err_code fit_and_speak(struct asking *k, struct speaking *s, int context, bool *small)
{
    int room = prompt_room(k, context);
    enum err_code rc = ERR_LIMIT;
    for (int i = 0; i < FITS_MAX && rc == ERR_LIMIT && !k->streamed; i++, room -= room / 4) {
        rc = prepare(k, room);
        *small = rc == ERR_LIMIT;
        if (rc)
            break;
        rc = speak(k, s);
    }
    return rc;
}

static bool next_may(const struct asking *k, enum err_code rc)
{
    return rc && rc != ERR_CANCELLED && rc != ERR_ARG && !k->streamed;
}

/* The one that was named; or all in their order with a prompt for the first, and where that one
 * has no room for any passage, each behind it with a prompt of its own. */
static enum err_code try_generators(struct asking *k, struct speaking *s)
{
    const struct llm *m = k->q->opt.llm;
    const char *name = k->req->generator;
    int first = name ? llm_find(m, str_of(name)) : 0;
    bool small = false;
    s->by = name;
    enum err_code rc = fit_and_speak(k, s, llm_model_at(m, first).context, &small);
    if (name || !small)
        return rc;
    for (int i = 1; i < llm_n_models(m) && next_may(k, rc); i++) {
        struct llm_model next = llm_model_at(m, i);
        s->by = next.name;
        rc = fit_and_speak(k, s, next.context, &small);
    }
    if (!rc) {
        k->passing = true;
        ask_degrade(k, arena_printf(&k->a, "generator: no passage has room in the context of %s",
                                    llm_name(m)));
    }
    return rc;
}

enum err_code ask_model(struct asking *k, bool *fell)
{
    struct err own = {0}, *err = k->err;
    struct speaking s = {.k = k};
    struct buf quotes = k->raw; /* kept, should no model answer */
    double began = clock_ms();
    k->raw = (struct buf){0};
    k->err = &own;
    enum err_code rc = try_generators(k, &s);
    k->first_ms = s.first_ms > 0 ? s.first_ms - began : 0;
    k->generate_ms += clock_ms() - began;
    const char *why = rc ? own.msg : NULL;
    if (!rc && !k->raw.len)
        why = "the model said nothing";
    *fell = why && may_fall(k, rc);
    if (*fell) {
        buf_free(&k->raw);
        k->raw = quotes;
        rc = fall(k, why);
    } else {
        buf_free(&quotes);
        if (!rc && why)
            rc = err_set(k->err, ERR_IO, "%s", why);
        if (!rc)
            rc = check_claims(k);
        say_what_was_taken(k, &s.filter);
        if (!rc && !k->spoke.model[0])
            snprintf(k->spoke.model, sizeof(k->spoke.model), "%s", llm_name(k->q->opt.llm));
        k->passing = k->passing || k->spoke.usage.n_attempts > 1;
        if (!rc && k->spoke.usage.n_attempts > 1)
            ask_degrade(k, arena_printf(&k->a, "generator: answered by %s after %d attempts",
                                        k->spoke.model, k->spoke.usage.n_attempts));
    }
    filter_deinit(&s.filter);
    k->err = err;
    if (rc && err)
        *err = own;
    return rc;
}
