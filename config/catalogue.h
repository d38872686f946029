/* config/catalogue.h - well-known model files by name, carried in the program.
 *
 * catalogue.tsv says what a line holds. Names are compared without case.
 * Threads   immutable. Memory  texts are the program's own. */
#ifndef CARREL_CONFIG_CATALOGUE_H
#define CARREL_CONFIG_CATALOGUE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

struct catalogue_entry {
    struct str name, licence, url;
    struct str aliases;        /* spaces between; empty: none */
    struct str sha256;         /* 64 digits; empty: not known */
    int64_t bytes;             /* 0: not known */
};
/* By name or alias; false: there is none. */
bool catalogue_find(struct str name, struct catalogue_entry *out);
/* Call fn for each in order; false ends. */
void catalogue_each(bool (*fn)(void *arg, const struct catalogue_entry *e), void *arg);
#endif
