/* llm/engine_int.h - what the files of the engine share. Private to llm/engine*.c
 * and their tests.
 *
 *   engine.c         the door: options, sizes, a caller's side of a request
 *   engine_run.c     the thread: who comes in, what the next pass takes, who leaves
 *   engine_settle.c  what becomes of logits: tokens, text, ends
 *   engine_pace.c    how many rows of prompts a pass may take
 *
 * A request is one struct slot, in the caller's keeping. The caller fills it, hands it over
 * under `lock`, and gets it back when `ended` is set under `lock`; between them all but
 * the fields under "guarded" is the engine thread's (and its team's, one slot a
 * thread). The order of locks: trie_lock alone; lock alone. */
#ifndef CARREL_LLM_ENGINE_INT_H
#define CARREL_LLM_ENGINE_INT_H
#include <pthread.h>
#include "llm/engine.h"
#include "llm/lookup.h"
#include "llm/stops.h"

enum {
    ENGINE_CONTEXT = 8192,     /* at most, when none is asked for */
    ENGINE_SESSIONS_MAX = 64,
    ENGINE_QUEUE = 32,
    ENGINE_TOKENS = 1024,      /* of an answer, when no number is given */
    ENGINE_LOGPROBS_MAX = 20,
    ENGINE_SLICE_MAX = 512,    /* rows of prompts in a pass */
    ENGINE_PROPOSED_MAX = 16,  /* proposed rows in a pass, of all answers */
};

/* ---- pace */

enum { PACE_BUCKETS = 8 };     /* 1, 2, 3-4, 5-8, ... answers */
struct engine_pace {
    double alone_ms[PACE_BUCKETS];   /* of a pass of answers only; 0: unknown */
    double last_ms[PACE_BUCKETS][3]; /* the last of these, alone_ms is their median */
    int age[PACE_BUCKETS];     /* passes with prompts since it was measured */
    double rows;               /* beside answers' own, that a pass can bear; 0: unknown */
    double bulk_row_ms;        /* of a row in a pass of prompts only; 0: unknown */
};
/* The next pass should take answers only, one row each, to see how long that takes. */
bool engine_pace_probes(const struct engine_pace *p, int n_answers);
/* Rows of prompts for the next pass, >= 1, at most ENGINE_SLICE_MAX. */
int engine_pace_rows(struct engine_pace *p, int n_answers, int n_proposed);
/* Should an answer that could begin, and had `own` rows of its prompt computed, wait until
 * all may begin: until `rest` rows of other prompts are computed? */
bool engine_pace_waits(const struct engine_pace *p, int own, int rest);
/* A pass took so long. */
void engine_pace_learn(struct engine_pace *p, int n_answers, int n_proposed, int n_prompt_rows,
                       double ms);

/* ---- a request */

/* A token of an answer with logprobs. */
struct engine_token {
    int32_t id;
    float logprob;
    size_t end;                /* bytes of the answer that must be out before it is shown */
};

enum engine_stage { STAGE_PROMPT, STAGE_ANSWER, STAGE_DONE };

struct slot {
    const struct engine_request *req;
    const struct stop *stop;
    int n_max;                 /* tokens of prompt and answer, at most */

    enum engine_stage stage;
    enum llm_finish finish;
    int32_t *ids;              /* [n_max] prompt and answer; behind n_ids: proposals */
    int n_ids, n_done;         /* known; of these in the cache */
    int n_rows, n_proposed, n_agreed;   /* of its part in the pass that runs */
    int n_cached;
    struct kv_seq seq;
    struct sampler *sampler;
    struct gstate *grammar, *ahead;  /* with a grammar; ahead: where proposals lead */
    uint64_t *allowed;
    struct lookup lookup;
    struct stops stops;
    struct vocab_decoder decoder;
    struct buf decoded;        /* of one token */
    struct buf fresh;          /* text that is out and not yet handed over */
    size_t n_decoded, n_out;   /* bytes of the answer decoded; out */
    struct engine_token *tokens;     /* [n_max - n_prompt]; NULL without logprobs */
    struct sampler_logprob *tops;    /* [n_max - n_prompt][n_logprobs] */
    int n_answer;              /* tokens of the answer, an end token among them */
    int n_counted;             /* of these in engine_state */
    int n_shown;               /* tokens with logprobs */
    int proposed, accepted;
    double queued_ms, begun_ms, first_ms, done_ms;
    enum err_code rc;          /* how it ended */
    struct err err;

    /* guarded by lock */
    pthread_cond_t ready;      /* text, tokens or the end has come */
    struct buf text;           /* handed over and not yet emitted */
    int n_tokens;              /* of tokens[], handed over */
    bool left;                 /* the caller wants no more */
    bool ended;
    struct slot *next;         /* in the queue */
};

/* One part of the pass that runs. */
struct engine_part { struct slot *slot; const float *logits; };

struct engine {
    struct engine_options opt; /* with defaults filled in */
    int n_vocab, stride;       /* ids that may come; floats in a row of logits */
    struct kvcache *kv;
    struct pass *pass;
    struct engine_pace pace;
    struct slot **live;        /* [sessions] in the order they came in */
    int n_live;
    struct engine_part *part;  /* [sessions] */
    struct pass_part *run;     /* [sessions] */
    int n_parts, n_answers, n_proposed, n_prompt_rows;   /* of the pass that runs */
    pthread_t thread;

    pthread_mutex_t trie_lock;
    struct gtrie *trie;        /* made for the first grammar */

    pthread_mutex_t lock;      /* guards what follows, and the guarded of slots */
    pthread_cond_t work, quiet;
    struct slot *first, *last; /* the queue */
    int n_waiting, inside;     /* callers in engine_generate */
    bool closing;
    struct engine_state state;
};

/* Put a slot at the end of the queue, under the lock. */
void engine_queue(struct engine *e, struct slot *s);
/* The engine's thread; `arg` is the engine. */
void *engine_run(void *arg);
/* Rows of logits of its part, n_logits of them: tokens are drawn, text comes, it may end. Touches
 * the slot only. */
void engine_settle(const struct engine *e, struct slot *s, const float *logits, int n_logits);
/* Propose up to `max` tokens behind ids[n_ids - 1]; sets n_proposed. */
void engine_propose(const struct engine *e, struct slot *s, int max);
/* End with a sentence. */
void engine_fail(struct slot *s, enum err_code rc, const char *why);
#endif
