/* model/gguf_write.c - writing GGUF version 3: keys and tensors in the order
 * given, alignment 32 (the format's default, so no general.alignment key).
 * The layout is described at the top of gguf.c. Failures stick in the buffers
 * and are told by gguf_save. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "model/gguf_int.h"

#define ALIGNMENT 32
#define FILE_MAX_BYTES ((size_t)1 << 33)

struct piece { const void *data; size_t size_bytes; };

struct gguf_writer {
    struct buf keys, infos;
    struct piece *pieces;
    size_t cap;
    uint64_t n_keys, n_tensors, offset;
    bool failed;
};

struct gguf_writer *gguf_writer_new(void)
{
    return calloc(1, sizeof(struct gguf_writer));
}

void gguf_writer_free(struct gguf_writer *w)
{
    if (!w)
        return;
    buf_free(&w->keys);
    buf_free(&w->infos);
    free(w->pieces);
    free(w);
}

static void put_u32(struct buf *b, uint32_t v)
{
    buf_add(b, &v, 4);
}

static void put_u64(struct buf *b, uint64_t v)
{
    buf_add(b, &v, 8);
}

static void put_str(struct buf *b, struct str s)
{
    put_u64(b, s.len);
    buf_add(b, s.ptr, s.len);
}

static void begin_key(struct gguf_writer *w, const char *key, uint32_t type)
{
    put_str(&w->keys, str_of(key));
    put_u32(&w->keys, type);
    w->n_keys++;
}

static void begin_array(struct gguf_writer *w, const char *key, uint32_t type, size_t n)
{
    begin_key(w, key, V_ARRAY);
    put_u32(&w->keys, type);
    put_u64(&w->keys, n);
}

void gguf_put_str(struct gguf_writer *w, const char *key, struct str v)
{
    begin_key(w, key, V_STR);
    put_str(&w->keys, v);
}

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v)
{
    begin_key(w, key, V_U32);
    put_u32(&w->keys, v);
}

void gguf_put_f32(struct gguf_writer *w, const char *key, float v)
{
    begin_key(w, key, V_F32);
    buf_add(&w->keys, &v, 4);
}

void gguf_put_bool(struct gguf_writer *w, const char *key, bool v)
{
    begin_key(w, key, V_BOOL);
    buf_char(&w->keys, v ? 1 : 0);
}

void gguf_put_strs(struct gguf_writer *w, const char *key, const struct str *v, size_t n)
{
    begin_array(w, key, V_STR, n);
    for (size_t i = 0; i < n; i++)
        put_str(&w->keys, v[i]);
}

void gguf_put_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n)
{
    begin_array(w, key, V_F32, n);
    buf_add(&w->keys, v, n * sizeof(*v));
}

void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n)
{
    begin_array(w, key, V_I32, n);
    buf_add(&w->keys, v, n * sizeof(*v));
}

void gguf_put_tensor(struct gguf_writer *w, const char *name, enum tensor_type type, int n_dims,
                     const int64_t *ne, const void *data)
{
    assert(n_dims >= 1 && n_dims <= 4);
    if (w->n_tensors == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 16;
        struct piece *p = realloc(w->pieces, cap * sizeof(*p));
        if (!p) {
            w->failed = true;
            return;
        }
        w->pieces = p;
        w->cap = cap;
    }
    put_str(&w->infos, str_of(name));
    put_u32(&w->infos, (uint32_t)n_dims);
    size_t bytes = tensor_row_bytes(type, ne[0]);
    for (int i = 0; i < n_dims; i++) {
        put_u64(&w->infos, (uint64_t)ne[i]);
        bytes *= i ? (size_t)ne[i] : 1;
    }
    put_u32(&w->infos, (uint32_t)type);
    put_u64(&w->infos, w->offset);
    w->pieces[w->n_tensors++] = (struct piece){data, bytes};
    w->offset += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void pad(struct buf *b)
{
    static const char zeros[ALIGNMENT];
    buf_add(b, zeros, (ALIGNMENT - b->len % ALIGNMENT) % ALIGNMENT);
}

enum err_code gguf_save(struct gguf_writer *w, const char *path, struct err *err)
{
    struct buf b = {.max = FILE_MAX_BYTES};
    enum err_code rc = buf_ok(&w->keys, "keys of a GGUF file", err);
    if (!rc)
        rc = buf_ok(&w->infos, "tensors of a GGUF file", err);
    if (!rc && w->failed)
        rc = err_set(err, ERR_NOMEM, "tensors of a GGUF file");
    if (rc)
        return rc;
    buf_reserve(&b, w->keys.len + w->infos.len + w->offset + 2 * ALIGNMENT);
    buf_add(&b, "GGUF", 4);
    put_u32(&b, 3);
    put_u64(&b, w->n_tensors);
    put_u64(&b, w->n_keys);
    buf_str(&b, buf_view(&w->keys));
    buf_str(&b, buf_view(&w->infos));
    pad(&b);
    for (size_t i = 0; i < w->n_tensors; i++) {
        buf_add(&b, w->pieces[i].data, w->pieces[i].size_bytes);
        pad(&b);
    }
    rc = buf_ok(&b, "a GGUF file", err);
    if (!rc)
        rc = file_write_atomic(path, buf_view(&b), err);
    buf_free(&b);
    return rc;
}
