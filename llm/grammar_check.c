/* llm/grammar_check.c - does a value satisfy a schema? For enums and const, whose
 * values must satisfy what stands beside them, and for what other servers wrote. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/utf8.h"
#include "llm/grammar_int.h"
#include "llm/grammar_pattern.h"

#define CHECK_DEPTH 64
#define CHECK_WORK 200000

static int by_value(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return (x > y) - (x < y);
    }
    double x = json_number_value(a), y = json_number_value(b);
    return (x > y) - (x < y);
}

bool grammar_same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return by_value(a, b) == 0;
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_string(a))
        return json_equal(a, b);
    if (json_is_array(a)) {
        bool same = json_array_size(a) == json_array_size(b);
        for (size_t i = 0; same && i < json_array_size(a); i++)
            same = grammar_same(json_array_get(a, i), json_array_get(b, i));
        return same;
    }
    if (json_is_object(a)) {
        const char *key;
        json_t *v;
        json_object_foreach((json_t *)(uintptr_t)a, key, v)
        {
            const json_t *w = json_object_get(b, key);
            if (!w || !grammar_same(v, w))
                return false;
        }
        return json_object_size(a) == json_object_size(b);
    }
    return true;
}

/* One step of a JSON pointer, percent- and tilde-escaped, into `out`. */
static bool unescape(struct str s, struct buf *out)
{
    buf_reset(out);
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        uint8_t byte;
        if (c == '~' && i + 1 < s.len) {
            c = s.ptr[++i] == '1' ? '/' : '~';
        } else if (c == '%' && i + 2 < s.len && hash_unhex(str_sub(s, i + 1, i + 3), &byte, 1)) {
            c = (char)byte;
            i += 2;
        }
        buf_char(out, c);
    }
    return buf_ok(out, "a pointer", NULL) == OK;
}

const json_t *grammar_ref(const json_t *root, const char *ref)
{
    struct str rest = str_of(ref), step;
    struct buf name = {0};
    const json_t *at = root;
    if (rest.len == 0 || rest.ptr[0] != '#' || (rest.len > 1 && rest.ptr[1] != '/'))
        return NULL;
    rest = str_sub(rest, 2, rest.len);
    while (rest.ptr && strlen(ref) > 1 && at && str_split(&rest, '/', &step)) {
        int64_t i;
        if (!unescape(step, &name))
            at = NULL;
        else if (json_is_array(at))
            at = str_int(buf_view(&name), 0, 1 << 20, &i) ? json_array_get(at, (size_t)i) : NULL;
        else
            at = json_object_getn(at, name.ptr ? name.ptr : "", name.len);
    }
    buf_free(&name);
    return at;
}

static bool has_type(const char *type, const json_t *v)
{
    if (strcmp(type, "integer") == 0)
        return json_is_integer(v) ||
               (json_is_real(v) && json_real_value(v) == floor(json_real_value(v)));
    return (json_is_object(v) && strcmp(type, "object") == 0) ||
           (json_is_array(v) && strcmp(type, "array") == 0) ||
           (json_is_string(v) && strcmp(type, "string") == 0) ||
           (json_is_number(v) && strcmp(type, "number") == 0) ||
           (json_is_boolean(v) && strcmp(type, "boolean") == 0) ||
           (json_is_null(v) && strcmp(type, "null") == 0);
}

static bool check_type(const json_t *s, const json_t *v)
{
    const json_t *type = json_object_get(s, "type"), *one;
    size_t i;
    if (json_is_string(type) && !has_type(json_string_value(type), v))
        return false;
    bool any = !json_is_array(type);
    json_array_foreach(type, i, one)
        any = any || (json_is_string(one) && has_type(json_string_value(one), v));
    return any;
}

static bool check_values(const json_t *s, const json_t *v)
{
    const json_t *list = json_object_get(s, "enum"), *one = json_object_get(s, "const");
    size_t i;
    if (one && !grammar_same(one, v))
        return false;
    bool any = !list;
    json_array_foreach(list, i, one)
        any = any || grammar_same(one, v);
    return any;
}

static bool check_number(const json_t *s, const json_t *v)
{
    const json_t *w;
    if (!json_is_number(v))
        return true;
    if ((w = json_object_get(s, "minimum")) && by_value(v, w) < 0)
        return false;
    if ((w = json_object_get(s, "maximum")) && by_value(v, w) > 0)
        return false;
    if ((w = json_object_get(s, "exclusiveMinimum")) && by_value(v, w) <= 0)
        return false;
    if ((w = json_object_get(s, "exclusiveMaximum")) && by_value(v, w) >= 0)
        return false;
    w = json_object_get(s, "multipleOf");
    return !w || fmod(json_number_value(v), json_number_value(w)) == 0;
}

/* Of a keyword that is a count; absent: `other`. */
static double count_of(const json_t *s, const char *key, double other)
{
    const json_t *w = json_object_get(s, key);
    return json_is_number(w) ? json_number_value(w) : other;
}

/* The last pattern is kept: an enum asks for the same one again and again. */
static bool takes(struct checker *c, const char *pattern, struct str text)
{
    if (c->pattern != pattern) {
        dfa_free(c->dfa);
        c->dfa = NULL;
        c->pattern = pattern;
        c->work += CHECK_WORK / 50;
        if (pattern_make(str_of(pattern), &c->dfa, c->err))
            return false;
    }
    return c->dfa && pattern_takes(c->dfa, text);
}

static bool check_string(struct checker *c, const json_t *s, const json_t *v)
{
    const json_t *pattern = json_object_get(s, "pattern"), *format = json_object_get(s, "format");
    if (!json_is_string(v))
        return true;
    struct str text = {json_string_value(v), json_string_length(v)};
    double n = (double)utf8_count(text);
    if (n < count_of(s, "minLength", 0) || n > count_of(s, "maxLength", 1e18))
        return false;
    if (json_is_string(pattern) && !takes(c, json_string_value(pattern), text))
        return false;
    const char *p = json_is_string(format) ? pattern_of_format(str_of(json_string_value(format)))
                                           : NULL;
    return !p || takes(c, p, text);
}

static bool check_array(struct checker *c, const json_t *s, const json_t *v, int depth)
{
    const json_t *items = json_object_get(s, "items"), *first = json_object_get(s, "prefixItems");
    size_t n = json_array_size(v);
    if (!json_is_array(v))
        return true;
    if ((double)n < count_of(s, "minItems", 0) || (double)n > count_of(s, "maxItems", 1e18))
        return false;
    if (json_is_array(items)) {
        first = items;
        items = json_object_get(s, "additionalItems");
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *of = i < json_array_size(first) ? json_array_get(first, i) : items;
        if (of && !grammar_check(c, of, json_array_get(v, i), depth))
            return false;
        for (size_t k = 0; k < i && json_is_true(json_object_get(s, "uniqueItems")); k++)
            if (grammar_same(json_array_get(v, i), json_array_get(v, k)))
                return false;
    }
    return true;
}

static bool check_object(struct checker *c, const json_t *s, const json_t *v, int depth)
{
    const json_t *props = json_object_get(s, "properties"), *one;
    const json_t *other = json_object_get(s, "additionalProperties");
    double n = (double)json_object_size(v);
    const char *key;
    json_t *value;
    size_t i;
    if (!json_is_object(v))
        return true;
    if (n < count_of(s, "minProperties", 0) || n > count_of(s, "maxProperties", 1e18))
        return false;
    json_array_foreach(json_object_get(s, "required"), i, one)
        if (!json_is_string(one) || !json_object_get(v, json_string_value(one)))
            return false;
    json_object_foreach((json_t *)(uintptr_t)v, key, value)
    {
        const json_t *of = json_object_get(props, key);
        of = of ? of : other;
        if (of && !grammar_check(c, of, value, depth))
            return false;
    }
    return true;
}

static bool check_logic(struct checker *c, const json_t *s, const json_t *v, int depth)
{
    static const char *const words[] = {"allOf", "anyOf", "oneOf"};
    const json_t *one, *ref = json_object_get(s, "$ref");
    size_t i;
    if (json_is_string(ref)) {
        const json_t *to = grammar_ref(c->root, json_string_value(ref));
        if (!to || !grammar_check(c, to, v, depth))
            return false;
    }
    for (int w = 0; w < 3; w++) {
        const json_t *list = json_object_get(s, words[w]);
        size_t yes = 0;
        json_array_foreach(list, i, one)
            yes += grammar_check(c, one, v, depth);
        if (list && (w == 0 ? yes < json_array_size(list) : w == 1 ? yes == 0 : yes != 1))
            return false;
    }
    return true;
}

bool grammar_check(struct checker *c, const json_t *schema, const json_t *value, int depth)
{
    if (c->err->code || depth > CHECK_DEPTH || ++c->work > CHECK_WORK) {
        if (!c->err->code)
            err_set(c->err, ERR_ARG, "an enum whose values pass through too many schemas");
        return false;
    }
    if (!json_is_object(schema))
        return !json_is_false(schema);
    return check_type(schema, value) && check_values(schema, value) &&
           check_number(schema, value) && check_string(c, schema, value) &&
           check_array(c, schema, value, depth + 1) &&
           check_object(c, schema, value, depth + 1) &&
           check_logic(c, schema, value, depth + 1);
}

bool grammar_holds(const json_t *schema, const json_t *value)
{
    struct grammar *g = NULL;
    struct err err = {0};
    if (grammar_schema(schema, &g, NULL))
        return true;
    grammar_free(g);
    struct checker c = {.root = schema, .err = &err};
    bool holds = grammar_check(&c, schema, value, 0);
    dfa_free(c.dfa);
    return holds || err.code; /* too much work to say */
}
