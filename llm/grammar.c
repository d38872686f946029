/* llm/grammar.c - where a text stands in a grammar, byte by byte.
 *
 * A state is a list of spots: ways to read the text so far. A byte moves each of
 * them to none, one or several; the text can always be ended from a spot, because
 * nothing is entered that cannot be (heights and lengths of nodes, DEPTH_MAX).
 * When ways become more than SPOTS_MAX, each spot keeps its first way on: what
 * is then not taken any more is still never wrong, and a mask, which walks
 * the same steps, says the same. */
#include "llm/grammar.h"
#include <stdlib.h>
#include <string.h>
#include "llm/grammar_int.h"

/* ---- a pool: cells are never freed one by one ---- */

#define BLOCK_BYTES 16384
struct block { struct block *next; size_t used; char bytes[BLOCK_BYTES]; };

static void *grammar_pool_alloc(struct pool *p, size_t n)
{
    n = (n + 15) & ~(size_t)15;
    if (!p->last || p->last->used + n > BLOCK_BYTES) {
        struct block *next = p->last ? p->last->next : p->first;
        if (!next) {
            next = malloc(sizeof(*next));
            if (!next)
                return NULL;
            next->next = NULL;
            *(p->last ? &p->last->next : &p->first) = next;
        }
        next->used = 0;
        p->last = next;
    }
    void *at = p->last->bytes + p->last->used;
    p->last->used += n;
    p->total += n;
    return at;
}

struct mark grammar_pool_mark(const struct pool *p)
{
    return (struct mark){p->last, p->last ? p->last->used : 0};
}

void grammar_pool_release(struct pool *p, struct mark m)
{
    p->last = m.block;
    if (m.block)
        m.block->used = m.used;
}

static void grammar_pool_empty(struct pool *p)
{
    p->last = NULL;
    p->total = 0;
}

void grammar_pool_free(struct pool *p)
{
    while (p->first) {
        struct block *next = p->first->next;
        free(p->first);
        p->first = next;
    }
    *p = (struct pool){0};
}

/* ---- how far it is to the end ---- */

static const struct node *node_of(const struct grammar *g, const struct spot *s)
{
    return &g->nodes[s->node];
}

static uint32_t item_of(const struct node *n, uint32_t k)
{
    return k < n->n_prefix ? n->prefix[k] : n->items;
}

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

static bool extra_may_come(const struct grammar *g, const struct spot *s)
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

/* Behind the first quote of a member that must come. */
static int64_t next_left(const struct grammar *g, const struct spot *s)
{
    const struct node *n = node_of(g, s);
    int64_t best = DFA_FAR;
    uint32_t end = last_of(n, s);
    for (uint32_t j = s->i; j < end; j++) {
        int64_t d = n->props[j].key - 1 + member_left(g, n, j);
        if (may_come(g, s, j) && d < best)
            best = d;
    }
    if (extra_may_come(g, s) && 2 + extra_left(g, n) < best)
        best = 2 + extra_left(g, n); /* a letter and the end quote */
    return best;
}

static int64_t key_left(const struct grammar *g, const struct spot *s)
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

/* Whether a new name or string is one that is there already: equal hashes count
 * as equal, which forbids a little too much and never too little. */
static bool is_taken(const struct node *n, const struct spot *s)
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
        return 1 + next_left(g, s);
    case AT_KEY:
        return key_left(g, s);
    case AT_NEW_KEY:
        return (s->at ? g->plain->dist[s->at] : is_taken(n, s)) + 1 + extra_left(g, n);
    default: /* AT_COLON */
        return 1 + (int64_t)g->nodes[s->lo].len + n->tail[s->hi < n->n_props ? s->hi + 1 : s->hi];
    }
}

static int64_t pick_left(const struct node *n, const struct spot *s)
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
               (s->at == 0 && s->n >= n->min && is_taken(n, s));
    case NODE_PICK:
        return pick_left(n, s);
    case NODE_ARRAY:
        return array_left(g, s);
    case NODE_OBJECT:
        return object_left(g, s);
    default:
        return DFA_FAR;
    }
}

static int32_t spot_dist(const struct grammar *g, const struct spot *s)
{
    int64_t d = spot_left(g, s);
    if (s->up)
        d += s->up->dist;
    return d < DFA_FAR ? (int32_t)d : DFA_FAR;
}

int32_t spots_dist(const struct grammar *g, const struct spots *s)
{
    int32_t best = DFA_FAR;
    for (uint32_t i = 0; i < s->n; i++) {
        int32_t d = spot_dist(g, &s->v[i]);
        best = d < best ? d : best;
    }
    return best;
}

/* ---- one byte ---- */

struct run {
    const struct grammar *g;
    struct pool *pool;
    struct spots *to;
    uint32_t room;            /* to->n may grow to here */
    bool cut;                 /* and did not suffice */
    uint8_t byte;
};

static bool same_spot(const struct spot *a, const struct spot *b)
{
    return a->node == b->node && a->at == b->at && a->phase == b->phase && a->up == b->up &&
           a->i == b->i && a->n == b->n && a->lo == b->lo && a->hi == b->hi &&
           a->bits == b->bits && a->used == b->used;
}

static void emit(struct run *r, const struct spot *s)
{
    for (uint32_t i = 0; i < r->to->n; i++)
        if (same_spot(&r->to->v[i], s))
            return;
    if (r->to->n >= r->room) {
        r->cut = true;
        return;
    }
    r->to->v[r->to->n++] = *s;
}

/* The text around: `s` is where it goes on when what is inside ends. */
static const struct cell *push(struct run *r, const struct spot *s)
{
    struct cell *c = grammar_pool_alloc(r->pool, sizeof(*c));
    if (c)
        *c = (struct cell){*s, spot_dist(r->g, s)};
    return c;
}

static const struct used *remember(struct run *r, const struct used *prev, uint64_t hash)
{
    struct used *u = grammar_pool_alloc(r->pool, sizeof(*u));
    if (u)
        *u = (struct used){prev, hash, prev ? prev->n + 1 : 1};
    return u;
}

static void start(struct run *r, const struct cell *up, uint32_t node)
{
    if (up)
        emit(r, &(struct spot){.up = up, .node = node, .depth = (uint16_t)(up->s.depth + 1),
                               .phase = AT_START_SPACE});
}

/* Where the text stands behind the value at `s`, which has ended. */
static bool behind(struct run *r, const struct spot *s, struct spot *out)
{
    const struct node *n = node_of(r->g, s);
    if (!s->up) {
        *out = (struct spot){.node = s->node, .phase = AT_DONE};
        return true;
    }
    *out = s->up->s;
    if (n->kind == NODE_PICK)
        out->bits |= UINT64_C(1) << n->texts.id[s->lo];
    if (n->kind == NODE_FRESH)
        out->used = remember(r, s->used, s->bits);
    return n->kind != NODE_FRESH || out->used;
}

static void end_value(struct run *r, const struct spot *s)
{
    struct spot out;
    if (behind(r, s, &out))
        emit(r, &out);
}

static void step_spot(struct run *r, const struct spot *s);

static void step_dfa(struct run *r, const struct spot *s, const struct dfa *d)
{
    uint32_t to = dfa_step(d, s->at, r->byte);
    if (to == DFA_NONE)
        return;
    struct spot next = *s;
    next.phase = AT_IN;
    next.at = to;
    if (d->accept[to] && d->first[to] == d->first[to + 1])
        end_value(r, &next);
    else
        emit(r, &next);
}

/* A character, or a part of one; `next` as it was before. False: not with this byte. */
static bool step_character(struct run *r, const struct dfa *d, struct spot *next, uint32_t *count)
{
    next->at = dfa_step(d, next->at, r->byte);
    if (next->at == DFA_NONE)
        return false;
    next->bits = name_hash(next->bits, r->byte);
    if (d->accept[next->at]) {
        next->at = 0;
        ++*count;
    }
    return true;
}

static void step_string(struct run *r, const struct spot *s, const struct node *n)
{
    bool fresh = n->kind == NODE_FRESH;
    if (s->at == 0 && r->byte == '"') {
        if (s->n >= n->min && !(fresh && is_taken(n, s)))
            end_value(r, s);
        return;
    }
    struct spot next = *s;
    if (s->at == 0 && s->n >= n->max)
        return;
    if (!step_character(r, fresh ? r->g->plain : r->g->letter, &next, &next.n))
        return;
    if (!fresh)
        next.bits = 0; /* equal but for it: the same */
    else if (next.at == 0 && next.n == n->max && is_taken(n, &next))
        return; /* no further character could make it a new one */
    emit(r, &next);
}

static void step_pick(struct run *r, const struct spot *s, const struct node *n)
{
    struct spot next = *s;
    texts_step(&n->texts, s->at, r->byte, &next.lo, &next.hi);
    next.at++;
    next.phase = AT_IN;
    if (pick_left(n, &next) >= DFA_FAR)
        return;
    bool whole = next.lo < next.hi && n->texts.text[next.lo].len == next.at;
    if (whole && next.hi == next.lo + 1)
        end_value(r, &next);
    else
        emit(r, &next);
}

static void open_value(struct run *r, const struct cell *up, uint16_t depth, uint32_t node)
{
    const struct node *n = &r->g->nodes[node];
    struct spot s = {.up = up, .node = node, .depth = depth, .phase = AT_IN};
    if (depth + n->height > DEPTH_MAX)
        return;
    if (n->kind == NODE_DFA) {
        step_dfa(r, &s, n->dfa);
    } else if (n->kind == NODE_PICK) {
        s.hi = n->texts.n;
        s.bits = up ? up->s.bits : 0;
        step_pick(r, &s, n);
    } else if ((n->kind == NODE_STRING || n->kind == NODE_FRESH) && r->byte == '"') {
        if (n->kind == NODE_FRESH) {
            s.used = up ? up->s.used : NULL;
            s.bits = NAME_HASH_START;
        }
        emit(r, &s);
    } else if ((n->kind == NODE_ARRAY && r->byte == '[') ||
               (n->kind == NODE_OBJECT && r->byte == '{')) {
        s.phase = AT_FIRST;
        emit(r, &s);
    }
}

static void step_start(struct run *r, const struct spot *s)
{
    const struct node *n = node_of(r->g, s);
    if (r->byte == ' ') {
        struct spot next = *s;
        next.phase = AT_START;
        if (s->phase == AT_START_SPACE)
            emit(r, &next);
    } else if (n->kind == NODE_CHOICE) {
        for (uint32_t i = 0; i < n->n_of; i++)
            open_value(r, s->up, s->depth, n->of[i]);
    } else {
        open_value(r, s->up, s->depth, s->node);
    }
}

/* ---- arrays and objects ---- */

static bool item_may_come(const struct grammar *g, const struct spot *s, const struct node *n)
{
    return s->i < n->max &&
           s->depth + 1 + g->nodes[item_of(n, s->i)].height <= DEPTH_MAX;
}

static void step_array(struct run *r, const struct spot *s, const struct node *n)
{
    if (r->byte == ']' && s->i >= n->min) {
        end_value(r, s);
        return;
    }
    if (!item_may_come(r->g, s, n) || (s->phase == AT_AFTER && r->byte != ','))
        return;
    struct spot around = *s;
    around.phase = AT_AFTER;
    around.i = s->i < UINT32_MAX - 1 ? s->i + 1 : s->i;
    const struct cell *up = push(r, &around);
    uint32_t item = item_of(n, s->i);
    if (s->phase == AT_AFTER)
        start(r, up, item);
    else if (up)
        step_start(r, &(struct spot){.up = up, .node = item, .phase = AT_START,
                                     .depth = (uint16_t)(s->depth + 1)});
}

/* Behind the first quote of a name: a known one, a new one, or both. */
static void open_name(struct run *r, const struct spot *s, const struct node *n)
{
    struct spot next = *s;
    next.phase = AT_KEY;
    next.at = next.lo = 0;
    next.hi = n->texts.n;
    if (key_left(r->g, &next) < DFA_FAR)
        emit(r, &next);
    next.phase = AT_NEW_KEY;
    next.hi = 0;
    next.bits = NAME_HASH_START;
    if (extra_may_come(r->g, s))
        emit(r, &next);
}

static void step_key(struct run *r, const struct spot *s, const struct node *n)
{
    struct spot next = *s;
    texts_step(&n->texts, s->at, r->byte, &next.lo, &next.hi);
    next.at++;
    if (next.lo == next.hi || key_left(r->g, &next) >= DFA_FAR)
        return;
    if (n->texts.text[next.lo].len == next.at) { /* the end quote: of one name only */
        uint32_t j = n->texts.id[next.lo];
        next.phase = AT_COLON;
        next.lo = n->props[j].node;
        next.hi = j;
        next.at = 0;
    }
    emit(r, &next);
}

static void step_new_key(struct run *r, const struct spot *s, const struct node *n)
{
    struct spot next = *s;
    if (s->at == 0 && r->byte == '"') {
        next.used = is_taken(n, s) ? NULL : remember(r, s->used, s->bits);
        next.phase = AT_COLON;
        next.lo = n->extra;
        next.hi = n->n_props;
        next.bits = 0;
        if (next.used)
            emit(r, &next);
        return;
    }
    if ((s->at == 0 && s->lo >= n->name_max) ||
        !step_character(r, r->g->plain, &next, &next.lo) ||
        (next.at == 0 && next.lo == n->name_max && is_taken(n, &next)))
        return;
    emit(r, &next);
}

static void step_colon(struct run *r, const struct spot *s, const struct node *n)
{
    struct spot around = *s;
    if (r->byte != ':')
        return;
    around.phase = AT_AFTER;
    around.i = s->hi < n->n_props ? s->hi + 1 : n->n_props;
    around.n++;
    around.lo = around.hi = 0;
    start(r, push(r, &around), s->lo);
}

static void step_object(struct run *r, const struct spot *s, const struct node *n)
{
    struct spot next = *s;
    switch (s->phase) {
    case AT_FIRST:
    case AT_AFTER:
        if (r->byte == '}' && n->required_from[s->i] == 0)
            end_value(r, s);
        next.phase = AT_NEXT;
        if (s->phase == AT_FIRST && r->byte == '"')
            open_name(r, s, n);
        else if (s->phase == AT_AFTER && r->byte == ',' && next_left(r->g, s) < DFA_FAR)
            emit(r, &next);
        return;
    case AT_NEXT:
        next.phase = AT_NEXT_QUOTE;
        if (r->byte == ' ')
            emit(r, &next);
        /* fall through */
    case AT_NEXT_QUOTE:
        if (r->byte == '"')
            open_name(r, s, n);
        return;
    case AT_KEY:
        step_key(r, s, n);
        return;
    case AT_NEW_KEY:
        step_new_key(r, s, n);
        return;
    default:
        step_colon(r, s, n);
    }
}

/* Numbers and picks may end without a byte of their own. */
static bool may_stop(const struct grammar *g, const struct spot *s)
{
    const struct node *n = node_of(g, s);
    if (s->phase != AT_IN)
        return s->phase == AT_DONE;
    if (n->kind == NODE_DFA)
        return n->dfa->accept[s->at];
    return n->kind == NODE_PICK && s->lo < s->hi && n->texts.text[s->lo].len == s->at &&
           !(s->bits >> n->texts.id[s->lo] & 1);
}

static void step_spot(struct run *r, const struct spot *s)
{
    const struct node *n = node_of(r->g, s);
    struct spot around;
    if (s->phase == AT_DONE)
        return;
    if (s->phase <= AT_START_SPACE) {
        step_start(r, s);
    } else if (n->kind == NODE_STRING || n->kind == NODE_FRESH) {
        step_string(r, s, n);
    } else if (n->kind == NODE_ARRAY) {
        step_array(r, s, n);
    } else if (n->kind == NODE_OBJECT) {
        step_object(r, s, n);
    } else {
        if (n->kind == NODE_DFA)
            step_dfa(r, s, n->dfa);
        else
            step_pick(r, s, n);
        if (may_stop(r->g, s) && s->up && behind(r, s, &around))
            step_spot(r, &around);
    }
}

/* Inside one pattern, and still inside behind the byte: what a walk does most. */
static bool step_inside(const struct grammar *g, const struct spots *from, uint8_t byte,
                        struct spots *to)
{
    const struct spot *s = &from->v[0];
    const struct dfa *d = g->nodes[s->node].dfa;
    if (from->n != 1 || s->phase != AT_IN || !d || d->accept[s->at])
        return false;
    uint32_t next = dfa_step(d, s->at, byte);
    if (next != DFA_NONE && d->accept[next])
        return false;
    to->n = next != DFA_NONE;
    if (to->n) {
        to->v[0] = *s;
        to->v[0].at = next;
    }
    return true;
}

bool spots_step(const struct grammar *g, struct pool *p, const struct spots *from, uint32_t spare,
                uint8_t byte, struct spots *to)
{
    struct run r = {g, p, to, 0, false, byte};
    if (step_inside(g, from, byte, to))
        return true;
    to->n = 0;
    for (uint32_t i = 0; i < from->n; i++) {
        uint32_t kept = spare + from->n - i - 1; /* one for each that follows */
        r.room = kept < SPOTS_MAX ? SPOTS_MAX - kept : 0;
        step_spot(&r, &from->v[i]);
    }
    return !r.cut;
}

bool spots_whole(const struct grammar *g, const struct spots *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (!s->v[i].up && may_stop(g, &s->v[i]))
            return true;
    return false;
}

/* ---- states ---- */

static const struct used *copy_used(struct pool *p, const struct used *u)
{
    uint64_t hashes[WORDS_MAX];
    uint32_t n = 0;
    const struct used *kept = NULL;
    for (; u && n < WORDS_MAX; u = u->prev)
        hashes[n++] = u->hash;
    for (uint32_t i = n; i-- > 0;) {
        struct used *next = grammar_pool_alloc(p, sizeof(*next));
        if (!next)
            return NULL;
        *next = (struct used){kept, hashes[i], n - i};
        kept = next;
    }
    return kept;
}

/* The cells below `up`, in another pool. */
static bool copy_cells(struct pool *p, const struct cell *up, const struct cell **out)
{
    const struct cell *chain[DEPTH_MAX + 2];
    uint32_t n = 0;
    const struct cell *kept = NULL;
    for (; up && n < DEPTH_MAX + 2; up = up->s.up)
        chain[n++] = up;
    while (n-- > 0) {
        struct cell *c = grammar_pool_alloc(p, sizeof(*c));
        if (!c)
            return false;
        *c = *chain[n];
        c->s.up = kept;
        if (c->s.used && !(c->s.used = copy_used(p, c->s.used)))
            return false;
        kept = c;
    }
    *out = kept;
    return true;
}

/* Cells that spots share stay shared, as spots are told apart by them. */
static bool copy_spots(struct pool *p, const struct spots *from, struct spots *to)
{
    for (uint32_t i = 0; i < from->n; i++) {
        struct spot s = from->v[i];
        uint32_t k = 0;
        while (k < i && from->v[k].up != s.up)
            k++;
        if (k < i)
            s.up = to->v[k].up;
        else if (!copy_cells(p, s.up, &s.up))
            return false;
        if (s.used && !(s.used = copy_used(p, s.used)))
            return false;
        to->v[i] = s;
    }
    to->n = from->n;
    return true;
}

enum err_code gstate_new(const struct grammar *g, struct gstate **out, struct err *err)
{
    struct gstate *s = calloc(1, sizeof(*s));
    *out = NULL;
    if (s) {
        s->g = g;
        s->walker = calloc(1, sizeof(*s->walker));
        s->now.v = calloc(SPOTS_MAX, sizeof(*s->now.v));
    }
    if (!s || !s->walker || !s->now.v) {
        gstate_free(s);
        return err_set(err, ERR_NOMEM, "a place in a grammar");
    }
    s->now.v[0] = (struct spot){.node = g->root, .phase = AT_START};
    s->now.n = 1;
    *out = s;
    return OK;
}

void gstate_free(struct gstate *s)
{
    if (!s)
        return;
    grammar_pool_free(&s->pool);
    grammar_pool_free(&s->spare);
    for (int i = 0; s->walker && i <= TOKEN_BYTES_MAX; i++)
        free(s->walker->level[i]);
    if (s->walker)
        grammar_pool_free(&s->walker->pool);
    free(s->walker);
    free(s->now.v);
    free(s);
}

enum err_code gstate_copy(struct gstate *to, const struct gstate *from, struct err *err)
{
    grammar_pool_empty(&to->spare);
    struct spot v[SPOTS_MAX];
    struct spots now = {v, 0};
    if (!copy_spots(&to->spare, &from->now, &now))
        return err_set(err, ERR_NOMEM, "a place in a grammar");
    struct pool was = to->pool;
    to->pool = to->spare;
    to->spare = was;
    to->live = to->pool.total;
    to->g = from->g;
    to->now.n = now.n;
    memcpy(to->now.v, v, now.n * sizeof(*v));
    return OK;
}

/* Cells pile up behind each value: what is still needed moves to a fresh pool. */
static void tidy(struct gstate *s)
{
    if (s->pool.total > 4 * s->live + BLOCK_BYTES)
        gstate_copy(s, s, NULL); /* without memory: another time */
}

bool gstate_take(struct gstate *s, struct str bytes)
{
    struct spot a[SPOTS_MAX], b[SPOTS_MAX];
    struct spots from = {a, s->now.n}, to = {b, 0};
    struct mark m = grammar_pool_mark(&s->pool);
    size_t total = s->pool.total;
    memcpy(a, s->now.v, s->now.n * sizeof(*a));
    for (size_t i = 0; i < bytes.len && from.n; i++) {
        spots_step(s->g, &s->pool, &from, 0, (uint8_t)bytes.ptr[i], &to);
        struct spots swap = from;
        from = to;
        to = swap;
    }
    if (from.n == 0) {
        grammar_pool_release(&s->pool, m);
        s->pool.total = total;
        return false;
    }
    memcpy(s->now.v, from.v, from.n * sizeof(*a));
    s->now.n = from.n;
    tidy(s);
    return true;
}

bool gstate_may_end(const struct gstate *s)
{
    return spots_whole(s->g, &s->now);
}

bool gstate_must_end(const struct gstate *s)
{
    if (!gstate_may_end(s))
        return false;
    struct spot b[SPOTS_MAX];
    struct spots to = {b, 0};
    for (int byte = 0; byte < 256; byte++) {
        grammar_pool_release(&s->walker->pool, (struct mark){0});
        spots_step(s->g, &s->walker->pool, &s->now, 0, (uint8_t)byte, &to);
        if (to.n)
            return false;
    }
    return true;
}
