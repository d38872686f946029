/* query/session.h - conversations: what a follow-up question means.
 *
 * "When was it built?" after "Who designed the Eiffel Tower?" is searched as
 * "When was it built? designed Eiffel Tower": a question that points back (a
 * pronoun) or says too little by itself takes along the content words of the
 * question before it, which may have taken some along itself. The reply shows
 * it as `search_query`, so that nothing is guessed in secret.
 * Threads   no state. Memory  in the caller's arena. Private to query/. */
#ifndef CARREL_QUERY_SESSION_H
#define CARREL_QUERY_SESSION_H
#include "index/index.h"
#include "query/query.h"

#define SESSION_TURNS 10   /* user messages looked back at */

struct ask_turn { struct str question, answer; };

/* `question` in the light of the one before it as it was searched. */
enum err_code session_resolve(struct str before, struct str question, struct arena *a,
                              struct str *out, struct err *err);
/* The same over earlier turns, oldest first. */
enum err_code session_query(const struct ask_turn *turns, int n, struct str question,
                            struct arena *a, struct str *out, struct err *err);
/* Does the question need nothing from before it? By the same rule. */
enum err_code session_stands_alone(struct str question, bool *alone, struct err *err);
/* The last SESSION_TURNS turns of a stored conversation, in arena; none of "" and NULL.
 * ERR_NOTFOUND when there is none of that id. */
enum err_code session_turns(struct index *x, const char *conversation, struct arena *a,
                            struct ask_turn **out, int *n, struct err *err);
/* The same of messages that a caller brings; those before the first question are left out. */
enum err_code session_history(const struct llm_message *m, int n_messages, struct arena *a,
                              struct ask_turn **out, int *n, struct err *err);
/* Store both turns. `id` "" makes a conversation and writes its id there. */
enum err_code session_keep(struct index *x, char id[33], struct str question, struct str answer,
                           struct err *err);
#endif
