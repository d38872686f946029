/* base/words.h - the words of a text, as search sees them.
 *
 * Runs of letters, marks and numbers (UAX #29 in its simple cases: an
 * apostrophe or a point between letters, or a point or comma between digits,
 * stays inside), NFKC case-folded, U+2019 as the ASCII apostrophe.
 * Stems     Snowball English (libstemmer's one door), of Latin words only and
 *           without their accents, so that "cafés" and "cafe" meet, as do
 *           "U.S.A." and "USA".
 * CJK       of a run, and of Thai, Lao, Khmer and Burmese, which put no spaces
 *           between words either: every character and every pair of neighbours.
 * Limits    a word of more than WORDS_BYTES_MAX bytes, folded, is cut off there
 *           at a boundary. Bytes that are not UTF-8 part words.
 * Threads   a struct words is one owner's; make one a thread. */
#ifndef CARREL_BASE_WORDS_H
#define CARREL_BASE_WORDS_H
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "base/str.h"

#define WORDS_BYTES_MAX 64

enum word_kind { WORD_PLAIN, WORD_CJK_ONE, WORD_CJK_PAIR };

struct word {
    struct str surface;   /* folded; borrowed, until the next call */
    struct str stem;      /* of it; equals surface where nothing was taken off */
    size_t start, end;    /* its bytes in the text */
    #define WORDS_BYTES_MAX 64

enum word_kind kind;
};

struct words;
enum err_code words_new(struct words **out, struct err *err);
void words_free(struct words *w);
/* Call fn for each word in order; fn returns false to stop early. */
enum err_code words_each(struct words *w, struct str text,
                         bool (*fn)(void *arg, const struct word *word), void *arg,
                         struct err *err);
/* English function words, of a folded surface form ("the", "what"). */
bool words_is_stop(struct str surface);
#endif
