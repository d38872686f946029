/* model/pretoken.h - text into the words that byte-level BPE works on.
 *
 * Each family of models was trained with its own regular expressions (the
 * `pre_tokenizer` of its tokenizer.json); here each is a few hand-written
 * matchers that follow them to the letter, in time linear in the text. What
 * each one matches is written beside its matcher. Categories are Unicode's, by
 * base/utf8.h; a byte that is no UTF-8 counts as U+FFFD, a symbol.
 * Threads   no state. */
#ifndef CARREL_MODEL_PRETOKEN_H
#define CARREL_MODEL_PRETOKEN_H
#include <stdbool.h>
#include "base/err.h"
#include "base/str.h"

struct pretoken;   /* one way to cut; static */

/* By `tokenizer.ggml.pre`; an empty name is "default". NULL when unknown. */
const struct pretoken *pretoken_find(struct str name);
/* Words that are pieces are taken whole, whatever the merges say. */
bool pretoken_whole_words(const struct pretoken *p);
/* Models of this kind want BOS where their file does not say. */
bool pretoken_adds_bos(const struct pretoken *p);

/* Calls word(arg, ...) for each word in order; together they are `text`, none
 * is empty. Stops at, and returns, the first error. */
enum err_code pretoken_split(const struct pretoken *p, struct str text,
                             enum err_code (*word)(void *arg, struct str word, struct err *err),
                             void *arg, struct err *err);
#endif
