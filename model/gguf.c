/* model/gguf.c - opening, and answers to questions about what was read.
 *
 * Reading and its checks are in gguf_parse.c. A file that is written while we
 * read it gives wrong numbers (never a fault: base/map.h), so one that everyone may
 * write is refused, and gguf_intact tells the rest. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/hash.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "model/gguf_int.h"

static struct gguf *new_gguf(const char *name)
{
    struct gguf *g = calloc(1, sizeof(*g));
    if (!g)
        return NULL;
    g->name = str_dup(str_of(name));
    rng_secret(&g->seed, sizeof(g->seed));
    if (g->name)
        return g;
    free(g);
    return NULL;
}

static enum err_code finish_open(struct gguf *g, struct gguf **out, struct err *err)
{
    enum err_code rc = gguf_parse(g, err);
    if (rc)
        gguf_close(g);
    else
        *out = g;
    return rc;
}

enum err_code gguf_open(const char *path, struct gguf **out, struct err *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return errno == ENOENT ? err_set(err, ERR_NOTFOUND, "%s: no such file", path)
                               : err_errno(err, "%s", path);
    if (S_ISREG(st.st_mode) && (st.st_mode & S_IWOTH))
        return err_set(err, ERR_IO, "%s: everyone may write this file; run chmod o-w on it", path);
    struct gguf *g = new_gguf(path);
    if (!g)
        return err_set(err, ERR_NOMEM, "%s", path);
    enum err_code rc = map_begin(path, &g->map, &g->fd, err);
    if (rc) {
        gguf_close(g);
        return rc;
    }
    g->mapped = true;
    if (fstat(g->fd, &g->opened) != 0) {
        rc = err_errno(err, "%s", path);
        gguf_close(g);
        return rc;
    }
    return finish_open(g, out, err);
}

enum err_code gguf_open_bytes(const char *name, const void *bytes, size_t n, struct gguf **out,
                              struct err *err)
{
    struct gguf *g = new_gguf(name);
    if (!g)
        return err_set(err, ERR_NOMEM, "%s", name);
    g->map = (struct map){bytes, n};
    g->have = n;
    return finish_open(g, out, err);
}

void gguf_close(struct gguf *g)
{
    if (!g)
        return;
    if (g->mapped) {
        map_close(&g->map);
        close(g->fd);
    }
    free(g->name);
    free(g->keys);
    free(g->tensors);
    free(g->key_names.slot);
    free(g->tensor_names.slot);
    free(g->marks);
    free(g);
}

enum err_code gguf_intact(const struct gguf *g, struct err *err)
{
    struct stat now;
    const struct stat *was = &g->opened;
    if (!g->mapped)
        return OK;
    if (fstat(g->fd, &now) != 0)
        return err_errno(err, "%s", g->name);
    if (!map_torn(&g->map) && now.st_size == was->st_size &&
        now.st_mtim.tv_sec == was->st_mtim.tv_sec && now.st_mtim.tv_nsec == was->st_mtim.tv_nsec)
        return OK;
    return err_set(err, ERR_IO,
                   "%s: was written while it was read; write a new file and rename it over the old",
                   g->name);
}

/* Whole pages of them only: they are the file's own (the head, a copy, ends before the first
 * of them), and nobody else's bytes lie there. */
void gguf_done_with(const struct gguf *g, const void *bytes, size_t n)
{
    size_t page = map_page(), at = (size_t)((const uint8_t *)bytes - g->map.ptr);
    size_t from = (at + page - 1) / page * page, to = (at + n) / page * page;
    if (g->mapped && from < to)
        madvise((void *)(uintptr_t)(g->map.ptr + from), to - from, MADV_DONTNEED);
}

const char *gguf_name(const struct gguf *g)
{
    return g->name;
}

void gguf_hash(const struct gguf *g, char out[33])
{
    struct hash128 h = hash128(g->map.ptr, g->map.len);
    hash_hex(h.bytes, sizeof(h.bytes), out);
}

/* The key, or *rc with the reason there is none of the kind wanted. */
static const struct key *want_key(const struct gguf *g, const char *name, bool fits(int type),
                                  const char *want, enum err_code *rc, struct err *err)
{
    const struct key *k = gguf_find_key(g, name);
    *rc = OK;
    if (!k)
        *rc = err_set(err, ERR_NOTFOUND, "%s: no key %s", g->name, name);
    else if (!fits(k->type))
        *rc = err_set(err, ERR_FORMAT, "%s: key %s is a %s, want %s", g->name, name,
                      gguf_value_names[k->type], want);
    return *rc ? NULL : k;
}

static bool is_str(int type)
{
    return type == V_STR;
}

static bool is_bool(int type)
{
    return type == V_BOOL;
}

static bool is_array(int type)
{
    return type == V_ARRAY;
}

static bool is_num(int type)
{
    return type < V_BOOL || type > V_ARRAY;
}

static bool is_int(int type)
{
    return is_num(type) && type != V_F32 && type != V_F64;
}

/* An integer of any type; u64 past INT64_MAX is clamped there, so that every
 * range check refuses it. */
static int64_t load_int(int type, const uint8_t *p)
{
    uint64_t u = 0;
    memcpy(&u, p, gguf_value_bytes[type]);
    switch (type) {
    case V_I8:
        return (int8_t)u;
    case V_I16:
        return (int16_t)u;
    case V_I32:
        return (int32_t)u;
    case V_U64:
        return u > INT64_MAX ? INT64_MAX : (int64_t)u;
    }
    return (int64_t)u;
}

static double load_num(int type, const uint8_t *p)
{
    float f;
    double d;
    if (type == V_F32) {
        memcpy(&f, p, 4);
        return f;
    }
    if (type == V_F64) {
        memcpy(&d, p, 8);
        return d;
    }
    return (double)load_int(type, p);
}

enum err_code gguf_str(const struct gguf *g, const char *key, struct str *out, struct err *err)
{
    enum err_code rc;
    const struct key *k = want_key(g, key, is_str, "a string", &rc, err);
    if (!k)
        return rc;
    struct str s = {(const char *)k->at, (size_t)k->n};
    if (!utf8_valid(s))
        return err_set(err, ERR_FORMAT, "%s: key %s is not UTF-8 text", g->name, key);
    *out = s;
    return OK;
}

enum err_code gguf_int(const struct gguf *g, const char *key, int64_t min, int64_t max,
                       int64_t *out, struct err *err)
{
    enum err_code rc;
    const struct key *k = want_key(g, key, is_int, "an integer", &rc, err);
    if (!k)
        return rc;
    int64_t v = load_int(k->type, k->at);
    if (v < min || v > max)
        return err_set(err, ERR_FORMAT, "%s: key %s is %lld, want %lld to %lld", g->name, key,
                       (long long)v, (long long)min, (long long)max);
    *out = v;
    return OK;
}

enum err_code gguf_num(const struct gguf *g, const char *key, double *out, struct err *err)
{
    enum err_code rc;
    const struct key *k = want_key(g, key, is_num, "a number", &rc, err);
    if (!k)
        return rc;
    double v = load_num(k->type, k->at);
    if (!isfinite(v))
        return err_set(err, ERR_FORMAT, "%s: key %s is not a finite number", g->name, key);
    *out = v;
    return OK;
}

enum err_code gguf_bool(const struct gguf *g, const char *key, bool *out, struct err *err)
{
    enum err_code rc;
    const struct key *k = want_key(g, key, is_bool, "a bool", &rc, err);
    if (k)
        *out = *k->at;
    return rc;
}

enum err_code gguf_array(const struct gguf *g, const char *key, bool of_strings, size_t *n,
                         struct err *err)
{
    enum err_code rc;
    const struct key *k = want_key(g, key, is_array, "an array", &rc, err);
    if (!k)
        return rc;
    if (of_strings ? k->elem != V_STR : !is_num(k->elem))
        return err_set(err, ERR_FORMAT, "%s: key %s is an array of %s, want %s", g->name, key,
                       gguf_value_names[k->elem], of_strings ? "strings" : "numbers");
    *n = (size_t)k->n;
    return OK;
}

struct str gguf_array_str(const struct gguf *g, const char *key, size_t i)
{
    const struct key *k = gguf_find_key(g, key);
    if (!k || k->type != V_ARRAY || k->elem != V_STR || i >= k->n)
        return (struct str){NULL, 0};
    const uint8_t *p = g->map.ptr + g->marks[k->index + i / GGUF_STRIDE];
    uint64_t len;
    memcpy(&len, p, 8);
    for (size_t skip = i % GGUF_STRIDE; skip; skip--) {
        p += 8 + len;
        memcpy(&len, p, 8);
    }
    return (struct str){(const char *)p + 8, (size_t)len};
}

double gguf_array_num(const struct gguf *g, const char *key, size_t i)
{
    const struct key *k = gguf_find_key(g, key);
    if (!k || k->type != V_ARRAY || !is_num(k->elem) || i >= k->n)
        return 0;
    return load_num(k->elem, k->at + i * gguf_value_bytes[k->elem]);
}

size_t gguf_n_tensors(const struct gguf *g)
{
    return g->n_tensors;
}

const struct tensor *gguf_tensor_at(const struct gguf *g, size_t i)
{
    return i < g->n_tensors ? &g->tensors[i] : NULL;
}

const struct tensor *gguf_tensor(const struct gguf *g, const char *name)
{
    return gguf_find_tensor(g, name);
}
