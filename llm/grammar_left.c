/* llm/grammar_left.c - how far it is from a spot to the end of a whole text, in bytes.
 *
 * A promise: a whole text can be had with that many bytes more. DFA_FAR: there is none, so
 * nothing that leads there is entered (grammar_step.c), and what is entered can always
 * be ended. */
#include "llm/grammar_spot.h"

static int64_t characters_left(const struct dfa *d, const struct spot *s, uint32_t min)
{
    int64_t begun = s->at ? d->dist[s->at] : 0;
    int64_t n = (int64_t)s->n + (s->at != 0);
    return begun + (n < min ? (min - n) * d->dist[0] : 0);
}

static int64_t items_before(const struct grammar *g, const struct node *n, uint32_t k)
{
    uint32_t first = k < n->n_prefix ? k : n->n_prefix;
    return n->sums[first] + (int64_t)(k - first) * (1 + g->nodes[n->items].len);
}

static int64_t array_left(const struct grammar *g, const struct spot *s)
{
    const struct node *n = node_of(g, s);
    if (s->i >= n->min)
        return 1;
    return 1 + items_before(g, n, n->min) - items_before(g, n, s->i) - (s->phase == AT_FIRST);
}

/* Whether member j may come next to the text at `s`. */
static bool may_come(const struct grammar *g, const struct spot *s, uint32_t j)
{
    const struct node *n = node_of(g, s);
    const struct property *p = &n->props[j];
    if (!p->alive || s->depth + 1 + g->nodes[p->node].height > DEPTH_MAX)
        return false;
    return p->required || (uint64_t)s->n + 1 + n->required_from[s->i] <= n->max;
}

/* One behind the last property that may come: the first required one closes it. */
static uint32_t last_of(const struct node *n, const struct spot *s)
{
    uint32_t j = s->i;
    while (j < n->n_props && !n->props[j].required)
        j++;
    return j < n->n_props ? j + 1 : j;
}

bool grammar_extra_may_come(const struct grammar *g, const struct spot *s)
{
    const struct node *n = node_of(g, s);
    return n->required_from[s->i] == 0 && s->n < n->max && n->extra != NO_NODE &&
           (!s->used || s->used->n < WORDS_MAX) && g->plain->dist[0] < DFA_FAR &&
           g->nodes[n->extra].height < DFA_FAR &&
           s->depth + 1 + g->nodes[n->extra].height <= DEPTH_MAX;
}

/* From behind member j's name without its end: colon, value, the rest. */
static int64_t member_left(const struct grammar *g, const struct node *n, uint32_t j)
{
    return 1 + (int64_t)g->nodes[n->props[j].node].len + n->tail[j + 1];
}

static int64_t extra_left(const struct grammar *g, const struct node *n)
{
    return 1 + (int64_t)g->nodes[n->extra].len + n->tail[n->n_props];
}

int64_t grammar_next_left(const struct grammar *g, const struct spot *s)
{
    const struct node *n = node_of(g, s);
    int64_t best = DFA_FAR;
    uint32_t end = last_of(n, s);
    for (uint32_t j = s->i; j < end; j++) {
        int64_t d = n->props[j].key - 1 + member_left(g, n, j);
        if (may_come(g, s, j) && d < best)
            best = d;
    }
    if (grammar_extra_may_come(g, s) && 2 + extra_left(g, n) < best)
        best = 2 + extra_left(g, n); /* a letter and the end quote */
    return best;
}

int64_t grammar_key_left(const struct grammar *g, const struct spot *s)
{
    const struct node *n = node_of(g, s);
    int64_t best = DFA_FAR;
    uint32_t end = last_of(n, s);
    for (uint32_t k = s->lo; k < s->hi; k++) {
        uint32_t j = n->texts.id[k];
        int64_t d = (int64_t)n->texts.text[k].len - s->at + member_left(g, n, j);
        if (d < best && j >= s->i && j < end && may_come(g, s, j))
            best = d;
    }
    return best;
}

static bool name_is_known(const struct node *n, uint64_t hash)
{
    uint32_t lo = 0, hi = n->kind == NODE_OBJECT ? n->n_props : 0;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (n->hashes[mid] < hash)
            lo = mid + 1;
        else
            hi = mid;
    }
    return n->kind == NODE_OBJECT && lo < n->n_props && n->hashes[lo] == hash;
}

bool grammar_is_taken(const struct node *n, const struct spot *s)
{
    for (const struct used *u = s->used; u; u = u->prev)
        if (u->hash == s->bits)
            return true;
    return name_is_known(n, s->bits);
}

static int64_t object_left(const struct grammar *g, const struct spot *s)
{
    const struct node *n = node_of(g, s);
    switch (s->phase) {
    case AT_FIRST:
        return n->tail[s->i] - (n->required_from[s->i] > 0);
    case AT_AFTER:
        return n->tail[s->i];
    case AT_NEXT:
    case AT_NEXT_QUOTE:
        return 1 + grammar_next_left(g, s);
    case AT_KEY:
        return grammar_key_left(g, s);
    case AT_NEW_KEY:
        return (s->at ? g->plain->dist[s->at] : grammar_is_taken(n, s)) + 1 + extra_left(g, n);
    default: /* AT_COLON */
        return 1 + (int64_t)g->nodes[s->lo].len + n->tail[s->hi < n->n_props ? s->hi + 1 : s->hi];
    }
}

int64_t grammar_pick_left(const struct node *n, const struct spot *s)
{
    int64_t best = DFA_FAR;
    for (uint32_t k = s->lo; k < s->hi; k++) {
        int64_t d = (int64_t)n->texts.text[k].len - s->at;
        if (d < best && !(s->bits >> n->texts.id[k] & 1))
            best = d;
    }
    return best;
}

/* Of the value that the spot is in. */
static int64_t spot_left(const struct grammar *g, const struct spot *s)
{
    const struct node *n = node_of(g, s);
    if (s->phase == AT_DONE)
        return 0;
    if (s->phase <= AT_START_SPACE)
        return n->len;
    switch (n->kind) {
    case NODE_DFA:
        return n->dfa->dist[s->at];
    case NODE_STRING:
        return 1 + characters_left(g->letter, s, n->min);
    case NODE_FRESH:
        return 1 + characters_left(g->plain, s, n->min) +
               (s->at == 0 && s->n >= n->min && grammar_is_taken(n, s));
    case NODE_PICK:
        return grammar_pick_left(n, s);
    case NODE_ARRAY:
        return array_left(g, s);
    case NODE_OBJECT:
        return object_left(g, s);
    default:
        return DFA_FAR;
    }
}

int32_t grammar_spot_dist(const struct grammar *g, const struct spot *s)
{
    int64_t d = spot_left(g, s);
    if (s->up)
        d += s->up->dist;
    return d < DFA_FAR ? (int32_t)d : DFA_FAR;
}

int32_t grammar_spots_dist(const struct grammar *g, const struct spots *s)
{
    int32_t best = DFA_FAR;
    for (uint32_t i = 0; i < s->n; i++) {
        int32_t d = grammar_spot_dist(g, &s->v[i]);
        best = d < best ? d : best;
    }
    return best;
}
