/* tests/fuzz/fuzz_utf8.c - any bytes as text: repaired text is valid, forms are
 * stable, words and sentences keep to boundaries, sentences tile. */
#include <stdlib.h>
#include "base/sentence.h"
#include "base/utf8.h"
#include "base/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth)
        abort();
}

static void check_boundaries(struct str s)
{
    uint32_t cp;
    for (size_t at = 0, n; at < s.len; at += n) {
        n = (size_t)utf8_decode(s, at, &cp);
        must(n >= 1 && n <= 4 && at + n <= s.len);
        for (size_t i = 0; i < n; i++) {
            must(utf8_floor(s, at + i) == at);
            must(utf8_ceil(s, at + i) == (i ? at + n : at));
        }
    }
}

static void check_sentences(struct str s)
{
    for (size_t at = 0, end; at < s.len; at = end) {
        end = sentence_end(s, at);
        must(end > at && end <= s.len && utf8_floor(s, end) == end);
    }
}

static bool check_word(void *arg, const struct word *w)
{
    const struct str *s = arg;
    must(w->start < w->end && w->end <= s->len);
    must(utf8_floor(*s, w->start) == w->start && utf8_floor(*s, w->end) == w->end);
    must(w->surface.len > 0 && w->surface.len <= WORDS_BYTES_MAX && utf8_valid(w->surface));
    must(w->stem.len > 0 && utf8_valid(w->stem));
    words_is_stop(w->surface);
    return true;
}

static void check_form(enum err_code (*form)(struct str, struct buf *, struct err *), struct str s)
{
    struct buf once = {0}, twice = {0};
    must(form(s, &once, NULL) == OK && utf8_valid(buf_view(&once)));
    must(form(buf_view(&once), &twice, NULL) == OK);
    must(str_eq(buf_view(&once), buf_view(&twice)));
    buf_free(&once);
    buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct words *words;
    if (!words)
        must(words_new(&words, NULL) == OK);
    struct str raw = {(const char *)data, size};
    struct buf mended = {0}, nfc = {0};
    must((utf8_repair(raw, &mended) == 0) == utf8_valid(raw));
    struct str s = buf_view(&mended);
    must(utf8_valid(s));
    check_boundaries(raw);
    check_sentences(raw);
    must(words_each(words, raw, check_word, &raw, NULL) == OK);
    check_form(utf8_nfc, s);
    check_form(utf8_fold, s);
    check_form(utf8_strip_lower, s);
    if (utf8_is_nfc_quick(s))
        must(utf8_nfc(s, &nfc, NULL) == OK && str_eq(buf_view(&nfc), s));
    buf_free(&mended);
    buf_free(&nfc);
    return 0;
}
