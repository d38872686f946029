#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "cmd/people.h"

struct listing {
    const char *collection, *state;
    int64_t limit; /* 0: all */
    int64_t n;
    json_t *all; /* with --json */
};

static void print_document(const json_t *d)
{
    char size[16];
    const char *state = people_text(d, "state");
    printf("%.12s  %-7s  %8lld  %9s  ", people_text(d, "id"), state,
           (long long)people_number(d, "chunks"),
           people_size(people_number(d, "size_bytes"), size));
    people_line(str_of(people_text(d, "name")), 200);
    if (strcmp(state, "failed") == 0) {
        fputs(": ", stdout);
        people_line(str_of(people_text(d, "error")), 200);
    }
    putchar('\n');
}

static void take_page(struct listing *l, const json_t *page)
{
    size_t i;
    json_t *d;
    json_array_foreach(json_object_get(page, "documents"), i, d)
    {
        if (l->all)
            json_array_append(l->all, d);
        else if (l->n == 0)
            printf("id            state    passages       size  name\n");
        if (!l->all)
            print_document(d);
        l->n++;
    }
}

/* Page by page, newest first. */
static enum err_code list(struct target *t, struct listing *l, struct err *err)
{
    char *cursor = NULL;
    enum err_code rc = OK;
    do {
        int64_t left = l->limit ? l->limit - l->n : 1000;
        json_t *page = NULL;
        rc = fetch_documents(t, l->collection, l->state, left < 1000 ? (int)left : 1000, cursor,
                             &page, err);
        free(cursor);
        cursor = NULL;
        if (rc)
            return rc;
        take_page(l, page);
        const char *next = json_string_value(json_object_get(page, "next_cursor"));
        if (next && (!l->limit || l->n < l->limit))
            cursor = strdup(next);
        json_decref(page);
    } while (cursor);
    return rc;
}

int cmd_ls(int argc, char **argv)
{
    struct cmd c = {0};
    struct listing l = {0};
    const struct arg args[] = {
        {"collection", ARG_TEXT, &l.collection, "NAME", "of this collection only", 0, 0},
        {"state", ARG_TEXT, &l.state, "STATE", "queued, running, ready or failed ones only", 0, 0},
        {"limit", ARG_INT, &l.limit, "N", "at most N (all)", 1, 1e9},
    };
    const struct args_usage u = {
        "ls", "",
        "List the documents, newest first. Other verbs take the id, its beginning, or\n"
        "the name.",
        args, 3};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    if (n < 0)
        return status;
    if (n > 0)
        return args_wrong(&u, &c, "ls takes no words; --collection and --state narrow the list");
    struct target t;
    struct err err;
    status = target_open(&c, WANT_INDEX, false, cmd_catch_signals(), &t);
    if (status)
        return status;
    l.all = c.json ? json_array() : NULL;
    enum err_code rc = list(&t, &l, &err);
    if (rc) {
        json_decref(l.all);
        status = target_fail(&t, rc, &err);
    } else if (c.json) {
        cmd_json(json_pack("{s:o}", "documents", l.all));
    } else if (l.n == 0) {
        cmd_note("no documents; `carrel add PATH` reads some");
    }
    target_close(&t);
    return cmd_done(status);
}
