/* model/spm.c - words one after another through the joiner.
 *
 * Every symbol ever joined is a piece, so where no piece has a space behind
 * something else, nothing joins across the start of a word, and a text may be
 * worked on word by word, in bounded memory, with the same outcome. */
#include "model/spm.h"
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "model/piecemap.h"

#define SPACE_LEN (sizeof(SPM_SPACE) - 1)

struct spm {
    const struct str *pieces;
    uint32_t *ranks;           /* [n] less is the higher score */
    struct piecemap map;
    size_t longest;            /* bytes of a usable piece */
    bool across;               /* a piece has a space behind something else */
    int32_t bytes[256], unk;
};

/* A number that falls as `score` rises: IEEE floats order as sign and magnitude. */
static uint32_t rank_of(float score)
{
    uint32_t bits;
    score += 0.0f;             /* -0 becomes 0 */
    memcpy(&bits, &score, sizeof(bits));
    return bits & 0x80000000u ? bits : ~(bits | 0x80000000u);
}

static bool is_space_at(struct str s, size_t at)
{
    return str_starts(str_sub(s, at, s.len), STR(SPM_SPACE));
}

static bool goes_across(struct str piece)
{
    size_t at = 0;
    while (is_space_at(piece, at))
        at += SPACE_LEN;
    return str_find(piece, STR(SPM_SPACE), at) != SIZE_MAX;
}

enum err_code spm_new(const struct spm_source *src, struct spm **out, struct err *err)
{
    struct spm *s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(err, ERR_NOMEM, "a vocabulary");
    s->pieces = src->pieces;
    s->unk = src->unk;
    memcpy(s->bytes, src->bytes, sizeof(s->bytes));
    s->ranks = malloc((src->n + 1) * sizeof(*s->ranks));
    enum err_code rc = s->ranks ? piecemap_init(&s->map, src->n, err)
                                : err_set(err, ERR_NOMEM, "a vocabulary of %zu pieces", src->n);
    for (size_t i = 0; !rc && i < src->n; i++) {
        struct str p = src->pieces[i];
        s->ranks[i] = rank_of(src->scores[i]);
        if (!src->usable[i] || !p.len)
            continue;
        s->longest = p.len > s->longest ? p.len : s->longest;
        s->across = s->across || goes_across(p);
        rc = piecemap_put(&s->map, s->pieces, (int32_t)i, err);
    }
    if (rc)
        spm_free(s);
    else
        *out = s;
    return rc;
}

void spm_free(struct spm *s)
{
    if (!s)
        return;
    piecemap_free(&s->map);
    free(s->ranks);
    free(s);
}

static bool join(const void *arg, struct str word, const struct joiner_link *left,
                 const struct joiner_link *right, uint32_t *rank, int32_t *sym)
{
    const struct spm *s = arg;
    size_t len = (size_t)left->len + right->len;
    if (len > s->longest)
        return false;
    *sym = piecemap_find(&s->map, s->pieces, (struct str){word.ptr + left->at, len});
    if (*sym < 0)
        return false;
    *rank = s->ranks[*sym];
    return true;
}

/* A character without a piece; *unknown: the id before was the unknown one too. */
static void emit_bytes(const struct spm *s, struct str c, bool *unknown, struct joiner_ids *out)
{
    for (size_t i = 0; i < c.len; i++) {
        int32_t id = s->bytes[(unsigned char)c.ptr[i]];
        if (id >= 0) {
            joiner_emit(out, id);
            *unknown = false;
        } else if (!*unknown && s->unk >= 0) {
            joiner_emit(out, s->unk);
            *unknown = true;
        }
    }
}

static enum err_code encode_word(const struct spm *s, struct str word, struct joiner *scratch,
                                 bool *unknown, struct joiner_ids *out, struct err *err)
{
    const struct joiner_rule rule = {join, s};
    enum err_code rc = joiner_begin(scratch, word.len, err);
    if (rc)
        return rc;
    for (size_t at = 0, n; at < word.len; at += n) {
        uint32_t cp;
        n = (size_t)utf8_decode(word, at, &cp);
        int32_t sym = piecemap_find(&s->map, s->pieces, str_sub(word, at, at + n));
        joiner_push(scratch, at, n, sym);
    }
    joiner_run(scratch, word, &rule);
    for (int32_t i = 0; i >= 0; i = scratch->links[i].next) {
        const struct joiner_link *l = &scratch->links[i];
        if (l->sym < 0) {
            emit_bytes(s, str_sub(word, l->at, l->at + l->len), unknown, out);
        } else {
            joiner_emit(out, l->sym);
            *unknown = false;
        }
    }
    return OK;
}

/* Text from *at to the end of its word behind `word`, spaces as U+2581; what
 * is there already is a prefix. Stops at a code point. */
static void take_word(const struct spm *s, struct str text, size_t *at, struct buf *word)
{
    bool body = false;         /* past the spaces the word begins with */
    while (*at < text.len && word->len + 4 <= JOINER_WORD_MAX) {
        uint32_t cp;
        size_t n = (size_t)utf8_decode(text, *at, &cp);
        bool space = cp == ' ' || cp == 0x2581;
        if (space && body && !s->across)
            return;
        body = body || !space;
        if (space)
            buf_puts(word, SPM_SPACE);
        else
            buf_add(word, text.ptr + *at, n);
        *at += n;
    }
}

enum err_code spm_encode(const struct spm *s, struct str text, bool prefix, struct joiner *scratch,
                         struct joiner_ids *out, struct err *err)
{
    struct buf word = {0};
    bool unknown = false;
    enum err_code rc = OK;
    if (prefix)
        buf_puts(&word, SPM_SPACE);
    for (size_t at = 0; !rc && (at < text.len || word.len); buf_reset(&word)) {
        take_word(s, text, &at, &word);
        rc = buf_ok(&word, "a word of a text", err);
        if (!rc)
            rc = encode_word(s, buf_view(&word), scratch, &unknown, out, err);
    }
    buf_free(&word);
    return rc;
}
