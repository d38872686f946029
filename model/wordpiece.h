/* model/wordpiece.h - BERT's uncased tokenizer: text to piece ids.
 *
 * Devlin et al. 2018 (arXiv:1810.04805); BasicTokenizer + WordPiece as
 * published with it: clean, lower-case, strip accents (NFD), split at white
 * space, punctuation and CJK characters, then the longest pieces first; a word
 * past 100 characters or without pieces is [UNK]. Reads the vocabulary of a
 * GGUF (tokenizer.ggml.model "bert"; pieces there are either "##" continued or
 * in llama.cpp's form, word starts marked with U+2581), or a plain list.
 * Text never yields control ids: "[SEP]" typed by a user is punctuation and
 * letters. [CLS] and [SEP] are added by the caller from wordpiece_cls/sep.
 * Threads   immutable after open. Memory  owns its tables. */
#ifndef CARREL_MODEL_WORDPIECE_H
#define CARREL_MODEL_WORDPIECE_H
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"
#include "model/gguf.h"

struct wordpiece;
enum err_code wordpiece_open(const struct gguf *g, struct wordpiece **out, struct err *err);
/* `pieces` in "##" form; ids are positions; must hold [UNK]; [CLS], [SEP], [PAD] optional. */
enum err_code wordpiece_new(const struct str *pieces, size_t n, struct wordpiece **out,
                            struct err *err);
void wordpiece_free(struct wordpiece *w);
size_t wordpiece_size(const struct wordpiece *w);
struct str wordpiece_piece(const struct wordpiece *w, int32_t id); /* "##" form, borrowed */
int32_t wordpiece_cls(const struct wordpiece *w);                  /* -1 when absent */
int32_t wordpiece_sep(const struct wordpiece *w);
int32_t wordpiece_unk(const struct wordpiece *w);

/* Ids of `text` into ids[0..cap); *n is how many it has (may pass cap: then
 * only the first cap are written). `ends`, when not NULL, gets for each id the
 * byte offset in `text` just behind its word. */
enum err_code wordpiece_encode(const struct wordpiece *w, struct str text, int32_t *ids,
                               uint32_t *ends, size_t cap, size_t *n, struct err *err);
#endif
