/* tests/stores.h - a store in a test's own folder, and documents made of lines:
 * every line of the text is a chunk, its vector made of the line's words. */
#ifndef CARREL_TESTS_STORES_H
#define CARREL_TESTS_STORES_H
#include "base/hash.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/vec.h"
#include "index/blobs.h"
#include "index/index.h"
#include "index/jobs.h"
#include "tests/test.h"

enum { STORE_DIM = 16, STORE_LINES = 64 };

static inline struct index *store_open(const char *dir)
{
    struct index *x;
    struct err err = {0};
    struct index_options opt = {.dir = dir};
    log_set_level(LOG_ERROR);
    CHECK_OK(index_open(&opt, &x, &err), &err);
    return x;
}

/* Scratch store with the collection "c". */
static inline struct index *store_new(void)
{
    struct index *x = store_open(scratch_dir());
    struct arena a = {0};
    struct collection c;
    struct err err = {0};
    CHECK_OK(index_collection(x, "c", "{\"model\":\"lines\"}", STORE_DIM, "{}", true, &a, &c, &err),
             &err);
    arena_deinit(&a);
    return x;
}

/* A unit vector that depends on the text alone; an empty line has none. */
static inline void line_vector(struct str line, float out[STORE_DIM])
{
    struct rng r;
    rng_init(&r, hash64(line.ptr, line.len, 1));
    for (int i = 0; i < STORE_DIM; i++)
        out[i] = line.len ? (float)rng_normal(&r) : 0;
    vec_normalize(out, STORE_DIM);
}

static inline struct blob *store_blob(struct index *x, struct str bytes)
{
    struct blob *b;
    struct err err = {0};
    CHECK_OK(blob_begin(x, 1 << 20, &b, &err), &err);
    CHECK_OK(blob_write(b, bytes.ptr, bytes.len, &err), &err);
    CHECK_OK(blob_finish(b, &err), &err);
    return b;
}

static inline struct added store_add(struct index *x, const char *name, const char *text,
                                     const char *metadata)
{
    struct added added;
    struct err err = {0};
    struct new_document d = {"c", name, "", "text/plain", metadata, store_blob(x, str_of(text))};
    CHECK_OK(index_add(x, &d, 1, &added, &err), &err);
    return added;
}

struct lines {
    struct chunk chunks[STORE_LINES];
    float vectors[STORE_LINES][STORE_DIM];
    struct content content;
};

static inline void lines_of(const char *text, struct lines *out)
{
    struct str all = str_of(text), rest = all, line;
    int n = 0;
    while (n < STORE_LINES && str_split(&rest, '\n', &line)) {
        uint32_t start = (uint32_t)(line.ptr - all.ptr);
        out->chunks[n] = (struct chunk){.start = start, .end = start + (uint32_t)line.len,
                                        .tokens = (int)line.len / 4};
        line_vector(line, out->vectors[n++]);
    }
    out->content = (struct content){.text = all, .title = "A title", .mime = "",
                                    .chunks = out->chunks, .n_chunks = n,
                                    .vectors = out->vectors[0], .tokens = (int64_t)all.len / 4};
}

static inline enum err_code store_try_put(struct index *x, const char *id, const char *text,
                                          struct err *err)
{
    struct lines l;
    lines_of(text, &l);
    return index_put(x, id, &l.content, err);
}

static inline void store_put(struct index *x, const char *id, const char *text)
{
    struct err err = {0};
    CHECK_OK(store_try_put(x, id, text, &err), &err);
}

/* Added and made ready. */
static inline struct added store_document(struct index *x, const char *name, const char *text)
{
    struct added added = store_add(x, name, text, NULL);
    CHECK(!added.duplicate);
    store_put(x, added.id, text);
    return added;
}

/* How many chunks hold the word; the first of them in *first. */
static inline int store_count(struct index *x, const char *word, int64_t *first)
{
    struct near_hit hits[1000];
    struct err err = {0};
    int n;
    CHECK_OK(index_words(x, "c", str_of(word), 1000, NULL, hits, &n, &err), &err);
    if (n > 0 && first)
        *first = hits[0].chunk;
    return n;
}

/* The chunk whose vector is this line's, or 0. */
static inline int64_t store_nearest(struct index *x, const char *line)
{
    float q[STORE_DIM];
    struct near_hit hit;
    struct err err = {0};
    int n;
    line_vector(str_of(line), q);
    CHECK_OK(index_near(x, "c", q, 1, 50, NULL, &hit, &n, &err), &err);
    return n == 1 && hit.score > 0.999f ? hit.chunk : 0;
}

static inline void store_say(void *arg, const char *sentence)
{
    (void)arg;
    fprintf(stderr, "    finding: %s\n", sentence);
}

static inline void store_check(struct index *x)
{
    int findings;
    struct err err = {0};
    CHECK_OK(index_check(x, true, store_say, NULL, &findings, &err), &err);
    CHECK_INT(findings, 0);
}
#endif
