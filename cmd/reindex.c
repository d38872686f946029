#include <stdio.h>
#include "base/clock.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/target.h"

int cmd_reindex(int argc, char **argv)
{
    struct cmd c = {0};
    const struct args_usage u = {
        "reindex", "",
        "Throw the search graphs away and build them again from the stored vectors.\n"
        "Nothing else changes.",
        NULL, 0};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    if (n < 0)
        return status;
    if (n > 0)
        return args_wrong(&u, &c, "reindex takes no words, and there is \"%s\"", argv[0]);
    struct target t;
    struct err err;
    status = target_open_alone(&c, WANT_INDEX, "carrel reindex", cmd_catch_signals(), &t);
    if (status)
        return status;
    double begun = clock_ms();
    struct index_counts counts = {0};
    enum err_code rc = index_rebuild(t.rooms.index, &err);
    if (!rc)
        rc = index_counts(t.rooms.index, &counts, &err);
    if (rc)
        status = target_fail(&t, rc, &err);
    else if (c.json)
        cmd_json(json_pack("{s:I,s:f}", "vectors", (json_int_t)counts.graph_nodes, "seconds",
                           (clock_ms() - begun) / 1000));
    else
        printf("linked %lld vectors anew in %.1f s\n", (long long)counts.graph_nodes,
               (clock_ms() - begun) / 1000);
    target_close(&t);
    return cmd_done(status);
}
