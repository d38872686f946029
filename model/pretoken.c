/* model/pretoken.c - stages of matchers.
 *
 * A family is up to STAGES expressions: the first cuts the text into its
 * matches and the gaps between them, the next cuts each of those, and so on.
 * A matcher looks at one place and gives the bytes of its match (> 0), or minus
 * the bytes of the gap it is sure of (< 0); the end of its segment is the end
 * of the world to it, as lookaheads of the expressions have it. */
#include "model/pretoken.h"
#include <stddef.h>
#include <stdint.h>
#include "base/utf8.h"

#define STAGES 6

/* Classes of a code point. */
enum {
    L = 1,       /* letters */
    N = 2,       /* numbers */
    S = 4,       /* white space */
    P = 8,       /* punctuation */
    SYM = 16,    /* symbols */
    M = 32,      /* marks */
    UP = 64,     /* Lu Lt, and what has no case: Lm Lo M */
    LOW = 128,   /* Ll, and what has no case */
    AZ = 256,    /* A to Z and a to z */
    EOL = 512    /* \r \n */
};

struct glyph { uint32_t cp; unsigned class; size_t len; };   /* len 0: the end */

static unsigned ascii_class(uint32_t c)
{
    if (c >= 'a' && c <= 'z')
        return L | LOW | AZ;
    if (c >= 'A' && c <= 'Z')
        return L | UP | AZ;
    if (c >= '0' && c <= '9')
        return N;
    if (c == '\r' || c == '\n')
        return S | EOL;
    if (c == ' ' || (c >= '\t' && c <= '\r'))
        return S;
    if (c == '$' || c == '+' || c == '<' || c == '=' || c == '>' || c == '^' || c == '`' ||
        c == '|' || c == '~')
        return SYM;
    return c > ' ' && c < 0x7f ? P : 0;
}

static unsigned class_of(uint32_t cp)
{
    if (cp < 0x80)
        return ascii_class(cp);
    if (utf8_is_space(cp))
        return S;
    const char *cat = utf8_category(cp);
    switch (cat[0]) {
    case 'L':
        return L | (cat[1] == 'u' || cat[1] == 't' ? UP : cat[1] == 'l' ? LOW : UP | LOW);
    case 'M':
        return M | UP | LOW;
    case 'N':
        return N;
    case 'P':
        return P;
    case 'S':
        return SYM;
    }
    return 0;
}

static struct glyph glyph_at(struct str s, size_t at)
{
    struct glyph g = {0};
    if (at < s.len) {
        g.len = (size_t)utf8_decode(s, at, &g.cp);
        g.class = class_of(g.cp);
    }
    return g;
}

/* Bytes of the run from `at` of glyphs of the classes in `mask` (or, not `in`,
 * of none of them); at most `most` glyphs. */
static size_t run(struct str s, size_t at, unsigned mask, bool in, size_t most)
{
    size_t start = at;
    struct glyph g;
    while (most-- && (g = glyph_at(s, at)).len && ((g.class & mask) != 0) == in)
        at += g.len;
    return at - start;
}

static size_t run_of(struct str s, size_t at, unsigned mask)
{
    return run(s, at, mask, true, SIZE_MAX);
}

static size_t run_without(struct str s, size_t at, unsigned mask)
{
    return run(s, at, mask, false, SIZE_MAX);
}

/* 's|'t|'re|'ve|'m|'ll|'d, in either case if `fold` */
static size_t contraction(struct str s, size_t at, bool fold)
{
    static const char *const tails[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (at >= s.len || s.ptr[at] != '\'')
        return 0;
    struct str rest = str_sub(s, at + 1, s.len);
    for (size_t i = 0; i < sizeof(tails) / sizeof(*tails); i++) {
        struct str tail = str_of(tails[i]), head = str_sub(rest, 0, tail.len);
        if (fold ? str_ieq(head, tail) : str_eq(head, tail))
            return 1 + tail.len;
    }
    return 0;
}

/* \s+(?!\S)|\s+ : a run leaves its last one to the word behind it. */
static size_t spaces(struct str s, size_t at)
{
    size_t end = at, last = 0;
    struct glyph g;
    while ((g = glyph_at(s, end)).class & S) {
        last = g.len;
        end += g.len;
    }
    return end < s.len && end - at > last ? end - last - at : end - at;
}

/* \s*[\r\n]+ : white space up to its last line end; 0 without one */
static size_t lines(struct str s, size_t at)
{
    size_t end = at, eol = at;
    struct glyph g;
    while ((g = glyph_at(s, end)).class & S) {
        end += g.len;
        if (g.class & EOL)
            eol = end;
    }
    return eol - at;
}

static ptrdiff_t gap(struct str s, size_t at)
{
    return -(ptrdiff_t)glyph_at(s, at).len;
}

static ptrdiff_t or_gap(struct str s, size_t at, size_t n)
{
    return n ? (ptrdiff_t)n : gap(s, at);
}

/* ---- matchers */

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static ptrdiff_t gpt2(struct str s, size_t at)
{
    size_t n = contraction(s, at, false);
    if (n)
        return (ptrdiff_t)n;
    size_t lead = s.ptr[at] == ' ';
    struct glyph g = glyph_at(s, at + lead);
    if (!g.len || g.class & S)
        return (ptrdiff_t)spaces(s, at);
    unsigned same = g.class & (L | N);
    n = same ? run_of(s, at + lead, same) : run_without(s, at + lead, L | N | S);
    return (ptrdiff_t)(lead + n);
}

/* [^\r\n\p{L}\p{N}]? in front of letters: its bytes, when `mask` follows it */
static size_t lead_of(struct str s, size_t at, unsigned mask)
{
    struct glyph g = glyph_at(s, at);
    if (g.class & (EOL | L | N))
        return 0;
    return glyph_at(s, at + g.len).class & mask ? g.len : 0;
}

/*  ?[^\s\p{L}\p{N}]+[\r\n]* (with slash: [\r\n/]*) */
static size_t others(struct str s, size_t at, bool slash)
{
    size_t start = at;
    at += s.ptr[at] == ' ';
    size_t n = run_without(s, at, L | N | S);
    if (!n)
        return 0;
    at += n;
    while (at < s.len && (s.ptr[at] == '\r' || s.ptr[at] == '\n' || (slash && s.ptr[at] == '/')))
        at++;
    return at - start;
}

/* What ends most of the newer ones: others, then \s*[\r\n]+|\s+(?!\S)|\s+ */
static ptrdiff_t others_and_space(struct str s, size_t at, bool slash)
{
    size_t n = others(s, at, slash);
    if (!n)
        n = lines(s, at);
    if (!n)
        n = spaces(s, at);
    return or_gap(s, at, n);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| others... */
static ptrdiff_t cl100k(struct str s, size_t at, size_t digits)
{
    size_t n = contraction(s, at, true);
    if (n)
        return (ptrdiff_t)n;
    size_t lead = lead_of(s, at, L);
    n = run_of(s, at + lead, L);
    if (n)
        return (ptrdiff_t)(lead + n);
    n = run(s, at, N, true, digits);
    return n ? (ptrdiff_t)n : others_and_space(s, at, false);
}

static ptrdiff_t llama3(struct str s, size_t at)
{
    return cl100k(s, at, 3);
}

static ptrdiff_t qwen2(struct str s, size_t at)
{
    return cl100k(s, at, 1);
}

/* [Lu Lt Lm Lo M]*[Ll Lm Lo M]+ : takes what it can, and gives back as far as
 * the last one that may be the second part */
static size_t lower_tail(struct str s, size_t at)
{
    size_t end = at, both = 0;
    struct glyph g;
    while ((g = glyph_at(s, end)).class & UP) {
        end += g.len;
        if (g.class & LOW)
            both = end - at;
    }
    size_t n = run_of(s, end, LOW);
    return n ? end - at + n : both;
}

/* [Lu Lt Lm Lo M]+[Ll Lm Lo M]* */
static size_t upper_head(struct str s, size_t at)
{
    size_t n = run_of(s, at, UP);
    return n ? n + run_of(s, at + n, LOW) : 0;
}

/* [^\r\n\p{L}\p{N}]? before lower_tail, else before upper_head. A mark may be
 * lead or letter: it is the lead unless nothing would be left. */
static size_t cased(struct str s, size_t at)
{
    size_t lead = lead_of(s, at, UP | LOW), n = lower_tail(s, at + lead);
    if (n)
        return lead + n;
    n = lower_tail(s, at);
    if (n)
        return n;
    n = upper_head(s, at + lead);
    return n ? lead + n : 0;
}

/* cased with (?i:'s|'t|...)? behind if `tails`|\p{N}{1,digits}| others... */
static ptrdiff_t by_case(struct str s, size_t at, bool tails, size_t digits)
{
    size_t n = cased(s, at);
    if (n)
        return (ptrdiff_t)(n + (tails ? contraction(s, at + n, true) : 0));
    n = run(s, at, N, true, digits);
    return n ? (ptrdiff_t)n : others_and_space(s, at, true);
}

static ptrdiff_t gpt4o(struct str s, size_t at)
{
    return by_case(s, at, true, 3);
}

static ptrdiff_t tekken(struct str s, size_t at)
{
    return by_case(s, at, false, 1);
}

/* [!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+
 * | ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static ptrdiff_t deepseek3(struct str s, size_t at)
{
    struct glyph g = glyph_at(s, at);
    size_t n = g.cp < 0x80 && g.class & (P | SYM) ? run_of(s, at + 1, AZ) : 0;
    if (n)
        return (ptrdiff_t)(1 + n);
    size_t lead = g.class & (EOL | L | P | SYM) ? 0 : g.len;
    n = run_of(s, at + lead, L | M);
    if (n)
        return (ptrdiff_t)(lead + n);
    if (g.class & M)           /* a mark alone */
        return (ptrdiff_t)g.len;
    lead = s.ptr[at] == ' ';
    n = run_of(s, at + lead, P | SYM);
    if (n)
        return (ptrdiff_t)(lead + n + run_of(s, at + lead + n, EOL));
    n = lines(s, at);
    return or_gap(s, at, n ? n : spaces(s, at));
}

/* \p{N}+ , \p{N}{1,3} and \p{N} */
static ptrdiff_t numbers(struct str s, size_t at)
{
    return or_gap(s, at, run_of(s, at, N));
}

static ptrdiff_t three_numbers(struct str s, size_t at)
{
    return or_gap(s, at, run(s, at, N, true, 3));
}

static ptrdiff_t number(struct str s, size_t at)
{
    return or_gap(s, at, run(s, at, N, true, 1));
}

/* [0-9][0-9][0-9] */
static ptrdiff_t three_digits(struct str s, size_t at)
{
    size_t n = 0;
    while (n < 3 && at + n < s.len && s.ptr[at + n] >= '0' && s.ptr[at + n] <= '9')
        n++;
    return or_gap(s, at, n == 3 ? n : 0);
}

/* [\p{P}\$\+<=>\^~\|`]+ , where ` is missing from "default" */
static size_t punct_run(struct str s, size_t at, bool backtick)
{
    size_t start = at;
    struct glyph g;
    while ((g = glyph_at(s, at)).class & P ||
           (g.class & SYM && g.cp < 0x80 && (backtick || g.cp != '`')))
        at += g.len;
    return at - start;
}

static ptrdiff_t falcon_punct(struct str s, size_t at)
{
    return or_gap(s, at, punct_run(s, at, true));
}

static ptrdiff_t default_punct(struct str s, size_t at)
{
    return or_gap(s, at, punct_run(s, at, false));
}

/* [\r\n] */
static ptrdiff_t line_end(struct str s, size_t at)
{
    return s.ptr[at] == '\r' || s.ptr[at] == '\n' ? 1 : gap(s, at);
}

/* \s? in front of a run: its bytes */
static size_t one_space(struct str s, size_t at)
{
    struct glyph g = glyph_at(s, at);
    return g.class & S ? g.len : 0;
}

/* \s?\p{L}+ and \s?\p{P}+ */
static ptrdiff_t spaced_run(struct str s, size_t at, unsigned mask)
{
    size_t lead = one_space(s, at), n = run_of(s, at + lead, mask);
    return n ? (ptrdiff_t)(lead + n) : gap(s, at);
}

static ptrdiff_t spaced_letters(struct str s, size_t at)
{
    return spaced_run(s, at, L);
}

static ptrdiff_t spaced_punct(struct str s, size_t at)
{
    return spaced_run(s, at, P);
}

/* [\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+ : DeepSeek's CJK */
static ptrdiff_t east_asian(struct str s, size_t at)
{
    size_t start = at;
    struct glyph g;
    while ((g = glyph_at(s, at)).len && ((g.cp >= 0x800 && g.cp <= 0x9fa5) ||
                                         (g.cp >= 0xac00 && g.cp <= 0xd7ff)))
        at += g.len;
    return or_gap(s, start, at - start);
}

/* [\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+ : of DeepSeek 3 */
static ptrdiff_t han_and_kana(struct str s, size_t at)
{
    size_t start = at;
    struct glyph g;
    while ((g = glyph_at(s, at)).len && ((g.cp >= 0x4e00 && g.cp <= 0x9fa5) ||
                                         (g.cp >= 0x3040 && g.cp <= 0x30ff)))
        at += g.len;
    return or_gap(s, start, at - start);
}

struct range { uint32_t first, last; };

static bool in_ranges(uint32_t cp, const struct range *r, size_t n)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (cp > r[mid].last)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && cp >= r[lo].first;
}

static ptrdiff_t spaced_ranges(struct str s, size_t at, const struct range *r, size_t n)
{
    size_t end = at + one_space(s, at), start = end;
    struct glyph g;
    while ((g = glyph_at(s, end)).len && in_ranges(g.cp, r, n))
        end += g.len;
    if (end == start)          /* a space that is in the class itself */
        for (end = start = at; (g = glyph_at(s, end)).len && in_ranges(g.cp, r, n);)
            end += g.len;
    return end > start ? (ptrdiff_t)(end - at) : gap(s, at);
}

/* \s?[cased letters]+ : the class as DeepSeek LLM's tokenizer.json spells it,
 * which is \p{L&} of its day less most of Georgian */
static ptrdiff_t cased_letters(struct str s, size_t at)
{
    static const struct range r[] = {
        {0x41, 0x5a},       {0x61, 0x7a},       {0xb5, 0xb5},       {0xc0, 0xd6},
        {0xd8, 0xf6},       {0xf8, 0x1ba},      {0x1bc, 0x1bf},     {0x1c4, 0x293},
        {0x295, 0x2af},     {0x370, 0x373},     {0x376, 0x377},     {0x37b, 0x37d},
        {0x37f, 0x37f},     {0x386, 0x386},     {0x388, 0x38a},     {0x38c, 0x38c},
        {0x38e, 0x3a1},     {0x3a3, 0x3f5},     {0x3f7, 0x481},     {0x48a, 0x52f},
        {0x531, 0x556},     {0x10a0, 0x10c5},   {0x13a0, 0x13f5},   {0x13f8, 0x13fd},
        {0x1c90, 0x1cba},   {0x1cbd, 0x1cbf},   {0x1d00, 0x1d2b},   {0x1d6b, 0x1d77},
        {0x1d79, 0x1d9a},   {0x1e00, 0x1f15},   {0x1f18, 0x1f1d},   {0x1f20, 0x1f45},
        {0x1f48, 0x1f4d},   {0x1f50, 0x1f57},   {0x1f59, 0x1f59},   {0x1f5b, 0x1f5b},
        {0x1f5d, 0x1f5d},   {0x1f5f, 0x1f7d},   {0x1f80, 0x1fb4},   {0x1fb6, 0x1fbc},
        {0x1fbe, 0x1fbe},   {0x1fc2, 0x1fc4},   {0x1fc6, 0x1fcc},   {0x1fd0, 0x1fd3},
        {0x1fd6, 0x1fdb},   {0x1fe0, 0x1fec},   {0x1ff2, 0x1ff4},   {0x1ff6, 0x1ffc},
        {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210a, 0x2113},   {0x2115, 0x2115},
        {0x2119, 0x211d},   {0x2124, 0x2124},   {0x2126, 0x2126},   {0x2128, 0x2128},
        {0x212a, 0x212d},   {0x212f, 0x2134},   {0x2139, 0x2139},   {0x213c, 0x213f},
        {0x2145, 0x2149},   {0x214e, 0x214e},   {0x2183, 0x2184},   {0x2c00, 0x2c7b},
        {0x2c7e, 0x2ce4},   {0x2ceb, 0x2cee},   {0x2cf2, 0x2cf3},   {0xa640, 0xa66d},
        {0xa680, 0xa69b},   {0xa722, 0xa76f},   {0xa771, 0xa787},   {0xa78b, 0xa78e},
        {0xab70, 0xabbf},   {0xfb00, 0xfb06},   {0xfb13, 0xfb17},   {0xff21, 0xff3a},
        {0xff41, 0xff5a},   {0x10400, 0x1044f}, {0x104b0, 0x104d3}, {0x104d8, 0x104fb},
        {0x10c80, 0x10cb2}, {0x10cc0, 0x10cf2}, {0x118a0, 0x118df}, {0x1e900, 0x1e943},
    };
    return spaced_ranges(s, at, r, sizeof(r) / sizeof(*r));
}

/* \s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+ */
static ptrdiff_t wide_punct(struct str s, size_t at)
{
    static const struct range r[] = {{0x21, 0x2f},     {0x3a, 0x7e},     {0x2018, 0x201f},
                                     {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e}};
    return spaced_ranges(s, at, r, sizeof(r) / sizeof(*r));
}

/* \s+$ */
static ptrdiff_t last_spaces(struct str s, size_t at)
{
    size_t n = run_of(s, at, S);
    if (!n)
        return gap(s, at);
    return at + n == s.len ? (ptrdiff_t)n : -(ptrdiff_t)n;
}

/* ---- families */

struct pretoken {
    ptrdiff_t (*stages[STAGES])(struct str s, size_t at);
    bool whole_words, adds_bos;
};

static const struct pretoken
    family_gpt2 = {{gpt2}, false, false},
    family_llama3 = {{llama3}, true, true},
    family_cl100k = {{llama3}, false, false},
    family_qwen2 = {{qwen2}, false, false},
    family_starcoder = {{number, gpt2}, false, false},
    family_falcon = {{falcon_punct, gpt2, three_digits}, false, false},
    family_default = {{default_punct, gpt2, numbers, three_digits}, false, false},
    family_deepseek = {{line_end, cased_letters, wide_punct, last_spaces, east_asian, numbers},
                       false, false},
    family_deepseek_coder = {{line_end, spaced_letters, spaced_punct, east_asian, number},
                             false, false},
    family_deepseek3 = {{three_numbers, han_and_kana, deepseek3}, false, false},
    family_tekken = {{tekken}, true, true},
    family_gpt4o = {{gpt4o}, false, false};

const struct pretoken *pretoken_find(struct str name)
{
    static const struct {
        const char *name;
        const struct pretoken *family;
    } table[] = {
        {"default", &family_default},         {"gpt-2", &family_gpt2},
        {"mpt", &family_gpt2},                {"olmo", &family_gpt2},
        {"phi-2", &family_gpt2},              {"llama-bpe", &family_llama3},
        {"llama3", &family_llama3},           {"llama-v3", &family_llama3},
        {"falcon3", &family_llama3},          {"pixtral", &family_llama3},
        {"lfm2", &family_llama3},             {"dbrx", &family_cl100k},
        {"glm4", &family_cl100k},             {"chatglm-bpe", &family_cl100k},
        {"smaug-bpe", &family_cl100k},        {"qwen2", &family_qwen2},
        {"deepseek-r1-qwen", &family_qwen2},  {"stablelm2", &family_qwen2},
        {"starcoder", &family_starcoder},     {"refact", &family_starcoder},
        {"command-r", &family_starcoder},     {"smollm", &family_starcoder},
        {"codeshell", &family_starcoder},     {"exaone", &family_starcoder},
        {"falcon", &family_falcon},           {"deepseek-llm", &family_deepseek},
        {"deepseek-coder", &family_deepseek_coder}, {"deepseek-v3", &family_deepseek3},
        {"tekken", &family_tekken},           {"gpt-4o", &family_gpt4o},
        {"llama4", &family_gpt4o},
    };
    if (!name.len)
        return &family_default;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (str_eqz(name, table[i].name))
            return table[i].family;
    return NULL;
}

bool pretoken_whole_words(const struct pretoken *p)
{
    return p->whole_words;
}

bool pretoken_adds_bos(const struct pretoken *p)
{
    return p->adds_bos;
}

struct job {
    const struct pretoken *p;
    enum err_code (*word)(void *arg, struct str word, struct err *err);
    void *arg;
    struct err *err;
};

static enum err_code split(const struct job *j, struct str s, int stage)
{
    if (stage == STAGES || !j->p->stages[stage])
        return j->word(j->arg, s, j->err);
    enum err_code rc = OK;
    size_t from = 0, at = 0;
    while (at < s.len && !rc) {
        ptrdiff_t n = j->p->stages[stage](s, at);
        if (n < 0) {
            at += (size_t)-n;
            continue;
        }
        if (at > from)
            rc = split(j, str_sub(s, from, at), stage + 1);
        if (!rc)
            rc = split(j, str_sub(s, at, at + (size_t)n), stage + 1);
        from = at += (size_t)n;
    }
    if (!rc && from < s.len)
        rc = split(j, str_sub(s, from, s.len), stage + 1);
    return rc;
}

enum err_code pretoken_split(const struct pretoken *p, struct str text,
                             enum err_code (*word)(void *arg, struct str word, struct err *err),
                             void *arg, struct err *err)
{
    const struct job j = {p, word, arg, err};
    return text.len ? split(&j, text, 0) : OK;
}
