/* tests/unit/test_decoder_arch.c - files that are not what they say: refused with
 * a sentence that names the key or tensor, before anything is loaded. */
#include <math.h>
#include "base/rng.h"
#include <unistd.h>
#include "llm/decoder.h"
#include "model/gguf.h"
#include "tests/test.h"

enum { EMBD = 32, HEADS = 4, KV = 2, DIM = 8, FF = 48, VOCAB = 20, LAYERS = 2 };

/* What is changed in an otherwise good file: one key, one tensor, or none. */
struct change {
    const char *key;           /* "llama." stands before it */
    enum { AS_INT, AS_NUM, AS_TEXT, GONE } as;
    double value;
    const char *text;
    const char *tensor;        /* its shape becomes k x n; k 0: it is left out */
    int64_t k, n;
    const char *extra;         /* a tensor more */
    const char *arch;          /* instead of llama */
    const char *says;          /* in the refusal */
    float fill;                /* the changed tensor's first element */
};

static float weights[EMBD * FF];

static void put_key(struct gguf_writer *w, const struct change *c, const char *name, double value,
                    bool integer)
{
    char key[96];
    snprintf(key, sizeof(key), "%s.%s", c->arch ? c->arch : "llama", name);
    bool changed = c->key && strcmp(c->key, name) == 0;
    if (changed && c->as == GONE)
        return;
    if (changed && c->as == AS_TEXT)
        gguf_put_str(w, key, str_of(c->text));
    else if (changed ? c->as == AS_INT : integer)
        gguf_put_u32(w, key, (uint32_t)(int64_t)(changed ? c->value : value));
    else
        gguf_put_f32(w, key, (float)(changed ? c->value : value));
}

static void put_keys(struct gguf_writer *w, const struct change *c)
{
    static const struct { const char *name; double value; bool integer; } keys[] = {
        {"block_count", LAYERS, true}, {"context_length", 64, true},
        {"embedding_length", EMBD, true}, {"feed_forward_length", FF, true},
        {"attention.head_count", HEADS, true}, {"attention.head_count_kv", KV, true},
        {"rope.dimension_count", DIM, true}, {"rope.freq_base", 10000, false},
        {"attention.layer_norm_rms_epsilon", 1e-5, false}};
    bool known = !c->key;
    gguf_put_str(w, "general.architecture", str_of(c->arch ? c->arch : "llama"));
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        known = known || strcmp(c->key, keys[i].name) == 0;
        put_key(w, c, keys[i].name, keys[i].value, keys[i].integer);
    }
    if (!known)
        put_key(w, c, c->key, c->value, false);
}

static void put_tensor(struct gguf_writer *w, const struct change *c, const char *name, int64_t k,
                       int64_t n)
{
    static float odd[EMBD * FF];
    bool changed = c->tensor && strcmp(c->tensor, name) == 0;
    int64_t ne[2] = {changed ? c->k : k, changed && c->n ? c->n : n};
    memcpy(odd, weights, sizeof(odd));
    odd[0] = c->fill;
    if (ne[0])
        gguf_put_tensor(w, name, TENSOR_F32, ne[1] ? 2 : 1, ne, changed && c->fill ? odd : weights);
}

static void put_tensors(struct gguf_writer *w, const struct change *c)
{
    static const struct { const char *name; int64_t k, n; } parts[] = {
        {"attn_norm.weight", EMBD, 0}, {"attn_q.weight", EMBD, EMBD},
        {"attn_k.weight", EMBD, KV * DIM}, {"attn_v.weight", EMBD, KV * DIM},
        {"attn_output.weight", EMBD, EMBD}, {"ffn_norm.weight", EMBD, 0},
        {"ffn_gate.weight", EMBD, FF}, {"ffn_up.weight", EMBD, FF}, {"ffn_down.weight", FF, EMBD}};
    char name[64];
    put_tensor(w, c, "token_embd.weight", EMBD, VOCAB);
    put_tensor(w, c, "output_norm.weight", EMBD, 0);
    for (int l = 0; l < LAYERS; l++)
        for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
            snprintf(name, sizeof(name), "blk.%d.%s", l, parts[i].name);
            put_tensor(w, c, name, parts[i].k, parts[i].n);
        }
    int64_t ne = c->tensor && c->extra ? c->k : DIM / 2;
    static float factors[DIM];
    factors[1] = c->fill;
    if (c->extra)
        gguf_put_tensor(w, c->extra, TENSOR_F32, 1, &ne, factors);
}

static struct gguf *make(const struct change *c)
{
    static char path[300];
    struct err err = {0};
    struct gguf *g;
    struct rng rng;
    rng_init(&rng, 4);
    for (int i = 0; i < EMBD * FF; i++)
        weights[i] = (float)rng_normal(&rng);
    snprintf(path, sizeof(path), "%s/net.gguf", scratch_dir());
    struct gguf_writer *w = gguf_writer_new();
    put_keys(w, c);
    put_tensors(w, c);
    CHECK_OK(gguf_save(w, path, &err), &err);
    gguf_writer_free(w);
    CHECK_OK(gguf_open(path, &g, &err), &err);
    return g;
}

static void check_refused(const struct change *c)
{
    struct decoder_shape s;
    struct decoder *d;
    struct err err = {0};
    struct gguf *g = make(c);
    enum err_code rc = decoder_open(g, NULL, DECODER_AUTO, NULL, NULL, &d, &err);
    CHECK_MSG(rc == ERR_FORMAT && !d, "%s: gave %s", c->says, err_name(rc));
    CHECK_MSG(strstr(err.msg, c->says), "\"%s\" does not say \"%s\"", err.msg, c->says);
    if (!c->fill)              /* what only the numbers themselves tell is seen when they are loaded */
        CHECK_INT(decoder_shape(g, &s, &err), ERR_FORMAT);
    gguf_close(g);
}

TEST(decoder_opens_the_file_that_the_others_are_made_from)
{
    struct change none = {0};
    struct decoder_shape s;
    struct decoder *d;
    struct err err = {0};
    struct gguf *g = make(&none);
    CHECK_OK(decoder_shape(g, &s, &err), &err);
    CHECK_OK(decoder_open(g, NULL, DECODER_AUTO, NULL, NULL, &d, &err), &err);
    CHECK(!memcmp(&s, decoder_shape_of(d), sizeof(s)));
    CHECK(s.n_layers == LAYERS && s.n_embd == EMBD && s.n_heads == HEADS && s.n_kv_heads == KV);
    CHECK(s.head_dim == DIM && s.n_ff == FF && s.n_vocab == VOCAB && s.context == 64 && s.tied);
    int64_t layer = 2 * EMBD + 2 * EMBD * EMBD + 2 * EMBD * KV * DIM + 3 * EMBD * FF;
    CHECK_INT(s.n_params, VOCAB * EMBD + EMBD + LAYERS * layer);
    CHECK_INT(s.touched_bytes, s.n_params * 4);
    decoder_free(d);
    decoder_free(NULL);
    gguf_close(g);
}

TEST(decoder_refuses_keys_out_of_range_naming_them)
{
    static const struct change cases[] = {
        {.key = "block_count", .as = AS_INT, .value = 0, .says = "llama.block_count is 0"},
        {.key = "block_count", .as = GONE, .says = "no key llama.block_count"},
        {.key = "block_count", .as = AS_INT, .value = 4294967295.0, .says = "llama.block_count is 4294967295"},
        {.key = "block_count", .as = AS_TEXT, .text = "two", .says = "llama.block_count is a string"},
        {.key = "block_count", .as = AS_INT, .value = 3, .says = "no tensor blk.2.attn_norm.weight"},
        {.key = "block_count", .as = AS_INT, .value = 1, .says = "tensor blk.1.attn_norm.weight is no part"},
        {.key = "embedding_length", .as = AS_INT, .value = 0, .says = "llama.embedding_length"},
        {.key = "embedding_length", .as = AS_INT, .value = 64, .says = "token_embd.weight is 32 x 20 x 1 x 1, want 64"},
        {.key = "feed_forward_length", .as = AS_INT, .value = 4e9, .says = "llama.feed_forward_length"},
        {.key = "feed_forward_length", .as = AS_INT, .value = 47,
         .says = "tensor blk.0.ffn_gate.weight is 32 x 48 x 1 x 1, want 32 x 47 x 1 x 1"},
        {.key = "context_length", .as = GONE, .says = "no key llama.context_length"},
        {.key = "attention.head_count", .as = AS_INT, .value = 0, .says = "head_count is 0"},
        {.key = "attention.head_count", .as = AS_INT, .value = 5, .says = "5 query heads do not divide among 2"},
        {.key = "attention.head_count", .as = AS_INT, .value = 6, .says = "32 do not divide among 6 heads"},
        {.key = "attention.head_count_kv", .as = AS_INT, .value = 0, .says = "head_count_kv is 0"},
        {.key = "attention.head_count_kv", .as = AS_INT, .value = 3, .says = "4 query heads do not divide among 3"},
        {.key = "attention.key_length", .as = AS_INT, .value = 9, .says = "heads of 9, want an even number"},
        {.key = "attention.key_length", .as = AS_INT, .value = 100000, .says = "attention.key_length is 100000"},
        {.key = "attention.value_length", .as = AS_INT, .value = 4, .says = "values of 4 beside keys of 8"},
        {.key = "rope.dimension_count", .as = AS_INT, .value = 5, .says = "5 dimensions turn"},
        {.key = "rope.dimension_count", .as = AS_INT, .value = 10, .says = "rope.dimension_count is 10, want 2 to 8"},
        {.key = "rope.freq_base", .as = AS_NUM, .value = 0, .says = "rope.freq_base is 0"},
        {.key = "rope.freq_base", .as = AS_NUM, .value = -3, .says = "rope.freq_base is -3"},
        {.key = "rope.freq_base", .as = AS_NUM, .value = (double)NAN, .says = "rope.freq_base is not a finite"},
        {.key = "rope.scaling.type", .as = AS_TEXT, .text = "dynamic", .says = "rope.scaling.type is dynamic"},
        {.key = "rope.scaling.type", .as = AS_INT, .value = 2, .says = "rope.scaling.type is a u32"},
        {.key = "rope.scaling.factor", .as = AS_NUM, .value = -2, .says = "rope.scaling.factor is -2"},
        {.key = "rope.scaling.factor", .as = AS_NUM, .value = 1e-9, .says = "rope.scaling.factor is 1e-09"},
        {.key = "rope.scaling.original_context_length", .as = AS_INT, .value = 0, .says = "original_context_length is 0"},
        {.key = "attention.layer_norm_rms_epsilon", .as = AS_NUM, .value = (double)NAN, .says = "rms_epsilon is not a finite"},
        {.key = "attention.layer_norm_rms_epsilon", .as = AS_NUM, .value = 0, .says = "rms_epsilon is 0"},
        {.key = "attention.layer_norm_rms_epsilon", .as = GONE, .says = "no key llama.attention.layer_norm_rms_epsilon"},
        {.key = "attention.sliding_window", .as = AS_INT, .value = 4294967295.0, .says = "sliding_window is 4294967295"},
        {.key = "expert_count", .as = AS_INT, .value = 4, .says = "no key llama.expert_used_count"},
        {.key = "expert_count", .as = AS_INT, .value = 100000, .says = "expert_count is 100000"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        check_refused(&cases[i]);
}

TEST(decoder_refuses_tensors_out_of_shape_missing_or_unknown_naming_them)
{
    static const struct change cases[] = {
        {.tensor = "token_embd.weight", .says = "no tensor token_embd.weight"},
        {.tensor = "token_embd.weight", .k = EMBD / 2, .n = VOCAB, .says = "tensor token_embd.weight is 16 x 20"},
        {.tensor = "output_norm.weight", .says = "no tensor output_norm.weight"},
        {.tensor = "output_norm.weight", .k = 31, .says = "tensor output_norm.weight is 31 x 1 x 1 x 1, want 32 x 1"},
        {.tensor = "blk.1.attn_k.weight", .says = "no tensor blk.1.attn_k.weight"},
        {.tensor = "blk.1.attn_k.weight", .k = EMBD, .n = EMBD, .says = "tensor blk.1.attn_k.weight is 32 x 32"},
        {.tensor = "blk.0.ffn_down.weight", .k = EMBD, .n = FF, .says = "blk.0.ffn_down.weight is 32 x 48 x 1 x 1, want 48 x 32"},
        {.tensor = "blk.0.attn_norm.weight", .k = EMBD, .fill = NAN, .says = "tensor blk.0.attn_norm.weight: element 0 is"},
        {.tensor = "blk.0.attn_norm.weight", .k = EMBD, .fill = INFINITY, .says = "tensor blk.0.attn_norm.weight: element 0 is inf"},
        {.extra = "blk.0.attn_sinks.weight", .says = "tensor blk.0.attn_sinks.weight is no part of a llama of 2 layers"},
        {.extra = "blk.0.attn_q_norm.weight", .says = "tensor blk.0.attn_q_norm.weight is no part"},
        {.extra = "rope_freqs.weight", .tensor = "-", .k = 3, .says = "tensor rope_freqs.weight is 3 x 1"},
        {.extra = "rope_freqs.weight", .fill = -1, .says = "tensor rope_freqs.weight: element 0 is 0"},
        {.arch = "qwen3", .says = "no tensor blk.0.attn_q_norm.weight"},
        {.arch = "qwen2", .says = "no tensor blk.0.attn_q.bias"},
        {.arch = "phi3", .says = "no tensor blk.0.attn_qkv.weight"},
        {.arch = "gemma2", .says = "no tensor blk.0.post_attention_norm.weight"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        check_refused(&cases[i]);
}

TEST(decoder_names_the_architectures_it_knows_when_it_meets_another)
{
    static const struct change mamba = {.arch = "mamba", .says = "architecture mamba is not one we know: llama, "
                                                                 "qwen2, qwen3, phi3, gemma2, gemma3"};
    check_refused(&mamba);
    struct change bert = {.arch = "bert", .says = "architecture bert"};
    check_refused(&bert);
}

TEST(decoder_refuses_more_experts_used_than_there_are)
{
    struct err err = {0};
    struct decoder_shape s;
    struct gguf *g;
    char path[300];
    snprintf(path, sizeof(path), "%s/experts.gguf", scratch_dir());
    struct gguf_writer *w = gguf_writer_new();
    struct change none = {0};
    put_keys(w, &none);
    gguf_put_u32(w, "llama.expert_count", 4);
    gguf_put_u32(w, "llama.expert_used_count", 5);
    put_tensors(w, &none);
    CHECK_OK(gguf_save(w, path, &err), &err);
    gguf_writer_free(w);
    CHECK_OK(gguf_open(path, &g, &err), &err);
    CHECK_ERR(decoder_shape(g, &s, &err), ERR_FORMAT);
    CHECK_MSG(strstr(err.msg, "5 experts used of 4"), "%s", err.msg);
    gguf_close(g);
}

static void count_progress(void *arg, double done)
{
    double *last = arg;
    CHECK_MSG(done > *last && done <= 1, "%g after %g", done, *last);
    *last = done;
}

TEST(decoder_tells_how_far_loading_is_up_to_one)
{
    struct err err = {0};
    struct gguf *g;
    struct decoder *d;
    double last = 0;
    CHECK_OK(gguf_open("tests/golden/decoder_experts.gguf", &g, &err), &err);
    CHECK_OK(decoder_open(g, NULL, DECODER_AUTO, count_progress, &last, &d, &err), &err);
    CHECK_NEAR(last, 1, 1e-12);
    const struct decoder_shape *s = decoder_shape_of(d);
    CHECK(s->n_experts == 5 && s->n_experts_used == 2 && !s->tied);
    /* F16: three fifths of the experts' weights and all but a row of the embedding lie idle */
    int64_t idle = 2 * 3 * (3 * 32 * 24) + (s->n_vocab - 1) * 32, floats = 32 + 2 * 2 * 32;
    CHECK_INT(s->touched_bytes, 2 * (s->n_params - floats - idle) + 4 * floats);
    decoder_free(d);
    gguf_close(g);
}

static void cut_file(void *arg, double done)
{
    if (done < 0.5)
        CHECK_INT(truncate(arg, 4096), 0);
}

TEST(decoder_says_that_its_file_was_cut_short_while_it_was_loaded)
{
    struct change none = {0};
    struct err err = {0};
    struct decoder *d;
    struct gguf *g = make(&none);
    char path[300];
    snprintf(path, sizeof(path), "%s", gguf_name(g));
    CHECK_ERR(decoder_open(g, NULL, DECODER_AUTO, cut_file, path, &d, &err), ERR_IO);
    CHECK_MSG(!d && strstr(err.msg, "written while it was read"), "%s", err.msg);
    gguf_close(g);
}
