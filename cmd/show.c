#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "cmd/people.h"

struct wanted_text {
    struct str document;
    int64_t start, end; /* end < 0: no range */
};

/* "ID" or "ID:START-END"; names may hold colons. */
static struct wanted_text read_place(const char *word)
{
    struct wanted_text p = {str_of(word), 0, -1};
    const char *colon = strrchr(word, ':');
    if (!colon)
        return p;
    struct str rest = str_of(colon + 1), first;
    int64_t start, end;
    if (str_split(&rest, '-', &first) && rest.ptr && str_int(first, 0, INT64_MAX, &start) &&
        str_int(rest, 0, INT64_MAX, &end))
        p = (struct wanted_text){{word, (size_t)(colon - word)}, start, end};
    return p;
}

/* Bytes as they are for a program, made harmless for a terminal. */
static void print_text(struct str text)
{
    if (isatty(STDOUT_FILENO))
        cmd_text(text);
    else
        fwrite(text.ptr, 1, text.len, stdout);
    if (text.len && text.ptr[text.len - 1] != '\n')
        putchar('\n');
}

static enum err_code show_text(struct target *t, const char *id, const struct wanted_text *p,
                               struct err *err)
{
    struct buf text = {0};
    enum err_code rc = fetch_text(t, id, p->start, p->end, &text, err);
    if (!rc && t->cmd->json)
        cmd_json(json_pack("{s:s,s:{s:I,s:I},s:o}", "document_id", id, "span", "start",
                           (json_int_t)p->start, "end", (json_int_t)(p->start + (int64_t)text.len),
                           "text", json_text(buf_view(&text))));
    else if (!rc)
        print_text(buf_view(&text));
    buf_free(&text);
    return rc;
}

static void print_pair(const char *label, const char *value)
{
    if (!*value)
        return;
    printf("%-11s", label);
    people_line(str_of(value), 400);
    putchar('\n');
}

/* What was left out on purpose is a note; what may be missing is a warning. */
static void print_warning(const json_t *w)
{
    const char *message = people_text(w, "message");
    bool note = strcmp(people_text(w, "code"), "page_furniture") == 0;
    fputs(note ? "note       " : "warning    ", stdout);
    if (people_number(w, "page") && !note && strncmp(message, "page ", 5) != 0)
        printf("page %lld: ", (long long)people_number(w, "page"));
    people_line(str_of(message), 200);
    putchar('\n');
}

static void print_document(const json_t *d)
{
    char size[16];
    print_pair("name", people_text(d, "name"));
    print_pair("title", people_text(d, "title"));
    print_pair("id", people_text(d, "id"));
    print_pair("collection", people_text(d, "collection"));
    print_pair("state", people_text(d, "state"));
    print_pair("error", people_text(d, "error"));
    print_pair("from", people_text(d, "uri"));
    print_pair("type", people_text(d, "mime"));
    print_pair("size", people_size(people_number(d, "size_bytes"), size));
    if (people_number(d, "pages"))
        printf("pages      %lld\n", (long long)people_number(d, "pages"));
    printf("passages   %lld, of %lld tokens\n", (long long)people_number(d, "chunks"),
           (long long)people_number(d, "tokens"));
    print_pair("added", people_text(d, "created_at"));
    size_t i;
    json_t *w;
    json_array_foreach(json_object_get(d, "warnings"), i, w) print_warning(w);
    printf("\n`carrel show --text %.12s` prints its text\n", people_text(d, "id"));
}

static enum err_code show_document(struct target *t, const char *id, bool chunks, struct err *err)
{
    json_t *d = NULL;
    enum err_code rc = chunks ? fetch_chunks(t, id, &d, err) : fetch_document(t, id, &d, err);
    size_t i;
    json_t *k;
    if (rc)
        return rc;
    if (t->cmd->json)
        cmd_json(json_incref(d));
    else if (!chunks)
        print_document(d);
    else
        json_array_foreach(json_object_get(d, "chunks"), i, k)
            printf("%.12s:%lld-%lld  %lld tokens\n", id, (long long)people_number(k, "start"),
                   (long long)people_number(k, "end"), (long long)people_number(k, "tokens"));
    json_decref(d);
    return OK;
}

int cmd_show(int argc, char **argv)
{
    struct cmd c = {0};
    bool text = false, chunks = false;
    const struct arg args[] = {
        {"text", ARG_FLAG, &text, NULL, "its whole text", 0, 0},
        {"chunks", ARG_FLAG, &chunks, NULL, "the passages it was cut into", 0, 0},
    };
    const struct args_usage u = {
        "show", "ID[:START-END]",
        "What is known of a document; with START-END, those bytes of its text: the\n"
        "words that a citation points at.",
        args, 2};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    if (n < 0)
        return status;
    if (n != 1)
        return args_wrong(&u, &c,
                          n ? "one document at a time" : "which document? `carrel ls` lists them");
    struct target t;
    struct err err;
    char id[33];
    struct wanted_text p = read_place(argv[0]);
    status = target_open(&c, WANT_INDEX, false, cmd_catch_signals(), &t);
    if (status)
        return status;
    enum err_code rc = fetch_resolve(&t, p.document, id, &err);
    if (!rc)
        rc = text || p.end >= 0 ? show_text(&t, id, &p, &err) : show_document(&t, id, chunks, &err);
    status = rc ? target_fail(&t, rc, &err) : CMD_OK;
    target_close(&t);
    return cmd_done(status);
}
