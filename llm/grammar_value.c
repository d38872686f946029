/* llm/grammar_value.c - nodes of strings, numbers and listed values. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "llm/grammar_build.h"
#include "llm/grammar_pattern.h"

#define LITERAL_STATES_MAX 70000
#define STRING_STATES_MAX  20000
#define SLACK              64 /* code points that a bounded pattern may have past its least */

uint32_t grammar_together_most(const struct together *t, const char *word, uint32_t none,
                               bool least)
{
    uint32_t best = none;
    for (int i = 0; i < t->n; i++) {
        const json_t *v = json_object_get(t->m[i].s, word);
        if (!v)
            continue;
        double d = json_number_value(v);
        uint32_t n = d > 4e9 ? NO_END - 1 : (uint32_t)d;
        best = best == none || (least ? n > best : n < best) ? n : best;
    }
    return best;
}

/* A node of an automaton over bytes; an empty one is none. */
static enum err_code own_bytes(struct build *b, struct dfa *d, const char *why, uint32_t *out)
{
    if (dfa_empty(d)) {
        dfa_free(d);
        return grammar_build_none(b, why, out);
    }
    enum err_code rc = grammar_own(b->g, d, b->err);
    if (!rc)
        rc = grammar_build_node(b, NODE_DFA, out);
    if (!rc)
        b->g->nodes[*out].dfa = d;
    return rc;
}

enum err_code grammar_build_literals(struct build *b, const struct texts *t, uint32_t *out)
{
    struct nfa a = {0};
    struct dfa *d;
    uint32_t start = nfa_state(&a), end = nfa_state(&a);
    for (uint32_t i = 0; i < t->n && !a.failed; i++) {
        uint32_t at = start;
        for (size_t k = 0; k < t->text[i].len && !a.failed; k++) {
            uint32_t next = k + 1 < t->text[i].len ? nfa_state(&a) : end;
            uint8_t c = (uint8_t)t->text[i].ptr[k];
            if (!a.failed)
                nfa_letters(&a, at, c, c, next);
            at = next;
        }
    }
    enum err_code rc = dfa_make(&a, start, end, LITERAL_STATES_MAX, &d, b->err);
    nfa_deinit(&a);
    return rc ? rc : own_bytes(b, d, NULL, out);
}

/* ---- strings ---- */

/* *d becomes what it and `more` both take; `more` is used up. */
static enum err_code narrow(struct dfa **d, struct dfa *more, struct err *err)
{
    struct dfa *both = NULL;
    if (!*d) {
        *d = more;
        return OK;
    }
    enum err_code rc = dfa_both(*d, more, STRING_STATES_MAX, &both, err);
    dfa_free(more);
    dfa_free(*d);
    *d = both;
    return rc;
}

/* Engines and formats differ here, so it cannot prove that two schemas exclude
 * each other. */
static bool is_narrowed(const char *pattern)
{
    return strstr(pattern, "\\W") || strstr(pattern, "\\D") || strstr(pattern, "\\s");
}

static enum err_code add_pattern(struct build *b, const json_t *at, const char *word, bool strict,
                                 struct dfa **d)
{
    const json_t *v = json_object_get(at, word);
    struct dfa *one;
    struct err why = {0};
    bool format = strcmp(word, "format") == 0;
    const char *text = json_string_value(v);
    if (!text)
        return OK;
    if (format)
        text = pattern_of_format(str_of(text));
    if (!text)
        return grammar_build_refuse(b, at, word, "names a format that is not supported");
    enum err_code rc = pattern_make(str_of(text), &one, &why);
    if (rc)
        return grammar_build_refuse(b, at, word, why.msg);
    if (strict && (format || is_narrowed(text))) {
        dfa_free(one);
        return OK;
    }
    if (narrow(d, one, &why))
        return grammar_build_refuse(b, at, word, why.msg);
    return OK;
}

/* Lengths on top of the patterns; a far maximum comes nearer. */
static enum err_code add_lengths(struct dfa **d, uint32_t min, uint32_t max, struct err *err)
{
    struct dfa *length;
    enum err_code rc = OK;
    if (min > 0) {
        rc = pattern_length(min, -1, &length, err);
        rc = rc ? rc : narrow(d, length, err);
    }
    if (rc || max == NO_END || dfa_empty(*d))
        return rc;
    int64_t most = (int64_t)(*d)->dist[0] + SLACK;
    rc = pattern_length(0, most < max ? most : max, &length, err);
    return rc ? rc : narrow(d, length, err);
}

static enum err_code patterned(struct build *b, const json_t *at, struct dfa **points, uint32_t min,
                               uint32_t max, uint32_t *out)
{
    struct dfa *bytes;
    struct err why = {0};
    if (add_lengths(points, min, max, &why))
        return grammar_build_refuse(b, at, "pattern", why.msg);
    if (dfa_empty(*points))
        return grammar_build_none(b, grammar_build_why(b, at, "pattern", "leaves no string"), out);
    if (dfa_quote(*points, STRING_STATES_MAX, &bytes, &why))
        return grammar_build_refuse(b, at, "pattern", why.msg);
    if (dfa_empty(bytes)) {
        dfa_free(bytes);
        return grammar_build_refuse(b, at, "pattern", "asks for control characters among others");
    }
    return own_bytes(b, bytes, NULL, out);
}

enum err_code grammar_build_string(struct build *b, const struct together *t, uint32_t *out)
{
    struct dfa *points = NULL;
    enum err_code rc = OK;
    const json_t *v, *at = grammar_together_find(t, "minLength", &v);
    uint32_t min = grammar_together_most(t, "minLength", 0, true);
    uint32_t max = grammar_together_most(t, "maxLength", NO_END, false);
    if (min > max)
        return grammar_build_none(
            b, grammar_build_why(b, at, "minLength", "is more than `maxLength`"), out);
    for (int i = 0; i < t->n && !rc; i++) {
        const json_t *s = t->m[i].s;
        if (json_object_get(s, "pattern") || json_object_get(s, "format"))
            at = s;
        rc = add_pattern(b, s, "pattern", t->strict, &points);
        rc = rc ? rc : add_pattern(b, s, "format", t->strict, &points);
    }
    if (!rc && points) {
        rc = patterned(b, at, &points, min, max, out);
    } else if (!rc) {
        rc = grammar_build_node(b, NODE_STRING, out);
        if (!rc) {
            b->g->nodes[*out].min = min;
            b->g->nodes[*out].max = max;
        }
    }
    dfa_free(points);
    return rc;
}

/* ---- numbers ---- */

#define BOUND_MAX 1000000000000000000.0       /* 10^18 */
#define REACH     ((__int128)999999999999999) /* where a schema sets no bound */

struct bound {
    const json_t *v, *at;
    bool open;
    const char *word;
};

static __int128 ten_to(int n)
{
    __int128 p = 1;
    while (n-- > 0)
        p *= 10;
    return p;
}

static __int128 divide(__int128 v, __int128 by, bool up)
{
    __int128 q = v / by, r = v % by;
    return q + (up && r > 0) - (!up && r < 0);
}

/* The shortest decimal that reads back as d, in units of 10^-digits, rounded up
 * or down. A decimal not less than it reads as a number not less than d. */
static __int128 scaled(double d, int digits, bool up)
{
    char text[40];
    int p = 14;
    do
        snprintf(text, sizeof(text), "%.*e", p, d);
    while (strtod(text, NULL) != d && ++p < 17);
    char *e = strchr(text, 'e');
    int shift = (int)strtol(e + 1, NULL, 10) - p + digits;
    __int128 v = 0;
    for (char *c = text; c < e; c++)
        if (*c >= '0' && *c <= '9')
            v = v * 10 + (*c - '0');
    v = d < 0 ? -v : v;
    if (shift >= 0)
        return v * ten_to(shift);
    return shift < -37 ? (v > 0 && up) - (v < 0 && !up) : divide(v, ten_to(-shift), up);
}

static __int128 bound_units(const struct bound *w, int digits, bool up)
{
    if (json_is_integer(w->v) && (digits == 0 || !w->open)) {
        __int128 v = (__int128)json_integer_value(w->v) * ten_to(digits);
        return w->open ? v + (up ? 1 : -1) : v;
    }
    double d = json_number_value(w->v);
    if (d == floor(d) && digits == 0 && w->open)
        return (__int128)d + (up ? 1 : -1);
    if (w->open)
        d = nextafter(d, up ? INFINITY : -INFINITY);
    return scaled(d, digits, up);
}

/* Whether `x` leaves less than `best`, as the bound below (or above). */
static bool tighter(const struct bound *x, const struct bound *best, bool low)
{
    if (!best->v)
        return true;
    bool exact = json_is_integer(x->v) && json_is_integer(best->v);
    double d = exact ? (double)((json_integer_value(x->v) > json_integer_value(best->v)) -
                                (json_integer_value(x->v) < json_integer_value(best->v)))
                     : json_number_value(x->v) - json_number_value(best->v);
    return d == 0 ? x->open : (d > 0) == low;
}

static struct bound find_bound(const struct together *t, bool low)
{
    const char *words[] = {low ? "minimum" : "maximum",
                           low ? "exclusiveMinimum" : "exclusiveMaximum"};
    struct bound best = {0};
    for (int i = 0; i < t->n; i++)
        for (int k = 0; k < 2; k++) {
            struct bound x = {json_object_get(t->m[i].s, words[k]), t->m[i].s, k == 1, words[k]};
            if (x.v && tighter(&x, &best, low))
                best = x;
        }
    double d = best.v ? json_number_value(best.v) : 0;
    if (best.v && (low ? d < -BOUND_MAX : d > BOUND_MAX))
        best.v = NULL; /* past all that is written anyway */
    return best;
}

struct limits {
    struct bound lo, hi;
    __int128 min, max;
};

static void find_units(struct limits *l, int digits)
{
    __int128 unit = ten_to(digits), reach = REACH * unit;
    l->min = l->lo.v ? bound_units(&l->lo, digits, true) : -reach;
    l->max = l->hi.v ? bound_units(&l->hi, digits, false) : reach;
    if (!l->lo.v && l->max < -reach)
        l->min = l->max - reach;
    if (!l->hi.v && l->min > reach)
        l->max = l->min + reach;
}

static bool crossed(const struct limits *l)
{
    if (!l->lo.v || !l->hi.v)
        return false;
    double lo = json_number_value(l->lo.v), hi = json_number_value(l->hi.v);
    return lo > hi || (lo == hi && (l->lo.open || l->hi.open));
}

static enum err_code find_multiple(struct build *b, const struct together *t, int *m)
{
    *m = 1;
    for (int i = 0; i < t->n; i++) {
        const json_t *v = json_object_get(t->m[i].s, "multipleOf");
        double d = json_number_value(v);
        if (!v)
            continue;
        if (!(d >= 1 && d <= 1000) || d != floor(d))
            return grammar_build_refuse(b, t->m[i].s, "multipleOf",
                                        "is supported for whole numbers from 1 to 1000");
        int x = *m, y = (int)d;
        while (y) {
            int r = x % y;
            x = y;
            y = r;
        }
        *m = *m / x * (int)d;
        if (*m > 1000)
            return grammar_build_refuse(b, t->m[i].s, "multipleOf",
                                        "has a least common multiple past 1000");
    }
    return OK;
}

/* Digits behind the point: enough that there is a choice between the bounds. */
static int find_digits(struct limits *l, bool whole)
{
    int digits = whole ? 0 : 6;
    find_units(l, digits);
    while (!whole && digits < 18 && l->max - l->min < 1000)
        find_units(l, ++digits);
    return digits;
}

static enum err_code ranged(struct build *b, const struct together *t, bool whole, int multiple,
                            uint32_t *out)
{
    struct limits l = {.lo = find_bound(t, true), .hi = find_bound(t, false)};
    struct dfa *d = NULL, *m;
    if ((l.lo.v && json_number_value(l.lo.v) > BOUND_MAX) ||
        (l.hi.v && json_number_value(l.hi.v) < -BOUND_MAX))
        return grammar_build_refuse(b, l.lo.v && json_number_value(l.lo.v) > 0 ? l.lo.at : l.hi.at,
                                    l.lo.v && json_number_value(l.lo.v) > 0 ? l.lo.word : l.hi.word,
                                    "is supported up to 1e18");
    int digits = find_digits(&l, whole);
    if (crossed(&l) || (l.min > l.max && whole))
        return grammar_build_none(
            b, grammar_build_why(b, l.lo.at, l.lo.word, "leaves nothing below the greatest value"),
            out);
    if (l.min > l.max)
        return grammar_build_refuse(b, l.lo.at, l.lo.word, "is too close to the other bound");
    enum err_code rc = pattern_decimals(l.min, l.max, digits, &d, b->err);
    if (!rc && multiple > 1) {
        rc = pattern_multiples(multiple, &m, b->err);
        rc = rc ? rc : narrow(&d, m, b->err);
    }
    if (!rc)
        return own_bytes(b, d, grammar_build_why(b, t->m[0].s, "multipleOf", "leaves no number"),
                         out);
    dfa_free(d);
    return rc;
}

enum err_code grammar_build_number(struct build *b, const struct together *t, bool whole,
                                   uint32_t *out)
{
    static const char *const bounds[] = {"minimum", "maximum", "exclusiveMinimum",
                                         "exclusiveMaximum", "multipleOf"};
    const json_t *v;
    int multiple;
    bool plain = !whole;
    for (int i = 0; i < 5; i++) {
        grammar_together_find(t, bounds[i], &v); /* the last one is multipleOf */
        plain = plain && !v;
    }
    enum err_code rc = find_multiple(b, t, &multiple);
    if (rc || !plain)
        return rc ? rc : ranged(b, t, whole || v, multiple, out);
    if (b->constants[2] == NO_NODE) {
        struct dfa *d;
        rc = pattern_number(&d, b->err);
        rc = rc ? rc : own_bytes(b, d, NULL, &b->constants[2]);
    }
    *out = b->constants[2];
    return rc;
}
