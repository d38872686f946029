/* tests/bert_model.h - writes BERT models of any shape with random weights. */
#ifndef CARREL_TESTS_BERT_MODEL_H
#define CARREL_TESTS_BERT_MODEL_H
#include <stdio.h>
#include "base/arena.h"
#include "base/rng.h"
#include "model/gguf.h"

struct bert_model {
    const char *name;          /* general.name */
    const char *query_prefix;  /* carrel.query_prefix, or NULL */
    int layers, dim, heads, ffn, context, pieces;
    uint32_t pooling;          /* 1 mean, 2 cls */
    const struct str *vocabulary;   /* [pieces], or NULL: number i in base 26 */
};

static inline float *bert_model_normals(struct arena *a, size_t n, float mean, float scale)
{
    struct rng rng;
    rng_init(&rng, n);
    float *x = arena_alloc(a, n, sizeof(*x));
    for (size_t i = 0; i < n; i++)
        x[i] = mean + scale * (float)rng_normal(&rng);
    return x;
}

/* `rows` 0: a vector. */
static inline void bert_model_put(struct gguf_writer *w, struct arena *a, int layer,
                                  const char *name, int64_t length, int64_t rows, float mean)
{
    int64_t ne[2] = {length, rows};
    char full[64];
    if (layer >= 0)
        snprintf(full, sizeof(full), "blk.%d.%s", layer, name);
    else
        snprintf(full, sizeof(full), "%s", name);
    gguf_put_tensor(w, full, TENSOR_F32, rows ? 2 : 1, ne,
                    bert_model_normals(a, (size_t)(length * (rows ? rows : 1)), mean, 0.05f));
}

static inline void bert_model_layer(struct gguf_writer *w, struct arena *a,
                                    const struct bert_model *m, int layer)
{
    const struct { const char *name; int length, rows; } parts[] = {
        {"attn_q", m->dim, m->dim}, {"attn_k", m->dim, m->dim}, {"attn_v", m->dim, m->dim},
        {"attn_output", m->dim, m->dim}, {"attn_output_norm", m->dim, 0},
        {"ffn_up", m->dim, m->ffn}, {"ffn_down", m->ffn, m->dim},
        {"layer_output_norm", m->dim, 0}};
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        char name[40];
        int rows = parts[i].rows;
        snprintf(name, sizeof(name), "%s.weight", parts[i].name);
        bert_model_put(w, a, layer, name, parts[i].length, rows, rows ? 0 : 1);
        snprintf(name, sizeof(name), "%s.bias", parts[i].name);
        bert_model_put(w, a, layer, name, rows ? rows : parts[i].length, 0, 0);
    }
}

static inline const struct str *bert_model_words(struct arena *a, int n)
{
    struct str *s = arena_alloc(a, (size_t)n, sizeof(*s));
    for (int i = 3; i < n; i++)
        s[i] = str_of(arena_printf(a, "%c%c%c%c", 'a' + i / 17576, 'a' + i / 676 % 26,
                                   'a' + i / 26 % 26, 'a' + i % 26));
    s[0] = STR("[UNK]");
    s[1] = STR("[CLS]");
    s[2] = STR("[SEP]");
    return s;
}

static inline enum err_code bert_model_write(const char *path, const struct bert_model *m,
                                             struct err *err)
{
    struct arena a = {0};
    struct gguf_writer *w = gguf_writer_new();
    const struct str *words = m->vocabulary ? m->vocabulary : bert_model_words(&a, m->pieces);
    gguf_put_str(w, "general.architecture", STR("bert"));
    gguf_put_str(w, "general.name", str_of(m->name));
    if (m->query_prefix)
        gguf_put_str(w, "carrel.query_prefix", str_of(m->query_prefix));
    gguf_put_u32(w, "bert.block_count", (uint32_t)m->layers);
    gguf_put_u32(w, "bert.context_length", (uint32_t)m->context);
    gguf_put_u32(w, "bert.embedding_length", (uint32_t)m->dim);
    gguf_put_u32(w, "bert.feed_forward_length", (uint32_t)m->ffn);
    gguf_put_u32(w, "bert.attention.head_count", (uint32_t)m->heads);
    gguf_put_u32(w, "bert.pooling_type", m->pooling);
    gguf_put_f32(w, "bert.attention.layer_norm_epsilon", 1e-12f);
    gguf_put_str(w, "tokenizer.ggml.model", STR("bert"));
    gguf_put_strs(w, "tokenizer.ggml.tokens", words, (size_t)m->pieces);
    bert_model_put(w, &a, -1, "token_embd.weight", m->dim, m->pieces, 0);
    bert_model_put(w, &a, -1, "position_embd.weight", m->dim, m->context, 0);
    bert_model_put(w, &a, -1, "token_types.weight", m->dim, 2, 0);
    bert_model_put(w, &a, -1, "token_embd_norm.weight", m->dim, 0, 1);
    bert_model_put(w, &a, -1, "token_embd_norm.bias", m->dim, 0, 0);
    for (int l = 0; l < m->layers; l++)
        bert_model_layer(w, &a, m, l);
    enum err_code rc = gguf_save(w, path, err);
    gguf_writer_free(w);
    arena_deinit(&a);
    return rc;
}
#endif
