/* tests/random_model.h - GGUF files of well-known shapes with random weights.
 *
 * Speed does not depend on the values, but they are kept in the range of real
 * ones, so that no arithmetic meets denormals or infinities. One block of random
 * bytes is repeated: making a file costs no more than writing it.
 * The vocabulary is SentencePiece's kind: bytes and numbered fillers. */
#ifndef CARREL_TESTS_RANDOM_MODEL_H
#define CARREL_TESTS_RANDOM_MODEL_H
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/rng.h"
#include "model/gguf.h"

struct random_shape {
    const char *name, *arch;
    int layers, embd, heads, kv_heads, ff, vocab, context;
    float rope_base;
    bool bias;                 /* of q, k, v */
};
static const struct random_shape random_shapes[] = {
    {"llama-3.2-1b", "llama", 16, 2048, 32, 8, 8192, 128256, 131072, 500000, false},
    {"qwen2.5-0.5b", "qwen2", 24, 896, 14, 2, 4864, 151936, 32768, 1000000, true},
    {"tiny", "llama", 2, 256, 4, 2, 512, 1024, 4096, 10000, false},
};
#define RANDOM_SHAPES (int)(sizeof(random_shapes) / sizeof(*random_shapes))

/* Where a block's F16 scales stand and what makes weights of about .02 of them. */
struct random_scale { int type, at; double value; };
static const struct random_scale random_scales[] = {
    {TENSOR_Q4_0, 0, 4.3e-3}, {3, 0, 4.3e-3},  {3, 2, -.032},    {6, 0, 2.2e-3}, {7, 0, 2.2e-3},
    {7, 2, -.034},            {TENSOR_Q8_0, 0, 2.7e-4}, {10, 80, 2.4e-3}, {10, 82, 3.6e-3},
    {11, 108, 5e-4},          {12, 0, 1.4e-4}, {12, 2, 1e-3},    {13, 0, 7e-5},  {13, 2, 1e-3},
    {14, 208, 1.5e-5},
};

static const struct random_shape *random_shape_find(const char *name)
{
    for (int i = 0; i < RANDOM_SHAPES; i++)
        if (strcmp(random_shapes[i].name, name) == 0)
            return &random_shapes[i];
    return NULL;
}

static void random_fill(enum tensor_type type, uint8_t *to, size_t bytes, struct rng *rng)
{
    size_t block = tensor_block_bytes(type);
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)rng_next(rng);
    for (size_t i = 0; i + block <= bytes; i += block) {
        float f = (float)(.02 * sqrt(12) * (rng_unit(rng) - .5));
        uint32_t bits;
        uint16_t half = tensor_f32_to_f16(f);
        memcpy(&bits, &f, 4);
        uint16_t brain = (uint16_t)(bits >> 16);
        if (type == TENSOR_F32)
            memcpy(to + i, &f, 4);
        else if (type == TENSOR_F16 || type == TENSOR_BF16)
            memcpy(to + i, type == TENSOR_F16 ? &half : &brain, 2);
        for (size_t k = 0; k < sizeof(random_scales) / sizeof(*random_scales); k++) {
            half = tensor_f32_to_f16((float)random_scales[k].value);
            if (random_scales[k].type == (int)type)
                memcpy(to + i + random_scales[k].at, &half, 2);
        }
    }
}

struct random_maker {
    struct gguf_writer *w;
    const struct random_shape *s;
    enum tensor_type type;
    uint8_t *pool;             /* of the largest tensor: all of them read the same bytes */
    const float *ones;
};

static void random_put(struct random_maker *m, const char *name, int64_t k, int64_t n)
{
    const int64_t ne[2] = {k, n};
    gguf_put_tensor(m->w, name, m->type, 2, ne, m->pool);
}

static void random_put_floats(struct random_maker *m, const char *name, int64_t n)
{
    gguf_put_tensor(m->w, name, TENSOR_F32, 1, &n, m->ones);
}

static void random_put_layer(struct random_maker *m, int layer)
{
    const struct random_shape *s = m->s;
    int kv = s->embd / s->heads * s->kv_heads;
    const struct { const char *name; int k, n; } mats[] = {
        {"attn_q", s->embd, s->embd}, {"attn_k", s->embd, kv},      {"attn_v", s->embd, kv},
        {"attn_output", s->embd, s->embd}, {"ffn_gate", s->embd, s->ff}, {"ffn_up", s->embd, s->ff},
        {"ffn_down", s->ff, s->embd}};
    char name[64];
    for (int i = 0; i < 7; i++) {
        snprintf(name, sizeof(name), "blk.%d.%s.weight", layer, mats[i].name);
        random_put(m, name, mats[i].k, mats[i].n);
        snprintf(name, sizeof(name), "blk.%d.%s.bias", layer, mats[i].name);
        if (s->bias && i < 3)
            random_put_floats(m, name, mats[i].n);
    }
    snprintf(name, sizeof(name), "blk.%d.attn_norm.weight", layer);
    random_put_floats(m, name, s->embd);
    snprintf(name, sizeof(name), "blk.%d.ffn_norm.weight", layer);
    random_put_floats(m, name, s->embd);
}

static void random_put_vocab(struct gguf_writer *w, int n, struct arena *a)
{
    struct str *piece = arena_alloc(a, (size_t)n, sizeof(*piece));
    float *score = arena_alloc(a, (size_t)n, sizeof(*score));
    int32_t *kind = arena_alloc(a, (size_t)n, sizeof(*kind));
    for (int i = 0; i < n; i++) {
        char text[24];
        if (i < 3)
            snprintf(text, sizeof(text), "%s", i == 0 ? "<unk>" : i == 1 ? "<s>" : "</s>");
        else if (i < 259)
            snprintf(text, sizeof(text), "<0x%02X>", i - 3);
        else
            snprintf(text, sizeof(text), "\xe2\x96\x81w%d", i);
        piece[i] = arena_str(a, str_of(text));
        score[i] = (float)-i;
        kind[i] = i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1;
    }
    gguf_put_str(w, "tokenizer.ggml.model", STR("llama"));
    gguf_put_strs(w, "tokenizer.ggml.tokens", piece, (size_t)n);
    gguf_put_f32s(w, "tokenizer.ggml.scores", score, (size_t)n);
    gguf_put_i32s(w, "tokenizer.ggml.token_type", kind, (size_t)n);
    gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 1);
    gguf_put_u32(w, "tokenizer.ggml.eos_token_id", 2);
}

static void random_put_keys(struct gguf_writer *w, const struct random_shape *s)
{
    char key[80];
    const struct { const char *name; int value; } keys[] = {
        {"block_count", s->layers},           {"embedding_length", s->embd},
        {"attention.head_count", s->heads},   {"attention.head_count_kv", s->kv_heads},
        {"feed_forward_length", s->ff},       {"context_length", s->context},
        {"rope.dimension_count", s->embd / s->heads}, {"vocab_size", s->vocab}};
    gguf_put_str(w, "general.architecture", str_of(s->arch));
    gguf_put_str(w, "general.name", str_of(s->name));
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        snprintf(key, sizeof(key), "%s.%s", s->arch, keys[i].name);
        gguf_put_u32(w, key, (uint32_t)keys[i].value);
    }
    snprintf(key, sizeof(key), "%s.rope.freq_base", s->arch);
    gguf_put_f32(w, key, s->rope_base);
    snprintf(key, sizeof(key), "%s.attention.layer_norm_rms_epsilon", s->arch);
    gguf_put_f32(w, key, 1e-5f);
}

/* The output is the embedding, as in the models themselves. */
static enum err_code random_model_write(const struct random_shape *s, enum tensor_type type,
                                        const char *path, struct err *err)
{
    struct arena a = {0};
    struct rng rng;
    rng_init(&rng, 1);
    struct random_maker m = {gguf_writer_new(), s, type, NULL, NULL};
    if (s->embd % tensor_block(type) || s->ff % tensor_block(type))
        return err_set(err, ERR_ARG, "rows of %d do not fit %s", s->embd, tensor_type_name(type));
    size_t largest = tensor_row_bytes(type, s->embd) * (size_t)s->vocab, part = 1 << 20;
    float *ones = arena_alloc(&a, (size_t)s->ff, sizeof(*ones));
    for (int i = 0; i < s->ff; i++)
        ones[i] = 1;
    m.ones = ones;
    part -= part % tensor_block_bytes(type);
    m.pool = malloc(largest + part);
    if (!m.pool || !m.w)
        return err_set(err, ERR_NOMEM, "%zu bytes of weights", largest);
    random_fill(type, m.pool, part, &rng);
    for (size_t at = part; at < largest; at += part)
        memcpy(m.pool + at, m.pool, part);
    random_put_keys(m.w, s);
    random_put_vocab(m.w, s->vocab, &a);
    random_put(&m, "token_embd.weight", s->embd, s->vocab);
    random_put_floats(&m, "output_norm.weight", s->embd);
    for (int i = 0; i < s->layers; i++)
        random_put_layer(&m, i);
    enum err_code rc = gguf_save(m.w, path, err);
    gguf_writer_free(m.w);
    free(m.pool);
    arena_deinit(&a);
    return rc;
}
#endif
