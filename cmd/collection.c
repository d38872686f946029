#include <stdio.h>
#include <string.h>
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "cmd/people.h"

static void print_collection(const json_t *k)
{
    printf("%9lld %9lld  %-24s  %s\n", (long long)people_number(k, "documents"),
           (long long)people_number(k, "chunks"), people_text(k, "name"),
           people_text(json_object_get(k, "encoder"), "name"));
}

static enum err_code list_collections(struct target *t, struct err *err)
{
    json_t *all = NULL, *k;
    size_t i;
    enum err_code rc = fetch_collections(t, &all, err);
    if (rc)
        return rc;
    if (t->cmd->json) {
        cmd_json(all);
        return OK;
    }
    printf("documents    chunks  %-24s  encoder\n", "name");
    json_array_foreach(json_object_get(all, "collections"), i, k) print_collection(k);
    json_decref(all);
    return OK;
}

static enum err_code make_collection(struct target *t, const char *name, struct err *err)
{
    json_t *k = NULL;
    enum err_code rc = fetch_collection_make(t, name, &k, err);
    if (!rc && t->cmd->json)
        cmd_json(json_incref(k));
    else if (!rc)
        printf("made collection %s\n", name);
    json_decref(k);
    return rc;
}

static enum err_code remove_collection(struct target *t, const char *name, struct err *err)
{
    json_t *out = NULL;
    enum err_code rc = fetch_collection_remove(t, name, &out, err);
    if (!rc && t->cmd->json)
        cmd_json(json_incref(out));
    else if (!rc)
        printf("deleted collection %s and its %lld documents\n", name,
               (long long)people_number(json_object_get(out, "deleted"), "documents"));
    json_decref(out);
    return rc;
}

int cmd_collection(int argc, char **argv)
{
    struct cmd c = {0};
    const struct args_usage u = {
        "collection", "ls | add NAME | rm NAME",
        "Documents lie in collections, which are searched apart. Without a name,\n"
        "verbs use the one called default. rm deletes its documents too.",
        NULL, 0};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    if (n < 0)
        return status;
    bool listing = n == 0 || (n == 1 && strcmp(argv[0], "ls") == 0);
    bool adding = n == 2 && strcmp(argv[0], "add") == 0;
    if (!listing && !adding && (n != 2 || strcmp(argv[0], "rm") != 0))
        return args_wrong(&u, &c, "collection takes ls, add NAME or rm NAME");
    struct target t;
    struct err err;
    status =
        target_open(&c, WANT_INDEX | (adding ? WANT_INGEST : 0), adding, cmd_catch_signals(), &t);
    if (status)
        return status;
    enum err_code rc = listing  ? list_collections(&t, &err)
                       : adding ? make_collection(&t, argv[1], &err)
                                : remove_collection(&t, argv[1], &err);
    status = rc ? target_fail(&t, rc, &err) : CMD_OK;
    target_close(&t);
    return cmd_done(status);
}
