/* cmd/model.h - what cmd/model.c and its verbs' files share. */
#ifndef CARREL_CMD_MODEL_H
#define CARREL_CMD_MODEL_H
#include "cmd/cmd.h"

/* Load the encoder `path`, try it, compare it with `against` (a file, or NULL),
 * and tell; returns the exit status. */
int model_check(const struct cmd *c, const char *path, const char *against);
/* Standard input's tokens by the vocabulary of `path`, as JSON; the exit status. */
int model_tokenize(const struct cmd *c, const char *path, bool special);
#endif
