/* model/wordpiece.c - one pass over the text, one word at a time.
 *
 * A character goes through what BERT's BasicTokenizer does to it: control
 * characters (category C* but for tab and line ends) vanish, white space and
 * CJK ideographs end the word, then NFD without Mn, simple lower case, and
 * punctuation (ASCII symbols or P*) ends the word and is one of its own. Below
 * FAST_CPS the outcome is looked up in a table made at open.
 *
 * The word grows in a buffer together with the hash of each of its prefixes, so
 * that trying a shorter piece costs one look into the vocabulary's table:
 * O(length of the word x longest piece), both bounded, for any input. */
#include "model/wordpiece.h"
#include <stdlib.h>
#include <string.h>
#include "base/rng.h"
#include "base/utf8.h"

#define WORD_CHARS 100                    /* of the published tokenizer; longer is [UNK] */
#define WORD_BYTES (4 * (WORD_CHARS + 1))
#define PIECES_MAX (1 << 18)             /* multilingual BERT has 119,547 */
#define FAST_CPS 0x2070                   /* Latin to Tibetan, and general punctuation */
#define MARK "\xe2\x96\x81"               /* U+2581, before a word in llama.cpp's files */

enum cp_class { CP_KEEP, CP_SPACE, CP_DROP, CP_ALONE, CP_MARK };
#define FAST_MANY 0x80000000u             /* a fast entry that needs the slow way */

struct slot { uint64_t hash; int32_t id; uint32_t len; };   /* id -1: empty */

struct wordpiece {
    char *bytes;            /* all pieces in "##" form, one after another */
    struct str *pieces;     /* [n] into bytes */
    size_t n;
    struct slot *slots;
    size_t mask;
    uint64_t seed;          /* odd; of the prefix hashes */
    size_t longest;         /* bytes of the longest piece in the table, "##" not counted */
    int32_t cls, sep, unk, pad;
    uint32_t fast[FAST_CPS];   /* class << 24 | code point after folding */
};

/* State of one call of wordpiece_encode. */
struct coder {
    const struct wordpiece *w;
    int32_t *ids;
    uint32_t *ends;
    size_t cap, n;
    int chars;              /* of the word so far, after folding; may pass WORD_CHARS */
    size_t len;             /* its bytes */
    size_t end;             /* offset in the text behind it */
    char word[WORD_BYTES];
};

static uint64_t step(uint64_t h, uint8_t byte, uint64_t seed)
{
    return (h + byte + 1) * seed;
}

static uint64_t mix(uint64_t h, bool inside)
{
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u + 2 * inside;
    return h ^ h >> 29;
}

static bool is_inside(struct str piece)
{
    return piece.len > 2 && piece.ptr[0] == '#' && piece.ptr[1] == '#';
}

static struct str body(struct str piece)
{
    return is_inside(piece) ? str_sub(piece, 2, piece.len) : piece;
}

static const struct slot *find(const struct wordpiece *w, uint64_t prefix, bool inside,
                               const char *p, size_t len)
{
    uint64_t hash = mix(prefix, inside);
    for (size_t i = hash & w->mask;; i = (i + 1) & w->mask) {
        const struct slot *s = &w->slots[i];
        if (s->id < 0)
            return s;
        if (s->hash != hash || s->len != len)
            continue;
        struct str piece = w->pieces[s->id], b = body(piece);
        if (is_inside(piece) == inside && memcmp(b.ptr, p, len) == 0)
            return s;
    }
}

static void insert(struct wordpiece *w, int32_t id)
{
    struct str b = body(w->pieces[id]);
    bool inside = is_inside(w->pieces[id]);
    if (b.len < 1 || b.len > WORD_BYTES)
        return;                           /* no word can hold it */
    uint64_t h = 0;
    for (size_t i = 0; i < b.len; i++)
        h = step(h, (uint8_t)b.ptr[i], w->seed);
    struct slot *s = (struct slot *)find(w, h, inside, b.ptr, b.len);
    if (s->id >= 0)
        return;                           /* the first of equals has the id */
    *s = (struct slot){mix(h, inside), id, (uint32_t)b.len};
    if (b.len > w->longest)
        w->longest = b.len;
}

static bool is_cjk(uint32_t cp)
{
    return (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0x3400 && cp <= 0x4dbf) ||
           (cp >= 0x20000 && cp <= 0x2a6df) || (cp >= 0x2a700 && cp <= 0x2ceaf) ||
           (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0x2f800 && cp <= 0x2fa1f);
}

/* What a character does before it is folded. */
static enum cp_class class_of(uint32_t cp)
{
    if (cp == ' ' || cp == '\t' || cp == '\n' || cp == '\r')
        return CP_SPACE;
    const char *cat = utf8_category(cp);
    if (cp == 0xfffd || cat[0] == 'C')
        return CP_DROP;
    if (cat[0] == 'Z')
        return CP_SPACE;
    return is_cjk(cp) ? CP_ALONE : CP_KEEP;
}

/* What it does after folding. */
static enum cp_class folded_class(uint32_t cp)
{
    if (cp < 0x80) {
        bool word = (cp >= '0' && cp <= '9') || (cp >= 'a' && cp <= 'z') || cp <= ' ';
        return word ? CP_KEEP : CP_ALONE;
    }
    const char *cat = utf8_category(cp);
    if (cat[0] == 'M' && cat[1] == 'n')
        return CP_MARK;
    return cat[0] == 'P' ? CP_ALONE : CP_KEEP;
}

static uint32_t fast_entry(uint32_t cp)
{
    uint32_t parts[UTF8_DECOMPOSED_MAX], kept = 0;
    enum cp_class c = class_of(cp);
    if (c != CP_KEEP)
        return (uint32_t)c << 24 | cp;
    int n = utf8_decompose(cp, parts), n_kept = 0;
    for (int i = 0; i < n; i++) {
        uint32_t low = utf8_lower(parts[i]);
        if (folded_class(low) == CP_MARK)
            continue;
        kept = low;
        n_kept++;
    }
    if (n_kept == 0)
        return (uint32_t)CP_MARK << 24;
    if (n_kept > 1)
        return FAST_MANY;
    return (uint32_t)folded_class(kept) << 24 | kept;
}

static void emit(struct coder *c, int32_t id)
{
    if (c->n < c->cap) {
        c->ids[c->n] = id;
        if (c->ends)
            c->ends[c->n] = (uint32_t)c->end;
    }
    c->n++;
}

/* Longest piece at `at` of the word; its bytes, or 0. */
static size_t longest_piece(const struct coder *c, size_t at, int32_t *id)
{
    uint64_t prefix[WORD_BYTES], h = 0;
    const struct wordpiece *w = c->w;
    size_t top = c->len - at < w->longest ? c->len - at : w->longest;
    for (size_t i = 0; i < top; i++)
        prefix[i] = h = step(h, (uint8_t)c->word[at + i], w->seed);
    for (size_t len = top; len > 0; len--) {
        const struct slot *s = find(w, prefix[len - 1], at > 0, c->word + at, len);
        if (s->id >= 0) {
            *id = s->id;
            return len;
        }
    }
    return 0;
}

static void end_word(struct coder *c)
{
    if (c->chars == 0)
        return;
    size_t first = c->n, at = 0;
    while (c->chars <= WORD_CHARS && at < c->len) {
        int32_t id = 0;
        size_t len = longest_piece(c, at, &id);
        if (len == 0)
            break;
        emit(c, id);
        at += len;
    }
    if (at < c->len || c->chars > WORD_CHARS) {
        c->n = first;
        emit(c, c->w->unk);
    }
    c->chars = 0;
    c->len = 0;
}

static void grow_word(struct coder *c, uint32_t cp, size_t end)
{
    c->end = end;
    if (c->chars++ >= WORD_CHARS)
        return;
    char *p = c->word + c->len;
    if (cp < 0x80) {
        *p = (char)cp;
        c->len += 1;
    } else if (cp < 0x800) {
        p[0] = (char)(0xc0 | cp >> 6);
        p[1] = (char)(0x80 | (cp & 63));
        c->len += 2;
    } else if (cp < 0x10000) {
        p[0] = (char)(0xe0 | cp >> 12);
        p[1] = (char)(0x80 | (cp >> 6 & 63));
        p[2] = (char)(0x80 | (cp & 63));
        c->len += 3;
    } else {
        p[0] = (char)(0xf0 | cp >> 18);
        p[1] = (char)(0x80 | (cp >> 12 & 63));
        p[2] = (char)(0x80 | (cp >> 6 & 63));
        p[3] = (char)(0x80 | (cp & 63));
        c->len += 4;
    }
}

static void put_folded(struct coder *c, enum cp_class class, uint32_t cp, size_t end)
{
    switch (class) {
    case CP_SPACE:
        end_word(c);
        break;
    case CP_DROP:
        break;
    case CP_MARK:                         /* an accent belongs to the word before it */
        if (c->chars)
            c->end = end;
        break;
    case CP_KEEP:
        grow_word(c, cp, end);
        break;
    case CP_ALONE:
        end_word(c);
        grow_word(c, cp, end);
        end_word(c);
        break;
    }
}

static void put_slow(struct coder *c, uint32_t cp, size_t end)
{
    uint32_t parts[UTF8_DECOMPOSED_MAX];
    enum cp_class class = class_of(cp);
    if (class == CP_SPACE || class == CP_DROP) {
        put_folded(c, class, cp, end);
        return;
    }
    if (class == CP_ALONE)
        end_word(c);
    int n = utf8_decompose(cp, parts);
    for (int i = 0; i < n; i++) {
        uint32_t low = utf8_lower(parts[i]);
        put_folded(c, folded_class(low), low, end);
    }
    if (class == CP_ALONE)
        end_word(c);
}

enum err_code wordpiece_encode(const struct wordpiece *w, struct str text, int32_t *ids,
                               uint32_t *ends, size_t cap, size_t *n, struct err *err)
{
    struct coder c = {.w = w, .ids = ids, .ends = ends, .cap = cap};
    *n = 0;
    if (text.len > UINT32_MAX)
        return err_set(err, ERR_LIMIT, "a text of %zu bytes, want at most %u", text.len,
                       UINT32_MAX);
    for (size_t at = 0; at < text.len;) {
        uint32_t cp = (uint8_t)text.ptr[at];
        at += cp < 0x80 ? 1 : (size_t)utf8_decode(text, at, &cp);
        uint32_t e = cp < FAST_CPS ? w->fast[cp] : FAST_MANY;
        if (e & FAST_MANY)
            put_slow(&c, cp, at);
        else
            put_folded(&c, (enum cp_class)(e >> 24), e & 0xffffff, at);
    }
    end_word(&c);
    *n = c.n;
    return OK;
}

/* Ids that only a caller may put into a sequence never come out of text. */
static bool is_control(const struct wordpiece *w, int32_t id)
{
    return id == w->cls || id == w->sep || id == w->unk || id == w->pad ||
           str_eqz(w->pieces[id], "[MASK]");
}

static enum err_code index_pieces(struct wordpiece *w, struct err *err)
{
    size_t cap = 64;
    while (cap < 2 * w->n)
        cap *= 2;
    w->slots = malloc(cap * sizeof(*w->slots));
    if (!w->slots)
        return err_set(err, ERR_NOMEM, "a vocabulary of %zu pieces", w->n);
    for (size_t i = 0; i < cap; i++)
        w->slots[i].id = -1;
    w->mask = cap - 1;
    rng_secret(&w->seed, sizeof(w->seed));
    w->seed |= 1;
    for (size_t i = 0; i < w->n; i++)
        if (!is_control(w, (int32_t)i))
            insert(w, (int32_t)i);
    for (uint32_t cp = 0; cp < FAST_CPS; cp++)
        w->fast[cp] = fast_entry(cp);
    return OK;
}

static int32_t id_of(const struct wordpiece *w, const char *name)
{
    for (size_t i = 0; i < w->n; i++)
        if (str_eqz(w->pieces[i], name))
            return (int32_t)i;
    return -1;
}

/* Copies `n` pieces given by `at(arg, i)`; `marked`: they are in llama.cpp's
 * form, where "##x" is "x", "x" is MARK "x", and names in brackets stay. */
static enum err_code copy_pieces(struct wordpiece *w, size_t n, bool marked,
                                 struct str at(const void *arg, size_t i), const void *arg,
                                 struct err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += at(arg, i).len + 2;
    w->bytes = malloc(total + 1);
    w->pieces = calloc(n + 1, sizeof(*w->pieces));
    if (!w->bytes || !w->pieces)
        return err_set(err, ERR_NOMEM, "a vocabulary of %zu pieces", n);
    char *p = w->bytes;
    for (size_t i = 0; i < n; i++) {
        struct str s = at(arg, i);
        bool named = str_starts(s, STR("[")) && str_ends(s, STR("]")) && s.len > 2;
        w->pieces[i].ptr = p;
        if (marked && str_starts(s, STR(MARK))) {
            s = str_sub(s, strlen(MARK), s.len);
        } else if (marked && !named && s.len) {
            memcpy(p, "##", 2);
            p += 2;
        }
        if (s.len)
            memcpy(p, s.ptr, s.len);
        p += s.len;
        w->pieces[i].len = (size_t)(p - w->pieces[i].ptr);
    }
    w->n = n;
    return OK;
}

static struct str from_list(const void *arg, size_t i)
{
    return ((const struct str *)arg)[i];
}

#define TOKENS "tokenizer.ggml.tokens"
static struct str from_file(const void *arg, size_t i)
{
    return gguf_array_str(arg, TOKENS, i);
}

static enum err_code check_size(size_t n, struct err *err)
{
    if (n >= 1 && n <= PIECES_MAX)
        return OK;
    return err_set(err, ERR_FORMAT, "a vocabulary of %zu pieces, want 1 to %d", n, PIECES_MAX);
}

static enum err_code finish(struct wordpiece *w, struct wordpiece **out, enum err_code rc,
                            struct err *err)
{
    if (!rc && w->unk < 0)
        rc = err_set(err, ERR_FORMAT, "a vocabulary without [UNK]");
    if (!rc)
        rc = index_pieces(w, err);
    if (rc)
        wordpiece_free(w);
    else
        *out = w;
    return rc;
}

static void name_controls(struct wordpiece *w)
{
    w->cls = id_of(w, "[CLS]");
    w->sep = id_of(w, "[SEP]");
    w->unk = id_of(w, "[UNK]");
    w->pad = id_of(w, "[PAD]");
}

enum err_code wordpiece_new(const struct str *pieces, size_t n, struct wordpiece **out,
                            struct err *err)
{
    enum err_code rc = check_size(n, err);
    if (rc)
        return rc;
    struct wordpiece *w = calloc(1, sizeof(*w));
    if (!w)
        return err_set(err, ERR_NOMEM, "a vocabulary");
    rc = copy_pieces(w, n, false, from_list, pieces, err);
    if (!rc)
        name_controls(w);
    return finish(w, out, rc, err);
}

/* llama.cpp's converter marks word starts; a plain list marks what continues. */
static bool is_marked(const struct gguf *g, size_t n)
{
    size_t marks = 0, hashes = 0;
    for (size_t i = 0; i < n; i++) {
        struct str s = from_file(g, i);
        marks += str_starts(s, STR(MARK));
        hashes += str_starts(s, STR("##"));
    }
    return marks > hashes;
}

/* The file's own word for an id goes before the piece's name. */
static enum err_code read_controls(struct wordpiece *w, const struct gguf *g, struct err *err)
{
    const struct { const char *key; int32_t *id; } table[] = {
        {"tokenizer.ggml.cls_token_id", &w->cls},
        {"tokenizer.ggml.seperator_token_id", &w->sep},   /* spelt so in the format */
        {"tokenizer.ggml.unknown_token_id", &w->unk},
        {"tokenizer.ggml.padding_token_id", &w->pad},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        int64_t v = *table[i].id;
        enum err_code rc = gguf_int(g, table[i].key, 0, (int64_t)w->n - 1, &v, err);
        if (rc && rc != ERR_NOTFOUND)
            return rc;
        *table[i].id = (int32_t)v;
    }
    return OK;
}

/* Arrays beside the tokens must be as long as they are. */
static enum err_code check_beside(const struct gguf *g, const char *key, size_t n, struct err *err)
{
    size_t have = 0;
    enum err_code rc = gguf_array(g, key, false, &have, err);
    if (rc == ERR_NOTFOUND)
        return OK;
    if (!rc && have != n)
        rc = err_set(err, ERR_FORMAT, "%s: key %s has %zu elements for %zu tokens", gguf_name(g),
                     key, have, n);
    return rc;
}

enum err_code wordpiece_open(const struct gguf *g, struct wordpiece **out, struct err *err)
{
    struct str model;
    size_t n = 0;
    enum err_code rc = gguf_str(g, "tokenizer.ggml.model", &model, err);
    if (!rc && !str_eqz(model, "bert"))
        rc = err_set(err, ERR_FORMAT, "%s: tokenizer \"%.*s\", want \"bert\" (WordPiece)",
                     gguf_name(g), STR_ARG(model));
    if (!rc)
        rc = gguf_array(g, TOKENS, true, &n, err);
    if (!rc)
        rc = check_size(n, err);
    if (!rc)
        rc = check_beside(g, "tokenizer.ggml.token_type", n, err);
    if (!rc)
        rc = check_beside(g, "tokenizer.ggml.scores", n, err);
    if (rc)
        return rc == ERR_NOTFOUND ? ERR_FORMAT : rc;
    struct wordpiece *w = calloc(1, sizeof(*w));
    if (!w)
        return err_set(err, ERR_NOMEM, "a vocabulary");
    rc = copy_pieces(w, n, is_marked(g, n), from_file, g, err);
    if (!rc) {
        name_controls(w);
        rc = read_controls(w, g, err);
    }
    return finish(w, out, rc, err);
}

void wordpiece_free(struct wordpiece *w)
{
    if (!w)
        return;
    free(w->bytes);
    free(w->pieces);
    free(w->slots);
    free(w);
}

size_t wordpiece_size(const struct wordpiece *w)
{
    return w->n;
}

struct str wordpiece_piece(const struct wordpiece *w, int32_t id)
{
    if (id < 0 || (size_t)id >= w->n)
        return (struct str){NULL, 0};
    return w->pieces[id];
}

int32_t wordpiece_cls(const struct wordpiece *w)
{
    return w->cls;
}

int32_t wordpiece_sep(const struct wordpiece *w)
{
    return w->sep;
}

int32_t wordpiece_unk(const struct wordpiece *w)
{
    return w->unk;
}
