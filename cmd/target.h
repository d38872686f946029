/* cmd/target.h - where a verb finds the store: in this process, or behind a server.
 *
 * --server names a server; else the store's folder says whether one holds it
 * (index_holder) and where it answers; else the rooms are opened here.
 * Threads   one owner. Memory  target_close releases all. */
#ifndef CARREL_CMD_TARGET_H
#define CARREL_CMD_TARGET_H
#include "cmd/client.h"
#include "cmd/cmd.h"
#include "cmd/open.h"

struct target {
    const struct cmd *cmd;
    struct rooms rooms;        /* open when client is NULL */
    struct client *client;     /* or NULL */
    const struct stop *stop;
    char *key;                 /* read from a file */
};

/* `want`: enum rooms_want bits, of what must be open when the store is here;
 * `create`: make the store when there is none. Complains itself; CMD_OK, or
 * with what to exit (then there is nothing to close). */
int target_open(const struct cmd *c, int want, bool create, const struct stop *stop,
                struct target *t);
/* The same, but a store that a server holds is CMD_LOCKED: `what` needs it to itself. */
int target_open_alone(const struct cmd *c, int want, const char *what, const struct stop *stop,
                      struct target *t);
void target_close(struct target *t);
/* cmd_fail, knowing that a refused key is CMD_AUTH. */
int target_fail(const struct target *t, enum err_code code, const struct err *err);
#endif
