/* llm/grammar_schema.c - a JSON schema becomes nodes: keywords checked, references
 * and allOf opened, choices taken apart, objects and arrays put together. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "llm/grammar_build.h"

/* ---- sentences ---- */

/* The way from `s` to `at` behind `path`. */
static bool find_path(const json_t *s, const json_t *at, struct buf *path)
{
    const char *key;
    json_t *v;
    size_t i, was = path->len;
    if (s == at)
        return true;
    json_object_foreach((json_t *)(uintptr_t)s, key, v)
    {
        buf_printf(path, "/%s", key);
        if (find_path(v, at, path))
            return true;
        path->len = was;
    }
    json_array_foreach(s, i, v)
    {
        buf_printf(path, "/%zu", i);
        if (find_path(v, at, path))
            return true;
        path->len = was;
    }
    return false;
}

static void put_sentence(struct build *b, const json_t *at, const char *word, const char *why,
                         struct buf *out)
{
    if (!at || !find_path(b->root, at, out))
        buf_reset(out);
    if (out->len > 110) { /* its end says most */
        memmove(out->ptr, out->ptr + out->len - 107, 107);
        memcpy(out->ptr, "...", 3);
        out->len = 107;
    }
    if (out->len == 0)
        buf_char(out, '/');
    out->ptr[out->len] = 0;
    buf_printf(out, ": `%.40s` %s", word ? word : "schema", why);
}

enum err_code grammar_build_refuse(struct build *b, const json_t *at, const char *word,
                                   const char *why)
{
    struct buf text = {0};
    put_sentence(b, at, word, why, &text);
    err_set(b->err, ERR_ARG, "%s", text.ptr ? text.ptr : why);
    buf_free(&text);
    return ERR_ARG;
}

char *grammar_build_why(struct build *b, const json_t *at, const char *word, const char *why)
{
    struct buf text = {0};
    put_sentence(b, at, word, why, &text);
    char *kept = arena_strz(&b->g->mem, buf_view(&text));
    buf_free(&text);
    return kept;
}

/* ---- keywords ---- */

enum takes { TAKES_ANY, TAKES_SCHEMA, TAKES_SCHEMAS, TAKES_MAP, TAKES_COUNT, TAKES_NUMBER,
             TAKES_TEXT, TAKES_LIST, TAKES_NAMES, TAKES_TYPE, TAKES_TRUTH, TAKES_ITEMS };
#define NUMERIC (TYPE_INTEGER | TYPE_REAL)
/* `of`: the types that a keyword says something about. */
static const struct word { const char *name; enum takes takes; int of; } words[] = {
    {"title", TAKES_ANY, 0}, {"description", TAKES_ANY, 0}, {"default", TAKES_ANY, 0},
    {"examples", TAKES_ANY, 0}, {"$schema", TAKES_ANY, 0}, {"$id", TAKES_ANY, 0},
    {"$comment", TAKES_ANY, 0}, {"deprecated", TAKES_ANY, 0}, {"readOnly", TAKES_ANY, 0},
    {"writeOnly", TAKES_ANY, 0}, {"$defs", TAKES_MAP, 0}, {"definitions", TAKES_MAP, 0},
    {"type", TAKES_TYPE, 0}, {"enum", TAKES_LIST, 0}, {"const", TAKES_ANY, 0},
    {"$ref", TAKES_TEXT, 0}, {"allOf", TAKES_SCHEMAS, 0}, {"anyOf", TAKES_SCHEMAS, 0},
    {"oneOf", TAKES_SCHEMAS, 0},
    {"properties", TAKES_MAP, TYPE_OBJECT}, {"required", TAKES_NAMES, TYPE_OBJECT},
    {"additionalProperties", TAKES_SCHEMA, TYPE_OBJECT},
    {"minProperties", TAKES_COUNT, TYPE_OBJECT}, {"maxProperties", TAKES_COUNT, TYPE_OBJECT},
    {"items", TAKES_ITEMS, TYPE_ARRAY}, {"additionalItems", TAKES_SCHEMA, TYPE_ARRAY},
    {"prefixItems", TAKES_SCHEMAS, TYPE_ARRAY}, {"minItems", TAKES_COUNT, TYPE_ARRAY},
    {"maxItems", TAKES_COUNT, TYPE_ARRAY}, {"uniqueItems", TAKES_TRUTH, TYPE_ARRAY},
    {"minLength", TAKES_COUNT, TYPE_STRING}, {"maxLength", TAKES_COUNT, TYPE_STRING},
    {"pattern", TAKES_TEXT, TYPE_STRING}, {"format", TAKES_TEXT, TYPE_STRING},
    {"minimum", TAKES_NUMBER, NUMERIC}, {"maximum", TAKES_NUMBER, NUMERIC},
    {"exclusiveMinimum", TAKES_NUMBER, NUMERIC}, {"exclusiveMaximum", TAKES_NUMBER, NUMERIC},
    {"multipleOf", TAKES_NUMBER, NUMERIC},
};
#define N_WORDS ((int)(sizeof(words) / sizeof(words[0])))

static int type_bit(const char *name)
{
    static const struct { const char *name; int bits; } types[] = {
        {"null", TYPE_NULL},     {"boolean", TYPE_BOOLEAN}, {"integer", TYPE_INTEGER},
        {"number", NUMERIC},     {"string", TYPE_STRING},   {"array", TYPE_ARRAY},
        {"object", TYPE_OBJECT}, {NULL, 0}};
    for (int i = 0; types[i].name; i++)
        if (name && strcmp(types[i].name, name) == 0)
            return types[i].bits;
    return 0;
}

static bool is_schema(const json_t *v)
{
    return json_is_object(v) || json_is_boolean(v);
}

static bool all_of(const json_t *list, bool (*fits)(const json_t *))
{
    const json_t *v;
    size_t i;
    json_array_foreach(list, i, v)
        if (!fits(v))
            return false;
    return json_is_array(list);
}

static bool is_text(const json_t *v)
{
    return json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v);
}

static bool is_type(const json_t *v)
{
    return type_bit(json_string_value(v)) != 0;
}

static bool is_map(const json_t *v)
{
    const char *key;
    json_t *of;
    json_object_foreach((json_t *)(uintptr_t)v, key, of)
        if (!is_schema(of))
            return false;
    return json_is_object(v);
}

/* What a keyword's value must be, when it is not; NULL: it is. */
static const char *wrong_value(enum takes takes, const json_t *v)
{
    double d = json_number_value(v);
    switch (takes) {
    case TAKES_ANY:
        return NULL;
    case TAKES_SCHEMA:
        return is_schema(v) ? NULL : "must be a schema";
    case TAKES_SCHEMAS:
        return json_array_size(v) && all_of(v, is_schema) ? NULL : "must be a list of schemas";
    case TAKES_ITEMS:
        return is_schema(v) || all_of(v, is_schema) ? NULL : "must be a schema";
    case TAKES_MAP:
        return is_map(v) ? NULL : "must be an object of schemas";
    case TAKES_COUNT:
        return json_is_number(v) && d >= 0 && d == floor(d) ? NULL
                                                            : "must be a whole number from 0";
    case TAKES_NUMBER:
        return json_is_number(v) ? NULL : "must be a number";
    case TAKES_TEXT:
        return is_text(v) ? NULL : "must be a string";
    case TAKES_LIST:
        return json_is_array(v) ? NULL : "must be a list";
    case TAKES_NAMES:
        return all_of(v, is_text) ? NULL : "must be a list of names";
    case TAKES_TYPE:
        return is_type(v) || (json_array_size(v) && all_of(v, is_type)) ? NULL
                                                                         : "must name JSON types";
    case TAKES_TRUTH:
        return json_is_boolean(v) ? NULL : "must be true or false";
    }
    return NULL;
}

static enum err_code check_words(struct build *b, const json_t *s)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)s, key, v)
    {
        int i = 0;
        while (i < N_WORDS && strcmp(words[i].name, key) != 0)
            i++;
        if (i == N_WORDS)
            return grammar_build_refuse(b, s, key, "is not supported");
        const char *why = wrong_value(words[i].takes, v);
        if (why)
            return grammar_build_refuse(b, s, key, why);
    }
    return OK;
}

/* ---- conjunctions ---- */

void grammar_together_add(struct together *t, const json_t *s)
{
    if (json_is_true(s))
        return;
    for (int i = 0; i < t->n && i < TOGETHER_MAX; i++)
        if (t->m[i].s == s)
            return;
    if (t->n < TOGETHER_MAX)
        t->m[t->n] = (struct member){s, 0};
    t->n++; /* past the end: refused when opened */
}

const json_t *grammar_together_find(const struct together *t, const char *word, const json_t **v)
{
    for (int i = 0; i < t->n; i++)
        if ((*v = json_object_get(t->m[i].s, word)))
            return t->m[i].s;
    *v = NULL;
    return t->n ? t->m[0].s : NULL;
}

/* Does `s` hold itself, through nothing but references and choices? Then it says
 * nothing, and a validator would not come to an end. */
static bool reaches(struct build *b, const json_t *s, const json_t *goal, int *steps)
{
    static const char *const lists[] = {"allOf", "anyOf", "oneOf"};
    const char *ref = json_string_value(json_object_get(s, "$ref"));
    const json_t *to = ref ? grammar_ref(b->root, ref) : NULL, *one;
    size_t i;
    if (--*steps < 0)
        return true;
    if (to && (to == goal || reaches(b, to, goal, steps)))
        return true;
    for (int k = 0; k < 3; k++)
        json_array_foreach(json_object_get(s, lists[k]), i, one)
            if (one == goal || reaches(b, one, goal, steps))
                return true;
    return false;
}

enum err_code grammar_build_open(struct build *b, struct together *t)
{
    for (int i = 0; i < t->n && i < TOGETHER_MAX; i++) {
        const json_t *s = t->m[i].s, *one;
        size_t k;
        if (json_is_false(s)) {
            t->never = true;
            continue;
        }
        if (!json_is_object(s))
            return grammar_build_refuse(b, s, NULL, "must be an object, true or false");
        enum err_code rc = check_words(b, s);
        int steps = 2000;
        if (rc)
            return rc;
        if (reaches(b, s, s, &steps))
            return grammar_build_refuse(b, s, "$ref", "leads back to where it stands");
        const char *ref = json_string_value(json_object_get(s, "$ref"));
        const json_t *to = ref ? grammar_ref(b->root, ref) : NULL;
        if (ref && !(to && is_schema(to)))
            return grammar_build_refuse(b, s, "$ref", "names no schema in this one");
        if (to)
            grammar_together_add(t, to);
        json_array_foreach(json_object_get(s, "allOf"), k, one)
            grammar_together_add(t, one);
    }
    if (t->n > TOGETHER_MAX)
        return grammar_build_refuse(b, t->m[0].s, "allOf", "holds too many schemas at once");
    return OK;
}

int grammar_build_types(const struct together *t)
{
    int types = TYPE_ALL, about = 0;
    bool said = false;
    for (int i = 0; i < t->n; i++) {
        const json_t *type = json_object_get(t->m[i].s, "type"), *one;
        size_t k;
        int bits = type_bit(json_string_value(type));
        json_array_foreach(type, k, one)
            bits |= type_bit(json_string_value(one));
        types &= type ? bits : TYPE_ALL;
        said = said || type;
        for (int w = 0; w < N_WORDS; w++)
            if (words[w].of && json_object_get(t->m[i].s, words[w].name))
                about |= words[w].of;
    }
    /* {"properties": ...} allows a string too, but who writes it means an object. */
    return !said && about && !t->strict ? about : types;
}

static int by_address(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    return (x->s > y->s) - (x->s < y->s);
}

static bool grown(void **list, uint32_t *cap, uint32_t n, size_t size)
{
    if (n < *cap)
        return true;
    uint32_t more = *cap ? 2 * *cap : 32;
    void *p = reallocarray(*list, more, size);
    if (!p)
        return false;
    *list = p;
    *cap = more;
    return true;
}

enum err_code grammar_build_node(struct build *b, enum node_kind kind, uint32_t *out)
{
    struct grammar *g = b->g;
    if (g->n >= NODES_MAX)
        return err_set(b->err, ERR_LIMIT, "a schema of more than %d parts, references opened",
                       NODES_MAX);
    if (!grown((void **)&g->nodes, &g->cap, g->n, sizeof(*g->nodes)))
        return err_set(b->err, ERR_NOMEM, "%u parts of a schema", g->n);
    *out = g->n;
    g->nodes[g->n++] = (struct node){.kind = kind, .items = NO_NODE, .extra = NO_NODE};
    return OK;
}

enum err_code grammar_build_none(struct build *b, const char *why, uint32_t *out)
{
    enum err_code rc = grammar_build_node(b, NODE_NONE, out);
    if (!rc)
        b->g->nodes[*out].why = why;
    return rc;
}

enum err_code grammar_build_later(struct build *b, struct together *t, uint32_t *out)
{
    enum err_code rc = grammar_build_open(b, t);
    if (rc)
        return rc;
    size_t size = (size_t)t->n * sizeof(t->m[0]);
    struct member sorted[TOGETHER_MAX];
    memset(sorted, 0, sizeof(sorted));
    for (int i = 0; i < t->n; i++) {
        sorted[i].s = t->m[i].s;
        sorted[i].taken = t->m[i].taken;
    }
    qsort(sorted, (size_t)t->n, sizeof(sorted[0]), by_address);
    uint64_t hash = hash64(sorted, size, t->strict);
    /* The order of members is that of properties, so it is kept beside the key. */
    for (uint32_t i = 0; i < b->n_memos; i++) {
        struct memo *m = &b->memos[i];
        if (m->hash == hash && m->n == t->n && m->strict == t->strict &&
            (size == 0 || memcmp(m->m + t->n, sorted, size) == 0)) {
            *out = m->node;
            return OK;
        }
    }
    struct member *kept = arena_alloc(&b->g->mem, 2 * (size_t)t->n + 1, sizeof(*kept));
    if (!kept || !grown((void **)&b->memos, &b->cap_memos, b->n_memos, sizeof(*b->memos)))
        return err_set(b->err, ERR_NOMEM, "%u parts of a schema", b->n_memos);
    memcpy(kept, t->m, size);
    memcpy(kept + t->n, sorted, size);
    rc = grammar_build_node(b, NODE_NONE, out);
    b->memos[b->n_memos++] = (struct memo){kept, t->n, t->strict, hash, rc ? 0 : *out};
    return rc;
}

/* ---- listed values ---- */

/* Its JSON text on one line, numbers with as many digits as they need. */
static struct str text_of(struct build *b, const json_t *v)
{
    for (size_t digits = 15;; digits = 17) {
        char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
        json_t *back = NULL;
        bool same = text && json_read(str_of(text), &back, NULL) == OK && grammar_same(back, v);
        struct str kept = text ? arena_str(&b->g->mem, str_of(text)) : (struct str){0};
        json_decref(back);
        free(text);
        if (same || digits == 17)
            return kept;
    }
}

static bool fits_all(struct build *b, struct checker *c, const struct together *t, const json_t *v)
{
    (void)b;
    for (int i = 0; i < t->n; i++)
        if (!grammar_check(c, t->m[i].s, v, 0))
            return false;
    return true;
}

enum err_code grammar_build_values(struct build *b, const struct together *t, bool *any,
                                   struct texts *out)
{
    const json_t *list = NULL, *one;
    struct err err = {0};
    struct checker c = {.root = b->root, .err = &err};
    const json_t *at = grammar_together_find(t, "const", &one);
    if (!one)
        at = grammar_together_find(t, "enum", &list);
    *any = one || list;
    *out = (struct texts){0};
    if (!*any)
        return OK;
    size_t n = one ? 1 : json_array_size(list);
    out->text = arena_alloc(&b->g->mem, n + 1, sizeof(*out->text));
    out->id = arena_alloc(&b->g->mem, n + 1, sizeof(*out->id));
    for (size_t i = 0; i < n && out->text && out->id; i++) {
        const json_t *v = one ? one : json_array_get(list, i);
        bool again = false;
        for (size_t k = 0; k < i && !one && n <= 256; k++)
            again = again || grammar_same(v, json_array_get(list, k));
        if (!again && fits_all(b, &c, t, v)) {
            out->id[out->n] = out->n;
            out->text[out->n++] = text_of(b, v);
        }
    }
    dfa_free(c.dfa);
    if (err.code)
        return grammar_build_refuse(b, at, one ? "const" : "enum", err.msg);
    if (!out->text || !out->id)
        return err_set(b->err, ERR_NOMEM, "an enum of %zu values", n);
    return OK;
}
