/* model/vocab.h - the door to a language model's tokenizer: text to ids and back.
 *
 * Reads `tokenizer.ggml.*` of a GGUF: model "llama" (SentencePiece's byte-pair
 * model, spm.h) and "gpt2" (byte-level BPE, bpe.h, cut by pretoken.h). "bert" is
 * wordpiece.h's.
 *
 * What is control. Ids that steer a model (kinds CONTROL and UNKNOWN, and of
 * the added pieces those that look like markup, as <think>, <|im_end|> or
 * [INST]) never come out of text: "<|im_start|>" in a document or a question is
 * letters and signs (the unknown id alone may come out: it says that a file has
 * no piece for something). Only text that the program itself wrote, a chat template,
 * is read with VOCAB_TRUSTED, and then such a piece is found as one id. Other
 * added pieces (runs of spaces and the like) are found in any text, as
 * llama.cpp does.
 * Threads   immutable after open; every call has its own scratch.
 * Memory    owns its tables, the gguf may be closed; views are borrowed until
 *           vocab_free. Encoding needs at most 6 MiB beside the caller's ids (parts
 *           are copied on top). */
#ifndef CARREL_MODEL_VOCAB_H
#define CARREL_MODEL_VOCAB_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"
#include "model/gguf.h"

#define VOCAB_TOKENS_MAX ((size_t)1 << 20)   /* Gemma has 262,144 */
#define VOCAB_PIECE_MAX ((size_t)1 << 10)    /* bytes of a piece */
#define VOCAB_TEXT_MAX ((size_t)1 << 30)     /* bytes in one call */

enum vocab_model { VOCAB_SPM, VOCAB_BPE };
/* Of a token, with GGUF's numbers. UNDEFINED counts as NORMAL. */
enum vocab_kind { VOCAB_UNDEFINED, VOCAB_NORMAL, VOCAB_UNKNOWN, VOCAB_CONTROL, VOCAB_ADDED,
                  VOCAB_UNUSED, VOCAB_BYTE };

struct vocab;
/* ERR_FORMAT with the reason (an id out of range, arrays that disagree, a merge
 * that is none, an unknown pre-tokenizer), ERR_NOMEM. */
enum err_code vocab_open(const struct gguf *g, struct vocab **out, struct err *err);
void vocab_free(struct vocab *v);                            /* NULL is fine */

enum vocab_model vocab_model(const struct vocab *v);
int32_t vocab_size(const struct vocab *v);
/* Names of the special tokens by the file, or -1. */
int32_t vocab_bos(const struct vocab *v);
int32_t vocab_eos(const struct vocab *v);
int32_t vocab_pad(const struct vocab *v);
bool vocab_adds_bos(const struct vocab *v);                  /* prompts begin with BOS */
bool vocab_adds_eos(const struct vocab *v);
/* EOS, and the ends of a turn or a message by their names (<|eot_id|>,
 * <|im_end|>, <end_of_turn>, ...): generating stops behind one. */
bool vocab_is_end(const struct vocab *v, int32_t id);

/* Ids from 0 to size - 1; others have no piece (ptr NULL), no text and are UNUSED. */
struct str vocab_piece(const struct vocab *v, int32_t id);   /* as the file writes it */
struct str vocab_text(const struct vocab *v, int32_t id);    /* the bytes it stands for */
enum vocab_kind vocab_kind(const struct vocab *v, int32_t id);
/* Never comes out of plain text (see above). */
bool vocab_is_control(const struct vocab *v, int32_t id);
/* The id that the file writes as `piece`, or -1; for templates: "<|im_start|>". */
int32_t vocab_find(const struct vocab *v, struct str piece);

enum vocab_flags {
    VOCAB_TRUSTED = 1,     /* control pieces in the text are their ids */
    VOCAB_ADD_BOS = 2,     /* BOS first, where the file wants one */
    VOCAB_ADD_EOS = 4,     /* EOS last, where the file wants one */
    VOCAB_CONTINUES = 8,   /* no space in front, though the model has one at the start */
};
/* Ids of `text`, any bytes, into ids[0..cap); *n is how many there are (may
 * pass cap: then only the first cap are written). ERR_LIMIT, ERR_NOMEM. */
enum err_code vocab_encode(const struct vocab *v, struct str text, int flags, int32_t *ids,
                           size_t cap, size_t *n, struct err *err);

/* A prompt in parts: what a template wrote and what people wrote. */
struct vocab_part { struct str text; bool trusted; };
/* As vocab_encode of the parts one behind the other, so that ids are those of
 * the whole, except that a control piece is found only where it lies in trusted
 * parts from end to end. VOCAB_TRUSTED is ignored. */
enum err_code vocab_encode_parts(const struct vocab *v, const struct vocab_part *parts,
                                 size_t n_parts, int flags, int32_t *ids, size_t cap, size_t *n,
                                 struct err *err);

/* Ids back to text, as they come. Zero-initialised but for the choices; what is
 * put out is always whole UTF-8: the first bytes of a character wait for the
 * rest, bytes that can be none are U+FFFD. */
struct vocab_decoder {
    bool controls;         /* choice: show control pieces as they are written */
    bool begins;           /* choice: what comes is the start of a text, whose
                              space in front is the model's and not the text's */
    unsigned char held[4];
    int n_held;
    bool begun;
};
/* Text of `id` behind `out`. An id out of range, and a control id unless
 * d->controls, is nothing. */
void vocab_decode(const struct vocab *v, struct vocab_decoder *d, int32_t id, struct buf *out);
/* What still waits, as U+FFFD; the decoder is as new. */
void vocab_decode_end(struct vocab_decoder *d, struct buf *out);
#endif
