/* base/utf8.h - UTF-8 (RFC 3629) and the Unicode facts we need, by utf8proc.
 * Offsets are bytes; a boundary is an offset that no code point straddles.
 * Threads   no state. */
#ifndef CARREL_BASE_UTF8_H
#define CARREL_BASE_UTF8_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

bool utf8_valid(struct str s);                        /* strict: no surrogates, no overlongs */
/* Decode at s.ptr[at]; returns its length in bytes 1..4, and 1 with U+FFFD for
 * a bad byte. `at` < s.len. */
int utf8_decode(struct str s, size_t at, uint32_t *cp);
void utf8_encode(struct buf *b, uint32_t cp);
size_t utf8_floor(struct str s, size_t at);           /* greatest boundary <= at */
size_t utf8_ceil(struct str s, size_t at);            /* least boundary >= at */
size_t utf8_count(struct str s);                      /* code points */
bool utf8_is_letter(uint32_t cp);                     /* categories L*, M* */
bool utf8_is_mark(uint32_t cp);                       /* M* */
bool utf8_is_number(uint32_t cp);                     /* N* */
bool utf8_is_space(uint32_t cp);                      /* White_Space */
bool utf8_is_control(uint32_t cp);                    /* Cc, Cf but for ZWJ/ZWNJ */
bool utf8_is_punct(uint32_t cp);                      /* P*, S* */
bool utf8_is_cjk(uint32_t cp);                        /* Han, kana, Hangul: no spaces between words */
bool utf8_is_upper(uint32_t cp);
/* The tables themselves, for tokenizers that follow them to the letter. */
const char *utf8_category(uint32_t cp);               /* "Lu", "Mn", ...; "Cn" when unassigned */
uint32_t utf8_lower(uint32_t cp);                     /* simple mapping */
#define UTF8_DECOMPOSED_MAX 18
/* NFD of one code point; how many it became, >= 1. */
int utf8_decompose(uint32_t cp, uint32_t out[UTF8_DECOMPOSED_MAX]);
/* NFC of valid UTF-8, behind `b`. ERR_FORMAT when it is not valid. */
enum err_code utf8_nfc(struct str s, struct buf *b, struct err *err);
bool utf8_is_nfc_quick(struct str s);                 /* true only if surely NFC (ASCII and the like) */
/* NFKC with case folding and default ignorables removed (a key to compare by). */
enum err_code utf8_fold(struct str s, struct buf *b, struct err *err);
/* NFD lower case without combining marks: what uncased BERT does to text. */
enum err_code utf8_strip_lower(struct str s, struct buf *b, struct err *err);
/* Copy with each invalid byte replaced by U+FFFD; returns how many. */
size_t utf8_repair(struct str s, struct buf *b);
#endif
