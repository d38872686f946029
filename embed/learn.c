/* embed/learn.c - from texts to pieces in five steps: characters, words, merges,
 * use, choice.
 *
 * What a word is, the tokenizer itself decides: given a vocabulary of single
 * characters it cuts a text into them, and a piece without "##" begins a word. */
#include "embed/learn.h"
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/utf8.h"
#include "embed/merge.h"
#include "model/wordpiece.h"

#define WORD_CHARS 100 /* as model/wordpiece.h */
#define N_CPS      0x110000
#define WORDS_MAX  ((size_t)1 << 26)

struct word {
    struct str text;
    int64_t count;
    uint32_t last;
    uint64_t hash;
};

struct learner {
    struct learn_options opt;
    const struct pairs *pairs;
    const struct stop *stop;
    struct arena arena;
    struct str *symbols; /* pieces in "##" form; symbol 0 is [UNK] */
    int n_symbols;
    struct wordpiece *chars; /* over the single characters */
    struct word *words;      /* open addressing; text.ptr NULL: empty */
    size_t n_words, mask;
    int32_t *ids; /* of the text at hand */
    size_t cap_ids;
    uint32_t text; /* its number, from 1 */
};

static enum err_code no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "learning a vocabulary");
}

/* Call fn for the query and the passage of each pair. */
static enum err_code each_text(struct learner *l, struct err *err,
                               enum err_code fn(struct learner *l, struct str text, void *arg,
                                                struct err *err),
                               void *arg)
{
    enum err_code rc = OK;
    l->text = 0;
    for (size_t i = 0; i < l->pairs->n && !rc; i++) {
        if (i % 1024 == 0)
            rc = stop_check(l->stop, err);
        for (int side = 0; side < 2 && !rc; side++) {
            l->text++;
            rc = fn(l, side ? l->pairs->v[i].p : l->pairs->v[i].q, arg, err);
        }
    }
    return rc;
}

/* How many texts hold each character, after folding. */
struct census {
    uint32_t *texts, *last;
    struct buf folded;
};

static enum err_code count_chars(struct learner *l, struct str text, void *arg, struct err *err)
{
    struct census *c = arg;
    buf_reset(&c->folded);
    enum err_code rc = utf8_strip_lower(text, &c->folded, err);
    if (rc)
        return rc;
    struct str s = buf_view(&c->folded);
    for (size_t at = 0; at < s.len;) {
        uint32_t cp;
        at += (size_t)utf8_decode(s, at, &cp);
        if (c->last[cp] == l->text)
            continue;
        c->last[cp] = l->text;
        c->texts[cp]++;
    }
    return OK;
}

static bool add_symbol(struct learner *l, struct str left, struct str right)
{
    char *p = arena_alloc(&l->arena, left.len + right.len + 1, 1);
    if (!p)
        return false;
    memcpy(p, left.ptr, left.len);
    memcpy(p + left.len, right.ptr, right.len);
    l->symbols[l->n_symbols++] = (struct str){p, left.len + right.len};
    return true;
}

/* Printable ASCII always, others that enough texts hold: twice each. */
static enum err_code make_chars(struct learner *l, const uint32_t *texts, struct err *err)
{
    size_t n = 1;
    for (uint32_t cp = 0x21; cp < N_CPS; cp++)
        n += 2 * ((cp < 0x7f) || (int64_t)texts[cp] >= l->opt.min_char);
    if (n > (size_t)l->opt.pieces)
        return err_set(err, ERR_ARG, "%zu pieces are single characters: want more than %d", n,
                       l->opt.pieces);
    l->symbols = calloc((size_t)l->opt.pieces * 2, sizeof(*l->symbols));
    if (!l->symbols || !add_symbol(l, STR("[UNK]"), STR("")))
        return no_memory(err);
    for (uint32_t cp = 0x21; cp < N_CPS; cp++) {
        if (cp >= 0x7f && (int64_t)texts[cp] < l->opt.min_char)
            continue;
        if ((cp >= 'A' && cp <= 'Z') || utf8_is_space(cp) || utf8_is_control(cp))
            continue;
        struct buf b = {0};
        utf8_encode(&b, cp);
        bool ok = buf_ok(&b, "a character", err) == OK && add_symbol(l, buf_view(&b), STR("")) &&
                  add_symbol(l, STR("##"), buf_view(&b));
        buf_free(&b);
        if (!ok)
            return no_memory(err);
    }
    return wordpiece_new(l->symbols, (size_t)l->n_symbols, &l->chars, err);
}

static enum err_code learn_chars(struct learner *l, struct err *err)
{
    struct census c = {calloc(N_CPS, sizeof(*c.texts)), calloc(N_CPS, sizeof(*c.last)), {0}};
    enum err_code rc = c.texts && c.last ? OK : no_memory(err);
    if (!rc)
        rc = each_text(l, err, count_chars, &c);
    if (!rc)
        rc = make_chars(l, c.texts, err);
    free(c.texts);
    free(c.last);
    buf_free(&c.folded);
    return rc;
}

static struct word *find_word(struct learner *l, struct str text, uint64_t hash)
{
    size_t i = hash & l->mask;
    while (l->words[i].text.ptr && (l->words[i].hash != hash || !str_eq(l->words[i].text, text)))
        i = (i + 1) & l->mask;
    return &l->words[i];
}

static bool grow_words(struct learner *l)
{
    struct word *old = l->words;
    size_t n = old ? l->mask + 1 : 0, cap = old ? 2 * n : 1 << 16;
    struct word *words = cap <= WORDS_MAX ? calloc(cap, sizeof(*words)) : NULL;
    if (!words)
        return false;
    l->words = words;
    l->mask = cap - 1;
    for (size_t i = 0; i < n; i++)
        if (old[i].text.ptr)
            *find_word(l, old[i].text, old[i].hash) = old[i];
    free(old);
    return true;
}

/* The word of characters ids[0..n), once a text. */
static enum err_code count_word(struct learner *l, const int32_t *ids, size_t n, struct err *err)
{
    char bytes[4 * WORD_CHARS];
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        struct str c = l->symbols[ids[i]];
        c = str_sub(c, i > 0 ? 2 : 0, c.len);
        memcpy(bytes + len, c.ptr, c.len);
        len += c.len;
    }
    struct str text = {bytes, len};
    if ((!l->words || 2 * l->n_words > l->mask) && !grow_words(l))
        return no_memory(err);
    uint64_t hash = hash64(bytes, len, 0);
    struct word *w = find_word(l, text, hash);
    if (!w->text.ptr) {
        *w = (struct word){arena_str(&l->arena, text), 0, 0, hash};
        if (!w->text.ptr)
            return no_memory(err);
        l->n_words++;
    }
    w->count += w->last != l->text;
    w->last = l->text;
    return OK;
}

static enum err_code encode(struct learner *l, const struct wordpiece *with, struct str text,
                            size_t *n, struct err *err)
{
    enum err_code rc = wordpiece_encode(with, text, l->ids, NULL, l->cap_ids, n, err);
    if (rc || *n <= l->cap_ids)
        return rc;
    int32_t *ids = realloc(l->ids, 2 * *n * sizeof(*ids));
    if (!ids)
        return no_memory(err);
    l->ids = ids;
    l->cap_ids = 2 * *n;
    return wordpiece_encode(with, text, l->ids, NULL, l->cap_ids, n, err);
}

static bool begins_word(const struct learner *l, int32_t id)
{
    return id == 0 || !str_starts(l->symbols[id], STR("##")) || l->symbols[id].len == 2;
}

static enum err_code count_words(struct learner *l, struct str text, void *arg, struct err *err)
{
    (void)arg;
    size_t n = 0;
    enum err_code rc = encode(l, l->chars, text, &n, err);
    for (size_t i = 0, next; i < n && !rc; i = next) {
        for (next = i + 1; next < n && !begins_word(l, l->ids[next]); next++)
            ;
        if (l->ids[i] != 0)
            rc = count_word(l, l->ids + i, next - i, err);
    }
    return rc;
}

static int by_count(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    size_t n = x->text.len < y->text.len ? x->text.len : y->text.len;
    int c = memcmp(x->text.ptr, y->text.ptr, n);
    return c ? c : (x->text.len > y->text.len) - (x->text.len < y->text.len);
}

/* From a table to a list: most frequent first. */
static void list_words(struct learner *l)
{
    size_t n = 0;
    for (size_t i = 0; l->words && i <= l->mask; i++)
        if (l->words[i].text.ptr)
            l->words[n++] = l->words[i];
    if (n)
        qsort(l->words, n, sizeof(*l->words), by_count);
    l->n_words = n;
}

/* Words as symbols; single characters and words seen once have nothing to say. */
static enum err_code spell_words(struct learner *l, struct merge_word *out, size_t *n,
                                 struct err *err)
{
    *n = 0;
    for (size_t i = 0; i < l->n_words && l->words[i].count >= 2; i++) {
        size_t len = 0;
        enum err_code rc = encode(l, l->chars, l->words[i].text, &len, err);
        if (rc)
            return rc;
        if (len < 2)
            continue;
        int32_t *symbols = arena_alloc(&l->arena, len, sizeof(*symbols));
        if (!symbols)
            return no_memory(err);
        memcpy(symbols, l->ids, len * sizeof(*symbols));
        out[(*n)++] = (struct merge_word){symbols, (int)len, l->words[i].count};
    }
    return OK;
}

/* Half as many again as wanted are learned: merges on the way to a long piece
 * are seldom used once it is there. */
static enum err_code learn_merges(struct learner *l, struct err *err)
{
    int n_chars = l->n_symbols, want = l->opt.pieces + l->opt.pieces / 2 - n_chars, n = 0;
    size_t n_words = 0;
    struct merge_word *words = calloc(l->n_words + 1, sizeof(*words));
    struct merge *merges = calloc((size_t)want, sizeof(*merges));
    enum err_code rc = words && merges ? spell_words(l, words, &n_words, err) : no_memory(err);
    if (!rc)
        rc = merge_learn(words, n_words, n_chars, want, merges, &n, err);
    for (int i = 0; i < n && !rc; i++) {
        struct str right = l->symbols[merges[i].right];
        if (!add_symbol(l, l->symbols[merges[i].left], str_sub(right, 2, right.len)))
            rc = no_memory(err);
    }
    free(words);
    free(merges);
    return rc;
}

struct use {
    int32_t symbol;
    bool is_char;
    int64_t count;
};

static int by_use(const void *a, const void *b)
{
    const struct use *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return (x->symbol > y->symbol) - (x->symbol < y->symbol);
}

static enum err_code count_use(struct learner *l, struct use *use, struct err *err)
{
    struct wordpiece *all = NULL;
    enum err_code rc = wordpiece_new(l->symbols, (size_t)l->n_symbols, &all, err);
    for (size_t i = 0; i < l->n_words && !rc; i++) {
        size_t n = 0;
        rc = encode(l, all, l->words[i].text, &n, err);
        for (size_t j = 0; j < n && !rc; j++)
            use[l->ids[j]].count += l->words[i].count;
    }
    wordpiece_free(all);
    return rc;
}

/* Single characters that occur, and ASCII letters and digits in any case. */
static bool must_stay(const struct learner *l, const struct use *u)
{
    struct str c = l->symbols[u->symbol];
    char last = c.ptr[c.len - 1];
    bool plain = (last >= 'a' && last <= 'z') || (last >= '0' && last <= '9');
    return u->is_char && (u->count > 0 || plain);
}

/* Of all that need not stay, the most used. */
static enum err_code choose(struct learner *l, struct use *use, struct learned *out,
                            struct err *err)
{
    out->pieces = calloc((size_t)l->opt.pieces, sizeof(*out->pieces));
    if (!out->pieces)
        return no_memory(err);
    size_t room = (size_t)l->opt.pieces - 1;
    for (int i = 1; i < l->n_symbols; i++)
        room -= must_stay(l, &use[i]);
    out->pieces[out->n++] = arena_str(&out->bytes, l->symbols[0]);
    qsort(use + 1, (size_t)l->n_symbols - 1, sizeof(*use), by_use);
    for (int i = 1; i < l->n_symbols; i++) {
        bool stays = must_stay(l, &use[i]);
        if (!stays && (room == 0 || use[i].is_char || use[i].count < l->opt.min_piece))
            continue;
        room -= !stays;
        struct str piece = arena_str(&out->bytes, l->symbols[use[i].symbol]);
        if (!piece.ptr)
            return no_memory(err);
        out->pieces[out->n++] = piece;
    }
    out->n_words = l->n_words;
    return OK;
}

static enum err_code learn_all(struct learner *l, struct learned *out, struct err *err)
{
    enum err_code rc = learn_chars(l, err);
    if (!rc)
        rc = each_text(l, err, count_words, NULL);
    if (rc)
        return rc;
    list_words(l);
    int n_chars = l->n_symbols;
    rc = learn_merges(l, err);
    if (rc)
        return rc;
    struct use *use = calloc((size_t)l->n_symbols, sizeof(*use));
    if (!use)
        return no_memory(err);
    for (int i = 0; i < l->n_symbols; i++)
        use[i] = (struct use){i, i < n_chars, 0};
    rc = count_use(l, use, err);
    if (!rc)
        rc = choose(l, use, out, err);
    free(use);
    return rc;
}

enum err_code learn_pieces(const struct pairs *p, const struct learn_options *opt,
                           const struct stop *stop, struct learned *out, struct err *err)
{
    struct learner l = {.opt = *opt, .pairs = p, .stop = stop};
    l.opt.pieces = opt->pieces ? opt->pieces : 26700;
    l.opt.min_char = opt->min_char ? opt->min_char : 20;
    l.opt.min_piece = opt->min_piece ? opt->min_piece : 8;
    *out = (struct learned){0};
    if (l.opt.pieces < 128 || l.opt.pieces > 200000)
        return err_set(err, ERR_ARG, "%d pieces: want 128 to 200000", l.opt.pieces);
    enum err_code rc = learn_all(&l, out, err);
    wordpiece_free(l.chars);
    free(l.symbols);
    free(l.words);
    free(l.ids);
    arena_deinit(&l.arena);
    if (rc)
        learned_free(out);
    return rc;
}

void learned_free(struct learned *l)
{
    free(l->pieces);
    arena_deinit(&l->bytes);
    *l = (struct learned){0};
}
