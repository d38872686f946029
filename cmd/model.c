/* cmd/model.c - `carrel model`: look at model files, try them, bring them here. */
#include "cmd/model.h"
#include <string.h>
#include "cmd/args.h"
#include "cmd/model_pull.h"

static const char HELP[] =
    "Model files (GGUF): encoders, and language models in the folder llm.models. ls\n"
    "lists them with what they are for; info says what a file is and what memory it\n"
    "would take. check loads a file and tries it (exit status 5 when it finds\n"
    "something): an encoder's vectors have length 1 and the same bits in any batch,\n"
    "and the numbers of --against where there are some; a language model gives finite\n"
    "numbers, at so many tokens a second. tokenize reads standard input and prints\n"
    "{\"ids\": [...], \"pieces\": [...]}. run shows what a language model computes from\n"
    "--ids or --prompt: greedy tokens, logits at positions, likelihood. pull brings a\n"
    "file from the catalogue (which it shows without a name) or an address into the\n"
    "folder.";

enum { GREEDY = 32 }; /* tokens that are written where nobody says how many */

struct model_args {
    bool special;
    const char *against, *kv;
    const char *as, *sha256;   /* pull */
    struct model_run_options run;
};

static int run(const struct args_usage *u, const struct cmd *c, const char *path,
               struct model_args *a)
{
    static const char *const names[] = {"f32", "f16", "q8"}; /* as enum attn_type */
    int kv = 0;
    while (kv < 3 && a->kv && strcmp(a->kv, names[kv]) != 0)
        kv++;
    if (kv == 3)
        return args_wrong(u, c, "--kv %s: want f32, f16 or q8", a->kv);
    if (!a->run.ids == !a->run.prompt)
        return args_wrong(u, c, "run takes --ids 1,2,3 or --prompt TEXT, one of them");
    a->run.kv = (enum attn_type)kv;
    if (!c->json && a->run.prompt && !a->run.logits && a->run.greedy < 0)
        a->run.greedy = GREEDY; /* people want to see it write */
    a->run.greedy = a->run.greedy < 0 ? 0 : a->run.greedy;
    return model_run(c, path, &a->run);
}

static int dispatch(const struct args_usage *u, const struct cmd *c, int n, char **words,
                    struct model_args *a)
{
    const char *verb = n > 0 ? words[0] : "ls", *what = n > 1 ? words[1] : NULL;
    if (n <= 1 && strcmp(verb, "ls") == 0)
        return model_list(c);
    if (n == 2 && strcmp(verb, "info") == 0)
        return model_info(c, what);
    if (n == 2 && strcmp(verb, "check") == 0)
        return model_check(c, what, a->against, (int)a->run.threads);
    if (n == 2 && strcmp(verb, "tokenize") == 0)
        return model_tokenize(c, what, a->special);
    if (n == 2 && strcmp(verb, "run") == 0)
        return run(u, c, what, a);
    if (n <= 2 && strcmp(verb, "pull") == 0)
        return model_pull(c, what, a->as, a->sha256);
    return args_wrong(u, c, "model takes ls; info, check, tokenize or run and a FILE; pull and a "
                            "NAME or URL");
}

int cmd_model(int argc, char **argv)
{
    struct cmd c = {0};
    struct model_args a = {.run.greedy = -1};
    const struct arg args[] = {
        {"special", ARG_FLAG, &a.special, NULL, "tokenize: with the model's control tokens", 0, 0},
        {"against", ARG_TEXT, &a.against, "FILE",
         "check: JSON lines {\"text\", \"vector\"} to compare", 0, 0},
        {"ids", ARG_TEXT, &a.run.ids, "1,2,3", "run: token ids, as they are", 0, 0},
        {"prompt", ARG_TEXT, &a.run.prompt, "TEXT", "run: a text, without any template", 0, 0},
        {"greedy", ARG_INT, &a.run.greedy, "N",
         "run: N tokens behind it, the likeliest; of a prompt 32, with --json none", 0,
         1 << 20},
        {"logits", ARG_TEXT, &a.run.logits, "P,P", "run: all logits at these positions", 0, 0},
        {"kv", ARG_TEXT, &a.kv, "TYPE", "run: of the cache, f32 (the default), f16 or q8", 0, 0},
        {"threads", ARG_INT, &a.run.threads, "N", "run, check: 0 is one a processor", 0, 256},
        {"as", ARG_TEXT, &a.as, "NAME", "pull: what to call the file", 0, 0},
        {"sha256", ARG_TEXT, &a.sha256, "HEX", "pull: what the file must have", 0, 0},
        {"data", ARG_TEXT, &c.data_dir, "DIR", "ls, pull: as if given to another verb", 0, 0},
    };
    const struct args_usage u = {
        "model", "ls | info FILE | check FILE | tokenize FILE | run FILE | pull NAME|URL", HELP,
        args, sizeof(args) / sizeof(*args), true};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    return n < 0 ? status : dispatch(&u, &c, n, argv, &a);
}
