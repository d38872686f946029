/* cmd/model.h - what cmd/model.c and its verbs' files share. */
#ifndef CARREL_CMD_MODEL_H
#define CARREL_CMD_MODEL_H
#include <stdint.h>
#include "cmd/cmd.h"
#include "model/attn.h"

/* What the file says of itself, and the memory that it would take. */
int model_info(const struct cmd *c, const char *path);
/* The encoders in use, and the files in the models folder with what they are for. */
int model_list(const struct cmd *c);
/* Load `path`, try it, and tell; returns the exit status. An encoder's vectors are
 * compared with `against` (a file, or NULL); a decoder runs tokens. threads 0: one a processor. */
int model_check(const struct cmd *c, const char *path, const char *against, int threads);
int model_check_decoder(const struct cmd *c, const char *path, int threads);
/* Standard input's tokens by the vocabulary of `path`, as JSON; the exit status. */
int model_tokenize(const struct cmd *c, const char *path, bool special);

struct model_run_options {
    const char *ids, *prompt;  /* one of them; "1,2,3" */
    const char *logits;        /* positions "0,7", or NULL */
    int64_t greedy, threads;   /* threads 0: one a processor */
    enum attn_type kv;
};
int model_run(const struct cmd *c, const char *path, const struct model_run_options *o);
#endif
