/* query/ask_int.h - one asking on its way, shared by the ask*.c files.
 *
 *   ask.c        checks the request, walks through it, tells the events
 *   ask_quote.c  the extractive engine: evidence, and the passages' own sentences
 *   ask_model.c  a language model: prompt, stream, claims
 *   ask_reply.c  the reply
 * Threads   one owner. Private to query/. */
#ifndef CARREL_QUERY_ASK_INT_H
#define CARREL_QUERY_ASK_INT_H
#include "query/claim.h"
#include "query/prompt.h"
#include "query/query_int.h"

#define ASK_DEGRADED_MAX 8

struct asking {
    struct query *q;
    const struct ask_request *req;
    const struct ask_events *events;
    const struct stop *stop;
    struct arena a;
    struct scope scope;
    struct str search_query;
    struct search_result found;
    struct meaning meaning;
    struct buf raw; /* what the generator said */
    struct llm_reply said;
    struct cited cited;
    json_t *hits, *citations;
    const char *degraded[ASK_DEGRADED_MAX];
    int n_degraded;
    double began_ms, generate_ms;
    char conversation[33];
    const struct ask_turn *turns; /* earlier ones, oldest first */
    int n_turns;
    /* of a language model */
    bool by_model;                /* it is asked, and then: it answered */
    bool rewritten;               /* search_query is a whole question, by the model */
    bool told, streamed;          /* query and sources; the answer's text */
    bool passing;                 /* a fallback's answer, or one cut by the clock: not kept */
    struct prompt prompt;
    struct llm_chat_reply spoke;
    struct claims claims;
    double rewrite_ms, first_ms;
    struct err *err;
};

void ask_degrade(struct asking *k, const char *why);   /* NULL is fine */
enum err_code ask_left(struct asking *k);
/* The query and sources events, once: of a model when it has taken the request, so that a full
 * queue is still a status of its own. */
enum err_code ask_tell_sources(struct asking *k, const json_t *hits);

/* Run the extractive engine over the passages: k->raw, k->said. */
enum err_code ask_evidence(struct asking *k);
bool ask_open(const struct asking *k);                 /* the evidence gate */
/* Its answer's citations: k->cited, k->citations. */
enum err_code ask_quote(struct asking *k);
/* Stored text of the passages with wanted[i], read anew, once a document. */
enum err_code ask_stored(struct asking *k, const bool *wanted, struct cite_passage *p);
struct cite_passage *ask_passages(struct asking *k);   /* one a hit; NULL without memory */
enum err_code ask_render_citations(struct asking *k, const struct citation *c, int n,
                                   const struct cite_passage *p);

/* ERR_NOTFOUND: the request names no generator there is. */
enum err_code ask_generator(struct asking *k);
/* A question that points back in words of its own, by the model; else by session.h. */
enum err_code ask_rewrite(struct asking *k);
/* The answer of a language model, told as it comes: k->raw, k->claims, k->citations.
 * *fell: no generator could, nothing was told, and the passages' own sentences are to
 * answer; `degraded` says why. */
enum err_code ask_model(struct asking *k, bool *fell);

/* All of the reply that does not change from one asking to the next; *reply is yours. */
json_t *ask_reply(struct asking *k);
/* What belongs to this asking alone. */
void ask_reply_finish(struct asking *k, json_t *reply, bool cached);
#endif
