/* cmd/model_info.c - `carrel model info` and `ls`: what there is, without loading it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/log.h"
#include "cmd/model.h"
#include "cmd/models.h"
#include "cmd/open.h"
#include "cmd/people.h"
#include "llm/chat.h"
#include "llm/kvcache.h"
#include "model/gguf.h"

enum { SESSION_CONTEXT = 8192 }; /* of a session, where llm.context says nothing */

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

static void put_shape(json_t *o, const struct gguf *g)
{
    static const char *const sizes[] = {"context_length", "embedding_length", "block_count",
                                        "attention.head_count", "attention.head_count_kv",
                                        "feed_forward_length", "expert_count",
                                        "attention.sliding_window"};
    struct str arch = STR("");
    char key[128];
    size_t pieces;
    gguf_str(g, "general.architecture", &arch, NULL);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        snprintf(key, sizeof(key), "%.*s.%s", STR_ARG(str_sub(arch, 0, 60)), sizes[i]);
        put_count(o, sizes[i], g, key);
    }
    put_text(o, "tokenizer", g, "tokenizer.ggml.model");
    if (gguf_array(g, "tokenizer.ggml.tokens", true, &pieces, NULL) == OK)
        json_put(o, "vocabulary", json_integer((json_int_t)pieces));
}

/* "template": the family's name; or null, and why in "template_error". */
static void put_template(json_t *o, const struct gguf *g)
{
    struct vocab *v = NULL;
    const struct chat_family *f = NULL;
    struct err err = {0};
    enum err_code rc = vocab_open(g, &v, &err);
    if (!rc)
        rc = chat_detect(g, v, &f, &err);
    json_put(o, "template", f ? json_string(chat_name(f)) : json_null());
    if (rc)
        json_put(o, "template_error", json_text(str_of(err.msg)));
    vocab_free(v);
}

/* Bytes of a timeline of `context` positions. */
static int64_t session_bytes(const struct decoder_shape *s, enum attn_type type, int context)
{
    const struct kvcache_options kv = {.type = type,
                                       .n_layers = s->n_layers,
                                       .n_kv_heads = s->n_kv_heads,
                                       .head_dim = s->head_dim};
    int64_t pages = ((int64_t)context + ATTN_PAGE - 1) / ATTN_PAGE;
    return pages * (int64_t)kvcache_page_bytes(&kv);
}

/* What only a decoder has; "decoder_error" where the file is none that runs here. */
static void put_decoder(json_t *o, const struct gguf *g)
{
    struct decoder_shape s;
    struct str arch = STR("");
    struct err err;
    gguf_str(g, "general.architecture", &arch, NULL);
    if (str_eqz(arch, "bert") || str_eqz(arch, "static"))
        return;
    if (decoder_shape(g, &s, &err)) {
        json_put(o, "decoder_error", json_text(str_of(err.msg)));
        return;
    }
    int context = s.context < SESSION_CONTEXT ? s.context : SESSION_CONTEXT;
    put_template(o, g);
    json_put(o, "weight_bytes", json_integer((json_int_t)s.weight_bytes));
    json_put(o, "bytes_a_token", json_integer((json_int_t)s.touched_bytes));
    json_put(o, "session_context", json_integer(context));
    json_put(o, "session_bytes",
             json_pack("{s:I,s:I,s:I}", "f16", (json_int_t)session_bytes(&s, ATTN_F16, context),
                       "q8", (json_int_t)session_bytes(&s, ATTN_Q8, context), "f32",
                       (json_int_t)session_bytes(&s, ATTN_F32, context)));
}

static json_t *describe(const struct gguf *g, const char *path)
{
    json_t *o = json_object();
    struct stat st;
    char hash[33];
    int64_t params;
    put_text(o, "name", g, "general.name");
    put_text(o, "architecture", g, "general.architecture");
    if (stat(path, &st) == 0)
        json_put(o, "size_bytes", json_integer(st.st_size));
    put_shape(o, g);
    put_text(o, "licence", g, "general.license");
    put_text(o, "sources", g, "general.sources");
    json_put(o, "tensors", json_integer((json_int_t)gguf_n_tensors(g)));
    json_t *types = types_of(g, &params);
    json_put(o, "parameters", json_integer(params));
    json_put(o, "types", types);
    put_decoder(o, g);
    gguf_hash(g, hash);
    json_put(o, "xxh3_128", json_string(hash));
    return o;
}

/* What people read for a key, where they would not guess it. */
static const struct { const char *key, *label; } labels[] = {
    {"size_bytes", "size of the file"},
    {"weight_bytes", "memory for weights"},
    {"bytes_a_token", "read for a token"},
    {"session_context", "context of a session"},
    {"session_bytes", "memory of a session"},
};

static const char *label_of(const char *key)
{
    for (size_t i = 0; i < sizeof(labels) / sizeof(*labels); i++)
        if (strcmp(labels[i].key, key) == 0)
            return labels[i].label;
    return key;
}

static void print_value(const char *key, const json_t *v)
{
    char size[16];
    const char *name;
    json_t *n;
    long long count = json_integer_value(v);
    bool bytes = strstr(key, "bytes") != NULL;
    if (json_is_string(v))
        people_line(str_of(json_string_value(v)), 300);
    else if (json_is_integer(v) && bytes)
        printf("%s", people_size(count, size));
    else if (json_is_integer(v) && strcmp(key, "parameters") == 0)
        printf("%s", people_count(count, size));
    else if (json_is_integer(v))
        printf("%lld", count);
    else if (json_is_null(v))
        printf("unknown");
    else if (bytes)
        json_object_foreach((json_t *)(uintptr_t)v, name, n)
            printf("%s as %s  ", people_size(json_integer_value(n), size), name);
    else
        json_object_foreach((json_t *)(uintptr_t)v, name, n)
            printf("%lld %s  ", (long long)json_integer_value(n), name);
}

static void print_description(const json_t *o)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
    {
        printf("%-23s ", label_of(key));
        print_value(key, v);
        putchar('\n');
    }
}

int model_info(const struct cmd *c, const char *path)
{
    struct gguf *g = NULL;
    struct err err;
    enum err_code rc = gguf_open(path, &g, &err);
    if (rc)
        return cmd_fail(c, rc, &err);
    json_t *o = describe(g, path);
    rc = gguf_intact(g, &err);
    if (rc) {
        json_decref(o);
        gguf_close(g);
        return cmd_fail(c, rc, &err);
    }
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

static json_t *file_json(const struct models_file *f, const char *role)
{
    json_t *o = json_pack("{s:s,s:o,s:o,s:I,s:o}", "role", role, "name",
                          json_text(str_of(f->name)), "architecture", json_text(str_of(f->arch)),
                          "size_bytes", (json_int_t)f->size_bytes, "file",
                          json_text(str_of(f->path)));
    if (f->decoder) {
        json_put(o, "context", json_integer(f->shape.context));
        json_put(o, "parameters", json_integer(f->shape.n_params));
        json_put(o, "weight_bytes", json_integer((json_int_t)f->shape.weight_bytes));
    }
    if (f->err.code)
        json_put(o, "error", json_text(str_of(f->err.msg)));
    return o;
}

/* The files in the models folder, and the generator wherever it lies. */
static enum err_code put_files(json_t *list, const struct config *config, struct err *err)
{
    struct buf dir = {0}, chosen = {0};
    struct models m = {0};
    bool named, told = false;
    enum err_code rc = models_dir(config, &dir, err);
    if (!rc)
        rc = models_list(dir.ptr, &m, err);
    struct err missing = {0};
    if (!rc && models_choose(config, &chosen, &named, &missing))
        cmd_note("%s", missing.msg);
    for (int i = 0; i < m.n && !rc; i++) {
        bool answers = chosen.ptr && strcmp(chosen.ptr, m.v[i].path) == 0;
        told |= answers;
        json_array_append_new(list, file_json(&m.v[i], answers           ? "generator"
                                                       : m.v[i].decoder  ? "not in use"
                                                       : m.v[i].err.code ? "unusable"
                                                                         : "encoder file"));
    }
    if (!rc && chosen.len && !told) {
        struct models_file f = {.path = chosen.ptr};
        models_look(&f);
        json_array_append_new(list, file_json(&f, f.decoder ? "generator" : "unusable"));
    }
    models_free(&m);
    buf_free(&dir);
    buf_free(&chosen);
    return rc;
}

static void put_remotes(json_t *list, const struct config *config)
{
    for (int i = 0; i < config->llm.remotes.n; i++) {
        const struct config_remote *r = &config->llm.remotes.v[i];
        const char *name = r->name ? r->name : r->model;
        json_array_append_new(list, json_pack("{s:s,s:o,s:s,s:o}", "role", "remote generator",
                                              "name", json_text(str_of(name)), "architecture", "",
                                              "file", json_text(str_of(r->url))));
    }
}

/* "1.2 billion parameters, 808 MB" */
static void add_size(struct buf *b, const json_t *m)
{
    char size[16];
    if (json_object_get(m, "dimensions"))
        buf_printf(b, "%lld dimensions", (long long)people_number(m, "dimensions"));
    else if (json_object_get(m, "parameters"))
        buf_printf(b, "%s parameters", people_count(people_number(m, "parameters"), size));
    if (people_number(m, "size_bytes"))
        buf_printf(b, "%s%s", b->len ? ", " : "", people_size(people_number(m, "size_bytes"), size));
}

static void print_list(const json_t *list)
{
    size_t i;
    json_t *m;
    json_array_foreach((json_t *)(uintptr_t)list, i, m)
    {
        struct buf size = {0};
        add_size(&size, m);
        printf("%-20s %-28s %-7s %-34s  %s\n", people_text(m, "role"), people_text(m, "name"),
               people_text(m, "architecture"), size.ptr ? size.ptr : "", people_text(m, "file"));
        buf_free(&size);
        if (json_object_get(m, "error"))
            printf("%-20s %s\n", "", people_text(m, "error"));
    }
}

int model_list(const struct cmd *c)
{
    struct config *config = NULL;
    struct err err;
    json_t *list = json_array();
    log_set_level(LOG_ERROR); /* what cannot be used stands in the list */
    enum err_code rc = open_config(c, &config, &err);
    const char *own =
        rc || !config->embed.model || !*config->embed.model ? NULL : config->embed.model;
    if (!rc)
        rc = put_encoder(list, NULL, own ? "built in" : "encoder (built in)", &err);
    if (!rc && own)
        rc = put_encoder(list, own, "encoder", &err);
    if (!rc)
        rc = put_files(list, config, &err);
    if (!rc)
        put_remotes(list, config);
    open_config_free(config);
    if (rc) {
        json_decref(list);
        return cmd_fail(c, rc, &err);
    }
    if (c->json) {
        cmd_json(json_pack("{s:o}", "models", list));
        return cmd_done(CMD_OK);
    }
    print_list(list);
    json_decref(list);
    return cmd_done(CMD_OK);
}
