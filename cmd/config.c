#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "config/config.h"
#include "llm/chat.h"

static bool add_entry(void *arg, const struct config_entry *e)
{
    json_t *o =
        json_pack("{s:o,s:s,s:s,s:s}", "value", e->is_null ? json_null() : json_text(e->value),
                  "origin", e->origin, "type", e->type, "help", e->help);
    return json_put(arg, e->name, o);
}

static int show(const struct cmd *c, bool origins)
{
    struct config config;
    struct err err;
    enum err_code rc = config_load(&config, c->config_path, environ, &err);
    if (!rc && c->data_dir)
        rc = config_set(&config, "store.dir", c->data_dir, "--data", &err);
    if (rc)
        return cmd_exit_with(c, CMD_USAGE, "%s", err.msg);
    if (c->json) {
        json_t *all = json_object();
        config_each(&config, add_entry, all);
        cmd_json(all);
    } else {
        struct buf text = {0};
        config_show(&config, origins, &text);
        cmd_text(buf_view(&text));
        buf_free(&text);
    }
    config_deinit(&config);
    return cmd_done(CMD_OK);
}

/* What config/ cannot know: the templates there are. */
static enum err_code check_template(const struct config *config, const char *path, struct err *err)
{
    const char *name = config->llm.family;
    if (!name || !*name || chat_by_name(str_of(name)))
        return OK;
    struct buf names = {0};
    chat_main_families(&names);
    err_set(err, ERR_ARG, "%s: llm.template is `%.40s`, need one of %s or a variant", path, name,
            names.ptr ? names.ptr : "");
    buf_free(&names);
    return ERR_ARG;
}

static int check(const struct cmd *c, const char *path)
{
    struct config config;
    struct err err;
    enum err_code rc = config_init(&config, environ, &err);
    if (!rc) {
        rc = config_load_file(&config, path, &err);
        if (!rc)
            rc = config_check(&config, &err);
        if (!rc)
            rc = check_template(&config, path, &err);
        config_deinit(&config);
    }
    if (rc)
        return cmd_exit_with(c, CMD_FINDINGS, "%s", err.msg);
    if (c->json)
        cmd_json(json_pack("{s:o,s:i}", "file", json_text(str_of(path)), "findings", 0));
    else
        printf("%s is good\n", path);
    return cmd_done(CMD_OK);
}

int cmd_config(int argc, char **argv)
{
    struct cmd c = {0};
    bool origins = false;
    const struct arg args[] = {
        {"origin", ARG_FLAG, &origins, NULL, "show: say where each setting comes from", 0, 0},
        {"data", ARG_TEXT, &c.data_dir, "DIR", "show: as if given to another verb", 0, 0},
    };
    const struct args_usage u = {
        "config",
        "show | check FILE",
        "Settings come from what is built in, then ~/.config/carrel/carrel.yaml (or\n"
        "/etc/carrel/carrel.yaml, or --config FILE), then CARREL_SECTION_KEY in the\n"
        "environment, then the command line; the last one wins. show prints them all;\n"
        "check reads a file and says what is wrong in it (exit status 5).",
        args,
        2,
        true};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    if (n < 0)
        return status;
    if (n == 0 || (n == 1 && strcmp(argv[0], "show") == 0))
        return show(&c, origins);
    if (n == 2 && strcmp(argv[0], "check") == 0)
        return check(&c, argv[1]);
    return args_wrong(&u, &c, "config takes show, or check FILE");
}
