/* tests/unit/test_kquant.c - block formats: against a twin that reads one
 * element at a time after ggml's structs, and (with CARREL_DATA) files that
 * another program quantised against the floats they were made from. */
#include <math.h>
#include "base/file.h"
#include "base/rng.h"
#include "model/kquant.h"
#include "model/tensor.h"
#include "tests/test.h"

static const int types[] = {3, 6, 7, 10, 11, 12, 13, 14};
#define N_TYPES (sizeof(types) / sizeof(*types))

/* ---- the twin: ggml's loops, turned around: which bits make element i */

static float half(const uint8_t *p)
{
    return tensor_f16_to_f32((uint16_t)(p[0] | p[1] << 8));
}

static unsigned nibble32(const uint8_t *qs, int i)
{
    return i < 16 ? qs[i] & 15u : qs[i - 16] >> 4;
}

static uint32_t word(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* All sixteen scales of Q3_K, by the words and masks of ggml. */
static int q3_scale(const uint8_t *p, int j)
{
    const uint32_t low = 0x0f0f0f0f, two = 0x03030303;
    uint32_t a = word(p), b = word(p + 4), t = word(p + 8);
    const uint32_t all[4] = {(a & low) | (t & two) << 4, (b & low) | (t >> 2 & two) << 4,
                             (a >> 4 & low) | (t >> 4 & two) << 4,
                             (b >> 4 & low) | (t >> 6 & two) << 4};
    return (int)(all[j / 4] >> j % 4 * 8 & 0xff) - 32;
}

static float k45(const uint8_t *p, int i, unsigned q)
{
    int j = i / 32;
    unsigned s = j < 4 ? p[4 + j] & 63u : (p[8 + j] & 15u) | (p[j] >> 6) << 4;
    unsigned m = j < 4 ? p[8 + j] & 63u : (unsigned)(p[8 + j] >> 4) | (p[4 + j] >> 6) << 4;
    return half(p) * (float)s * (float)q - half(p + 2) * (float)m;
}

static float k6(const uint8_t *p, int i)
{
    int n = i / 128, quarter = i % 128 / 32, l = i % 32;
    const uint8_t *ql = p + 64 * n, *qh = p + 128 + 32 * n;
    unsigned low = quarter == 0   ? ql[l] & 15u
                   : quarter == 1 ? ql[l + 32] & 15u
                   : quarter == 2 ? ql[l] >> 4
                                  : ql[l + 32] >> 4;
    int8_t s = (int8_t)p[192 + 8 * n + l / 16 + 2 * quarter];
    return half(p + 208) * (float)s * (float)((int)(low | (qh[l] >> 2 * quarter & 3u) << 4) - 32);
}

static float twin(int type, const uint8_t *p, int i)
{
    int half_block = i / 128, shift = i % 128 / 32 * 2, l = i % 32;
    switch (type) {
    case 3:
        return half(p) * (float)nibble32(p + 4, i) + half(p + 2);
    case 6:
        return half(p) * ((float)(nibble32(p + 6, i) | (word(p + 2) >> i & 1) << 4) - 16);
    case 7:
        return half(p) * (float)(nibble32(p + 8, i) | (word(p + 4) >> i & 1) << 4) + half(p + 2);
    case 10:
        return half(p + 80) * (float)(p[i / 16] & 15) *
                   (float)(p[16 + 32 * half_block + l] >> shift & 3) -
               half(p + 82) * (float)(p[i / 16] >> 4);
    case 11:
        return half(p + 108) * (float)q3_scale(p + 96, i / 16) *
               (float)((p[32 + 32 * half_block + l] >> shift & 3) - (p[l] & 1 << i / 32 ? 0 : 4));
    case 12:
        return k45(p, i, p[16 + i / 64 * 32 + l] >> (i / 32 % 2 ? 4 : 0) & 15u);
    case 13:
        return k45(p, i, (p[48 + i / 64 * 32 + l] >> (i / 32 % 2 ? 4 : 0) & 15u) +
                             (p[16 + l] & 1 << i / 32 ? 16u : 0u));
    }
    return k6(p, i);
}

/* Random bytes with halves that are numbers. */
static void random_block(struct rng *rng, int type, uint8_t *p)
{
    static const struct { int type, at[2]; } halves[] = {
        {3, {0, 2}}, {6, {0, 0}}, {7, {0, 2}}, {10, {80, 82}},
        {11, {108, 108}}, {12, {0, 2}}, {13, {0, 2}}, {14, {208, 208}}};
    for (size_t i = 0; i < kquant_block_bytes(type); i++)
        p[i] = (uint8_t)rng_next(rng);
    for (size_t i = 0; i < N_TYPES; i++)
        for (int k = 0; k < 2 && halves[i].type == type; k++) {
            uint16_t h = tensor_f32_to_f16((float)rng_normal(rng));
            memcpy(p + halves[i].at[k], &h, 2);
        }
}

TEST(kquant_reads_every_format_as_its_twin_does)
{
    struct rng rng;
    rng_init(&rng, 3);
    for (size_t t = 0; t < N_TYPES; t++) {
        int block = kquant_block(types[t]);
        size_t bytes = kquant_block_bytes(types[t]);
        uint8_t rows[1 + 2 * 210];
        float out[2 * 256];
        for (int round = 0; round < 200; round++) {
            random_block(&rng, types[t], rows + 1);           /* at an odd address */
            random_block(&rng, types[t], rows + 1 + bytes);
            kquant_dequant((enum kquant_type)types[t], rows + 1, 2 * block, out);
            for (int i = 0; i < 2 * block; i++) {
                float want = twin(types[t], rows + 1 + (size_t)(i / block) * bytes, i % block);
                CHECK_MSG(out[i] == want, "type %d, seed 3, element %d is %.9g, want %.9g",
                          types[t], i, out[i], want);
            }
        }
    }
}

TEST(kquant_knows_its_types_and_no_others)
{
    static const int blocks[N_TYPES] = {32, 32, 32, 256, 256, 256, 256, 256};
    static const size_t bytes[N_TYPES] = {20, 22, 24, 84, 110, 144, 176, 210};
    int known = 0;
    for (int type = -1; type < 64; type++)
        known += kquant_block(type) > 0 && kquant_block_bytes(type) > 0;
    CHECK_INT(known, N_TYPES);
    for (size_t t = 0; t < N_TYPES; t++)
        CHECK(kquant_block(types[t]) == blocks[t] && kquant_block_bytes(types[t]) == bytes[t]);
}

/* ---- files of another program */

struct reader { const char *p; };

static uint64_t take(struct reader *r, int bytes)
{
    uint64_t v = 0;
    memcpy(&v, r->p, (size_t)bytes);
    r->p += bytes;
    return v;
}

static void skip_value(struct reader *r, uint32_t type)
{
    static const int bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == 8) {
        r->p += take(r, 8);
    } else if (type == 9) {
        uint32_t elem = (uint32_t)take(r, 4);
        for (uint64_t n = take(r, 8); n; n--)
            skip_value(r, elem);
    } else {
        r->p += bytes[type];
    }
}

/* Bytes of the tensor token_embd.weight of a GGUF that we trust; its type. */
static const char *embeddings(const struct buf *file, int *type, int64_t *n)
{
    struct reader r = {file->ptr + 8};
    uint64_t n_tensors = take(&r, 8), n_keys = take(&r, 8), offset = UINT64_MAX;
    for (; n_keys; n_keys--) {
        skip_value(&r, 8);
        skip_value(&r, (uint32_t)take(&r, 4));
    }
    for (; n_tensors; n_tensors--) {
        struct str name = {r.p + 8, 0};
        name.len = (size_t)take(&r, 8);
        r.p += name.len;
        int64_t size = 1;
        for (uint64_t dims = take(&r, 4); dims; dims--)
            size *= (int64_t)take(&r, 8);
        int t = (int)take(&r, 4);
        uint64_t at = take(&r, 8);
        if (str_eqz(name, "token_embd.weight")) {
            *type = t;
            *n = size;
            offset = at;
        }
    }
    CHECK(offset != UINT64_MAX);
    size_t here = (size_t)(r.p - file->ptr);
    return file->ptr + (here + 31) / 32 * 32 + offset;
}

/* Root mean square of the error over that of the weights. */
static double error_of(const char *name, int want_type)
{
    struct err err = {0};
    struct buf exact = {0}, file = {0};
    int type;
    int64_t n, m;
    CHECK_OK(file_read(data_path("oracle/llama-f32.gguf"), 1 << 24, &exact, &err), &err);
    char path[100];
    snprintf(path, sizeof(path), "oracle/llama-%s.gguf", name);
    CHECK_OK(file_read(data_path(path), 1 << 24, &file, &err), &err);
    const char *row = embeddings(&file, &type, &n), *want = embeddings(&exact, &(int){0}, &m);
    CHECK(type == want_type && n == m);
    float *out = malloc((size_t)n * sizeof(*out)), w;
    kquant_dequant((enum kquant_type)type, row, n, out);
    double sum = 0, all = 0;
    for (int64_t i = 0; i < n; i++) {
        memcpy(&w, want + 4 * i, 4);
        sum += ((double)out[i] - w) * ((double)out[i] - w);
        all += (double)w * w;
    }
    free(out);
    buf_free(&exact);
    buf_free(&file);
    return sqrt(sum / all);
}

/* The bounds are a tenth above what was measured; a wrong bit costs more. */
TEST(kquant_of_files_is_near_the_weights_they_were_made_from)
{
    static const struct { const char *name; double bound; } file[N_TYPES] = {
        {"q4_1", 0.086}, {"q5_0", 0.047}, {"q5_1", 0.042}, {"q2_k", 0.324},
        {"q3_k", 0.166}, {"q4_k", 0.079}, {"q5_k", 0.040}, {"q6_k", 0.020}};
    for (size_t t = 0; t < N_TYPES; t++) {
        double e = error_of(file[t].name, types[t]);
        CHECK_MSG(e < file[t].bound, "%s: error %.4f, want below %.4f", file[t].name, e,
                  file[t].bound);
    }
}
