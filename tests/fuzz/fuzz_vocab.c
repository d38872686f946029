/* tests/fuzz/fuzz_vocab.c - any vocabulary, any text.
 *
 * A line of choices (model, flags, pre-tokenizer, bos, unk: a character each),
 * then lines of pieces ("kind score piece": two characters in front), an empty
 * line, lines of merges, an empty line, the text. Ids are in range, controls
 * come only from trusted text, parts of plain text are the text, counting is
 * encoding, and whatever is decoded is UTF-8. */
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "model/vocab.h"
#include "tests/fuzz/write_gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES 512
#define TEXT 2048
#define IDS (4 * TEXT)

static void must(bool truth)
{
    if (!truth)
        abort();
}

static size_t lines_of(struct str *rest, struct str *lines)
{
    size_t n = 0;
    struct str line;
    while (n < LINES && str_split(rest, '\n', &line) && line.len)
        lines[n++] = line;
    return n;
}

/* Kinds 0 to 7 and whole scores, from the two characters before a piece. */
static void pieces(struct buf *b, const struct str *lines, size_t n, bool kinds, bool scores)
{
    put_array_key(b, "tokenizer.ggml.tokens", PUT_TEXT, n);
    for (size_t i = 0; i < n; i++)
        put_text(b, str_sub(lines[i], 2, lines[i].len));
    if (kinds)
        put_array_key(b, "tokenizer.ggml.token_type", PUT_I32, n);
    for (size_t i = 0; kinds && i < n; i++)
        put_u32(b, (uint32_t)lines[i].ptr[0] & 7);
    if (scores)
        put_array_key(b, "tokenizer.ggml.scores", PUT_I32, n);
    for (size_t i = 0; scores && i < n; i++)
        put_u32(b, (uint32_t)(lines[i].len > 1 ? lines[i].ptr[1] : 0));
}

static void make_file(struct buf *b, const unsigned char *choice, struct str *rest)
{
    static const char *const families[] = {"gpt-2", "llama-bpe", "qwen2", "starcoder", "falcon",
                                           "deepseek-llm", "deepseek-coder", "deepseek-v3",
                                           "tekken", "gpt-4o", "default", "none-such"};
    static struct str lines[LINES];
    bool spm = choice[0] & 1, kinds = !(choice[1] & 1), scores = !(choice[1] & 2);
    put_head(b, 6u + kinds + scores);
    put_text_key(b, "tokenizer.ggml.model", str_of(spm ? "llama" : "gpt2"));
    put_text_key(b, "tokenizer.ggml.pre", str_of(families[choice[2] % 12]));
    put_u32_key(b, "tokenizer.ggml.bos_token_id", choice[3] - 48u);
    put_u32_key(b, "tokenizer.ggml.unknown_token_id", choice[4] - 48u);
    size_t n = lines_of(rest, lines);
    pieces(b, lines, n, kinds, scores);
    n = lines_of(rest, lines);
    put_array_key(b, "tokenizer.ggml.merges", PUT_TEXT, n);
    for (size_t i = 0; i < n; i++)
        put_text(b, lines[i]);
    put_end(b);
}

static void check_ids(const struct vocab *v, const int32_t *ids, size_t n, bool plain, int32_t unk)
{
    struct buf out = {0};
    struct vocab_decoder d = {.begins = true, .controls = !plain};
    for (size_t i = 0; i < n; i++) {
        must(ids[i] >= 0 && ids[i] < vocab_size(v));
        must(!plain || ids[i] == unk || !vocab_is_control(v, ids[i]));
        vocab_decode(v, &d, ids[i], &out);
    }
    vocab_decode_end(&d, &out);
    must(utf8_valid(buf_view(&out)));
    buf_free(&out);
}

static void check_text(const struct vocab *v, struct str text, int32_t unk)
{
    static int32_t ids[IDS], again[IDS];
    size_t n, m;
    must(vocab_encode(v, text, 0, ids, IDS, &n, NULL) == OK && n <= IDS);
    check_ids(v, ids, n, true, unk);
    must(vocab_encode(v, text, 0, NULL, 0, &m, NULL) == OK && m == n);
    struct vocab_part parts[] = {{str_sub(text, 0, text.len / 3), false},
                                 {str_sub(text, text.len / 3, text.len), false}};
    must(vocab_encode_parts(v, parts, 2, 0, again, IDS, &m, NULL) == OK && m == n);
    must(n == 0 || memcmp(ids, again, n * sizeof(*ids)) == 0);
    parts[0].trusted = true;
    must(vocab_encode_parts(v, parts, 2, VOCAB_ADD_BOS, ids, IDS, &n, NULL) == OK && n <= IDS);
    check_ids(v, ids, n, false, unk);
    must(vocab_encode(v, text, VOCAB_TRUSTED | VOCAB_CONTINUES, ids, IDS, &n, NULL) == OK);
    check_ids(v, ids, n, false, unk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf file = {0};
    struct gguf *g;
    struct vocab *v;
    struct err err = {0};
    if (size < 6)
        return 0;
    struct str rest = {(const char *)data + 6, size - 6};
    make_file(&file, data, &rest);
    must(gguf_open_bytes("fuzz", file.ptr, file.len, &g, NULL) == OK);
    if (vocab_open(g, &v, &err) == OK) {
        check_text(v, str_sub(rest, 0, TEXT), data[4] - 48);
        vocab_free(v);
    } else {
        must(err.msg[0] != '\0');
    }
    gguf_close(g);
    buf_free(&file);
    return 0;
}
