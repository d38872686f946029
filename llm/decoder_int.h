/* llm/decoder_int.h - what decoder_arch.c, decoder.c and pass.c share. Private
 * to them. */
#ifndef CARREL_LLM_DECODER_INT_H
#define CARREL_LLM_DECODER_INT_H
#include "llm/decoder.h"
#include "llm/rope.h"
#include "model/mat.h"

/* Parts of a net that are there or not. */
enum decoder_part {
    PART_SPLIT = 1 << 0,       /* attn_q, attn_k, attn_v apart */
    PART_FUSED = 1 << 1,       /* attn_qkv in one; ffn_up holds the gate in front */
    PART_QKV_BIAS = 1 << 2,
    PART_O_BIAS = 1 << 3,
    PART_FFN_BIAS = 1 << 4,
    PART_QK_NORM = 1 << 5,     /* of each head of q and k, before it turns */
    PART_POST_NORM = 1 << 6,   /* behind attention and feed-forward, before the sum */
    PART_DENSE = 1 << 7,       /* one feed-forward, gate and up apart */
    PART_EXPERTS = 1 << 8,     /* several, and a router */
    PART_FREQS = 1 << 9,       /* a factor of each pair's frequency */
    PART_LONG = 1 << 10,       /* such factors for long and for short contexts */
    PART_OUTPUT = 1 << 11,     /* an output matrix of its own */
};

struct decoder_arch {
    const char *name;
    unsigned must, may;        /* enum decoder_part */
    bool neighbours;           /* pairs that turn are (2i, 2i + 1), else (i, i + half) */
    bool gelu;                 /* gate by GELU (tanh), else by SiLU */
    bool scaled_embd;          /* embeddings are multiplied by sqrt(n_embd) */
    bool no_window;            /* the key is passed over */
    int pattern;               /* of sliding windows: every pattern-th layer sees all; 0: none does */
    int wide_layers;           /* the size whose scores go by n_embd / n_heads, not head_dim */
    double local_base;         /* rotation of layers with a window; 0: as all */
    int window;                /* when the file has no key */
    double attn_softcap, final_softcap;   /* alike; < 0: this net has none */
};

/* All that the keys say. */
struct decoder_net {
    struct decoder_shape shape;
    const struct decoder_arch *arch;
    unsigned parts;            /* enum decoder_part: what this file has to have or has */
    int pattern;
    double eps, attn_softcap, final_softcap;
    float score_scale, embd_scale;
    size_t exact_bytes;        /* of all weights as floats */
    struct rope_spec rope, rope_local;
};

/* Matrices as [outputs][inputs]; NULL where the net has no such part. */
struct decoder_layer {
    float *attn_norm, *ffn_norm;                 /* [n_embd] */
    float *post_attn_norm, *post_ffn_norm;       /* [n_embd] */
    float *q_norm, *k_norm;                      /* [head_dim] */
    struct mat *q, *k, *v, *qkv, *o;
    float *q_bias, *k_bias, *v_bias, *o_bias;
    struct mat *gate, *up, *gate_up, *down;      /* gate_up: [2 n_ff][n_embd], the gate first */
    float *gate_bias, *up_bias, *down_bias;
    struct mat *router;                          /* [n_experts][n_embd] */
    struct mat **gate_exps, **up_exps, **down_exps;   /* [n_experts] */
};

struct decoder {
    struct decoder_net net;
    struct mat *embd, *output;                   /* output: NULL when tied */
    float *output_norm;
    float *freqs, *freqs_long, *freqs_short;     /* [n_rot / 2] */
    struct decoder_layer *layer;
    struct mat_store *store;                     /* of all matrices */
};

/* One row of the table of tensors: "blk.N." stands before the name of a layer's.
 * Extents by letter: e n_embd, q k a those of queries, keys and all three, f g n_ff
 * once and twice, h head_dim, r n_rot / 2, v n_vocab, x n_experts. */
enum decoder_kind { DECODER_VEC, DECODER_MAT, DECODER_EXPERTS };
struct decoder_tensor {
    const char *name;
    enum decoder_kind kind;
    char k, n;                 /* row length; rows (0 for a vector) */
    unsigned part;             /* enum decoder_part, all of them; 0: always there */
    size_t field;              /* in struct decoder or decoder_layer */
};
extern const struct decoder_tensor decoder_tensors[], decoder_layer_tensors[];
extern const int decoder_n_tensors, decoder_n_layer_tensors;

/* A tensor that was found in shape: rows [row0, row0 + n) of length k. */
struct decoder_found {
    const struct decoder_tensor *row;
    const struct tensor *t;
    int layer, expert;         /* -1: none */
    int64_t row0, n, k;
};
typedef enum err_code decoder_visit(void *arg, const struct decoder_found *f, struct err *err);

/* The keys. ERR_FORMAT with the sentence. */
enum err_code decoder_read_keys(const struct gguf *g, struct decoder_net *out, struct err *err);
/* Every tensor the net has, checked against its shape; a tensor that the net does
 * not know is refused, for leaving it out would give other numbers. Sets what only
 * the tensors tell: net->parts and shape.tied. */
enum err_code decoder_walk(const struct gguf *g, struct decoder_net *net, decoder_visit *visit,
                           void *arg, struct err *err);
/* Of the sliding window of a layer; 0: sees all. */
int decoder_window(const struct decoder_net *net, int layer);
#endif
