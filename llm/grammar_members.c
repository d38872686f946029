/* llm/grammar_members.c - nodes of arrays and objects: the schemas of their items and
 * members, put together from all that hold at once. */
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "llm/grammar_build.h"

#define PICKS_MAX 64 /* bits of a set */

/* ---- arrays ---- */

static const json_t *first_items(const json_t *s)
{
    const json_t *items = json_object_get(s, "items");
    return json_is_array(items) ? items : json_object_get(s, "prefixItems");
}

static const json_t *further_items(const json_t *s)
{
    const json_t *items = json_object_get(s, "items");
    return json_is_array(items) ? json_object_get(s, "additionalItems") : items;
}

/* Schemas of the k-th item. */
static struct together item_schemas(const struct together *t, size_t k)
{
    struct together out = {.strict = t->strict};
    for (int i = 0; i < t->n; i++) {
        const json_t *first = first_items(t->m[i].s), *other = further_items(t->m[i].s);
        const json_t *s = k < json_array_size(first) ? json_array_get(first, k) : other;
        if (s)
            grammar_together_add(&out, s);
    }
    return out;
}

static const json_t *who_says_unique(const struct together *t)
{
    for (int i = 0; i < t->n; i++)
        if (json_is_true(json_object_get(t->m[i].s, "uniqueItems")))
            return t->m[i].s;
    return NULL;
}

static enum err_code pick_items(struct build *b, struct texts *values, uint32_t *max, uint32_t *out)
{
    enum err_code rc = grammar_build_node(b, NODE_PICK, out);
    if (!rc && !grammar_texts_sort(values))
        rc = err_set(b->err, ERR_NOMEM, "an array");
    *max = *max < values->n ? *max : values->n;
    if (!rc)
        b->g->nodes[*out].texts = *values;
    return rc;
}

static enum err_code fresh_items(struct build *b, const struct together *of, uint32_t *max,
                                 uint32_t *out)
{
    uint32_t least = grammar_together_most(of, "minLength", 0, true);
    uint32_t most = grammar_together_most(of, "maxLength", NO_END, false);
    if (least > most)
        return grammar_build_none(b, NULL, out);
    uint32_t bound = least > FRESH_MAX ? least : FRESH_MAX;
    enum err_code rc = grammar_build_node(b, NODE_FRESH, out);
    if (rc)
        return rc;
    b->g->nodes[*out].min = least;
    b->g->nodes[*out].max = most < bound ? most : bound;
    uint32_t words = most == 0 ? 1 : WORDS_MAX;
    *max = *max < words ? *max : words;
    return OK;
}

/* Items that must differ: listed values, or strings without a pattern. */
static enum err_code unique_items(struct build *b, struct together *of, const json_t *at,
                                  uint32_t *max, uint32_t *out)
{
    static const char *const others[] = {"anyOf", "oneOf", "pattern", "format"};
    struct texts values;
    const json_t *v;
    bool any, plain = true;
    enum err_code rc = grammar_build_open(b, of);
    if (rc || of->never)
        return rc ? rc : grammar_build_none(b, NULL, out);
    for (int i = 0; i < 4; i++) {
        grammar_together_find(of, others[i], &v);
        plain = plain && !v;
    }
    rc = grammar_build_values(b, of, &any, &values);
    if (rc)
        return rc;
    struct str truths[] = {STR("false"), STR("true")};
    uint32_t ids[] = {0, 1};
    if (!any && plain && grammar_build_types(of) == TYPE_BOOLEAN) {
        values = (struct texts){arena_alloc(&b->g->mem, 2, sizeof(struct str)),
                                arena_alloc(&b->g->mem, 2, sizeof(uint32_t)), 2};
        if (!values.text || !values.id)
            return err_set(b->err, ERR_NOMEM, "an array");
        memcpy(values.text, truths, sizeof(truths));
        memcpy(values.id, ids, sizeof(ids));
        any = true;
    }
    if (any && values.n <= PICKS_MAX)
        return pick_items(b, &values, max, out);
    if (!any && plain && grammar_build_types(of) == TYPE_STRING)
        return fresh_items(b, of, max, out);
    return grammar_build_refuse(
        b, at, "uniqueItems",
        "is supported for up to 64 listed values and for strings without a pattern");
}

static enum err_code build_items(struct build *b, struct together *t, uint32_t n_prefix,
                                 uint32_t *prefix, uint32_t *max, uint32_t *items)
{
    enum err_code rc = OK;
    const json_t *unique = t->strict || *max <= 1 ? NULL : who_says_unique(t);
    for (uint32_t k = 0; k < n_prefix && !rc; k++) {
        struct together of = item_schemas(t, k);
        rc = grammar_build_later(b, &of, &prefix[k]);
    }
    struct together of = item_schemas(t, n_prefix);
    if (rc)
        return rc;
    if (!unique)
        return grammar_build_later(b, &of, items);
    if (n_prefix)
        return grammar_build_refuse(b, unique, "uniqueItems",
                                    "is not supported beside `prefixItems`");
    return unique_items(b, &of, unique, max, items);
}

enum err_code grammar_build_array(struct build *b, struct together *t, uint32_t *out)
{
    uint32_t min = grammar_together_most(t, "minItems", 0, true), n_prefix = 0, items;
    uint32_t max = grammar_together_most(t, "maxItems", NO_END, false);
    const json_t *v, *at = grammar_together_find(t, "minItems", &v);
    if (min > max)
        return grammar_build_none(
            b, grammar_build_why(b, at, "minItems", "is more than `maxItems`"), out);
    for (int i = 0; i < t->n; i++) {
        size_t n = json_array_size(first_items(t->m[i].s));
        n_prefix = n > n_prefix ? (uint32_t)n : n_prefix;
    }
    uint32_t *prefix = arena_alloc(&b->g->mem, n_prefix + 1, sizeof(*prefix));
    if (!prefix)
        return err_set(b->err, ERR_NOMEM, "an array");
    uint32_t most = max;
    enum err_code rc = build_items(b, t, n_prefix, prefix, &most, &items);
    if (!rc && min > most)
        return grammar_build_none(
            b, grammar_build_why(b, at, "minItems", "is more than there are different items"), out);
    if (!rc)
        rc = grammar_build_node(b, NODE_ARRAY, out);
    if (rc)
        return rc;
    struct node *n = &b->g->nodes[*out];
    n->prefix = prefix;
    n->n_prefix = n_prefix;
    n->items = items;
    n->min = min;
    n->max = most;
    n->why = grammar_build_why(b, at, min ? "minItems" : "items",
                               "asks for items that nothing satisfies");
    return OK;
}

/* ---- objects ---- */

/* Schemas of a member; name NULL: one that no `properties` knows. */
static struct together member_schemas(const struct together *t, const char *name, bool *required)
{
    struct together out = {.strict = t->strict};
    *required = false;
    for (int i = 0; i < t->n; i++) {
        const json_t *s = t->m[i].s, *one;
        const json_t *p = name ? json_object_get(json_object_get(s, "properties"), name) : NULL;
        size_t k;
        p = p ? p : json_object_get(s, "additionalProperties");
        if (p)
            grammar_together_add(&out, p);
        json_array_foreach(json_object_get(s, "required"), k, one)
            *required = *required || (name && strcmp(json_string_value(one), name) == 0);
    }
    return out;
}

static bool add_name(json_t *names, const char *name)
{
    return json_object_get(names, name) || json_object_set_new(names, name, json_true()) == 0;
}

/* All names in the order they are written in. */
static json_t *member_names(const struct together *t)
{
    json_t *names = json_object(), *v;
    bool good = names != NULL;
    const char *key;
    size_t k;
    for (int i = 0; i < t->n && good; i++)
        json_object_foreach(json_object_get(t->m[i].s, "properties"), key, v)
            good = good && add_name(names, key);
    for (int i = 0; i < t->n && good; i++)
        json_array_foreach(json_object_get(t->m[i].s, "required"), k, v)
            good = good && add_name(names, json_string_value(v));
    if (!good)
        json_decref(names);
    return good ? names : NULL;
}

static int by_hash(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t hash_name(struct str s)
{
    uint64_t h = NAME_HASH_START;
    for (size_t i = 0; i < s.len; i++)
        h = name_hash(h, (uint8_t)s.ptr[i]);
    return h;
}

/* The name as JSON without its first quote. */
static struct str key_text(struct build *b, struct str name)
{
    json_t *v = json_text(name);
    char *text = v ? json_dumps(v, JSON_ENCODE_ANY) : NULL;
    struct str kept = text ? arena_str(&b->g->mem, str_of(text + 1)) : (struct str){0};
    json_decref(v);
    free(text);
    return kept;
}

static bool object_room(struct build *b, struct node *n, size_t count)
{
    struct arena *mem = &b->g->mem;
    n->props = arena_alloc(mem, count + 1, sizeof(*n->props));
    n->texts.text = arena_alloc(mem, count + 1, sizeof(*n->texts.text));
    n->texts.id = arena_alloc(mem, count + 1, sizeof(*n->texts.id));
    n->hashes = arena_alloc(mem, count + 1, sizeof(*n->hashes));
    n->required_from = arena_alloc(mem, count + 1, sizeof(*n->required_from));
    n->tail = arena_alloc(mem, count + 1, sizeof(*n->tail));
    return n->props && n->texts.text && n->texts.id && n->hashes && n->required_from && n->tail;
}

static enum err_code add_members(struct build *b, struct together *t, json_t *names, struct node *n)
{
    const char *key;
    json_t *v;
    enum err_code rc = OK;
    json_object_foreach(names, key, v)
    {
        struct property *p = &n->props[n->n_props];
        struct together of = member_schemas(t, key, &p->required);
        p->name = arena_str(&b->g->mem, str_of(key));
        struct str text = key_text(b, p->name);
        if (!p->name.ptr || !text.ptr)
            return err_set(b->err, ERR_NOMEM, "a property");
        rc = grammar_build_later(b, &of, &p->node);
        if (rc)
            return rc;
        p->key = (int32_t)text.len + 1;
        n->texts.text[n->n_props] = text;
        n->texts.id[n->n_props] = n->n_props;
        n->hashes[n->n_props] = hash_name(p->name);
        uint32_t longer = (uint32_t)utf8_count(p->name) + 1;
        n->name_max = longer > n->name_max ? longer : n->name_max;
        n->n_props++;
    }
    n->texts.n = n->n_props;
    if (!grammar_texts_sort(&n->texts))
        rc = err_set(b->err, ERR_NOMEM, "an object");
    qsort(n->hashes, n->n_props, sizeof(*n->hashes), by_hash);
    return rc;
}

enum err_code grammar_build_object(struct build *b, struct together *t, uint32_t *out)
{
    bool unused;
    const json_t *v, *at = grammar_together_find(t, "required", &v);
    struct node n = {.kind = NODE_OBJECT,
                     .items = NO_NODE,
                     .extra = NO_NODE,
                     .name_max = FRESH_MAX,
                     .strict = t->strict};
    json_t *names = member_names(t);
    if (!names || !object_room(b, &n, json_object_size(names))) {
        json_decref(names);
        return err_set(b->err, ERR_NOMEM, "an object");
    }
    enum err_code rc = add_members(b, t, names, &n);
    json_decref(names);
    struct together other = member_schemas(t, NULL, &unused);
    n.wanted = grammar_together_most(t, "minProperties", 0, true);
    n.max = grammar_together_most(t, "maxProperties", NO_END, false);
    n.why = grammar_build_why(b, at, v ? "required" : "properties",
                              "asks for a property that nothing satisfies");
    if (!rc)
        rc = grammar_build_later(b, &other, &n.extra);
    if (!rc && n.wanted > n.max)
        return grammar_build_none(
            b, grammar_build_why(b, at, "minProperties", "is more than `maxProperties`"), out);
    if (!rc)
        rc = grammar_build_node(b, NODE_OBJECT, out);
    if (!rc)
        b->g->nodes[*out] = n;
    return rc;
}
