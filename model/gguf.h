/* model/gguf.h - GGUF version 3 (and 2) files, read without trust, and written.
 *
 * Format: the GGUF specification (ggml, docs/gguf.md). Every count, offset,
 * type, string and dimension is checked in 64-bit arithmetic against the size
 * of the file before anything is allocated; a refusal names the key or tensor,
 * the value found and the value wanted.
 * Shapes    `ne[0]` is the row length (fastest), as GGUF writes them.
 * Threads   immutable after open. Memory  strings, arrays and tensor data are
 *           borrowed from the file's bytes until gguf_close. */
#ifndef CARREL_MODEL_GGUF_H
#define CARREL_MODEL_GGUF_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"
#include "model/tensor.h"

struct gguf;

/* The head of `path` is copied, the tensors are mapped. ERR_FORMAT with the reason, ERR_IO. */
enum err_code gguf_open(const char *path, struct gguf **out, struct err *err);
/* The same over bytes in memory, borrowed for the life of the gguf; `name` is for messages. */
enum err_code gguf_open_bytes(const char *name, const void *bytes, size_t n, struct gguf **out,
                              struct err *err);
void gguf_close(struct gguf *g);
/* ERR_IO if somebody has written to the file since gguf_open: numbers read meanwhile may be
 * wrong (of bytes cut off: zeros). To be asked when the tensors have been read. */
enum err_code gguf_intact(const struct gguf *g, struct err *err);
const char *gguf_name(const struct gguf *g);
/* XXH3-128 of the whole file in hex (33 bytes with the NUL); computed on call. */
void gguf_hash(const struct gguf *g, char out[33]);

/* Metadata. Absent: ERR_NOTFOUND, *out unchanged. Another type or out of
 * [min, max]: ERR_FORMAT. Integers of any width are accepted where they fit. */
enum err_code gguf_str(const struct gguf *g, const char *key, struct str *out, struct err *err);
enum err_code gguf_int(const struct gguf *g, const char *key, int64_t min, int64_t max,
                       int64_t *out, struct err *err);
enum err_code gguf_num(const struct gguf *g, const char *key, double *out, struct err *err);
enum err_code gguf_bool(const struct gguf *g, const char *key, bool *out, struct err *err);
/* Length of the array `key` of strings, or of numbers. */
enum err_code gguf_array(const struct gguf *g, const char *key, bool of_strings, size_t *n,
                         struct err *err);
/* Its i-th element, i < n. Strings in order cost O(1) each. */
struct str gguf_array_str(const struct gguf *g, const char *key, size_t i);
double gguf_array_num(const struct gguf *g, const char *key, size_t i);

size_t gguf_n_tensors(const struct gguf *g);
const struct tensor *gguf_tensor_at(const struct gguf *g, size_t i);
const struct tensor *gguf_tensor(const struct gguf *g, const char *name); /* or NULL */
/* `n` bytes of a tensor have been read and are not needed soon: the memory that shows them is
 * given back. They can be read again, from the file. */
void gguf_done_with(const struct gguf *g, const void *bytes, size_t n);

/* Writing: keys and tensors in the order given, alignment 32; the file appears
 * whole or not at all. One owner. */
struct gguf_writer;
struct gguf_writer *gguf_writer_new(void);
void gguf_writer_free(struct gguf_writer *w);
void gguf_put_str(struct gguf_writer *w, const char *key, struct str v);
void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_put_f32(struct gguf_writer *w, const char *key, float v);
void gguf_put_bool(struct gguf_writer *w, const char *key, bool v);
void gguf_put_strs(struct gguf_writer *w, const char *key, const struct str *v, size_t n);
void gguf_put_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n);
void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n);
/* `data` is borrowed until gguf_save. */
void gguf_put_tensor(struct gguf_writer *w, const char *name, enum tensor_type type, int n_dims,
                     const int64_t *ne, const void *data);
enum err_code gguf_save(struct gguf_writer *w, const char *path, struct err *err);
#endif
