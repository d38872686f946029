#include "query/cite.h"
#include <string.h>
#include "base/sentence.h"
#include "base/utf8.h"
#include "query/support.h"

#define DIGITS_MAX 4

/* ---- marks ---- */

/* End of the mark at `at`, or 0. */
static size_t mark_end(struct str s, size_t at, int *n)
{
    size_t i = at + 1;
    *n = 0;
    for (; i < s.len && i <= at + DIGITS_MAX && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++)
        *n = *n * 10 + (s.ptr[i] - '0');
    return i > at + 1 && i < s.len && s.ptr[i] == ']' ? i + 1 : 0;
}

enum err_code cite_marks(struct str answer, struct arena *a, struct cite_mark **out, int *n,
                         struct err *err)
{
    int cap = 0, number;
    for (size_t i = 0; i < answer.len; i++)
        cap += answer.ptr[i] == '[';
    *n = 0;
    *out = arena_alloc(a, (size_t)cap, sizeof(**out));
    if (!*out)
        return err_set(err, ERR_NOMEM, "%d marks", cap);
    for (size_t i = 0; i < answer.len; i++) {
        size_t end = answer.ptr[i] == '[' ? mark_end(answer, i, &number) : 0;
        if (end)
            (*out)[(*n)++] = (struct cite_mark){number, i, end};
    }
    return OK;
}

/* ---- the same words ---- */

struct letters {
    uint32_t *cp;
    size_t *at;
    size_t n;
}; /* code points that show, and where */

/* Round brackets and angles for those that prompts and answers have no room for. */
static uint32_t cite_bracket(uint32_t cp)
{
    switch (cp) {
    case '[':
    case 0x3010:
    case 0xff3b:
        return '(';
    case ']':
    case 0x3011:
    case 0xff3d:
        return ')';
    case 0x2039:
        return '<';
    default:
        return cp;
    }
}

static bool letters_of(struct str s, struct arena *a, struct letters *out)
{
    out->n = 0;
    out->cp = arena_alloc(a, s.len + 1, sizeof(*out->cp));
    out->at = arena_alloc(a, s.len + 1, sizeof(*out->at));
    if (!out->cp || !out->at)
        return false;
    for (size_t i = 0; i < s.len;) {
        uint32_t cp;
        size_t len = (size_t)utf8_decode(s, i, &cp);
        if (!utf8_is_space(cp) && !utf8_is_control(cp)) {
            out->cp[out->n] = cite_bracket(cp);
            out->at[out->n++] = i;
        }
        i += len;
    }
    return true;
}

bool cite_locate(struct str claim, struct str passage, struct arena *a, size_t *start, size_t *end)
{
    struct letters c, p;
    if (!letters_of(claim, a, &c) || !letters_of(passage, a, &p) || !c.n)
        return false;
    for (size_t i = 0; i + c.n <= p.n; i++) {
        if (p.cp[i] != c.cp[0] || memcmp(p.cp + i, c.cp, c.n * sizeof(*c.cp)) != 0)
            continue;
        uint32_t last;
        *start = p.at[i];
        *end = p.at[i + c.n - 1] + (size_t)utf8_decode(passage, p.at[i + c.n - 1], &last);
        return true;
    }
    return false;
}

/* ---- citations ---- */

struct citing {
    const struct cite_request *req;
    struct words *words;
    struct arena *a;
    struct cited *out;
    struct buf answer; /* what is kept so far */
    struct err *err;
};

bool cite_holds(const struct cite_passage *p, size_t start, size_t end)
{
    size_t from = p->start + start, to = p->start + end;
    return start < end && end <= p->text.len && to <= p->stored.len && to <= UINT32_MAX &&
           utf8_floor(p->stored, from) == from && utf8_floor(p->stored, to) == to &&
           memcmp(p->stored.ptr + from, p->text.ptr + start, end - start) == 0;
}

static enum err_code support_of(struct citing *c, struct str claim, struct str quote,
                                struct citation *ct)
{
    if (ct->exact || !c->req->likeness)
        return OK;
    double like = 0;
    enum err_code rc = c->req->likeness(c->req->arg, claim, quote, &like, c->err);
    ct->support = (ct->support + (like > 0 ? like : 0)) / 2;
    return rc;
}

/* `claim` lies in the kept answer at [from, to). *held: the citation stands. */
static enum err_code cite_claim(struct citing *c, int n, size_t from, size_t to, bool *held)
{
    *held = false;
    if (n < 1 || n > c->req->n_passages)
        return OK;
    const struct cite_passage *p = &c->req->passages[n - 1];
    struct str claim = str_sub(buf_view(&c->answer), from, to);
    struct citation ct = {.n = n, .answer_start = from, .answer_end = to, .support = 1};
    size_t start, end;
    enum err_code rc = OK;
    ct.exact = cite_locate(claim, p->text, c->a, &start, &end);
    if (!ct.exact)
        rc = support_sentence(c->words, claim, p->text, c->a, &start, &end, &ct.support, c->err);
    if (rc || !cite_holds(p, start, end))
        return rc;
    ct.start = p->start + (uint32_t)start;
    ct.end = p->start + (uint32_t)end;
    rc = support_of(c, claim, str_sub(p->text, start, end), &ct);
    *held = !rc;
    if (rc)
        return rc;
    struct ground_claims *g = &c->out->claims;
    if (!g->citations++ || ct.support < g->least_support)
        g->least_support = ct.support;
    c->out->citations[c->out->n++] = ct;
    return OK;
}

/* Claim before a mark: all of [from, to) when passage n says that much, else its
 * last sentence; what stands before that is bare. */
static size_t claim_start(struct citing *c, int n, size_t from, size_t to)
{
    struct str all = str_sub(buf_view(&c->answer), from, to);
    size_t start, end, last = 0;
    if (n >= 1 && n <= c->req->n_passages &&
        cite_locate(all, c->req->passages[n - 1].text, c->a, &start, &end))
        return from;
    for (size_t at = 0; at < all.len; at = sentence_end(all, at))
        last = at;
    c->out->claims.bare += last > 0;
    return from + last;
}

/* Says nothing: white space and the stops that people put behind a mark. */
static struct str skip_stops(struct str s)
{
    while (s.len && strchr(" \t\r\n.,;:!?", s.ptr[0]) && s.ptr[0])
        s = str_sub(s, 1, s.len);
    return s;
}

static bool blank(struct str s)
{
    return skip_stops(s).len == 0;
}

/* One mark after the text [c->done, mark.start). Marks in a row share a claim. */
static enum err_code take_mark(struct citing *c, const struct cite_mark *m, size_t *done,
                               size_t *from, size_t *to)
{
    struct str text = str_sub(c->req->answer, *done, m->start);
    size_t before = c->answer.len;
    while (!before && text.len && strchr(" \t\r\n", text.ptr[0]) && text.ptr[0])
        text = str_sub(text, 1, text.len); /* left by a mark that went */
    buf_str(&c->answer, text);
    *done = m->end;
    if (!blank(text)) {
        struct str t = skip_stops(str_trim(str_sub(buf_view(&c->answer), before, c->answer.len)));
        *from = (size_t)(t.ptr - c->answer.ptr);
        *to = *from + t.len;
        *from = claim_start(c, m->n, *from, *to);
    }
    bool held = false;
    enum err_code rc = *to > *from ? cite_claim(c, m->n, *from, *to, &held) : OK;
    if (held) {
        buf_str(&c->answer, str_sub(c->req->answer, m->start, m->end));
        return rc;
    }
    c->out->claims.dropped++;
    while (c->answer.len && c->answer.ptr[c->answer.len - 1] == ' ')
        c->answer.ptr[--c->answer.len] = 0;
    return rc;
}

enum err_code cite(const struct cite_request *req, struct arena *a, struct cited *out,
                   struct err *err)
{
    struct citing c = {.req = req, .a = a, .out = out, .err = err};
    struct cite_mark *marks = NULL;
    int n = 0;
    size_t done = 0, from = 0, to = 0;
    *out = (struct cited){0};
    enum err_code rc = words_new(&c.words, err);
    if (!rc)
        rc = cite_marks(req->answer, a, &marks, &n, err);
    if (!rc) {
        out->citations = arena_alloc(a, (size_t)n, sizeof(*out->citations));
        if (!out->citations)
            rc = err_set(err, ERR_NOMEM, "%d citations", n);
    }
    for (int i = 0; i < n && !rc; i++)
        rc = take_mark(&c, &marks[i], &done, &from, &to);
    if (rc)
        goto done;
    struct str tail = str_sub(req->answer, done, req->answer.len);
    buf_str(&c.answer, tail);
    out->claims.bare += !blank(tail);
    rc = buf_ok(&c.answer, "an answer", err);
    if (!rc)
        out->answer = arena_str(a, buf_view(&c.answer));
    if (!rc && !out->answer.ptr)
        rc = err_set(err, ERR_NOMEM, "an answer");
done:
    words_free(c.words);
    buf_free(&c.answer);
    return rc;
}
