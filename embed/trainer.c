/* embed/trainer.c - vocabulary, batches, steps, file.
 *
 * The step is Adam with one second moment a row instead of one a number: the
 * rows of rare pieces have few gradients, and the mean over their numbers is
 * known long before each number's own (same quality here, two thirds of the
 * memory traffic). Every row moves in every step, so that momentum lasts. */
#include "embed/trainer.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/rng.h"
#include "base/vec.h"
#include "embed/bags.h"
#include "embed/contrast.h"
#include "embed/learn.h"
#include "embed/table.h"
#include "model/gemm.h"
#include "model/gguf.h"
#include "model/wordpiece.h"

#define BETA1      0.9f  /* of the gradient's mean */
#define BETA2      0.98f /* of its square's */
#define WARM_UP    0.05  /* share of the steps in which the rate grows */
#define LAST_RATE  0.02  /* share of the highest rate at the end */
#define ROW_BLOCKS 256
#define PASSES_MAX 1000
#define IDF_MIN    0.1 /* length of the commonest piece's first vector */

struct trainer {
    struct trainer_options opt;
    struct learned vocab;
    struct corpus corpus;
    struct plan *plans; /* [passes] */
    size_t steps;
    struct bags bags;
    struct contrast contrast;
    float *rows, *mean;               /* [pieces][dim]; mean: of the gradient */
    float *square;                    /* [pieces] mean square of the gradient */
    int *first;                       /* [pieces + 1] of the lists below */
    int *texts;                       /* texts that hold a piece, in order */
    float *weights;                   /* and how heavily */
    float mean_fix, square_fix, rate; /* of this step */
};

static enum err_code no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "training");
}

static enum err_code check_options(struct trainer_options *o, const struct pairs *p,
                                   struct err *err)
{
    o->dim = o->dim ? o->dim : 768;
    o->pieces = o->pieces ? o->pieces : 26700;
    o->batch = o->batch ? o->batch : 2048;
    o->passes = o->passes ? o->passes : 3;
    o->rate = o->rate != 0 ? o->rate : 0.02;
    o->scale = o->scale != 0 ? o->scale : 20;
    o->views = o->views != 0 ? o->views : 1;
    o->seed = o->seed ? o->seed : 1;
    o->dense_weight = o->dense_weight != 0 ? o->dense_weight : 0.4;
    o->name = o->name ? o->name : "carrel-static";
    if (o->dim < 32 || o->dim > TABLE_DIM_MAX || o->dim % 32)
        return err_set(err, ERR_ARG, "%d dimensions: want a multiple of 32, 32 to %d", o->dim,
                       TABLE_DIM_MAX);
    if (o->batch < 2 || o->batch > 65536)
        return err_set(err, ERR_ARG, "batches of %d pairs: want 2 to 65536", o->batch);
    if (o->passes < 1 || o->passes > PASSES_MAX)
        return err_set(err, ERR_ARG, "%d passes: want 1 to %d", o->passes, PASSES_MAX);
    if (!(o->rate > 0 && o->rate <= 1) || !(o->dense_weight >= 0 && o->dense_weight <= 1))
        return err_set(err, ERR_ARG, "rate %g, dense weight %g: want at most 1", o->rate,
                       o->dense_weight);
    if (p->n < 2)
        return err_set(err, ERR_ARG, "%zu pairs: want 2 at least", p->n);
    return OK;
}

static enum err_code prepare_corpus(struct trainer *t, const struct pairs *p, struct err *err)
{
    const struct learn_options how = {.pieces = t->opt.pieces};
    enum err_code rc = learn_pieces(p, &how, t->opt.stop, &t->vocab, err);
    struct wordpiece *w = NULL;
    if (!rc)
        rc = wordpiece_new(t->vocab.pieces, t->vocab.n, &w, err);
    if (!rc)
        rc = corpus_new(&t->corpus, p, w, t->opt.stop, err);
    wordpiece_free(w);
    if (!rc && t->corpus.n < 2)
        rc = err_set(err, ERR_ARG, "%zu pairs have known words: want 2 at least", t->corpus.n);
    return rc;
}

static enum err_code prepare_plans(struct trainer *t, struct rng *rng, struct err *err)
{
    t->plans = calloc((size_t)t->opt.passes, sizeof(*t->plans));
    if (!t->plans)
        return no_memory(err);
    enum err_code rc = OK;
    for (int i = 0; i < t->opt.passes && !rc; i++) {
        rc = plan_new(&t->plans[i], &t->corpus, t->opt.batch, t->opt.views, rng, err);
        t->steps += rc ? 0 : t->plans[i].n_batches;
    }
    return rc;
}

/* Random directions; rare pieces longer, as a sum of IDF-weighted words has them. */
static void draw_rows(struct trainer *t, struct rng *rng)
{
    size_t dim = (size_t)t->opt.dim;
    for (size_t piece = 0; piece < t->vocab.n; piece++) {
        double with = 1 + (double)t->corpus.texts_with[piece];
        double idf = log((double)t->corpus.n / with);
        double size = (idf > IDF_MIN ? idf : IDF_MIN) / sqrt((double)dim);
        for (size_t i = 0; i < dim; i++)
            t->rows[piece * dim + i] = (float)(size * rng_normal(rng));
    }
}

static enum err_code prepare_rows(struct trainer *t, struct err *err)
{
    size_t n = t->vocab.n, dim = (size_t)t->opt.dim;
    size_t most = (size_t)t->opt.batch * (BAGS_QUERY_MAX + 2 * BAGS_PASSAGE_MAX);
    t->rows = calloc(n * dim, sizeof(*t->rows));
    t->mean = calloc(n * dim, sizeof(*t->mean));
    t->square = calloc(n, sizeof(*t->square));
    t->first = calloc(n + 2, sizeof(*t->first));
    t->texts = calloc(most, sizeof(*t->texts));
    t->weights = calloc(most, sizeof(*t->weights));
    if (!t->rows || !t->mean || !t->square || !t->first || !t->texts || !t->weights)
        return no_memory(err);
    enum err_code rc = bags_new(&t->bags, t->opt.batch, (int)n, err);
    if (!rc)
        rc = contrast_new(&t->contrast, t->opt.dim, t->opt.batch, (float)t->opt.scale, t->opt.team,
                          err);
    return rc;
}

/* From pieces by text to texts by piece. */
static void list_texts(struct trainer *t)
{
    const struct bags *b = &t->bags;
    int n_texts = 2 * b->batch, n = (int)t->vocab.n;
    memset(t->first, 0, ((size_t)n + 2) * sizeof(*t->first));
    for (int i = 0; i < b->start[n_texts]; i++)
        t->first[b->ids[i] + 2]++;
    for (int piece = 0; piece < n; piece++)
        t->first[piece + 2] += t->first[piece + 1];
    for (int text = 0; text < n_texts; text++) {
        for (int i = b->start[text]; i < b->start[text + 1]; i++) {
            int at = t->first[b->ids[i] + 1]++;
            t->texts[at] = text;
            t->weights[at] = b->weights[i];
        }
    }
}

static void move_row(struct trainer *t, size_t piece)
{
    float gradient[TABLE_DIM_MAX];
    size_t dim = (size_t)t->opt.dim;
    float *row = t->rows + piece * dim, *mean = t->mean + piece * dim;
    memset(gradient, 0, dim * sizeof(*gradient));
    for (int i = t->first[piece]; i < t->first[piece + 1]; i++)
        vec_axpy(gradient, t->weights[i], t->contrast.dz + (size_t)t->texts[i] * dim, t->opt.dim);
    float square = vec_dot(gradient, gradient, t->opt.dim) / (float)dim;
    t->square[piece] = BETA2 * t->square[piece] + (1 - BETA2) * square;
    for (size_t i = 0; i < dim; i++)
        mean[i] = BETA1 * mean[i] + (1 - BETA1) * gradient[i];
    float size = sqrtf(t->square[piece] * t->square_fix) + 1e-8f;
    vec_axpy(row, -t->rate * t->mean_fix / size, mean, t->opt.dim);
}

static void move_block(void *arg, int block)
{
    struct trainer *t = arg;
    size_t n = t->vocab.n, from = n * (size_t)block / ROW_BLOCKS;
    size_t to = n * ((size_t)block + 1) / ROW_BLOCKS;
    for (size_t piece = from; piece < to; piece++)
        move_row(t, piece);
}

/* Grows over the first steps, then falls in a straight line. */
static double rate_at(const struct trainer *t, size_t step)
{
    double done = (double)(step + 1) / (double)t->steps;
    if (done < WARM_UP)
        return t->opt.rate * done / WARM_UP;
    return t->opt.rate * (1 - (done - WARM_UP) / (1 - WARM_UP) * (1 - LAST_RATE));
}

static double take_step(struct trainer *t, const struct plan *plan, size_t batch, size_t step,
                        struct rng *rng)
{
    double age = (double)step + 1;
    t->rate = (float)rate_at(t, step);
    t->mean_fix = (float)(1 / (1 - pow((double)BETA1, age)));
    t->square_fix = (float)(1 / (1 - pow((double)BETA2, age)));
    bags_fill(&t->bags, &t->corpus, plan, batch, rng);
    double loss = contrast_step(&t->contrast, t->rows, &t->bags);
    list_texts(t);
    parallel_for(t->opt.team, ROW_BLOCKS, move_block, t);
    return loss;
}

static enum err_code take_steps(struct trainer *t, struct rng *rng, struct trainer_result *out,
                                struct err *err)
{
    size_t step = 0, every = t->steps / 100 ? t->steps / 100 : 1, since = 0;
    double sum = 0;
    for (int pass = 0; pass < t->opt.passes; pass++) {
        for (size_t b = 0; b < t->plans[pass].n_batches; b++) {
            enum err_code rc = stop_check(t->opt.stop, err);
            if (rc)
                return rc;
            sum += take_step(t, &t->plans[pass], b, step++, rng);
            since++;
            if (step % every && step < t->steps)
                continue;
            out->last_loss = sum / (double)since;
            if (step == every)
                out->first_loss = out->last_loss;
            if (t->opt.say)
                t->opt.say(t->opt.arg, step, t->steps, out->last_loss);
            sum = 0;
            since = 0;
        }
    }
    if (!isfinite(out->last_loss))
        return err_set(err, ERR_ARG,
                       "the loss is no number any more: a lower rate than %g is needed",
                       t->opt.rate);
    return OK;
}

static void put_keys(const struct trainer *t, const struct pairs *p, struct gguf_writer *w,
                     struct buf *text)
{
    gguf_put_str(w, "general.architecture", STR("static"));
    gguf_put_str(w, "general.name", str_of(t->opt.name));
    gguf_put_str(
        w, "general.description",
        STR("a vector for each WordPiece; a text's is the unit vector along the sum over its "
            "distinct pieces of (1 + ln tf) times theirs"));
    pairs_name_sources(p, text);
    gguf_put_str(w, "general.sources", buf_view(text));
    buf_reset(text);
    buf_printf(text, "%zu pairs, %d passes, batch %d, scale %g, rate %g, views %g, seed %llu",
               t->corpus.n, t->opt.passes, t->opt.batch, t->opt.scale, t->opt.rate, t->opt.views,
               (unsigned long long)t->opt.seed);
    gguf_put_str(w, "carrel.training", buf_view(text));
    gguf_put_f32(w, "carrel.dense_weight", (float)t->opt.dense_weight);
    gguf_put_u32(w, "static.embedding_length", (uint32_t)t->opt.dim);
    gguf_put_str(w, "tokenizer.ggml.model", STR("bert"));
    gguf_put_strs(w, "tokenizer.ggml.tokens", t->vocab.pieces, t->vocab.n);
    gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", 0);
}

static enum err_code save(const struct trainer *t, const struct pairs *p, const char *path,
                          struct trainer_result *out, struct err *err)
{
    enum tensor_type type = t->opt.bits8 ? TENSOR_Q8_0 : TENSOR_Q4_0;
    size_t dim = (size_t)t->opt.dim, row_bytes = tensor_row_bytes(type, t->opt.dim);
    struct gguf_writer *w = gguf_writer_new();
    char *data = malloc(t->vocab.n * row_bytes);
    struct buf text = {0};
    enum err_code rc = w && data ? OK : no_memory(err);
    if (!rc) {
        put_keys(t, p, w, &text);
        for (size_t i = 0; i < t->vocab.n; i++)
            tensor_quant(type, t->rows + i * dim, t->opt.dim, data + i * row_bytes);
        const int64_t ne[2] = {t->opt.dim, (int64_t)t->vocab.n};
        gguf_put_tensor(w, "token_embd.weight", type, 2, ne, data);
        rc = buf_ok(&text, "the names of the sources", err);
    }
    if (!rc)
        rc = gguf_save(w, path, err);
    struct stat st;
    out->size_bytes = !rc && stat(path, &st) == 0 ? (size_t)st.st_size : 0;
    gguf_writer_free(w);
    free(data);
    buf_free(&text);
    return rc;
}

static void deinit(struct trainer *t)
{
    for (int i = 0; t->plans && i < t->opt.passes; i++)
        plan_deinit(&t->plans[i]);
    free(t->plans);
    contrast_deinit(&t->contrast);
    bags_deinit(&t->bags);
    corpus_deinit(&t->corpus);
    learned_free(&t->vocab);
    free(t->rows);
    free(t->mean);
    free(t->square);
    free(t->first);
    free(t->texts);
    free(t->weights);
}

enum err_code trainer_run(const struct trainer_options *opt, const struct pairs *pairs,
                          const char *path, struct trainer_result *out, struct err *err)
{
    struct trainer t = {.opt = *opt};
    struct rng rng;
    *out = (struct trainer_result){0};
    enum err_code rc = check_options(&t.opt, pairs, err);
    if (!rc)
        rc = gemm_init(err);
    if (rc)
        return rc;
    rng_init(&rng, t.opt.seed);
    rc = prepare_corpus(&t, pairs, err);
    if (!rc && (size_t)t.opt.batch > t.corpus.n)
        t.opt.batch = (int)t.corpus.n;
    if (!rc)
        rc = prepare_plans(&t, &rng, err);
    if (!rc)
        rc = prepare_rows(&t, err);
    if (!rc) {
        draw_rows(&t, &rng);
        rc = take_steps(&t, &rng, out, err);
    }
    if (!rc)
        rc = save(&t, pairs, path, out, err);
    out->pairs = t.corpus.n;
    out->pieces = t.vocab.n;
    out->words = t.vocab.n_words;
    out->steps = t.steps;
    deinit(&t);
    return rc;
}
