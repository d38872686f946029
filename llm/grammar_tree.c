/* llm/grammar_tree.c - conjunctions become choices, one after the other from a list of
 * work, so that no schema is deeper than the stack; and the whole is looked over. */
#include <stdlib.h>
#include <string.h>
#include "llm/grammar_build.h"
#include "llm/grammar_pattern.h"

#define BRANCHES_MAX 40 /* of a oneOf: pairs grow with the square */
#define FLAT_MAX     1000000

/* ---- choices ---- */

static enum err_code become_choice(struct build *b, uint32_t node, const uint32_t *of, uint32_t n)
{
    uint32_t *kept = arena_alloc(&b->g->mem, n + 1, sizeof(*kept));
    if (!kept)
        return err_set(b->err, ERR_NOMEM, "a choice of %u", n);
    memcpy(kept, of, n * sizeof(*kept));
    b->g->nodes[node].kind = NODE_CHOICE;
    b->g->nodes[node].of = kept;
    b->g->nodes[node].n_of = n;
    return OK;
}

/* That the branches i and k of a oneOf exclude each other is looked at last. */
static enum err_code add_pair(struct build *b, const struct together *t, const json_t *list, int i,
                              int k, const json_t *at)
{
    struct together both = *t;
    both.strict = true;
    grammar_together_add(&both, json_array_get(list, (size_t)i));
    grammar_together_add(&both, json_array_get(list, (size_t)k));
    if (b->n_pairs == b->cap_pairs) {
        uint32_t cap = b->cap_pairs ? 2 * b->cap_pairs : 32;
        void *p = reallocarray(b->pairs, cap, sizeof(*b->pairs));
        if (!p)
            return err_set(b->err, ERR_NOMEM, "a oneOf");
        b->pairs = p;
        b->cap_pairs = cap;
    }
    struct pair *p = &b->pairs[b->n_pairs++];
    *p = (struct pair){.at = at, .a = i, .b = k};
    uint32_t node;
    enum err_code rc = grammar_build_later(b, &both, &node);
    b->pairs[b->n_pairs - 1].node = node;
    return rc;
}

static enum err_code take_branches(struct build *b, struct together *t, int i, unsigned which,
                                   uint32_t node)
{
    const json_t *at = t->m[i].s;
    const json_t *list = json_object_get(at, which == TAKEN_ANY ? "anyOf" : "oneOf");
    int n = (int)json_array_size(list);
    enum err_code rc = OK;
    t->m[i].taken |= which;
    if (which == TAKEN_ONE && n > BRANCHES_MAX)
        return grammar_build_refuse(b, at, "oneOf", "is supported with up to 40 branches");
    uint32_t *of = calloc((size_t)n + 1, sizeof(*of));
    if (!of)
        return err_set(b->err, ERR_NOMEM, "a choice of %d", n);
    for (int k = 0; k < n && !rc; k++) {
        struct together one = *t;
        grammar_together_add(&one, json_array_get(list, (size_t)k));
        rc = grammar_build_later(b, &one, &of[k]);
    }
    for (int k = 1; which == TAKEN_ONE && !t->strict && k < n && !rc; k++)
        for (int j = 0; j < k && !rc; j++)
            rc = add_pair(b, t, list, j, k, at);
    rc = rc ? rc : become_choice(b, node, of, (uint32_t)n);
    free(of);
    return rc;
}

/* null, or true and false: the same automaton everywhere. */
static enum err_code build_constant(struct build *b, int which, uint32_t *out)
{
    struct str all[] = {STR("null"), STR("true"), STR("false")};
    uint32_t ids[] = {0, 1};
    struct texts t = {which ? all + 1 : all, ids, which ? 2 : 1};
    enum err_code rc = OK;
    if (b->constants[which] == NO_NODE)
        rc = grammar_build_literals(b, &t, &b->constants[which]);
    *out = b->constants[which];
    return rc;
}

static enum err_code build_typed(struct build *b, struct together *t, int types, uint32_t node)
{
    uint32_t of[6], n = 0;
    enum err_code rc = OK;
    if (types & TYPE_STRING)
        rc = grammar_build_string(b, t, &of[n++]);
    if (!rc && types & (TYPE_INTEGER | TYPE_REAL))
        rc = grammar_build_number(b, t, !(types & TYPE_REAL), &of[n++]);
    if (!rc && types & TYPE_OBJECT)
        rc = grammar_build_object(b, t, &of[n++]);
    if (!rc && types & TYPE_ARRAY)
        rc = grammar_build_array(b, t, &of[n++]);
    if (!rc && types & TYPE_BOOLEAN)
        rc = build_constant(b, 1, &of[n++]);
    if (!rc && types & TYPE_NULL)
        rc = build_constant(b, 0, &of[n++]);
    return rc ? rc : become_choice(b, node, of, n);
}

/* enum or const: the values that satisfy all the rest, choices too. */
static enum err_code build_listed(struct build *b, struct together *t, struct texts *values,
                                  uint32_t node)
{
    const json_t *v, *at = grammar_together_find(t, "const", &v);
    bool constant = v != NULL;
    uint32_t one;
    at = constant ? at : grammar_together_find(t, "enum", &v);
    if (values->n == 0) {
        b->g->nodes[node].why = grammar_build_why(b, at, constant ? "const" : "enum",
                                                  "has no value that satisfies the rest");
        return OK;
    }
    enum err_code rc = grammar_build_literals(b, values, &one);
    return rc ? rc : become_choice(b, node, &one, 1);
}

static enum err_code build_plain(struct build *b, struct together *t, uint32_t node)
{
    const json_t *v;
    int types = grammar_build_types(t);
    if (!types) {
        const json_t *at = grammar_together_find(t, "type", &v);
        b->g->nodes[node].why =
            grammar_build_why(b, at, "type", "leaves no type that all schemas here allow");
        return OK;
    }
    return build_typed(b, t, types, node);
}

static enum err_code build_one(struct build *b, const struct memo *m)
{
    struct together t = {.n = m->n, .strict = m->strict};
    uint32_t node = m->node;
    memcpy(t.m, m->m, (size_t)m->n * sizeof(t.m[0]));
    for (int i = 0; i < t.n; i++)
        if (json_is_false(t.m[i].s)) {
            b->g->nodes[node].why =
                grammar_build_why(b, t.m[i].s, NULL, "is false: nothing satisfies it");
            return OK;
        }
    struct texts values;
    bool any;
    enum err_code rc = grammar_build_values(b, &t, &any, &values);
    if (rc || any)
        return rc ? rc : build_listed(b, &t, &values, node);
    for (int i = 0; i < t.n; i++) {
        if (json_object_get(t.m[i].s, "anyOf") && !(t.m[i].taken & TAKEN_ANY))
            return take_branches(b, &t, i, TAKEN_ANY, node);
        if (json_object_get(t.m[i].s, "oneOf") && !(t.m[i].taken & TAKEN_ONE))
            return take_branches(b, &t, i, TAKEN_ONE, node);
    }
    return build_plain(b, &t, node);
}

/* ---- the whole ---- */

struct flatten {
    struct grammar *g;
    uint32_t *mark, *stack, *list, stamp, n;
};

/* What a choice comes to, through choices in choices. */
static void find_leaves(struct flatten *f, uint32_t node)
{
    uint32_t n = 0;
    f->n = 0;
    f->stamp++;
    f->stack[n++] = node;
    f->mark[node] = f->stamp;
    while (n) {
        const struct node *at = &f->g->nodes[f->stack[--n]];
        for (uint32_t i = at->n_of; i-- > 0;) {
            uint32_t k = at->of[i];
            if (f->mark[k] == f->stamp)
                continue;
            f->mark[k] = f->stamp;
            f->stack[n++] = k;
        }
        if (at->kind != NODE_CHOICE)
            f->list[f->n++] = (uint32_t)(at - f->g->nodes);
    }
}

static enum err_code flatten_choices(struct build *b)
{
    struct grammar *g = b->g;
    size_t n = g->n + 1, total = 0;
    enum err_code rc = OK;
    uint32_t *room = calloc(3 * n, sizeof(*room));
    uint32_t **flat = calloc(n, sizeof(*flat));
    struct flatten f = {g, room, room + n, room + 2 * n, 0, 0};
    uint32_t *counts = calloc(n, sizeof(*counts));
    bool good = room && flat && counts;
    for (uint32_t i = 0; i < g->n && good && !rc; i++) {
        if (g->nodes[i].kind != NODE_CHOICE)
            continue;
        find_leaves(&f, i);
        total += f.n;
        if (total > FLAT_MAX)
            rc = err_set(b->err, ERR_LIMIT, "a schema of more than %d alternatives", FLAT_MAX);
        else if (!(flat[i] = arena_alloc(&g->mem, f.n + 1, sizeof(**flat))))
            rc = err_set(b->err, ERR_NOMEM, "a schema");
        else
            memcpy(flat[i], f.list, f.n * sizeof(**flat));
        counts[i] = f.n;
    }
    for (uint32_t i = 0; i < g->n && good && !rc; i++)
        if (flat[i]) {
            g->nodes[i].of = flat[i];
            g->nodes[i].n_of = counts[i];
        }
    if (!good)
        rc = err_set(b->err, ERR_NOMEM, "a schema");
    free(room);
    free(flat);
    free(counts);
    return rc;
}

/* Why nothing satisfies a node: the first reason on the way down. */
static const char *reason(const struct grammar *g, uint32_t node, int depth)
{
    const struct node *n = &g->nodes[node];
    const char *why = NULL;
    if (n->height < DFA_FAR || depth > DEPTH_MAX)
        return NULL;
    for (uint32_t i = 0; i < n->n_of && !why; i++)
        why = reason(g, n->of[i], depth + 1);
    for (uint32_t i = 0; i < n->n_props && !why; i++)
        if (n->props[i].required)
            why = reason(g, n->props[i].node, depth + 1);
    for (uint32_t i = 0; n->kind == NODE_ARRAY && i < n->min && i <= n->n_prefix && !why; i++)
        why = reason(g, i < n->n_prefix ? n->prefix[i] : n->items, depth + 1);
    return why ? why : n->why;
}

static bool recursive(const struct grammar *g, uint32_t node, int depth)
{
    const struct node *n = &g->nodes[node];
    if (n->height < DFA_FAR)
        return false;
    if (depth > DEPTH_MAX)
        return true;
    for (uint32_t i = 0; i < n->n_of; i++)
        if (recursive(g, n->of[i], depth + 1))
            return true;
    for (uint32_t i = 0; i < n->n_props; i++)
        if (n->props[i].required && g->nodes[n->props[i].node].height >= DFA_FAR)
            return recursive(g, n->props[i].node, depth + 1);
    return n->kind == NODE_ARRAY && n->min &&
           recursive(g, n->n_prefix ? n->prefix[0] : n->items, depth + 1);
}

static enum err_code check_whole(struct build *b)
{
    const struct grammar *g = b->g;
    const struct node *root = &g->nodes[g->root];
    for (uint32_t i = 0; i < b->n_pairs; i++) {
        char why[80];
        snprintf(why, sizeof(why), "branches %d and %d can both hold: need ones that cannot",
                 b->pairs[i].a, b->pairs[i].b);
        if (g->nodes[b->pairs[i].node].height < DFA_FAR)
            return grammar_build_refuse(b, b->pairs[i].at, "oneOf", why);
    }
    if (root->height >= DFA_FAR) {
        if (recursive(g, g->root, 0))
            return grammar_build_refuse(b, b->root, "$ref",
                                        "needs itself: no value ends, or none within 32 levels");
        const char *why = reason(g, g->root, 0);
        return err_set(b->err, ERR_ARG, "%s", why ? why : "/: nothing satisfies this schema");
    }
    if (root->len > TEXT_MAX)
        return err_set(b->err, ERR_ARG,
                       "/: the shortest text of this schema has more than 4 Mi bytes");
    return OK;
}

static enum err_code build_characters(struct build *b)
{
#define UTF8_TAIL "[\\x80-\\xbf]"
#define RAW                                                                                        \
    "[ !#-\\[\\]-\\x7f]|[\\xc2-\\xdf]" UTF8_TAIL "|\\xe0[\\xa0-\\xbf]" UTF8_TAIL                   \
    "|[\\xe1-\\xec\\xee\\xef]" UTF8_TAIL "{2}|\\xed[\\x80-\\x9f]" UTF8_TAIL                        \
    "|\\xf0[\\x90-\\xbf]" UTF8_TAIL "{2}|[\\xf1-\\xf3]" UTF8_TAIL "{3}"                            \
    "|\\xf4[\\x80-\\x8f]" UTF8_TAIL "{2}"
#define HEX "[0-9a-fA-F]"
#define ESCAPED                                                                                    \
    "\\\\(?:[\"\\\\/bfnrt]|u(?:[1-9a-cA-CefEF]" HEX "{3}|[dD][0-7]" HEX "{2}"                      \
    "|0(?:[1-9a-fA-F]" HEX "{2}|0(?:[1-9a-fA-F]" HEX "|0[1-9a-fA-F]))"                             \
    "|[dD][89abAB]" HEX "{2}\\\\u[dD][c-fC-F]" HEX "{2}))"
    enum err_code rc = pattern_make(STR("^(?:" RAW "|" ESCAPED ")$"), &b->g->letter, b->err);
    return rc ? rc : pattern_make(STR("^(?:" RAW ")$"), &b->g->plain, b->err);
}

static enum err_code build_all(struct build *b)
{
    struct together t = {.n = 0};
    enum err_code rc = build_characters(b);
    grammar_together_add(&t, b->root);
    rc = rc ? rc : grammar_build_later(b, &t, &b->g->root);
    for (uint32_t i = 0; i < b->n_memos && !rc; i++) {
        struct memo m = b->memos[i]; /* the list grows meanwhile */
        rc = build_one(b, &m);
    }
    rc = rc ? rc : flatten_choices(b);
    rc = rc ? rc : grammar_finish(b->g, NULL, b->err);
    return rc ? rc : check_whole(b);
}

enum err_code grammar_schema(const json_t *schema, struct grammar **out, struct err *err)
{
    struct err scrap;
    struct build b = {
        .root = schema, .err = err ? err : &scrap, .constants = {NO_NODE, NO_NODE, NO_NODE}};
    struct buf text = {.max = GRAMMAR_SCHEMA_BYTES_MAX};
    *out = NULL;
    json_write(&text, schema);
    bool small = !text.failed;
    buf_free(&text);
    if (!small)
        return err_set(err, ERR_ARG, "/: a schema of more than %d bytes", GRAMMAR_SCHEMA_BYTES_MAX);
    b.g = calloc(1, sizeof(*b.g));
    if (!b.g)
        return err_set(err, ERR_NOMEM, "a grammar");
    enum err_code rc = build_all(&b);
    free(b.memos);
    free(b.pairs);
    if (rc)
        grammar_free(b.g);
    else
        *out = b.g;
    return rc;
}

enum err_code grammar_json(struct grammar **out, struct err *err)
{
    json_t *any = json_object();
    *out = NULL;
    if (!any || json_object_set_new(any, "type", json_string("object"))) {
        json_decref(any);
        return err_set(err, ERR_NOMEM, "a grammar");
    }
    enum err_code rc = grammar_schema(any, out, err);
    json_decref(any);
    return rc;
}

void grammar_free(struct grammar *g)
{
    if (!g)
        return;
    for (uint32_t i = 0; i < g->n_dfas; i++)
        dfa_free(g->dfas[i]);
    dfa_free(g->letter);
    dfa_free(g->plain);
    free(g->dfas);
    free(g->nodes);
    arena_deinit(&g->mem);
    free(g);
}
