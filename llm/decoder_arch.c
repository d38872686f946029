/* llm/decoder_arch.c - what tells one architecture from another: a row for each
 * in `archs`, a row for each tensor in `decoder_tensors`; the keys of a file
 * checked against their ranges, its tensors against the shapes that the keys imply.
 *
 * Names and keys are those of llama.cpp's converter (gguf-py/gguf/constants.py). */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "llm/decoder_int.h"

#define COUNT(a) (int)(sizeof(a) / sizeof(*(a)))
#define EXTENT_MAX (1 << 20)   /* of a vector; of positions 16 times that */

static const struct decoder_arch archs[] = {
    {.name = "llama", .must = PART_SPLIT | PART_DENSE, .neighbours = true,
     .may = PART_QKV_BIAS | PART_O_BIAS | PART_FFN_BIAS | PART_FREQS | PART_LONG | PART_OUTPUT,
     .attn_softcap = -1, .final_softcap = -1},
    {.name = "qwen2", .must = PART_SPLIT | PART_DENSE | PART_QKV_BIAS, .may = PART_OUTPUT,
     .attn_softcap = -1, .final_softcap = -1},
    {.name = "qwen3", .must = PART_SPLIT | PART_DENSE | PART_QK_NORM,
     .may = PART_QKV_BIAS | PART_OUTPUT, .attn_softcap = -1, .final_softcap = -1},
    /* Converters have written windows for phi3 that the nets were not run with, so that
     * llama.cpp passes them over too ("Phi SWA is currently disabled"). */
    {.name = "phi3", .must = PART_FUSED, .may = PART_LONG | PART_OUTPUT, .no_window = true,
     .attn_softcap = -1, .final_softcap = -1},
    {.name = "gemma2", .must = PART_SPLIT | PART_DENSE | PART_POST_NORM, .may = PART_OUTPUT,
     .gelu = true, .scaled_embd = true, .pattern = 2, .wide_layers = 46, .window = 4096,
     .attn_softcap = 50, .final_softcap = 30},
    {.name = "gemma3", .must = PART_SPLIT | PART_DENSE | PART_POST_NORM | PART_QK_NORM,
     .may = PART_OUTPUT, .gelu = true, .scaled_embd = true, .pattern = 6, .wide_layers = 62,
     .local_base = 10000, .attn_softcap = 0, .final_softcap = 0},
};

#define AT(f) offsetof(struct decoder, f)
const struct decoder_tensor decoder_tensors[] = {
    {"token_embd.weight", DECODER_MAT, 'e', 'v', 0, AT(embd)},
    {"output_norm.weight", DECODER_VEC, 'e', 0, 0, AT(output_norm)},
    {"output.weight", DECODER_MAT, 'e', 'v', PART_OUTPUT, AT(output)},
    {"rope_freqs.weight", DECODER_VEC, 'r', 0, PART_FREQS, AT(freqs)},
    {"rope_factors_long.weight", DECODER_VEC, 'r', 0, PART_LONG, AT(freqs_long)},
    {"rope_factors_short.weight", DECODER_VEC, 'r', 0, PART_LONG, AT(freqs_short)},
};
const int decoder_n_tensors = COUNT(decoder_tensors);
#undef AT

#define AT(f) offsetof(struct decoder_layer, f)
const struct decoder_tensor decoder_layer_tensors[] = {
    {"attn_norm.weight", DECODER_VEC, 'e', 0, 0, AT(attn_norm)},
    {"attn_q.weight", DECODER_MAT, 'e', 'q', PART_SPLIT, AT(q)},
    {"attn_k.weight", DECODER_MAT, 'e', 'k', PART_SPLIT, AT(k)},
    {"attn_v.weight", DECODER_MAT, 'e', 'k', PART_SPLIT, AT(v)},
    {"attn_q.bias", DECODER_VEC, 'q', 0, PART_QKV_BIAS, AT(q_bias)},
    {"attn_k.bias", DECODER_VEC, 'k', 0, PART_QKV_BIAS, AT(k_bias)},
    {"attn_v.bias", DECODER_VEC, 'k', 0, PART_QKV_BIAS, AT(v_bias)},
    {"attn_qkv.weight", DECODER_MAT, 'e', 'a', PART_FUSED, AT(qkv)},
    {"attn_q_norm.weight", DECODER_VEC, 'h', 0, PART_QK_NORM, AT(q_norm)},
    {"attn_k_norm.weight", DECODER_VEC, 'h', 0, PART_QK_NORM, AT(k_norm)},
    {"attn_output.weight", DECODER_MAT, 'q', 'e', 0, AT(o)},
    {"attn_output.bias", DECODER_VEC, 'e', 0, PART_O_BIAS, AT(o_bias)},
    {"post_attention_norm.weight", DECODER_VEC, 'e', 0, PART_POST_NORM, AT(post_attn_norm)},
    {"ffn_norm.weight", DECODER_VEC, 'e', 0, 0, AT(ffn_norm)},
    {"ffn_gate.weight", DECODER_MAT, 'e', 'f', PART_DENSE, AT(gate)},
    {"ffn_up.weight", DECODER_MAT, 'e', 'f', PART_DENSE, AT(up)},
    {"ffn_up.weight", DECODER_MAT, 'e', 'g', PART_FUSED, AT(gate_up)},
    {"ffn_down.weight", DECODER_MAT, 'f', 'e', PART_DENSE, AT(down)},
    {"ffn_down.weight", DECODER_MAT, 'f', 'e', PART_FUSED, AT(down)},
    {"ffn_gate.bias", DECODER_VEC, 'f', 0, PART_FFN_BIAS, AT(gate_bias)},
    {"ffn_up.bias", DECODER_VEC, 'f', 0, PART_FFN_BIAS, AT(up_bias)},
    {"ffn_down.bias", DECODER_VEC, 'e', 0, PART_FFN_BIAS, AT(down_bias)},
    {"ffn_gate_inp.weight", DECODER_MAT, 'e', 'x', PART_EXPERTS, AT(router)},
    {"ffn_gate_exps.weight", DECODER_EXPERTS, 'e', 'f', PART_EXPERTS, AT(gate_exps)},
    {"ffn_up_exps.weight", DECODER_EXPERTS, 'e', 'f', PART_EXPERTS, AT(up_exps)},
    {"ffn_down_exps.weight", DECODER_EXPERTS, 'f', 'e', PART_EXPERTS, AT(down_exps)},
    {"post_ffw_norm.weight", DECODER_VEC, 'e', 0, PART_POST_NORM, AT(post_ffn_norm)},
};
const int decoder_n_layer_tensors = COUNT(decoder_layer_tensors);
#undef AT

/* ---- keys ---- */

/* A reading of keys: after the first refusal the others are passed over. */
struct reader {
    const struct gguf *g;
    const char *arch;
    enum err_code rc;
    struct err *err;
};

static void refuse(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void refuse(struct reader *r, const char *fmt, ...)
{
    char why[200];
    va_list ap;
    if (r->rc)
        return;
    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    r->rc = err_set(r->err, ERR_FORMAT, "%s: %s", gguf_name(r->g), why);
}

/* The first failure stays; a key that is not there is none. */
static void got(struct reader *r, enum err_code rc, const struct err *why)
{
    if (rc && rc != ERR_NOTFOUND && !r->rc)
        r->rc = err_set(r->err, ERR_FORMAT, "%s", why->msg);
}

/* Key "ARCH.name"; `out` keeps its value when there is none. */
static void read_int(struct reader *r, const char *name, int64_t min, int64_t max, int *out)
{
    char key[96];
    int64_t v = *out;
    if (r->rc)
        return;
    snprintf(key, sizeof(key), "%s.%s", r->arch, name);
    struct err why = {0};
    got(r, gguf_int(r->g, key, min, max, &v, &why), &why);
    *out = (int)v;
}

static void read_num(struct reader *r, const char *name, double min, double max, double *out)
{
    char key[96];
    double v = *out;
    if (r->rc)
        return;
    snprintf(key, sizeof(key), "%s.%s", r->arch, name);
    struct err why = {0};
    enum err_code rc = gguf_num(r->g, key, &v, &why);
    got(r, rc, &why);
    if (!rc && !(v >= min && v <= max))
        refuse(r, "key %s is %g, want %g to %g", key, v, min, max);
    *out = v;
}

static void need_int(struct reader *r, const char *name, int64_t max, int *out)
{
    *out = 0;
    read_int(r, name, 1, max, out);
    if (*out == 0)
        refuse(r, "no key %s.%s", r->arch, name);
}

static const struct decoder_arch *find_arch(struct reader *r)
{
    struct str name;
    char known[200] = "";
    r->rc = gguf_str(r->g, "general.architecture", &name, r->err);
    if (r->rc) {
        r->rc = ERR_FORMAT;
        return NULL;
    }
    for (int i = 0; i < COUNT(archs); i++) {
        if (str_eqz(name, archs[i].name))
            return &archs[i];
        size_t at = strlen(known);
        snprintf(known + at, sizeof(known) - at, "%s%s", i ? ", " : "", archs[i].name);
    }
    refuse(r, "architecture %.*s is not one we know: %s", (int)(name.len < 40 ? name.len : 40),
           name.ptr, known);
    return NULL;
}

static void read_heads(struct reader *r, struct decoder_shape *s)
{
    int values = 0;
    need_int(r, "attention.head_count", 1 << 12, &s->n_heads);
    s->n_kv_heads = s->n_heads;
    read_int(r, "attention.head_count_kv", 1, 1 << 12, &s->n_kv_heads);
    read_int(r, "attention.key_length", 1, ATTN_HEAD_MAX, &s->head_dim);
    if (r->rc)
        return;
    if (s->n_heads % s->n_kv_heads)
        refuse(r, "%d query heads do not divide among %d of keys", s->n_heads, s->n_kv_heads);
    if (!s->head_dim && s->n_embd % s->n_heads)
        refuse(r, "vectors of %d do not divide among %d heads", s->n_embd, s->n_heads);
    if (!s->head_dim)
        s->head_dim = s->n_embd / s->n_heads;
    if (s->head_dim < 2 || s->head_dim > ATTN_HEAD_MAX || s->head_dim % 2)
        refuse(r, "heads of %d, want an even number up to %d", s->head_dim, ATTN_HEAD_MAX);
    values = s->head_dim;
    read_int(r, "attention.value_length", 1, ATTN_HEAD_MAX, &values);
    if (values != s->head_dim)
        refuse(r, "values of %d beside keys of %d: want the same", values, s->head_dim);
}

static void read_experts(struct reader *r, struct decoder_net *net)
{
    struct decoder_shape *s = &net->shape;
    read_int(r, "expert_count", 0, 512, &s->n_experts);
    if (!s->n_experts || r->rc)
        return;
    if (!str_eqz(str_of(r->arch), "llama"))
        refuse(r, "experts in an architecture %s", r->arch);
    need_int(r, "expert_used_count", 512, &s->n_experts_used);
    if (s->n_experts_used > s->n_experts)
        refuse(r, "%d experts used of %d", s->n_experts_used, s->n_experts);
    net->parts = (net->parts & ~(unsigned)PART_DENSE) | PART_EXPERTS;
}

static enum rope_scaling read_scaling(struct reader *r)
{
    static const struct { const char *name; enum rope_scaling scaling; } known[] = {
        {"none", ROPE_NONE}, {"linear", ROPE_LINEAR}, {"yarn", ROPE_YARN},
        {"longrope", ROPE_NONE},   /* its factors are tensors */
    };
    char key[96];
    struct str name = STR("linear");
    struct err why = {0};
    snprintf(key, sizeof(key), "%s.rope.scaling.type", r->arch);
    got(r, gguf_str(r->g, key, &name, &why), &why);
    for (int i = 0; i < COUNT(known); i++)
        if (str_eqz(name, known[i].name))
            return known[i].scaling;
    refuse(r, "key %s is %.*s, want none, linear, yarn or longrope", key,
           (int)(name.len < 40 ? name.len : 40), name.ptr);
    return ROPE_NONE;
}

static void read_rope(struct reader *r, struct decoder_net *net)
{
    struct rope_spec *p = &net->rope;
    double factor = 0;
    *p = (struct rope_spec){.scaling = read_scaling(r), .n_rot = net->shape.head_dim,
                            .base = 10000, .original = net->shape.context, .extrapolation = 1,
                            .beta_fast = 32, .beta_slow = 1, .gain = 1};
    read_int(r, "rope.dimension_count", 2, net->shape.head_dim, &p->n_rot);
    read_num(r, "rope.freq_base", 1.001, 1e15, &p->base);
    read_num(r, "rope.scale_linear", 0, 1e6, &factor);   /* its name in old files */
    read_num(r, "rope.scaling.factor", 0, 1e6, &factor);
    read_int(r, "rope.scaling.original_context_length", 1, 16 * EXTENT_MAX, &p->original);
    read_num(r, "rope.scaling.attn_factor", 1e-3, 1e3, &p->gain);
    read_num(r, "rope.scaling.yarn_ext_factor", 0, 1, &p->extrapolation);
    read_num(r, "rope.scaling.yarn_beta_fast", 1e-3, 1e6, &p->beta_fast);
    read_num(r, "rope.scaling.yarn_beta_slow", 1e-3, 1e6, &p->beta_slow);
    p->factor = factor > 0 ? factor : 1;
    if (p->factor < 1e-3)
        refuse(r, "key %s.rope.scaling.factor is %g, want 0.001 to 1000000", r->arch, p->factor);
    if (p->n_rot % 2)
        refuse(r, "%d dimensions turn, want an even number", p->n_rot);
    net->rope_local = *p;
    if (net->arch->local_base > 0) {   /* layers with a window are never stretched */
        net->rope_local.base = net->arch->local_base;
        net->rope_local.scaling = ROPE_NONE;
        read_num(r, "rope.freq_base_swa", 1.001, 1e15, &net->rope_local.base);
    }
}

static void read_caps(struct reader *r, struct decoder_net *net)
{
    const struct decoder_arch *a = net->arch;
    net->attn_softcap = a->attn_softcap > 0 ? a->attn_softcap : 0;
    net->final_softcap = a->final_softcap > 0 ? a->final_softcap : 0;
    if (a->attn_softcap >= 0)
        read_num(r, "attn_logit_softcapping", 0, 1e6, &net->attn_softcap);
    if (a->final_softcap >= 0)
        read_num(r, "final_logit_softcapping", 0, 1e6, &net->final_softcap);
    net->shape.window = a->window;
    net->pattern = a->pattern;
    read_int(r, "attention.sliding_window", 0, 16 * EXTENT_MAX, &net->shape.window);
    read_int(r, "attention.sliding_window_pattern", 0, 1 << 12, &net->pattern);
    if (a->no_window)
        net->shape.window = 0;
    net->eps = 0;
    read_num(r, "attention.layer_norm_rms_epsilon", 1e-12, 1, &net->eps);
    if (net->eps == 0)
        refuse(r, "no key %s.attention.layer_norm_rms_epsilon", r->arch);
}

/* Only the embedding says how many tokens there are. */
static void read_vocab(struct reader *r, struct decoder_shape *s)
{
    const struct tensor *t = gguf_tensor(r->g, "token_embd.weight");
    if (!t)
        refuse(r, "no tensor token_embd.weight");
    else if (t->ne[1] < 1 || t->ne[1] > 4 * EXTENT_MAX)
        refuse(r, "tensor token_embd.weight has %lld rows, want 1 to %d", (long long)t->ne[1],
               4 * EXTENT_MAX);
    else
        s->n_vocab = (int)t->ne[1];
}

enum err_code decoder_read_keys(const struct gguf *g, struct decoder_net *net, struct err *err)
{
    struct reader r = {.g = g, .err = err};
    struct decoder_shape *s = &net->shape;
    *net = (struct decoder_net){.arch = find_arch(&r)};
    if (r.rc)
        return r.rc;
    r.arch = net->arch->name;
    net->parts = net->arch->must;
    snprintf(s->arch, sizeof(s->arch), "%s", r.arch);
    need_int(&r, "block_count", 1 << 12, &s->n_layers);
    need_int(&r, "embedding_length", EXTENT_MAX, &s->n_embd);
    need_int(&r, "feed_forward_length", EXTENT_MAX, &s->n_ff);
    need_int(&r, "context_length", 16 * EXTENT_MAX, &s->context);
    read_heads(&r, s);
    read_experts(&r, net);
    read_caps(&r, net);
    read_rope(&r, net);
    read_vocab(&r, s);
    if (r.rc)
        return r.rc;
    bool wide = net->arch->wide_layers == s->n_layers;
    net->score_scale = 1 / sqrtf(wide ? (float)s->n_embd / (float)s->n_heads : (float)s->head_dim);
    net->embd_scale = net->arch->scaled_embd ? sqrtf((float)s->n_embd) : 1;
    return OK;
}

int decoder_window(const struct decoder_net *net, int layer)
{
    bool sees_all = net->pattern && layer % net->pattern == net->pattern - 1;
    return sees_all ? 0 : net->shape.window;
}

/* ---- tensors ---- */

struct walker {
    const struct gguf *g;
    struct decoder_net *net;
    decoder_visit *visit;
    void *arg;
    bool *used;                /* [gguf_n_tensors] */
    struct err *err;
};

static int64_t extent(const struct decoder_net *net, char letter)
{
    const struct decoder_shape *s = &net->shape;
    int64_t q = (int64_t)s->n_heads * s->head_dim, kv = (int64_t)s->n_kv_heads * s->head_dim;
    switch (letter) {
    case 'e': return s->n_embd;
    case 'q': return q;
    case 'k': return kv;
    case 'a': return q + 2 * kv;
    case 'f': return s->n_ff;
    case 'g': return 2 * (int64_t)s->n_ff;
    case 'h': return s->head_dim;
    case 'r': return net->rope.n_rot / 2;
    case 'v': return s->n_vocab;
    case 'x': return s->n_experts;
    }
    return 1;
}

/* In its shape? `deep`: how many of them lie behind each other. */
static enum err_code check(struct walker *w, const struct tensor *t, const char *name,
                           const struct decoder_tensor *row, int64_t deep)
{
    int64_t k = extent(w->net, row->k), n = extent(w->net, row->n);
    if (t->ne[0] != k || t->ne[1] != n || t->ne[2] != deep || t->ne[3] != 1)
        return err_set(w->err, ERR_FORMAT,
                       "%s: tensor %s is %lld x %lld x %lld x %lld, want %lld x %lld x %lld x 1",
                       gguf_name(w->g), name, (long long)t->ne[0], (long long)t->ne[1],
                       (long long)t->ne[2], (long long)t->ne[3], (long long)k, (long long)n,
                       (long long)deep);
    if (row->kind != DECODER_VEC && !mat_bytes(t->type, n, k))
        return err_set(w->err, ERR_FORMAT, "%s: tensor %s: no kernel for type %s", gguf_name(w->g),
                       name, tensor_type_name(t->type));
    return OK;
}

static enum err_code visit(struct walker *w, const struct decoder_tensor *row,
                           const struct tensor *t, int layer, int expert, int64_t row0)
{
    struct decoder_found f = {row, t, layer, expert, row0, extent(w->net, row->n),
                              extent(w->net, row->k)};
    w->used[t - gguf_tensor_at(w->g, 0)] = true;
    return w->visit(w->arg, &f, w->err);
}

/* Experts in one tensor, or (older files) "ffn_gate.E.weight" each in its own. */
static enum err_code walk_experts(struct walker *w, const struct decoder_tensor *row, int layer)
{
    char name[96];
    int n = w->net->shape.n_experts;
    snprintf(name, sizeof(name), "blk.%d.%s", layer, row->name);
    const struct tensor *all = gguf_tensor(w->g, name);
    enum err_code rc = all ? check(w, all, name, row, n) : OK;
    for (int e = 0; e < n && !rc; e++) {
        const struct tensor *t = all;
        if (!t) {
            int stem = (int)(strstr(row->name, "_exps") - row->name);
            snprintf(name, sizeof(name), "blk.%d.%.*s.%d.weight", layer, stem, row->name, e);
            t = gguf_tensor(w->g, name);
            rc = t ? check(w, t, name, row, 1)
                   : err_set(w->err, ERR_FORMAT, "%s: no tensor %s", gguf_name(w->g), name);
        }
        if (!rc)
            rc = visit(w, row, t, layer, e, all ? e * extent(w->net, row->n) : 0);
    }
    return rc;
}

static enum err_code walk_one(struct walker *w, const struct decoder_tensor *row, int layer)
{
    struct decoder_net *net = w->net;
    char name[96];
    bool must = !row->part || (net->parts & row->part);
    if (!must && !(net->arch->may & row->part))
        return OK;
    if (row->kind == DECODER_EXPERTS)
        return walk_experts(w, row, layer);
    if (layer < 0)
        snprintf(name, sizeof(name), "%s", row->name);
    else
        snprintf(name, sizeof(name), "blk.%d.%s", layer, row->name);
    const struct tensor *t = gguf_tensor(w->g, name);
    if (!t && must)
        return err_set(w->err, ERR_FORMAT, "%s: no tensor %s", gguf_name(w->g), name);
    if (!t)
        return OK;
    enum err_code rc = check(w, t, name, row, 1);
    return rc ? rc : visit(w, row, t, layer, -1, 0);
}

static enum err_code check_unknown(const struct walker *w)
{
    for (size_t i = 0; i < gguf_n_tensors(w->g); i++) {
        struct str name = gguf_tensor_at(w->g, i)->name;
        if (!w->used[i])
            return err_set(w->err, ERR_FORMAT, "%s: tensor %.*s is no part of a %s of %d layers",
                           gguf_name(w->g), (int)(name.len < 80 ? name.len : 80), name.ptr,
                           w->net->arch->name, w->net->shape.n_layers);
    }
    return OK;
}

enum err_code decoder_walk(const struct gguf *g, struct decoder_net *net, decoder_visit *fn,
                           void *arg, struct err *err)
{
    struct walker w = {g, net, fn, arg, calloc(gguf_n_tensors(g) + 1, sizeof(bool)), err};
    if (!w.used)
        return err_set(err, ERR_NOMEM, "%s", gguf_name(g));
    enum err_code rc = OK;
    net->shape.tied = !gguf_tensor(g, "output.weight");
    for (int i = 0; i < decoder_n_tensors && !rc; i++)
        rc = walk_one(&w, &decoder_tensors[i], -1);
    for (int l = 0; l < net->shape.n_layers && !rc; l++)
        for (int i = 0; i < decoder_n_layer_tensors && !rc; i++)
            rc = walk_one(&w, &decoder_layer_tensors[i], l);
    if (!rc)
        rc = check_unknown(&w);
    free(w.used);
    return rc;
}
