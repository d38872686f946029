#include "web/fields.h"
#include <math.h>
#include <string.h>
#include "base/utf8.h"

static const struct field *field_find(const struct field *fields, struct str name)
{
    for (; fields && fields->type != FIELD_END; fields++)
        if (str_eqz(name, fields->name))
            return fields;
    return NULL;
}

static enum err_code unknown(struct str name, const struct field *fields, struct err *err)
{
    const struct field *near = NULL;
    int best = 3;
    for (const struct field *f = fields; f && f->type != FIELD_END; f++) {
        int d = str_distance(str_sub(name, 0, 64), str_of(f->name));
        if (d < best) {
            best = d;
            near = f;
        }
    }
    struct str shown = str_sub(name, 0, utf8_floor(name, name.len < 60 ? name.len : 60));
    if (near)
        return err_set(err, ERR_ARG, "unknown field \"%.*s\"; did you mean \"%s\"?", STR_ARG(shown),
                       near->name);
    return err_set(err, ERR_ARG, "unknown field \"%.*s\"", STR_ARG(shown));
}

static bool choice_ok(struct str value, const char *choices)
{
    struct str rest = str_of(choices), one;
    while (str_split(&rest, '|', &one))
        if (str_eq(one, value))
            return true;
    return false;
}

static enum err_code check_text(const struct field *f, struct str v, struct err *err)
{
    if (memchr(v.ptr ? v.ptr : "", '\0', v.len))
        return err_set(err, ERR_ARG, "%s holds a NUL", f->name);
    if (f->choices && !choice_ok(v, f->choices))
        return err_set(err, ERR_ARG, "%s must be one of %s", f->name, f->choices);
    if (f->choices)
        return OK;
    if ((double)v.len < f->min)
        return err_set(err, ERR_ARG, "%s must not be empty", f->name);
    if (v.len > 0 && f->max <= 0)
        return err_set(err, ERR_ARG, "%s is %s: leave it out", f->name, f->about);
    if ((double)v.len > f->max)
        return err_set(err, ERR_ARG, "%s has %zu bytes, at most %.0f are allowed", f->name, v.len,
                       f->max);
    return OK;
}

static enum err_code check_number(const struct field *f, double v, struct err *err)
{
    if (v >= f->min && v <= f->max)
        return OK;
    if (f->min >= f->max)
        return err_set(err, ERR_ARG, "%s is %.16g, it must be %.16g", f->name, v, f->max);
    return err_set(err, ERR_ARG, "%s is %.16g, it must lie between %.16g and %.16g", f->name, v,
                   f->min, f->max);
}

static enum err_code check_json(const struct field *f, const json_t *v, struct err *err)
{
    static const char *const need[] = {"", "a string", "a whole number", "a number",
                                       "true or false", "an object", "an array", ""};
    const bool is[] = {false, json_is_string(v), json_is_integer(v), json_is_number(v),
                       json_is_boolean(v), json_is_object(v), json_is_array(v), true};
    if (!is[f->type])
        return err_set(err, ERR_ARG, "%s must be %s", f->name, need[f->type]);
    if (f->type == FIELD_TEXT)
        return check_text(f, (struct str){json_string_value(v), json_string_length(v)}, err);
    if (f->type == FIELD_INT || f->type == FIELD_NUMBER)
        return check_number(f, json_number_value(v), err);
    size_t n = json_array_size(v);
    if (f->type == FIELD_ARRAY && n > 0 && f->max <= 0)
        return err_set(err, ERR_ARG, "%s is %s: leave it out", f->name, f->about);
    if (f->type == FIELD_ARRAY && ((double)n < f->min || (double)n > f->max))
        return err_set(err, ERR_ARG, "%s has %zu values, it must have %.0f to %.0f", f->name, n,
                       f->min, f->max);
    return OK;
}

static enum err_code check_object(json_t *o, const struct field *fields, bool lenient,
                                  struct arena *a, const char **param, struct err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach(o, key, v) {
        const struct field *f = field_find(fields, str_of(key));
        *param = arena_strz(a, str_of(key));
        if (!f && lenient)
            continue;
        if (!f)
            return unknown(str_of(key), fields, err);
        enum err_code rc = json_is_null(v) && !f->required ? OK : check_json(f, v, err);
        if (rc)
            return rc;
    }
    *param = NULL;
    for (const struct field *f = fields; f->type != FIELD_END; f++) {
        if (!f->required || json_object_get(o, f->name))
            continue;
        *param = f->name;
        return err_set(err, ERR_ARG, "%s is missing", f->name);
    }
    return OK;
}

/* \u0000 to \u0001, since jansson takes no NUL in a name. */
static void hide_nuls(char *p, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++) {
        if (p[i] != '\\')
            continue;
        if (i + 5 < n && memcmp(p + i + 1, "u0000", 5) == 0)
            p[i + 5] = '1';
        i++;
    }
}

/* RFC 8259 leaves to the reader what to do with a name that stands twice, a NUL
 * in a name, and depth: such text is JSON, but nothing we take. */
static enum err_code judge_unread(struct str body, struct arena *a, struct err *err)
{
    if (memchr(body.ptr, '\0', body.len)) /* jansson takes one for the end */
        return ERR_FORMAT;
    char *copy = arena_strz(a, body);
    if (!copy)
        return err_set(err, ERR_NOMEM, "a body of %zu bytes", body.len);
    hide_nuls(copy, body.len);
    json_t *loose = json_loadb(copy, body.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!loose)
        return ERR_FORMAT;
    json_decref(loose);
    return err_wrap(err, ERR_ARG, "refused");
}

enum err_code fields_body(struct str body, const struct field *fields, bool lenient,
                          struct arena *a, json_t **out, const char **param, struct err *err)
{
    *param = NULL;
    json_t *v = NULL;
    if (body.len == 0)
        return err_set(err, ERR_FORMAT, "json: the body is empty");
    enum err_code rc = json_read(body, &v, err);
    if (rc)
        return rc == ERR_FORMAT ? judge_unread(body, a, err) : rc;
    if (!json_is_object(v))
        rc = err_set(err, ERR_ARG, "the body must be a JSON object");
    else
        rc = check_object(v, fields, lenient, a, param, err);
    if (rc)
        json_decref(v);
    else
        *out = v;
    return rc;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct str fields_unescape(struct str s, bool form, struct arena *a)
{
    const struct str bad = {NULL, 0};
    char *out = arena_alloc(a, s.len + 1, 1);
    size_t n = 0;
    if (!out)
        return bad;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '+' && form)
            c = ' ';
        if (c == '%') {
            int hi = i + 2 < s.len ? hex_value(s.ptr[i + 1]) : -1;
            int lo = hi >= 0 ? hex_value(s.ptr[i + 2]) : -1;
            if (lo < 0)
                return bad;
            c = (char)(hi * 16 + lo);
            i += 2;
        }
        if (c == '\0')
            return bad;
        out[n++] = c;
    }
    struct str text = {out, n};
    return utf8_valid(text) ? text : bad;
}

enum err_code fields_decode(struct str encoded, struct arena *a, struct pair **out, int *n,
                            struct err *err)
{
    *n = 0;
    *out = arena_alloc(a, FIELDS_PAIRS_MAX, sizeof(**out));
    if (!*out)
        return err_set(err, ERR_NOMEM, "the query");
    struct str rest = encoded, one;
    while (rest.len > 0 && str_split(&rest, '&', &one)) {
        if (one.len == 0)
            continue;
        if (*n == FIELDS_PAIRS_MAX)
            return err_set(err, ERR_ARG, "more than %d fields", FIELDS_PAIRS_MAX);
        const char *eq = memchr(one.ptr, '=', one.len);
        size_t cut = eq ? (size_t)(eq - one.ptr) : one.len;
        struct pair *p = &(*out)[(*n)++];
        p->name = fields_unescape(str_sub(one, 0, cut), true, a);
        p->value = fields_unescape(str_sub(one, eq ? cut + 1 : cut, one.len), true, a);
        if (!p->name.ptr || !p->value.ptr)
            return err_set(err, ERR_FORMAT, "a field is not percent-encoded UTF-8");
    }
    return OK;
}

static enum err_code check_pair(const struct field *f, struct str v, struct err *err)
{
    int64_t i;
    if (f->type == FIELD_TEXT)
        return check_text(f, v, err);
    if (f->type == FIELD_BOOL)
        return str_eqz(v, "true") || str_eqz(v, "false")
                   ? OK : err_set(err, ERR_ARG, "%s must be true or false", f->name);
    if (!str_int(v, INT64_MIN, INT64_MAX, &i))
        return err_set(err, ERR_ARG, "%s must be a whole number", f->name);
    return check_number(f, (double)i, err);
}

enum err_code fields_pairs(const struct pair *pairs, int n, const struct field *fields,
                           struct arena *a, const char **param, struct err *err)
{
    for (int i = 0; i < n; i++) {
        const struct field *f = field_find(fields, pairs[i].name);
        *param = arena_strz(a, pairs[i].name);
        if (!f)
            return unknown(pairs[i].name, fields, err);
        for (int k = 0; k < i; k++)
            if (str_eq(pairs[k].name, pairs[i].name))
                return err_set(err, ERR_ARG, "%s stands twice", f->name);
        enum err_code rc = check_pair(f, pairs[i].value, err);
        if (rc)
            return rc;
    }
    *param = NULL;
    return OK;
}

struct str field_text(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    return v && json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)}
                                  : (struct str){NULL, 0};
}

int64_t field_int(const json_t *o, const char *name, int64_t fallback)
{
    const json_t *v = json_object_get(o, name);
    return json_is_integer(v) ? (int64_t)json_integer_value(v) : fallback;
}

double field_number(const json_t *o, const char *name, double fallback)
{
    const json_t *v = json_object_get(o, name);
    return json_is_number(v) ? json_number_value(v) : fallback;
}

bool field_bool(const json_t *o, const char *name, bool fallback)
{
    const json_t *v = json_object_get(o, name);
    return json_is_boolean(v) ? json_is_true(v) : fallback;
}

struct str pair_text(const struct pair *p, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (str_eqz(p[i].name, name))
            return p[i].value;
    return (struct str){NULL, 0};
}

int64_t pair_int(const struct pair *p, int n, const char *name, int64_t fallback)
{
    int64_t v;
    return str_int(pair_text(p, n, name), INT64_MIN, INT64_MAX, &v) ? v : fallback;
}

bool pair_bool(const struct pair *p, int n, const char *name, bool fallback)
{
    struct str v = pair_text(p, n, name);
    return v.ptr ? str_eqz(v, "true") : fallback;
}
