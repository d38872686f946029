/* tests/fuzz/write_gguf.h - the parts of a GGUF file, written without any check: what a
 * fuzzer makes may be as wrong as it likes. The format: model/gguf.h. */
#ifndef CARREL_TESTS_FUZZ_WRITE_GGUF_H
#define CARREL_TESTS_FUZZ_WRITE_GGUF_H
#include "base/str.h"

enum { PUT_U32 = 4, PUT_I32 = 5, PUT_F32 = 6, PUT_BOOL = 7, PUT_TEXT = 8, PUT_ARRAY = 9 };

static inline void put_u32(struct buf *b, uint32_t v)
{
    buf_add(b, &v, 4);
}

static inline void put_u64(struct buf *b, uint64_t v)
{
    buf_add(b, &v, 8);
}

static inline void put_text(struct buf *b, struct str s)
{
    put_u64(b, s.len);
    buf_str(b, s);
}

/* A file of version 3 without tensors and with so many keys. */
static inline void put_head(struct buf *b, uint64_t keys)
{
    buf_add(b, "GGUF", 4);
    put_u32(b, 3);
    put_u64(b, 0);
    put_u64(b, keys);
}

static inline void put_key(struct buf *b, const char *key, uint32_t type)
{
    put_text(b, str_of(key));
    put_u32(b, type);
}

static inline void put_text_key(struct buf *b, const char *key, struct str value)
{
    put_key(b, key, PUT_TEXT);
    put_text(b, value);
}

static inline void put_u32_key(struct buf *b, const char *key, uint32_t value)
{
    put_key(b, key, PUT_U32);
    put_u32(b, value);
}

static inline void put_bool_key(struct buf *b, const char *key, bool value)
{
    put_key(b, key, PUT_BOOL);
    buf_char(b, value);
}

/* The n values of `type` follow. */
static inline void put_array_key(struct buf *b, const char *key, uint32_t type, size_t n)
{
    put_key(b, key, PUT_ARRAY);
    put_u32(b, type);
    put_u64(b, n);
}

static inline void put_end(struct buf *b)
{
    while (b->len % 32)
        buf_char(b, 0);
}
#endif
