#include "base/utf8.h"
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ---- bytes */

static bool follows(struct str s, size_t at)
{
    return at < s.len && ((unsigned char)s.ptr[at] & 0xc0) == 0x80;
}

/* RFC 3629 section 4: the second byte is narrower behind e0, ed, f0 and f4. */
int utf8_decode(struct str s, size_t at, uint32_t *cp)
{
    const unsigned char *p = (const unsigned char *)s.ptr + at;
    uint32_t c = p[0];
    if (c < 0x80) {
        *cp = c;
        return 1;
    }
    if (c >= 0xc2 && c <= 0xdf && follows(s, at + 1)) {
        *cp = (c & 0x1f) << 6 | (p[1] & 0x3f);
        return 2;
    }
    if (c >= 0xe0 && c <= 0xef && follows(s, at + 1) && follows(s, at + 2)) {
        *cp = (c & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
        if (*cp >= 0x800 && (*cp < 0xd800 || *cp > 0xdfff))
            return 3;
    }
    if (c >= 0xf0 && c <= 0xf4 && follows(s, at + 1) && follows(s, at + 2) && follows(s, at + 3)) {
        *cp = (c & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 |
              (p[3] & 0x3f);
        if (*cp >= 0x10000 && *cp <= 0x10ffff)
            return 4;
    }
    *cp = 0xfffd;
    return 1;
}

static size_t ascii_run(struct str s, size_t at)
{
    size_t i = at;
    for (uint64_t w; i + 8 <= s.len; i += 8) {
        memcpy(&w, s.ptr + i, 8);
        if (w & 0x8080808080808080u)
            break;
    }
    while (i < s.len && (unsigned char)s.ptr[i] < 0x80)
        i++;
    return i - at;
}

/* Offset of the first bad byte at or after `at`, or s.len. */
static size_t bad_byte(struct str s, size_t at)
{
    uint32_t cp;
    while ((at += ascii_run(s, at)) < s.len) {
        int n = utf8_decode(s, at, &cp);
        if (n == 1)
            return at;
        at += (size_t)n;
    }
    return s.len;
}

bool utf8_valid(struct str s)
{
    return bad_byte(s, 0) == s.len;
}

size_t utf8_repair(struct str s, struct buf *b)
{
    size_t bad = 0;
    for (size_t at = 0; at < s.len;) {
        size_t stop = bad_byte(s, at);
        buf_add(b, s.ptr + at, stop - at);
        at = stop;
        if (at < s.len) {
            buf_puts(b, "\xef\xbf\xbd");
            bad++;
            at++;
        }
    }
    return bad;
}

void utf8_encode(struct buf *b, uint32_t cp)
{
    if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        cp = 0xfffd;
    char c[4];
    int n = 0;
    if (cp < 0x80) {
        c[n++] = (char)cp;
    } else if (cp < 0x800) {
        c[n++] = (char)(0xc0 | cp >> 6);
        c[n++] = (char)(0x80 | (cp & 0x3f));
    } else if (cp < 0x10000) {
        c[n++] = (char)(0xe0 | cp >> 12);
        c[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
        c[n++] = (char)(0x80 | (cp & 0x3f));
    } else {
        c[n++] = (char)(0xf0 | cp >> 18);
        c[n++] = (char)(0x80 | (cp >> 12 & 0x3f));
        c[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
        c[n++] = (char)(0x80 | (cp & 0x3f));
    }
    buf_add(b, c, (size_t)n);
}

size_t utf8_floor(struct str s, size_t at)
{
    if (at >= s.len)
        return s.len;
    if (!follows(s, at))
        return at;
    uint32_t cp;
    for (size_t back = 1; back <= 3 && back <= at; back++)
        if ((size_t)utf8_decode(s, at - back, &cp) > back)
            return at - back;
    return at;
}

size_t utf8_ceil(struct str s, size_t at)
{
    size_t lo = utf8_floor(s, at);
    uint32_t cp;
    return lo >= at || lo >= s.len ? lo : lo + (size_t)utf8_decode(s, lo, &cp);
}

size_t utf8_count(struct str s)
{
    size_t n = 0;
    uint32_t cp;
    for (size_t at = 0; at < s.len; n++)
        at += (size_t)utf8_decode(s, at, &cp);
    return n;
}

/* ---- facts */

/* Bit c is set when category c of utf8proc is in the class. */
static bool category_in(uint32_t cp, uint32_t mask)
{
    return cp <= 0x10ffff && mask >> utf8proc_category((utf8proc_int32_t)cp) & 1;
}

#define BIT(name) (1u << UTF8PROC_CATEGORY_##name)

bool utf8_is_letter(uint32_t cp)
{
    if (cp < 0x80)
        return (cp | 32) >= 'a' && (cp | 32) <= 'z';
    return category_in(cp, BIT(LU) | BIT(LL) | BIT(LT) | BIT(LM) | BIT(LO) | BIT(MN) | BIT(MC) |
                               BIT(ME));
}

bool utf8_is_mark(uint32_t cp)
{
    return cp >= 0x300 && category_in(cp, BIT(MN) | BIT(MC) | BIT(ME));
}

bool utf8_is_number(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= '0' && cp <= '9';
    return category_in(cp, BIT(ND) | BIT(NL) | BIT(NO));
}

bool utf8_is_space(uint32_t cp)
{
    if (cp < 0x80)
        return cp == ' ' || (cp >= '\t' && cp <= '\r');
    return cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) ||
           cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

bool utf8_is_control(uint32_t cp)
{
    if (cp < 0x80)
        return cp < 0x20 || cp == 0x7f;
    return cp != 0x200c && cp != 0x200d && category_in(cp, BIT(CC) | BIT(CF));
}

bool utf8_is_punct(uint32_t cp)
{
    return category_in(cp, BIT(PC) | BIT(PD) | BIT(PS) | BIT(PE) | BIT(PI) | BIT(PF) | BIT(PO) |
                               BIT(SM) | BIT(SC) | BIT(SK) | BIT(SO));
}

bool utf8_is_upper(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'A' && cp <= 'Z';
    return category_in(cp, BIT(LU) | BIT(LT));
}

const char *utf8_category(uint32_t cp)
{
    return cp <= 0x10ffff ? utf8proc_category_string((utf8proc_int32_t)cp) : "Cn";
}

uint32_t utf8_lower(uint32_t cp)
{
    return cp <= 0x10ffff ? (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp) : cp;
}

int utf8_decompose(uint32_t cp, uint32_t out[UTF8_DECOMPOSED_MAX])
{
    utf8proc_int32_t parts[UTF8_DECOMPOSED_MAX];
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)cp, parts, UTF8_DECOMPOSED_MAX,
                                                 UTF8PROC_DECOMPOSE, &boundary);
    if (n < 1 || n > UTF8_DECOMPOSED_MAX) {
        out[0] = cp;
        return 1;
    }
    for (int i = 0; i < (int)n; i++)
        out[i] = (uint32_t)parts[i];
    return (int)n;
}

/* Blocks of Unicode 14; within them only letters, marks and numbers count. */
bool utf8_is_cjk(uint32_t cp)
{
    static const struct {
        uint32_t first, last;
    } block[] = {
        {0x1100, 0x11ff},   /* Hangul jamo */
        {0x2e80, 0x2fdf},   /* radicals */
        {0x3005, 0x3007},   /* iteration mark, closing mark, zero */
        {0x3021, 0x3029},   /* Hangzhou numerals */
        {0x3031, 0x303c},   /* kana repeat marks, Hangzhou tens */
        {0x3041, 0x309f},   /* hiragana */
        {0x30a1, 0x30fa},   /* katakana */
        {0x30fc, 0x318f},   /* and its marks, bopomofo, Hangul compatibility jamo */
        {0x31a0, 0x31bf},   /* bopomofo */
        {0x31f0, 0x31ff},   /* katakana extensions */
        {0x3400, 0x4dbf},   /* Han extension A */
        {0x4e00, 0x9fff},   /* Han */
        {0xa960, 0xa97f},   /* Hangul jamo extended A */
        {0xac00, 0xd7ff},   /* Hangul syllables, jamo extended B */
        {0xf900, 0xfaff},   /* Han compatibility */
        {0xff66, 0xffdc},   /* half-width kana and jamo */
        {0x1aff0, 0x1b16f}, /* kana extensions */
        {0x20000, 0x323af}, /* Han extensions */
    };
    if (cp < block[0].first)
        return false;
    for (size_t i = 0; i < sizeof(block) / sizeof(*block); i++)
        if (cp >= block[i].first && cp <= block[i].last)
            return utf8_is_letter(cp) || utf8_is_number(cp);
    return false;
}

/* ---- forms
 *
 * utf8proc works on an array of code points, four bytes and more for each
 * byte. So text goes through in pieces, cut where nothing can join: before an
 * ASCII character or a Han ideograph, both of which begin what they are in. */

enum { PIECE = 1 << 10 };

static bool begins(struct str s, size_t at)
{
    unsigned char c = (unsigned char)s.ptr[at];
    return c < 0x80 || (c >= 0xe5 && c <= 0xe9); /* U+5000 to U+9FFF */
}

static size_t piece_end(struct str s, size_t at)
{
    size_t end = at + PIECE;
    while (end < s.len && !begins(s, end))
        end++;
    return end < s.len ? end : s.len;
}

static utf8proc_int32_t to_lower(utf8proc_int32_t cp, void *data)
{
    (void)data;
    return utf8proc_tolower(cp);
}

struct form {
    utf8proc_option_t options;
    utf8proc_custom_func map; /* of each code point, first; or NULL */
    bool drop_marks;          /* nonspacing ones, last */
};

static utf8proc_ssize_t without_marks(utf8proc_int32_t *cp, utf8proc_ssize_t n)
{
    utf8proc_ssize_t kept = 0;
    for (utf8proc_ssize_t i = 0; i < n; i++)
        if (utf8proc_category(cp[i]) != UTF8PROC_CATEGORY_MN)
            cp[kept++] = cp[i];
    return kept;
}

static enum err_code convert(struct str s, const struct form *f, struct buf *b, struct err *err)
{
    utf8proc_int32_t few[256], *cp = few;
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)s.ptr;
    utf8proc_ssize_t n =
        utf8proc_decompose_custom(p, (utf8proc_ssize_t)s.len, few, 256, f->options, f->map, NULL);
    if (n > 256) {
        cp = malloc((size_t)n * sizeof(*cp));
        if (!cp)
            return err_set(err, ERR_NOMEM, "normalizing %zu bytes", s.len);
        n = utf8proc_decompose_custom(p, (utf8proc_ssize_t)s.len, cp, n, f->options, f->map, NULL);
    }
    if (n > 0 && f->drop_marks)
        n = without_marks(cp, n);
    if (n > 0)
        n = utf8proc_normalize_utf32(cp, n, f->options);
    for (utf8proc_ssize_t i = 0; i < n; i++)
        utf8_encode(b, (uint32_t)cp[i]);
    if (cp != few)
        free(cp);
    return n < 0 ? err_set(err, ERR_FORMAT, "text: %s", utf8proc_errmsg(n)) : OK;
}

static void ascii_lower(struct buf *b, struct str s)
{
    if (!buf_reserve(b, s.len))
        return;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        b->ptr[b->len++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    b->ptr[b->len] = '\0';
}

static enum err_code transform(struct str s, const struct form *f, bool lower, struct buf *b,
                               struct err *err)
{
    size_t bad = bad_byte(s, 0);
    if (bad < s.len)
        return err_set(err, ERR_FORMAT, "text is not UTF-8 at byte %zu", bad);
    for (size_t at = 0; at < s.len;) {
        size_t n = ascii_run(s, at);
        if (at + n < s.len && n > 0)
            n--; /* what follows may join with the last one */
        struct str plain = {s.ptr + at, n};
        if (lower)
            ascii_lower(b, plain);
        else
            buf_str(b, plain);
        at += n;
        if (at == s.len)
            break;
        size_t end = piece_end(s, at);
        enum err_code rc = convert(str_sub(s, at, end), f, b, err);
        if (rc)
            return rc;
        at = end;
    }
    return buf_ok(b, "normalized text", err);
}

enum err_code utf8_nfc(struct str s, struct buf *b, struct err *err)
{
    static const struct form form = {UTF8PROC_STABLE | UTF8PROC_COMPOSE, NULL, false};
    return transform(s, &form, false, b, err);
}

enum err_code utf8_fold(struct str s, struct buf *b, struct err *err)
{
    static const struct form form = {UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT |
                                         UTF8PROC_CASEFOLD | UTF8PROC_IGNORE,
                                     NULL, false};
    return transform(s, &form, true, b, err);
}

enum err_code utf8_strip_lower(struct str s, struct buf *b, struct err *err)
{
    static const struct form form = {UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, to_lower, true};
    return transform(s, &form, true, b, err);
}

/* Ranges in which every code point is a starter and NFC_Quick_Check=Yes. */
static bool surely_nfc(uint32_t cp)
{
    return cp < 0x300 || (cp >= 0x388 && cp <= 0x482) || (cp >= 0x48a && cp <= 0x52f) ||
           (cp >= 0x2010 && cp <= 0x205e) || (cp >= 0x3041 && cp <= 0x3096) ||
           (cp >= 0x3001 && cp <= 0x3020) || (cp >= 0x30a1 && cp <= 0x30ff) ||
           (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0xac00 && cp <= 0xd7a3) ||
           (cp >= 0xff01 && cp <= 0xff65);
}

bool utf8_is_nfc_quick(struct str s)
{
    uint32_t cp;
    for (size_t at = 0; (at += ascii_run(s, at)) < s.len;) {
        int n = utf8_decode(s, at, &cp);
        if (n == 1 || !surely_nfc(cp))
            return false;
        at += (size_t)n;
    }
    return true;
}
