/* model/vocab_int.h - what vocab.c (opening) and vocab_text.c (text) share. */
#ifndef CARREL_MODEL_VOCAB_INT_H
#define CARREL_MODEL_VOCAB_INT_H
#include "model/bpe.h"
#include "model/piecemap.h"
#include "model/pretoken.h"
#include "model/spm.h"
#include "model/vocab.h"

struct vocab {
    enum vocab_model model;
    int32_t n;
    char *bytes;               /* pieces, then what they stand for where it differs */
    struct str *pieces;        /* [n] as written in the file */
    struct str *texts;         /* [n] the bytes they stand for */
    uint8_t *kinds;            /* [n] enum vocab_kind */
    bool *controls;            /* [n] never out of plain text */
    bool *usable;              /* [n] may be the outcome of merging */
    bool *ends;                /* [n] generating stops here */
    bool *strips;              /* [n] takes the white space behind it along */
    int32_t bos, eos, unk, pad;
    bool add_bos, add_eos, space_prefix;
    struct piecemap names;     /* of pieces */
    int32_t *added;            /* [n_added] pieces found in text before all else, by bytes */
    size_t n_added;
    size_t first[257];         /* added[first[c]..first[c + 1]) begin with byte c */
    const struct pretoken *pre;
    struct spm *spm;
    struct bpe *bpe;
};
#endif
