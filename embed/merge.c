/* embed/merge.c - counts of pairs in a hash table, each with the words it
 * occurs in (a superset: a word that lost the pair stays listed until looked
 * at), and a heap of counts. A heap entry whose count is no longer the table's
 * is old: it is put back with the count it has now. */
#include "embed/merge.h"
#include <stdbool.h>
#include <stdlib.h>
#include "base/hash.h"

struct slot {
    uint64_t pair; /* left + 1 in the upper half: 0 is an empty slot */
    int64_t count;
    uint32_t *words; /* where it occurs, ascending */
    uint32_t n, cap;
};

struct entry {
    int64_t count;
    uint64_t pair;
};

struct merger {
    struct merge_word *words;
    struct slot *slots;
    size_t n_slots, mask;
    struct entry *heap;
    size_t n_heap, cap_heap;
    bool failed; /* memory ran out */
};

static uint64_t pair_of(int32_t left, int32_t right)
{
    return ((uint64_t)left + 1) << 32 | (uint32_t)right;
}

static struct slot *find(const struct merger *m, uint64_t pair)
{
    size_t i = hash64(&pair, sizeof(pair), 0) & m->mask;
    while (m->slots[i].pair && m->slots[i].pair != pair)
        i = (i + 1) & m->mask;
    return &m->slots[i];
}

static bool grow_slots(struct merger *m)
{
    struct merger old = *m;
    size_t cap = m->slots ? 2 * (m->mask + 1) : 1 << 16;
    m->slots = calloc(cap, sizeof(*m->slots));
    if (!m->slots) {
        m->slots = old.slots;
        return false;
    }
    m->mask = cap - 1;
    for (size_t i = 0; old.slots && i <= old.mask; i++)
        if (old.slots[i].pair)
            *find(m, old.slots[i].pair) = old.slots[i];
    free(old.slots);
    return true;
}

static struct slot *find_or_add(struct merger *m, uint64_t pair)
{
    if (!m->slots || m->n_slots * 2 > m->mask) {
        if (!grow_slots(m)) {
            m->failed = true;
            return NULL;
        }
    }
    struct slot *s = find(m, pair);
    if (!s->pair) {
        s->pair = pair;
        m->n_slots++;
    }
    return s;
}

static bool before(struct entry a, struct entry b)
{
    return a.count > b.count || (a.count == b.count && a.pair < b.pair);
}

static void heap_add(struct merger *m, struct entry e)
{
    if (m->n_heap == m->cap_heap) {
        size_t cap = m->cap_heap ? 2 * m->cap_heap : 1 << 16;
        struct entry *heap = realloc(m->heap, cap * sizeof(*heap));
        if (!heap) {
            m->failed = true;
            return;
        }
        m->heap = heap;
        m->cap_heap = cap;
    }
    size_t i = m->n_heap++;
    for (; i && before(e, m->heap[(i - 1) / 2]); i = (i - 1) / 2)
        m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = e;
}

static struct entry heap_take(struct merger *m)
{
    struct entry top = m->heap[0], e = m->heap[--m->n_heap];
    size_t i = 0;
    for (size_t c; (c = 2 * i + 1) < m->n_heap; i = c) {
        if (c + 1 < m->n_heap && before(m->heap[c + 1], m->heap[c]))
            c++;
        if (!before(m->heap[c], e))
            break;
        m->heap[i] = m->heap[c];
    }
    m->heap[i] = e;
    return top;
}

/* The pair occurs in word `w` once more, `count` times over the texts. */
static struct slot *count_pair(struct merger *m, uint64_t pair, uint32_t w, int64_t count)
{
    struct slot *s = find_or_add(m, pair);
    if (!s)
        return NULL;
    s->count += count;
    if (s->n && s->words[s->n - 1] == w)
        return s;
    if (s->n == s->cap) {
        uint32_t cap = s->cap ? 2 * s->cap : 4;
        uint32_t *words = realloc(s->words, cap * sizeof(*words));
        if (!words) {
            m->failed = true;
            return NULL;
        }
        s->words = words;
        s->cap = cap;
    }
    s->words[s->n++] = w;
    return s;
}

static void count_all(struct merger *m, size_t n_words)
{
    for (size_t w = 0; w < n_words && !m->failed; w++)
        for (int i = 0; i + 1 < m->words[w].n && !m->failed; i++)
            count_pair(m, pair_of(m->words[w].symbols[i], m->words[w].symbols[i + 1]), (uint32_t)w,
                       m->words[w].count);
    for (size_t i = 0; m->slots && i <= m->mask && !m->failed; i++)
        if (m->slots[i].pair)
            heap_add(m, (struct entry){m->slots[i].count, m->slots[i].pair});
}

/* Join left and right wherever they stand together in `word`; false: nowhere. */
static bool join(struct merge_word *word, struct merge pair, int32_t made)
{
    int n = 0;
    for (int i = 0; i < word->n; i++, n++) {
        bool here =
            i + 1 < word->n && word->symbols[i] == pair.left && word->symbols[i + 1] == pair.right;
        word->symbols[n] = here ? made : word->symbols[i];
        i += here;
    }
    bool changed = n < word->n;
    word->n = n;
    return changed;
}

static bool holds(const struct merge_word *word, struct merge pair)
{
    for (int i = 0; i + 1 < word->n; i++)
        if (word->symbols[i] == pair.left && word->symbols[i + 1] == pair.right)
            return true;
    return false;
}

/* Take the word's pairs out of the counts, join, and count them again; pairs
 * with the new symbol enter the heap. */
static void merge_in_word(struct merger *m, uint32_t w, struct merge pair, int32_t made)
{
    struct merge_word *word = &m->words[w];
    if (!holds(word, pair))
        return;
    for (int i = 0; i + 1 < word->n; i++)
        find(m, pair_of(word->symbols[i], word->symbols[i + 1]))->count -= word->count;
    join(word, pair, made);
    for (int i = 0; i + 1 < word->n && !m->failed; i++) {
        int32_t a = word->symbols[i], b = word->symbols[i + 1];
        uint64_t p = pair_of(a, b);
        if (a != made && b != made) {
            find(m, p)->count += word->count;
            continue;
        }
        struct slot *s = count_pair(m, p, w, word->count);
        if (s)
            heap_add(m, (struct entry){s->count, p});
    }
}

/* The most frequent pair as it stands now; false when none occurs twice. */
static bool next_pair(struct merger *m, struct merge *out)
{
    while (m->n_heap) {
        struct entry e = heap_take(m);
        int64_t now = find(m, e.pair)->count;
        if (now == e.count && now >= 2) {
            *out = (struct merge){(int32_t)((e.pair >> 32) - 1), (int32_t)(uint32_t)e.pair};
            return true;
        }
        if (now < e.count && now >= 2)
            heap_add(m, (struct entry){now, e.pair});
    }
    return false;
}

enum err_code merge_learn(struct merge_word *words, size_t n_words, int n_symbols, int want,
                          struct merge *out, int *n_out, struct err *err)
{
    struct merger m = {.words = words};
    *n_out = 0;
    count_all(&m, n_words);
    int n = 0;
    while (n < want && !m.failed && next_pair(&m, &out[n])) {
        struct slot *s = find(&m, pair_of(out[n].left, out[n].right));
        uint32_t *where = s->words, n_where = s->n;
        s->words = NULL;
        s->n = s->cap = 0;
        for (uint32_t i = 0; i < n_where && !m.failed; i++)
            merge_in_word(&m, where[i], out[n], n_symbols + n);
        free(where);
        n++;
    }
    for (size_t i = 0; m.slots && i <= m.mask; i++)
        free(m.slots[i].words);
    free(m.slots);
    free(m.heap);
    if (m.failed)
        return err_set(err, ERR_NOMEM, "the pairs of %zu words", n_words);
    *n_out = n;
    return OK;
}
