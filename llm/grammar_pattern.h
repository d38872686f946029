/* llm/grammar_pattern.h - regular expressions, formats and ranges of numbers as
 * automata over code points. */
#ifndef CARREL_LLM_GRAMMAR_PATTERN_H
#define CARREL_LLM_GRAMMAR_PATTERN_H
#include "base/str.h"
#include "llm/grammar_dfa.h"

#define PATTERN_STATES_MAX 4000

/* ECMA-262 as JSON Schema's `pattern` means it: found anywhere unless anchored.
 * Taken: signs, `.`, classes with ranges and negation, \d \D \w \W \s \S, \t \n \r \f \v
 * \xHH \uHHHH and escaped punctuation, groups (also (?:)), |, * + ? {n} {n,} {n,m}, lazy
 * or not, ^ and $. Refused (ERR_ARG, what and where): look-around, back references,
 * \b, \p, flags. Where engines differ (\W, \D beyond ASCII) only what all of them take. */
enum err_code pattern_make(struct str text, struct dfa **out, struct err *err);
/* Of a JSON Schema format, or NULL: always anchored. */
const char *pattern_of_format(struct str name);
/* Between min and max code points; max < 0: no bound. */
enum err_code pattern_length(int64_t min, int64_t max, struct dfa **out, struct err *err);

/* Decimals between two whole numbers of 10^-digits, at most `digits` behind the point,
 * as JSON writes them without an exponent; never -0. */
enum err_code pattern_decimals(__int128 min, __int128 max, int digits, struct dfa **out,
                               struct err *err);
/* Whole numbers that `m` (1..1000) divides. */
enum err_code pattern_multiples(int m, struct dfa **out, struct err *err);
/* Any number: 15 digits, 15 behind the point, an exponent of two. */
enum err_code pattern_number(struct dfa **out, struct err *err);
/* Does `d` take the text? */
bool pattern_takes(const struct dfa *d, struct str text);
#endif
