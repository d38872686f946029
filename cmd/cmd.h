/* cmd/cmd.h - what all verbs of the command line share.
 *
 * A verb is `int cmd_xxx(int argc, char **argv)` in cmd/xxx.c: argv[0] is its
 * name, the result is an exit status of enum cmd_exit. It reads its options
 * with args_parse (cmd/args.h), which also prints its help.
 * Output    results for people go to standard output, notes, progress and
 *           errors to standard error. With --json, standard output carries one
 *           JSON value per line, the last one the result, also for errors
 *           ({"error": {"code", "message"}}).
 * Threads   one owner. */
#ifndef CARREL_CMD_CMD_H
#define CARREL_CMD_CMD_H
#include <stdbool.h>
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "base/thread.h"

#define CARREL_VERSION "0.2.0"

enum cmd_exit {
    CMD_OK = 0,
    CMD_FAILED = 1,
    CMD_USAGE = 2,          /* the command line or the configuration is wrong */
    CMD_PARTIAL = 3,        /* some of what was asked for failed */
    CMD_NOTHING = 4,        /* nothing found, or the question was refused */
    CMD_FINDINGS = 5,       /* a check found something */
    CMD_NO_STORE = 10,
    CMD_LOCKED = 11,        /* another process holds the store */
    CMD_AUTH = 12,          /* the server wants a (better) key */
    CMD_INCOMPATIBLE = 13   /* store or encoder of another version */
};

/* Options that every verb takes. */
struct cmd {
    bool json;
    const char *config_path;   /* --config FILE */
    const char *data_dir;      /* --data DIR */
    const char *server;        /* --server URL */
    const char *key_file;      /* --key-file FILE */
    const char *program;       /* path of this program, for finding its neighbours */
};

/* Print the sentence (people: "carrel: ..."; --json: an error value) and return
 * the exit status that belongs to `code`. */
int cmd_fail(const struct cmd *c, enum err_code code, const struct err *err);
/* The same with an exit status of one's own and a sentence of printf. */
int cmd_exit_with(const struct cmd *c, enum cmd_exit status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum cmd_exit cmd_exit_of(enum err_code code);

/* A note on standard error; with --json too. */
void cmd_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What a check found, on standard output ({"finding": ...} with --json); counted in *n. */
void cmd_finding(const struct cmd *c, int *n, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* One JSON value on a line of standard output; takes `value` over. */
void cmd_json(json_t *value);
/* Text for a terminal: control characters (but \n and \t) of untrusted text are
 * replaced, so that a document cannot steer the reader's screen. */
void cmd_text(struct str text);
/* The n words with a space between each, as a shell user means them. */
void cmd_join(struct buf *b, int n, char **words);
/* Flush standard output; CMD_FAILED when it could not be written, else `status`, also
 * when the other end of a pipe was closed. */
int cmd_done(int status);

/* SIGINT and SIGTERM set the stop that this returns (a second SIGINT ends the
 * process at once); SIGPIPE is ignored. From then on errors are told with --json only. */
struct stop *cmd_catch_signals(void);
bool cmd_interrupted(void);
/* Where one of them has come: end by it after all, so that a shell's loop ends too (it says 130). */
void cmd_end_by_signal(void);
/* Where `name` (e.g. "carrel-extract") lies beside this program. */
const char *cmd_neighbour(const char *name);

/* The verbs. */
int cmd_add(int argc, char **argv);
int cmd_ask(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_collection(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_embed(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_job(int argc, char **argv);
int cmd_key(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_model(int argc, char **argv);
int cmd_reindex(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_search(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_train(int argc, char **argv);
int cmd_version(int argc, char **argv);
#endif
