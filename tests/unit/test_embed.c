/* tests/unit/test_embed.c - the front door: which encoder, which prefix, whose
 * turn. What the encoders compute is in test_bert.c and test_table.c. */
#include <math.h>
#include <pthread.h>
#include <unistd.h>
#include "base/file.h"
#include "embed/embed.h"
#include "model/gguf.h"
#include "tests/bert_model.h"
#include "tests/test.h"

static struct embed *open_builtin(struct team *team)
{
    struct err err = {0};
    struct embed *e;
    struct embed_options opt = {.team = team};
    CHECK_OK(embed_open(&opt, &e, &err), &err);
    return e;
}

static double dot(const float *a, const float *b, int n)
{
    double s = 0;
    for (int i = 0; i < n; i++)
        s += (double)a[i] * b[i];
    return s;
}

TEST(embed_without_a_model_uses_the_built_in_table)
{
    struct embed *e = open_builtin(NULL);
    const struct embed_stamp *s = embed_stamp(e);
    CHECK(strcmp(s->arch, "static") == 0 && strcmp(s->pooling, "sum") == 0);
    CHECK(s->dim >= 32 && s->max_tokens > 100000 && s->version == EMBED_VERSION);
    CHECK(s->dense_weight >= 0 && s->dense_weight <= 1);
    CHECK(strlen(s->hash) == 32 && s->name[0]);
    CHECK(s->query_prefix[0] == '\0' && s->passage_prefix[0] == '\0');
    embed_close(e);
}

TEST(embed_puts_what_means_the_same_nearer_than_what_does_not)
{
    struct embed *e = open_builtin(NULL);
    struct err err = {0};
    struct str texts[] = {STR("The physician treated the sick child."),
                          STR("The central bank raised interest rates."), STR(""), STR("  \n ")};
    int dim = embed_stamp(e)->dim, tokens[4];
    float *v = malloc(5 * (size_t)dim * sizeof(float)), *q = v + 4 * dim;
    CHECK_OK(embed_texts(e, texts, 4, v, tokens, NULL, &err), &err);
    CHECK_OK(embed_query(e, STR("a doctor caring for a patient"), q, &err), &err);
    CHECK_NEAR(dot(v, v, dim), 1, 1e-5);
    CHECK(dot(q, v, dim) > dot(q, v + dim, dim) + 0.1);
    CHECK(dot(v + 2 * dim, v + 2 * dim, dim) == 0 && dot(v + 3 * dim, v + 3 * dim, dim) == 0);
    CHECK(tokens[0] >= 7 && tokens[2] == 0);
    free(v);
    embed_close(e);
}

TEST(embed_of_many_texts_equals_embed_of_each)
{
    enum { N = 700 };                      /* past one batch of the table */
    static char line[N][40];
    struct str texts[N];
    struct team *team;
    struct err err = {0};
    CHECK_OK(team_new(3, &team, &err), &err);
    struct embed *alone = open_builtin(NULL), *many = open_builtin(team);
    int dim = embed_stamp(alone)->dim;
    float *v = malloc(N * (size_t)dim * sizeof(float)), *one = malloc((size_t)dim * sizeof(float));
    for (int i = 0; i < N; i++) {
        snprintf(line[i], sizeof(line[i]), "report %d about topic %d", i, i * i % 97);
        texts[i] = str_of(line[i]);
    }
    CHECK_OK(embed_texts(many, texts, N, v, NULL, NULL, &err), &err);
    for (int i = 0; i < N; i++) {
        CHECK_OK(embed_texts(alone, &texts[i], 1, one, NULL, NULL, &err), &err);
        CHECK(memcmp(one, v + (size_t)i * (size_t)dim, (size_t)dim * sizeof(float)) == 0);
    }
    free(v);
    free(one);
    embed_close(alone);
    embed_close(many);
    team_free(team);
}

TEST(embed_counts_add_up_over_pieces_cut_at_white_space)
{
    struct embed *e = open_builtin(NULL);
    struct err err = {0};
    struct str text = STR("Annual reports, un-audited; and 3.14 naive  caf\xc3\xa9s (see p. 7)!");
    int whole, a, b;
    CHECK_OK(embed_count_tokens(e, text, &whole, &err), &err);
    for (size_t i = 1; i < text.len; i++) {
        if (text.ptr[i] != ' ')
            continue;
        CHECK_OK(embed_count_tokens(e, str_sub(text, 0, i), &a, &err), &err);
        CHECK_OK(embed_count_tokens(e, str_sub(text, i, text.len), &b, &err), &err);
        CHECK_INT(a + b, whole);
    }
    embed_close(e);
}

TEST(embed_stops_between_batches_when_asked)
{
    struct embed *e = open_builtin(NULL);
    struct err err = {0};
    struct stop stop = {0};
    struct str text = STR("hello");
    float *v = malloc((size_t)embed_stamp(e)->dim * sizeof(float));
    CHECK_OK(embed_texts(e, &text, 1, v, NULL, &stop, &err), &err);
    stop_set(&stop);
    CHECK_ERR(embed_texts(e, &text, 1, v, NULL, &stop, &err), ERR_CANCELLED);
    CHECK_OK(embed_texts(e, &text, 0, v, NULL, NULL, &err), &err);
    free(v);
    embed_close(e);
}

TEST(embed_refuses_what_it_cannot_be)
{
    struct embed *e;
    struct err err = {0};
    char path[512];
    CHECK_ERR(embed_open(&(struct embed_options){.model_path = "/nowhere.gguf"}, &e, &err),
              ERR_NOTFOUND);
    CHECK_ERR(embed_open(&(struct embed_options){.pooling = "cls"}, &e, &err), ERR_ARG);
    snprintf(path, sizeof(path), "%s/llama.gguf", scratch_dir());
    struct gguf_writer *w = gguf_writer_new();
    gguf_put_str(w, "general.architecture", STR("llama"));
    CHECK_OK(gguf_save(w, path, &err), &err);
    gguf_writer_free(w);
    CHECK_ERR(embed_open(&(struct embed_options){.model_path = path}, &e, &err), ERR_FORMAT);
    CHECK(strstr(err.msg, "llama"));
}

/* A BERT of one layer whose name decides the prefixes. */
static const char *tiny_bert(const char *name, const char *query_prefix)
{
    static char path[512];
    static const struct str words[] = {{"[UNK]", 5}, {"[CLS]", 5}, {"[SEP]", 5}, {"a", 1},
                                       {"##b", 3}, {"query", 5}, {"passage", 7}, {":", 1}};
    struct err err = {0};
    struct bert_model m = {.name = name, .query_prefix = query_prefix, .layers = 1, .dim = 32,
                           .heads = 4, .ffn = 64, .context = 16, .pieces = 8, .pooling = 1,
                           .vocabulary = words};
    snprintf(path, sizeof(path), "%s/tiny.gguf", scratch_dir());
    CHECK_OK(bert_model_write(path, &m, &err), &err);
    return path;
}

TEST(embed_takes_prefixes_from_the_option_the_file_or_the_family)
{
    static const struct { const char *name, *file, *option, *query, *passage; } cases[] = {
        {"bge-small-en-v1.5", NULL, NULL,
         "Represent this sentence for searching relevant passages: ", ""},
        {"BGE Base", NULL, NULL, "Represent this sentence for searching relevant passages: ", ""},
        {"e5-small-v2", NULL, NULL, "query: ", "passage: "},
        {"all-MiniLM-L6-v2", NULL, NULL, "", ""},
        {"gte-base5", NULL, NULL, "", ""},
        {"bge-small-en-v1.5", "ask: ", NULL, "ask: ", ""},
        {"bge-small-en-v1.5", "ask: ", "", "", ""}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct embed *e;
        struct err err = {0};
        struct embed_options opt = {.model_path = tiny_bert(cases[i].name, cases[i].file),
                                    .query_prefix = cases[i].option};
        CHECK_OK(embed_open(&opt, &e, &err), &err);
        CHECK_STR(str_of(embed_stamp(e)->query_prefix), cases[i].query);
        CHECK_STR(str_of(embed_stamp(e)->passage_prefix), cases[i].passage);
        CHECK_STR(str_of(embed_stamp(e)->name), cases[i].name);
        embed_close(e);
    }
}

TEST(embed_prefixes_stand_before_the_words)
{
    struct err err = {0};
    struct embed *e5, *plain;
    struct embed_options opt = {.model_path = tiny_bert("e5", NULL)};
    CHECK_OK(embed_open(&opt, &e5, &err), &err);
    opt.model_path = tiny_bert("plain", NULL);
    CHECK_OK(embed_open(&opt, &plain, &err), &err);
    float a[32], b[32];
    int tokens;
    struct str text = STR("ab"), with = STR("passage: ab"), question = STR("query: ab");
    CHECK_OK(embed_texts(e5, &text, 1, a, &tokens, NULL, &err), &err);
    CHECK_INT(tokens, 6);
    CHECK_OK(embed_texts(plain, &with, 1, b, NULL, NULL, &err), &err);
    CHECK(memcmp(a, b, sizeof(a)) == 0);
    CHECK_OK(embed_query(e5, text, a, &err), &err);
    CHECK_OK(embed_texts(plain, &question, 1, b, NULL, NULL, &err), &err);
    CHECK(memcmp(a, b, sizeof(a)) == 0);
    embed_close(e5);
    embed_close(plain);
}

struct asker { struct embed *e; bool question; const float *want; int wrong; };

/* Every byte of the file becomes 0x3c, as by `cp other.gguf model.gguf` while we run. */
static void write_over(const char *path)
{
    FILE *f = fopen(path, "r+b");
    CHECK(f != NULL && fseek(f, 0, SEEK_END) == 0);
    long n = ftell(f);
    rewind(f);
    for (long i = 0; i < n; i++)
        putc(0x3c, f);
    CHECK(fclose(f) == 0);
}

static const char *copy_of(const char *path)
{
    static char to[512];
    struct buf bytes = {0};
    struct err err = {0};
    snprintf(to, sizeof(to), "%s/copy.gguf", scratch_dir());
    CHECK_OK(file_read(path, 64 << 20, &bytes, &err), &err);
    CHECK_OK(file_write_atomic(to, buf_view(&bytes), &err), &err);
    buf_free(&bytes);
    return to;
}

TEST(embed_gives_the_same_vectors_after_its_file_was_written_over)
{
    static const char *const files[] = {"embed/encoder.gguf", "tests/golden/bert_tiny.gguf"};
    for (int i = 0; i < 2; i++) {
        struct embed *e;
        struct err err = {0};
        const char *path = copy_of(files[i]);
        const struct embed_options opt = {.model_path = path};
        CHECK_OK(embed_open(&opt, &e, &err), &err);
        size_t dim = (size_t)embed_stamp(e)->dim;
        float *before = malloc(2 * dim * sizeof(float)), *after = before + dim;
        const struct str text = STR("the cat reads a book in the house");
        CHECK_OK(embed_texts(e, &text, 1, before, NULL, NULL, &err), &err);
        write_over(path);
        CHECK_OK(embed_texts(e, &text, 1, after, NULL, NULL, &err), &err);
        CHECK(memcmp(before, after, dim * sizeof(float)) == 0);
        CHECK(truncate(path, 10) == 0);
        CHECK_OK(embed_texts(e, &text, 1, after, NULL, NULL, &err), &err);
        CHECK(memcmp(before, after, dim * sizeof(float)) == 0);
        free(before);
        embed_close(e);
    }
}

static void *ask(void *arg)
{
    struct asker *a = arg;
    struct str texts[] = {STR("ab"), STR("a a ab"), STR("ab a")};
    for (int i = 0; i < 50; i++) {
        float out[3 * 32];
        enum err_code rc = a->question ? embed_query(a->e, texts[0], out, NULL)
                                       : embed_texts(a->e, texts, 3, out, NULL, NULL, NULL);
        a->wrong += rc || memcmp(out, a->want, sizeof(float) * 32) != 0;
    }
    return NULL;
}

TEST(embed_may_be_called_from_many_threads)
{
    struct err err = {0};
    struct team *team;
    struct embed *e;
    CHECK_OK(team_new(2, &team, &err), &err);
    struct embed_options opt = {.model_path = tiny_bert("plain", NULL), .team = team};
    CHECK_OK(embed_open(&opt, &e, &err), &err);
    float want[32];
    CHECK_OK(embed_query(e, STR("ab"), want, &err), &err);
    pthread_t thread[4];
    struct asker askers[4];
    for (int i = 0; i < 4; i++) {
        askers[i] = (struct asker){e, i % 2, want, 0};
        CHECK(pthread_create(&thread[i], NULL, ask, &askers[i]) == 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        CHECK_INT(askers[i].wrong, 0);
    }
    embed_close(e);
    team_free(team);
}
