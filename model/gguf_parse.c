/* model/gguf_parse.c - one pass over the head of the file, trusting nothing.
 *
 * Layout (ggml, docs/gguf.md), all little-endian:
 *   "GGUF" u32 version  u64 n_tensors  u64 n_keys
 *   n_keys    * { string key, u32 type, value }      string: u64 length, bytes
 *   n_tensors * { string name, u32 n_dims, u64 ne[n_dims], u32 type, u64 offset }
 *   padding to general.alignment, then the data that the offsets count from.
 * What is kept besides the file's own bytes: 40 bytes a key, 72 a tensor, an
 * offset for every 16th string of an array, two tables of names. Counts are
 * bounded (KEYS_MAX, TENSORS_MAX), so a hostile head cannot ask for memory.
 * Of a file the head is copied as it is read: what was checked stays so, even if
 * someone writes over the file. */
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/utf8.h"
#include "model/gguf_int.h"

#define KEYS_MAX 65536
#define TENSORS_MAX 65536
#define KEY_BYTES_MIN 14      /* string of 1, type, 1 byte of value */
#define TENSOR_BYTES_MIN 33   /* string of 1, one dimension */
#define NAME_MAX_BYTES 63     /* ggml keeps names in 64 bytes with the NUL */
#define HEAD_STEP ((size_t)256 << 10)   /* bytes of a file read at once */

const uint8_t gguf_value_bytes[V_N] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
const char *const gguf_value_names[V_N] = {
    "u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
    "bool", "string", "array", "u64", "i64", "f64"};

struct reader { struct gguf *g; size_t pos; struct err *err; };

static size_t left(const struct reader *r)
{
    return r->g->map.len - r->pos;
}

static const uint8_t *here(const struct reader *r)
{
    return r->g->map.ptr + r->pos;
}

static enum err_code truncated(struct reader *r, const char *what)
{
    return err_set(r->err, ERR_FORMAT, "%s: ends at byte %zu inside %s", r->g->name,
                   r->g->map.len, what);
}

/* The next n bytes may be read. */
static enum err_code need(struct reader *r, size_t n, const char *what)
{
    struct gguf *g = r->g;
    if (left(r) < n)
        return truncated(r, what);
    if (r->pos + n <= g->have)
        return OK;
    size_t to = (r->pos + n + HEAD_STEP - 1) / HEAD_STEP * HEAD_STEP;
    to = to < g->map.len ? to : g->map.len;
    enum err_code rc = map_copy(&g->map, g->fd, g->have, to, r->err);
    g->have = to;
    return rc ? err_wrap(r->err, rc, "%s", g->name) : OK;
}

static enum err_code take(struct reader *r, void *out, size_t n, const char *what)
{
    enum err_code rc = need(r, n, what);
    if (rc)
        return rc;
    memcpy(out, here(r), n);
    r->pos += n;
    return OK;
}

static enum err_code take_str(struct reader *r, struct str *out, const char *what)
{
    uint64_t n = 0;
    enum err_code rc = take(r, &n, 8, what);
    if (rc)
        return rc;
    if (n > left(r))
        return err_set(r->err, ERR_FORMAT, "%s: %s of %llu bytes with %zu bytes left", r->g->name,
                       what, (unsigned long long)n, left(r));
    rc = need(r, (size_t)n, what);
    if (rc)
        return rc;
    *out = (struct str){(const char *)here(r), (size_t)n};
    r->pos += (size_t)n;
    return OK;
}

/* A key or a tensor's name: something that can be printed and compared. */
static enum err_code take_name(struct reader *r, size_t max, struct str *out, const char *what)
{
    enum err_code rc = take_str(r, out, what);
    if (rc)
        return rc;
    if (out->len < 1 || out->len > max)
        return err_set(r->err, ERR_FORMAT, "%s: %s of %zu bytes, want 1 to %zu", r->g->name, what,
                       out->len, max);
    if (memchr(out->ptr, 0, out->len) || !utf8_valid(*out))
        return err_set(r->err, ERR_FORMAT, "%s: %s before byte %zu is not UTF-8 text", r->g->name,
                       what, r->pos);
    return OK;
}

static bool names_init(struct names *t, size_t n)
{
    size_t cap = 16;
    while (cap < 2 * n)
        cap *= 2;
    t->mask = cap - 1;
    t->slot = calloc(cap, sizeof(*t->slot));
    return t->slot;
}

/* Where `name` is, or the empty slot it would take. `base` holds struct str
 * every `step` bytes. */
static uint32_t *names_find(const struct names *t, uint64_t seed, const void *base, size_t step,
                            struct str name)
{
    size_t i = hash64(name.ptr, name.len, seed) & t->mask;
    while (t->slot[i]) {
        const struct str *s = (const void *)((const char *)base + (t->slot[i] - 1) * step);
        if (str_eq(*s, name))
            break;
        i = (i + 1) & t->mask;
    }
    return &t->slot[i];
}

static enum err_code add_mark(struct gguf *g, size_t pos, struct err *err)
{
    if (g->n_marks == g->cap_marks) {
        size_t cap = g->cap_marks ? 2 * g->cap_marks : 64;
        uint64_t *m = realloc(g->marks, cap * sizeof(*m));
        if (!m)
            return err_set(err, ERR_NOMEM, "%s: offsets of %zu strings", g->name, cap);
        g->marks = m;
        g->cap_marks = cap;
    }
    g->marks[g->n_marks++] = pos;
    return OK;
}

static enum err_code take_strings(struct gguf *g, struct reader *r, struct key *k)
{
    k->index = (uint32_t)g->n_marks;
    for (uint64_t i = 0; i < k->n; i++) {
        struct str s;
        if (i % GGUF_STRIDE == 0) {
            enum err_code rc = add_mark(g, r->pos, r->err);
            if (rc)
                return rc;
        }
        enum err_code rc = take_str(r, &s, "a string of an array");
        if (rc)
            return err_wrap(r->err, rc, "key %.*s", STR_ARG(k->name));
    }
    return OK;
}

static enum err_code check_bools(struct reader *r, const struct key *k, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (k->at[i] > 1)
            return err_set(r->err, ERR_FORMAT, "%s: key %.*s: bool of value %d", r->g->name,
                           STR_ARG(k->name), k->at[i]);
    return OK;
}

static enum err_code take_array(struct gguf *g, struct reader *r, struct key *k)
{
    uint32_t elem;
    enum err_code rc = take(r, &elem, 4, "an array");
    if (!rc)
        rc = take(r, &k->n, 8, "an array");
    if (rc)
        return rc;
    if (elem >= V_N || elem == V_ARRAY)
        return err_set(r->err, ERR_FORMAT, "%s: key %.*s: array of type %u", g->name,
                       STR_ARG(k->name), elem);
    size_t least = elem == V_STR ? 8 : gguf_value_bytes[elem];
    if (k->n > left(r) / least)
        return err_set(r->err, ERR_FORMAT, "%s: key %.*s: array of %llu with %zu bytes left",
                       g->name, STR_ARG(k->name), (unsigned long long)k->n, left(r));
    k->elem = (uint16_t)elem;
    k->at = here(r);
    if (elem == V_STR)
        return take_strings(g, r, k);
    rc = need(r, (size_t)k->n * least, "an array");
    if (rc)
        return rc;
    r->pos += (size_t)k->n * least;
    return elem == V_BOOL ? check_bools(r, k, k->n) : OK;
}

static enum err_code take_value(struct gguf *g, struct reader *r, struct key *k)
{
    uint32_t type;
    enum err_code rc = take(r, &type, 4, "a key");
    if (rc)
        return rc;
    if (type >= V_N)
        return err_set(r->err, ERR_FORMAT, "%s: key %.*s: unknown type %u", g->name,
                       STR_ARG(k->name), type);
    k->type = (uint16_t)type;
    if (type == V_ARRAY)
        return take_array(g, r, k);
    if (type == V_STR) {
        struct str s;
        rc = take_str(r, &s, "a string");
        k->at = (const uint8_t *)s.ptr;
        k->n = s.len;
        return rc ? err_wrap(r->err, rc, "key %.*s", STR_ARG(k->name)) : OK;
    }
    k->at = here(r);
    rc = need(r, gguf_value_bytes[type], "a value");
    if (rc)
        return rc;
    r->pos += gguf_value_bytes[type];
    return type == V_BOOL ? check_bools(r, k, 1) : OK;
}

static enum err_code take_keys(struct gguf *g, struct reader *r, uint64_t n)
{
    g->keys = calloc(n ? n : 1, sizeof(*g->keys));
    if (!g->keys || !names_init(&g->key_names, n))
        return err_set(r->err, ERR_NOMEM, "%s: %llu keys", g->name, (unsigned long long)n);
    while (g->n_keys < n) {
        struct key *k = &g->keys[g->n_keys];
        enum err_code rc = take_name(r, 65535, &k->name, "a key");
        if (!rc)
            rc = take_value(g, r, k);
        if (rc)
            return rc;
        uint32_t *slot = names_find(&g->key_names, g->seed, g->keys, sizeof(*k), k->name);
        if (*slot)
            return err_set(r->err, ERR_FORMAT, "%s: key %.*s is there twice", g->name,
                           (int)(k->name.len < 100 ? k->name.len : 100), k->name.ptr);
        *slot = (uint32_t)++g->n_keys;
    }
    return OK;
}

const struct key *gguf_find_key(const struct gguf *g, const char *name)
{
    uint32_t i = *names_find(&g->key_names, g->seed, g->keys, sizeof(struct key), str_of(name));
    return i ? &g->keys[i - 1] : NULL;
}

const struct tensor *gguf_find_tensor(const struct gguf *g, const char *name)
{
    uint32_t i = *names_find(&g->tensor_names, g->seed, g->tensors, sizeof(struct tensor),
                             str_of(name));
    return i ? &g->tensors[i - 1] : NULL;
}

/* Keys that the container itself gives a meaning. */
static enum err_code check_general(struct gguf *g, struct err *err)
{
    const struct key *a = gguf_find_key(g, "general.alignment");
    const struct key *arch = gguf_find_key(g, "general.architecture");
    if (arch && arch->type != V_STR)
        return err_set(err, ERR_FORMAT, "%s: general.architecture is a %s, want a string",
                       g->name, gguf_value_names[arch->type]);
    g->alignment = 32;
    if (!a)
        return OK;
    uint32_t v = 0;
    if (a->type == V_U32)
        memcpy(&v, a->at, 4);
    if (v < 8 || v > 65536 || (v & (v - 1)))
        return err_set(err, ERR_FORMAT,
                       "%s: general.alignment is %u (%s), want a u32 power of two from 8 to 65536",
                       g->name, v, gguf_value_names[a->type]);
    g->alignment = v;
    return OK;
}

static enum err_code tensor_error(const struct reader *r, const struct tensor *t, const char *what,
                                  unsigned long long found)
{
    return err_set(r->err, ERR_FORMAT, "%s: tensor %.*s: %s %llu", r->g->name, STR_ARG(t->name),
                   what, found);
}

static enum err_code take_shape(struct reader *r, struct tensor *t, uint64_t *elements)
{
    uint32_t n_dims;
    enum err_code rc = take(r, &n_dims, 4, "a tensor");
    if (rc)
        return rc;
    if (n_dims < 1 || n_dims > 4)
        return tensor_error(r, t, "want 1 to 4 dimensions, found", n_dims);
    t->n_dims = (int)n_dims;
    *elements = 1;
    for (int i = 0; i < 4; i++) {
        uint64_t ne = 1;
        rc = i < t->n_dims ? take(r, &ne, 8, "a tensor") : OK;
        if (rc)
            return rc;
        if (ne < 1 || ne > INT64_MAX || __builtin_mul_overflow(*elements, ne, elements) ||
            *elements > INT64_MAX)
            return tensor_error(r, t, "impossible dimension", ne);
        t->ne[i] = (int64_t)ne;
    }
    return OK;
}

static enum err_code take_tensor(struct reader *r, struct tensor *t, uint64_t *offset)
{
    uint64_t elements = 0;
    uint32_t type = 0;
    enum err_code rc = take_name(r, NAME_MAX_BYTES, &t->name, "a tensor's name");
    if (!rc)
        rc = take_shape(r, t, &elements);
    if (!rc)
        rc = take(r, &type, 4, "a tensor");
    if (!rc)
        rc = take(r, offset, 8, "a tensor");
    if (rc)
        return rc;
    if (type > INT32_MAX || !tensor_block((enum tensor_type)type))
        return err_set(r->err, ERR_FORMAT,
                       "%s: tensor %.*s: type %u (%s), want F32, F16, BF16, Q8_0, Q4_0, Q4_1, "
                       "Q5_0, Q5_1 or Q2_K to Q6_K",
                       r->g->name, STR_ARG(t->name), type,
                       type > INT32_MAX ? "unknown" : tensor_type_name((enum tensor_type)type));
    t->type = (enum tensor_type)type;
    uint64_t block = (uint64_t)tensor_block(t->type);
    if ((uint64_t)t->ne[0] % block)
        return tensor_error(r, t, "rows are not whole blocks: length",
                            (unsigned long long)t->ne[0]);
    uint64_t bytes;
    if (__builtin_mul_overflow(elements / block, tensor_block_bytes(t->type), &bytes) ||
        bytes > r->g->map.len)
        return tensor_error(r, t, "is larger than the file: elements", elements);
    if (*offset % r->g->alignment)
        return tensor_error(r, t, "unaligned offset", *offset);
    t->size_bytes = (size_t)bytes;
    return OK;
}

static int by_place(const void *a, const void *b)
{
    const struct tensor *x = *(const struct tensor *const *)a;
    const struct tensor *y = *(const struct tensor *const *)b;
    return (x->data > y->data) - (x->data < y->data);
}

static enum err_code check_overlap(const struct gguf *g, struct err *err)
{
    const struct tensor **order = malloc((g->n_tensors + 1) * sizeof(*order));
    if (!order)
        return err_set(err, ERR_NOMEM, "%s: %zu tensors", g->name, g->n_tensors);
    for (size_t i = 0; i < g->n_tensors; i++)
        order[i] = &g->tensors[i];
    qsort(order, g->n_tensors, sizeof(*order), by_place);
    enum err_code rc = OK;
    for (size_t i = 1; i < g->n_tensors && !rc; i++)
        if ((const uint8_t *)order[i - 1]->data + order[i - 1]->size_bytes >
            (const uint8_t *)order[i]->data)
            rc = err_set(err, ERR_FORMAT, "%s: tensors %.*s and %.*s share bytes", g->name,
                         STR_ARG(order[i - 1]->name), STR_ARG(order[i]->name));
    free(order);
    return rc;
}

/* The data begins behind the last tensor's description: only now can the
 * offsets be weighed against what the file holds. */
static enum err_code place_tensors(struct gguf *g, struct reader *r, const uint64_t *offsets)
{
    size_t start = (r->pos + g->alignment - 1) & ~(g->alignment - 1);
    size_t have = start < g->map.len ? g->map.len - start : 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct tensor *t = &g->tensors[i];
        if (offsets[i] > have || t->size_bytes > have - offsets[i])
            return err_set(r->err, ERR_FORMAT,
                           "%s: tensor %.*s: %zu bytes at offset %llu of %zu bytes of data: is the "
                           "file cut short?",
                           g->name, STR_ARG(t->name), t->size_bytes,
                           (unsigned long long)offsets[i], have);
        t->data = g->map.ptr + start + offsets[i];
    }
    return check_overlap(g, r->err);
}

static enum err_code take_tensors(struct gguf *g, struct reader *r, uint64_t n)
{
    enum err_code rc = OK;
    uint64_t *offsets = calloc(n ? n : 1, sizeof(*offsets));
    g->tensors = calloc(n ? n : 1, sizeof(*g->tensors));
    if (!offsets || !g->tensors || !names_init(&g->tensor_names, n))
        rc = err_set(r->err, ERR_NOMEM, "%s: %llu tensors", g->name, (unsigned long long)n);
    while (!rc && g->n_tensors < n) {
        struct tensor *t = &g->tensors[g->n_tensors];
        rc = take_tensor(r, t, &offsets[g->n_tensors]);
        if (rc)
            break;
        uint32_t *slot = names_find(&g->tensor_names, g->seed, g->tensors, sizeof(*t), t->name);
        if (*slot)
            rc = err_set(r->err, ERR_FORMAT, "%s: tensor %.*s is there twice", g->name,
                         STR_ARG(t->name));
        else
            *slot = (uint32_t)++g->n_tensors;
    }
    if (!rc)
        rc = place_tensors(g, r, offsets);
    free(offsets);
    return rc;
}

static enum err_code check_count(struct reader *r, const char *what, uint64_t n, size_t least,
                                 size_t max)
{
    if (n <= left(r) / least && n <= max)
        return OK;
    return err_set(r->err, ERR_FORMAT, "%s: %llu %s in a file of %zu bytes (at most %zu)",
                   r->g->name, (unsigned long long)n, what, r->g->map.len, max);
}

/* The head is read: to the end of its last page it stays a copy. */
static enum err_code map_data(struct reader *r)
{
    struct gguf *g = r->g;
    if (!g->mapped)
        return OK;
    size_t page = map_page(), from = (r->pos + page - 1) / page * page;
    from = from < g->map.len ? from : g->map.len;
    enum err_code rc = need(r, from - r->pos, "the head");
    if (!rc && from < g->map.len)
        rc = map_rest(&g->map, g->fd, from, r->err);
    g->have = g->map.len;
    return rc;
}

enum err_code gguf_parse(struct gguf *g, struct err *err)
{
    struct reader r = {g, 0, err};
    char magic[4];
    uint32_t version;
    uint64_t n_tensors, n_keys;
    enum err_code rc = take(&r, magic, 4, "the header");
    if (!rc && memcmp(magic, "GGUF", 4) != 0)
        return err_set(err, ERR_FORMAT, "%s: is not a GGUF file", g->name);
    if (!rc)
        rc = take(&r, &version, 4, "the header");
    if (!rc && version != 2 && version != 3)
        return err_set(err, ERR_FORMAT, "%s: GGUF version %u, want 2 or 3 (little-endian)",
                       g->name, version);
    if (!rc)
        rc = take(&r, &n_tensors, 8, "the header");
    if (!rc)
        rc = take(&r, &n_keys, 8, "the header");
    if (!rc)
        rc = check_count(&r, "keys", n_keys, KEY_BYTES_MIN, KEYS_MAX);
    if (!rc)
        rc = check_count(&r, "tensors", n_tensors, TENSOR_BYTES_MIN, TENSORS_MAX);
    if (!rc)
        rc = take_keys(g, &r, n_keys);
    if (!rc)
        rc = check_general(g, err);
    if (!rc)
        rc = take_tensors(g, &r, n_tensors);
    if (!rc)
        rc = map_data(&r);
    return rc;
}
