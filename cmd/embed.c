#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/open.h"

enum { LINE_MAX_BYTES = 64 << 20 };

static json_t *vector_json(const float *v, int dim)
{
    json_t *list = json_array();
    for (int i = 0; i < dim; i++)
        if (json_array_append_new(list, json_real(v[i])) != 0)
            break;
    return list;
}

/* One text: a JSON line on standard output, with --json or without. */
static enum err_code embed_one(struct embed *e, struct str text, bool query, float *v,
                               struct err *err)
{
    const struct embed_stamp *s = embed_stamp(e);
    int tokens = 0;
    if (!utf8_valid(text))
        return err_set(err, ERR_ARG, "a text is not UTF-8");
    enum err_code rc =
        query ? embed_query(e, text, v, err) : embed_texts(e, &text, 1, v, NULL, NULL, err);
    if (!rc)
        rc = embed_count_tokens(e, text, &tokens, err);
    if (rc)
        return rc;
    /* [CLS] and [SEP] take two places of a transformer's window. */
    bool cut = s->max_tokens > 0 && strcmp(s->arch, "bert") == 0 && tokens + 2 > s->max_tokens;
    cmd_json(json_pack("{s:o,s:i,s:b}", "embedding", vector_json(v, s->dim), "tokens", tokens,
                       "truncated", cut));
    return OK;
}

static enum err_code embed_stdin(struct embed *e, bool query, float *v, struct err *err)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    enum err_code rc = OK;
    while (!rc && (n = getline(&line, &cap, stdin)) >= 0) {
        if (n > LINE_MAX_BYTES)
            rc = err_set(err, ERR_LIMIT, "a line of %zd bytes: at most %d", n, LINE_MAX_BYTES);
        else
            rc = embed_one(e, (struct str){line, (size_t)n - (n && line[n - 1] == '\n')}, query, v,
                           err);
    }
    free(line);
    return rc;
}

int cmd_embed(int argc, char **argv)
{
    struct cmd c = {0};
    bool query = false;
    const char *model = NULL;
    const struct arg args[] = {
        {"model", ARG_TEXT, &model, "FILE", "GGUF of the encoder (the configured one)", 0, 0},
        {"query", ARG_FLAG, &query, NULL, "as questions: with the model's query prefix", 0, 0},
    };
    const struct args_usage u = {
        "embed",
        "[TEXT...]",
        "The vector of each TEXT, or of each line of standard input, as a JSON line:\n"
        "{\"embedding\": [...], \"tokens\": n, \"truncated\": false}",
        args,
        2,
        true};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    if (n < 0)
        return status;
    struct err err;
    struct config *config = NULL;
    struct rooms rooms = {0};
    enum err_code rc = open_config(&c, &config, &err);
    if (!rc && model)
        rc = config_set(config, "embed.model", model, "--model", &err);
    if (!rc)
        rc = rooms_open(&config, WANT_EMBED, &rooms, &err);
    if (rc) {
        open_config_free(config);
        return cmd_fail(&c, rc, &err);
    }
    float *v = malloc((size_t)embed_stamp(rooms.embed)->dim * sizeof(*v));
    if (!v)
        rc = err_set(&err, ERR_NOMEM, "a vector");
    else if (n == 0)
        rc = embed_stdin(rooms.embed, query, v, &err);
    for (int i = 0; i < n && !rc; i++)
        rc = embed_one(rooms.embed, str_of(argv[i]), query, v, &err);
    free(v);
    rooms_close(&rooms);
    return rc ? cmd_fail(&c, rc, &err) : cmd_done(CMD_OK);
}
