/* llm/chat_family.c - the families, and how a file's is recognised.
 *
 * Sources: the chat_template of the model cards of Llama 2 and 3.x, Qwen 2, 2.5, 3 and 3.5,
 * SmolLM3, Mistral 7B v0.1 to v0.3, Nemo, Large 2411 and Small 2501, Phi-3, Phi-4 and Phi-4-mini,
 * Gemma 2 and 3, DeepSeek LLM, Coder, V2, V3, V3.1 and R1, Zephyr; tests/tools/chat_oracle.py
 * renders them with Jinja and compares. */
#include <stdlib.h>
#include <string.h>
#include "llm/chat_int.h"

/* U+FF5C and U+2581 as DeepSeek writes its pieces. */
#define BAR  "\357\275\234"
#define LOW  "\342\226\201"
#define DS_USER      "<" BAR "User" BAR ">"
#define DS_ASSISTANT "<" BAR "Assistant" BAR ">"
#define DS_END       "<" BAR "end" LOW "of" LOW "sentence" BAR ">"
/* What a model that thinks aloud takes for a thought it has had. */
#define NO_THOUGHT "<think>\n\n</think>\n\n"
#define SMOL_THOUGHT "<think>\n\n</think>\n"
#define HEADER(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"

static const char *const inst_marks[] = {"[INST]", "[/INST]", "<<SYS>>", "<</SYS>>",
                                         "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", NULL};
static const char *const im_marks[] = {"<|im_start|>", "<|im_end|>", "<|im_sep|>", NULL};
static const char *const role_marks[] = {"<|system|>", "<|user|>", "<|assistant|>", "<|end|>",
                                         NULL};
static const char *const llama3_marks[] = {"<|start_header_id|>", "<|end_header_id|>",
                                           "<|eot_id|>", NULL};
static const char *const gemma_marks[] = {"<start_of_turn>", "<end_of_turn>", NULL};
static const char *const coder_marks[] = {"### Instruction:", "### Response:", "<|EOT|>", NULL};
static const char *const deepseek_marks[] = {DS_USER, DS_ASSISTANT, DS_END, NULL};

const struct chat_family chat_families_all[] = {
    {.name = "llama2",
     .user = {CHAT_BOS "[INST] ", " [/INST]"},
     .assistant = {" ", " " CHAT_EOS},
     .opens = "",
     .fold = {"<<SYS>>\n", "\n<</SYS>>\n\n"},
     .bos = true, .strict = true, .trims = true, .marks = inst_marks},
    {.name = "llama3",
     .system = {HEADER("system"), "<|eot_id|>"},
     .user = {HEADER("user"), "<|eot_id|>"},
     .assistant = {HEADER("assistant"), "<|eot_id|>"},
     .opens = HEADER("assistant"),
     .bos = true, .trims = true, .marks = llama3_marks,
     .needs = {"<|start_header_id|>", "<|eot_id|>"}},
    {.name = "chatml",
     .system = {"<|im_start|>system\n", "<|im_end|>\n"},
     .user = {"<|im_start|>user\n", "<|im_end|>\n"},
     .assistant = {"<|im_start|>assistant\n", "<|im_end|>\n"},
     .opens = "<|im_start|>assistant\n",
     .marks = im_marks, .needs = {"<|im_start|>", "<|im_end|>"}},
    {.name = "qwen3",
     .system = {"<|im_start|>system\n", "<|im_end|>\n"},
     .user = {"<|im_start|>user\n", "<|im_end|>\n"},
     .assistant = {"<|im_start|>assistant\n", "<|im_end|>\n"},
     .opens = "<|im_start|>assistant\n" NO_THOUGHT,
     .marks = im_marks, .needs = {"<|im_start|>", "<|im_end|>"}},
    {.name = "qwen3.5",
     .system = {"<|im_start|>system\n", "<|im_end|>\n"},
     .user = {"<|im_start|>user\n", "<|im_end|>\n"},
     .assistant = {"<|im_start|>assistant\n", "<|im_end|>\n"},
     .opens = "<|im_start|>assistant\n" NO_THOUGHT,
     .trims = true, .marks = im_marks, .needs = {"<|im_start|>", "<|im_end|>"}},
    {.name = "smollm3",
     .system = {"<|im_start|>system\n## Metadata\n\nKnowledge Cutoff Date: June 2025\n"
                "Reasoning Mode: /no_think\n\n## Custom Instructions\n\n", "\n\n<|im_end|>\n"},
     .user = {"<|im_start|>user\n", "<|im_end|>\n"},
     .assistant = {"<|im_start|>assistant\n" SMOL_THOUGHT, "<|im_end|>\n"},
     .opens = "<|im_start|>assistant\n" SMOL_THOUGHT,
     .unsaid = "You are a helpful AI assistant named SmolLM, trained by Hugging Face.",
     .marks = im_marks, .needs = {"<|im_start|>", "<|im_end|>"}},
    {.name = "mistral",
     .user = {"[INST]" CHAT_GAP, "[/INST]"},
     .assistant = {CHAT_GAP, CHAT_EOS},
     .opens = "",
     .fold = {"", "\n\n"},
     .bos = true, .strict = true, .folds_late = true, .marks = inst_marks,
     .needs = {"[INST]", "[/INST]"}},
    {.name = "mistral-v1",
     .user = {CHAT_GAP "[INST] ", " [/INST]"},
     .assistant = {" ", CHAT_EOS},
     .opens = "",
     .fold = {"", "\n\n"},
     .bos = true, .strict = true, .marks = inst_marks},
    {.name = "mistral-tekken",
     .user = {"[INST]", "[/INST]"},
     .assistant = {"", CHAT_EOS},
     .opens = "",
     .fold = {"", "\n\n"},
     .bos = true, .strict = true, .folds_late = true, .marks = inst_marks,
     .needs = {"[INST]", "[/INST]"}},
    {.name = "mistral-v7",
     .system = {"[SYSTEM_PROMPT]" CHAT_GAP, "[/SYSTEM_PROMPT]"},
     .user = {"[INST]" CHAT_GAP, "[/INST]"},
     .assistant = {CHAT_GAP, CHAT_EOS},
     .opens = "",
     .bos = true, .strict = true, .marks = inst_marks, .needs = {"[INST]", "[SYSTEM_PROMPT]"}},
    {.name = "mistral-v7-tekken",
     .system = {"[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"},
     .user = {"[INST]", "[/INST]"},
     .assistant = {"", CHAT_EOS},
     .opens = "",
     .bos = true, .strict = true, .marks = inst_marks, .needs = {"[INST]", "[SYSTEM_PROMPT]"}},
    {.name = "phi3",
     .system = {"<|system|>\n", "<|end|>\n"},
     .user = {"<|user|>\n", "<|end|>\n"},
     .assistant = {"<|assistant|>\n", "<|end|>\n"},
     .opens = "<|assistant|>\n",
     .marks = role_marks, .needs = {"<|user|>", "<|end|>"}},
    {.name = "phi4",
     .system = {"<|im_start|>system<|im_sep|>", "<|im_end|>"},
     .user = {"<|im_start|>user<|im_sep|>", "<|im_end|>"},
     .assistant = {"<|im_start|>assistant<|im_sep|>", "<|im_end|>"},
     .opens = "<|im_start|>assistant<|im_sep|>",
     .marks = im_marks, .needs = {"<|im_start|>", "<|im_sep|>"}},
    {.name = "phi4-mini",
     .system = {"<|system|>", "<|end|>"},
     .user = {"<|user|>", "<|end|>"},
     .assistant = {"<|assistant|>", "<|end|>"},
     .opens = "<|assistant|>",
     .marks = role_marks, .needs = {"<|user|>", "<|end|>"}},
    {.name = "gemma",
     .user = {"<start_of_turn>user\n", "<end_of_turn>\n"},
     .assistant = {"<start_of_turn>model\n", "<end_of_turn>\n"},
     .opens = "<start_of_turn>model\n",
     .fold = {"", "\n\n"},
     .bos = true, .strict = true, .trims = true, .marks = gemma_marks,
     .needs = {"<start_of_turn>", "<end_of_turn>"}},
    {.name = "deepseek",
     .system = {"", ""},
     .user = {"### Instruction:\n", "\n"},
     .assistant = {"### Response:\n", "\n<|EOT|>\n"},
     .opens = "### Response:\n",
     .bos = true, .marks = coder_marks, .needs = {"<|EOT|>"}},
    {.name = "deepseek2",
     .system = {"", "\n\n"},
     .user = {"User: ", "\n\n"},
     .assistant = {"Assistant: ", CHAT_EOS},
     .opens = "Assistant:",
     .bos = true, .marks = deepseek_marks},
    {.name = "deepseek3",
     .system = {"", ""},
     .user = {DS_USER, ""},
     .assistant = {DS_ASSISTANT, DS_END},
     .opens = DS_ASSISTANT,
     .bos = true, .marks = deepseek_marks, .needs = {DS_USER, DS_ASSISTANT}},
    {.name = "deepseek-r1",
     .system = {"", ""},
     .user = {DS_USER, ""},
     .assistant = {DS_ASSISTANT, DS_END},
     .opens = DS_ASSISTANT NO_THOUGHT,
     .bos = true, .marks = deepseek_marks, .needs = {DS_USER, DS_ASSISTANT}},
    {.name = "deepseek-v31",
     .system = {"", ""},
     .user = {DS_USER, ""},
     .assistant = {DS_ASSISTANT "</think>", DS_END},
     .opens = DS_ASSISTANT "</think>",
     .bos = true, .marks = deepseek_marks, .needs = {DS_USER, DS_ASSISTANT}},
    {.name = "deepseek-v31-pair",
     .system = {"", ""},
     .user = {DS_USER, ""},
     .assistant = {DS_ASSISTANT "<think></think>", DS_END},
     .opens = DS_ASSISTANT "<think></think>",
     .bos = true, .marks = deepseek_marks, .needs = {DS_USER, DS_ASSISTANT}},
    {.name = "zephyr",
     .system = {"<|system|>\n", CHAT_EOS "\n"},
     .user = {"<|user|>\n", CHAT_EOS "\n"},
     .assistant = {"<|assistant|>\n", CHAT_EOS "\n"},
     .opens = "<|assistant|>\n",
     .marks = role_marks},
    {.name = "plain"},
};
const int chat_n_families = sizeof(chat_families_all) / sizeof(*chat_families_all);

const struct chat_family *chat_by_name(struct str name)
{
    for (int i = 0; i < chat_n_families; i++)
        if (str_eqz(name, chat_families_all[i].name))
            return &chat_families_all[i];
    return NULL;
}

void chat_families(struct buf *out)
{
    for (int i = 0; i < chat_n_families; i++)
        buf_printf(out, "%s%s", i ? ", " : "", chat_families_all[i].name);
}

void chat_main_families(struct buf *out)
{
    for (int i = 0; i < chat_n_families; i++)
        if (!strchr(chat_families_all[i].name, '-'))
            buf_printf(out, "%s%s", i ? ", " : "", chat_families_all[i].name);
}

const char *chat_name(const struct chat_family *f)
{
    return f->name;
}

/* ---- recognising */

/* A template is of `family` when it has all of `has` and nothing of `lacks`; the first
 * rule that fits wins. \\n is Jinja's own two letters for a line feed. A model that thinks when
 * nothing is said is known by what its template writes for one that shall not (QwQ's has no
 * such thing and begins the thought itself); one that thinks only when told has a bare
 * `if enable_thinking`. */
#define EMPTY_THOUGHT "<think>\\n\\n</think>"
static const struct rule {
    const char *family;
    const char *has[3], *lacks[3];
} rules[] = {
    {"llama3", {"<|start_header_id|>", "<|end_header_id|>"}, {"{# version=v3", "functools"}},
    {"phi4", {"<|im_start|>", "<|im_sep|>"}, {0}},
    {"qwen3.5", {"<|im_start|>", EMPTY_THOUGHT "\\n\\n", ")|trim"}, {0}},
    {"qwen3", {"<|im_start|>", EMPTY_THOUGHT "\\n\\n"}, {0}},
    {"smollm3", {"<|im_start|>", EMPTY_THOUGHT "\\n", "/no_think"}, {0}},
    {"qwen3", {"<|im_start|>", "assistant\\n<think>\\n"},
     {"<think></think>", "\\n</think>\\n' + content"}},
    {"chatml", {"<|im_start|>", "<|im_end|>", "if enable_thinking %}"},
     {"set enable_thinking", "<think></think>", EMPTY_THOUGHT}},
    {"chatml", {"<|im_start|>", "<|im_end|>"},
     {"enable_thinking", "assistant\\n<think>\\n", "function calling AI model"}},
    {"gemma", {"<start_of_turn>", "<end_of_turn>"}, {0}},
    {"deepseek-v31-pair", {DS_USER, DS_ASSISTANT "<think></think>"}, {0}},
    {"deepseek-v31", {DS_USER, DS_ASSISTANT "</think>"}, {0}},
    {"deepseek-v31", {DS_USER, DS_ASSISTANT, "thinking_end_token"},
     {"thinking_start_token + thinking_end_token"}},
    {"deepseek-r1", {DS_USER, DS_ASSISTANT "<think>"}, {"flush_tool_outputs"}},
    {"deepseek3", {DS_USER, DS_ASSISTANT}, {"enable_thinking", "thinking_start_token", "<think>"}},
    {"deepseek", {"### Instruction:", "### Response:", "<|EOT|>"}, {0}},
    {"phi4-mini", {"<|end|>", "<|assistant|>", "'|>' + message['content']"}, {"<|channel|>"}},
    {"phi3", {"<|end|>", "<|assistant|>"}, {"<|channel|>", "\\n<|end|>"}},
    {"zephyr", {"<|user|>", "<|assistant|>", "message['content'] + eos_token"},
     {"[gMASK]", "message['content'] + '\\n'"}},
    {"deepseek2", {"User: ", "Assistant: ", "eos_token"}, {"<|"}},
    {"mistral-v7", {"[SYSTEM_PROMPT]", "[INST] "}, {0}},
    {"mistral-v7-tekken", {"[SYSTEM_PROMPT]", "[INST]"}, {0}},
    {"llama2", {"[INST]", "<<SYS>>"}, {0}},
    {"mistral-v1", {" [INST]"}, {0}},
    {"mistral-v1", {"[INST] ", " [/INST]"}, {"[AVAILABLE_TOOLS]"}},
    {"mistral", {"[INST] ", "[/INST]"}, {0}},
    {"mistral-tekken", {"[INST]", "[/INST]"}, {0}},
};
#define TEMPLATE_BYTES_MAX ((size_t)256 << 10) /* looked at; published ones have up to 12 KiB */

static bool has(struct str text, const char *needle)
{
    return str_find(text, str_of(needle), 0) != SIZE_MAX;
}

static bool fits(const struct rule *r, struct str text)
{
    for (int i = 0; i < 3 && r->has[i]; i++)
        if (!has(text, r->has[i]))
            return false;
    for (int i = 0; i < 3 && r->lacks[i]; i++)
        if (has(text, r->lacks[i]))
            return false;
    return true;
}

/* A control piece of the family's that the vocabulary lacks, or NULL. */
static const char *missing_piece(const struct chat_family *f, const struct vocab *v)
{
    for (int i = 0; i < 2 && f->needs[i]; i++)
        if (!vocab_is_control(v, vocab_find(v, str_of(f->needs[i]))))
            return f->needs[i];
    return NULL;
}

static enum err_code unknown(const struct gguf *g, const char *lacks, struct err *err)
{
    const char *path = gguf_name(g), *slash = strrchr(path, '/');
    struct buf names = {0}, what = {0};
    chat_main_families(&names);
    buf_puts(&what, "unknown chat template");
    if (lacks) {
        buf_reset(&what);
        buf_printf(&what, "no %s in its vocabulary", lacks);
    }
    err_set(err, ERR_NOTFOUND, "%.30s: %s; set llm.template to one of %s or a variant",
            slash ? slash + 1 : path, what.ptr ? what.ptr : "", names.ptr ? names.ptr : "");
    buf_free(&names);
    buf_free(&what);
    return ERR_NOTFOUND;
}

enum err_code chat_detect(const struct gguf *g, const struct vocab *v,
                          const struct chat_family **out, struct err *err)
{
    struct str text = STR("");
    enum err_code rc = gguf_str(g, "tokenizer.chat_template", &text, err);
    if (rc && rc != ERR_NOTFOUND)
        return rc;
    text = str_sub(text, 0, TEMPLATE_BYTES_MAX);
    const struct chat_family *f = str_trim(text).len ? NULL : chat_by_name(STR("plain"));
    for (size_t i = 0; !f && i < sizeof(rules) / sizeof(*rules); i++)
        if (fits(&rules[i], text))
            f = chat_by_name(str_of(rules[i].family));
    const char *lacks = f ? missing_piece(f, v) : NULL;
    if (!f || lacks)
        return unknown(g, lacks, err);
    *out = f;
    return OK;
}
