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

enum err_code json_opt_str(const json_t *o, const char *key, struct str *out, struct err *err)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v))
        return OK;
    if (!json_is_string(v))
        return err_set(err, ERR_ARG, "%s is %s, need a string", key, type_name(v));
    *out = (struct str){json_string_value(v), json_string_length(v)};
    return OK;
}
