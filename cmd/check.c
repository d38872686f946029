#include <stdio.h>
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/target.h"

static void print_finding(void *arg, const char *sentence)
{
    const struct cmd *c = arg;
    if (c->json)
        cmd_json(json_pack("{s:o}", "finding", json_text(str_of(sentence))));
    else
        printf("%s\n", sentence);
}

int cmd_check(int argc, char **argv)
{
    struct cmd c = {0};
    bool deep = false;
    const struct arg args[] = {
        {"deep", ARG_FLAG, &deep, NULL, "compare the graphs with ones built anew (slow)", 0, 0},
    };
    const struct args_usage u = {
        "check", "",
        "Verify the store: every text, passage, word and vector against what belongs to\n"
        "it. Exit status 5 when something is wrong; `carrel reindex` mends the graphs,\n"
        "which are derived from the rest.",
        args, 1};
    int status, n = args_parse(&u, &c, argc, argv, &status), findings = 0;
    if (n < 0)
        return status;
    if (n > 0)
        return args_wrong(&u, &c, "check takes no words, and there is \"%s\"", argv[0]);
    struct target t;
    struct err err;
    status = target_open_alone(&c, WANT_INDEX, "carrel check", cmd_catch_signals(), &t);
    if (status)
        return status;
    enum err_code rc = index_check(t.rooms.index, deep, print_finding, &c, &findings, &err);
    if (rc) {
        status = target_fail(&t, rc, &err);
    } else {
        status = findings ? CMD_FINDINGS : CMD_OK;
        if (c.json)
            cmd_json(json_pack("{s:i,s:b}", "findings", findings, "deep", deep));
        else if (findings)
            cmd_note("%d finding%s", findings, findings == 1 ? "" : "s");
        else
            printf("the store is whole\n");
    }
    target_close(&t);
    return cmd_done(status);
}
