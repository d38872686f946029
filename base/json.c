#include "base/json.h"
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"

/* Deepest bracket outside of strings; jansson's own bound is 2048. */
static int depth_of(struct str text)
{
    int depth = 0, most = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '[' || c == '{') {
            most = ++depth > most ? depth : most;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return most;
}

/* jansson quotes the text around the fault behind " near": not for a log. */
static int reason_length(const char *text)
{
    const char *near = strstr(text, " near '");
    return near ? (int)(near - text) : (int)strlen(text);
}

enum err_code json_read(struct str text, json_t **out, struct err *err)
{
    *out = NULL;
    if (text.len == 0)
        return err_set(err, ERR_FORMAT, "json: no text");
    if (depth_of(text) > JSON_DEPTH_MAX)
        return err_set(err, ERR_FORMAT, "json: nested deeper than %d", JSON_DEPTH_MAX);
    /* jansson takes a NUL for the end of the text; RFC 8259 allows it nowhere. */
    if (memchr(text.ptr, '\0', text.len))
        return err_set(err, ERR_FORMAT, "json: a NUL byte in the text");
    json_error_t why;
    json_t *v = json_loadb(text.ptr, text.len,
                           JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (!v && json_error_code(&why) == json_error_out_of_memory)
        return err_set(err, ERR_NOMEM, "json of %zu bytes", text.len);
    if (!v)
        return err_set(err, ERR_FORMAT, "json: line %d, column %d: %.*s", why.line, why.column,
                       reason_length(why.text), why.text);
    *out = v;
    return OK;
}

static int write_some(const char *bytes, size_t n, void *arg)
{
    struct buf *b = arg;
    buf_add(b, bytes, n);
    return b->failed ? -1 : 0;
}

/* 15 digits: any decimal of 15 digits, and every float, comes back as it was,
 * and 0.1 is written as 0.1. */
void json_write(struct buf *b, const json_t *v)
{
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15);
    if (json_dump_callback(v, write_some, b, flags) != 0)
        b->failed = true;
}

json_t *json_text(struct str s)
{
    if (utf8_valid(s))
        return json_stringn_nocheck(s.len ? s.ptr : "", s.len);
    struct buf b = {0};
    utf8_repair(s, &b);
    json_t *v = b.failed ? NULL : json_stringn_nocheck(b.ptr, b.len);
    buf_free(&b);
    return v;
}

bool json_put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

static bool listed(const char *const *known, const char *key)
{
    for (; *known; known++)
        if (strcmp(*known, key) == 0)
            return true;
    return false;
}

static const char *nearest(const char *const *known, const char *key)
{
    const char *best = NULL;
    int least = 3; /* farther off it is another word */
    for (; *known; known++) {
        int d = str_distance(str_of(*known), str_of(key));
        if (d < least) {
            least = d;
            best = *known;
        }
    }
    return best;
}

enum err_code json_only(const json_t *object, const char *const *known, struct err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (listed(known, key))
            continue;
        const char *near = nearest(known, key);
        if (near)
            return err_set(err, ERR_ARG, "unknown field %.80s: did you mean %s", key, near);
        return err_set(err, ERR_ARG, "unknown field %.80s", key);
    }
    return OK;
}

static const char *type_name(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_NULL:
        return "null";
    default:
        return "a boolean";
    }
}

static enum err_code wrong_type(const json_t *v, const char *key, const char *want, struct err *err)
{
    return err_set(err, ERR_ARG, "%s is %s, need %s", key, type_name(v), want);
}

static const json_t *present(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return v && !json_is_null(v) ? v : NULL;
}

enum err_code json_opt_str(const json_t *o, const char *key, struct str *out, struct err *err)
{
    const json_t *v = present(o, key);
    if (!v)
        return OK;
    if (!json_is_string(v))
        return wrong_type(v, key, "a string", err);
    *out = (struct str){json_string_value(v), json_string_length(v)};
    return OK;
}

/* 2.0 is as whole a number as 2. */
static bool whole(const json_t *v, int64_t *n)
{
    if (json_is_integer(v)) {
        *n = json_integer_value(v);
        return true;
    }
    double d = json_real_value(v);
    if (!(d >= -0x1p53 && d <= 0x1p53) || d != (double)(int64_t)d)
        return false;
    *n = (int64_t)d;
    return true;
}

enum err_code json_opt_int(const json_t *o, const char *key, int64_t min, int64_t max, int64_t *out,
                           struct err *err)
{
    const json_t *v = present(o, key);
    if (!v)
        return OK;
    int64_t n;
    if (!json_is_number(v))
        return wrong_type(v, key, "a whole number", err);
    if (!whole(v, &n))
        return err_set(err, ERR_ARG, "%s is %.15g, need a whole number", key, json_real_value(v));
    if (n < min || n > max)
        return err_set(err, ERR_ARG, "%s is %lld, need %lld to %lld", key, (long long)n,
                       (long long)min, (long long)max);
    *out = n;
    return OK;
}

enum err_code json_opt_num(const json_t *o, const char *key, double min, double max, double *out,
                           struct err *err)
{
    const json_t *v = present(o, key);
    if (!v)
        return OK;
    if (!json_is_number(v))
        return wrong_type(v, key, "a number", err);
    double d = json_number_value(v);
    if (!(d >= min && d <= max))
        return err_set(err, ERR_ARG, "%s is %.15g, need %.15g to %.15g", key, d, min, max);
    *out = d;
    return OK;
}

enum err_code json_opt_bool(const json_t *o, const char *key, bool *out, struct err *err)
{
    const json_t *v = present(o, key);
    if (!v)
        return OK;
    if (!json_is_boolean(v))
        return wrong_type(v, key, "true or false", err);
    *out = json_is_true(v);
    return OK;
}
