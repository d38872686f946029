/* cmd/model.c - `carrel model`: look at model files. What `check` does: model_check.c. */
#include "cmd/model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cmd/args.h"
#include "cmd/open.h"
#include "cmd/people.h"
#include "model/gguf.h"

enum { TYPES = 64 };

/* ---- info ---- */

static void put_text(json_t *o, const char *name, const struct gguf *g, const char *key)
{
    struct str v;
    if (gguf_str(g, key, &v, NULL) == OK)
        json_put(o, name, json_text(v));
}

static void put_count(json_t *o, const char *name, const struct gguf *g, const char *key)
{
    int64_t v;
    if (gguf_int(g, key, 0, INT64_MAX, &v, NULL) == OK)
        json_put(o, name, json_integer(v));
}

/* {"F32": 12, "Q8_0": 37}: how many tensors of each type. */
static json_t *types_of(const struct gguf *g, int64_t *params)
{
    json_t *o = json_object();
    *params = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct tensor *t = gguf_tensor_at(g, i);
        const char *name = tensor_type_name(t->type);
        *params += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
        json_put(o, name, json_integer(json_integer_value(json_object_get(o, name)) + 1));
    }
    return o;
}

static json_t *describe(const struct gguf *g)
{
    json_t *o = json_object();
    char hash[33], key[96];
    int64_t params;
    struct str arch = STR("");
    size_t pieces;
    put_text(o, "name", g, "general.name");
    put_text(o, "architecture", g, "general.architecture");
    gguf_str(g, "general.architecture", &arch, NULL);
    static const char *const sizes[] = {"context_length", "embedding_length", "block_count",
                                        "attention.head_count", "feed_forward_length"};
    for (int i = 0; i < 5; i++) {
        snprintf(key, sizeof(key), "%.*s.%s", STR_ARG(str_sub(arch, 0, 60)), sizes[i]);
        put_count(o, sizes[i], g, key);
    }
    put_text(o, "tokenizer", g, "tokenizer.ggml.model");
    if (gguf_array(g, "tokenizer.ggml.tokens", true, &pieces, NULL) == OK)
        json_put(o, "vocabulary", json_integer((json_int_t)pieces));
    put_text(o, "licence", g, "general.license");
    put_text(o, "sources", g, "general.sources");
    json_put(o, "tensors", json_integer((json_int_t)gguf_n_tensors(g)));
    json_t *types = types_of(g, &params);
    json_put(o, "parameters", json_integer(params));
    json_put(o, "types", types);
    gguf_hash(g, hash);
    json_put(o, "xxh3_128", json_string(hash));
    return o;
}

static void print_description(const json_t *o)
{
    const char *key, *type;
    json_t *v, *n;
    json_object_foreach((json_t *)o, key, v)
    {
        printf("%-22s", key);
        if (json_is_string(v))
            people_line(str_of(json_string_value(v)), 300);
        else if (json_is_integer(v))
            printf("%lld", (long long)json_integer_value(v));
        else
            json_object_foreach(v, type, n)
                printf("%lld %s  ", (long long)json_integer_value(n), type);
        putchar('\n');
    }
}

static int info(const struct cmd *c, const char *path)
{
    struct gguf *g = NULL;
    struct err err;
    enum err_code rc = gguf_open(path, &g, &err);
    if (rc)
        return cmd_fail(c, rc, &err);
    json_t *o = describe(g);
    if (c->json)
        cmd_json(o);
    else {
        print_description(o);
        json_decref(o);
    }
    gguf_close(g);
    return cmd_done(CMD_OK);
}

/* ---- ls ---- */

static enum err_code put_encoder(json_t *list, const char *path, const char *role, struct err *err)
{
    struct embed *e = NULL;
    const struct embed_options opt = {.model_path = path};
    enum err_code rc = embed_open(&opt, &e, err);
    if (rc)
        return rc;
    const struct embed_stamp *s = embed_stamp(e);
    json_array_append_new(list,
                          json_pack("{s:s,s:s,s:s,s:i,s:s,s:o}", "role", role, "name", s->name,
                                    "architecture", s->arch, "dimensions", s->dim, "xxh3_128",
                                    s->hash, "file", path ? json_text(str_of(path)) : json_null()));
    embed_close(e);
    return OK;
}

static int list_models(const struct cmd *c)
{
    struct config *config = NULL;
    struct err err;
    json_t *list = json_array(), *m;
    size_t i;
    enum err_code rc = open_config(c, &config, &err);
    const char *own =
        rc || !config->embed.model || !*config->embed.model ? NULL : config->embed.model;
    if (!rc)
        rc = put_encoder(list, NULL, own ? "built in" : "encoder (built in)", &err);
    if (!rc && own)
        rc = put_encoder(list, own, "encoder", &err);
    open_config_free(config);
    if (rc) {
        json_decref(list);
        return cmd_fail(c, rc, &err);
    }
    if (c->json) {
        cmd_json(json_pack("{s:o}", "models", list));
        return cmd_done(CMD_OK);
    }
    json_array_foreach(list, i, m)
        printf("%-20s %-28s %-7s %4lld dimensions  %s\n", people_text(m, "role"),
               people_text(m, "name"), people_text(m, "architecture"),
               (long long)people_number(m, "dimensions"), people_text(m, "file"));
    json_decref(list);
    return cmd_done(CMD_OK);
}

int cmd_model(int argc, char **argv)
{
    struct cmd c = {0};
    bool special = false;
    const char *against = NULL;
    const struct arg args[] = {
        {"special", ARG_FLAG, &special, NULL, "tokenize: with the model's control tokens", 0, 0},
        {"against", ARG_TEXT, &against, "FILE",
         "check: JSON lines {\"text\", \"vector\"} to compare", 0, 0},
    };
    const struct args_usage u = {
        "model",
        "ls | info FILE | check FILE | tokenize FILE",
        "Model files (GGUF). check loads an encoder and tries it: vectors of length 1,\n"
        "the same bits in any batch, related texts closer than unrelated ones, and the\n"
        "numbers of --against where there are some (exit status 5 when it finds something).\n"
        "tokenize reads standard input and prints {\"ids\": [...], \"pieces\": [...]}.",
        args,
        2,
        true};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    if (n < 0)
        return status;
    if (n == 0 || (n == 1 && strcmp(argv[0], "ls") == 0))
        return list_models(&c);
    if (n == 2 && strcmp(argv[0], "info") == 0)
        return info(&c, argv[1]);
    if (n == 2 && strcmp(argv[0], "check") == 0)
        return model_check(&c, argv[1], against);
    if (n == 2 && strcmp(argv[0], "tokenize") == 0)
        return model_tokenize(&c, argv[1], special);
    return args_wrong(&u, &c, "model takes ls, info FILE, check FILE or tokenize FILE");
}
