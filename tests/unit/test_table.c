/* The static encoder against the formula, worked out again in doubles. */
#include <math.h>
#include "tests/test.h"
#include "base/rng.h"
#include "embed/builtin.h"
#include "embed/table.h"
#include "model/wordpiece.h"

enum { DIM = 64, ROWS = 8 };
static const char *const pieces[ROWS] = {"[UNK]", "river", "bank", "##s", "loan", "of", ".", "a"};

/* What a file of ROWS random rows is like. */
struct recipe {
    enum tensor_type type;
    const char *arch;
    float weight;
    int64_t rows;
    bool no_number;
};

static const struct recipe plain = {TENSOR_F32, "static", 0.25f, ROWS, false};

static const char *write_table(const struct recipe *r)
{
    static char path[512];
    static float rows[ROWS][DIM];
    static char packed[ROWS * DIM * 4];
    struct rng rng;
    struct str names[ROWS];
    struct err err = {0};
    rng_init(&rng, 7);
    for (int i = 0; i < ROWS; i++) {
        names[i] = str_of(pieces[i]);
        for (int d = 0; d < DIM; d++)
            rows[i][d] = (float)rng_normal(&rng);
    }
    if (r->no_number)
        rows[2][5] = NAN;
    for (int i = 0; i < ROWS; i++)
        tensor_quant(r->type, rows[i], DIM, packed + (size_t)i * tensor_row_bytes(r->type, DIM));
    snprintf(path, sizeof(path), "%s/table.gguf", scratch_dir());
    struct gguf_writer *w = gguf_writer_new();
    gguf_put_str(w, "general.architecture", str_of(r->arch));
    gguf_put_str(w, "general.name", STR("tiny"));
    gguf_put_f32(w, "carrel.dense_weight", r->weight);
    gguf_put_str(w, "tokenizer.ggml.model", STR("bert"));
    gguf_put_strs(w, "tokenizer.ggml.tokens", names, ROWS);
    const int64_t ne[2] = {DIM, r->rows};
    gguf_put_tensor(w, "token_embd.weight", r->type, 2, ne, packed);
    CHECK_OK(gguf_save(w, path, &err), &err);
    gguf_writer_free(w);
    return path;
}

struct opened {
    struct gguf *g;
    struct table *t;
};

static struct opened open_table(const struct recipe *r)
{
    struct opened o = {0};
    struct err err = {0};
    CHECK_OK(gguf_open(write_table(r), &o.g, &err), &err);
    CHECK_OK(table_open(o.g, &o.t, &err), &err);
    return o;
}

static void close_table(struct opened *o)
{
    table_free(o->t);
    gguf_close(o->g);
}

/* The formula over counts[ROWS], in doubles, from the file's own rows. */
static void expect(const struct gguf *g, const int *counts, double *out)
{
    float row[DIM];
    double length = 0;
    memset(out, 0, DIM * sizeof(*out));
    for (int i = 1; i < ROWS; i++) {
        tensor_row(gguf_tensor(g, "token_embd.weight"), i, row);
        for (int d = 0; d < DIM && counts[i]; d++)
            out[d] += (1 + log(counts[i])) * (double)row[d];
    }
    for (int d = 0; d < DIM; d++)
        length += out[d] * out[d];
    for (int d = 0; d < DIM; d++)
        out[d] /= sqrt(length);
}

static void check_formula(enum tensor_type type)
{
    struct recipe r = plain;
    r.type = type;
    struct opened o = open_table(&r);
    struct err err = {0};
    const int counts[ROWS] = {1, 2, 1, 1, 3, 1, 1, 0};
    float got[DIM];
    double want[DIM];
    int tokens = 0;
    expect(o.g, counts, want);
    CHECK_OK(
        table_embed(o.t, STR("River banks of loan, LOAN zebra loan. river"), got, &tokens, &err),
        &err);
    CHECK_INT(tokens, 11);
    for (int d = 0; d < DIM; d++)
        CHECK_NEAR((double)got[d], want[d], 2e-6);
    close_table(&o);
}

TEST(table_vector_is_the_normalised_sum_of_its_pieces_rows)
{
    check_formula(TENSOR_F32);
}

TEST(table_rows_of_half_floats_give_the_same_sum)
{
    check_formula(TENSOR_F16);
}

TEST(table_rows_of_eight_bits_give_the_same_sum)
{
    check_formula(TENSOR_Q8_0);
}

TEST(table_rows_of_four_bits_give_the_same_sum)
{
    check_formula(TENSOR_Q4_0);
}

TEST(table_of_a_text_without_known_pieces_is_zero)
{
    struct opened o = open_table(&plain);
    struct err err = {0};
    float got[DIM];
    int tokens = -1;
    const char *texts[] = {"", "   ", "zebra quagga", "\xff\xfe"};
    const int want[] = {0, 0, 2, 0};
    for (int i = 0; i < 4; i++) {
        CHECK_OK(table_embed(o.t, str_of(texts[i]), got, &tokens, &err), &err);
        CHECK_INT(tokens, want[i]);
        for (int d = 0; d < DIM; d++)
            CHECK(got[d] == 0.0f);
    }
    close_table(&o);
}

TEST(table_of_the_same_words_in_another_order_has_the_same_bits)
{
    struct opened o = open_table(&plain);
    struct err err = {0};
    float a[DIM], b[DIM];
    CHECK_OK(table_embed(o.t, STR("loan of a river bank of river"), a, NULL, &err), &err);
    CHECK_OK(table_embed(o.t, STR("of river of bank a river loan"), b, NULL, &err), &err);
    CHECK(memcmp(a, b, sizeof(a)) == 0);
    close_table(&o);
}

TEST(table_of_a_text_of_many_pieces_keeps_to_the_formula)
{
    struct opened o = open_table(&plain);
    struct err err = {0};
    const int counts[ROWS] = {0, 2000, 1000, 0, 500, 0, 0, 0};
    struct buf text = {0};
    float got[DIM];
    double want[DIM];
    int tokens = 0;
    for (int i = 0; i < 500; i++)
        buf_puts(&text, "river bank river loan river bank river ");
    expect(o.g, counts, want);
    CHECK_OK(table_embed(o.t, buf_view(&text), got, &tokens, &err), &err);
    CHECK_INT(tokens, 3500);
    for (int d = 0; d < DIM; d++)
        CHECK_NEAR((double)got[d], want[d], 2e-6);
    buf_free(&text);
    close_table(&o);
}

TEST(table_count_is_the_number_of_pieces_and_adds_up)
{
    struct opened o = open_table(&plain);
    struct err err = {0};
    int whole = 0, left = 0, right = 0;
    CHECK_OK(table_count(o.t, STR("river banks zebra. a loan"), &whole, &err), &err);
    CHECK_OK(table_count(o.t, STR("river banks"), &left, &err), &err);
    CHECK_OK(table_count(o.t, STR(" zebra. a loan"), &right, &err), &err);
    CHECK_INT(whole, 7);
    CHECK_INT(left + right, whole);
    close_table(&o);
}

TEST(table_tells_what_the_file_says_of_itself)
{
    struct opened o = open_table(&plain);
    struct table_info info = table_info(o.t);
    CHECK_STR(info.name, "tiny");
    CHECK_INT(info.dim, DIM);
    CHECK_INT(info.n_pieces, ROWS);
    CHECK_NEAR((double)info.dense_weight, 0.25, 0);
    close_table(&o);
}

static void refuses(struct recipe r)
{
    struct gguf *g = NULL;
    struct table *t = NULL;
    struct err err = {0};
    CHECK_OK(gguf_open(write_table(&r), &g, &err), &err);
    CHECK_ERR(table_open(g, &t, &err), ERR_FORMAT);
    CHECK(!t && err.msg[0]);
    gguf_close(g);
}

TEST(table_open_refuses_another_architecture)
{
    struct recipe r = plain;
    r.arch = "bert";
    refuses(r);
}

TEST(table_open_refuses_rows_that_do_not_match_the_pieces)
{
    struct recipe r = plain;
    r.rows = ROWS - 1;
    refuses(r);
}

TEST(table_open_refuses_a_weight_that_is_no_share)
{
    struct recipe r = plain;
    r.weight = 1.5f;
    refuses(r);
    r.weight = NAN;
    refuses(r);
}

TEST(table_embed_refuses_rows_that_are_no_numbers)
{
    struct recipe r = plain;
    r.no_number = true;
    struct opened o = open_table(&r);
    struct err err = {0};
    float got[DIM];
    CHECK_OK(table_embed(o.t, STR("river loan"), got, NULL, &err), &err);
    CHECK_ERR(table_embed(o.t, STR("river bank"), got, NULL, &err), ERR_FORMAT);
    close_table(&o);
}

static struct opened open_builtin(void)
{
    struct opened o = {0};
    struct err err = {0};
    CHECK_OK(gguf_open_bytes("built-in", builtin_gguf, builtin_size(), &o.g, &err), &err);
    CHECK_OK(table_open(o.g, &o.t, &err), &err);
    return o;
}

TEST(builtin_encoder_is_small_and_names_its_sources)
{
    struct opened o = open_builtin();
    struct err err = {0};
    struct str sources = {0};
    CHECK(builtin_size() <= 12000000);
    CHECK_OK(gguf_str(o.g, "general.sources", &sources, &err), &err);
    CHECK(str_find(sources, STR("arxiv"), 0) != SIZE_MAX);
    CHECK(str_find(sources, STR("wordnet"), 0) != SIZE_MAX);
    const char *const left_out[] = {"ansible", "git", "logstash"};
    for (int i = 0; i < 3; i++)
        CHECK_MSG(str_find(sources, str_of(left_out[i]), 0) == SIZE_MAX, "%s is in it",
                  left_out[i]);
    struct table_info info = table_info(o.t);
    CHECK_STR(info.name, "carrel-static-en-1");
    CHECK(info.dense_weight > 0.0f && info.dense_weight < 1.0f);
    close_table(&o);
}

static double cosine(const struct opened *o, const char *a, const char *b)
{
    int dim = table_info(o->t).dim;
    float *va = calloc((size_t)dim, sizeof(*va)), *vb = calloc((size_t)dim, sizeof(*vb));
    struct err err = {0};
    double sum = 0;
    CHECK_OK(table_embed(o->t, str_of(a), va, NULL, &err), &err);
    CHECK_OK(table_embed(o->t, str_of(b), vb, NULL, &err), &err);
    for (int d = 0; d < dim; d++)
        sum += (double)va[d] * (double)vb[d];
    free(va);
    free(vb);
    return sum;
}

TEST(builtin_encoder_puts_what_means_the_same_nearer_than_what_does_not)
{
    struct opened o = open_builtin();
    CHECK(cosine(&o, "the automobile broke down", "my car stopped working") >
          cosine(&o, "the automobile broke down", "the soup was very salty") + 0.1);
    CHECK(cosine(&o, "how do doctors treat high blood pressure", "therapy of hypertension") >
          cosine(&o, "how do doctors treat high blood pressure", "sorting algorithms") + 0.1);
    close_table(&o);
}

TEST(builtin_encoder_knows_every_letter_and_digit)
{
    struct opened o = open_builtin();
    struct wordpiece *w = NULL;
    struct err err = {0};
    CHECK_OK(wordpiece_open(o.g, &w, &err), &err);
    for (const char *c = "abcdefghijklmnopqrstuvwxyz0123456789"; *c; c++) {
        const char text[] = {*c, 'q', 'x', *c, 'z', 'q', 'j', *c, 0};
        int32_t ids[16];
        size_t n = 0;
        CHECK_OK(wordpiece_encode(w, str_of(text), ids, NULL, 16, &n, &err), &err);
        for (size_t i = 0; i < n; i++)
            CHECK_MSG(ids[i] != wordpiece_unk(w), "a piece of %s is unknown", text);
    }
    wordpiece_free(w);
    close_table(&o);
}
