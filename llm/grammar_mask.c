/* llm/grammar_mask.c - which tokens may come next.
 *
 * The vocabulary is a trie, walked with the spots of a state: a byte that cannot
 * follow cuts off all tokens behind it. Inside a plain string nearly everything may
 * follow, so tokens that are whole characters without quote or backslash lie ready
 * as sets, by their count of characters, and only the others are walked. */
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "llm/grammar_spot.h"

#define ROOM_MAX 24 /* characters of a token that is in a set */

struct trie_node {
    uint32_t end, token;
    uint8_t byte, depth;
};
/* In preorder; a node's tokens are tokens[node.token .. next node.token). */
struct trie {
    struct trie_node *nodes;
    int32_t *tokens;
    uint32_t n, n_tokens;
};

struct gtrie {
    struct trie all, other;       /* other: those that are in no set */
    uint64_t *room[ROOM_MAX + 1]; /* tokens of at most that many characters */
    int32_t *ends;
    uint32_t n_ends;
    size_t words;  /* of a mask */
    bool has[256]; /* bytes that are tokens */
};

/* ---- the trie ---- */

struct piece {
    struct str text;
    int32_t id;
};

static int by_bytes(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    size_t n = x->text.len < y->text.len ? x->text.len : y->text.len;
    int c = memcmp(x->text.ptr, y->text.ptr, n);
    if (c == 0)
        c = (x->text.len > y->text.len) - (x->text.len < y->text.len);
    return c ? c : (x->id > y->id) - (x->id < y->id);
}

static size_t shared(struct str a, struct str b)
{
    size_t n = 0;
    while (n < a.len && n < b.len && a.ptr[n] == b.ptr[n])
        n++;
    return n;
}

static bool trie_make(struct trie *t, const struct piece *p, size_t n)
{
    uint32_t open[TOKEN_BYTES_MAX]; /* nodes on the way to the last one */
    size_t nodes = 1, depth = 0;
    for (size_t i = 0; i < n; i++)
        nodes += p[i].text.len - (i ? shared(p[i - 1].text, p[i].text) : 0);
    t->nodes = calloc(nodes, sizeof(*t->nodes));
    t->tokens = calloc(n + 1, sizeof(*t->tokens));
    if (!t->nodes || !t->tokens)
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t same = i ? shared(p[i - 1].text, p[i].text) : 0;
        for (; depth > same; depth--)
            t->nodes[open[depth - 1]].end = t->n;
        for (; depth < p[i].text.len; depth++) {
            open[depth] = t->n;
            t->nodes[t->n++] = (struct trie_node){0, t->n_tokens, (uint8_t)p[i].text.ptr[depth],
                                                  (uint8_t)(depth + 1)};
        }
        t->tokens[t->n_tokens++] = p[i].id;
    }
    for (; depth > 0; depth--)
        t->nodes[open[depth - 1]].end = t->n;
    t->nodes[t->n].token = t->n_tokens;
    return true;
}

/* Characters of a text that a string takes as it is; 0: it is not such a text. */
static size_t plain_characters(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((uint8_t)s.ptr[i] < 0x20 || s.ptr[i] == '"' || s.ptr[i] == '\\')
            return 0;
    return utf8_valid(s) ? utf8_count(s) : 0;
}

static bool fill(struct gtrie *t, const struct vocab *v, struct piece *p, struct piece *other)
{
    size_t n = 0, n_other = 0;
    for (int32_t id = 0; id < vocab_size(v); id++) {
        struct str text = vocab_text(v, id);
        if (vocab_is_end(v, id))
            t->ends[t->n_ends++] = id;
        if (vocab_is_control(v, id) || vocab_is_end(v, id) || text.len == 0 ||
            text.len > TOKEN_BYTES_MAX || vocab_kind(v, id) == VOCAB_UNUSED)
            continue;
        size_t characters = plain_characters(text);
        p[n++] = (struct piece){text, id};
        if (text.len == 1)
            t->has[(uint8_t)text.ptr[0]] = true;
        if (characters == 0 || characters > ROOM_MAX)
            other[n_other++] = p[n - 1];
        for (size_t k = characters; k > 0 && k <= ROOM_MAX; k++)
            t->room[k][id / 64] |= UINT64_C(1) << (id % 64);
    }
    qsort(p, n, sizeof(*p), by_bytes);
    qsort(other, n_other, sizeof(*other), by_bytes);
    return trie_make(&t->all, p, n) && trie_make(&t->other, other, n_other);
}

enum err_code gtrie_new(const struct vocab *v, struct gtrie **out, struct err *err)
{
    size_t n = (size_t)vocab_size(v);
    struct gtrie *t = calloc(1, sizeof(*t));
    struct piece *p = calloc(2 * n + 1, sizeof(*p));
    bool good = t && p;
    *out = NULL;
    if (good) {
        t->words = (n + 63) / 64;
        t->ends = calloc(n + 1, sizeof(*t->ends));
        good = t->ends;
    }
    for (int i = 1; i <= ROOM_MAX && good; i++) {
        t->room[i] = calloc(t->words, sizeof(**t->room));
        good = t->room[i];
    }
    good = good && fill(t, v, p, p + n);
    free(p);
    if (!good) {
        gtrie_free(t);
        return err_set(err, ERR_NOMEM, "a trie of %zu tokens", n);
    }
    *out = t;
    return OK;
}

void gtrie_free(struct gtrie *t)
{
    if (!t)
        return;
    for (int i = 0; i <= ROOM_MAX; i++)
        free(t->room[i]);
    free(t->all.nodes);
    free(t->all.tokens);
    free(t->other.nodes);
    free(t->other.tokens);
    free(t->ends);
    free(t);
}

enum err_code grammar_fit(struct grammar *g, const struct gtrie *t, struct err *err)
{
    static const char signs[] = "{}[]\":,0123456789truefalsn";
    struct buf lacks = {0};
    enum err_code rc = grammar_finish(g, t->has, err);
    if (rc || g->nodes[g->root].height < DFA_FAR)
        return rc;
    for (const char *c = signs; *c; c++)
        if (!t->has[(uint8_t)*c] && !memchr(lacks.ptr ? lacks.ptr : "", *c, lacks.len))
            buf_char(&lacks, *c);
    rc = err_set(err, ERR_ARG, "the model's vocabulary cannot write this schema's JSON%s%s",
                 lacks.len ? ", it lacks " : "", lacks.len ? lacks.ptr : "");
    buf_free(&lacks);
    return rc;
}

/* ---- the walk ---- */

struct search {
    const struct grammar *g;
    struct walker *w;
    uint64_t *allowed;   /* NULL: only `best` is wanted */
    int32_t bound, best; /* bytes to the end that a token may leave */
    uint32_t spare;
    bool strict; /* a way that was cut is no way */
};

static struct spots level_of(struct walker *w, int depth)
{
    if (!w->level[depth])
        w->level[depth] = malloc(SPOTS_MAX * sizeof(**w->level));
    return (struct spots){w->level[depth], w->n[depth]};
}

/* Stand at `depth` behind one byte more. */
static bool walk_byte(struct search *s, int depth, uint8_t byte)
{
    struct walker *w = s->w;
    struct spots from = level_of(w, depth - 1), to = level_of(w, depth);
    if (!to.v)
        return false;
    grammar_pool_release(&w->pool, w->mark[depth - 1]);
    bool whole = grammar_spots_step(s->g, &w->pool, &from, s->spare, byte, &to);
    w->n[depth] = to.n;
    w->mark[depth] = grammar_pool_mark(&w->pool);
    return to.n > 0 && (whole || !s->strict);
}

static void walk_tokens(struct search *s, const struct trie *t, const struct trie_node *node)
{
    struct spots at = level_of(s->w, node->depth);
    int32_t d = grammar_spots_dist(s->g, &at);
    s->best = d < s->best ? d : s->best;
    for (uint32_t k = node->token; s->allowed && d <= s->bound && k < node[1].token; k++)
        s->allowed[t->tokens[k] / 64] |= UINT64_C(1) << (t->tokens[k] % 64);
}

static void walk(struct search *s, const struct trie *t, const struct spot *v, uint32_t n)
{
    struct spots start = level_of(s->w, 0);
    if (!start.v)
        return;
    memcpy(start.v, v, n * sizeof(*v));
    s->w->n[0] = n;
    s->w->mark[0] = (struct mark){0};
    for (uint32_t i = 0; i < t->n && n;) {
        const struct trie_node *node = &t->nodes[i];
        if (!walk_byte(s, node->depth, node->byte)) {
            i = node->end;
            continue;
        }
        if (node[1].token > node->token)
            walk_tokens(s, t, node);
        i++;
    }
}

/* ---- the mask ---- */

/* Characters that may follow at a spot inside a string, if that is where it is and
 * no matter which characters they are; -1: it is not. */
static int string_room(const struct grammar *g, const struct spot *s)
{
    const struct node *n = &g->nodes[s->node];
    uint32_t room;
    if (s->at != 0)
        return -1;
    if (s->phase == AT_IN && n->kind == NODE_STRING)
        room = n->max - s->n;
    else if (s->phase == AT_IN && n->kind == NODE_FRESH)
        room = n->max - s->n;
    else if (s->phase == AT_NEW_KEY)
        room = n->name_max - s->lo;
    else
        return -1;
    if (n->kind != NODE_STRING) { /* the last one must make it new: tried one by one, and left out
                                     where it ends a longer token */
        if (room == 1)
            return -1;
        room -= room > 0;
    }
    return room > ROOM_MAX ? ROOM_MAX : (int)room;
}

static bool is_empty(const uint64_t *allowed, size_t words)
{
    for (size_t i = 0; i < words; i++)
        if (allowed[i])
            return false;
    return true;
}

/* Strings by sets, the rest by walks. */
static void mask_quick(struct search *s, const struct gtrie *t, const struct spots *now)
{
    struct spot rest[SPOTS_MAX];
    uint32_t n = 0;
    int room = 0;
    for (uint32_t i = 0; i < now->n; i++) {
        int r = string_room(s->g, &now->v[i]);
        int32_t d = grammar_spots_dist(s->g, &(struct spots){&now->v[i], 1});
        if (r >= 0 && d >= s->bound)
            r = -1; /* a character is no step to the end, and a name may turn out taken */
        if (r < 0)
            rest[n++] = now->v[i];
        room = r > room ? r : room;
    }
    for (size_t i = 0; i < t->words && room > 0; i++)
        s->allowed[i] |= t->room[room][i];
    walk(s, &t->other, now->v, now->n);
    s->spare = now->n - n;
    s->strict = true;
    if (n)
        walk(s, &t->all, rest, n);
    s->spare = 0;
    s->strict = false;
}

static bool any_string(const struct grammar *g, const struct spots *now)
{
    for (uint32_t i = 0; i < now->n; i++)
        if (string_room(g, &now->v[i]) >= 0)
            return true;
    return false;
}

void gstate_mask(const struct gstate *s, const struct gtrie *t, int left, uint64_t *allowed)
{
    struct search find = {s->g,    s->walker, allowed, left > 0 ? left - 1 : DFA_FAR - 1,
                          DFA_FAR, 0,         false};
    memset(allowed, 0, t->words * sizeof(*allowed));
    bool whole = gstate_may_end(s);
    if (any_string(s->g, &s->now))
        mask_quick(&find, t, &s->now);
    else
        walk(&find, &t->all, s->now.v, s->now.n);
    if (!whole && is_empty(allowed, t->words)) {
        find = (struct search){s->g, s->walker, NULL, 0, DFA_FAR, 0, false};
        walk(&find, &t->all, s->now.v, s->now.n);
        find.bound = find.best < DFA_FAR ? find.best : DFA_FAR - 1; /* the fastest way there is */
        find.allowed = allowed;
        walk(&find, &t->all, s->now.v, s->now.n);
    }
    for (uint32_t i = 0; whole && i < t->n_ends; i++)
        allowed[t->ends[i] / 64] |= UINT64_C(1) << (t->ends[i] % 64);
}
