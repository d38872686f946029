#include <stdio.h>
#include <string.h>
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "cmd/people.h"

static void print_key(const json_t *k)
{
    size_t i;
    json_t *scope;
    printf("%5lld  %-8s  %-20s  ", (long long)people_number(k, "id"), people_text(k, "prefix"),
           people_text(k, "name"));
    json_array_foreach(json_object_get(k, "scopes"), i, scope)
        printf("%s%s", i ? "," : "", json_string_value(scope) ? json_string_value(scope) : "");
    const char *collection = people_text(k, "collection");
    printf("%s%s\n", *collection ? " in " : "", collection);
}

static enum err_code list_keys(struct target *t, struct err *err)
{
    json_t *all = NULL, *k;
    size_t i;
    enum err_code rc = fetch_keys(t, &all, err);
    if (rc)
        return rc;
    if (t->cmd->json) {
        cmd_json(all);
        return OK;
    }
    const json_t *keys = json_object_get(all, "keys");
    if (json_array_size(keys) == 0)
        cmd_note("no keys: whoever reaches the server may use it; `carrel key add NAME` makes one");
    else
        printf("   id  begins    name                  may\n");
    json_array_foreach(keys, i, k) print_key(k);
    json_decref(all);
    return OK;
}

static enum err_code make_key(struct target *t, const char *name, const char *scopes,
                              const char *collection, struct err *err)
{
    json_t *k = NULL;
    enum err_code rc = fetch_key_make(t, name, scopes, collection, &k, err);
    if (!rc && t->cmd->json) {
        cmd_json(json_incref(k));
    } else if (!rc) {
        cmd_note("This key is shown once and stored only as a hash:");
        printf("%s\n", people_text(k, "key"));
    }
    json_decref(k);
    return rc;
}

static enum err_code remove_key(struct target *t, int64_t id, struct err *err)
{
    enum err_code rc = fetch_key_remove(t, id, err);
    if (!rc && t->cmd->json)
        cmd_json(json_pack("{s:{s:i}}", "deleted", "keys", 1));
    else if (!rc)
        printf("key %lld no longer opens anything\n", (long long)id);
    return rc;
}

int cmd_key(int argc, char **argv)
{
    struct cmd c = {0};
    const char *scopes = "query,ingest,admin", *collection = NULL;
    int64_t id = 0;
    const struct arg args[] = {
        {"scope", ARG_TEXT, &scopes, "LIST", "query, ingest, admin (all three)", 0, 0},
        {"collection", ARG_TEXT, &collection, "NAME", "good for this collection only", 0, 0},
    };
    const struct args_usage u = {
        "key", "ls | add NAME | rm ID",
        "API keys. As soon as there is one, the server wants a key for everything but\n"
        "its health. Clients send it as `Authorization: Bearer KEY`; this program takes\n"
        "it from --key-file FILE or the file that CARREL_KEY_FILE names.",
        args, 2};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    if (n < 0)
        return status;
    bool listing = n == 0 || (n == 1 && strcmp(argv[0], "ls") == 0);
    bool adding = n == 2 && strcmp(argv[0], "add") == 0;
    bool removing = n == 2 && strcmp(argv[0], "rm") == 0;
    if (!listing && !adding && !removing)
        return args_wrong(&u, &c, "key takes ls, add NAME or rm ID");
    if (removing && !str_int(str_of(argv[1]), 1, INT64_MAX, &id))
        return args_wrong(&u, &c, "key \"%s\": want its number (carrel key ls)", argv[1]);
    struct target t;
    struct err err;
    status = target_open(&c, WANT_INDEX, adding, cmd_catch_signals(), &t);
    if (status)
        return status;
    enum err_code rc = listing  ? list_keys(&t, &err)
                       : adding ? make_key(&t, argv[1], scopes, collection, &err)
                                : remove_key(&t, id, &err);
    status = rc ? target_fail(&t, rc, &err) : CMD_OK;
    target_close(&t);
    return cmd_done(status);
}
