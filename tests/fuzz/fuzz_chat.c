/* tests/fuzz/fuzz_chat.c - any chat template, any messages, any of the families.
 *
 * A byte of choices (which marks are pieces, BOS, the space in front), one for the family
 * ('A' the first), the template up to an empty line, then messages: each a role (s, u, a)
 * and its text up to a NUL. Detection finds a family or none; the ids are in range, and the
 * control ids among them are those of the same roles saying "x": no message can write one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "llm/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGES = 12, TEXT = 4096 };

static const char *const MARKS[] = {
    "<|im_start|>", "<|im_end|>", "<|im_sep|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|eot_id|>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "<|system|>",
    "<|user|>", "<|assistant|>", "<|end|>", "<start_of_turn>", "<end_of_turn>", "<|EOT|>",
    "<\357\275\234User\357\275\234>", "<\357\275\234Assistant\357\275\234>",
    "<\357\275\234end\342\226\201of\342\226\201sentence\357\275\234>", "<think>", "</think>"};
enum { N_MARKS = sizeof(MARKS) / sizeof(*MARKS) };

static void must(bool truth)
{
    if (!truth)
        abort();
}

/* ---- a file with that template */

static void u32(struct buf *b, uint32_t v)
{
    buf_add(b, &v, 4);
}

static void u64(struct buf *b, uint64_t v)
{
    buf_add(b, &v, 8);
}

static void string(struct buf *b, struct str s)
{
    u64(b, s.len);
    buf_str(b, s);
}

static void text_key(struct buf *b, const char *key, struct str value)
{
    string(b, str_of(key));
    u32(b, 8);
    string(b, value);
}

static void number_key(struct buf *b, const char *key, uint32_t value)
{
    string(b, str_of(key));
    u32(b, 4);
    u32(b, value);
}

static void bool_key(struct buf *b, const char *key, bool value)
{
    string(b, str_of(key));
    u32(b, 7);
    buf_char(b, value);
}

static void array(struct buf *b, const char *key, uint32_t type, size_t n)
{
    string(b, str_of(key));
    u32(b, 9);
    u32(b, type);
    u64(b, n);
}

static uint32_t kind_of(size_t i, size_t n, bool marks)
{
    if (i == 0)
        return VOCAB_UNKNOWN;
    if (i < 3 + N_MARKS)
        return i < 3 || marks ? VOCAB_CONTROL : VOCAB_NORMAL;
    return i < n - 1 ? VOCAB_BYTE : VOCAB_NORMAL;
}

/* <unk> <s> </s>, marks or fillers in their places, bytes, "▁". */
static void put_pieces(struct buf *b, bool marks)
{
    const size_t n = 3 + N_MARKS + 256 + 1;
    array(b, "tokenizer.ggml.tokens", 8, n);
    string(b, STR("<unk>"));
    string(b, STR("<s>"));
    string(b, STR("</s>"));
    for (int i = 0; i < N_MARKS; i++) {
        char filler[24];
        snprintf(filler, sizeof(filler), "filler%d", i);
        string(b, str_of(marks ? MARKS[i] : filler));
    }
    for (int i = 0; i < 256; i++) {
        char piece[8];
        snprintf(piece, sizeof(piece), "<0x%02X>", i);
        string(b, str_of(piece));
    }
    string(b, STR("\342\226\201"));
    array(b, "tokenizer.ggml.token_type", 5, n);
    for (size_t i = 0; i < n; i++)
        u32(b, kind_of(i, n, marks));
    array(b, "tokenizer.ggml.scores", 6, n);
    for (size_t i = 0; i < n; i++)
        u32(b, 0);
}

static void make_file(struct buf *b, unsigned choice, struct str template)
{
    buf_add(b, "GGUF", 4);
    u32(b, 3);
    u64(b, 0);
    u64(b, 10);
    text_key(b, "general.architecture", STR("llama"));
    text_key(b, "tokenizer.ggml.model", STR("llama"));
    text_key(b, "tokenizer.chat_template", template);
    put_pieces(b, choice & 1);
    number_key(b, "tokenizer.ggml.bos_token_id", 1);
    number_key(b, "tokenizer.ggml.eos_token_id", 2);
    bool_key(b, "tokenizer.ggml.add_bos_token", choice & 2);
    bool_key(b, "tokenizer.ggml.add_space_prefix", choice & 4);
    while (b->len % 32)
        buf_char(b, 0);
}

/* ---- messages */

static int read_messages(struct str rest, struct llm_message *m)
{
    struct str one;
    int n = 0;
    while (n < MESSAGES && str_split(&rest, '\0', &one)) {
        if (!one.len)
            continue;
        m[n].role = one.ptr[0] == 's' ? LLM_SYSTEM : one.ptr[0] == 'a' ? LLM_ASSISTANT : LLM_USER;
        m[n++].content = str_sub(one, 1, one.len);
    }
    return n;
}

static int keep_controls(const struct vocab *v, int32_t *ids, int n)
{
    int kept = 0;
    for (int i = 0; i < n; i++) {
        must(ids[i] >= 0 && ids[i] < vocab_size(v));
        if (vocab_is_control(v, ids[i]) && ids[i] != 0) /* <unk> may come of any text */
            ids[kept++] = ids[i];
    }
    return kept;
}

static void check_family(const struct chat_family *f, const struct vocab *v,
                         const struct llm_message *m, int n)
{
    struct llm_message harmless[MESSAGES];
    int32_t *ids, *want;
    int n_ids, n_want;
    struct buf text = {0};
    for (int i = 0; i < n; i++)
        harmless[i] = (struct llm_message){m[i].role, STR("x")};
    enum err_code rc = chat_encode(f, v, m, n, &ids, &n_ids, NULL);
    must(rc == OK || rc == ERR_ARG);
    must((rc == OK) == (ids != NULL));
    must(chat_write(f, STR("<s>"), STR("</s>"), m, n, &text, NULL) == OK || rc);
    if (chat_encode(f, v, harmless, n, &want, &n_want, NULL) == OK && rc == OK) {
        n_ids = keep_controls(v, ids, n_ids);
        n_want = keep_controls(v, want, n_want);
        must(n_ids == n_want && memcmp(ids, want, (size_t)n_ids * sizeof(*ids)) == 0);
    }
    free(ids);
    free(want);
    buf_free(&text);
}

static const struct chat_family *family_at(int i)
{
    struct buf names = {0};
    struct str rest, name, all;
    int n = 0;
    chat_families(&names);
    all = buf_view(&names);
    for (rest = all; str_split(&rest, ',', &name);)
        n++;
    for (rest = all; str_split(&rest, ',', &name) && i % n > 0;)
        i = i % n - 1;
    const struct chat_family *f = chat_by_name(str_trim(name));
    must(f != NULL);
    buf_free(&names);
    return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct llm_message m[MESSAGES];
    struct buf file = {0};
    struct gguf *g = NULL;
    struct vocab *v = NULL;
    const struct chat_family *f = NULL;
    if (size < 2 || size > TEXT)
        return 0;
    struct str rest = {(const char *)data + 2, size - 2};
    size_t end = str_find(rest, STR("\n\n"), 0);
    struct str template = str_sub(rest, 0, end);
    make_file(&file, data[0], utf8_valid(template) ? template : STR(""));
    must(gguf_open_bytes("fuzz", file.ptr, file.len, &g, NULL) == OK);
    must(vocab_open(g, &v, NULL) == OK);
    enum err_code rc = chat_detect(g, v, &f, NULL);
    must(rc == ERR_NOTFOUND || (rc == OK && f));
    if (end != SIZE_MAX)
        check_family(family_at((data[1] + 256 - 'A') % 256), v, m,
                     read_messages(str_sub(rest, end + 2, rest.len), m));
    vocab_free(v);
    gguf_close(g);
    buf_free(&file);
    return 0;
}
