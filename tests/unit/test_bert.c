/* tests/unit/test_bert.c - the BERT encoder against numbers of an independent
 * forward pass (tests/tools/bert_oracle.py), and against files that lie.
 *
 * tests/golden/bert_tiny.gguf: two layers of 32, four heads, random weights;
 * bert_tiny.txt: pooling, text, vector. The large shapes of bge-small and
 * bge-base are tests/system/bert_oracle.py's. */
#include <math.h>
#include "base/arena.h"
#include "base/file.h"
#include "base/rng.h"
#include "embed/bert.h"
#include "embed/embed.h"
#include "tests/test.h"

#define TINY "tests/golden/bert_tiny.gguf"
#define DIM 32
#define TEXTS 9

struct golden {
    struct buf file;
    struct str text[TEXTS];
    float want[2][TEXTS][DIM];   /* mean, cls */
};

static void read_golden(struct golden *g)
{
    struct err err = {0};
    *g = (struct golden){0};
    CHECK_OK(file_read("tests/golden/bert_tiny.txt", 1 << 20, &g->file, &err), &err);
    struct str rest = buf_view(&g->file), line, pooling;
    int seen[2] = {0};
    while (str_split(&rest, '\n', &line)) {
        if (!line.len || line.ptr[0] == '#')
            continue;
        CHECK(str_split(&line, '\t', &pooling));
        int cls = str_eqz(pooling, "cls"), i = seen[cls]++;
        CHECK(i < TEXTS && str_split(&line, '\t', &g->text[i]));
        char *p = (char *)line.ptr;
        for (int k = 0; k < DIM; k++)
            g->want[cls][i][k] = strtof(p, &p);
    }
    CHECK(seen[0] == TEXTS && seen[1] == TEXTS);
}

static struct embed *open_tiny(const char *pooling, struct team *team)
{
    struct err err = {0};
    struct embed *e;
    struct embed_options opt = {.model_path = TINY, .pooling = pooling, .team = team};
    CHECK_OK(embed_open(&opt, &e, &err), &err);
    return e;
}

TEST(bert_gives_the_vectors_of_the_independent_forward_pass)
{
    static struct golden g;
    read_golden(&g);
    for (int cls = 0; cls < 2; cls++) {
        struct embed *e = open_tiny(cls ? "cls" : "mean", NULL);
        float out[TEXTS][DIM];
        int tokens[TEXTS];
        struct err err = {0};
        CHECK_OK(embed_texts(e, g.text, TEXTS, out[0], tokens, NULL, &err), &err);
        for (int i = 0; i < TEXTS; i++)
            for (int k = 0; k < DIM; k++)
                CHECK_NEAR(out[i][k], g.want[cls][i][k], 2e-6);
        CHECK(tokens[0] == 2 && tokens[1] == 3 && tokens[7] == 40 && tokens[8] == 47);
        embed_close(e);
    }
}

TEST(bert_gives_a_text_the_same_bits_in_any_batch_order_and_team)
{
    static struct golden g;
    read_golden(&g);
    enum { N = 150 };                      /* several batches of 1024 tokens */
    static float alone[TEXTS][DIM], mixed[N][DIM];
    struct str texts[N];
    struct team *team;
    struct err err = {0};
    CHECK_OK(team_new(3, &team, &err), &err);
    struct embed *one = open_tiny("mean", NULL), *many = open_tiny("mean", team);
    for (int i = 0; i < TEXTS; i++)
        CHECK_OK(embed_texts(one, &g.text[i], 1, alone[i], NULL, NULL, &err), &err);
    struct rng rng;
    rng_init(&rng, 8);
    for (int round = 0; round < 4; round++) {
        int pick[N];
        for (int i = 0; i < N; i++)
            texts[i] = g.text[pick[i] = (int)rng_below(&rng, TEXTS)];
        CHECK_OK(embed_texts(round % 2 ? one : many, texts, N, mixed[0], NULL, NULL, &err), &err);
        for (int i = 0; i < N; i++)
            CHECK_MSG(memcmp(mixed[i], alone[pick[i]], sizeof(alone[0])) == 0,
                      "round %d: text %d of the batch (%d) differs", round, i, pick[i]);
    }
    embed_close(one);
    embed_close(many);
    team_free(team);
}

TEST(bert_cuts_at_the_window_and_says_so)
{
    static struct golden g;
    read_golden(&g);
    struct embed *e = open_tiny("cls", NULL);
    struct err err = {0};
    struct buf b = {0};
    float cut[DIM], longer[DIM];
    int tokens, n;
    CHECK_INT(embed_stamp(e)->max_tokens, 40);
    buf_str(&b, g.text[8]);
    for (int i = 0; i < 5000; i++)
        buf_puts(&b, " ba");
    struct str text = buf_view(&b);
    CHECK_OK(embed_texts(e, &g.text[8], 1, cut, NULL, NULL, &err), &err);
    CHECK_OK(embed_texts(e, &text, 1, longer, &tokens, NULL, &err), &err);
    CHECK_INT(tokens, 5047);
    CHECK(memcmp(cut, longer, sizeof(cut)) == 0);
    CHECK_OK(embed_count_tokens(e, text, &n, &err), &err);
    CHECK_INT(n, 5045);
    buf_free(&b);
    embed_close(e);
}

TEST(bert_pools_as_the_file_says_unless_told)
{
    static struct golden g;
    read_golden(&g);
    struct embed *e = open_tiny(NULL, NULL);
    struct err err = {0};
    float out[DIM];
    CHECK(strcmp(embed_stamp(e)->pooling, "cls") == 0);
    CHECK(strcmp(embed_stamp(e)->arch, "bert") == 0);
    CHECK_INT(embed_stamp(e)->dim, DIM);
    CHECK_OK(embed_texts(e, &g.text[3], 1, out, NULL, NULL, &err), &err);
    for (int k = 0; k < DIM; k++)
        CHECK_NEAR(out[k], g.want[1][3][k], 2e-6);
    embed_close(e);
    struct embed_options opt = {.model_path = TINY, .pooling = "last"};
    CHECK_ERR(embed_open(&opt, &e, &err), ERR_ARG);
}

/* ---- files that lie */

static const char *const int_keys[] = {
    "bert.block_count", "bert.context_length", "bert.embedding_length",
    "bert.feed_forward_length", "bert.attention.head_count", "bert.pooling_type"};
#define N_KEYS 6

/* The tiny model again, with one key, one tensor or one weight changed. */
struct change {
    const char *key;         /* of int_keys, or NULL */
    uint32_t value;
    const char *tensor;      /* left out, or NULL */
    const char *transposed;  /* its dimensions swapped, or NULL */
    const char *poisoned;    /* given a NaN, or NULL */
    enum tensor_type type;   /* of the matrices */
};

static void copy_keys(struct gguf_writer *w, const struct gguf *g, const struct change *c)
{
    static struct str tokens[4096];
    struct err err = {0};
    size_t n = 0;
    double eps = 0;
    gguf_put_str(w, "general.architecture", STR("bert"));
    for (int i = 0; i < N_KEYS; i++) {
        int64_t v = 0;
        CHECK_OK(gguf_int(g, int_keys[i], 0, 1 << 30, &v, &err), &err);
        bool changed = c->key && strcmp(c->key, int_keys[i]) == 0;
        gguf_put_u32(w, int_keys[i], changed ? c->value : (uint32_t)v);
    }
    CHECK_OK(gguf_num(g, "bert.attention.layer_norm_epsilon", &eps, &err), &err);
    gguf_put_f32(w, "bert.attention.layer_norm_epsilon", (float)eps);
    gguf_put_str(w, "tokenizer.ggml.model", STR("bert"));
    CHECK_OK(gguf_array(g, "tokenizer.ggml.tokens", true, &n, &err), &err);
    for (size_t i = 0; i < n; i++)
        tokens[i] = gguf_array_str(g, "tokenizer.ggml.tokens", i);
    gguf_put_strs(w, "tokenizer.ggml.tokens", tokens, n);
}

static void copy_tensor(struct gguf_writer *w, struct arena *a, const struct tensor *t,
                        const struct change *c)
{
    char name[64];
    snprintf(name, sizeof(name), "%.*s", STR_ARG(t->name));
    int64_t ne[2] = {t->ne[0], t->ne[1]};
    size_t count = (size_t)(ne[0] * ne[1]);
    float *f = arena_alloc(a, count, sizeof(*f));
    for (int64_t r = 0; r < ne[1]; r++)
        tensor_row(t, r, f + r * ne[0]);
    if (c->poisoned && strcmp(c->poisoned, name) == 0)
        f[count - 1] = NAN;
    if (c->transposed && strcmp(c->transposed, name) == 0) {
        ne[0] = t->ne[1];
        ne[1] = t->ne[0];
    }
    enum tensor_type type = t->n_dims == 2 ? c->type : TENSOR_F32;
    size_t row = tensor_row_bytes(type, ne[0]);
    uint8_t *bytes = arena_alloc(a, row, (size_t)ne[1]);
    for (int64_t r = 0; r < ne[1]; r++)
        tensor_quant(type, f + r * ne[0], ne[0], bytes + (size_t)r * row);
    gguf_put_tensor(w, name, type, t->n_dims, ne, bytes);
}

static enum err_code open_changed(struct change c, struct embed **e, struct err *err)
{
    static int number;
    char path[512];
    struct gguf *g;
    struct arena a = {0};
    snprintf(path, sizeof(path), "%s/model%d.gguf", scratch_dir(), number++);
    CHECK_OK(gguf_open(TINY, &g, err), err);
    struct gguf_writer *w = gguf_writer_new();
    copy_keys(w, g, &c);
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct tensor *t = gguf_tensor_at(g, i);
        if (!c.tensor || !str_eqz(t->name, c.tensor))
            copy_tensor(w, &a, t, &c);
    }
    CHECK_OK(gguf_save(w, path, err), err);
    gguf_writer_free(w);
    arena_deinit(&a);
    gguf_close(g);
    struct embed_options opt = {.model_path = path};
    return embed_open(&opt, e, err);
}

static void expect_refusal(struct change c, const char *word)
{
    struct embed *e;
    struct err err = {0};
    CHECK_ERR(open_changed(c, &e, &err), ERR_FORMAT);
    CHECK_MSG(strstr(err.msg, word), "\"%s\" does not name %s", err.msg, word);
}

TEST(bert_files_whose_numbers_lie_are_refused_by_name)
{
    static const uint32_t values[] = {0, 1, 3, 31, 33, 513, 1u << 20, UINT32_MAX};
    for (int k = 0; k < N_KEYS; k++)
        for (size_t v = 0; v < sizeof(values) / sizeof(*values); v++) {
            struct change c = {.key = int_keys[k], .value = values[v]};
            if (k == 5 && values[v] == 1)
                continue;                  /* mean is as good */
            if (k == 0 && values[v] == 1)
                continue;                  /* fewer layers than tensors do no harm */
            if (k == 4 && values[v] == 1)
                continue;                  /* one head is a model, if another */
            expect_refusal(c, "");
        }
    expect_refusal((struct change){.key = "bert.attention.head_count", .value = 3}, "3 heads");
    expect_refusal((struct change){.key = "bert.block_count", .value = 3}, "blk.2.attn_q.weight");
    expect_refusal((struct change){.key = "bert.pooling_type", .value = 3}, "pooling_type");
}

TEST(bert_files_whose_tensors_lack_or_do_not_fit_are_refused_by_name)
{
    static const char *const names[] = {
        "token_embd.weight", "position_embd.weight", "token_embd_norm.bias",
        "blk.0.attn_q.weight", "blk.1.ffn_down.bias", "blk.1.layer_output_norm.weight"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        expect_refusal((struct change){.tensor = names[i]}, names[i]);
    expect_refusal((struct change){.transposed = "blk.0.ffn_up.weight"}, "blk.0.ffn_up.weight");
    expect_refusal((struct change){.transposed = "token_embd.weight"}, "token_embd.weight");
    expect_refusal((struct change){.poisoned = "blk.1.attn_v.weight"}, "not finite");
}

TEST(bert_without_token_kinds_is_another_model_and_works)
{
    struct embed *e;
    struct err err = {0};
    struct str text = STR("ba be bi");
    float out[DIM];
    CHECK_OK(open_changed((struct change){.tensor = "token_types.weight"}, &e, &err), &err);
    CHECK_OK(embed_texts(e, &text, 1, out, NULL, NULL, &err), &err);
    embed_close(e);
}

TEST(bert_with_a_nan_among_its_embeddings_fails_on_the_text_that_meets_it)
{
    struct embed *e;
    struct err err = {0};
    struct str good = STR("ba be bi"), last = STR("ba su");   /* su is the last piece */
    float out[DIM];
    CHECK_OK(open_changed((struct change){.poisoned = "token_embd.weight"}, &e, &err), &err);
    CHECK_OK(embed_texts(e, &good, 1, out, NULL, NULL, &err), &err);
    CHECK_ERR(embed_texts(e, &last, 1, out, NULL, NULL, &err), ERR_FORMAT);
    CHECK_OK(embed_texts(e, &good, 1, out, NULL, NULL, &err), &err);
    embed_close(e);
}

TEST(bert_of_quantised_matrices_points_the_same_way)
{
    static const struct { enum tensor_type type; double cosine; } kinds[] = {
        {TENSOR_F16, 0.99999}, {TENSOR_BF16, 0.9998}, {TENSOR_Q8_0, 0.999}, {TENSOR_Q4_0, 0.9}};
    static struct golden g;
    read_golden(&g);
    for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
        struct embed *e;
        struct err err = {0};
        float out[TEXTS][DIM];
        CHECK_OK(open_changed((struct change){.type = kinds[k].type}, &e, &err), &err);
        CHECK_OK(embed_texts(e, g.text, TEXTS, out[0], NULL, NULL, &err), &err);
        for (int i = 0; i < TEXTS; i++) {
            double dot = 0;
            for (int j = 0; j < DIM; j++)
                dot += (double)out[i][j] * g.want[1][i][j];
            CHECK_MSG(dot >= kinds[k].cosine, "%s: text %d has cosine %.6f",
                      tensor_type_name(kinds[k].type), i, dot);
        }
        embed_close(e);
    }
}
