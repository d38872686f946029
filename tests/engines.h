/* tests/engines.h - engines over small real models, answers kept whole, askers in
 * threads of their own. */
#ifndef CARREL_TESTS_ENGINES_H
#define CARREL_TESTS_ENGINES_H
#include <pthread.h>
#include "base/rng.h"
#include "llm/engine_int.h"
#include "tests/test.h"

/* ---- a model and an engine over it ---- */

struct model {
    struct vocab *vocab;
    struct team *team;
    struct decoder *decoder;
};

static inline struct model load(const char *path, int threads)
{
    struct model m = {0};
    struct gguf *g;
    struct err err;
    CHECK_OK(gguf_open(path, &g, &err), &err);
    CHECK_OK(vocab_open(g, &m.vocab, &err), &err);
    CHECK_OK(team_new(threads, &m.team, &err), &err);
    CHECK_OK(decoder_open(g, m.team, DECODER_ROUNDED, NULL, NULL, &m.decoder, &err), &err);
    gguf_close(g);
    return m;
}

static inline void unload(struct model *m)
{
    decoder_free(m->decoder);
    team_free(m->team);
    vocab_free(m->vocab);
}

static inline struct engine *start(const struct model *m, struct engine_options o)
{
    struct engine *e;
    struct err err;
    o.decoder = m->decoder;
    o.vocab = m->vocab;
    o.team = m->team;
    CHECK_OK(engine_open(&o, &e, &err), &err);
    return e;
}

/* Tokens of an answer in company; a sanitizer makes each some thirty times as dear. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { LONG = 40, PROMPTS = 3 };
#else
enum { LONG = 500, PROMPTS = 8 };
#endif

static const char *STORIES = "models/stories260K/stories260K-f32.gguf";

/* ---- an answer, all of it ---- */

struct answer {
    struct buf text, bytes;       /* bytes: of its tokens */
    struct buf tokens;            /* bytes and logprobs of each, as they came */
    int pieces, n_tokens, n_best; /* n_best: tokens that were the most likely */
    int leave_at;                 /* the piece at which the reader leaves; 0: stays */
    enum err_code rc;
    struct err err;
    struct engine_reply reply;
    void (*at_piece)(struct answer *a);
    void *arg;
};

static inline bool take(void *arg, const struct llm_piece *p)
{
    struct answer *a = arg;
    buf_str(&a->text, p->text);
    for (int i = 0; i < p->n_tokens; i++) {
        const struct llm_token *t = &p->tokens[i];
        buf_str(&a->bytes, t->bytes);
        a->n_best +=
            t->n_top > 0 && t->logprob == t->top[0].logprob && str_eq(t->bytes, t->top[0].text);
        buf_str(&a->tokens, t->bytes);
        buf_add(&a->tokens, &t->logprob, sizeof(t->logprob));
        for (int k = 0; k < t->n_top; k++) {
            buf_str(&a->tokens, t->top[k].text);
            buf_add(&a->tokens, &t->top[k].logprob, sizeof(t->top[k].logprob));
        }
    }
    a->n_tokens += p->n_tokens;
    a->pieces++;
    if (a->at_piece)
        a->at_piece(a);
    return a->pieces != a->leave_at;
}

static inline void answer_free(struct answer *a)
{
    buf_free(&a->text);
    buf_free(&a->bytes);
    buf_free(&a->tokens);
}

static inline void generate(struct engine *e, const struct engine_request *r, struct answer *a)
{
    a->rc = engine_generate(e, r, take, a, NULL, &a->reply, &a->err);
}

static inline void generate_well(struct engine *e, const struct engine_request *r, struct answer *a)
{
    generate(e, r, a);
    CHECK_OK(a->rc, &a->err);
}

static inline void check_same(const struct answer *a, const struct answer *b, const char *where)
{
    CHECK_MSG(str_eq(buf_view(&a->text), buf_view(&b->text)), "%s: \"%.*s\" and \"%.*s\"", where,
              STR_ARG(buf_view(&a->text)), STR_ARG(buf_view(&b->text)));
    CHECK_MSG(str_eq(buf_view(&a->tokens), buf_view(&b->tokens)), "%s: other logprobs", where);
    CHECK_INT(a->reply.usage.completion_tokens, b->reply.usage.completion_tokens);
    CHECK_INT(a->reply.finish, b->reply.finish);
}

/* Many at a time, each in a thread. */
struct asker {
    struct engine *e;
    struct engine_request r;
    struct answer a;
    pthread_t thread;
};

static inline void *ask(void *arg)
{
    struct asker *k = arg;
    generate(k->e, &k->r, &k->a);
    return NULL;
}

static inline void ask_all(struct engine *e, struct asker *k, int n)
{
    for (int i = 0; i < n; i++) {
        k[i].e = e;
        CHECK_INT(pthread_create(&k[i].thread, NULL, ask, &k[i]), 0);
    }
    for (int i = 0; i < n; i++)
        pthread_join(k[i].thread, NULL);
}

/* ---- prompts ---- */

enum { PROMPT_MAX = 400 };

struct prompt {
    int32_t ids[PROMPT_MAX];
    int n;
};

static inline struct prompt encode(const struct model *m, const char *text)
{
    struct prompt p;
    size_t n;
    struct err err;
    CHECK_OK(vocab_encode(m->vocab, str_of(text), VOCAB_ADD_BOS, p.ids, PROMPT_MAX, &n, &err),
             &err);
    CHECK(n <= PROMPT_MAX);
    p.n = (int)n;
    return p;
}

/* Ids of any model: with some that repeat, and beginnings that others have. */
static inline struct prompt random_prompt(const struct model *m, int n, uint64_t seed)
{
    struct prompt p = {.n = n};
    struct rng r;
    int size = (int)vocab_size(m->vocab);
    rng_init(&r, 1);
    for (int i = 0; i < n; i++) {
        if (i == n / 2)
            rng_init(&r, seed);
        p.ids[i] = 3 + (int32_t)rng_below(&r, (uint64_t)(size - 3));
        if (i >= 20 && i % 50 > 40)
            p.ids[i] = p.ids[i - 20];
    }
    return p;
}

static inline struct engine_request request(const struct prompt *p, int max_tokens,
                                            double temperature)
{
    return (struct engine_request){.prompt = p->ids,
                                   .n_prompt = p->n,
                                   .max_tokens = max_tokens,
                                   .sampling = {.temperature = temperature, .seed = 7},
                                   .n_logprobs = -1,
                                   .ignore_end = true};
}
#endif
