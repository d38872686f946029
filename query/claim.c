#include "query/claim.h"
#include <string.h>
#include "base/json.h"
#include "base/sentence.h"
#include "base/utf8.h"

#define CLAUSE_WORDS  3    /* content words that make the text before a mark a claim of its own */
#define TOGETHER      0.75 /* share of words that quotes have together */
#define JSON_CLAIMS_MAX 256
#define JSON_TEXT_MIN 3    /* bytes; shorter strings are codes */

struct checking {
    const struct claim_request *req;
    struct support_how how;
    struct cite_mark *marks;
    int n_marks;
    struct str answer;
    char *blank;               /* the answer, marks as spaces: offsets stay */
    struct arena *a;
    struct arena scratch;      /* of one comparison; only offsets outlive it */
    struct claims *out;
    struct err *err;
};

/* ---- what a sentence is ---- */

/* "- ", "3. ", "## ": not part of what is said. */
static struct str after_bullet(struct str s)
{
    size_t i = 0;
    while (i < s.len && i < 3 && s.ptr[i] >= '0' && s.ptr[i] <= '9')
        i++;
    if (i && i + 1 < s.len && (s.ptr[i] == '.' || s.ptr[i] == ')') && s.ptr[i + 1] == ' ')
        return str_trim(str_sub(s, i + 2, s.len));
    if (!i && s.len > 1 && strchr("-*+", s.ptr[0]) && s.ptr[1] == ' ')
        return str_trim(str_sub(s, 2, s.len));
    return s;
}

static enum err_code content_words(struct checking *c, struct str s, int *n)
{
    struct stems t;
    enum err_code rc = support_stems(c->how.words, s, &c->scratch, &t, c->err);
    *n = rc ? 0 : t.n;
    arena_reset(&c->scratch);
    return rc;
}

static enum err_code says_something(struct checking *c, struct str s, bool *says)
{
    struct str t = str_trim(s);
    while (t.len && strchr("*_\"')", t.ptr[t.len - 1])) /* emphasis around the stop */
        t.len--;
    int n = 0;
    *says = false;
    if (!t.len || t.ptr[0] == '#' || t.ptr[t.len - 1] == ':' || t.ptr[t.len - 1] == '?')
        return OK;
    enum err_code rc = content_words(c, t, &n);
    *says = n > 0;
    return rc;
}

/* ---- citations ---- */

static enum err_code cite_at(struct checking *c, struct str claim, int n, struct claim_range span)
{
    const struct cite_passage *p = &c->req->passages[n - 1];
    struct support s;
    enum err_code rc = support_find(&c->how, claim, p->text, &c->scratch, &s, c->err);
    arena_reset(&c->scratch);
    if (rc)
        return rc;
    if (!cite_holds(p, s.start, s.end)) {
        c->out->lost++;
        return OK;
    }
    c->out->citations[c->out->n++] = (struct citation){.n = n,
                                                       .answer_start = span.start,
                                                       .answer_end = span.end,
                                                       .start = p->start + (uint32_t)s.start,
                                                       .end = p->start + (uint32_t)s.end,
                                                       .exact = s.exact,
                                                       .support = s.value};
    return OK;
}

static struct str words_between(const struct checking *c, size_t from, size_t to)
{
    return after_bullet(str_trim(str_sub((struct str){c->blank, c->answer.len}, from, to)));
}

/* The words that mark m of [first, last) answers for: all of the sentence, or, where
 * marks part it, what stands since the mark before. */
static enum err_code clause_of(struct checking *c, struct claim_range s, int first, int m, int last,
                               struct str *out, bool *whole)
{
    size_t from = s.start, to = s.end;
    bool parted = false;
    for (int k = first; k + 1 < last; k++)
        if (words_between(c, c->marks[k].end, c->marks[k + 1].start).len) {
            parted = true;
            if (k < m)
                from = c->marks[k].end;
            else if (to == s.end)
                to = c->marks[k].end;
        }
    *out = words_between(c, s.start, s.end);
    *whole = true;
    if (!parted)
        return OK;
    struct str clause = words_between(c, from, to);
    int n = 0;
    enum err_code rc = content_words(c, clause, &n);
    *whole = n < CLAUSE_WORDS;
    if (!*whole)
        *out = clause;
    return rc;
}

/* Several passages may say together what none of them says alone. */
static enum err_code together(struct checking *c, struct str claim, const struct citation *ct,
                              int n, bool *stands)
{
    struct buf all = {0};
    struct stems words, quotes;
    for (int i = 0; i < n; i++) {
        const struct cite_passage *p = &c->req->passages[ct[i].n - 1];
        buf_str(&all, str_sub(p->stored, ct[i].start, ct[i].end));
        buf_char(&all, '\n');
    }
    enum err_code rc = support_stems(c->how.words, claim, &c->scratch, &words, c->err);
    if (!rc)
        rc = support_stems(c->how.words, buf_view(&all), &c->scratch, &quotes, c->err);
    if (!rc)
        *stands = support_share(&words, &quotes) >= TOGETHER &&
                  support_numbers(claim, buf_view(&all));
    if (!rc)
        rc = buf_ok(&all, "quotes", c->err);
    arena_reset(&c->scratch);
    buf_free(&all);
    return rc;
}

/* Does the sentence stand on its citations, all clauses of it? */
static enum err_code stands_on(struct checking *c, struct claim_range s, int from, bool whole,
                               bool *stands)
{
    const struct citation *ct = c->out->citations + from;
    int n = c->out->n - from;
    bool any = false, all = n > 0;
    for (int i = 0; i < n; i++) {
        any = any || ct[i].support >= CLAIM_SUPPORT;
        all = all && ct[i].support >= CLAIM_SUPPORT;
    }
    *stands = whole ? any : all;
    if (*stands || n < 2)
        return OK;
    return together(c, words_between(c, s.start, s.end), ct, n, stands);
}

/* One sentence with its marks [first, last). */
static enum err_code sentence(struct checking *c, struct claim_range s, int first, int last)
{
    struct claims *out = c->out;
    int from = out->n;
    bool says = false, stands = false, whole = true;
    enum err_code rc = says_something(c, words_between(c, s.start, s.end), &says);
    for (int m = first; m < last && !rc; m++) {
        struct str clause;
        bool all_of_it;
        rc = clause_of(c, s, first, m, last, &clause, &all_of_it);
        whole = whole && all_of_it;
        if (!rc)
            rc = cite_at(c, clause, c->marks[m].n, s);
    }
    if (!rc && says)
        rc = stands_on(c, s, from, whole, &stands);
    if (rc || !says)
        return rc;
    out->n_claims++;
    out->supported += stands;
    if (!stands)
        out->unsupported[out->n_unsupported++] = s;
    return OK;
}

/* ---- the answer ---- */

/* A mark that begins a line with words behind it speaks for these. */
static bool begins_line(const struct checking *c, int m)
{
    size_t line = c->marks[m].start, end = c->marks[m].end;
    while (line > 0 && c->blank[line - 1] == ' ')
        line--;
    while (end < c->answer.len && c->blank[end] == ' ')
        end++;
    return (line == 0 || c->blank[line - 1] == '\n') && end < c->answer.len &&
           c->blank[end] != '\n';
}

/* Sentences of the answer, in arena. Marks are as spaces to them, but for one that
 * begins a line: there "It" stands for it, so that a sentence begins. */
static enum err_code segment(struct checking *c, struct claim_range **out, int *n)
{
    struct str s = {c->blank, c->answer.len};
    *n = 0;
    *out = arena_alloc(c->a, c->answer.len + 1, sizeof(**out));
    if (!*out)
        return err_set(c->err, ERR_NOMEM, "the sentences of an answer");
    for (int i = c->n_marks - 1; i >= 0; i--)
        if (begins_line(c, i))
            memcpy(c->blank + c->marks[i].start, "It", 2);
    for (size_t at = 0, to; at < s.len; at = to) {
        to = sentence_end(s, at);
        struct str t = str_trim(str_sub(s, at, to));
        size_t start = (size_t)(t.ptr - s.ptr);
        (*out)[(*n)++] = (struct claim_range){start, start + t.len};
    }
    for (int i = 0; i < c->n_marks; i++)
        memset(c->blank + c->marks[i].start, ' ', 2);
    return OK;
}

static enum err_code sentences(struct checking *c)
{
    struct claim_range *r = NULL;
    int n = 0, first = 0;
    enum err_code rc = segment(c, &r, &n);
    for (int i = 0; i < n && !rc; i++) {
        int last = first;
        size_t to = i + 1 < n ? r[i + 1].start : c->answer.len;
        while (last < c->n_marks && c->marks[last].start < to)
            last++;
        if (first < last && c->marks[first].start < r[i].start)
            r[i].start = c->marks[first].start;
        if (first < last && r[i].end <= r[i].start)
            r[i].end = c->marks[last - 1].end; /* marks and nothing else */
        if (r[i].end > r[i].start)
            rc = sentence(c, r[i], first, last);
        first = last;
    }
    return rc;
}

/* ---- JSON ---- */

/* Bytes of the string that begins at `i`, its quotation marks included. */
static size_t string_length(struct str s, size_t i)
{
    size_t k = i + 1;
    while (k < s.len && s.ptr[k] != '"')
        k += s.ptr[k] == '\\' ? 2 : 1;
    return (k < s.len ? k + 1 : s.len) - i;
}

static bool is_key(struct str s, size_t end)
{
    struct str rest = str_trim(str_sub(s, end, s.len));
    return rest.len && rest.ptr[0] == ':';
}

/* The passage that supports `text` best, if one does. */
static enum err_code cite_best(struct checking *c, struct str text, struct claim_range r)
{
    struct support best = {.value = -1}, s;
    int n = 0;
    enum err_code rc = OK;
    for (int i = 0; i < c->req->n_passages && !rc; i++) {
        rc = support_find(&c->how, text, c->req->passages[i].text, &c->scratch, &s, c->err);
        arena_reset(&c->scratch);
        if (!rc && s.end > s.start && s.value > best.value) {
            best = s;
            n = i + 1;
        }
    }
    if (rc)
        return rc;
    c->out->n_claims++;
    bool stands = n && best.value >= CLAIM_SUPPORT;
    if (stands) {
        int before = c->out->n;
        rc = cite_at(c, text, n, r);
        stands = c->out->n > before;
    }
    c->out->supported += stands;
    if (!stands)
        c->out->unsupported[c->out->n_unsupported++] = r;
    return rc;
}

static enum err_code json_string_claim(struct checking *c, struct claim_range r)
{
    json_t *v = NULL;
    if (json_read(str_sub(c->answer, r.start, r.end), &v, NULL))
        return OK; /* cut off in the middle */
    struct str text = arena_str(c->a, (struct str){json_string_value(v), json_string_length(v)});
    json_decref(v);
    int n = 0;
    enum err_code rc = text.ptr ? content_words(c, text, &n) : err_set(c->err, ERR_NOMEM, "a string");
    return rc || text.len < JSON_TEXT_MIN || !n ? rc : cite_best(c, text, r);
}

/* A number says something of its key: {"max_mib": 64}. */
static enum err_code json_number_claim(struct checking *c, struct str key, struct claim_range r)
{
    struct buf b = {0};
    for (size_t i = 0; i < key.len; i++) /* "maxMib", "max_mib" */
        buf_char(&b, key.ptr[i] == '_' || key.ptr[i] == '-' ? ' ' : key.ptr[i]);
    buf_char(&b, ' ');
    buf_str(&b, str_sub(c->answer, r.start, r.end));
    struct str text = arena_str(c->a, buf_view(&b));
    bool failed = b.failed || !text.ptr;
    buf_free(&b);
    return failed ? err_set(c->err, ERR_NOMEM, "a number") : cite_best(c, text, r);
}

static enum err_code json_values(struct checking *c)
{
    struct str s = c->answer, key = {NULL, 0};
    enum err_code rc = OK;
    for (size_t i = 0, n; i < s.len && !rc && c->out->n_claims < JSON_CLAIMS_MAX; i += n) {
        n = 1;
        if (s.ptr[i] == '"') {
            n = string_length(s, i);
            if (is_key(s, i + n))
                key = str_sub(s, i + 1, i + n - 1);
            else
                rc = json_string_claim(c, (struct claim_range){i, i + n});
        } else if (s.ptr[i] == '-' || (s.ptr[i] >= '0' && s.ptr[i] <= '9')) {
            while (i + n < s.len && s.ptr[i + n] && strchr("0123456789.eE+-", s.ptr[i + n]))
                n++;
            rc = json_number_claim(c, key, (struct claim_range){i, i + n});
        }
    }
    return rc;
}

/* ---- the front ---- */

static enum err_code prepare(struct checking *c)
{
    size_t n = c->req->answer.len;
    enum err_code rc = words_new(&c->how.words, c->err);
    if (!rc && !c->req->json)
        rc = cite_marks(c->req->answer, c->a, &c->marks, &c->n_marks, c->err);
    c->answer = c->req->answer;
    c->blank = arena_alloc(c->a, n + 1, 1);
    size_t room = c->req->json ? JSON_CLAIMS_MAX : (size_t)c->n_marks + n / 2 + 1;
    c->out->citations = arena_alloc(c->a, room, sizeof(*c->out->citations));
    c->out->unsupported = arena_alloc(c->a, room, sizeof(*c->out->unsupported));
    if (!rc && (!c->blank || !c->out->citations || !c->out->unsupported))
        rc = err_set(c->err, ERR_NOMEM, "the claims of an answer");
    if (rc)
        return rc;
    if (n)
        memcpy(c->blank, c->answer.ptr, n);
    for (int i = 0; i < c->n_marks; i++)
        memset(c->blank + c->marks[i].start, ' ', c->marks[i].end - c->marks[i].start);
    return OK;
}

enum err_code claim_check(const struct claim_request *req, struct arena *a, struct claims *out,
                          struct err *err)
{
    struct checking c = {.req = req, .a = a, .out = out, .err = err};
    c.how.likeness = req->likeness;
    c.how.arg = req->arg;
    *out = (struct claims){0};
    enum err_code rc = prepare(&c);
    if (!rc)
        rc = req->json ? json_values(&c) : sentences(&c);
    words_free(c.how.words);
    arena_deinit(&c.scratch);
    return rc;
}

enum grounded claim_grounded(double evidence, const struct claims *c)
{
    if (!c->supported || !c->n)
        return GROUNDED_NONE;
    bool whole = !c->n_unsupported && !c->lost && evidence >= GROUND_FULL_EVIDENCE;
    return whole ? GROUNDED_FULL : GROUNDED_PARTIAL;
}
