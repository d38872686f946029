#include <stdio.h>
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "cmd/people.h"

/* Delete one; says so. */
static enum err_code remove_one(struct target *t, const char *word, int64_t *chunks,
                                struct err *err)
{
    char id[33];
    json_t *out = NULL;
    enum err_code rc = fetch_resolve(t, str_of(word), id, err);
    if (!rc)
        rc = fetch_remove(t, id, &out, err);
    if (rc)
        return rc;
    int64_t n = people_number(json_object_get(out, "deleted"), "chunks");
    *chunks += n;
    if (t->cmd->json)
        cmd_json(json_pack("{s:s,s:O}", "id", id, "deleted", json_object_get(out, "deleted")));
    else
        printf("deleted %.12s and its %lld passage%s\n", id, (long long)n, n == 1 ? "" : "s");
    json_decref(out);
    return OK;
}

int cmd_rm(int argc, char **argv)
{
    struct cmd c = {0};
    const struct args_usage u = {
        "rm", "ID...",
        "Delete documents: their text, passages, vectors and cached answers, at once.\n"
        "An ID is what `carrel ls` shows, its beginning, or a name. Exit status 3 when\n"
        "some could not be deleted, 4 when none was there.",
        NULL, 0};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    if (n < 0)
        return status;
    if (n == 0)
        return args_wrong(&u, &c, "which documents? `carrel ls` lists them");
    struct target t;
    struct err err;
    int removed = 0;
    int64_t chunks = 0;
    status = target_open(&c, WANT_INDEX, false, cmd_catch_signals(), &t);
    if (status)
        return status;
    for (int i = 0; i < n; i++) {
        enum err_code rc = remove_one(&t, argv[i], &chunks, &err);
        if (rc)
            status = target_fail(&t, rc, &err);
        else
            removed++;
    }
    if (removed && removed < n)
        status = CMD_PARTIAL;
    if (c.json)
        cmd_json(json_pack("{s:{s:i,s:I},s:i}", "deleted", "documents", removed, "chunks",
                           (json_int_t)chunks, "failed", n - removed));
    target_close(&t);
    return cmd_done(status);
}
