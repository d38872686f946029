#include "query/support.h"
#include <string.h>
#include "base/hash.h"
#include "base/sentence.h"
#include "query/cite.h"

#define NUMBER_WEIGHT 2.0 /* of a word with digits when support is counted */
#define SENTENCES_MAX 256 /* of a passage that are looked at; a page has fewer */
#define WINDOW        3   /* sentences of one quote */
#define WINDOW_GAIN   0.15 /* of the words, that a further sentence must bring */
#define MEANT         4   /* best by words, compared by meaning */
#define MEANT_ALL     24  /* the same where words say little */
#define WORDS_LITTLE  0.34

/* ---- words ---- */

static bool add_stem(void *arg, const struct word *w)
{
    struct stems *s = arg;
    if (words_is_stop(w->surface) || s->n == s->cap)
        return true;
    uint64_t h = hash64(w->stem.ptr, w->stem.len, 0);
    for (int i = 0; i < s->n; i++)
        if (s->h[i] == h)
            return true;
    s->h[s->n] = h;
    s->weight[s->n++] = w->surface.ptr[0] >= '0' && w->surface.ptr[0] <= '9' ? NUMBER_WEIGHT : 1;
    return true;
}

enum err_code support_stems(struct words *w, struct str text, struct arena *a, struct stems *out,
                            struct err *err)
{
    out->n = 0;
    out->cap = (int)(text.len < 4096 ? text.len : 4096);
    out->h = arena_alloc(a, (size_t)out->cap, sizeof(*out->h));
    out->weight = arena_alloc(a, (size_t)out->cap, sizeof(*out->weight));
    if (!out->h || !out->weight)
        return err_set(err, ERR_NOMEM, "the words of a claim");
    return words_each(w, text, add_stem, out, err);
}

double support_share(const struct stems *claim, const struct stems *text)
{
    double found = 0, all = 0;
    for (int i = 0; i < claim->n; i++) {
        all += claim->weight[i];
        for (int k = 0; k < text->n; k++)
            if (text->h[k] == claim->h[i]) {
                found += claim->weight[i];
                break;
            }
    }
    return all > 0 ? found / all : 0;
}

enum err_code support_sentence(struct words *w, struct str claim, struct str text, struct arena *a,
                               size_t *start, size_t *end, double *share, struct err *err)
{
    struct stems c, t;
    *start = *end = 0;
    *share = -1;
    enum err_code rc = support_stems(w, claim, a, &c, err);
    for (size_t at = 0, to; at < text.len && !rc; at = to) {
        to = sentence_end(text, at);
        struct str s = str_trim(str_sub(text, at, to));
        rc = support_stems(w, s, a, &t, err);
        double got = support_share(&c, &t);
        if (rc || !s.len || got <= *share)
            continue;
        *share = got;
        *start = (size_t)(s.ptr - text.ptr);
        *end = *start + s.len;
    }
    return rc;
}

/* ---- numbers ---- */

static bool digit(struct str s, size_t i)
{
    return i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9';
}

/* The number that begins at or after *at: its digits and inner points, without
 * commas and without zeros at the end of a fraction; *at is moved behind it. */
static bool next_number(struct str s, size_t *at, char out[32])
{
    size_t i = *at, n = 0;
    bool point = false;
    while (i < s.len && !digit(s, i))
        i++;
    bool found = i < s.len;
    for (; digit(s, i) || (i < s.len && (s.ptr[i] == ',' || s.ptr[i] == '.') && digit(s, i + 1));
         i++) {
        point = point || s.ptr[i] == '.';
        if (s.ptr[i] != ',' && n < 31)
            out[n++] = s.ptr[i];
    }
    while (point && n && (out[n - 1] == '0' || out[n - 1] == '.'))
        point = out[--n] != '.';
    out[n] = 0;
    *at = i;
    return found;
}

bool support_numbers(struct str claim, struct str text)
{
    char want[32], have[32];
    for (size_t i = 0; next_number(claim, &i, want);) {
        bool found = false;
        for (size_t k = 0; !found && next_number(text, &k, have);)
            found = strcmp(want, have) == 0;
        if (!found)
            return false;
    }
    return true;
}

/* ---- the best place ---- */

struct place_of { size_t start, end; struct stems stems; double share; };
struct finding {
    const struct support_how *how;
    struct str claim, passage;
    struct stems words;        /* of the claim */
    struct place_of *p;        /* sentences, then windows of them */
    int n;
    struct arena *a;
    struct err *err;
};

double support_value(const struct support *s)
{
    if (s->exact)
        return 1;
    double like = s->like < 0 ? 0 : s->like > 1 ? 1 : s->like;
    double v = s->like <= -1 ? s->words : (s->words + like) / 2;
    return !s->numbers && v > SUPPORT_NUMBERS ? SUPPORT_NUMBERS : v;
}

static enum err_code read_sentences(struct finding *f)
{
    f->p = arena_alloc(f->a, SENTENCES_MAX, sizeof(*f->p));
    enum err_code rc = f->p ? OK : err_set(f->err, ERR_NOMEM, "sentences");
    for (size_t at = 0, to; at < f->passage.len && f->n < SENTENCES_MAX && !rc; at = to) {
        to = sentence_end(f->passage, at);
        struct str s = str_trim(str_sub(f->passage, at, to));
        struct place_of *p = &f->p[f->n];
        if (!s.len)
            continue;
        p->start = (size_t)(s.ptr - f->passage.ptr);
        p->end = p->start + s.len;
        rc = support_stems(f->how->words, s, f->a, &p->stems, f->err);
        p->share = support_share(&f->words, &p->stems);
        f->n++;
    }
    return rc;
}

/* Sentence i with the neighbours that bring words of the claim. */
static enum err_code widen(struct finding *f, int i, struct place_of *out)
{
    int first = i, last = i;
    enum err_code rc = OK;
    *out = f->p[i];
    while (last - first + 1 < WINDOW && !rc) {
        struct place_of best = *out;
        int side = 0;
        for (int d = -1; d <= 1 && !rc; d += 2) {
            int k = d < 0 ? first - 1 : last + 1;
            if (k < 0 || k >= f->n)
                continue;
            struct place_of w = {.start = d < 0 ? f->p[k].start : out->start,
                                 .end = d < 0 ? out->end : f->p[k].end};
            rc = support_stems(f->how->words, str_sub(f->passage, w.start, w.end), f->a, &w.stems,
                               f->err);
            w.share = support_share(&f->words, &w.stems);
            if (w.share >= out->share + WINDOW_GAIN && w.share > best.share) {
                best = w;
                side = d;
            }
        }
        if (!side)
            break;
        *out = best;
        first -= side < 0;
        last += side > 0;
    }
    return rc;
}

/* The `max` sentences with most of the claim's words, best first, earlier ones first. */
static int best_by_words(const struct finding *f, int max, int *out)
{
    int n = 0;
    for (int i = 0; i < f->n; i++) {
        int at = n < max ? n++ : max;
        for (; at > 0 && f->p[out[at - 1]].share < f->p[i].share; at--)
            if (at < max)
                out[at] = out[at - 1];
        if (at < max)
            out[at] = i;
    }
    return n;
}

static enum err_code compare(struct finding *f, const struct place_of *p, int n,
                             struct support *out)
{
    struct str texts[MEANT_ALL];
    double like[MEANT_ALL];
    enum err_code rc = OK;
    for (int i = 0; i < n; i++) {
        texts[i] = str_sub(f->passage, p[i].start, p[i].end);
        like[i] = -1;
    }
    if (f->how->likeness)
        rc = f->how->likeness(f->how->arg, f->claim, texts, n, like, f->err);
    for (int i = 0; i < n && !rc; i++) {
        struct support s = {.start = p[i].start,
                            .end = p[i].end,
                            .words = p[i].share,
                            .like = like[i],
                            .numbers = support_numbers(f->claim, texts[i])};
        s.value = support_value(&s);
        if (i == 0 || s.value > out->value)
            *out = s;
    }
    return rc;
}

enum err_code support_find(const struct support_how *how, struct str claim, struct str passage,
                           struct arena *a, struct support *out, struct err *err)
{
    *out = (struct support){.like = -1};
    if (cite_locate(claim, passage, a, &out->start, &out->end)) {
        *out = (struct support){out->start, out->end, 1, 1, 1, true, true};
        return OK;
    }
    struct finding f = {.how = how, .claim = claim, .passage = passage, .a = a, .err = err};
    enum err_code rc = support_stems(how->words, claim, a, &f.words, err);
    if (!rc)
        rc = read_sentences(&f);
    if (rc || !f.n)
        return rc;
    int chosen[MEANT_ALL], top;
    best_by_words(&f, 1, &top);
    int n = best_by_words(&f, f.p[top].share < WORDS_LITTLE ? MEANT_ALL : MEANT, chosen);
    struct place_of wide[MEANT_ALL];
    for (int i = 0; i < n && !rc; i++)
        rc = widen(&f, chosen[i], &wide[i]);
    return rc ? rc : compare(&f, wide, n, out);
}
