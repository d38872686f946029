/* tests/unit/test_wordpiece.c - the tokenizer against published vectors, cases
 * kept as text, and input that means harm. */
#include "base/file.h"
#include "base/rng.h"
#include "model/wordpiece.h"
#include "tests/cases.h"
#include "tests/test.h"

static const char *const some_pieces[] = {
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[", "]", "'", ",", ".", "!", "$", "-",
    "un", "##aff", "##able", "##a", "aff", "able", "hello", "world", "cafe", "a", "##b",
    "b", "cls", "sep", "1", "##2", "##3", "\xe4\xb8\xad", "\xe6\x96\x87", "\xc3\x9f",
    "\xcf\x83", "##\xcf\x83", "\xe2\x82\xac", "i", "naive", "##s", "\xe2\x80\x94", "[unused0]"};
#define N_PIECES (sizeof(some_pieces) / sizeof(*some_pieces))

static struct wordpiece *small(void)
{
    struct str pieces[N_PIECES];
    struct wordpiece *w;
    struct err err = {0};
    for (size_t i = 0; i < N_PIECES; i++)
        pieces[i] = str_of(some_pieces[i]);
    CHECK_OK(wordpiece_new(pieces, N_PIECES, &w, &err), &err);
    return w;
}

static struct wordpiece *the_small;

static void show(struct str text, struct buf *out)
{
    int32_t ids[100];
    size_t n;
    struct err err;
    CHECK_OK(wordpiece_encode(the_small, text, ids, NULL, 100, &n, &err), &err);
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_char(out, ' ');
        buf_str(out, wordpiece_piece(the_small, ids[i]));
    }
}

TEST(wordpiece_splits_the_cases_as_they_say)
{
    the_small = small();
    cases_run("tests/cases/wordpiece.txt", show);
    wordpiece_free(the_small);
}

/* Ids of each text of a vector file: "inp" texts apart by a line, "out" ids. */
TEST(wordpiece_agrees_with_all_vectors_of_bert_bge)
{
    static const char mark[] = "\n__ggml_vocab_test__\n";
    struct err err = {0};
    struct gguf *g;
    struct wordpiece *w;
    struct buf in = {0}, out = {0};
    CHECK_OK(gguf_open(data_path("models/vocab/ggml-vocab-bert-bge.gguf"), &g, &err), &err);
    CHECK_OK(wordpiece_open(g, &w, &err), &err);
    CHECK_OK(file_read(data_path("models/vocab/ggml-vocab-bert-bge.gguf.inp"), 1 << 20, &in, &err),
             &err);
    CHECK_OK(file_read(data_path("models/vocab/ggml-vocab-bert-bge.gguf.out"), 1 << 20, &out, &err),
             &err);
    struct str text = buf_view(&in), lines = buf_view(&out), line;
    int texts = 0;
    for (size_t at = 0, end; str_split(&lines, '\n', &line); at = end + sizeof(mark) - 1) {
        int32_t ids[1000];
        size_t n;
        struct buf got = {0};
        end = str_find(text, STR(mark), at);
        struct str t = str_sub(text, at, end == SIZE_MAX ? text.len : end);
        CHECK_OK(wordpiece_encode(w, t, ids, NULL, 1000, &n, &err), &err);
        for (size_t i = 0; i < n; i++)
            buf_printf(&got, " %d", ids[i]);
        buf_puts(&got, "");
        CHECK_MSG(str_eq(buf_view(&got), line), "text %d: got%s, want%.*s", texts,
                  got.ptr ? got.ptr : "", STR_ARG(line));
        buf_free(&got);
        texts++;
        if (end == SIZE_MAX)
            break;
    }
    CHECK_INT(texts, 47);
    buf_free(&in);
    buf_free(&out);
    wordpiece_free(w);
    gguf_close(g);
}

TEST(wordpiece_ends_stand_just_behind_each_word)
{
    struct wordpiece *w = small();
    int32_t ids[20];
    uint32_t ends[20];
    size_t n;
    struct err err = {0};
    struct str text = STR("  unaffable, cafe\xcc\x81! \xe4\xb8\xad\xe6\x96\x87 zz");
    CHECK_OK(wordpiece_encode(w, text, ids, ends, 20, &n, &err), &err);
    static const uint32_t want[] = {11, 11, 11, 12, 19, 20, 24, 27, 30};
    CHECK_INT(n, 9);
    for (size_t i = 0; i < n; i++)
        CHECK_INT(ends[i], want[i]);
    wordpiece_free(w);
}

TEST(wordpiece_counts_past_the_room_it_is_given)
{
    struct wordpiece *w = small();
    int32_t ids[3] = {-7, -7, -7};
    size_t n;
    struct err err = {0};
    CHECK_OK(wordpiece_encode(w, STR("a b a zz b"), ids, NULL, 2, &n, &err), &err);
    CHECK_INT(n, 5);
    CHECK_INT(ids[2], -7);
    CHECK_OK(wordpiece_encode(w, STR("a b unaffzz"), NULL, NULL, 0, &n, &err), &err);
    CHECK_INT(n, 3);
    CHECK_OK(wordpiece_encode(w, STR(""), NULL, NULL, 0, &n, &err), &err);
    CHECK_INT(n, 0);
    wordpiece_free(w);
}

TEST(wordpiece_never_gives_a_control_id_for_text)
{
    struct wordpiece *w = small();
    struct err err = {0};
    for (size_t i = 0; i < N_PIECES; i++) {
        int32_t ids[20];
        size_t n;
        CHECK_OK(wordpiece_encode(w, str_of(some_pieces[i]), ids, NULL, 20, &n, &err), &err);
        for (size_t k = 0; k < n; k++)
            CHECK_MSG(ids[k] == wordpiece_unk(w) || ids[k] >= 5, "%s gives %d", some_pieces[i],
                      ids[k]);
    }
    CHECK(wordpiece_cls(w) == 2 && wordpiece_sep(w) == 3 && wordpiece_unk(w) == 1);
    wordpiece_free(w);
}

TEST(wordpiece_words_of_100_characters_are_split_and_of_101_are_unknown)
{
    struct wordpiece *w = small();
    char text[102];
    size_t n;
    int32_t ids[102];
    struct err err = {0};
    memset(text, 'b', sizeof(text));
    CHECK_OK(wordpiece_encode(w, (struct str){text, 100}, ids, NULL, 102, &n, &err), &err);
    CHECK_INT(n, 100);
    CHECK_OK(wordpiece_encode(w, (struct str){text, 101}, ids, NULL, 102, &n, &err), &err);
    CHECK(n == 1 && ids[0] == wordpiece_unk(w));
    wordpiece_free(w);
}

/* Both forms of a file: "##" before what continues, or a mark before words. */
static struct wordpiece *from_file(bool marked)
{
    static char names[N_PIECES][64];
    struct str tokens[N_PIECES];
    char path[512];
    struct err err = {0};
    struct gguf *g;
    struct wordpiece *w;
    snprintf(path, sizeof(path), "%s/vocab%d.gguf", scratch_dir(), marked);
    for (size_t i = 0; i < N_PIECES; i++) {
        const char *p = some_pieces[i];
        if (!marked || (p[0] == '[' && p[1]))
            snprintf(names[i], sizeof(names[i]), "%s", p);
        else if (strncmp(p, "##", 2) == 0)
            snprintf(names[i], sizeof(names[i]), "%s", p + 2);
        else
            snprintf(names[i], sizeof(names[i]), "\xe2\x96\x81%s", p);
        tokens[i] = str_of(names[i]);
    }
    struct gguf_writer *writer = gguf_writer_new();
    gguf_put_str(writer, "tokenizer.ggml.model", STR("bert"));
    gguf_put_strs(writer, "tokenizer.ggml.tokens", tokens, N_PIECES);
    CHECK_OK(gguf_save(writer, path, &err), &err);
    gguf_writer_free(writer);
    CHECK_OK(gguf_open(path, &g, &err), &err);
    CHECK_OK(wordpiece_open(g, &w, &err), &err);
    gguf_close(g);
    return w;
}

TEST(wordpiece_reads_both_forms_of_a_files_pieces)
{
    for (int marked = 0; marked < 2; marked++) {
        struct wordpiece *w = from_file(marked);
        CHECK_INT(wordpiece_size(w), N_PIECES);
        for (size_t i = 0; i < N_PIECES; i++)
            CHECK_STR(wordpiece_piece(w, (int32_t)i), some_pieces[i]);
        CHECK(wordpiece_piece(w, -1).ptr == NULL);
        CHECK(wordpiece_piece(w, (int32_t)N_PIECES).ptr == NULL);
        the_small = w;
        cases_run("tests/cases/wordpiece.txt", show);
        wordpiece_free(w);
    }
}

TEST(wordpiece_vocabularies_that_are_wrong_are_refused)
{
    static const struct { const char *model, *beside; uint32_t unk; const char *word; } bad[] = {
        {"gpt2", NULL, 0, "gpt2"},
        {"bert", NULL, 2, "unknown_token_id"},
        {"bert", "tokenizer.ggml.scores", 0, "scores"}};
    struct str tokens[] = {STR("a"), STR("##b")};
    for (size_t i = 0; i < 3; i++) {
        char path[512];
        struct err err = {0};
        struct gguf *g;
        struct wordpiece *w;
        snprintf(path, sizeof(path), "%s/bad%zu.gguf", scratch_dir(), i);
        struct gguf_writer *writer = gguf_writer_new();
        gguf_put_str(writer, "tokenizer.ggml.model", str_of(bad[i].model));
        gguf_put_strs(writer, "tokenizer.ggml.tokens", tokens, 2);
        gguf_put_u32(writer, "tokenizer.ggml.unknown_token_id", bad[i].unk);
        if (bad[i].beside)
            gguf_put_f32s(writer, bad[i].beside, (const float[]){1}, 1);
        CHECK_OK(gguf_save(writer, path, &err), &err);
        gguf_writer_free(writer);
        CHECK_OK(gguf_open(path, &g, &err), &err);
        CHECK_ERR(wordpiece_open(g, &w, &err), ERR_FORMAT);
        CHECK_MSG(strstr(err.msg, bad[i].word), "%s", err.msg);
        gguf_close(g);
    }
    struct wordpiece *w;
    struct err err = {0};
    CHECK_ERR(wordpiece_new(tokens, 2, &w, &err), ERR_FORMAT);
    CHECK(strstr(err.msg, "[UNK]"));
}

TEST(wordpiece_takes_any_bytes)
{
    struct wordpiece *w = small();
    struct rng rng;
    struct err err = {0};
    rng_init(&rng, 11);
    for (int round = 0; round < 20000; round++) {
        char text[64];
        int32_t ids[200];
        uint32_t ends[200];
        size_t len = rng_below(&rng, 65), n;
        for (size_t i = 0; i < len; i++)
            text[i] = (char)(rng_below(&rng, 3) ? rng_next(&rng) : 'a' + rng_below(&rng, 2));
        CHECK_OK(wordpiece_encode(w, (struct str){text, len}, ids, ends, 200, &n, &err), &err);
        CHECK(n <= 200);
        for (size_t i = 0; i < n; i++)
            CHECK(ids[i] >= 0 && (size_t)ids[i] < N_PIECES && ends[i] <= len &&
                  (i == 0 || ends[i] >= ends[i - 1]));
    }
    wordpiece_free(w);
}
