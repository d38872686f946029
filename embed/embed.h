/* embed/embed.h - the front door: text to unit vector.
 *
 * Two encoders stand behind it, chosen by the GGUF's architecture:
 *   bert    BERT family (bge, MiniLM, e5, gte): transformer, CLS or mean pooling;
 *   static  a table of token vectors: v = L2(sum over distinct pieces of
 *           (1 + ln tf) E[piece]); the built-in default is one of these.
 * File keys beyond llama.cpp's, all optional: carrel.query_prefix,
 *           carrel.passage_prefix, carrel.dense_weight (else bge's and e5's own
 *           prefixes by general.name, and 0.6, which is a default, not measured).
 * Vectors   float[dim], length 1; a text without any known piece (empty, or all
 *           unknown, under `static`) has the zero vector: callers store none.
 * Threads   locks inside: any thread may call; bert shares one team.
 * Memory    embed_close releases all. Token vectors and weights are copied at embed_open: what
 *           happens to the file afterwards changes no vector.
 * Same text, same bits: whatever the batch, its order or the team's size. */
#ifndef CARREL_EMBED_EMBED_H
#define CARREL_EMBED_EMBED_H
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "base/str.h"
#include "base/thread.h"

struct embed;
struct embed_options {
    const char *model_path;    /* a GGUF; NULL: the built-in table */
    const char *pooling;       /* "cls", "mean"; NULL: as the file says */
    const char *query_prefix;  /* before every question; NULL: as the file says */
    struct team *team;         /* NULL: the caller's thread only */
};

/* What a vector depends on; stored with each collection and compared. */
struct embed_stamp {
    char name[96];             /* general.name of the file */
    char hash[33];             /* XXH3-128 of the file, hex */
    char arch[16];             /* "bert", "static" */
    char pooling[8];           /* "cls", "mean", "sum" */
    char query_prefix[128];
    char passage_prefix[128];
    int dim;
    int max_tokens;            /* window, [CLS] and [SEP] counted; longer texts are cut (and
                                * counted so). A table has no window: 2^20 stands there */
    int version;               /* of our own arithmetic: EMBED_VERSION */
    float dense_weight;        /* 0..1: how much the dense side counts in fusion, measured */
};
#define EMBED_VERSION 1

enum err_code embed_open(const struct embed_options *opt, struct embed **out, struct err *err);
void embed_close(struct embed *e);
const struct embed_stamp *embed_stamp(const struct embed *e);   /* borrowed */

/* out[n][dim]. `tokens`, when not NULL, gets tokens[n]: how many each text has
 * before any cut at max_tokens, prefix, [CLS] and [SEP] counted: more than
 * max_tokens means it was cut. ERR_CANCELLED between batches. */
enum err_code embed_texts(struct embed *e, const struct str *texts, int n, float *out, int *tokens,
                          const struct stop *stop, struct err *err);
/* The same for one question, with the query prefix. */
enum err_code embed_query(struct embed *e, struct str question, float *out, struct err *err);
/* Tokens of the text alone, without [CLS] and [SEP]. Adds up over pieces of a
 * text that are cut at white space. */
enum err_code embed_count_tokens(struct embed *e, struct str text, int *n, struct err *err);
#endif
