/* llm/grammar_step.c - one more byte: a spot moves to none, one or several.
 *
 * When ways become more than SPOTS_MAX, each spot keeps its first way on: what
 * is then not taken any more is still never wrong, and a mask, which walks
 * the same steps, says the same. */
#include "llm/grammar_spot.h"

struct run {
    const struct grammar *g;
    struct pool *pool;
    struct spots *to;
    uint32_t room; /* to->n may grow to here */
    bool cut;      /* and did not suffice */
    uint8_t byte;
};

static bool same_spot(const struct spot *a, const struct spot *b)
{
    return a->node == b->node && a->at == b->at && a->phase == b->phase && a->up == b->up &&
           a->i == b->i && a->n == b->n && a->lo == b->lo && a->hi == b->hi && a->bits == b->bits &&
           a->used == b->used;
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
        *c = (struct cell){*s, grammar_spot_dist(r->g, s)};
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
        emit(r, &(struct spot){.up = up,
                               .node = node,
                               .depth = (uint16_t)(up->s.depth + 1),
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
        if (s->n >= n->min && !(fresh && grammar_is_taken(n, s)))
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
    else if (next.at == 0 && next.n == n->max && grammar_is_taken(n, &next))
        return; /* no further character could make it a new one */
    emit(r, &next);
}

static void step_pick(struct run *r, const struct spot *s, const struct node *n)
{
    struct spot next = *s;
    grammar_texts_step(&n->texts, s->at, r->byte, &next.lo, &next.hi);
    next.at++;
    next.phase = AT_IN;
    if (grammar_pick_left(n, &next) >= DFA_FAR)
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
    return s->i < n->max && s->depth + 1 + g->nodes[item_of(n, s->i)].height <= DEPTH_MAX;
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
        step_start(
            r, &(struct spot){
                   .up = up, .node = item, .phase = AT_START, .depth = (uint16_t)(s->depth + 1)});
}

/* Behind the first quote of a name: a known one, a new one, or both. */
static void open_name(struct run *r, const struct spot *s, const struct node *n)
{
    struct spot next = *s;
    next.phase = AT_KEY;
    next.at = next.lo = 0;
    next.hi = n->texts.n;
    if (grammar_key_left(r->g, &next) < DFA_FAR)
        emit(r, &next);
    next.phase = AT_NEW_KEY;
    next.hi = 0;
    next.bits = NAME_HASH_START;
    if (grammar_extra_may_come(r->g, s))
        emit(r, &next);
}

static void step_key(struct run *r, const struct spot *s, const struct node *n)
{
    struct spot next = *s;
    grammar_texts_step(&n->texts, s->at, r->byte, &next.lo, &next.hi);
    next.at++;
    if (next.lo == next.hi || grammar_key_left(r->g, &next) >= DFA_FAR)
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
        next.used = grammar_is_taken(n, s) ? NULL : remember(r, s->used, s->bits);
        next.phase = AT_COLON;
        next.lo = n->extra;
        next.hi = n->n_props;
        next.bits = 0;
        if (next.used)
            emit(r, &next);
        return;
    }
    if ((s->at == 0 && s->lo >= n->name_max) || !step_character(r, r->g->plain, &next, &next.lo) ||
        (next.at == 0 && next.lo == n->name_max && grammar_is_taken(n, &next)))
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
        else if (s->phase == AT_AFTER && r->byte == ',' && grammar_next_left(r->g, s) < DFA_FAR)
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

bool grammar_spots_step(const struct grammar *g, struct pool *p, const struct spots *from,
                        uint32_t spare, uint8_t byte, struct spots *to)
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

bool grammar_spots_whole(const struct grammar *g, const struct spots *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (!s->v[i].up && may_stop(g, &s->v[i]))
            return true;
    return false;
}
