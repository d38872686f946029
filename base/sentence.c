/* base/sentence.c - one pass from the start; at each stop it looks at the word
 * before and at the first word after. Nothing is looked at further than the
 * white space behind a stop, so that a text costs what its length is. */
#include "base/sentence.h"
#include <string.h>
#include "base/utf8.h"

enum { TOKEN_MAX = 24 }; /* bytes; a longer word is no abbreviation */

struct look {
    uint32_t cp;
    int n; /* bytes; 0 at the end */
};

static struct look at(struct str s, size_t i)
{
    struct look l = {0, 0};
    if (i < s.len)
        l.n = utf8_decode(s, i, &l.cp);
    return l;
}

static bool in(uint32_t cp, const char *set)
{
    struct str s = str_of(set);
    uint32_t c;
    for (size_t i = 0; i < s.len;) {
        i += (size_t)utf8_decode(s, i, &c);
        if (c == cp)
            return true;
    }
    return false;
}

static bool is_full_stop(uint32_t cp)
{
    return cp == '.' || cp == 0x2026; /* and the ellipsis */
}

static bool is_strong_stop(uint32_t cp)
{
    return cp == '!' || cp == '?' || (cp >= 0x203c && in(cp, "‼⁇⁈⁉")) ||
           (cp > 0x500 && in(cp, "։؟۔।॥።"));
}

static bool is_cjk_stop(uint32_t cp)
{
    return cp >= 0x3002 && in(cp, "。！？．｡");
}

static bool is_closer(uint32_t cp)
{
    return cp < 0x80 ? cp == ')' || cp == ']' || cp == '}' || cp == '"' || cp == '\''
                     : in(cp, "”’»›“」』）】》〉］｝");
}

static bool is_opener(uint32_t cp)
{
    return cp < 0x80 ? cp == '(' || cp == '[' || cp == '{' || cp == '"' || cp == '\''
                     : in(cp, "“‘«‹„‚「『（【《〈¿¡");
}

/* ---- white space and line breaks */

struct gap {
    size_t end;
    int breaks; /* line breaks in it; CR LF is one */
};

static struct gap skip_space(struct str s, size_t i)
{
    struct gap g = {i, 0};
    struct look l;
    while ((l = at(s, g.end)).n > 0 && utf8_is_space(l.cp)) {
        bool crlf = l.cp == '\r' && g.end + 1 < s.len && s.ptr[g.end + 1] == '\n';
        if ((l.cp == '\n' || l.cp == '\r' || l.cp == 0x85 || l.cp == 0x2028) && !crlf)
            g.breaks++;
        if (l.cp == '\f' || l.cp == 0x2029)
            g.breaks += 2; /* a page or a paragraph ends */
        g.end += (size_t)l.n;
    }
    return g;
}

static bool ascii_alnum(uint32_t cp)
{
    return cp < 0x80 && (utf8_is_letter(cp) || utf8_is_number(cp));
}

/* "- ", "* ", "• ", "1. ", "12) ", "(a) ", "b) " */
static bool list_mark(struct str s, size_t i)
{
    struct look l = at(s, i);
    if (l.n > 0 && in(l.cp, "-*+•◦‣▪–—")) {
        struct look next = at(s, i + (size_t)l.n);
        return next.n > 0 && utf8_is_space(next.cp);
    }
    bool paren = l.cp == '(' && l.n > 0;
    size_t from = i + (paren ? 1 : 0), j = from;
    bool digits = true;
    while (j < s.len && j - from < 4 && ascii_alnum((unsigned char)s.ptr[j])) {
        digits = digits && utf8_is_number((unsigned char)s.ptr[j]);
        j++;
    }
    if (j == from || (!digits && j - from > 1) || j + 1 >= s.len)
        return false;
    bool mark = s.ptr[j] == ')' || (s.ptr[j] == '.' && !paren && digits);
    return mark && utf8_is_space(at(s, j + 1).cp);
}

/* ---- words around a full stop */

static bool among(struct str word, const char *const *list)
{
    for (; *list; list++)
        if (str_ieq(word, str_of(*list)))
            return true;
    return false;
}

/* The bytes before `stop` back to white space, an opening mark or a dash. */
static struct str token_before(struct str s, size_t start, size_t stop)
{
    size_t i = stop;
    while (i > start && stop - i < TOKEN_MAX) {
        unsigned char c = (unsigned char)s.ptr[i - 1];
        if (c <= ' ' || (c < 0x80 && is_opener(c)) || c == '-' || c == '/')
            break;
        i--;
    }
    return str_sub(s, i, stop);
}

static struct str word_at(struct str s, size_t i)
{
    size_t end = i;
    struct look l;
    while (end - i < TOKEN_MAX && (l = at(s, end)).n > 0 &&
           (utf8_is_letter(l.cp) || utf8_is_number(l.cp)))
        end += (size_t)l.n;
    return str_sub(s, i, end);
}

/* Words that begin sentences and seldom stand inside a name. */
static bool starts_sentence(struct str word)
{
    static const char *const list[] = {
        "a",     "after",   "all",  "although", "an",    "and",  "another", "as",    "at",
        "but",   "by",      "each", "for",      "from",  "he",   "her",     "here",  "his",
        "how",   "however", "i",    "if",       "in",    "it",   "its",     "many",  "most",
        "my",    "no",      "on",   "one",      "or",    "our",  "she",     "since", "so",
        "some",  "such",    "that", "the",      "their", "then", "there",   "these", "they",
        "this",  "those",   "thus", "to",       "under", "we",   "what",    "when",  "where",
        "while", "who",     "why",  "with",     "yes",   "you",  "your",    NULL,
    };
    return among(word, list);
}

/* Always followed by what they belong to. */
static bool is_title(struct str word)
{
    static const char *const list[] = {
        "mr",   "mrs",  "ms",  "dr",   "prof",   "rev", "hon",  "gen",    "col",  "capt",
        "cpt",  "cmdr", "lt",  "sgt",  "maj",    "gov", "sen",  "rep",    "pres", "supt",
        "st",   "ste",  "mt",  "ft",   "messrs", "mme", "mlle", "fr",     "sr",   "e.g",
        "i.e",  "eg",   "ie",  "viz",  "cf",     "vs",  "v",    "approx", "ca",   "c",
        "resp", "incl", "esp", "dipl", "ing",    "z.b", "d.h",  "bzw",    "u.a",  NULL,
    };
    return among(word, list);
}

/* Followed by a number, a numeral or a letter; else words of their own. */
static bool is_numbered(struct str word)
{
    static const char *const list[] = {
        "no",  "nos",  "nr",   "fig",  "figs",  "eq",  "eqs", "eqn", "sec",  "secs", "sect",
        "ch",  "chap", "vol",  "vols", "pp",    "p",   "pt",  "art", "ref",  "refs", "tab",
        "tbl", "app",  "para", "ex",   "def",   "thm", "lem", "cor", "prop", "op",   "ver",
        "ed",  "eds",  "jan",  "feb",  "mar",   "apr", "jun", "jul", "aug",  "sep",  "sept",
        "oct", "nov",  "dec",  "ser",  "issue", "lit", "max", "min", "tel",  "rev",  NULL,
    };
    return among(word, list);
}

/* May end a sentence or not: the word behind them tells. */
static bool is_either(struct str word)
{
    static const char *const list[] = {
        "inc",  "corp",  "co",  "ltd",  "llc",  "plc",  "jr",   "bros", "al",   "dept",
        "univ", "assn",  "est", "ave",  "blvd", "rd",   "hwy",  "mfg",  "intl", "natl",
        "govt", "a.m",   "p.m", "am",   "pm",   "ph.d", "phd",  "m.d",  "b.a",  "b.sc",
        "m.sc", "calif", "fla", "mass", "mich", "minn", "penn", "tex",  "wash", NULL,
    };
    return among(word, list);
}

/* "U.S", "J.R.R", "D.C": points between single letters. */
static bool is_dotted(struct str word)
{
    if (word.len < 3 || word.len % 2 == 0)
        return false;
    for (size_t i = 0; i < word.len; i++) {
        unsigned char c = (unsigned char)word.ptr[i];
        if (i % 2 ? c != '.' : c >= 0x80 || !utf8_is_letter(c))
            return false;
    }
    return true;
}

static bool is_roman(struct str word)
{
    for (size_t i = 0; i < word.len; i++)
        if (!strchr("IVXLCM", word.ptr[i]))
            return false;
    return word.len > 0;
}

static bool all_digits(struct str word)
{
    for (size_t i = 0; i < word.len; i++)
        if (word.ptr[i] < '0' || word.ptr[i] > '9')
            return false;
    return word.len > 0;
}

static bool one_letter(struct str word)
{
    uint32_t cp;
    return word.len > 0 && (size_t)utf8_decode(word, 0, &cp) == word.len && utf8_is_letter(cp);
}

/* A mark in front of what it counts: "1. Introduction", "a. first", "iv. fourth". */
static bool is_counter(struct str s, size_t start, struct str token)
{
    size_t before = (size_t)(token.ptr - s.ptr);
    while (before > start && s.ptr[before - 1] == ' ')
        before--;
    bool first = before == start || s.ptr[before - 1] == '\n' || s.ptr[before - 1] == '\r' ||
                 s.ptr[before - 1] == '\t';
    if (!first || token.len > 4)
        return false;
    bool low_roman = token.len > 0;
    for (size_t i = 0; i < token.len; i++)
        low_roman = low_roman && strchr("ivx", token.ptr[i]);
    return all_digits(token) || one_letter(token) || low_roman;
}

/* What stands behind a stop, its closing marks and its white space. */
struct after {
    struct str word; /* past opening marks; empty when it begins with neither letter nor digit */
    uint32_t cp;     /* first of it */
    bool none;       /* the text ends */
};

static struct after look_after(struct str s, size_t i)
{
    struct look l;
    for (int marks = 0; (l = at(s, i)).n > 0 && is_opener(l.cp) && marks < 4; marks++)
        i += (size_t)l.n;
    return (struct after){word_at(s, i), l.cp, l.n == 0};
}

static bool is_lower(uint32_t cp)
{
    return utf8_is_letter(cp) && !utf8_is_upper(cp) && !utf8_is_cjk(cp) && cp < 0x590;
}

/* Does a single full stop behind `token` end a sentence before `next`? */
static bool stop_ends(struct str s, size_t start, struct str token, const struct after *next)
{
    if (is_lower(next->cp))
        return false;
    if (is_title(token) || is_counter(s, start, token))
        return false;
    if (is_numbered(token)) {
        bool number = next->word.len > 0 && utf8_is_number(next->cp);
        bool numeral = one_letter(next->word) || is_roman(next->word);
        return !number && (!numeral || str_eqz(next->word, "I")); /* "No. I will not." */
    }
    if (str_eqz(token, "I"))
        return true;
    if (one_letter(token) || is_dotted(token) || is_either(token))
        return starts_sentence(next->word) || next->word.len == 0;
    return true;
}

/* ---- a stop */

/* "[12]" and "[a]" behind a stop belong to it. */
static size_t skip_notes(struct str s, size_t i)
{
    while (i < s.len && s.ptr[i] == '[') {
        size_t j = i + 1;
        while (j < s.len && j - i < 6 && ascii_alnum((unsigned char)s.ptr[j]))
            j++;
        if (j == i + 1 || j >= s.len || s.ptr[j] != ']')
            break;
        i = j + 1;
    }
    return i;
}

struct stop_run {
    size_t begin, end; /* the stops; */
    size_t close;      /* and past the closing marks and notes behind them */
    int count;
    bool strong, cjk;
};

static struct stop_run read_stops(struct str s, size_t i)
{
    struct stop_run r = {.begin = i, .end = i};
    struct look l;
    for (; (l = at(s, r.end)).n > 0; r.end += (size_t)l.n) {
        bool strong = is_strong_stop(l.cp), cjk = is_cjk_stop(l.cp);
        if (!strong && !cjk && !is_full_stop(l.cp))
            break;
        r.strong = r.strong || strong;
        r.cjk = r.cjk || cjk;
        r.count += l.cp == 0x2026 ? 3 : 1;
    }
    r.close = r.end;
    while ((l = at(s, r.close)).n > 0 && is_closer(l.cp))
        r.close += (size_t)l.n;
    r.close = skip_notes(s, r.close);
    return r;
}

/* Where the sentence ends that this run of stops ends, or 0 if it goes on.
 * Line breaks are not looked at here: the scan comes to them next. */
static size_t end_at(struct str s, size_t start, const struct stop_run *r)
{
    struct gap gap = skip_space(s, r->close);
    struct after next = look_after(s, gap.end);
    if (r->cjk || next.none)
        return gap.end;
    if (gap.end == r->close)
        return 0; /* 3.14, example.com, "?", end.Next */
    if (r->strong)
        return r->close > r->end && is_lower(next.cp) ? 0 : gap.end;
    if (r->count > 1)
        return is_lower(next.cp) ? 0 : gap.end;
    return stop_ends(s, start, token_before(s, start, r->begin), &next) ? gap.end : 0;
}

size_t sentence_end(struct str s, size_t start)
{
    size_t i = skip_space(s, start).end;
    size_t first = i;
    struct look l;
    while ((l = at(s, i)).n > 0) {
        if (is_full_stop(l.cp) || is_strong_stop(l.cp) || is_cjk_stop(l.cp)) {
            struct stop_run r = read_stops(s, i);
            size_t end = end_at(s, first, &r);
            if (end)
                return end;
            i = r.end;
        } else if (utf8_is_space(l.cp)) {
            struct gap g = skip_space(s, i);
            if (g.breaks > 1 || (g.breaks == 1 && list_mark(s, g.end)))
                return g.end;
            i = g.end;
        } else {
            i += (size_t)l.n;
        }
    }
    return s.len;
}
