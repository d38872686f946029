/* model/vocab_text.c - text to ids and back.
 *
 * Encoding goes once over the text and looks at every place for the longest
 * added piece that may be found there (leftmost, longest, as Hugging Face's
 * tokenizers have it); what lies between is cut into words and merged. */
#include <string.h>
#include "base/utf8.h"
#include "model/vocab_int.h"

/* Text up to `end` is trusted or not; neighbours differ. */
struct stretch { size_t end; bool trusted; };

struct encoder {
    const struct vocab *v;
    struct str text;
    const struct stretch *stretch;   /* the one that holds the place looked at */
    bool after_control;              /* or at the start: where SPM puts a space in front */
    struct joiner scratch;
    struct joiner_ids out;
};

/* First of added[lo..hi) whose byte at `depth` is >= c; all are longer than that. */
static size_t lower_bound(const struct vocab *v, size_t lo, size_t hi, size_t depth, unsigned c)
{
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if ((unsigned char)v->pieces[v->added[mid]].ptr[depth] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The longest added piece that the text has at `at`, or -1; control pieces only
 * if they end by `trusted_end`. */
static int32_t added_at(const struct vocab *v, struct str text, size_t at, size_t trusted_end)
{
    unsigned char c = (unsigned char)text.ptr[at];
    size_t lo = v->first[c], hi = v->first[c + 1];
    int32_t best = -1;
    for (size_t depth = 1; lo < hi; depth++) {
        for (; lo < hi && v->pieces[v->added[lo]].len == depth; lo++)
            if (!v->controls[v->added[lo]] || at + depth <= trusted_end)
                best = v->added[lo];
        if (at + depth >= text.len)
            break;
        c = (unsigned char)text.ptr[at + depth];
        lo = lower_bound(v, lo, hi, depth, c);
        hi = lower_bound(v, lo, hi, depth, c + 1u);
    }
    return best;
}

static enum err_code bpe_word(void *arg, struct str word, struct err *err)
{
    struct encoder *e = arg;
    return bpe_encode(e->v->bpe, word, &e->scratch, &e->out, err);
}

static enum err_code encode_plain(struct encoder *e, size_t from, size_t to, struct err *err)
{
    struct str s = str_sub(e->text, from, to);
    bool prefix = e->v->space_prefix && e->after_control;
    if (!s.len)
        return OK;
    e->after_control = false;
    if (e->v->model == VOCAB_SPM)
        return spm_encode(e->v->spm, s, prefix, &e->scratch, &e->out, err);
    return pretoken_split(e->v->pre, s, bpe_word, e, err);
}

static size_t trusted_end(struct encoder *e, size_t at)
{
    while (e->stretch->end <= at)
        e->stretch++;
    return e->stretch->trusted ? e->stretch->end : 0;
}

static bool is_ascii_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static enum err_code encode_text(struct encoder *e, struct err *err)
{
    const struct vocab *v = e->v;
    size_t from = 0, at = 0;
    enum err_code rc = OK;
    while (!rc && at < e->text.len) {
        unsigned char c = (unsigned char)e->text.ptr[at];
        int32_t id = v->first[c] == v->first[c + 1]
                         ? -1
                         : added_at(v, e->text, at, trusted_end(e, at));
        if (id < 0) {
            at++;
            continue;
        }
        rc = encode_plain(e, from, at, err);
        joiner_emit(&e->out, id);
        e->after_control = true;
        at += v->pieces[id].len;
        while (v->strips[id] && at < e->text.len && is_ascii_space(e->text.ptr[at]))
            at++;
        from = at;
    }
    return rc ? rc : encode_plain(e, from, e->text.len, err);
}

static enum err_code encode(const struct vocab *v, struct str text, const struct stretch *stretch,
                            int flags, struct joiner_ids *out, struct err *err)
{
    struct encoder e = {.v = v,
                        .text = text,
                        .stretch = stretch,
                        .after_control = !(flags & VOCAB_CONTINUES),
                        .out = *out};
    if (flags & VOCAB_ADD_BOS && vocab_adds_bos(v))
        joiner_emit(&e.out, v->bos);
    enum err_code rc = encode_text(&e, err);
    if (flags & VOCAB_ADD_EOS && vocab_adds_eos(v))
        joiner_emit(&e.out, v->eos);
    joiner_free(&e.scratch);
    *out = e.out;
    return rc;
}

static enum err_code too_long(size_t len, struct err *err)
{
    return err_set(err, ERR_LIMIT, "a text of %zu bytes, want at most %zu", len, VOCAB_TEXT_MAX);
}

enum err_code vocab_encode(const struct vocab *v, struct str text, int flags, int32_t *ids,
                           size_t cap, size_t *n, struct err *err)
{
    const struct stretch whole = {text.len, flags & VOCAB_TRUSTED};
    struct joiner_ids out = {ids, cap, 0};
    *n = 0;
    if (text.len > VOCAB_TEXT_MAX)
        return too_long(text.len, err);
    enum err_code rc = encode(v, text, &whole, flags, &out, err);
    if (!rc)
        *n = out.n;
    return rc;
}

/* Parts as one text, and its stretches (at least one, as struct stretch). */
static enum err_code join_parts(const struct vocab_part *parts, size_t n_parts, struct buf *text,
                                struct buf *stretches, struct err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < n_parts; i++) {
        if (parts[i].text.len > VOCAB_TEXT_MAX - total)
            return too_long(total + parts[i].text.len, err);
        total += parts[i].text.len;
    }
    buf_reserve(text, total);
    for (size_t i = 0; i < n_parts; i++) {
        buf_str(text, parts[i].text);
        struct stretch s = {text->len, parts[i].trusted};
        while (i + 1 < n_parts && parts[i + 1].trusted == s.trusted) {
            buf_str(text, parts[++i].text);
            s.end = text->len;
        }
        buf_add(stretches, &s, sizeof(s));
    }
    enum err_code rc = buf_ok(text, "a prompt", err);
    return rc ? rc : buf_ok(stretches, "parts of a prompt", err);
}

enum err_code vocab_encode_parts(const struct vocab *v, const struct vocab_part *parts,
                                 size_t n_parts, int flags, int32_t *ids, size_t cap, size_t *n,
                                 struct err *err)
{
    struct buf text = {0}, stretches = {0};
    struct joiner_ids out = {ids, cap, 0};
    *n = 0;
    enum err_code rc = join_parts(parts, n_parts, &text, &stretches, err);
    if (!rc)
        rc = encode(v, buf_view(&text), (const struct stretch *)(const void *)stretches.ptr, flags,
                    &out, err);
    if (!rc)
        *n = out.n;
    buf_free(&text);
    buf_free(&stretches);
    return rc;
}

/* ---- ids to text */

/* The bytes may be the start of a character, and are not a whole one. */
static bool may_begin(const unsigned char *p, int n)
{
    int need = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3
               : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
    unsigned low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (n >= need)
        return false;
    return (n < 2 || (p[1] >= low && p[1] <= high)) && (n < 3 || (p[2] & 0xc0) == 0x80);
}

/* Puts out what is decided of the bytes held: characters, and U+FFFD for each
 * stretch that began one and broke off. */
static void settle(struct vocab_decoder *d, struct buf *out)
{
    while (d->n_held && !may_begin(d->held, d->n_held)) {
        uint32_t cp;
        struct str h = {(const char *)d->held, (size_t)d->n_held};
        int n = utf8_decode(h, 0, &cp);
        if (n == 1 && d->held[0] >= 0x80) {
            for (int k = 2; k < d->n_held && may_begin(d->held, k); k++)
                n = k;
            buf_puts(out, "\xef\xbf\xbd");
        } else {
            buf_add(out, d->held, (size_t)n);
        }
        d->n_held -= n;
        memmove(d->held, d->held + n, (size_t)d->n_held);
    }
}

void vocab_decode(const struct vocab *v, struct vocab_decoder *d, int32_t id, struct buf *out)
{
    struct str s = vocab_text(v, id);
    if (!s.len || (v->controls[id] && !d->controls))
        return;
    if (d->begins && !d->begun && v->space_prefix && !v->controls[id])
        s = str_sub(s, s.ptr[0] == ' ', s.len);
    d->begun = d->begun || !v->controls[id];
    for (size_t i = 0; i < s.len; i++) {
        if (!d->n_held && (unsigned char)s.ptr[i] < 0x80) {
            buf_char(out, s.ptr[i]);
            continue;
        }
        d->held[d->n_held++] = (unsigned char)s.ptr[i];
        settle(d, out);
    }
}

void vocab_decode_end(struct vocab_decoder *d, struct buf *out)
{
    if (d->n_held)
        buf_puts(out, "\xef\xbf\xbd");
    d->n_held = 0;
    d->begun = false;
}
