/* web/fields.h - the fields a request may carry, as one table each: checked from
 * it, and told from it by /openapi.json.
 *
 * Nothing is clamped and nothing is ignored: a field that is not in the table,
 * of another type or out of its range is ERR_ARG naming it. Only a foreign wire
 * format, whose clients send more than we know, is read `lenient`: fields that
 * are not in the table are passed over.
 * Threads   no state. Memory  views into the request. */
#ifndef CARREL_WEB_FIELDS_H
#define CARREL_WEB_FIELDS_H
#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"

enum field_type { FIELD_END, FIELD_TEXT, FIELD_INT, FIELD_NUMBER, FIELD_BOOL, FIELD_OBJECT,
                  FIELD_ARRAY, FIELD_ANY };

struct field {
    const char *name;
    enum field_type type;
    double min, max;           /* of a number; of a text: its bytes; of an array: its values */
    bool required;
    const char *choices;       /* "a|b|c": the only values of a text; or NULL */
    const char *about;
};

/* `body` read strictly. ERR_FORMAT: not JSON. ERR_ARG: JSON, but not an object,
 * or one that breaks the table; *param then names the field (in arena, or NULL). */
enum err_code fields_body(struct str body, const struct field *fields, bool lenient,
                          struct arena *a, json_t **out, const char **param, struct err *err);

/* A query string or a form (application/x-www-form-urlencoded), decoded. */
struct pair { struct str name, value; };
#define FIELDS_PAIRS_MAX 32
/* ERR_FORMAT: bad percent-encoding or not UTF-8. Pairs in arena. */
enum err_code fields_decode(struct str encoded, struct arena *a, struct pair **out, int *n,
                            struct err *err);
enum err_code fields_pairs(const struct pair *pairs, int n, const struct field *fields,
                           struct arena *a, const char **param, struct err *err);
/* %XX decoded (and + when `form`); no NUL, valid UTF-8. ptr NULL when not so. */
struct str fields_unescape(struct str s, bool form, struct arena *a);

/* Values that have been checked; the fallback when absent (or JSON null). */
struct str field_text(const json_t *o, const char *name);
int64_t field_int(const json_t *o, const char *name, int64_t fallback);
double field_number(const json_t *o, const char *name, double fallback);
bool field_bool(const json_t *o, const char *name, bool fallback);
struct str pair_text(const struct pair *p, int n, const char *name);
int64_t pair_int(const struct pair *p, int n, const char *name, int64_t fallback);
bool pair_bool(const struct pair *p, int n, const char *name, bool fallback);
#endif
