#include "base/utf8.h"
#include <iconv.h>
#include <utf8proc.h>
#include "base/rng.h"
#include "tests/test.h"

TEST(utf8_of_every_code_point_is_what_iconv_says)
{
    iconv_t to = iconv_open("UTF-8", "UTF-32LE");
    CHECK(to != (iconv_t)-1);
    struct buf b = {0};
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        if (cp >= 0xd800 && cp <= 0xdfff)
            continue;
        char want[8], *in = (char *)&cp, *out = want;
        size_t in_left = 4, out_left = sizeof(want);
        CHECK(iconv(to, &in, &in_left, &out, &out_left) == 0);
        buf_reset(&b);
        utf8_encode(&b, cp);
        CHECK(str_eq(buf_view(&b), (struct str){want, sizeof(want) - out_left}));
        uint32_t back;
        CHECK_INT(utf8_decode(buf_view(&b), 0, &back), b.len);
        CHECK_INT(back, cp);
        CHECK(utf8_valid(buf_view(&b)));
    }
    iconv_close(to);
    buf_free(&b);
}

/* Every sequence of up to four bytes of the ones that matter, against iconv. */
TEST(utf8_valid_agrees_with_iconv_on_short_sequences)
{
    static const unsigned char byte[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                         0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
                                         0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    enum { N = sizeof(byte) };
    iconv_t from = iconv_open("UTF-32LE", "UTF-8");
    CHECK(from != (iconv_t)-1);
    for (int i = 0; i < N * N * N * N; i++) {
        char s[4] = {(char)byte[i % N], (char)byte[i / N % N], (char)byte[i / N / N % N],
                     (char)byte[i / N / N / N]};
        char wide[32], *in = s, *out = wide;
        size_t in_left = 4, out_left = sizeof(wide);
        bool good = iconv(from, &in, &in_left, &out, &out_left) != (size_t)-1;
        iconv(from, NULL, NULL, NULL, NULL);
        CHECK_MSG(utf8_valid((struct str){s, 4}) == good, "%02x %02x %02x %02x: iconv says %d",
                  s[0] & 255, s[1] & 255, s[2] & 255, s[3] & 255, good);
    }
    iconv_close(from);
}

TEST(utf8_repair_replaces_each_bad_byte)
{
    struct buf b = {0};
    CHECK_INT(utf8_repair(STR("a\xff\xe2\x82z\xc3\xa9"), &b), 3);
    CHECK_STR(buf_view(&b), "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xc3\xa9");
    CHECK(utf8_valid(buf_view(&b)));
    buf_free(&b);
}

TEST(utf8_floor_and_ceil_bracket_any_offset)
{
    struct str s = STR("aé€😀\x80\xe2\x82x");
    static const size_t floor_of[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 12, 13, 14, 14};
    static const size_t ceil_of[] = {0, 1, 3, 3, 6, 6, 6, 10, 10, 10, 10, 11, 12, 13, 14, 14};
    CHECK_INT(s.len, 14);
    for (size_t i = 0; i < 16; i++) {
        CHECK_INT(utf8_floor(s, i), floor_of[i]);
        CHECK_INT(utf8_ceil(s, i), ceil_of[i]);
    }
    CHECK_INT(utf8_count(s), 8);
}

TEST(utf8_classes_are_unicode_s)
{
    CHECK(utf8_is_letter(0xe9) && utf8_is_letter(0x301) && utf8_is_letter(0x6771));
    CHECK(!utf8_is_letter('_') && !utf8_is_letter('1') && !utf8_is_letter(0x110000));
    CHECK(utf8_is_number('7') && utf8_is_number(0x663) && utf8_is_number(0xb2));
    CHECK(utf8_is_space(0xa0) && utf8_is_space(0x3000) && !utf8_is_space(0x200b));
    CHECK(utf8_is_control(0) && utf8_is_control(0x202e) && utf8_is_control(0xfeff));
    CHECK(!utf8_is_control(0x200d) && !utf8_is_control('a'));
    CHECK(utf8_is_punct('_') && utf8_is_punct('+') && utf8_is_punct(0x3002) && !utf8_is_punct('a'));
    CHECK(utf8_is_upper(0xc9) && !utf8_is_upper(0xe9) && utf8_is_upper(0x1c5));
    CHECK(utf8_is_cjk(0x6771) && utf8_is_cjk(0x30a2) && utf8_is_cjk(0xd55c) &&
          utf8_is_cjk(0x2000b));
    CHECK(!utf8_is_cjk(0x30fb) && !utf8_is_cjk(0x3002) && !utf8_is_cjk('a'));
}

typedef enum err_code (*form_fn)(struct str s, struct buf *b, struct err *err);

static void check_form(form_fn fn, const char *in, const char *want)
{
    struct buf b = {0};
    struct err err = {0};
    CHECK_OK(fn(str_of(in), &b, &err), &err);
    CHECK_STR(buf_view(&b), want);
    buf_free(&b);
}

TEST(utf8_forms_are_unicode_s)
{
    check_form(utf8_nfc, "e\u0301a\u0308\u0323", "\u00e9\u1ea1\u0308");
    check_form(utf8_nfc, "\u212b \u1100\u1161\u11a8", "\u00c5 \uac01");
    check_form(utf8_nfc, "plain", "plain");
    check_form(utf8_fold, "ABC \ufb01 Stra\u00dfe \uff21\u00ad", "abc fi strasse a");
    check_form(utf8_fold, "E\u0301", "\u00e9");
    check_form(utf8_strip_lower, "\u00c9T\u00c9 \u0130 na\u00efve \u00df", "ete i naive \u00df");
    struct buf b = {0};
    CHECK_ERR(utf8_nfc(STR("a\xff"), &b, NULL), ERR_FORMAT);
    CHECK_ERR(utf8_fold(STR("\xed\xa0\x80"), &b, NULL), ERR_FORMAT);
    CHECK_INT(b.len, 0);
    buf_free(&b);
}

static void random_text(struct rng *r, struct buf *b, int n)
{
    static const uint32_t base[] = {'a',    'E',    ' ',    0x301,  0x327,   0x1100, 0x1161,
                                    0x6771, 0xe9,   0x3b1,  0x345,  0xac00,  0x11a8, 0x9c7,
                                    0x9be,  0x30ab, 0x3099, 0xfb01, 0x1f600, 0xad,   0x130};
    buf_reset(b);
    for (int i = 0; i < n; i++)
        utf8_encode(b, rng_below(r, 4) ? base[rng_below(r, sizeof(base) / sizeof(*base))]
                                       : (uint32_t)rng_below(r, 0x3000) + 1);
}

TEST(utf8_forms_made_in_pieces_equal_forms_made_whole)
{
    struct rng r;
    struct buf text = {0}, got = {0};
    rng_init(&r, 3);
    for (int round = 0; round < 300; round++) {
        random_text(&r, &text, 3000);
        const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text.ptr;
        utf8proc_uint8_t *nfc = utf8proc_NFC(p), *fold = utf8proc_NFKC_Casefold(p);
        buf_reset(&got);
        CHECK_OK(utf8_nfc(buf_view(&text), &got, NULL), &(struct err){0});
        CHECK(str_eqz(buf_view(&got), (char *)nfc));
        if (utf8_is_nfc_quick(buf_view(&text)))
            CHECK(str_eqz(buf_view(&text), (char *)nfc));
        buf_reset(&got);
        CHECK_OK(utf8_fold(buf_view(&text), &got, NULL), &(struct err){0});
        CHECK(str_eqz(buf_view(&got), (char *)fold));
        free(nfc);
        free(fold);
    }
    buf_free(&text);
    buf_free(&got);
}

TEST(utf8_quick_nfc_is_never_wrong)
{
    struct buf pair = {0}, nfc = {0};
    uint32_t before[] = {'a', 0xe9, 0x3b1, 0xac00, 0x304b, 0x418};
    for (uint32_t cp = 1; cp < 0x30000; cp++) {
        for (int i = 0; i < 6; i++) {
            buf_reset(&pair);
            utf8_encode(&pair, before[i]);
            utf8_encode(&pair, cp);
            if (!utf8_is_nfc_quick(buf_view(&pair)))
                continue;
            buf_reset(&nfc);
            utf8_nfc(buf_view(&pair), &nfc, NULL);
            CHECK_MSG(str_eq(buf_view(&pair), buf_view(&nfc)), "U+%04X", cp);
        }
    }
    CHECK(utf8_is_nfc_quick(STR("Héllo 東京 – “x” Привет")));
    buf_free(&pair);
    buf_free(&nfc);
}
