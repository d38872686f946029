/* base/json.h - strict JSON (RFC 8259) by jansson; the one door to it.
 *
 * Reading refuses duplicate keys, invalid UTF-8, trailing bytes and nesting
 * past JSON_DEPTH_MAX; \u0000 is accepted in strings (json_string_length) but
 * not in keys. Numbers are written with 15 digits: every float comes back.
 * Other files use json_t through this header.
 * Threads   one owner per value. Memory  references as jansson counts them. */
#ifndef CARREL_BASE_JSON_H
#define CARREL_BASE_JSON_H
#include <jansson.h>
#include "base/err.h"
#include "base/str.h"

#define JSON_DEPTH_MAX 64

/* Any JSON value, scalars too. ERR_FORMAT with line and column. Yours: json_decref. */
enum err_code json_read(struct str text, json_t **out, struct err *err);
/* Compact text behind `b`; keys in the order they were set. */
void json_write(struct buf *b, const json_t *v);
/* A string value; bytes that are not UTF-8 become U+FFFD. NULL without memory. */
json_t *json_text(struct str s);
/* Set and take over `value`; a NULL value (no memory) is a failure. */
bool json_put(json_t *object, const char *key, json_t *value);
/* An optional text: absent or null leaves *out as it is; another type is ERR_ARG naming the key. */
enum err_code json_opt_str(const json_t *o, const char *key, struct str *out, struct err *err);
#endif
