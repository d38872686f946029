/* ingest/extract/charset.c - which charset, then iconv, then a map of offsets. */
#include "ingest/extract/charset.h"
#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include <uchardet/uchardet.h>
#include "base/utf8.h"

/* ---- charsets we convert from ---- */

/* Left: as iconv knows it. Right: other names, as documents and uchardet write
 * them; where WHATWG reads a name as a superset (latin1 is windows-1252), so do
 * we. https://encoding.spec.whatwg.org/#names-and-labels */
static const struct charset {
    const char *iconv, *names;
} CHARSETS[] = {
    {"UTF-16LE", "utf-16le utf-16 unicode ucs-2"},
    {"UTF-16BE", "utf-16be"},
    {"UTF-32LE", "utf-32le utf-32"},
    {"UTF-32BE", "utf-32be"},
    {"CP1252", "windows-1252 iso-8859-1 latin1 iso8859-1 iso_8859-1 l1 cp1252 ansi"},
    {"CP1250", "windows-1250 cp1250"},
    {"CP1251", "windows-1251 cp1251"},
    {"CP1253", "windows-1253 cp1253"},
    {"CP1254", "windows-1254 cp1254 iso-8859-9 latin5"},
    {"CP1255", "windows-1255 cp1255"},
    {"CP1256", "windows-1256 cp1256"},
    {"CP1257", "windows-1257 cp1257"},
    {"CP1258", "windows-1258 cp1258"},
    {"ISO-8859-2", "iso-8859-2 latin2 iso8859-2"},
    {"ISO-8859-3", "iso-8859-3"},
    {"ISO-8859-4", "iso-8859-4"},
    {"ISO-8859-5", "iso-8859-5 iso8859-5 cyrillic"},
    {"ISO-8859-6", "iso-8859-6 iso8859-6 arabic"},
    {"ISO-8859-7", "iso-8859-7 iso8859-7 greek"},
    {"ISO-8859-8", "iso-8859-8 iso-8859-8-i iso8859-8 hebrew"},
    {"ISO-8859-10", "iso-8859-10"},
    {"ISO-8859-13", "iso-8859-13"},
    {"ISO-8859-15", "iso-8859-15 latin9"},
    {"ISO-8859-16", "iso-8859-16"},
    {"CP874", "tis-620 iso-8859-11 windows-874 cp874"},
    {"KOI8-R", "koi8-r koi8"},
    {"KOI8-U", "koi8-u"},
    {"IBM866", "ibm866 cp866 866"},
    {"IBM855", "ibm855 cp855"},
    {"IBM852", "ibm852 cp852"},
    {"IBM865", "ibm865 cp865"},
    {"MAC-CYRILLIC", "mac-cyrillic x-mac-cyrillic maccyrillic"},
    {"MAC-CENTRALEUROPE", "mac-centraleurope"},
    {"MACINTOSH", "macintosh mac"},
    {"BIG5-HKSCS", "big5 big5-hkscs cn-big5 x-x-big5"},
    {"EUC-TW", "euc-tw x-euc-tw"},
    {"GB18030", "gb18030 gbk gb2312 gb_2312-80 chinese x-gbk euc-cn"},
    {"CP932", "shift_jis cp932 sjis x-sjis ms_kanji windows-31j shift-jis"},
    {"EUC-JP", "euc-jp x-euc-jp"},
    {"ISO-2022-JP", "iso-2022-jp"},
    {"UHC", "uhc euc-kr cp949 ks_c_5601-1987 korean windows-949 johab-like"},
    {"JOHAB", "johab"},
    {"ISO-2022-KR", "iso-2022-kr"},
    {"ISO-2022-CN", "iso-2022-cn"},
    {"TCVN", "tcvn"},
    {"VISCII", "viscii"},
    {"ISO-8859-14", "iso-8859-14"},
};
#define N_CHARSETS (sizeof(CHARSETS) / sizeof(*CHARSETS))

static iconv_t opened[N_CHARSETS]; /* by charset_warm; NULL: not, (iconv_t)-1: cannot */

void charset_warm(void)
{
    for (size_t i = 0; i < N_CHARSETS; i++)
        if (!opened[i])
            opened[i] = iconv_open("UTF-8", CHARSETS[i].iconv);
}

static int find(struct str name)
{
    for (size_t i = 0; i < N_CHARSETS; i++) {
        struct str rest = str_of(CHARSETS[i].names), one;
        if (str_ieq(str_of(CHARSETS[i].iconv), name))
            return (int)i;
        while (str_split(&rest, ' ', &one))
            if (str_ieq(one, name))
                return (int)i;
    }
    return -1;
}

/* ---- converting ---- */

static bool mark(struct decoded *d, size_t text, size_t src)
{
    if (d->n_marks == d->cap_marks) {
        size_t cap = d->cap_marks ? 2 * d->cap_marks : 64;
        struct mark *moved = realloc(d->marks, cap * sizeof(*moved));
        if (!moved)
            return false;
        d->marks = moved;
        d->cap_marks = cap;
    }
    d->marks[d->n_marks++] = (struct mark){text, src};
    return true;
}

/* Convert from *at until `out` holds `until` bytes or the source ends: true
 * while it goes on. U+FFFD for each wrong byte. */
static bool convert_some(iconv_t cd, struct str src, size_t *at, struct buf *out, size_t until,
                         size_t *invalid)
{
    char piece[1024];
    size_t room = until - out->len < sizeof(piece) ? until - out->len : sizeof(piece);
    char *in = (char *)src.ptr + *at, *to = piece;
    size_t left = src.len - *at, free_bytes = room;
    size_t rc = iconv(cd, &in, &left, &to, &free_bytes);
    int why = rc == (size_t)-1 ? errno : 0;
    buf_add(out, piece, room - free_bytes);
    *at = src.len - left;
    if (why == E2BIG)
        return out->len < until && room > free_bytes && !out->failed;
    if (!why || *at >= src.len || out->failed)
        return false;
    if (out->len + 3 > until)
        return false;
    buf_puts(out, "\xEF\xBF\xBD");
    (*invalid)++;
    (*at)++;
    return *at < src.len;
}

static enum err_code convert(struct decoded *d, int charset, size_t skip, size_t max_text,
                             struct err *err)
{
    iconv_t cd = opened[charset];
    if (!cd)
        cd = opened[charset] = iconv_open("UTF-8", CHARSETS[charset].iconv);
    if (cd == (iconv_t)-1)
        return err_set(err, ERR_FORMAT, "this system cannot convert from %s",
                       CHARSETS[charset].iconv);
    iconv(cd, NULL, NULL, NULL, NULL);
    d->cd = cd;
    d->skip = skip;
    d->own.max = max_text;
    size_t at = skip;
    bool more = true, ok = mark(d, 0, at);
    while (more && ok) {
        more = convert_some(cd, d->src, &at, &d->own, SIZE_MAX, &d->invalid);
        ok = mark(d, d->own.len, at);
    }
    d->text = d->own.ptr ? buf_view(&d->own) : STR("");
    memcpy(d->charset, CHARSETS[charset].iconv, strlen(CHARSETS[charset].iconv) + 1);
    if (!ok)
        return err_set(err, ERR_NOMEM, "a map of offsets");
    return buf_ok(&d->own, "text", err);
}

static void undo(struct decoded *d)
{
    buf_free(&d->own);
    free(d->marks);
    *d = (struct decoded){.src = d->src};
}

/* Bytes as UTF-8 where they are, U+FFFD where they are not. */
static enum err_code repair(struct decoded *d, size_t max_text, struct err *err)
{
    d->own.max = max_text;
    bool ok = mark(d, 0, 0);
    size_t at = 0, plain = 0;
    while (at < d->src.len && ok) {
        uint32_t cp;
        int len = utf8_decode(d->src, at, &cp);
        if (cp == 0xFFFD && len == 1) {
            buf_add(&d->own, d->src.ptr + plain, at - plain);
            ok = mark(d, d->own.len, at);
            buf_puts(&d->own, "\xEF\xBF\xBD");
            d->invalid++;
            plain = at + 1;
            ok = ok && mark(d, d->own.len, plain);
        }
        at += (size_t)len;
    }
    buf_add(&d->own, d->src.ptr + plain, at - plain);
    d->text = buf_view(&d->own);
    memcpy(d->charset, "UTF-8", 6);
    return ok ? buf_ok(&d->own, "text", err) : err_set(err, ERR_NOMEM, "a map of offsets");
}

/* ---- deciding ---- */

struct counts {
    size_t zeros[4], controls, multi, invalid, bytes;
};

/* Over the first 64 KiB: enough to tell, cheap on a large file. */
static struct counts count(struct str s)
{
    struct counts c = {.bytes = s.len < 65536 ? s.len : 65536};
    for (size_t i = 0; i < c.bytes; i++) {
        unsigned char b = (unsigned char)s.ptr[i];
        c.zeros[i % 4] += b == 0;
        c.controls += b < 0x20 && b != '\n' && b != '\r' && b != '\t' && b != '\f' && b != 0x1B;
    }
    for (size_t i = 0; i < c.bytes;) {
        uint32_t cp;
        int len = utf8_decode(s, i, &cp);
        c.multi += len > 1;
        c.invalid += cp == 0xFFFD && len == 1;
        i += (size_t)len;
    }
    return c;
}

static const char *by_mark(struct str s, size_t *skip)
{
    static const struct {
        const char *bom;
        size_t n;
        const char *charset;
    } MARKS[] = {
        {"\xFF\xFE\0\0", 4, "UTF-32LE"}, {"\0\0\xFE\xFF", 4, "UTF-32BE"},
        {"\xEF\xBB\xBF", 3, "UTF-8"},    {"\xFF\xFE", 2, "UTF-16LE"},
        {"\xFE\xFF", 2, "UTF-16BE"},
    };
    for (size_t i = 0; i < sizeof(MARKS) / sizeof(*MARKS); i++) {
        if (s.len >= MARKS[i].n && !memcmp(s.ptr, MARKS[i].bom, MARKS[i].n)) {
            *skip = MARKS[i].n;
            return MARKS[i].charset;
        }
    }
    return NULL;
}

/* Share of four-byte units that are code points of Unicode, zero not counted. */
static bool units32(struct str s, bool big)
{
    size_t n = 0, fit = 0;
    for (size_t i = 0; i + 4 <= s.len && i < 65536; i += 4) {
        const unsigned char *u = (const unsigned char *)s.ptr + i;
        unsigned char top = big ? u[0] : u[3], plane = big ? u[1] : u[2];
        unsigned char high = big ? u[2] : u[1], low = big ? u[3] : u[0];
        n++;
        fit += top == 0 && plane <= 0x10 && (plane || high || low);
    }
    return n > 1 && s.len % 4 == 0 && fit * 50 >= n * 49;
}

/* Without a mark, wide units are known by their shape: in UTF-16 the zeros of
 * ASCII (blanks, digits, markup) stand at one parity. */
static const char *by_shape(struct str s, const struct counts *c)
{
    size_t quarter = c->bytes / 4 + 1, even = c->zeros[0] + c->zeros[2],
           odd = c->zeros[1] + c->zeros[3];
    if (units32(s, false))
        return "UTF-32LE";
    if (units32(s, true))
        return "UTF-32BE";
    if (odd > quarter / 2 && even * 20 < odd)
        return "UTF-16LE";
    if (even > quarter / 2 && odd * 20 < even)
        return "UTF-16BE";
    return NULL;
}

/* ISO-2022 switches sets by escapes of plain ASCII, which is valid UTF-8. */
static bool escapes(struct str s)
{
    return str_find(s, STR("\x1B$"), 0) != SIZE_MAX;
}

static int by_uchardet(struct str s)
{
    uchardet_t u = uchardet_new();
    if (!u)
        return -1;
    size_t n = s.len < (1 << 20) ? s.len : 1 << 20;
    int found = -1;
    if (!uchardet_handle_data(u, s.ptr, n)) {
        uchardet_data_end(u);
        found = find(str_of(uchardet_get_charset(u)));
    }
    uchardet_delete(u);
    return found;
}

static enum err_code guess(struct decoded *d, const struct counts *c, size_t max_text,
                           struct err *err)
{
    if (c->multi > 10 * c->invalid)
        return repair(d, max_text, err);
    int charset = by_uchardet(d->src);
    if (charset < 0)
        charset = find(STR("windows-1252"));
    enum err_code rc = convert(d, charset, 0, max_text, err);
    if (!rc && d->invalid > d->src.len / 20) {
        undo(d);
        rc = convert(d, find(STR("windows-1252")), 0, max_text, err);
    }
    d->guessed = true;
    return rc;
}

static void as_it_is(struct decoded *d, size_t skip)
{
    d->skip = skip;
    d->text = str_sub(d->src, skip, d->src.len);
    memcpy(d->charset, "UTF-8", 6);
}

enum err_code charset_decode(struct str bytes, const char *declared, size_t max_text,
                             struct decoded *out, struct err *err)
{
    *out = (struct decoded){.src = bytes};
    size_t skip = 0;
    const char *sure = by_mark(bytes, &skip);
    if (sure && strcmp(sure, "UTF-8"))
        return convert(out, find(str_of(sure)), skip, max_text, err);
    struct counts c = count(bytes);
    const char *wide = by_shape(bytes, &c);
    if (wide) {
        enum err_code rc = convert(out, find(str_of(wide)), 0, max_text, err);
        if (rc || out->invalid <= bytes.len / 50)
            return rc;
        undo(out);
    }
    size_t zeros = c.zeros[0] + c.zeros[1] + c.zeros[2] + c.zeros[3];
    bool strict = utf8_valid(str_sub(bytes, skip, bytes.len));
    /* Of random bytes a tenth are control characters; of legacy text none. */
    size_t most = strict ? c.bytes / 4 : c.bytes / 20;
    if (zeros * 50 > c.bytes || c.controls > most)
        return err_set(err, ERR_FORMAT,
                       "this is not text: %zu of its first %zu bytes are zero"
                       " and %zu are control characters",
                       zeros, c.bytes, c.controls - zeros);
    if (strict && !(escapes(bytes) && c.multi == 0)) {
        as_it_is(out, skip);
        return OK;
    }
    if (sure)
        return repair(out, max_text, err);
    int named = declared ? find(str_of(declared)) : -1;
    if (named >= 4) /* a declaration that can be read as ASCII is not of UTF-16 or 32 */
        return convert(out, named, 0, max_text, err);
    if (declared &&
        (str_ieq(str_of(declared), STR("utf-8")) || str_ieq(str_of(declared), STR("utf8"))))
        return repair(out, max_text, err);
    if (strict && by_uchardet(bytes) < 0) {
        as_it_is(out, 0);
        return OK;
    }
    return guess(out, &c, max_text, err);
}

void charset_deinit(struct decoded *d)
{
    buf_free(&d->own);
    free(d->marks);
    *d = (struct decoded){0};
}

/* ---- the way back ---- */

static const struct mark *mark_before(const struct decoded *d, size_t at)
{
    size_t lo = 0, hi = d->n_marks;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (d->marks[mid].text <= at)
            lo = mid;
        else
            hi = mid;
    }
    return &d->marks[lo];
}

size_t charset_source(const struct decoded *d, size_t at)
{
    if (!d->marks)
        return at + d->skip;
    const struct mark *m = mark_before(d, at);
    size_t src = m->src, invalid = 0;
    if (!d->cd) {
        src += at - m->text;
        return src < d->src.len ? src : d->src.len;
    }
    struct buf again = {.len = 0};
    iconv(d->cd, NULL, NULL, NULL, NULL);
    while (again.len < at - m->text &&
           convert_some(d->cd, d->src, &src, &again, at - m->text, &invalid))
        ;
    buf_free(&again);
    return src;
}
