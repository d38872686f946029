/* embed/trainer.h - pairs of texts in, a static encoder out.
 *
 * Learns a vocabulary from the pairs (embed/learn.h) and a vector for each piece
 * such that queries lie near their passages (embed/contrast.h), by Adam (Kingma
 * and Ba 2015, arXiv:1412.6980) from random vectors with lengths proportional
 * to inverse document frequency, and writes them as embed/table.h reads them.
 * Threads   one owner; the team shares the work.
 * Same pairs in the same order, options and processor: the same file, whatever
 * the load and the team's size. */
#ifndef CARREL_EMBED_TRAINER_H
#define CARREL_EMBED_TRAINER_H
#include <stdint.h>
#include "base/err.h"
#include "base/thread.h"
#include "embed/pairs.h"
#include "model/tensor.h"

/* The zero value trains what the built-in encoder was made with. */
struct trainer_options {
    int dim;               /* floats in a vector, a multiple of 32, 32..4096; 0: 768 */
    int pieces;            /* size of the vocabulary, 128..200000; 0: 26700 */
    int batch;             /* pairs in a batch, at least 2; 0: 2048; no more than there are */
    int passes;            /* over the pairs, at most 1000; 0: 3 */
    double rate;           /* of learning, at its highest; 0: 0.02 */
    double scale;          /* of cosines before the softmax, at most 40; 0: 20 */
    double views;          /* chance of a passage to ask about itself; 0: 1, < 0: none */
    uint64_t seed;         /* 0: 1 */
    bool bits8;            /* store 8 bits a number instead of 4 */
    double dense_weight;   /* the dense side's share in fusion, to be measured; 0: 0.4 */
    const char *name;      /* general.name; NULL: "carrel-static" */
    struct team *team;
    const struct stop *stop;
    /* Called after a step with the mean loss since the last call, at most about
     * a hundred times; may be NULL. */
    void (*say)(void *arg, size_t step, size_t steps, double loss);
    void *arg;
};

struct trainer_result {
    size_t pairs, pieces, words, steps;
    double first_loss, last_loss;   /* means over the first and the last hundredth */
    size_t size_bytes;
};

/* ERR_ARG when an option is out of its range or there are fewer than 2 pairs;
 * ERR_NOMEM, ERR_CANCELLED, ERR_IO. `path` appears whole or not at all. */
enum err_code trainer_run(const struct trainer_options *opt, const struct pairs *pairs,
                          const char *path, struct trainer_result *out, struct err *err);
#endif
