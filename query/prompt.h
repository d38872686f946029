/* query/prompt.h - a question and its passages as messages for a language model.
 *
 * Two messages: ours (system), and one of the user's with, in this order, so that what
 * two requests have in common comes first and its prefix is computed once:
 *     <passages of "collection">
 *     <passage 1 of "name, heading">
 *     text
 *     </passage 1>
 *     </passages>
 *     <conversation> ... </conversation>     earlier turns, if any
 *     Question: ...
 * What comes from documents and people is data in a fence that it cannot close:
 * not because the fence is secret, but because prompt_clean leaves no "<passage",
 * no control token of any known template and no "[n]" in it. So there is nothing
 * to guess, and the same request gives the same bytes.
 * The collection's name stands before its passages: what a model keeps of one
 * collection's prompts is never the beginning of another's.
 * Fitting   whole passages go, the last first, and whole turns, the oldest
 *           first; nothing is cut. How many is in struct prompt.
 * Threads   no state. Memory  in the caller's arena. Private to query/. */
#ifndef CARREL_QUERY_PROMPT_H
#define CARREL_QUERY_PROMPT_H
#include "base/arena.h"
#include "base/err.h"
#include "llm/llm.h"
#include "query/session.h"

#define PROMPT_VERSION   1     /* raised with every change of what a model reads */
#define PROMPT_NAME_MAX  200   /* code points of a passage's name and heading */
#define PROMPT_TURNS_MAX 6     /* earlier turns that a prompt may hold */

struct prompt_passage {
    struct str text;
    const char *name;          /* of the document, or NULL */
    const char *heading;       /* '\n' between levels, or NULL */
};
struct prompt_request {
    struct str question;
    const char *collection;
    const struct prompt_passage *passages;   /* numbered from 1 as they stand */
    int n_passages;
    const struct ask_turn *turns;         /* oldest first */
    int n_turns;
    bool json;                 /* the answer is to be JSON: no marks are asked for */
};
struct prompt {
    struct llm_message messages[2];
    int n_messages;
    int passages, turns;       /* that are in it */
    int tokens;                /* by the count that fitted it; 0 from prompt_build */
};
/* With the first `passages` and the last `turns`. */
enum err_code prompt_build(const struct prompt_request *r, int passages, int turns,
                           struct arena *a, struct prompt *out, struct err *err);

struct prompt_room {
    int tokens;                /* for the prompt: what the context holds less the answer */
    int (*count)(void *arg, struct str text);
    void *arg;
};
/* As much as has room: turns take at most a quarter of what the rules and the question
 * leave, passages the rest. ERR_LIMIT when not even the first passage has. */
enum err_code prompt_fit(const struct prompt_request *r, const struct prompt_room *room,
                         struct arena *a, struct prompt *out, struct err *err);

/* Text of documents and people as a prompt may hold it: brackets around numbers
 * become round, brackets of control tokens and of our fence "‹", invisible
 * characters go. */
void prompt_clean(struct str text, struct buf *b);
/* The same on one line, without quotation marks, at most PROMPT_NAME_MAX code points. */
void prompt_clean_name(struct str name, struct buf *b);

/* ---- follow-up questions ---- */

/* Asks for the last question in words that need no conversation. */
enum err_code prompt_rewrite(struct str question, const struct ask_turn *turns, int n,
                             struct arena *a, struct prompt *out, struct err *err);
/* What a model said to that, as a question; false when it is none: empty, several lines,
 * too long, or with more new words than old ones. */
bool prompt_rewritten(struct str said, struct str question, const struct ask_turn *turns, int n,
                      struct arena *a, struct str *out);

/* Does this answer say that the passages hold none? Looks at its first sentence. */
bool prompt_declines(struct str answer);
#endif
