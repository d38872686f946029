/* llm/grammar_finish.c - what can be satisfied at all, how flat and how short.
 *
 * The height of a node is that of its flattest value, by rounds until nothing
 * changes: nodes that need themselves stay without one. The length is that of the
 * flattest value (the shortest of several), so that it can be written at any
 * depth that the node may stand at: an upper bound of the shortest. */
#include <stdlib.h>
#include <string.h>
#include "llm/grammar_int.h"

#define STATES_MAX 150000     /* of all automata of a schema */

enum err_code grammar_own(struct grammar *g, struct dfa *d, struct err *err)
{
    if (g->n_dfas == g->cap_dfas) {
        uint32_t cap = g->cap_dfas ? 2 * g->cap_dfas : 16;
        struct dfa **p = reallocarray(g->dfas, cap, sizeof(*p));
        if (!p) {
            dfa_free(d);
            return err_set(err, ERR_NOMEM, "an automaton");
        }
        g->dfas = p;
        g->cap_dfas = cap;
    }
    g->dfas[g->n_dfas++] = d;
    g->dfa_states += d->n;
    if (g->dfa_states > STATES_MAX)
        return err_set(err, ERR_LIMIT, "a schema whose patterns and enums have more than %d states",
                       STATES_MAX);
    return OK;
}

struct entry { struct str text; uint32_t id; };

static int by_text(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    size_t n = x->text.len < y->text.len ? x->text.len : y->text.len;
    int c = n ? memcmp(x->text.ptr, y->text.ptr, n) : 0;
    return c ? c : (x->text.len > y->text.len) - (x->text.len < y->text.len);
}

bool grammar_texts_sort(struct texts *t)
{
    struct entry *e = calloc(t->n + 1, sizeof(*e));
    for (uint32_t i = 0; e && i < t->n; i++)
        e[i] = (struct entry){t->text[i], t->id[i]};
    if (e)
        qsort(e, t->n, sizeof(*e), by_text);
    for (uint32_t i = 0; e && i < t->n; i++) {
        t->text[i] = e[i].text;
        t->id[i] = e[i].id;
    }
    bool sorted = e != NULL;
    free(e);
    return sorted;
}

void grammar_texts_step(const struct texts *t, uint32_t at, uint8_t byte, uint32_t *lo,
                        uint32_t *hi)
{
    uint32_t from = *lo, end = *hi;
    while (from < end && (t->text[from].len <= at || (uint8_t)t->text[from].ptr[at] < byte))
        from++;
    uint32_t to = from;
    while (to < end && t->text[to].len > at && (uint8_t)t->text[to].ptr[at] == byte)
        to++;
    *lo = from;
    *hi = to;
}

/* ---- rounds ---- */

struct measure { struct grammar *g; const bool *has; };

static bool spells(const struct measure *m, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n && m->has; i++)
        if (!m->has[(uint8_t)bytes[i]])
            return false;
    return true;
}

static int32_t deeper(int32_t h)
{
    return h >= DEPTH_MAX ? DFA_FAR : h + 1;
}

static uint32_t item_node(const struct node *n, uint32_t k)
{
    return k < n->n_prefix ? n->prefix[k] : n->items;
}

static int32_t array_height(const struct measure *m, const struct node *n)
{
    int32_t most = 0;
    if (!spells(m, "[]", 2) || (n->min > 1 && !spells(m, ",", 1)))
        return DFA_FAR;
    for (uint32_t k = 0; k < n->min && k <= n->n_prefix; k++) {
        int32_t h = m->g->nodes[item_node(n, k)].height;
        most = h > most ? h : most;
    }
    return deeper(most);
}

static int32_t object_height(const struct measure *m, struct node *n)
{
    int32_t most = 0;
    uint32_t members = 0;
    if (!spells(m, "{}", 2))
        return DFA_FAR;
    for (uint32_t i = 0; i < n->n_props; i++) {
        struct property *p = &n->props[i];
        int32_t h = m->g->nodes[p->node].height;
        if (p->required && !p->alive)
            return DFA_FAR;
        if (p->required)
            most = h > most ? h : most;
        members += p->required;
    }
    return members > n->max || (members > 1 && !spells(m, ",", 1)) ? DFA_FAR : deeper(most);
}

static int32_t string_height(const struct measure *m, const struct node *n)
{
    const struct dfa *d = n->kind == NODE_FRESH ? m->g->plain : m->g->letter;
    return spells(m, "\"", 1) && (n->min == 0 || d->dist[0] < DFA_FAR) ? 1 : DFA_FAR;
}

static int32_t node_height(const struct measure *m, struct node *n)
{
    int32_t h = DFA_FAR;
    switch (n->kind) {
    case NODE_NONE:
        return DFA_FAR;
    case NODE_CHOICE:
        for (uint32_t i = 0; i < n->n_of; i++) {
            int32_t k = m->g->nodes[n->of[i]].height;
            h = k < h ? k : h;
        }
        return h;
    case NODE_DFA:
        return dfa_empty(n->dfa) ? DFA_FAR : 1;
    case NODE_STRING:
    case NODE_FRESH:
        return string_height(m, n);
    case NODE_PICK:
        for (uint32_t i = 0; i < n->texts.n; i++)
            if (!spells(m, n->texts.text[i].ptr, n->texts.text[i].len))
                return DFA_FAR;
        return n->texts.n ? 1 : DFA_FAR;
    case NODE_ARRAY:
        return array_height(m, n);
    case NODE_OBJECT:
        return object_height(m, n);
    }
    return DFA_FAR;
}

static void find_alive(const struct measure *m, struct node *n)
{
    for (uint32_t i = 0; i < n->texts.n; i++) {
        struct property *p = &n->props[n->texts.id[i]];
        p->alive = m->g->nodes[p->node].height < DFA_FAR && spells(m, "\":", 2) &&
                   spells(m, n->texts.text[i].ptr, n->texts.text[i].len);
    }
}

static void find_heights(const struct measure *m)
{
    struct grammar *g = m->g;
    for (uint32_t i = 0; i < g->n; i++)
        g->nodes[i].height = DFA_FAR;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < g->n; i++) {
            if (g->nodes[i].kind == NODE_OBJECT)
                find_alive(m, &g->nodes[i]);
            int32_t h = node_height(m, &g->nodes[i]);
            changed = changed || h != g->nodes[i].height;
            g->nodes[i].height = h;
        }
    }
}

/* minProperties: the first properties there are become required. */
static enum err_code promote(struct grammar *g, bool *changed, struct err *err)
{
    for (uint32_t i = 0; i < g->n; i++) {
        struct node *n = &g->nodes[i];
        if (n->kind != NODE_OBJECT || n->strict || n->height >= DFA_FAR)
            continue;
        uint32_t have = 0;
        for (uint32_t k = 0; k < n->n_props; k++)
            have += n->props[k].required;
        for (uint32_t k = 0; k < n->n_props && have < n->wanted; k++)
            if (!n->props[k].required && n->props[k].alive) {
                n->props[k].required = *changed = true;
                have++;
            }
        if (have >= n->wanted)
            continue;
        if (n->extra != NO_NODE && g->nodes[n->extra].height < DFA_FAR)
            return err_set(
                err, ERR_ARG,
                "an object: `minProperties` is supported up to the number of its properties");
        n->kind = NODE_NONE;
        n->why = "an object: `minProperties` is more than there are properties";
        *changed = true;
    }
    return OK;
}

/* ---- lengths ---- */

static int32_t bounded(int64_t n)
{
    return n >= DFA_FAR ? DFA_FAR - 1 : (int32_t)n;
}

static void array_sums(const struct grammar *g, struct node *n)
{
    n->sums[0] = 0;
    for (uint32_t k = 0; k < n->n_prefix; k++) {
        const struct node *item = &g->nodes[n->prefix[k]];
        n->sums[k + 1] = n->sums[k] + 1 + (item->height < DFA_FAR ? item->len : 0);
    }
}

static int32_t array_len(const struct grammar *g, struct node *n)
{
    int64_t items = g->nodes[n->items].height < DFA_FAR ? g->nodes[n->items].len : 0;
    array_sums(g, n);
    int64_t first = n->min < n->n_prefix ? n->min : n->n_prefix;
    int64_t sum = n->sums[first] + (n->min - first) * (1 + items);
    return bounded(2 + sum - (n->min > 0));
}

static int32_t object_len(const struct grammar *g, struct node *n)
{
    n->required_from[n->n_props] = 0;
    n->tail[n->n_props] = 1;
    for (uint32_t i = n->n_props; i-- > 0;) {
        struct property *p = &n->props[i];
        int64_t more = p->required ? 2 + (int64_t)p->key + g->nodes[p->node].len : 0;
        n->required_from[i] = n->required_from[i + 1] + p->required;
        n->tail[i] = bounded(n->tail[i + 1] + more);
    }
    return bounded((int64_t)n->tail[0] + 1 - (n->required_from[0] > 0));
}

static int32_t leaf_len(const struct grammar *g, const struct node *n)
{
    int32_t longest = 0;
    if (n->kind == NODE_DFA)
        return n->dfa->dist[0];
    if (n->kind == NODE_STRING)
        return bounded(2 + (int64_t)n->min * (n->min ? g->letter->dist[0] : 0));
    if (n->kind == NODE_FRESH) /* one more: the shortest may be taken */
        return bounded(3 + (int64_t)n->min * (n->min ? g->plain->dist[0] : 0));
    for (uint32_t i = 0; i < n->texts.n; i++)
        if ((int32_t)n->texts.text[i].len > longest)
            longest = (int32_t)n->texts.text[i].len;
    return longest;
}

static void choice_len(const struct grammar *g, struct node *n)
{
    n->len = DFA_FAR;
    for (uint32_t i = 0; i < n->n_of; i++) {
        const struct node *k = &g->nodes[n->of[i]];
        if (k->height == n->height && k->len < n->len)
            n->len = k->len;
    }
}

/* From the flattest up: what a node is made of is flatter than it is. */
static void find_lengths(struct grammar *g)
{
    for (int32_t h = 1; h <= DEPTH_MAX; h++) {
        for (uint32_t i = 0; i < g->n; i++) {
            struct node *n = &g->nodes[i];
            if (n->height != h || n->kind == NODE_CHOICE)
                continue;
            n->len = n->kind == NODE_ARRAY    ? array_len(g, n)
                     : n->kind == NODE_OBJECT ? object_len(g, n)
                                              : leaf_len(g, n);
        }
        for (uint32_t i = 0; i < g->n; i++)
            if (g->nodes[i].height == h && g->nodes[i].kind == NODE_CHOICE)
                choice_len(g, &g->nodes[i]);
    }
    for (uint32_t i = 0; i < g->n; i++) /* optional items may be higher */
        if (g->nodes[i].kind == NODE_ARRAY && g->nodes[i].height < DFA_FAR)
            array_sums(g, &g->nodes[i]);
}

/* An array ends before the first item that nothing satisfies. */
static void bound_arrays(struct grammar *g)
{
    for (uint32_t i = 0; i < g->n; i++) {
        struct node *n = &g->nodes[i];
        for (uint32_t k = 0; n->kind == NODE_ARRAY && k <= n->n_prefix && k < n->max; k++)
            if (g->nodes[item_node(n, k)].height >= DFA_FAR)
                n->max = k;
    }
}

enum err_code grammar_finish(struct grammar *g, const bool *has, struct err *err)
{
    struct measure m = {g, has};
    enum err_code rc = dfa_measure(g->letter, has, err);
    rc = rc ? rc : dfa_measure(g->plain, has, err);
    for (uint32_t i = 0; i < g->n_dfas && !rc; i++)
        rc = dfa_measure(g->dfas[i], has, err);
    for (uint32_t i = 0; i < g->n && !rc; i++)
        if (g->nodes[i].kind == NODE_ARRAY && !g->nodes[i].sums) {
            g->nodes[i].sums = arena_alloc(&g->mem, g->nodes[i].n_prefix + 1, sizeof(int64_t));
            if (!g->nodes[i].sums)
                rc = err_set(err, ERR_NOMEM, "an array");
        }
    for (bool changed = true; changed && !rc;) {
        changed = false;
        find_heights(&m);
        rc = promote(g, &changed, err);
    }
    if (rc)
        return rc;
    bound_arrays(g);
    find_lengths(g);
    return OK;
}
