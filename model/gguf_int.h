/* model/gguf_int.h - what gguf.c and gguf_parse.c share. */
#ifndef CARREL_MODEL_GGUF_INT_H
#define CARREL_MODEL_GGUF_INT_H
#include <sys/stat.h>
#include "base/map.h"
#include "model/gguf.h"

#define GGUF_STRIDE 16         /* strings between two kept offsets */

enum gguf_value { V_U8, V_I8, V_U16, V_I16, V_U32, V_I32, V_F32, V_BOOL, V_STR, V_ARRAY,
                  V_U64, V_I64, V_F64, V_N };
extern const uint8_t gguf_value_bytes[V_N];      /* 0 for strings and arrays */
extern const char *const gguf_value_names[V_N];

struct key {
    struct str name;
    uint16_t type, elem;   /* elem: of an array */
    uint32_t index;        /* of a string array: its first entry in g->marks */
    uint64_t n;            /* elements of an array, or bytes of a string */
    const uint8_t *at;     /* the value, or an array's first element */
};

/* Open addressing over an array of names; 0 is an empty slot, else index + 1. */
struct names { uint32_t *slot; size_t mask; };

struct gguf {
    char *name;
    struct map map;
    bool mapped;
    int fd;                /* of a mapped file */
    struct stat opened;    /* what it was */
    size_t have;           /* bytes from the front that may be read */
    size_t n_keys, n_tensors;
    struct key *keys;
    struct tensor *tensors;
    struct names key_names, tensor_names;
    uint64_t seed;         /* of the name tables: collisions cannot be prepared */
    uint64_t *marks;       /* offsets of every STRIDE-th string, arrays one after another */
    size_t n_marks, cap_marks;
    size_t alignment;
};

/* Fill in all that lies below `seed` from g->map; gguf_close frees what a
 * failure leaves. */
enum err_code gguf_parse(struct gguf *g, struct err *err);
const struct key *gguf_find_key(const struct gguf *g, const char *name);   /* or NULL */
const struct tensor *gguf_find_tensor(const struct gguf *g, const char *name);
#endif
