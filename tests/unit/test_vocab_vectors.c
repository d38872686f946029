/* tests/unit/test_vocab_vectors.c - tokenizers against published vectors, which
 * lie under CARREL_DATA: 47 texts a model with the ids its makers' tokenizer
 * gives. A test a model: `prog -v` is the table. */
#include "base/file.h"
#include "base/json.h"
#include "model/vocab.h"
#include "tests/test.h"

#define IDS 4096

static bool gives_back(const struct vocab *v, const int32_t *ids, size_t n, struct str text)
{
    struct vocab_decoder d = {.begins = true};
    struct buf out = {0};
    for (size_t i = 0; i < n; i++)
        vocab_decode(v, &d, ids[i], &out);
    vocab_decode_end(&d, &out);
    bool same = str_eq(buf_view(&out), text);
    buf_free(&out);
    return same;
}

/* Texts of `name`.inp whose ids are those of `name`.out; *n texts in all. */
static int agreeing(const struct vocab *v, const char *name, int *n)
{
    static const char mark[] = "\n__ggml_vocab_test__\n";
    struct err err = {0};
    struct buf in = {0}, want = {0}, got = {0};
    char path[200];
    int good = 0;
    snprintf(path, sizeof(path), "models/vocab/ggml-vocab-%s.gguf.inp", name);
    CHECK_OK(file_read(data_path(path), 1 << 20, &in, &err), &err);
    snprintf(path, sizeof(path), "models/vocab/ggml-vocab-%s.gguf.out", name);
    CHECK_OK(file_read(data_path(path), 1 << 20, &want, &err), &err);
    struct str text = buf_view(&in), lines = buf_view(&want), line;
    *n = 0;
    for (size_t at = 0, end = 0; end != SIZE_MAX && str_split(&lines, '\n', &line);
         at = end + sizeof(mark) - 1) {
        int32_t ids[IDS];
        size_t n_ids;
        end = str_find(text, STR(mark), at);
        struct str t = str_sub(text, at, end == SIZE_MAX ? text.len : end);
        CHECK_OK(vocab_encode(v, t, 0, ids, IDS, &n_ids, &err), &err);
        buf_reset(&got);
        buf_puts(&got, "");
        for (size_t i = 0; i < n_ids; i++)
            buf_printf(&got, " %d", ids[i]);
        bool same = str_eq(buf_view(&got), line);
        good += same;
        if (!same)
            printf("%s, text %d \"%.*s\":\n  got %s\n  want%.*s\n", name, *n, STR_ARG(t), got.ptr,
                   STR_ARG(line));
        CHECK_MSG(gives_back(v, ids, n_ids, t), "%s: ids of text %d do not give it back", name, *n);
        ++*n;
    }
    buf_free(&in);
    buf_free(&want);
    buf_free(&got);
    return good;
}

static void check_vectors(const char *name)
{
    char path[200];
    int n;
    struct err err = {0};
    struct gguf *g;
    struct vocab *v;
    snprintf(path, sizeof(path), "models/vocab/ggml-vocab-%s.gguf", name);
    CHECK_OK(gguf_open(data_path(path), &g, &err), &err);
    CHECK_OK(vocab_open(g, &v, &err), &err);
    gguf_close(g);
    int good = agreeing(v, name, &n);
    CHECK_MSG(good == 47 && n == 47, "%s: %d of %d, want 47 of 47", name, good, n);
    vocab_free(v);
}

#define AGREES(model, name)                                                          \
    TEST(vocab_agrees_with_47_vectors_of_##model)                                    \
    {                                                                                \
        check_vectors(name);                                                         \
    }
AGREES(llama_spm, "llama-spm")
AGREES(phi_3, "phi-3")
AGREES(gpt_2, "gpt-2")
AGREES(deepseek_llm, "deepseek-llm")
AGREES(deepseek_coder, "deepseek-coder")
AGREES(starcoder, "starcoder")
AGREES(refact, "refact")
AGREES(falcon, "falcon")
AGREES(mpt, "mpt")

/* Llama 3's vocabulary, from the two files that OpenAI's kind of BPE comes in.
 *
 * For `qwen2` what the two families share: both number OpenAI's cl100k first, in
 * order, but Qwen leaves out its numbers of more than one digit. */
#define CL100K 100256

static bool is_long_number(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return s.len > 1;
}

/* Room for `cap` of each; what they point to stays with `json` and `bpe`. */
struct lists { struct str *tokens, *merges; size_t n, n_merges; };

static void read_lists(bool qwen2, json_t *root, struct str bpe, struct lists *l)
{
    json_t *id;
    const char *name;
    l->n = json_object_size(root);
    l->tokens = calloc(l->n + 2, sizeof(*l->tokens));
    l->merges = calloc(bpe.len, sizeof(*l->merges));
    json_object_foreach(root, name, id)
        l->tokens[json_integer_value(id)] = str_of(name);
    size_t kept = 0;
    for (size_t i = 0; qwen2 && i < CL100K; i++)
        if (!is_long_number(l->tokens[i]))
            l->tokens[kept++] = l->tokens[i];
    l->n = qwen2 ? kept : l->n;
    for (struct str line; str_split(&bpe, '\n', &line);)
        if (line.len)
            l->merges[l->n_merges++] = line;
}

/* Merges whose outcome is a token of the list, in the list's order. */
static void keep_merges(struct lists *l)
{
    json_t *known = json_object();
    char both[400];
    size_t kept = 0;
    for (size_t i = 0; i < l->n; i++)
        json_object_setn_new(known, l->tokens[i].ptr, l->tokens[i].len, json_true());
    for (size_t i = 0; i < l->n_merges; i++) {
        size_t n = 0;
        for (size_t k = 0; k < l->merges[i].len && n < sizeof(both); k++)
            if (l->merges[i].ptr[k] != ' ')
                both[n++] = l->merges[i].ptr[k];
        if (json_object_getn(known, both, n))
            l->merges[kept++] = l->merges[i];
    }
    l->n_merges = kept;
    json_decref(known);
}

static struct vocab *from_lists(const char *pre)
{
    struct err err = {0};
    struct buf json = {0}, bpe = {0};
    json_t *root;
    struct lists l = {0};
    bool qwen2 = strcmp(pre, "qwen2") == 0;
    CHECK_OK(file_read(data_path("models/vocab/llama3.2/encoder.json"), 1 << 24, &json, &err),
             &err);
    CHECK_OK(file_read(data_path("models/vocab/llama3.2/vocab.bpe"), 1 << 24, &bpe, &err), &err);
    CHECK_OK(json_read(buf_view(&json), &root, &err), &err);
    read_lists(qwen2, root, buf_view(&bpe), &l);
    if (qwen2)
        keep_merges(&l);
    float *kinds = calloc(l.n + 2, sizeof(*kinds));
    for (size_t i = 0; i < l.n + 2; i++)
        kinds[i] = i < l.n ? 1 : 3;
    l.tokens[l.n] = STR("<|begin|>");
    l.tokens[l.n + 1] = STR("<|end|>");
    struct gguf_writer *w = gguf_writer_new();
    gguf_put_str(w, "tokenizer.ggml.model", STR("gpt2"));
    gguf_put_str(w, "tokenizer.ggml.pre", str_of(pre));
    gguf_put_strs(w, "tokenizer.ggml.tokens", l.tokens, l.n + 2);
    gguf_put_f32s(w, "tokenizer.ggml.token_type", kinds, l.n + 2);
    gguf_put_strs(w, "tokenizer.ggml.merges", l.merges, l.n_merges);
    gguf_put_u32(w, "tokenizer.ggml.bos_token_id", (uint32_t)l.n);
    gguf_put_u32(w, "tokenizer.ggml.eos_token_id", (uint32_t)l.n + 1);
    char path[512];
    struct gguf *g;
    struct vocab *v;
    snprintf(path, sizeof(path), "%s/%s.gguf", scratch_dir(), pre);
    CHECK_OK(gguf_save(w, path, &err), &err);
    gguf_writer_free(w);
    json_decref(root);
    free(l.tokens);
    free(l.merges);
    free(kinds);
    buf_free(&json);
    buf_free(&bpe);
    CHECK_OK(gguf_open(path, &g, &err), &err);
    CHECK_OK(vocab_open(g, &v, &err), &err);
    gguf_close(g);
    return v;
}

TEST(vocab_agrees_with_47_vectors_of_llama_bpe)
{
    struct vocab *v = from_lists("llama-bpe");
    int n, good = agreeing(v, "llama-bpe", &n);
    CHECK_MSG(good == 47 && n == 47, "llama-bpe: %d of %d, want 47 of 47", good, n);
    CHECK(vocab_adds_bos(v));
    vocab_free(v);
}

/* The other 6 texts (Bulgarian, Khmer, Vietnamese, some emoji and Chinese) have
 * ids past what the two families share. */
TEST(vocab_agrees_with_41_vectors_of_qwen2_that_need_no_more_than_cl100k)
{
    struct vocab *v = from_lists("qwen2");
    int n, good = agreeing(v, "qwen2", &n);
    CHECK_INT(vocab_size(v), 99156 + 2);
    CHECK_MSG(good == 41 && n == 47, "qwen2: %d of %d, want 41 of 47", good, n);
    vocab_free(v);
}
