#include "llm/clue.h"
#include <string.h>
#include "base/hash.h"
#include "base/utf8.h"

#define NEAR         5 /* words within which two stems of a question count as together */
#define REPEATS_FROM 24

static bool in_list(struct str s, const char *const *list)
{
    for (; *list; list++)
        if (str_eqz(s, *list))
            return true;
    return false;
}

static const char *const TIME_WORDS[] = {
    "january",   "february", "march",    "april",    "june",    "july",      "august",
    "september", "october",  "november", "december", "monday",  "tuesday",   "wednesday",
    "thursday",  "friday",   "saturday", "sunday",   "century", "centuries", "today",
    "yesterday", "tomorrow", "summer",   "winter",   "autumn",  "spring",    "annually",
    "daily",     "weekly",   "monthly",  "yearly",   "noon",    "midnight",  NULL};
static const char *const NUMBER_WORDS[] = {
    "zero",     "one",      "two",       "three",   "four",     "five",     "six",      "seven",
    "eight",    "nine",     "ten",       "eleven",  "twelve",   "thirteen", "fifteen",  "twenty",
    "thirty",   "forty",    "fifty",     "sixty",   "seventy",  "eighty",   "ninety",   "hundred",
    "hundreds", "thousand", "thousands", "million", "millions", "billion",  "billions", "half",
    "third",    "quarter",  "dozen",     "twice",   "once",     "none",     NULL};
static const char *const REASON_WORDS[] = {
    "because", "due",    "since",   "therefore", "thus",   "hence",  "result",  "resulted",
    "results", "reason", "reasons", "cause",     "caused", "causes", "led",     "leads",
    "owing",   "order",  "enable",  "enables",   "allow",  "allows", "allowed", NULL};

static bool is_year(struct str s)
{
    return s.len == 4 && (s.ptr[0] == '1' || s.ptr[0] == '2') && s.ptr[1] >= '0' &&
           s.ptr[1] <= '9' && s.ptr[3] >= '0' && s.ptr[3] <= '9';
}

struct reading {
    struct arena *a;
    struct str text;
    struct clue_text *out;
    int cap;
    bool full; /* no memory */
};

static bool read_term(void *arg, const struct word *word)
{
    struct reading *r = arg;
    if (r->out->n == r->cap) {
        int cap = r->cap ? 2 * r->cap : 64;
        struct clue_term *more = arena_alloc(r->a, (size_t)cap, sizeof(*more));
        if (!more) {
            r->full = true;
            return false;
        }
        if (r->cap)
            memcpy(more, r->out->terms, (size_t)r->out->n * sizeof(*more));
        r->out->terms = more;
        r->cap = cap;
    }
    uint32_t first = 0;
    utf8_decode(r->text, word->start, &first);
    bool digit = utf8_is_number(first);
    r->out->terms[r->out->n++] = (struct clue_term){
        .stem = hash64(word->stem.ptr, word->stem.len, 0),
        .stop = words_is_stop(word->surface),
        .upper = utf8_is_upper(first),
        .digit = digit,
        .time = is_year(word->surface) || in_list(word->surface, TIME_WORDS),
        .number = digit || in_list(word->surface, NUMBER_WORDS),
        .reason = in_list(word->surface, REASON_WORDS),
    };
    return true;
}

enum err_code clue_text(struct words *w, struct str text, struct arena *a, struct clue_text *out,
                        struct err *err)
{
    *out = (struct clue_text){0};
    struct reading r = {.a = a, .text = text, .out = out};
    enum err_code rc = words_each(w, text, read_term, &r, err);
    if (rc)
        return rc;
    return r.full ? err_set(err, ERR_NOMEM, "the words of a sentence") : OK;
}

/* ---- questions ---- */

struct asking {
    double (*idf)(void *arg, struct str stem);
    void *arg;
    struct clue_question *q;
    int cap;
    bool stops; /* take function words too: the question has nothing else */
    int n_words;
    char word[3][16]; /* the latest three words, newest first */
};

static const char *const ASKING_WORDS[] = {"who",   "whom", "whose", "what", "which", "when",
                                           "where", "why",  "how",   "many", "much",  NULL};

/* What the words so far ask for; the first that tells decides. */
static enum clue_kind kind_of(const char (*w)[16])
{
    struct str now = str_of(w[0]), before = str_of(w[1]);
    static const char *const WHO[] = {"who", "whom", "whose", NULL};
    static const char *const AMOUNT[] = {"many", "much", "old",   "long", "far",  "large", "big",
                                         "high", "tall", "often", "fast", "deep", "wide",  NULL};
    static const char *const WHEN[] = {"year",    "date",   "day",  "month",
                                       "century", "decade", "time", NULL};
    static const char *const WHERE[] = {"country", "city",   "state",  "town",     "continent",
                                        "place",   "region", "county", "location", NULL};
    static const char *const SUM[] = {"percentage", "percent",    "number", "proportion",
                                      "amount",     "population", "size",   NULL};
    static const char *const COST[] = {"cost", "costs", "price", "fee", NULL};
    static const char *const ASK[] = {"what", "which", NULL};
    if (in_list(now, WHO))
        return CLUE_NAME;
    if (str_eqz(now, "when"))
        return CLUE_TIME;
    if (str_eqz(now, "where"))
        return CLUE_PLACE;
    if (str_eqz(now, "why"))
        return CLUE_REASON;
    if (in_list(now, COST) || (str_eqz(before, "how") && in_list(now, AMOUNT)))
        return CLUE_NUMBER;
    if (!in_list(before, ASK))
        return CLUE_ANY;
    if (in_list(now, WHEN))
        return CLUE_TIME;
    if (in_list(now, WHERE))
        return CLUE_PLACE;
    return in_list(now, SUM) ? CLUE_NUMBER : CLUE_ANY;
}

static void note_kind(struct asking *s, struct str surface)
{
    memmove(s->word[1], s->word[0], sizeof(s->word[0]) * 2);
    size_t n = surface.len < sizeof(s->word[0]) - 1 ? surface.len : sizeof(s->word[0]) - 1;
    memcpy(s->word[0], surface.ptr, n);
    s->word[0][n] = 0;
    if (s->q->kind == CLUE_ANY)
        s->q->kind = kind_of((const char(*)[16])s->word);
}

static bool read_asked(void *arg, const struct word *word)
{
    struct asking *s = arg;
    struct clue_question *q = s->q;
    if (!s->stops)
        note_kind(s, word->surface);
    bool empty = words_is_stop(word->surface) || in_list(word->surface, ASKING_WORDS);
    if ((empty && !s->stops) || q->n == s->cap)
        return true;
    uint64_t stem = hash64(word->stem.ptr, word->stem.len, 0);
    for (int i = 0; i < q->n; i++)
        if (q->stems[i] == stem)
            return true;
    double idf = s->idf ? s->idf(s->arg, word->stem) : 1.0;
    q->stems[q->n] = stem;
    q->idf[q->n++] = idf > 0 ? idf : 0;
    q->total += idf > 0 ? idf : 0;
    return true;
}

enum err_code clue_question(struct words *w, struct str question,
                            double (*idf)(void *arg, struct str stem), void *arg, struct arena *a,
                            struct clue_question *out, struct err *err)
{
    *out = (struct clue_question){0};
    int cap = (int)(question.len > 4096 ? 4096 : question.len) + 1;
    out->stems = arena_alloc(a, (size_t)cap, sizeof(*out->stems));
    out->idf = arena_alloc(a, (size_t)cap, sizeof(*out->idf));
    if (!out->stems || !out->idf)
        return err_set(err, ERR_NOMEM, "the words of a question");
    struct asking s = {.idf = idf, .arg = arg, .q = out, .cap = cap};
    enum err_code rc = words_each(w, question, read_asked, &s, err);
    if (rc || out->n)
        return rc;
    s.stops = true;
    return words_each(w, question, read_asked, &s, err);
}

/* ---- the comparison ---- */

static int find(const struct clue_text *t, uint64_t stem, int from, int to)
{
    for (int i = from; i < to && i < t->n; i++)
        if (t->terms[i].stem == stem)
            return i;
    return -1;
}

static bool asked(const struct clue_question *q, uint64_t stem)
{
    for (int i = 0; i < q->n; i++)
        if (q->stems[i] == stem)
            return true;
    return false;
}

double clue_cover(const struct clue_question *q, const struct clue_text *t)
{
    double sum = 0;
    for (int i = 0; i < q->n; i++)
        if (find(t, q->stems[i], 0, t->n) >= 0)
            sum += q->idf[i];
    return q->total > 0 ? sum / q->total : 0;
}

static bool together(const struct clue_text *t, uint64_t one, uint64_t two)
{
    for (int i = find(t, one, 0, t->n); i >= 0; i = find(t, one, i + 1, t->n)) {
        int from = i > NEAR ? i - NEAR : 0;
        if (find(t, two, from, i + NEAR + 1) >= 0)
            return true;
    }
    return false;
}

static double pairs(const struct clue_question *q, const struct clue_text *t)
{
    int found = 0;
    for (int i = 0; i + 1 < q->n; i++)
        found += together(t, q->stems[i], q->stems[i + 1]);
    return q->n > 1 ? (double)found / (q->n - 1) : 0;
}

static bool serves(enum clue_kind kind, const struct clue_term *term)
{
    switch (kind) {
    case CLUE_NAME:
    case CLUE_PLACE:
        return term->upper && !term->stop;
    case CLUE_TIME:
        return term->time || term->digit;
    case CLUE_NUMBER:
        return term->number;
    case CLUE_REASON:
        return term->reason;
    case CLUE_ANY:
        break;
    }
    return false;
}

void clue_measure(const struct clue_question *q, const struct clue_text *t, struct clue_marks *out)
{
    bool served = false;
    for (int i = 0; i < t->n && !served; i++)
        served = serves(q->kind, &t->terms[i]) && !asked(q, t->terms[i].stem);
    *out = (struct clue_marks){
        .cover = clue_cover(q, t),
        .pairs = pairs(q, t),
        .cue = q->kind == CLUE_ANY ? 0
               : served            ? 1
                                   : -1,
    };
}

bool clue_repeats(const struct clue_text *t)
{
    int distinct = 0;
    for (int i = 0; i < t->n; i++)
        distinct += find(t, t->terms[i].stem, 0, i) < 0;
    return t->n >= REPEATS_FROM && distinct * 3 < t->n;
}
