/* query/filter.c - held text is read token by token: a bracket, a tag, a word or
 * address, or one character. A token that the end of the text so far leaves
 * undecided waits for more, up to a maximum. */
#include "query/filter.h"
#include <string.h>
#include "base/utf8.h"

enum {
    MARK_MAX = 64,    /* bytes of "[Passages 1, 2 and 3]" */
    NUMBERS_MAX = 16, /* in one bracket */
    TAG_MAX = 24,
    WORD_MAX = 64,
    LINK_MAX = 2048
};
#define NEED_MORE SIZE_MAX

static bool ascii_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool ascii_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- writing ---- */

static void write_gap(struct filter *f, struct buf *out)
{
    if (f->gap.len) {
        buf_str(out, buf_view(&f->gap));
        f->written += f->gap.len;
        f->last = ' ';
        f->forged = f->ws = 0;
    }
    buf_reset(&f->gap);
}

static void keep_gap(struct filter *f, uint32_t cp)
{
    struct str g = buf_view(&f->gap);
    bool two = g.len >= 2 && g.ptr[g.len - 1] == '\n' && g.ptr[g.len - 2] == '\n';
    if (!f->written || (f->squeeze && cp == ' ' && g.len) || (cp == '\n' && two) ||
        g.len > MARK_MAX)
        return;
    while (cp == '\n' && f->gap.len && f->gap.ptr[f->gap.len - 1] == ' ')
        f->gap.ptr[--f->gap.len] = 0;
    buf_char(&f->gap, cp == '\n' ? '\n' : cp == '\t' ? '\t' : ' ');
}

/* Would `cp` make a link, an image or a tag of what stands there? Something that went out
 * may have stood between: "http[9]://", "www[9].". */
static bool makes_link(const struct filter *f, uint32_t cp)
{
    if (f->verbatim)
        return false;
    bool opens = cp == '/' || cp == '!' || cp == '?' || cp == '|' || cp == '<' || cp == 0xff5c ||
                 (cp < 0x80 && ascii_letter((char)cp));
    return (f->last == '<' && opens && !f->plain_tag) || (f->last == ']' && (cp == '(' || cp == ':')) || (f->last == '!' && cp == '[') ||
           (f->last == ':' && cp == '/') || (cp == '.' && f->ws >= 3);
}

/* One character of text. It completes neither "[7]", nor a link, nor an image. */
static void write_char(struct filter *f, uint32_t cp, struct buf *out)
{
    if (utf8_is_space(cp)) {
        keep_gap(f, cp == '\r' ? ' ' : cp == 0x2028 || cp == 0x2029 ? '\n' : cp);
        return;
    }
    if (f->squeeze && f->gap.len && cp < 0x80 && strchr(".,;:!?)", (int)cp))
        buf_reset(&f->gap); /* before the mark that went */
    f->squeeze = false;
    write_gap(f, out);
    if (makes_link(f, cp))
        buf_char(out, ' ');
    f->plain_tag = false;
    f->ws = cp == 'w' || cp == 'W' ? f->ws + 1 : 0;
    if (cp == '[')
        f->forged = 1;
    else if (f->forged && cp < 0x80 && ascii_digit((char)cp))
        f->forged = 2;
    else if (f->forged == 2 && cp == ']')
        cp = ')';
    if (cp != '[' && !(f->forged && cp < 0x80 && ascii_digit((char)cp)))
        f->forged = 0;
    utf8_encode(out, cp);
    f->written++;
    f->last = cp;
    f->last_mark = 0;
}

static void write_text(struct filter *f, struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.len;) {
        uint32_t cp;
        i += (size_t)utf8_decode(s, i, &cp);
        write_char(f, cp, out);
    }
}

static void write_mark(struct filter *f, long n, struct buf *out)
{
    if (n < 1 || n > f->n_passages || f->marks >= FILTER_MARKS_MAX) {
        f->marks_out++;
        f->squeeze = true;
        return;
    }
    if (f->last_mark == n && !f->gap.len)
        return;
    write_gap(f, out);
    if (f->last == '!' || f->last == '[')
        buf_char(out, ' '); /* no image, and no "[[1]" that a "7]" could follow */
    buf_printf(out, "[%ld]", n);
    f->marks++;
    f->written++;
    f->last = ']';
    f->last_mark = (int)n;
    f->forged = f->ws = 0;
    f->squeeze = false;
}

/* ---- marks ---- */

struct reading {
    struct str s;
    size_t i;
    bool end; /* nothing will follow s */
};

/* Next code point, fullwidth digits and brackets as plain ones; 0 past the end. */
static uint32_t peek(const struct reading *r, int *len)
{
    uint32_t cp = 0;
    *len = r->i < r->s.len ? utf8_decode(r->s, r->i, &cp) : 0;
    if (cp >= 0xff10 && cp <= 0xff19)
        return '0' + (cp - 0xff10);
    return cp == 0x3010 || cp == 0xff3b ? '[' : cp == 0x3011 || cp == 0xff3d ? ']' : cp;
}

static bool take_any(struct reading *r, const char *set)
{
    int len;
    bool any = false;
    for (uint32_t cp; (cp = peek(r, &len)) != 0; r->i += (size_t)len) {
        bool dash = cp == 0x2013 || cp == 0x2010 || cp == 0x2011, invisible = cp == 0x200c || cp == 0x200d;
        bool space = utf8_is_space(cp) && cp != '\n' && strchr(set, ' ');
        if (!invisible && !space && !(cp < 0x80 && strchr(set, (int)cp)) &&
            !(dash && strchr(set, '-')))
            break;
        any = true;
    }
    return any;
}

static bool take_number(struct reading *r, long *n)
{
    int len, digits = 0;
    *n = 0;
    for (uint32_t cp; (cp = peek(r, &len)) >= '0' && cp <= '9'; r->i += (size_t)len, digits++)
        *n = *n > 100000 ? *n : *n * 10 + (long)(cp - '0');
    return digits > 0;
}

/* "Passage", "and": true when it is there, or when the text ends within it. */
static bool take_word(struct reading *r, const char *const *words)
{
    for (; *words; words++) {
        size_t n = strlen(*words), left = r->s.len - r->i;
        struct str here = str_sub(r->s, r->i, r->i + n);
        if (str_ieq(here, str_of(*words)) ||
            (left && left < n && !r->end && str_ieq(here, str_sub(str_of(*words), 0, left)))) {
            r->i += here.len;
            return true;
        }
    }
    return false;
}

static const char *const PREFIX[] = {"passages", "passage", "sources", "source", "ref.",
                                     "ref",      "cite:",   "citation", "no.",   NULL};
static const char *const AND[] = {"and", "und", "et", "to", NULL};

/* Reads a bracket's inside; *n numbers, a range written out as far as there are
 * passages. False: it is no mark. r->i stops at the end of the text when that is
 * where the reading ended. */
static bool take_numbers(struct filter *f, struct reading *r, long *v, int *n)
{
    bool range = false;
    *n = 0;
    take_any(r, " ^#*");
    if (take_word(r, PREFIX))
        take_any(r, " #:");
    while (*n < NUMBERS_MAX && r->i < r->s.len) {
        long number;
        if (!take_number(r, &number))
            return false;
        for (long k = range && *n ? v[*n - 1] + 1 : number;
             k < number && k <= f->n_passages && *n < NUMBERS_MAX - 1; k++)
            v[(*n)++] = k;
        v[(*n)++] = number;
        size_t before = r->i;
        take_any(r, " ,;&^#");
        take_word(r, AND);
        range = take_any(r, "-");
        take_any(r, " ^#");
        int len;
        if (r->i == before || peek(r, &len) == ']' || peek(r, &len) == 0x2020)
            break;
    }
    return *n > 0;
}

/* A bracket at the start of `s`: its length when it is a mark, 0 when it is none. */
static size_t read_mark(struct filter *f, struct str s, bool end, long *v, int *n)
{
    int len;
    struct reading r = {str_sub(s, 0, MARK_MAX), 0, end || s.len >= MARK_MAX};
    peek(&r, &len);
    r.i = (size_t)len;
    bool numbers = take_numbers(f, &r, v, n);
    if (numbers && peek(&r, &len) == 0x2020) /* "†source", as some models were taught */
        while (r.i < r.s.len && peek(&r, &len) != ']' && peek(&r, &len) != '\n')
            r.i += (size_t)len;
    if (r.i >= r.s.len)
        return r.end ? 0 : NEED_MORE;
    return numbers && peek(&r, &len) == ']' ? r.i + (size_t)len : 0;
}

static size_t bracket(struct filter *f, struct str s, bool end, struct buf *out)
{
    long v[NUMBERS_MAX];
    int n = 0, len;
    size_t used = read_mark(f, s, end, v, &n);
    if (used == NEED_MORE)
        return used;
    if (used) {
        for (int i = 0; i < n; i++)
            write_mark(f, v[i], out);
        return used;
    }
    struct reading r = {s, 0, end};
    uint32_t cp = peek(&r, &len);
    write_char(f, cp, out);
    return (size_t)len;
}

/* ---- tags ---- */

static bool tag_loads(struct str name)
{
    static const char *const LOADS[] = {
        "script", "style",    "iframe", "object", "embed", "form",    "img",   "image", "svg",
        "meta",   "link",     "base",   "html",   "body",  "input",   "video", "audio", "source",
        "math",   "template", "frame",  "button", "s",     "bos",     "eos",   "unk",   "pad",
        "passage", "passages", "conversation", "question", NULL};
    for (const char *const *p = LOADS; *p; p++)
        if (str_ieq(name, str_of(*p)))
            return true;
    return false;
}

/* "<" and what it begins. A plain tag without attributes passes, as in "use
 * <div>"; anything else that looks like one loses its bracket. */
static size_t tag(struct filter *f, struct str s, bool end, struct buf *out)
{
    size_t i = 1;
    if (i < s.len && s.ptr[i] == '/')
        i++;
    size_t from = i;
    while (i < s.len && i < TAG_MAX && (ascii_letter(s.ptr[i]) || ascii_digit(s.ptr[i])))
        i++;
    if (i == s.len && !end && i < TAG_MAX)
        return NEED_MORE;
    struct str name = str_sub(s, from, i);
    bool closed = i < s.len && s.ptr[i] == '>';
    if (closed && from == 1 && !f->written && str_eqz(name, "think")) {
        f->thinking = true;
        return i + 1;
    }
    uint32_t next = 0;
    if (s.len > 1)
        utf8_decode(s, 1, &next);
    bool looks = from == 2 || name.len || next == '|' || next == '!' || next == '?' ||
                 next == '<' || next == 0xff5c;
    bool plain = closed && name.len && ascii_letter(name.ptr[0]) && !tag_loads(name);
    write_char(f, looks && !plain ? 0x2039 : '<', out);
    f->plain_tag = plain;
    return 1;
}

static size_t think(struct filter *f, struct str s)
{
    struct str close = STR("</think>");
    size_t at = str_find(s, close, 0);
    if (at == SIZE_MAX) { /* the end of s may be its beginning */
        size_t keep = s.len < close.len ? s.len : close.len - 1;
        return s.len > keep ? s.len - keep : NEED_MORE;
    }
    f->thinking = false;
    return at + close.len;
}

/* ---- words and addresses ---- */

static bool link_end(struct str s, size_t i)
{
    unsigned char c = (unsigned char)s.ptr[i];
    uint32_t cp = c;
    if (c < 0x80)
        return c <= ' ' || c == 0x7f || strchr("<>\"'`)]}|\\", c) != NULL;
    utf8_decode(s, i, &cp);
    return utf8_is_space(cp) || utf8_is_control(cp) || utf8_is_cjk(cp) || cp == 0x3002 ||
           cp == 0xff0c || cp == 0x300d || cp == 0x3011 || cp == 0x2019 || cp == 0x201d;
}

static size_t link_length(struct str s, size_t from)
{
    size_t i = from;
    while (i < s.len && !link_end(s, i))
        i++;
    return i;
}

static bool closing_stop(char c)
{
    return c && strchr(".,;:!?*_~", c);
}

/* A known text has the address, and it ends there too. */
static bool known(const struct filter *f, struct str address)
{
    while (address.len && closing_stop(address.ptr[address.len - 1]))
        address.len--;
    for (int i = 0; i < f->n_known; i++) {
        struct str text = f->known[i];
        for (size_t at = 0; (at = str_find(text, address, at)) != SIZE_MAX; at++) {
            size_t end = at + address.len;
            while (end < text.len && closing_stop(text.ptr[end]))
                end++;
            if (address.len && (end == text.len || link_end(text, end)))
                return true;
        }
    }
    return false;
}

static bool is_scheme(struct str word)
{
    static const char *const SCHEMES[] = {
        "http", "https", "ftp",  "ftps", "file", "data", "javascript", "vbscript", "mailto",
        "ws",   "wss",   "blob", "sms",  "tel",  "cid",  "intent",     "filesystem", NULL};
    for (const char *const *p = SCHEMES; *p; p++)
        if (str_ieq(word, str_of(*p)))
            return true;
    return false;
}

/* Does the word s[0..n) begin an address? NEED_MORE while that is open. */
static size_t begins_address(struct str s, size_t n, bool end)
{
    struct str word = str_sub(s, 0, n);
    if (n > 4 && str_ieq(str_sub(word, 0, 4), STR("www.")))
        return 1;
    if (n == s.len)
        return end || n >= WORD_MAX ? 0 : NEED_MORE;
    if (s.ptr[n] != ':')
        return 0;
    if (s.len < n + 3 && !end) /* "word:/" may become "word://" */
        return s.len < n + 2 || s.ptr[n + 1] == '/' || is_scheme(word) ? NEED_MORE : 0;
    if (str_starts(str_sub(s, n, s.len), STR("://")))
        return 1;
    return is_scheme(word) && n + 1 < s.len && !link_end(s, n + 1);
}

static bool word_char(char c)
{
    return ascii_letter(c) || ascii_digit(c) || c == '+' || c == '.' || c == '-';
}

static size_t word(struct filter *f, struct str s, bool end, struct buf *out)
{
    size_t n = 0;
    while (n < s.len && n < WORD_MAX && word_char(s.ptr[n]))
        n++;
    size_t address = begins_address(s, n, end);
    if (address == NEED_MORE)
        return address;
    if (!address) {
        write_text(f, str_sub(s, 0, n), out);
        return n;
    }
    size_t to = link_length(s, 0);
    if (to == s.len && !end && to < LINK_MAX)
        return NEED_MORE;
    if (to < LINK_MAX && known(f, str_sub(s, 0, to))) {
        f->verbatim = true;
        write_text(f, str_sub(s, 0, to), out);
        f->verbatim = false;
        return to;
    }
    f->links_out++;
    f->swallowing = to == s.len;
    write_text(f, STR(FILTER_LINK_GONE), out);
    return to;
}

/* ---- the front ---- */

static size_t step(struct filter *f, struct str s, bool end, struct buf *out)
{
    uint32_t cp;
    if (f->thinking)
        return think(f, s);
    if (f->swallowing) {
        size_t n = link_length(s, 0);
        f->swallowing = n == s.len;
        if (n)
            return n;
    }
    if (ascii_letter(s.ptr[0]))
        return word(f, s, end, out);
    if (s.ptr[0] == '<')
        return tag(f, s, end, out);
    size_t len = (size_t)utf8_decode(s, 0, &cp);
    if (cp == '[' || cp == 0x3010 || cp == 0xff3b)
        return bracket(f, s, end, out);
    if (cp == 0x3011 || cp == 0xff3d)
        cp = ']';
    write_char(f, cp, out);
    return len;
}

static void run(struct filter *f, bool end, struct buf *out)
{
    struct str s = buf_view(&f->held);
    while (s.len) {
        size_t used = step(f, s, end, out);
        if (used == NEED_MORE)
            break;
        s = str_sub(s, used, s.len);
    }
    if (s.len && s.len < f->held.len)
        memmove(f->held.ptr, s.ptr, s.len);
    if (f->held.ptr)
        f->held.ptr[s.len] = 0;
    f->held.len = s.len;
}

void filter_put(struct filter *f, struct str piece, struct buf *out)
{
    for (size_t i = 0; i < piece.len;) { /* an invisible character must part no token */
        uint32_t cp;
        i += (size_t)utf8_decode(piece, i, &cp);
        if (utf8_is_space(cp) || !utf8_is_control(cp))
            utf8_encode(&f->held, cp);
    }
    run(f, false, out);
}

void filter_end(struct filter *f, struct buf *out)
{
    run(f, true, out);
    buf_reset(&f->held);
}

void filter_deinit(struct filter *f)
{
    buf_free(&f->held);
    buf_free(&f->gap);
}
