/* llm/chat_int.h - a family of chat templates as a row of strings, for chat*.c.
 *
 * In the strings \1 is the BOS piece (nothing at the very beginning, where chat_encode
 * puts it), \2 the EOS piece, and \3 a space that a SentencePiece vocabulary puts by
 * itself behind a control piece: written for the others only. */
#ifndef CARREL_LLM_CHAT_INT_H
#define CARREL_LLM_CHAT_INT_H
#include "llm/chat.h"

#define CHAT_BOS "\1"
#define CHAT_EOS "\2"
#define CHAT_GAP "\3"

struct chat_family {
    const char *name;
    const char *system[2];     /* before and behind a system text; NULL: folded into the user's */
    const char *user[2];       /* NULL: no turns at all */
    const char *assistant[2];
    const char *opens;         /* behind the last message: the assistant's turn */
    const char *fold[2];       /* around system texts within the user's */
    const char *unsaid;        /* the system text where nobody says one first; NULL: no turn */
    bool bos;                  /* the template itself writes a BOS */
    bool strict;               /* user and assistant take turns, the user begins */
    bool trims;                /* white space off both ends of messages */
    bool folds_late;           /* into the last user text, not the next one */
    const char *const *marks;  /* NULL-ended: never whole in a message as mere letters */
    const char *needs[2];      /* control pieces without which a file is not of this family */
};
extern const struct chat_family chat_families_all[];
extern const int chat_n_families;
#endif
