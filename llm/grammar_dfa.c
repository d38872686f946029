#include "llm/grammar_dfa.h"
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"

/* ---- NFAs ---- */

void nfa_deinit(struct nfa *a)
{
    free(a->edges);
    free(a->head);
    *a = (struct nfa){0};
}

static bool grow(void **ptr, uint32_t *cap, size_t size)
{
    uint32_t more = *cap ? *cap * 2 : 64;
    void *p = reallocarray(*ptr, more, size);
    if (!p)
        return false;
    *ptr = p;
    *cap = more;
    return true;
}

uint32_t nfa_state(struct nfa *a)
{
    if (a->n >= NFA_MAX ||
        (a->n == a->cap && !grow((void **)&a->head, &a->cap, sizeof(*a->head))))
        a->failed = true;
    if (a->failed)
        return 0;
    a->head[a->n] = DFA_NONE;
    return a->n++;
}

static void add_edge(struct nfa *a, uint32_t from, struct nfa_edge e)
{
    if (a->n_edges >= 2 * NFA_MAX ||
        (a->n_edges == a->cap_edges &&
         !grow((void **)&a->edges, &a->cap_edges, sizeof(*a->edges))))
        a->failed = true;
    if (a->failed)
        return;
    e.next = a->head[from];
    a->head[from] = a->n_edges;
    a->edges[a->n_edges++] = e;
}

void nfa_letters(struct nfa *a, uint32_t from, uint32_t lo, uint32_t hi, uint32_t to)
{
    if (lo <= hi)
        add_edge(a, from, (struct nfa_edge){lo, hi, to, 0, NFA_LETTERS});
}

void nfa_free_step(struct nfa *a, uint32_t from, enum nfa_kind kind, uint32_t to)
{
    add_edge(a, from, (struct nfa_edge){0, 0, to, 0, kind});
}

/* ---- what a DFA grows from ---- */

struct maker {
    struct dfa *d;
    uint32_t cap, cap_edges, max;
    uint32_t *keys;      /* all keys one behind the other */
    size_t n_keys, cap_keys;
    size_t *key_at;      /* [n + 1] */
    uint32_t *table;     /* of states by key; a power of two */
    uint32_t n_table;
    uint32_t work;       /* pairs of edges */
};
#define WORK_MAX 5000000u

static enum err_code maker_init(struct maker *m, uint32_t max, struct err *err)
{
    *m = (struct maker){.max = max, .n_table = 64};
    while (m->n_table < 2 * max)
        m->n_table *= 2;
    m->d = calloc(1, sizeof(*m->d));
    m->key_at = calloc((size_t)max + 2, sizeof(*m->key_at));
    m->table = malloc(m->n_table * sizeof(*m->table));
    if (m->d) {
        m->d->first = calloc((size_t)max + 2, sizeof(*m->d->first));
        m->d->accept = calloc((size_t)max + 1, sizeof(*m->d->accept));
    }
    if (!m->d || !m->key_at || !m->table || !m->d->first || !m->d->accept)
        return err_set(err, ERR_NOMEM, "an automaton of %u states", max);
    memset(m->table, 0xff, m->n_table * sizeof(*m->table));
    return OK;
}

static void maker_deinit(struct maker *m)
{
    free(m->keys);
    free(m->key_at);
    free(m->table);
    dfa_free(m->d);
}

/* The state with this key, made when it is new; DFA_NONE past a bound. */
static uint32_t maker_state(struct maker *m, const uint32_t *key, size_t n)
{
    uint32_t at = (uint32_t)hash64(key, n * sizeof(*key), 0) & (m->n_table - 1);
    for (; m->table[at] != DFA_NONE; at = (at + 1) & (m->n_table - 1)) {
        uint32_t s = m->table[at];
        if (m->key_at[s + 1] - m->key_at[s] == n &&
            (n == 0 || memcmp(m->keys + m->key_at[s], key, n * sizeof(*key)) == 0))
            return s;
    }
    if (m->d->n >= m->max)
        return DFA_NONE;
    if (m->n_keys + n > m->cap_keys) {
        size_t cap = (m->n_keys + n) * 2;
        uint32_t *p = cap > (64u << 20) ? NULL : realloc(m->keys, cap * sizeof(*p));
        if (!p)
            return DFA_NONE;
        m->keys = p;
        m->cap_keys = cap;
    }
    if (n)
        memcpy(m->keys + m->n_keys, key, n * sizeof(*key));
    m->n_keys += n;
    m->table[at] = m->d->n;
    m->key_at[m->d->n + 1] = m->n_keys;
    return m->d->n++;
}

/* Behind the edges of the state being made, in order; joined to the last. */
static bool maker_edge(struct maker *m, uint32_t state, uint32_t lo, uint32_t hi, uint32_t to)
{
    struct dfa *d = m->d;
    struct dfa_edge *last = d->n_edges > d->first[state] ? &d->edges[d->n_edges - 1] : NULL;
    if (last && last->to == to && last->hi + 1 == lo) {
        last->hi = hi;
        return true;
    }
    if (d->n_edges == m->cap_edges &&
        !grow((void **)&d->edges, &m->cap_edges, sizeof(*d->edges)))
        return false;
    d->edges[d->n_edges++] = (struct dfa_edge){lo, hi, to};
    return true;
}

void dfa_free(struct dfa *d)
{
    if (!d)
        return;
    free(d->first);
    free(d->edges);
    free(d->accept);
    free(d->dist);
    free(d);
}

bool dfa_empty(const struct dfa *d)
{
    return d->dist[0] >= DFA_FAR;
}

static bool edge_open(const struct dfa_edge *e, const bool *has)
{
    for (uint32_t c = e->lo; has && c <= e->hi && c < 256; c++)
        if (has[c])
            return true;
    return !has;
}

/* Breadth first, from the accepting states back along reversed edges. */
static void measure(struct dfa *d, const bool *has, uint32_t *head, uint32_t *next,
                    uint32_t *source, uint32_t *queue)
{
    uint32_t n = 0;
    for (uint32_t s = 0; s < d->n; s++) {
        d->dist[s] = d->accept[s] ? 0 : DFA_FAR;
        if (d->accept[s])
            queue[n++] = s;
        head[s] = DFA_NONE;
    }
    for (uint32_t s = 0; s < d->n; s++)
        for (uint32_t e = d->first[s]; e < d->first[s + 1]; e++)
            if (edge_open(&d->edges[e], has)) {
                source[e] = s;
                next[e] = head[d->edges[e].to];
                head[d->edges[e].to] = e;
            }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t e = head[queue[i]]; e != DFA_NONE; e = next[e])
            if (d->dist[source[e]] == DFA_FAR) {
                d->dist[source[e]] = d->dist[queue[i]] + 1;
                queue[n++] = source[e];
            }
}

enum err_code dfa_measure(struct dfa *d, const bool *has, struct err *err)
{
    size_t n = d->n + 1, m = d->n_edges + 1;
    if (!d->dist)
        d->dist = calloc(n, sizeof(*d->dist));
    uint32_t *room = malloc((2 * n + 2 * m) * sizeof(*room));
    if (room && d->dist)
        measure(d, has, room, room + 2 * n, room + 2 * n + m, room + n);
    free(room);
    return room && d->dist ? OK : err_set(err, ERR_NOMEM, "an automaton of %u states", d->n);
}

static void shrink(void **ptr, size_t size)
{
    void *p = *ptr ? realloc(*ptr, size) : NULL;
    *ptr = p ? p : *ptr;
}

/* Leave out states from which nothing ends, and edges to them. */
static enum err_code trim(struct dfa *d, struct err *err)
{
    enum err_code rc = dfa_measure(d, NULL, err);
    uint32_t *now = rc ? NULL : malloc((d->n + 1) * sizeof(*now));
    if (!now)
        return rc ? rc : err_set(err, ERR_NOMEM, "an automaton of %u states", d->n);
    uint32_t kept = 0, edges = 0;
    for (uint32_t s = 0; s < d->n; s++)
        now[s] = s == 0 || d->dist[s] < DFA_FAR ? kept++ : DFA_NONE;
    for (uint32_t s = 0, from = 0; s < d->n; s++) {
        uint32_t end = d->first[s + 1];
        if (now[s] != DFA_NONE) {
            d->first[now[s]] = edges;
            for (uint32_t e = from; e < end; e++)
                if (now[d->edges[e].to] != DFA_NONE && d->dist[d->edges[e].to] < DFA_FAR) {
                    d->edges[edges] = d->edges[e];
                    d->edges[edges++].to = now[d->edges[e].to];
                }
            d->accept[now[s]] = d->accept[s];
            d->dist[now[s]] = d->dist[s];
        }
        from = end;
    }
    d->n = kept;
    d->first[kept] = d->n_edges = edges;
    free(now);
    shrink((void **)&d->first, (kept + 1) * sizeof(*d->first));
    shrink((void **)&d->edges, (edges + 1) * sizeof(*d->edges));
    shrink((void **)&d->accept, kept * sizeof(*d->accept));
    return OK;
}

static enum err_code finish(struct maker *m, struct dfa **out, struct err *err)
{
    enum err_code rc = trim(m->d, err);
    if (rc)
        return rc;
    *out = m->d;
    m->d = NULL;
    return OK;
}

/* ---- subsets ---- */

struct subset {
    const struct nfa *a;
    uint32_t *mark, stamp;       /* [n] */
    uint32_t *list, n;           /* states of the closure */
    uint32_t *cuts, n_cuts;      /* where letters change their meaning */
    uint64_t work;               /* edges looked at: a bound on time */
};

static void put(struct subset *s, uint32_t state)
{
    if (s->mark[state] == s->stamp)
        return;
    s->mark[state] = s->stamp;
    s->list[s->n++] = state;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void close_over(struct subset *s, bool begin, bool end)
{
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t e = s->a->head[s->list[i]]; e != DFA_NONE; e = s->a->edges[e].next) {
            s->work++;
            enum nfa_kind k = s->a->edges[e].kind;
            if (k == NFA_FREE || (k == NFA_AT_BEGIN && begin) || (k == NFA_AT_END && end))
                put(s, s->a->edges[e].to);
        }
    qsort(s->list, s->n, sizeof(*s->list), by_number);
}

static bool holds(const struct subset *s, uint32_t state)
{
    return s->mark[state] == s->stamp;
}

/* Cuts at which the set of edges that a letter takes may change. */
static void find_cuts(struct subset *s, const uint32_t *key, size_t n)
{
    uint32_t kept = 0;
    s->n_cuts = 0;
    for (size_t i = 0; i < n; i++)
        for (uint32_t e = s->a->head[key[i]]; e != DFA_NONE; e = s->a->edges[e].next)
            if (s->a->edges[e].kind == NFA_LETTERS) {
                s->cuts[s->n_cuts++] = s->a->edges[e].lo;
                s->cuts[s->n_cuts++] = s->a->edges[e].hi + 1;
            }
    qsort(s->cuts, s->n_cuts, sizeof(*s->cuts), by_number);
    for (uint32_t i = 0; i < s->n_cuts; i++)
        if (i == 0 || s->cuts[i] != s->cuts[i - 1])
            s->cuts[kept++] = s->cuts[i];
    s->n_cuts = kept;
}

static bool expand(struct maker *m, struct subset *s, uint32_t state, uint32_t end)
{
    size_t from = m->key_at[state], n = m->key_at[state + 1] - from;
    s->stamp++;
    s->n = 0;
    for (size_t i = 0; i < n; i++)
        put(s, m->keys[from + i]);
    close_over(s, state == 0, true);
    m->d->accept[state] = holds(s, end);
    find_cuts(s, m->keys + from, n);
    for (uint32_t c = 0; c + 1 < s->n_cuts; c++) {
        s->stamp++;
        s->n = 0;
        for (size_t i = 0; i < n; i++)
            for (uint32_t e = s->a->head[m->keys[from + i]]; e != DFA_NONE;
                 e = s->a->edges[e].next, s->work++)
                if (s->a->edges[e].kind == NFA_LETTERS && s->a->edges[e].lo <= s->cuts[c] &&
                    s->cuts[c] <= s->a->edges[e].hi)
                    put(s, s->a->edges[e].to);
        if (s->n == 0)
            continue;
        close_over(s, false, false);
        uint32_t to = s->work > WORK_MAX ? DFA_NONE : maker_state(m, s->list, s->n);
        if (to == DFA_NONE || !maker_edge(m, state, s->cuts[c], s->cuts[c + 1] - 1, to))
            return false;
    }
    return true;
}

/* State 0 alone stands before the first letter: its key has a mark of its own,
 * a state past all others, that no other subset holds. */
static enum err_code run_subsets(struct maker *m, struct subset *s, uint32_t start, uint32_t end,
                                 struct err *err)
{
    s->stamp = 1;
    put(s, start);
    put(s, s->a->n - 1);
    close_over(s, true, false);
    maker_state(m, s->list, s->n);
    for (uint32_t state = 0; state < m->d->n; state++) {
        m->d->first[state] = m->d->n_edges;
        if (!expand(m, s, state, end))
            return err_set(err, ERR_LIMIT, "an automaton of more than %u states", m->max);
        m->d->first[state + 1] = m->d->n_edges;
    }
    return OK;
}

enum err_code dfa_make(struct nfa *a, uint32_t start, uint32_t end, uint32_t max_states,
                       struct dfa **out, struct err *err)
{
    *out = NULL;
    nfa_state(a); /* the mark of state 0 */
    if (a->failed)
        return err_set(err, ERR_LIMIT, "an automaton of more than %d parts", NFA_MAX);
    struct maker m;
    struct subset s = {.a = a};
    s.mark = calloc(a->n, sizeof(*s.mark));
    s.list = calloc(a->n, sizeof(*s.list));
    s.cuts = calloc(2 * (size_t)a->n_edges + 2, sizeof(*s.cuts));
    enum err_code rc = maker_init(&m, max_states, err);
    if (!rc && (!s.mark || !s.list || !s.cuts))
        rc = err_set(err, ERR_NOMEM, "an automaton of %u parts", a->n);
    if (!rc)
        rc = run_subsets(&m, &s, start, end, err);
    if (!rc)
        rc = finish(&m, out, err);
    maker_deinit(&m);
    free(s.mark);
    free(s.list);
    free(s.cuts);
    return rc;
}

/* ---- both ---- */

static bool expand_both(struct maker *m, const struct dfa *a, const struct dfa *b, uint32_t state)
{
    uint32_t p = m->keys[2 * (size_t)state], q = m->keys[2 * (size_t)state + 1];
    uint32_t e = a->first[p], f = b->first[q];
    m->d->accept[state] = a->accept[p] && b->accept[q];
    while (e < a->first[p + 1] && f < b->first[q + 1]) {
        struct dfa_edge x = a->edges[e], y = b->edges[f];
        uint32_t lo = x.lo > y.lo ? x.lo : y.lo, hi = x.hi < y.hi ? x.hi : y.hi;
        if (lo <= hi) {
            uint32_t key[2] = {x.to, y.to};
            uint32_t to = ++m->work > WORK_MAX ? DFA_NONE : maker_state(m, key, 2);
            if (to == DFA_NONE || !maker_edge(m, state, lo, hi, to))
                return false;
        }
        if (x.hi < y.hi)
            e++;
        else
            f++;
    }
    return true;
}

enum err_code dfa_both(const struct dfa *a, const struct dfa *b, uint32_t max_states,
                       struct dfa **out, struct err *err)
{
    struct maker m;
    uint32_t key[2] = {0, 0};
    *out = NULL;
    enum err_code rc = maker_init(&m, max_states, err);
    if (!rc)
        maker_state(&m, key, 2);
    for (uint32_t state = 0; !rc && state < m.d->n; state++) {
        m.d->first[state] = m.d->n_edges;
        if (!expand_both(&m, a, b, state))
            rc = err_set(err, ERR_LIMIT, "an automaton of more than %u states", max_states);
        m.d->first[state + 1] = m.d->n_edges;
    }
    if (!rc)
        rc = finish(&m, out, err);
    maker_deinit(&m);
    return rc;
}

/* ---- code points as JSON text ---- */

struct quoter {
    struct nfa a;
    uint32_t *tails;     /* [states][3] any 1..3 bytes that continue, then the state */
};

static uint32_t tail(struct quoter *q, uint32_t to, int n)
{
    if (n == 0)
        return to;
    uint32_t *t = &q->tails[3 * (size_t)to + (size_t)n - 1];
    if (*t == DFA_NONE) {
        *t = nfa_state(&q->a);
        nfa_letters(&q->a, *t, 0x80, 0xbf, tail(q, to, n - 1));
    }
    return *t;
}

/* All byte strings of n + 1 bytes between lo and hi, both of that length. */
static void spell(struct quoter *q, uint32_t from, const uint8_t *lo, const uint8_t *hi, int n,
                  uint32_t to)
{
    static const uint8_t least[4] = {0x80, 0x80, 0x80, 0x80}, most[4] = {0xbf, 0xbf, 0xbf, 0xbf};
    if (n == 0) {
        nfa_letters(&q->a, from, lo[0], hi[0], to);
        return;
    }
    bool low = memcmp(lo + 1, least, (size_t)n) != 0, high = memcmp(hi + 1, most, (size_t)n) != 0;
    uint8_t first = lo[0], last = hi[0];
    if (first == last && (low || high)) {
        uint32_t mid = nfa_state(&q->a);
        nfa_letters(&q->a, from, first, first, mid);
        spell(q, mid, lo + 1, hi + 1, n - 1, to);
        return;
    }
    if (low) {
        uint32_t mid = nfa_state(&q->a);
        nfa_letters(&q->a, from, first, first, mid);
        spell(q, mid, lo + 1, most, n - 1, to);
        first++;
    }
    if (high) {
        uint32_t mid = nfa_state(&q->a);
        nfa_letters(&q->a, from, last, last, mid);
        spell(q, mid, least, hi + 1, n - 1, to);
        last--;
    }
    if (first <= last)
        nfa_letters(&q->a, from, first, last, tail(q, to, n));
}

static int utf8_bytes(uint32_t cp, uint8_t *b)
{
    int n = cp < 0x80 ? 0 : cp < 0x800 ? 1 : cp < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    for (int i = n; i > 0; i--, cp >>= 6)
        b[i] = (uint8_t)(0x80 | (cp & 0x3f));
    b[0] = (uint8_t)(lead[n] | cp);
    return n;
}

static void raw_range(struct quoter *q, uint32_t from, uint32_t lo, uint32_t hi, uint32_t to)
{
    static const uint32_t parts[][2] = {{0x20, 0x21},     {0x23, 0x5b},     {0x5d, 0x7f},
                                        {0x80, 0x7ff},    {0x800, 0xd7ff},  {0xe000, 0xffff},
                                        {0x10000, 0x10ffff}};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint32_t l = lo > parts[i][0] ? lo : parts[i][0], h = hi < parts[i][1] ? hi : parts[i][1];
        uint8_t a[4], b[4];
        if (l > h)
            continue;
        int n = utf8_bytes(l, a);
        utf8_bytes(h, b);
        spell(q, from, a, b, n, to);
    }
}

static uint32_t chain(struct quoter *q, uint32_t from, const char *text)
{
    for (; *text; text++) {
        uint32_t next = nfa_state(&q->a);
        nfa_letters(&q->a, from, (uint8_t)*text, (uint8_t)*text, next);
        from = next;
    }
    return from;
}

/* Signs that cannot stand for themselves. Rare controls only where a pattern
 * asks for them and little else: they would triple every `.`. */
static void escapes(struct quoter *q, uint32_t from, uint32_t lo, uint32_t hi, uint32_t to)
{
    static const char shorts[] = "\"\"\\\\\bb\tt\nn\ff\rr";
    char text[8] = "\\";
    for (const char *s = shorts; *s; s += 2) {
        uint8_t c = (uint8_t)s[0];
        if (c < lo || c > hi)
            continue;
        text[1] = 0;
        uint32_t mid = chain(q, from, text);
        nfa_letters(&q->a, mid, (uint8_t)s[1], (uint8_t)s[1], to);
    }
    for (uint32_t c = lo; hi < 0x20 && c <= hi; c++) {
        static const char hex[] = "0123456789abcdef";
        if (memchr("\b\t\n\f\r", (int)c, 5))
            continue;
        memcpy(text, "\\u00", 5);
        text[4] = hex[c >> 4];
        text[5] = 0;
        uint32_t mid = chain(q, from, text);
        nfa_letters(&q->a, mid, (uint8_t)hex[c & 15], (uint8_t)hex[c & 15], to);
    }
}

enum err_code dfa_quote(const struct dfa *points, uint32_t max_states, struct dfa **out,
                        struct err *err)
{
    struct quoter q = {0};
    size_t n_tails = 3 * ((size_t)points->n + 2);
    *out = NULL;
    q.tails = malloc(n_tails * sizeof(*q.tails));
    if (!q.tails)
        return err_set(err, ERR_NOMEM, "an automaton of %u states", points->n);
    memset(q.tails, 0xff, n_tails * sizeof(*q.tails));
    for (uint32_t s = 0; s < points->n + 2; s++)
        nfa_state(&q.a);
    uint32_t start = points->n, end = points->n + 1;
    if (!q.a.failed)
        nfa_letters(&q.a, start, '"', '"', 0);
    for (uint32_t s = 0; s < points->n && !q.a.failed; s++) {
        if (points->accept[s])
            nfa_letters(&q.a, s, '"', '"', end);
        for (uint32_t e = points->first[s]; e < points->first[s + 1] && !q.a.failed; e++) {
            struct dfa_edge r = points->edges[e];
            raw_range(&q, s, r.lo, r.hi, r.to);
            escapes(&q, s, r.lo, r.hi, r.to);
        }
    }
    enum err_code rc = dfa_make(&q.a, start, end, max_states, out, err);
    free(q.tails);
    nfa_deinit(&q.a);
    return rc;
}
