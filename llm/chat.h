/* llm/chat.h - conversations as prompts, in the way that a model was taught.
 *
 * A template is known by its family, recognised from the file's own
 * tokenizer.chat_template and pieces; the Jinja in it is never run. What the
 * template writes is trusted, what people wrote is plain text (vocab.h): nobody
 * can close their own turn. Where a vocabulary has no control piece for a mark,
 * so that letters alone stand for it ([INST] of Llama 2, <|user|> of Zephyr), the mark is
 * broken by a space wherever a message has it.
 * Formats: the model cards' own templates, retold in chat_family.c; dates and default
 * system texts that some of them put in are left out (same messages, same ids), but for
 * SmolLM3's, in a turn that says more. A template that thinks unless told not to, in a way that is
 * none of these, or one made for calling tools, is refused: rather a family named by hand than
 * a prompt that the model was not taught.
 * Threads   immutable. */
#ifndef CARREL_LLM_CHAT_H
#define CARREL_LLM_CHAT_H
#include <stdbool.h>
#include "base/err.h"
#include "base/str.h"
#include "llm/llm.h"
#include "model/gguf.h"
#include "model/vocab.h"

/* llama2, llama3, chatml, qwen3 (chatml, answering without a thought first), qwen3.5 (which takes
 * white space off messages), smollm3 (which tells that in its system turn, and always has one),
 * mistral (v3) and its spacings -v1, -tekken, -v7, -v7-tekken, phi3, phi4, phi4-mini, gemma,
 * deepseek (Coder), deepseek2 (LLM and V2), deepseek3, deepseek-r1, deepseek-v31 and
 * deepseek-v31-pair (without a thought, each in its own letters), zephyr, plain (a model without
 * turns: the texts behind each other, a line feed between). */
struct chat_family;
/* By name, or NULL; chat_families writes all names, ", " between them, chat_main_families those
 * that are no variants (without a dash), short enough for a sentence. */
const struct chat_family *chat_by_name(struct str name);
void chat_families(struct buf *out);
void chat_main_families(struct buf *out);
/* Of a file. ERR_NOTFOUND: an unknown template, or a vocabulary that lacks its marks; the sentence
 * says how to name a family (llm.template) and which there are. A file without a template
 * is `plain`. */
enum err_code chat_detect(const struct gguf *g, const struct vocab *v,
                          const struct chat_family **out, struct err *err);
const char *chat_name(const struct chat_family *f);

/* Ids of the conversation and of what opens the assistant's turn, BOS once in front
 * where the family or the file wants one; messages that the family has no role for
 * are folded in (a system text goes before the next user text where there is no system turn;
 * before the last one where Mistral has it so). A last assistant message is left open, to be
 * continued. *ids is yours, release with free. ERR_ARG: no messages, or roles in an order that
 * the family cannot write. */
enum err_code chat_encode(const struct chat_family *f, const struct vocab *v,
                          const struct llm_message *messages, int n, int32_t **ids, int *n_ids,
                          struct err *err);
/* The same as text behind `out`, for people and tests: `bos` and `eos` as they are
 * to be written; without the BOS that stands in front of all. */
enum err_code chat_write(const struct chat_family *f, struct str bos, struct str eos,
                         const struct llm_message *messages, int n, struct buf *out,
                         struct err *err);
#endif
