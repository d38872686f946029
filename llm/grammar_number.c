/* llm/grammar_number.c - numbers between bounds as automata over their digits.
 *
 * A range is cut by the count of digits before the point; within one count it is
 * a comparison from the left: a state is a place and whether the digits so far are
 * still those of the lower or of the upper bound. Bounds are exact whole numbers
 * of 10^-digits, so no rounding can lead outside. */
#include <string.h>
#include "llm/grammar_pattern.h"

#define PLACES 38             /* digits of an __int128 */

struct span {                 /* numbers of one length */
    uint8_t lo[PLACES], hi[PLACES];
    int whole, places;        /* digits before the point, and in all */
    uint32_t state[PLACES + 2][4];   /* by place and tightness; + 1: see below */
};

static __int128 power(int n)
{
    __int128 p = 1;
    while (n-- > 0)
        p *= 10;
    return p;
}

static void digits_of(__int128 v, int n, uint8_t *out)
{
    for (int i = n - 1; i >= 0; i--, v /= 10)
        out[i] = (uint8_t)(v % 10);
}

static bool zeros(const uint8_t *d, int from, int to)
{
    for (int i = from; i < to; i++)
        if (d[i])
            return false;
    return true;
}

/* The state behind `place` digits; with a digit behind the point wanted, one place
 * further in the table. */
static uint32_t state_at(struct nfa *a, struct span *s, int place, int tight, bool dotted)
{
    uint32_t *at = &s->state[place + (dotted && place == s->whole)][tight];
    if (dotted && place > s->whole)
        at = &s->state[place + 1][tight];
    if (*at == DFA_NONE)
        *at = nfa_state(a);
    return *at;
}

/* tight: 1 the digits are those of lo so far, 2 of hi. */
static void digit_steps(struct nfa *a, struct span *s, int place, int tight, bool dotted)
{
    uint32_t from = state_at(a, s, place, tight, dotted);
    int least = tight & 1 ? s->lo[place] : 0, most = tight & 2 ? s->hi[place] : 9;
    for (int d = least; d <= most; d++) {
        int next = (tight & 1 && d == least ? 1 : 0) | (tight & 2 && d == most ? 2 : 0);
        uint32_t c = '0' + (uint32_t)d;
        uint32_t to = state_at(a, s, place + 1, next, place + 1 > s->whole);
        if (!a->failed)
            nfa_letters(a, from, c, c, to);
    }
}

static void span_steps(struct nfa *a, struct span *s, uint32_t start, uint32_t end)
{
    memset(s->state, 0xff, sizeof(s->state));
    nfa_free_step(a, start, NFA_FREE, state_at(a, s, 0, 3, false));
    for (int place = 0; place <= s->places && !a->failed; place++)
        for (int tight = 0; tight < 4; tight++) {
            bool behind = place > s->whole;
            if (s->state[place + behind][tight] == DFA_NONE)
                continue;
            uint32_t at = state_at(a, s, place, tight, behind);
            if (place >= s->whole && (!(tight & 1) || zeros(s->lo, place, s->places)))
                nfa_free_step(a, at, NFA_FREE, end);
            if (place == s->places)
                continue;
            if (place == s->whole)
                nfa_letters(a, at, '.', '.', state_at(a, s, place, tight, true));
            digit_steps(a, s, place, tight, place >= s->whole);
        }
}

/* min >= 0 */
static void magnitudes(struct nfa *a, uint32_t start, uint32_t end, __int128 min, __int128 max,
                       int digits)
{
    static const int most = PLACES - 1;
    for (int whole = 1; whole + digits <= most && !a->failed; whole++) {
        struct span s = {.whole = whole, .places = whole + digits};
        __int128 lo = whole > 1 ? power(s.places - 1) : 0, hi = power(s.places) - 1;
        lo = min > lo ? min : lo;
        hi = max < hi ? max : hi;
        if (lo > hi)
            continue;
        digits_of(lo, s.places, s.lo);
        digits_of(hi, s.places, s.hi);
        span_steps(a, &s, start, end);
    }
}

enum err_code pattern_decimals(__int128 min, __int128 max, int digits, struct dfa **out,
                               struct err *err)
{
    struct nfa a = {0};
    uint32_t start = nfa_state(&a), minus = nfa_state(&a), end = nfa_state(&a);
    *out = NULL;
    if (!a.failed) {
        nfa_letters(&a, start, '-', '-', minus);
        if (max >= 0)
            magnitudes(&a, start, end, min > 0 ? min : 0, max, digits);
        if (min < 0)
            magnitudes(&a, minus, end, max < 0 ? -max : 1, -min, digits);
    }
    enum err_code rc = dfa_make(&a, start, end, PATTERN_STATES_MAX, out, err);
    nfa_deinit(&a);
    return rc;
}

enum err_code pattern_multiples(int m, struct dfa **out, struct err *err)
{
    struct nfa a = {0};
    uint32_t start = nfa_state(&a);
    *out = NULL;
    for (int i = 0; i < m; i++)
        nfa_state(&a); /* 1 + the remainder so far */
    if (!a.failed)
        nfa_letters(&a, start, '-', '-', 1);
    for (uint32_t from = 0; from <= (uint32_t)m && !a.failed; from++)
        for (uint32_t d = 0; d < 10; d++) {
            uint32_t rest = from ? from - 1 : 0;
            nfa_letters(&a, from, '0' + d, '0' + d, 1 + (rest * 10 + d) % (uint32_t)m);
        }
    enum err_code rc = dfa_make(&a, start, 1, PATTERN_STATES_MAX, out, err);
    nfa_deinit(&a);
    return rc;
}

enum err_code pattern_number(struct dfa **out, struct err *err)
{
    return pattern_make(STR("^-?(?:0|[1-9]\\d{0,14})(?:\\.\\d{1,15})?(?:[eE][+-]?\\d{1,2})?$"),
                        out, err);
}
