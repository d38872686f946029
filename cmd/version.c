#include <stdio.h>
#include "cmd/args.h"
#include "cmd/cmd.h"

int cmd_version(int argc, char **argv)
{
    struct cmd c = {0};
    const struct args_usage u = {"version", "", "Print the version of this program.",
                                 NULL,      0,  true};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    if (n < 0)
        return status;
    if (n > 0)
        return args_wrong(&u, &c, "version takes no words, and there is \"%s\"", argv[0]);
    if (c.json)
        cmd_json(json_pack("{s:s}", "version", CARREL_VERSION));
    else
        printf("carrel %s\n", CARREL_VERSION);
    return cmd_done(CMD_OK);
}
