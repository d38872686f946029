/* cmd/main.c - the program: finds the verb and runs it. */
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "cmd/args.h"
#include "cmd/cmd.h"

struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary; /* NULL begins a group, named by `name` */
};

static const struct verb verbs[] = {
    {"every day", NULL, NULL},
    {"serve", cmd_serve, "answer over HTTP: web pages and API"},
    {"add", cmd_add, "read files and folders into the store"},
    {"ask", cmd_ask, "a question, answered with citations"},
    {"search", cmd_search, "find passages"},
    {"ls", cmd_ls, "list documents"},
    {"show", cmd_show, "a document, or the words a citation points at"},
    {"rm", cmd_rm, "delete documents"},
    {"keeping house", NULL, NULL},
    {"status", cmd_status, "what is in the store and who serves it"},
    {"collection", cmd_collection, "list, make and delete collections"},
    {"job", cmd_job, "see, cancel and retry what is being read"},
    {"key", cmd_key, "make and revoke API keys"},
    {"check", cmd_check, "verify the store"},
    {"reindex", cmd_reindex, "build the search graphs, or the vectors, again"},
    {"config", cmd_config, "show or check the configuration"},
    {"models and measuring", NULL, NULL},
    {"embed", cmd_embed, "text to vectors"},
    {"model", cmd_model, "look at and check model files"},
    {"train", cmd_train, "train an encoder table from pairs of texts"},
    {"eval", cmd_eval, "measure search and answers on a judged set"},
    {"bench", cmd_bench, "measure this machine"},
    {"version", cmd_version, "print the version"},
};
enum { N_VERBS = sizeof(verbs) / sizeof(*verbs) };

static const struct verb *find_verb(const char *name)
{
    for (int i = 0; i < N_VERBS; i++)
        if (verbs[i].run && strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static void print_verbs(FILE *to)
{
    fputs("carrel reads your documents and answers questions about them, with citations.\n\n"
          "  carrel add report.pdf notes/      read files and folders\n"
          "  carrel ask \"When is rent due?\"    answer, with the words it rests on\n"
          "  carrel serve                      the same in a browser\n",
          to);
    for (int i = 0; i < N_VERBS; i++) {
        if (verbs[i].run)
            fprintf(to, "  %-12s%s\n", verbs[i].name, verbs[i].summary);
        else
            fprintf(to, "\n%s\n", verbs[i].name);
    }
    fputs("\n`carrel help VERB` explains one. Exit status: 0 done, 1 failed, 2 wrong command\n"
          "line, 3 part of it failed, 4 nothing found or refused, 5 a check found something,\n"
          "10 no store, 11 store in use, 12 key refused, 13 store of another version; a signal\n"
          "ends it as a shell expects (130 after Ctrl-C).\n",
          to);
}

static int unknown_verb(const char *word)
{
    if (word[0] == '-')
        return cmd_exit_with(NULL, CMD_USAGE,
                             "options stand behind the verb: `carrel VERB %s ...`; `carrel help` "
                             "lists the verbs", word);
    const char *names[N_VERBS];
    int n = 0;
    for (int i = 0; i < N_VERBS; i++)
        if (verbs[i].run)
            names[n++] = verbs[i].name;
    const char *near = args_nearest(word, names, n);
    return cmd_exit_with(NULL, CMD_USAGE,
                         "\"%s\" is no verb of carrel%s%s%s; `carrel help` lists them", word,
                         near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static int help(int argc, char **argv)
{
    if (argc < 2) {
        print_verbs(stdout);
        return cmd_done(CMD_OK);
    }
    const struct verb *v = find_verb(argv[1]);
    if (!v)
        return unknown_verb(argv[1]);
    char *words[] = {argv[1], "--help", NULL};
    return v->run(2, words);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_verbs(stderr);
        return CMD_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return help(argc - 1, argv + 1);
    if (strcmp(word, "--version") == 0)
        word = "version";
    log_set_level(LOG_WARN); /* serve has its own, from the configuration */
    const struct verb *v = find_verb(word);
    int status = v ? v->run(argc - 1, argv + 1) : unknown_verb(word);
    if (status)
        cmd_end_by_signal();
    return status;
}
