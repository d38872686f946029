/* tests/fuzz/fuzz_hnsw_file.c - any bytes as a graph's snapshot: refused with a
 * sentence, or a sound graph that can be searched and changed. The checksum is
 * made right first, for it stops accidents and not intent. */
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/rng.h"
#include "base/vec.h"
#include "index/hnsw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DIM = 8, HEAD = 96, BYTES_AT = 64, HASH_AT = 72 };

static void make_vector(uint64_t label, float out[DIM])
{
    struct rng r;
    rng_init(&r, label);
    for (int i = 0; i < DIM; i++)
        out[i] = (float)rng_normal(&r);
    vec_normalize(out, DIM);
}

static enum err_code vector_of(void *arg, uint64_t label, float *out, struct err *err)
{
    (void)arg;
    (void)err;
    if (label % 7 == 6)
        return ERR_NOTFOUND;
    make_vector(label, out);
    return OK;
}

static void must(enum err_code rc)
{
    if (rc)
        abort();
}

struct labels { uint64_t v[64]; int n; };

static void note(void *arg, uint64_t label)
{
    struct labels *l = arg;
    if (l->n < 64)
        l->v[l->n++] = label;
}

static void use(struct hnsw *h)
{
    struct hnsw_hit hits[10];
    struct labels labels = {.n = 0};
    float q[DIM];
    int n;
    must(hnsw_check(h, NULL));
    hnsw_each(h, note, &labels);
    for (uint64_t l = 1000; l < 1020; l++) {
        make_vector(l, q);
        must(hnsw_search(h, q, 10, 20, NULL, NULL, hits, &n, NULL));
        if (!hnsw_has(h, l))
            must(hnsw_add(h, l, q, NULL));
    }
    for (int i = 0; i < labels.n; i++)
        must(hnsw_remove(h, labels.v[i], NULL));
    must(hnsw_check(h, NULL));
}

static void load(const uint8_t *data, size_t size)
{
    static const struct hnsw_options opt = {.dim = DIM, .m = 2, .ef_construction = 8, .seed = 1};
    struct hnsw_source source = {vector_of, NULL};
    struct hnsw *h;
    struct err err = {0};
    uint64_t tag;
    if (hnsw_load_bytes(data, size, &opt, &source, &h, &tag, &err)) {
        if (!err.msg[0])
            abort();
        return;
    }
    use(h);
    hnsw_free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    load(data, size);
    if (size < HEAD)
        return 0;
    uint8_t *copy = malloc(size);
    uint64_t bytes = size, hash;
    memcpy(copy, data, size);
    memcpy(copy + BYTES_AT, &bytes, 8);
    memset(copy + HASH_AT, 0, 8);
    hash = hash64(copy, HEAD, hash64(copy + HEAD, size - HEAD, 0));
    memcpy(copy + HASH_AT, &hash, 8);
    load(copy, size);
    free(copy);
    return 0;
}
