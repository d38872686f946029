/* embed/embed.c - the front door: which encoder, whose turn, what stamp. */
#include "embed/embed.h"
#include <ctype.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "embed/bert.h"
#include "embed/builtin.h"
#include "embed/table.h"

/* The share of the dense side when a file does not say: a convention between
 * equal weight and dense alone, not measured. */
#define DENSE_WEIGHT 0.6f
#define TABLE_BATCH 256        /* texts between two looks at a struct stop */
#define TABLE_WINDOW (1 << 20) /* a table has none; larger than any chunk */

/* One at a time, a question before the next batch of documents. */
struct gate {
    pthread_mutex_t state;
    pthread_cond_t free;
    bool busy;
    int questions;             /* waiting */
};

struct embed {
    struct gguf *file;
    struct table *table;       /* one of these two */
    struct bert *bert;
    struct team *team;
    struct embed_stamp stamp;
    struct gate gate;
};

static void enter(struct gate *g, bool question)
{
    pthread_mutex_lock(&g->state);
    g->questions += question;
    while (g->busy || (!question && g->questions > 0))
        pthread_cond_wait(&g->free, &g->state);
    g->questions -= question;
    g->busy = true;
    pthread_mutex_unlock(&g->state);
}

static void leave(struct gate *g)
{
    pthread_mutex_lock(&g->state);
    g->busy = false;
    pthread_cond_broadcast(&g->free);
    pthread_mutex_unlock(&g->state);
}

/* Copy into a field of the stamp; ERR_FORMAT when it does not fit whole. */
static enum err_code put(char *to, size_t cap, struct str from, const char *what, struct err *err)
{
    if (from.len >= cap || memchr(from.ptr ? from.ptr : "", 0, from.len))
        return err_set(err, ERR_FORMAT, "%s of %zu bytes: want at most %zu, no NUL", what,
                       from.len, cap - 1);
    if (from.len)
        memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
    return OK;
}

/* At the start of a word: "base5" is no e5. */
static bool mentions(struct str name, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= name.len; i++)
        if ((i == 0 || !isalnum((unsigned char)name.ptr[i - 1])) &&
            str_ieq(str_sub(name, i, i + n), str_of(word)))
            return true;
    return false;
}

/* What a family was trained to see before a question and before a passage
 * (the model cards of BAAI/bge-*-en-v1.5 and intfloat/e5-*). */
static const struct { const char *name, *query, *passage; } families[] = {
    {"bge", "Represent this sentence for searching relevant passages: ", ""},
    {"e5", "query: ", "passage: "},
};

static enum err_code read_prefixes(struct embed *e, const struct embed_options *opt,
                                   struct str name, struct err *err)
{
    struct embed_stamp *s = &e->stamp;
    struct str query = {"", 0}, passage = {"", 0};
    for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++)
        if (e->bert && mentions(name, families[i].name)) {
            query = str_of(families[i].query);
            passage = str_of(families[i].passage);
            break;
        }
    enum err_code rc = gguf_str(e->file, "carrel.query_prefix", &query, err);
    if (!rc || rc == ERR_NOTFOUND)
        rc = gguf_str(e->file, "carrel.passage_prefix", &passage, err);
    if (rc && rc != ERR_NOTFOUND)
        return rc;
    if (opt->query_prefix)
        query = str_of(opt->query_prefix);
    rc = put(s->query_prefix, sizeof(s->query_prefix), query, "a query prefix", err);
    if (!rc)
        rc = put(s->passage_prefix, sizeof(s->passage_prefix), passage, "a passage prefix", err);
    return rc;
}

static enum err_code read_weight(struct embed *e, struct err *err)
{
    double w = DENSE_WEIGHT;
    enum err_code rc = gguf_num(e->file, "carrel.dense_weight", &w, err);
    if (rc && rc != ERR_NOTFOUND)
        return rc;
    if (!(w >= 0 && w <= 1))
        return err_set(err, ERR_FORMAT, "%s: carrel.dense_weight is %g, want 0 to 1",
                       gguf_name(e->file), w);
    e->stamp.dense_weight = (float)w;
    return OK;
}

static enum err_code fill_stamp(struct embed *e, const struct embed_options *opt, struct str name,
                                struct err *err)
{
    struct embed_stamp *s = &e->stamp;
    s->version = EMBED_VERSION;
    gguf_hash(e->file, s->hash);
    if (name.len >= sizeof(s->name))       /* a name may be cut: the hash identifies */
        name.len = sizeof(s->name) - 1;
    enum err_code rc = put(s->name, sizeof(s->name), name, "a model's name", err);
    return rc ? rc : read_prefixes(e, opt, name, err);
}

static enum err_code open_table(struct embed *e, const struct embed_options *opt, struct err *err)
{
    if (opt->pooling)
        return err_set(err, ERR_ARG, "pooling \"%s\" for a static encoder, which has none",
                       opt->pooling);
    enum err_code rc = table_open(e->file, &e->table, err);
    if (!rc && opt->model_path)
        rc = table_keep(e->table, err);
    if (rc)
        return rc;
    struct table_info info = table_info(e->table);
    e->stamp.dim = info.dim;
    e->stamp.dense_weight = info.dense_weight;
    e->stamp.max_tokens = TABLE_WINDOW;
    strcpy(e->stamp.arch, "static");
    strcpy(e->stamp.pooling, "sum");
    return fill_stamp(e, opt, info.name, err);
}

static enum err_code open_bert(struct embed *e, const struct embed_options *opt, struct err *err)
{
    enum bert_pooling pooling = 0;
    if (opt->pooling && strcmp(opt->pooling, "cls") == 0)
        pooling = BERT_CLS;
    else if (opt->pooling && strcmp(opt->pooling, "mean") == 0)
        pooling = BERT_MEAN;
    else if (opt->pooling)
        return err_set(err, ERR_ARG, "pooling \"%s\": want cls or mean", opt->pooling);
    double start = clock_ms();
    enum err_code rc = bert_open(e->file, pooling, &e->bert, err);
    if (rc)
        return rc;
    const struct bert_info *info = bert_info(e->bert);
    e->stamp.dim = info->dim;
    e->stamp.max_tokens = info->window;
    strcpy(e->stamp.arch, "bert");
    strcpy(e->stamp.pooling, info->pooling == BERT_CLS ? "cls" : "mean");
    rc = fill_stamp(e, opt, info->name, err);
    if (!rc)
        rc = read_weight(e, err);
    char quoted[200];
    if (!rc)
        log_info("embed.model", "name=%s layers=%d dim=%d weights_mib=%zu ms=%.0f",
                 log_quote(e->stamp.name, quoted, sizeof(quoted)), info->layers, info->dim,
                 info->weight_bytes >> 20, clock_ms() - start);
    return rc;
}

static enum err_code open_any(struct embed *e, const struct embed_options *opt, struct err *err)
{
    struct str arch = {0};
    enum err_code rc;
    if (opt->model_path)
        rc = gguf_open(opt->model_path, &e->file, err);
    else
        rc = gguf_open_bytes("the built-in encoder", builtin_gguf, builtin_size(), &e->file, err);
    if (rc)
        return rc;
    rc = gguf_str(e->file, "general.architecture", &arch, err);
    if (rc)
        return rc == ERR_NOTFOUND ? ERR_FORMAT : rc;
    if (str_eqz(arch, "static"))
        return open_table(e, opt, err);
    if (str_eqz(arch, "bert"))
        return open_bert(e, opt, err);
    return err_set(err, ERR_FORMAT, "%s: architecture \"%.*s\", want bert or static",
                   gguf_name(e->file), STR_ARG(arch));
}

enum err_code embed_open(const struct embed_options *opt, struct embed **out, struct err *err)
{
    struct embed *e = calloc(1, sizeof(*e));
    if (!e)
        return err_set(err, ERR_NOMEM, "an encoder");
    pthread_mutex_init(&e->gate.state, NULL);
    pthread_cond_init(&e->gate.free, NULL);
    e->team = opt->team;
    enum err_code rc = open_any(e, opt, err);
    if (!rc)
        rc = gguf_intact(e->file, err);
    if (rc) {
        embed_close(e);
        return err_wrap(err, rc, "embedding model");
    }
    *out = e;
    return OK;
}

void embed_close(struct embed *e)
{
    if (!e)
        return;
    table_free(e->table);
    bert_free(e->bert);
    gguf_close(e->file);
    pthread_mutex_destroy(&e->gate.state);
    pthread_cond_destroy(&e->gate.free);
    free(e);
}

const struct embed_stamp *embed_stamp(const struct embed *e)
{
    return &e->stamp;
}

/* A stretch of texts for the table: pieces of parallel work, one text each. */
struct table_job {
    const struct embed *e;
    const struct str *texts;
    float *out;
    int *tokens;
    pthread_mutex_t first;     /* guards err: the first failure is told */
    struct err err;
};

static void run_text(void *arg, int i)
{
    struct table_job *j = arg;
    struct err err = {0};
    enum err_code rc = table_embed(j->e->table, j->texts[i],
                                   j->out + (size_t)i * (size_t)j->e->stamp.dim,
                                   j->tokens ? &j->tokens[i] : NULL, &err);
    if (!rc)
        return;
    pthread_mutex_lock(&j->first);
    if (!j->err.code)
        j->err = err;
    pthread_mutex_unlock(&j->first);
}

static enum err_code run_table(struct embed *e, const struct str *texts, int n, float *out,
                               int *tokens, struct err *err)
{
    struct table_job j = {.e = e, .texts = texts, .out = out, .tokens = tokens,
                          .first = PTHREAD_MUTEX_INITIALIZER};
    parallel_for(e->team, n, run_text, &j);
    return j.err.code ? err_set(err, j.err.code, "%s", j.err.msg) : OK;
}

/* The next few of n texts; *taken says how many. */
static enum err_code run_batch(struct embed *e, const struct str *texts, int n, float *out,
                               int *tokens, int *taken, bool question, struct err *err)
{
    if (e->table) {                        /* immutable: no turns */
        *taken = n < TABLE_BATCH ? n : TABLE_BATCH;
        return run_table(e, texts, *taken, out, tokens, err);
    }
    enter(&e->gate, question);
    enum err_code rc = bert_embed(e->bert, e->team, texts, n, out, tokens, taken, err);
    leave(&e->gate);
    return rc;
}

static enum err_code run_all(struct embed *e, const struct str *texts, int n, float *out,
                             int *tokens, const struct stop *stop, struct err *err)
{
    for (int i = 0, taken = 0; i < n; i += taken) {
        enum err_code rc = stop_check(stop, err);
        if (!rc)
            rc = run_batch(e, texts + i, n - i, out + (size_t)i * (size_t)e->stamp.dim,
                           tokens ? tokens + i : NULL, &taken, false, err);
        if (rc)
            return rc;
    }
    return OK;
}

/* All texts with the passage prefix, in one buffer that the caller frees. */
static enum err_code with_prefix(struct str prefix, const struct str *texts, int n,
                                 struct buf *b, struct str *out, struct err *err)
{
    buf_reserve(b, 1);
    for (int i = 0; i < n; i++) {
        buf_str(b, prefix);
        buf_str(b, texts[i]);
    }
    enum err_code rc = buf_ok(b, "texts to embed", err);
    size_t at = 0;
    for (int i = 0; i < n && !rc; i++) {
        out[i] = (struct str){b->ptr + at, prefix.len + texts[i].len};
        at += out[i].len;
    }
    return rc;
}

enum err_code embed_texts(struct embed *e, const struct str *texts, int n, float *out, int *tokens,
                          const struct stop *stop, struct err *err)
{
    struct str prefix = str_of(e->stamp.passage_prefix);
    if (!prefix.len || n < 1)
        return run_all(e, texts, n, out, tokens, stop, err);
    struct buf b = {0};
    struct str *prefixed = malloc((size_t)n * sizeof(*prefixed));
    enum err_code rc = prefixed ? with_prefix(prefix, texts, n, &b, prefixed, err)
                                : err_set(err, ERR_NOMEM, "%d texts to embed", n);
    if (!rc)
        rc = run_all(e, prefixed, n, out, tokens, stop, err);
    free(prefixed);
    buf_free(&b);
    return rc;
}

enum err_code embed_query(struct embed *e, struct str question, float *out, struct err *err)
{
    struct buf b = {0};
    struct str prefixed;
    int taken;
    enum err_code rc = with_prefix(str_of(e->stamp.query_prefix), &question, 1, &b, &prefixed, err);
    if (!rc)
        rc = run_batch(e, &prefixed, 1, out, NULL, &taken, true, err);
    buf_free(&b);
    return rc;
}

enum err_code embed_count_tokens(struct embed *e, struct str text, int *n, struct err *err)
{
    if (e->table)
        return table_count(e->table, text, n, err);
    size_t pieces = 0;
    enum err_code rc = wordpiece_encode(bert_wordpiece(e->bert), text, NULL, NULL, 0, &pieces, err);
    if (!rc && pieces > INT_MAX)
        rc = err_set(err, ERR_LIMIT, "a text of %zu tokens", pieces);
    if (!rc)
        *n = (int)pieces;
    return rc;
}
