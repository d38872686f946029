/* embed/bert_int.h - what bert.c and bert_load.c share. */
#ifndef CARREL_EMBED_BERT_INT_H
#define CARREL_EMBED_BERT_INT_H
#include "embed/bert.h"

/* Matrices are packed for gemm_rows; shapes as [outputs][inputs]. */
struct bert_layer {
    float *q, *k, *v, *o;                  /* [dim][dim] */
    float *q_bias, *k_bias, *v_bias, *o_bias;
    float *norm1, *norm1_bias;             /* behind the attention */
    float *up, *up_bias;                   /* [ffn][dim] */
    float *down, *down_bias;               /* [dim][ffn] */
    float *norm2, *norm2_bias;             /* behind the feed-forward */
};

struct bert {
    struct bert_info info;
    float eps;
    struct wordpiece *wp;
    struct tensor words, places, kinds;    /* [n][dim], our own; kinds may be zero */
    float *norm, *norm_bias;
    struct bert_layer *layer;
    float *weights;                        /* all of the above, one block */
    float *scratch;                        /* the activations below, one block */
    float *x, *q, *k, *v, *mix;            /* [BERT_BATCH_TOKENS][dim] */
    float *up;                             /* [BERT_BATCH_TOKENS][ffn] */
    int32_t *ids;                          /* [BERT_BATCH_TOKENS] */
    int *start;                            /* [BERT_BATCH_TOKENS + 1]: texts' first tokens */
};
#endif
