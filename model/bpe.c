/* model/bpe.c - symbols are numbered: a piece by its id, what only appears
 * inside merges behind them. A table from two symbols to rank and outcome then
 * stands for the list of merges. */
#include "model/bpe.h"
#include <stdlib.h>
#include <string.h>
#include "base/rng.h"
#include "base/utf8.h"
#include "model/piecemap.h"

struct pair { int32_t left, right, sym; uint32_t rank; };   /* left -1: empty */

struct bpe {
    struct str *syms;          /* [n_syms] bytes */
    size_t n_pieces, n_syms;
    char *bytes, *spare;       /* of the symbols that are not pieces; where the next one goes */
    struct piecemap map;
    struct pair *pairs;
    size_t mask;
    uint64_t seed;
    int32_t first[256];        /* symbol of each byte */
    int32_t unk;
    bool whole_words;
};

/* GPT-2's alphabet: visible Latin-1 stands for itself, the 68 other bytes for
 * U+0100 and up, in order. */
static bool is_visible(unsigned c)
{
    return (c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xac) || (c >= 0xae && c <= 0xff);
}

static int byte_of(uint32_t cp)
{
    if (cp < 0x100)
        return is_visible(cp) ? (int)cp : -1;
    if (cp >= 0x144)
        return -1;
    unsigned i = cp - 0x100;
    return (int)(i < 33 ? i : i < 67 ? i - 33 + 0x7f : 0xad);
}

size_t bpe_plain(struct str piece, char *out)
{
    size_t n = 0;
    uint32_t cp;
    for (size_t at = 0; at < piece.len; n++) {
        at += (size_t)utf8_decode(piece, at, &cp);
        int byte = byte_of(cp);
        if (byte < 0)
            return SIZE_MAX;
        out[n] = (char)byte;
    }
    return n;
}

/* ---- loading */

static size_t home(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) ^ b->seed;
    h = (h ^ h >> 32) * 0x9e3779b97f4a7c15u;
    return (size_t)(h ^ h >> 29) & b->mask;
}

static struct pair *pair_of(const struct bpe *b, int32_t left, int32_t right)
{
    for (size_t i = home(b, left, right);; i = (i + 1) & b->mask) {
        struct pair *p = &b->pairs[i];
        if (p->left < 0 || (p->left == left && p->right == right))
            return p;
    }
}

static enum err_code alloc(struct bpe *b, const struct bpe_source *src, size_t bytes,
                           struct err *err)
{
    size_t cap = 16;
    while (cap < 2 * src->n_merges)
        cap *= 2;
    b->syms = malloc((src->n + 256 + 3 * src->n_merges) * sizeof(*b->syms));
    b->bytes = malloc(256 + 2 * bytes);
    b->pairs = malloc(cap * sizeof(*b->pairs));
    if (!b->syms || !b->bytes || !b->pairs)
        return err_set(err, ERR_NOMEM, "a vocabulary of %zu pieces and %zu merges", src->n,
                       src->n_merges);
    for (size_t i = 0; i < cap; i++)
        b->pairs[i].left = -1;
    b->mask = cap - 1;
    b->spare = b->bytes;
    rng_secret(&b->seed, sizeof(b->seed));
    return piecemap_init(&b->map, src->n + 256, err);
}

/* The symbol of `s`, a new one with a copy of `s` if need be. */
static enum err_code intern(struct bpe *b, struct str s, int32_t *sym, struct err *err)
{
    *sym = piecemap_find(&b->map, b->syms, s);
    if (*sym >= 0)
        return OK;
    memcpy(b->spare, s.ptr, s.len);
    *sym = (int32_t)b->n_syms++;
    b->syms[*sym] = (struct str){b->spare, s.len};
    b->spare += s.len;
    return piecemap_put(&b->map, b->syms, *sym, err);
}

static enum err_code add_merge(struct bpe *b, struct str left, struct str right, uint32_t rank,
                               char *tmp, struct err *err)
{
    int32_t l, r, both;
    size_t nl = bpe_plain(left, tmp);
    size_t nr = nl == SIZE_MAX ? nl : bpe_plain(right, tmp + nl);
    if (nr == SIZE_MAX)
        return OK;             /* no text has these bytes */
    enum err_code rc = intern(b, (struct str){tmp, nl}, &l, err);
    if (!rc)
        rc = intern(b, (struct str){tmp + nl, nr}, &r, err);
    if (!rc)
        rc = intern(b, (struct str){tmp, nl + nr}, &both, err);
    if (rc)
        return rc;
    struct pair *p = pair_of(b, l, r);
    if (p->left < 0)           /* of equals the first has the rank */
        *p = (struct pair){l, r, both, rank};
    return OK;
}

static enum err_code read_merges(struct bpe *b, const struct bpe_source *src, char *tmp,
                                 struct err *err)
{
    enum err_code rc = OK;
    for (size_t i = 0; !rc && i < src->n_merges; i++) {
        struct str m = src->merge(src->arg, i);
        size_t space = str_find(m, STR(" "), 1);
        if (space == SIZE_MAX || space + 1 >= m.len)
            return err_set(err, ERR_FORMAT,
                           "merge %zu is \"%.*s\", want two pieces with a space between", i,
                           (int)(m.len < 60 ? m.len : 60), m.ptr ? m.ptr : "");
        struct str left = str_sub(m, 0, space), right = str_sub(m, space + 1, m.len);
        rc = add_merge(b, left, right, (uint32_t)i, tmp, err);
    }
    return rc;
}

static enum err_code read_pieces(struct bpe *b, const struct bpe_source *src, struct err *err)
{
    enum err_code rc = OK;
    for (size_t i = 0; i < src->n; i++)
        b->syms[i] = src->plain[i];
    for (size_t i = 0; !rc && i < src->n; i++)
        if (src->usable[i] && src->plain[i].len)
            rc = piecemap_put(&b->map, b->syms, (int32_t)i, err);
    b->n_pieces = b->n_syms = src->n;
    for (int c = 0; !rc && c < 256; c++) {
        char byte = (char)c;
        rc = intern(b, (struct str){&byte, 1}, &b->first[c], err);
    }
    return rc;
}

enum err_code bpe_new(const struct bpe_source *src, struct bpe **out, struct err *err)
{
    size_t bytes = 0, longest = 0;
    if (src->n_merges > BPE_MERGES_MAX)
        return err_set(err, ERR_FORMAT, "%zu merges, want at most %zu", src->n_merges,
                       BPE_MERGES_MAX);
    for (size_t i = 0; i < src->n_merges; i++) {
        size_t len = src->merge(src->arg, i).len;
        bytes += len;
        longest = len > longest ? len : longest;
    }
    struct bpe *b = calloc(1, sizeof(*b));
    char *tmp = malloc(longest + 1);
    if (!b || !tmp) {
        free(b);
        free(tmp);
        return err_set(err, ERR_NOMEM, "a vocabulary");
    }
    enum err_code rc = alloc(b, src, bytes, err);
    b->unk = src->unk;
    b->whole_words = src->whole_words;
    if (!rc)
        rc = read_pieces(b, src, err);
    if (!rc)
        rc = read_merges(b, src, tmp, err);
    free(tmp);
    if (rc)
        bpe_free(b);
    else
        *out = b;
    return rc;
}

void bpe_free(struct bpe *b)
{
    if (!b)
        return;
    piecemap_free(&b->map);
    free(b->syms);
    free(b->bytes);
    free(b->pairs);
    free(b);
}

/* ---- encoding */

static bool join(const void *arg, struct str word, const struct joiner_link *left,
                 const struct joiner_link *right, uint32_t *rank, int32_t *sym)
{
    (void)word;
    const struct pair *p = pair_of(arg, left->sym, right->sym);
    if (p->left < 0)
        return false;
    *rank = p->rank;
    *sym = p->sym;
    return true;
}

static void emit_byte(const struct bpe *b, unsigned char c, struct joiner_ids *out)
{
    int32_t id = b->first[c];
    if ((size_t)id >= b->n_pieces)
        id = b->unk;
    if (id >= 0)
        joiner_emit(out, id);
}

/* A symbol that is no piece falls apart into its bytes. */
static void emit(const struct bpe *b, struct str bytes, int32_t sym, struct joiner_ids *out)
{
    if ((size_t)sym < b->n_pieces)
        joiner_emit(out, sym);
    else
        for (size_t i = 0; i < bytes.len; i++)
            emit_byte(b, (unsigned char)bytes.ptr[i], out);
}

static enum err_code encode_cut(const struct bpe *b, struct str word, struct joiner *scratch,
                                struct joiner_ids *out, struct err *err)
{
    const struct joiner_rule rule = {join, b};
    enum err_code rc = joiner_begin(scratch, word.len, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < word.len; i++)
        joiner_push(scratch, i, 1, b->first[(unsigned char)word.ptr[i]]);
    joiner_run(scratch, word, &rule);
    for (int32_t i = 0; i >= 0; i = scratch->links[i].next) {
        const struct joiner_link *l = &scratch->links[i];
        emit(b, str_sub(word, l->at, l->at + l->len), l->sym, out);
    }
    return OK;
}

enum err_code bpe_encode(const struct bpe *b, struct str word, struct joiner *scratch,
                         struct joiner_ids *out, struct err *err)
{
    if (word.len == 1) {
        emit_byte(b, (unsigned char)word.ptr[0], out);
        return OK;
    }
    int32_t whole = b->whole_words ? piecemap_find(&b->map, b->syms, word) : -1;
    if (whole >= 0 && (size_t)whole < b->n_pieces) {
        joiner_emit(out, whole);
        return OK;
    }
    for (size_t at = 0; at < word.len; at += JOINER_WORD_MAX) {
        enum err_code rc =
            encode_cut(b, str_sub(word, at, at + JOINER_WORD_MAX), scratch, out, err);
        if (rc)
            return rc;
    }
    return OK;
}
