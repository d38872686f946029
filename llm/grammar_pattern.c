#include "llm/grammar_pattern.h"
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"

#define GROUPS_MAX 64     /* groups in groups */
#define REPEAT_MAX 1000
#define RANGES_MAX 256    /* of a class */

struct reader {
    struct str s;
    size_t at;
    struct nfa *a;
    int depth;
    const char *wrong;    /* why it is refused; a literal */
};
struct part { uint32_t from, to; };
struct range { uint32_t lo, hi; };
struct set { struct range r[RANGES_MAX]; int n; };

static struct part read_choice(struct reader *r);

static bool more(const struct reader *r)
{
    return r->at < r->s.len && !r->wrong && !r->a->failed;
}

static bool eat(struct reader *r, char c)
{
    if (!more(r) || r->s.ptr[r->at] != c)
        return false;
    r->at++;
    return true;
}

static void refuse(struct reader *r, const char *why)
{
    if (!r->wrong)
        r->wrong = why;
}

static struct part new_part(struct reader *r)
{
    uint32_t from = nfa_state(r->a);
    return (struct part){from, nfa_state(r->a)};
}

/* ---- classes ---- */

static void set_add(struct reader *r, struct set *s, uint32_t lo, uint32_t hi)
{
    if (s->n == RANGES_MAX)
        refuse(r, "a class of too many parts");
    else
        s->r[s->n++] = (struct range){lo, hi};
}

static int by_low(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

static void set_negate(struct reader *r, struct set *s)
{
    struct set out = {.n = 0};
    uint32_t next = 0;
    qsort(s->r, (size_t)s->n, sizeof(s->r[0]), by_low);
    for (int i = 0; i < s->n; i++) {
        if (s->r[i].lo > next)
            set_add(r, &out, next, s->r[i].lo - 1);
        if (s->r[i].hi >= next)
            next = s->r[i].hi + 1;
    }
    if (next <= CODE_POINT_MAX)
        set_add(r, &out, next, CODE_POINT_MAX);
    *s = out;
}

/* All that some engine counts as white space; \s itself is the ASCII of it. */
static const struct range spaces[] = {
    {0x09, 0x0d},     {0x1c, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},
    {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f},
    {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff}};

static void add_negated(struct reader *r, struct set *s, const struct set *of, uint32_t top)
{
    struct set not = *of;
    set_negate(r, &not);
    for (int i = 0; i < not.n; i++)
        if (not.r[i].lo <= top)
            set_add(r, s, not.r[i].lo, not.r[i].hi < top ? not.r[i].hi : top);
}

/* \d and its kin. `negated`: the class around it is turned over, so that what is
 * left out here would come in. */
static bool add_class(struct reader *r, struct set *s, char c, bool negated)
{
    struct set digits = {{{'0', '9'}}, 1};
    struct set word = {{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}, 4};
    struct set space = {.n = 0};
    for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
        set_add(r, &space, spaces[i].lo, spaces[i].hi);
    if (c == 'd' || c == 'w' || (c == 's' && negated)) {
        const struct set *from = c == 'd' ? &digits : c == 'w' ? &word : &space;
        for (int i = 0; i < from->n; i++)
            set_add(r, s, from->r[i].lo, from->r[i].hi);
    } else if (c == 's') {
        set_add(r, s, '\t', '\r');
        set_add(r, s, ' ', ' ');
    } else if (c == 'D' || c == 'W') {
        add_negated(r, s, c == 'D' ? &digits : &word, negated ? CODE_POINT_MAX : 0x7f);
    } else if (c == 'S') {
        add_negated(r, s, &space, CODE_POINT_MAX);
    } else {
        return false;
    }
    return true;
}

static uint32_t hex(struct reader *r, int n)
{
    uint32_t v = 0;
    for (; n > 0; n--) {
        const char *digits = "0123456789abcdef";
        const char *at = more(r) ? strchr(digits, r->s.ptr[r->at] | 32) : NULL;
        if (!at || r->s.ptr[r->at] == 0) {
            refuse(r, "a \\x or \\u without its digits");
            return 0;
        }
        v = v * 16 + (uint32_t)(at - digits);
        r->at++;
    }
    return v;
}

/* \uHHHH; two of them may be one character. */
static uint32_t hex_point(struct reader *r)
{
    uint32_t v = hex(r, 4);
    if (v >= 0xd800 && v < 0xdc00 && r->at + 1 < r->s.len && r->s.ptr[r->at] == '\\' &&
        r->s.ptr[r->at + 1] == 'u') {
        r->at += 2;
        uint32_t low = hex(r, 4);
        if (low >= 0xdc00 && low < 0xe000)
            return 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
    }
    if (v >= 0xd800 && v < 0xe000)
        refuse(r, "half of a surrogate pair");
    return v;
}

/* What stands behind a backslash and is one character. */
static uint32_t escaped(struct reader *r)
{
    static const char from[] = "tnrfv", to[] = "\t\n\r\f\v";
    char c = r->s.ptr[r->at++];
    const char *at = strchr(from, c);
    if (c && at)
        return (uint8_t)to[at - from];
    if (c == 'x')
        return hex(r, 2);
    if (c == 'u')
        return hex_point(r);
    if (c == '0')
        return 0;
    if (strchr("^$\\.*+?()[]{}|/-\"'#&~@!%,:;<>=_` ", c) && c)
        return (uint8_t)c;
    refuse(r, c == 'b' || c == 'B'     ? "\\b is not supported"
              : c == 'p' || c == 'P'   ? "\\p is not supported"
              : (c >= '1' && c <= '9') ? "back references are not supported"
                                       : "an escape that is not supported");
    return 0;
}

static uint32_t next_point(struct reader *r)
{
    uint32_t cp;
    r->at += (size_t)utf8_decode(r->s, r->at, &cp);
    return cp;
}

/* One end of a range, or a class (then false). */
static bool class_item(struct reader *r, struct set *s, bool negated, uint32_t *cp)
{
    if (!eat(r, '\\')) {
        *cp = next_point(r);
        return true;
    }
    if (!more(r)) {
        refuse(r, "a backslash at the end");
        return false;
    }
    if (add_class(r, s, r->s.ptr[r->at], negated)) {
        r->at++;
        return false;
    }
    if (eat(r, 'b')) {
        *cp = '\b';
        return true;
    }
    *cp = escaped(r);
    return true;
}

static void read_class(struct reader *r, struct set *s)
{
    bool negated = eat(r, '^');
    while (more(r) && r->s.ptr[r->at] != ']') {
        uint32_t lo, hi;
        if (!class_item(r, s, negated, &lo))
            continue;
        hi = lo;
        if (r->at + 1 < r->s.len && r->s.ptr[r->at] == '-' && r->s.ptr[r->at + 1] != ']') {
            r->at++;
            if (!class_item(r, s, negated, &hi) || hi < lo)
                refuse(r, "a range that is none");
        }
        set_add(r, s, lo, hi);
    }
    if (!eat(r, ']'))
        refuse(r, "a [ without its ]");
    if (negated)
        set_negate(r, s);
}

/* ---- what stands in a row ---- */

static struct part of_set(struct reader *r, const struct set *s)
{
    struct part p = new_part(r);
    for (int i = 0; i < s->n && !r->a->failed; i++)
        nfa_letters(r->a, p.from, s->r[i].lo, s->r[i].hi, p.to);
    return p;
}

static struct part of_step(struct reader *r, enum nfa_kind kind)
{
    struct part p = new_part(r);
    if (!r->a->failed)
        nfa_free_step(r->a, p.from, kind, p.to);
    return p;
}

static struct part read_group(struct reader *r)
{
    if (eat(r, '?') && !eat(r, ':'))
        refuse(r, "(? is supported only as (?:");
    if (++r->depth > GROUPS_MAX)
        refuse(r, "too many groups in groups");
    struct part p = read_choice(r);
    r->depth--;
    if (!eat(r, ')'))
        refuse(r, "a ( without its )");
    return p;
}

static struct part read_atom(struct reader *r)
{
    struct set s = {.n = 0};
    char c = r->s.ptr[r->at];
    if (eat(r, '('))
        return read_group(r);
    if (eat(r, '^'))
        return of_step(r, NFA_AT_BEGIN);
    if (eat(r, '$'))
        return of_step(r, NFA_AT_END);
    if (eat(r, '[')) {
        read_class(r, &s);
    } else if (eat(r, '.')) {
        s = (struct set){{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}, 3};
        set_negate(r, &s);
    } else if (eat(r, '\\')) {
        if (r->at == r->s.len) {
            refuse(r, "a backslash at the end");
        } else if (add_class(r, &s, r->s.ptr[r->at], false)) {
            r->at++;
        } else {
            uint32_t cp = escaped(r);
            set_add(r, &s, cp, cp);
        }
    } else if (c && strchr("*+?{", c)) {
        refuse(r, "a quantifier of nothing");
    } else {
        uint32_t cp = next_point(r);
        set_add(r, &s, cp, cp);
    }
    return of_set(r, &s);
}

static int read_count(struct reader *r)
{
    int n = 0, digits = 0;
    for (; more(r) && r->s.ptr[r->at] >= '0' && r->s.ptr[r->at] <= '9'; digits++, r->at++)
        n = n > REPEAT_MAX ? n : n * 10 + (r->s.ptr[r->at] - '0');
    if (digits == 0)
        refuse(r, "a { that is no count");
    if (n > REPEAT_MAX)
        refuse(r, "a count past 1000");
    return n;
}

/* How often; most < 0: any number of times. */
static void read_quantifier(struct reader *r, int *least, int *most)
{
    *least = *most = 1;
    if (eat(r, '*')) {
        *least = 0;
        *most = -1;
    } else if (eat(r, '+')) {
        *most = -1;
    } else if (eat(r, '?')) {
        *least = 0;
    } else if (eat(r, '{')) {
        *least = *most = read_count(r);
        if (eat(r, ','))
            *most = more(r) && r->s.ptr[r->at] != '}' ? read_count(r) : -1;
        if (!eat(r, '}') || (*most >= 0 && *most < *least))
            refuse(r, "a { that is no count");
    } else {
        return;
    }
    eat(r, '?');
}

/* An atom and its quantifier. Copies of it are read again from the text. */
static struct part read_term(struct reader *r)
{
    size_t start = r->at;
    int least, most;
    struct part p = read_atom(r);
    read_quantifier(r, &least, &most);
    size_t end = r->at;
    if (least == 1 && most == 1)
        return p;
    struct part all = new_part(r);
    uint32_t at = all.from;
    int copies = most < 0 ? (least > 0 ? least : 1) : most;
    for (int i = 0; i < copies && !r->wrong && !r->a->failed; i++) {
        if (i > 0) {
            r->at = start;
            p = read_atom(r);
        }
        nfa_free_step(r->a, at, NFA_FREE, p.from);
        if (i >= least)
            nfa_free_step(r->a, at, NFA_FREE, all.to);
        at = p.to;
    }
    r->at = end;
    if (r->a->failed)
        return all;
    if (most < 0) /* round the last copy again */
        nfa_free_step(r->a, at, NFA_FREE, p.from);
    nfa_free_step(r->a, at, NFA_FREE, all.to);
    return all;
}

static struct part read_row(struct reader *r)
{
    struct part p = new_part(r);
    uint32_t at = p.from;
    while (more(r) && r->s.ptr[r->at] != '|' && r->s.ptr[r->at] != ')') {
        struct part next = read_term(r);
        if (!r->a->failed)
            nfa_free_step(r->a, at, NFA_FREE, next.from);
        at = next.to;
    }
    if (!r->a->failed)
        nfa_free_step(r->a, at, NFA_FREE, p.to);
    return p;
}

static struct part read_choice(struct reader *r)
{
    struct part p = new_part(r);
    do {
        struct part one = read_row(r);
        if (r->a->failed)
            break;
        nfa_free_step(r->a, p.from, NFA_FREE, one.from);
        nfa_free_step(r->a, one.to, NFA_FREE, p.to);
    } while (eat(r, '|'));
    return p;
}

enum err_code pattern_make(struct str text, struct dfa **out, struct err *err)
{
    struct nfa a = {0};
    struct reader r = {.s = text, .a = &a};
    *out = NULL;
    uint32_t before = nfa_state(&a), after = nfa_state(&a);
    struct part p = read_choice(&r);
    if (r.at < text.len && !a.failed)
        refuse(&r, "a ) without its (");
    if (!r.wrong && !a.failed) {
        nfa_letters(&a, before, 0, CODE_POINT_MAX, before);
        nfa_free_step(&a, before, NFA_FREE, p.from);
        nfa_free_step(&a, p.to, NFA_FREE, after);
        nfa_letters(&a, after, 0, CODE_POINT_MAX, after);
    }
    enum err_code rc = OK;
    if (r.wrong)
        rc = err_set(err, ERR_ARG, "%s (at %zu)", r.wrong, r.at);
    else
        rc = dfa_make(&a, before, after, PATTERN_STATES_MAX, out, err);
    nfa_deinit(&a);
    return rc;
}

bool pattern_takes(const struct dfa *d, struct str text)
{
    uint32_t s = 0, cp;
    for (size_t at = 0; at < text.len && s != DFA_NONE; s = dfa_step(d, s, cp))
        at += (size_t)utf8_decode(text, at, &cp);
    return s != DFA_NONE && d->accept[s];
}

/* ---- formats ---- */

#define YEAR "[1-9]\\d{3}"
#define DATE                                                                         \
    YEAR "-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\\d|2[0-8])"                              \
         "|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
#define CLOCK                                                                                      \
    "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:0\\d|1[0-4]):[0-5]\\d)"
#define OCTET "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define LABEL "[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?"

/* RFC 3339, 4122, 3986 and 5321, narrower than they are: every text is one that any
 * validator takes (29 February is left out, domains are of lower case). */
const char *pattern_of_format(struct str name)
{
    static const struct { const char *name, *pattern; } formats[] = {
        {"date", "^" DATE "$"},
        {"time", "^" CLOCK "$"},
        {"date-time", "^" DATE "T" CLOCK "$"},
        {"email", "^[A-Za-z0-9](?:[A-Za-z0-9_+-]|\\.[A-Za-z0-9_+-]){0,40}@" LABEL "(?:\\." LABEL
                  "){0,3}\\.[a-z]{2,10}$"},
        {"hostname", "^" LABEL "(?:\\." LABEL "){0,3}$"},
        {"uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
        {"ipv4", "^" OCTET "\\." OCTET "\\." OCTET "\\." OCTET "$"},
        {"ipv6", "^(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$"},
        {"uri", "^https?://" LABEL "(?:\\." LABEL "){0,3}(?::[1-9]\\d{0,3})?"
                "(?:/[A-Za-z0-9_.~-]{0,40}){0,8}(?:\\?[A-Za-z0-9_.~=&-]{0,80})?"
                "(?:#[A-Za-z0-9_.~-]{0,40})?$"},
    };
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (str_eqz(name, formats[i].name))
            return formats[i].pattern;
    return NULL;
}

enum err_code pattern_length(int64_t min, int64_t max, struct dfa **out, struct err *err)
{
    struct nfa a = {0};
    int64_t n = max < 0 ? min : max;
    uint32_t at = nfa_state(&a), end = nfa_state(&a);
    *out = NULL;
    for (int64_t i = 0; !a.failed; i++) {
        if (i >= min)
            nfa_free_step(&a, at, NFA_FREE, end);
        if (i == n)
            break;
        uint32_t next = nfa_state(&a);
        nfa_letters(&a, at, 0, CODE_POINT_MAX, next);
        at = next;
    }
    if (max < 0 && !a.failed)
        nfa_letters(&a, at, 0, CODE_POINT_MAX, at);
    enum err_code rc = dfa_make(&a, 0, end, PATTERN_STATES_MAX, out, err);
    nfa_deinit(&a);
    return rc;
}
