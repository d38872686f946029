/* cmd/open.h - turns struct config into the rooms' options and opens the rooms
 * in order: team, index, embed, llm, query, ingest; closes them in reverse.
 *
 * Threads   one owner. Memory  rooms_close releases all; the zero value is closed. */
#ifndef CARREL_CMD_OPEN_H
#define CARREL_CMD_OPEN_H
#include "cmd/cmd.h"
#include "config/config.h"
#include "embed/embed.h"
#include "index/index.h"
#include "ingest/ingest.h"
#include "llm/llm.h"
#include "query/query.h"

enum rooms_want {
    WANT_INDEX = 1,
    WANT_EMBED = 2,
    WANT_QUERY = 4,            /* with embed and llm */
    WANT_INGEST = 8,           /* with embed; its workers begin at once */
    WANT_CREATE = 16,          /* a store that is not there is made */
    WANT_VOLATILE = 32,        /* scratch: nothing is synced */
    WANT_LLM = 64              /* with WANT_QUERY: language models too, not the extractive
                                  engine alone */
};

struct rooms {
    struct config *config;
    struct team *team;
    struct index *index;
    struct embed *embed;
    struct llm *llm;
    struct query *query;
    struct ingest *ingest;
};

/* The settings: built-in, file, environment, the options of `c`. Yours: open_config_free. */
enum err_code open_config(const struct cmd *c, struct config **out, struct err *err);
void open_config_free(struct config *c);      /* NULL is fine */
/* Open what is wanted. *config is taken over (and NULL) on success. */
enum err_code rooms_open(struct config **config, int want, struct rooms *out, struct err *err);
void rooms_close(struct rooms *r);
#endif
