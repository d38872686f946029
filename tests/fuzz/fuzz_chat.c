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
#include "tests/fuzz/write_gguf.h"

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
    put_array_key(b, "tokenizer.ggml.tokens", PUT_TEXT, n);
    put_text(b, STR("<unk>"));
    put_text(b, STR("<s>"));
    put_text(b, STR("</s>"));
    for (int i = 0; i < N_MARKS; i++) {
        char filler[24];
        snprintf(filler, sizeof(filler), "filler%d", i);
        put_text(b, str_of(marks ? MARKS[i] : filler));
    }
    for (int i = 0; i < 256; i++) {
        char piece[8];
        snprintf(piece, sizeof(piece), "<0x%02X>", i);
        put_text(b, str_of(piece));
    }
    put_text(b, STR("\342\226\201"));
    put_array_key(b, "tokenizer.ggml.token_type", PUT_I32, n);
    for (size_t i = 0; i < n; i++)
        put_u32(b, kind_of(i, n, marks));
    put_array_key(b, "tokenizer.ggml.scores", PUT_F32, n);
    for (size_t i = 0; i < n; i++)
        put_u32(b, 0);
}

static void make_file(struct buf *b, unsigned choice, struct str template)
{
    put_head(b, 10);
    put_text_key(b, "general.architecture", STR("llama"));
    put_text_key(b, "tokenizer.ggml.model", STR("llama"));
    put_text_key(b, "tokenizer.chat_template", template);
    put_pieces(b, choice & 1);
    put_u32_key(b, "tokenizer.ggml.bos_token_id", 1);
    put_u32_key(b, "tokenizer.ggml.eos_token_id", 2);
    put_bool_key(b, "tokenizer.ggml.add_bos_token", choice & 2);
    put_bool_key(b, "tokenizer.ggml.add_space_prefix", choice & 4);
    put_end(b);
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
