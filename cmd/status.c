#include <stdio.h>
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "cmd/people.h"

/* "documents.ready   12", members of members with their path; lists are left out. */
static void print_members(const json_t *o, const char *path)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)o, key, v)
    {
        char name[160];
        snprintf(name, sizeof(name), "%s%s%s", path, *path ? "." : "", key);
        if (json_is_object(v)) {
            print_members(v, name);
            continue;
        }
        if (json_is_array(v) || json_is_null(v))
            continue;
        printf("%-28s", name);
        if (json_is_string(v))
            people_line(str_of(json_string_value(v)), 120);
        else if (json_is_integer(v))
            printf("%lld", (long long)json_integer_value(v));
        else if (json_is_real(v))
            printf("%.1f", json_real_value(v));
        else
            printf("%s", json_is_true(v) ? "yes" : "no");
        putchar('\n');
    }
}

int cmd_status(int argc, char **argv)
{
    struct cmd c = {0};
    const struct args_usage u = {"status", "", "What is in the store, and who serves it.", NULL, 0};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    if (n < 0)
        return status;
    if (n > 0)
        return args_wrong(&u, &c, "status takes no words, and there is \"%s\"", argv[0]);
    struct target t;
    struct err err;
    json_t *found = NULL;
    status = target_open(&c, WANT_INDEX, false, cmd_catch_signals(), &t);
    if (status)
        return status;
    enum err_code rc = fetch_status(&t, &found, &err);
    if (rc) {
        status = target_fail(&t, rc, &err);
    } else if (c.json) {
        cmd_json(json_incref(found));
    } else {
        printf("%-28s%s\n", "served at", t.client ? client_url(t.client) : "(not served)");
        print_members(found, "");
    }
    json_decref(found);
    target_close(&t);
    return cmd_done(status);
}
