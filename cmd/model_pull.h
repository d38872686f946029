/* cmd/model_pull.h - `carrel model pull`: a model file from the network into the folder
 * of models; beside llm.remote the only thing that calls out. */
#ifndef CARREL_CMD_MODEL_PULL_H
#define CARREL_CMD_MODEL_PULL_H
#include "cmd/cmd.h"

/* `what`: a name or an alias of the catalogue, or an https address (http of this machine);
 * NULL: print the catalogue. `as`: the file's name, NULL: as the address ends.
 * `sha256`: 64 digits that the file must have, NULL: those of the catalogue or of the
 * server, where there are some. Returns the exit status. */
int model_pull(const struct cmd *c, const char *what, const char *as, const char *sha256);
#endif
