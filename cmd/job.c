#include <stdio.h>
#include <string.h>
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "cmd/people.h"

static void print_job(const json_t *j)
{
    const json_t *p = json_object_get(j, "progress");
    printf("%6lld  %-9s %-8s %5lld/%-5lld  ", (long long)people_number(j, "id"),
           people_text(j, "state"), people_text(j, "stage"), (long long)people_number(p, "done"),
           (long long)people_number(p, "total"));
    people_line(str_of(people_text(j, "document_name")), 100);
    if (*people_text(j, "error")) {
        fputs(": ", stdout);
        people_line(str_of(people_text(j, "error")), 200);
    }
    putchar('\n');
}

static enum err_code list_jobs(struct target *t, const char *state, int limit, struct err *err)
{
    json_t *page = NULL, *j;
    size_t i;
    enum err_code rc = fetch_jobs(t, state, limit, NULL, &page, err);
    if (rc)
        return rc;
    if (t->cmd->json) {
        cmd_json(page);
        return OK;
    }
    const json_t *jobs = json_object_get(page, "jobs");
    if (json_array_size(jobs) == 0)
        cmd_note("no jobs");
    else
        printf("    id  state     stage    done         document\n");
    json_array_foreach(jobs, i, j) print_job(j);
    json_decref(page);
    return OK;
}

static enum err_code one_job(struct target *t, const char *act, int64_t id, struct err *err)
{
    json_t *j = NULL;
    enum err_code rc =
        strcmp(act, "show") == 0 ? fetch_job(t, id, &j, err) : fetch_job_act(t, id, act, &j, err);
    if (!rc && t->cmd->json)
        cmd_json(json_incref(j));
    else if (!rc)
        print_job(j);
    json_decref(j);
    return rc;
}

static bool is_act(const char *word)
{
    return strcmp(word, "show") == 0 || strcmp(word, "cancel") == 0 || strcmp(word, "retry") == 0;
}

int cmd_job(int argc, char **argv)
{
    struct cmd c = {0};
    const char *state = NULL;
    int64_t limit = 50, id = 0;
    const struct arg args[] = {
        {"state", ARG_TEXT, &state, "STATE", "ls: queued, running, done, failed or cancelled", 0,
         0},
        {"limit", ARG_INT, &limit, "N", "ls: at most N, newest first (50)", 1, 1000},
    };
    const struct args_usage u = {
        "job", "ls | show ID | cancel ID | retry ID",
        "Every document that comes in is read by a job. A server reads what waits;\n"
        "`carrel add` does too.",
        args, 2};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    if (n < 0)
        return status;
    bool listing = n == 0 || (n == 1 && strcmp(argv[0], "ls") == 0);
    if (!listing && (n != 2 || !is_act(argv[0])))
        return args_wrong(&u, &c, "job takes ls, show ID, cancel ID or retry ID");
    if (!listing && !str_int(str_of(argv[1]), 1, INT64_MAX, &id))
        return args_wrong(&u, &c, "job \"%s\": want its number", argv[1]);
    struct target t;
    struct err err;
    status = target_open(&c, WANT_INDEX, false, cmd_catch_signals(), &t);
    if (status)
        return status;
    enum err_code rc =
        listing ? list_jobs(&t, state, (int)limit, &err) : one_job(&t, argv[0], id, &err);
    status = rc ? target_fail(&t, rc, &err) : CMD_OK;
    target_close(&t);
    return cmd_done(status);
}
