#include "base/words.h"
#include <libstemmer.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/utf8.h"

/* A text says the same few thousand words again and again: the stem of each is
 * kept where its hash falls. Of the two million words of the
 * PEPs 9 in 100 miss. */
enum { CACHE_SLOTS = 1 << 13 };

struct cached {
    uint8_t len, stem_len; /* 0: empty */
    char word[WORDS_BYTES_MAX], stem[WORDS_BYTES_MAX];
};

struct words {
    struct sb_stemmer *english;
    struct buf folded, bare;
    struct cached *cache;
};

enum err_code words_new(struct words **out, struct err *err)
{
    *out = NULL;
    struct words *w = calloc(1, sizeof(*w));
    if (w) {
        w->english = sb_stemmer_new("english", NULL);
        w->cache = calloc(CACHE_SLOTS, sizeof(*w->cache));
    }
    if (!w || !w->english || !w->cache) {
        words_free(w);
        return err_set(err, ERR_NOMEM, "word reader");
    }
    *out = w;
    return OK;
}

void words_free(struct words *w)
{
    if (!w)
        return;
    sb_stemmer_delete(w->english);
    free(w->cache);
    buf_free(&w->folded);
    buf_free(&w->bare);
    free(w);
}

/* ---- where a word ends */

enum char_kind { OTHER, LETTER, NUMBER, UNSPACED, JOINER, HIDDEN };

static enum char_kind ascii_kind(uint32_t cp)
{
    if (utf8_is_letter(cp))
        return LETTER;
    if (utf8_is_number(cp))
        return NUMBER;
    return cp == '\'' || cp == '.' || cp == ',' ? JOINER : OTHER;
}

static bool unspaced(uint32_t cp)
{
    return utf8_is_cjk(cp) || (cp >= 0x0e00 && cp <= 0x0eff) || (cp >= 0x1000 && cp <= 0x109f) ||
           (cp >= 0x1780 && cp <= 0x17ff);
}

static enum char_kind char_kind(uint32_t cp)
{
    if (cp < 0x80)
        return ascii_kind(cp);
    if (cp == 0x2019 || cp == 0xff07)
        return JOINER;
    if (cp == 0xad || cp == 0x200c || cp == 0x200d || cp == 0x2060) /* soft hyphen, joiners */
        return HIDDEN;
    if (utf8_is_letter(cp))
        return unspaced(cp) ? UNSPACED : LETTER;
    return utf8_is_number(cp) ? (unspaced(cp) ? UNSPACED : NUMBER) : OTHER;
}

/* Does the joiner `cp` hold what stands on both its sides together? */
static bool joins(uint32_t cp, enum char_kind before, enum char_kind after)
{
    if (before != after)
        return false;
    return before == LETTER ? cp != ',' : before == NUMBER && (cp == '.' || cp == ',');
}

struct scan {
    struct str text;
    size_t at; /* of the character */
    uint32_t cp;
    int n; /* its bytes; 0 at the end */
    enum char_kind kind;
};

static void look(struct scan *s, size_t at)
{
    s->at = at;
    s->n = 0;
    s->kind = OTHER;
    if (at >= s->text.len)
        return;
    s->n = utf8_decode(s->text, at, &s->cp);
    s->kind = char_kind(s->cp);
}

static size_t word_end(struct str text, size_t start)
{
    struct scan s = {.text = text}, next = {.text = text};
    enum char_kind before = OTHER;
    size_t end = start;
    for (look(&s, start); s.n > 0; look(&s, s.at + (size_t)s.n)) {
        if (s.kind == LETTER || s.kind == NUMBER) {
            before = s.kind;
            end = s.at + (size_t)s.n;
        } else if (s.kind == JOINER) {
            look(&next, s.at + (size_t)s.n);
            if (!joins(s.cp, before, next.kind))
                break;
        } else if (s.kind != HIDDEN) {
            break;
        }
    }
    return end;
}

/* ---- one word */

static void cut(struct buf *b)
{
    if (b->len > WORDS_BYTES_MAX) {
        b->len = utf8_floor(buf_view(b), WORDS_BYTES_MAX);
        b->ptr[b->len] = '\0';
    }
}

/* Much longer than any word: folding all of it would be work thrown away. The
 * factor is more than enough for what folding takes away. */
static struct str bounded(struct str s)
{
    return s.len > 16 * WORDS_BYTES_MAX ? str_sub(s, 0, utf8_floor(s, 16 * WORDS_BYTES_MAX)) : s;
}

/* U+2019 becomes the ASCII one, which people type. */
static void plain_apostrophes(struct buf *b)
{
    for (size_t at = 0; (at = str_find(buf_view(b), STR("\xe2\x80\x99"), at)) != SIZE_MAX;) {
        b->ptr[at] = '\'';
        memmove(b->ptr + at + 1, b->ptr + at + 3, b->len - at - 2); /* with the NUL */
        b->len -= 2;
    }
}

static enum err_code fold(struct words *w, struct str raw, struct err *err)
{
    buf_reset(&w->folded);
    enum err_code rc = utf8_fold(bounded(raw), &w->folded, err);
    if (rc)
        return rc;
    plain_apostrophes(&w->folded);
    cut(&w->folded);
    return OK;
}

/* Latin through: U+0041 to U+024F, U+1E00 to U+1EFF, combining accents, digits. */
static bool latin(struct str s, bool *ascii)
{
    uint32_t cp;
    *ascii = true;
    for (size_t at = 0; at < s.len;) {
        at += (size_t)utf8_decode(s, at, &cp);
        if (cp >= 0x80)
            *ascii = false;
        if (cp > 0x36f && !(cp >= 0x1e00 && cp <= 0x1eff))
            return false;
        if (cp > 0x24f && cp < 0x300)
            return false;
    }
    return true;
}

/* "u.s.a": points between single letters, which others leave out. */
static bool is_acronym(struct str s)
{
    if (s.len < 3 || s.len % 2 == 0)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (i % 2 ? s.ptr[i] != '.' : !utf8_is_letter((unsigned char)s.ptr[i]))
            return false;
    return true;
}

static struct str without_points(struct words *w, struct str s)
{
    buf_reset(&w->bare);
    for (size_t i = 0; i < s.len; i += 2)
        buf_char(&w->bare, s.ptr[i]);
    return w->bare.failed ? s : buf_view(&w->bare);
}

static struct str stem_anew(struct words *w, struct str s)
{
    bool ascii;
    if (!latin(s, &ascii))
        return s;
    if (ascii && is_acronym(s))
        return without_points(w, s);
    if (!ascii) {
        buf_reset(&w->bare);
        if (utf8_strip_lower(s, &w->bare, NULL) == OK && w->bare.len > 0)
            s = buf_view(&w->bare);
    }
    const sb_symbol *stem = sb_stemmer_stem(w->english, (const sb_symbol *)s.ptr, (int)s.len);
    int n = stem ? sb_stemmer_length(w->english) : 0;
    return n > 0 ? (struct str){(const char *)stem, (size_t)n} : s;
}

static struct str stem_of(struct words *w, struct str s)
{
    struct cached *c = &w->cache[hash64(s.ptr, s.len, 0) % CACHE_SLOTS];
    if (c->len != s.len || memcmp(c->word, s.ptr, s.len) != 0) {
        struct str stem = str_sub(stem_anew(w, s), 0, WORDS_BYTES_MAX);
        memcpy(c->word, s.ptr, s.len);
        memcpy(c->stem, stem.ptr, stem.len);
        c->len = (uint8_t)s.len;
        c->stem_len = (uint8_t)stem.len;
    }
    return (struct str){c->stem, c->stem_len};
}

/* Who is told, and what came of it. */
struct call {
    struct words *w;
    struct str text;
    bool (*fn)(void *arg, const struct word *word);
    void *arg;
    struct err *err;
    enum err_code rc;
};

/* False: stop, for the caller's wish or a failure in c->rc. */
static bool tell(struct call *c, size_t start, size_t end, enum word_kind kind)
{
    c->rc = fold(c->w, str_sub(c->text, start, end), c->err);
    if (c->rc)
        return false;
    struct str surface = buf_view(&c->w->folded);
    if (surface.len == 0)
        return true; /* it was made of nothing but ignorables */
    struct str stem = kind == WORD_PLAIN ? stem_of(c->w, surface) : surface;
    struct word word = {surface, stem, start, end, kind};
    return c->fn(c->arg, &word);
}

/* ---- runs without spaces */

/* A character with the marks that follow it. */
static size_t unit_end(struct str text, size_t start)
{
    struct scan s = {.text = text};
    look(&s, start);
    for (look(&s, s.at + (size_t)s.n); s.n > 0; look(&s, s.at + (size_t)s.n)) {
        bool kana_mark = s.cp == 0x3099 || s.cp == 0x309a || s.cp == 0xff9e || s.cp == 0xff9f;
        if (!kana_mark && !utf8_is_mark(s.cp))
            break;
    }
    return s.at;
}

/* Tells a run; returns where it ends. */
static size_t tell_unspaced(struct call *c, size_t start, bool *go_on)
{
    struct scan next = {.text = c->text};
    size_t end = unit_end(c->text, start);
    for (;;) {
        *go_on = tell(c, start, end, WORD_CJK_ONE);
        look(&next, end);
        if (!*go_on || next.kind != UNSPACED)
            return end;
        size_t end2 = unit_end(c->text, end);
        *go_on = tell(c, start, end2, WORD_CJK_PAIR);
        if (!*go_on)
            return end;
        start = end;
        end = end2;
    }
}

enum err_code words_each(struct words *w, struct str text,
                         bool (*fn)(void *arg, const struct word *word), void *arg, struct err *err)
{
    struct call c = {w, text, fn, arg, err, OK};
    struct scan s = {.text = text};
    bool go_on = true;
    for (size_t at = 0; go_on && at < text.len;) {
        look(&s, at);
        if (s.kind == UNSPACED) {
            at = tell_unspaced(&c, at, &go_on);
        } else if (s.kind == LETTER || s.kind == NUMBER) {
            size_t end = word_end(text, at);
            go_on = tell(&c, at, end, WORD_PLAIN);
            at = end;
        } else {
            at += (size_t)s.n;
        }
    }
    return c.rc;
}

/* ---- function words */

static int by_text(const void *key, const void *entry)
{
    const struct str *s = key;
    const char *z = *(const char *const *)entry;
    size_t n = strlen(z), m = s->len < n ? s->len : n;
    int order = memcmp(s->ptr, z, m);
    return order ? order : (s->len > n) - (s->len < n);
}

bool words_is_stop(struct str surface)
{
    /* Sorted by bytes. */
    static const char *const stop[] = {
        "a",          "about",    "above",    "after",      "again",   "against",   "all",
        "also",       "am",       "an",       "and",        "any",     "are",       "aren't",
        "as",         "at",       "be",       "because",    "been",    "before",    "being",
        "below",      "between",  "both",     "but",        "by",      "can",       "can't",
        "cannot",     "could",    "couldn't", "did",        "didn't",  "do",        "does",
        "doesn't",    "doing",    "don't",    "down",       "during",  "each",      "either",
        "else",       "ever",     "few",      "for",        "from",    "further",   "had",
        "hadn't",     "has",      "hasn't",   "have",       "haven't", "having",    "he",
        "he's",       "her",      "here",     "hers",       "herself", "him",       "himself",
        "his",        "how",      "i",        "i'd",        "i'll",    "i'm",       "i've",
        "if",         "in",       "into",     "is",         "isn't",   "it",        "it's",
        "its",        "itself",   "just",     "let's",      "may",     "me",        "might",
        "more",       "most",     "must",     "my",         "myself",  "neither",   "no",
        "nor",        "not",      "of",       "off",        "on",      "once",      "only",
        "or",         "other",    "ought",    "our",        "ours",    "ourselves", "out",
        "over",       "own",      "same",     "shall",      "she",     "she's",     "should",
        "so",         "some",     "such",     "than",       "that",    "that's",    "the",
        "their",      "theirs",   "them",     "themselves", "then",    "there",     "there's",
        "these",      "they",     "they're",  "this",       "those",   "through",   "to",
        "too",        "under",    "until",    "up",         "upon",    "us",        "very",
        "was",        "wasn't",   "we",       "we're",      "were",    "weren't",   "what",
        "what's",     "when",     "where",    "whether",    "which",   "while",     "who",
        "who's",      "whom",     "whose",    "why",        "will",    "with",      "won't",
        "would",      "wouldn't", "you",      "you're",     "your",    "yours",     "yourself",
        "yourselves",
    };
    return bsearch(&surface, stop, sizeof(stop) / sizeof(*stop), sizeof(*stop), by_text) != NULL;
}
