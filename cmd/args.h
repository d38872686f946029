/* cmd/args.h - a verb's options: one table gives parsing, messages and help.
 *
 *   struct cmd c = {0};
 *   int top = 10;
 *   const struct arg args[] = {{"top", ARG_INT, &top, "N", "at most N passages (10)", 1, 1000}};
 *   const struct args_usage u = {"search", "QUERY", "Find passages.", args, 1};
 *   int status, n = args_parse(&u, &c, argc, argv, &status);
 *   if (n < 0)
 *       return status;            // help was printed, or the command line is wrong
 *   // argv[0..n) are the words that are no options
 *
 * Options are --name VALUE, --name=VALUE or --name; "--" ends them. The options
 * of struct cmd are understood by every verb.
 * Threads   no state. */
#ifndef CARREL_CMD_ARGS_H
#define CARREL_CMD_ARGS_H
#include <stdint.h>
#include "cmd/cmd.h"

enum arg_kind {
    ARG_FLAG,   /* to: bool *, set true */
    ARG_TEXT,   /* to: const char ** */
    ARG_INT,    /* to: int64_t *, min..max */
    ARG_NUM     /* to: double *, min..max */
};

struct arg {
    const char *name;         /* without the dashes */
    enum arg_kind kind;
    void *to;
    const char *value;        /* its name in the help; NULL for a flag */
    const char *help;
    double min, max;          /* of a number, both ends allowed */
};

struct args_usage {
    const char *verb;
    const char *words;        /* "[ID...]": what follows the options */
    const char *text;         /* the help's body; ends without a newline */
    const struct arg *args;
    int n_args;
    bool no_store;            /* takes no --data, --server, --key-file */
};

/* The words are moved to the front of argv and counted (argv[0], the verb, is
 * dropped). -1: *status says with what to exit. */
int args_parse(const struct args_usage *u, struct cmd *c, int argc, char **argv, int *status);
/* A complaint about the words, with a hint at the help; returns CMD_USAGE. */
int args_wrong(const struct args_usage *u, const struct cmd *c, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The nearest of names[n] to `word` (edit distance at most a third), or NULL. */
const char *args_nearest(const char *word, const char *const *names, int n);
#endif
