/* cmd/people.h - answers of the API, written for people.
 * Threads   no state. */
#ifndef CARREL_CMD_PEOPLE_H
#define CARREL_CMD_PEOPLE_H
#include "base/json.h"
#include "base/str.h"

/* The member's text, or "" when it is absent or null; borrowed from `o`. */
const char *people_text(const json_t *o, const char *key);
int64_t people_number(const json_t *o, const char *key);
/* "12.3 MB" into out[16]; returns out. */
const char *people_size(int64_t bytes, char out[16]);
/* "1.24 billion" into out[16]; returns out. */
const char *people_count(int64_t n, char out[16]);
/* `text` with white space folded and cut at `max` characters, on one line. */
void people_line(struct str text, int max);
/* Hits of a search, numbered, each with its text and how to see it. */
void people_hits(const json_t *hits, bool explain);
/* Citations of an answer: each source once, beneath it what is quoted from it and
 * how to see that. */
void people_citations(const json_t *citations);
#endif
