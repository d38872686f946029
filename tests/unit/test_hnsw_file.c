#include <unistd.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
#include "index/hnsw.h"
#include "tests/clusters.h"
#include "tests/test.h"

enum { DIM = 16, N = 400, HEAD = 96, HASH_AT = 72 };

static const struct hnsw_options OPT = {.dim = DIM, .m = 4, .ef_construction = 20, .seed = 9};
static float *vectors;

static enum err_code vector_of(void *arg, uint64_t label, float *out, struct err *err)
{
    const uint64_t *gone = arg;
    (void)err;
    if (label < 1 || label > N || label % 50 == 3 || (gone && label == *gone))
        return ERR_NOTFOUND;
    memcpy(out, vectors + (label - 1) * DIM, DIM * sizeof(float));
    return OK;
}

/* A graph that has known removals, so that some slots are free. */
static struct hnsw *make(void)
{
    struct hnsw *h;
    struct err err = {0};
    vectors = clustered_vectors(N, DIM, 21);
    CHECK_OK(hnsw_new(&OPT, &h, &err), &err);
    for (uint64_t l = 1; l <= N; l++)
        CHECK_OK(hnsw_add(h, l, vectors + (l - 1) * DIM, &err), &err);
    for (uint64_t l = 3; l <= N; l += 50)   /* and the source has them no longer */
        CHECK_OK(hnsw_remove(h, l, &err), &err);
    return h;
}

static struct buf saved(const struct hnsw *h)
{
    char path[400];
    struct buf b = {0};
    struct err err = {0};
    snprintf(path, sizeof(path), "%s/graph", scratch_dir());
    CHECK_OK(hnsw_save(h, path, 77, &err), &err);
    CHECK_OK(file_read(path, 1 << 24, &b, &err), &err);
    return b;
}

static enum err_code load(const void *bytes, size_t n, uint64_t *gone, struct hnsw **out)
{
    uint64_t tag = 0;
    struct err err = {0};
    struct hnsw_source source = {vector_of, gone};
    enum err_code rc = hnsw_load_bytes(bytes, n, &OPT, &source, out, &tag, &err);
    CHECK(rc != OK || tag == 77);
    CHECK(rc == OK || err.msg[0]);
    return rc;
}

/* As the top of hnsw_file.c has it. */
static void recompute_checksum(char *bytes, size_t n)
{
    char head[HEAD];
    memcpy(head, bytes, HEAD);
    memset(head + HASH_AT, 0, 8);
    uint64_t h = hash64(head, HEAD, hash64(bytes + HEAD, n - HEAD, 0));
    memcpy(bytes + HASH_AT, &h, 8);
}

TEST(a_saved_graph_loads_as_the_same_graph)
{
    struct hnsw *h = make(), *back = NULL;
    struct buf b = saved(h);
    CHECK_ERR(load(b.ptr, b.len, NULL, &back), OK);
    CHECK(hnsw_equal(h, back));
    /* and goes on as the same: slots are used again in the same order */
    for (uint64_t l = 3; l <= N; l += 50) {
        CHECK_ERR(hnsw_add(h, l, vectors + (l - 1) * DIM, NULL), OK);
        CHECK_ERR(hnsw_add(back, l, vectors + (l - 1) * DIM, NULL), OK);
    }
    CHECK(hnsw_equal(h, back));
    hnsw_free(h);
    hnsw_free(back);
    buf_free(&b);
}

TEST(an_empty_graph_can_be_saved)
{
    struct hnsw *h, *back = NULL;
    CHECK_ERR(hnsw_new(&OPT, &h, NULL), OK);
    struct buf b = saved(h);
    CHECK_ERR(load(b.ptr, b.len, NULL, &back), OK);
    CHECK_INT(hnsw_count(back), 0);
    hnsw_free(h);
    hnsw_free(back);
    buf_free(&b);
}

TEST(labels_whose_vector_is_gone_are_removed_on_load)
{
    uint64_t gone = 17;
    struct hnsw *h = make(), *back = NULL;
    struct buf b = saved(h);
    CHECK_ERR(load(b.ptr, b.len, &gone, &back), OK);
    CHECK(!hnsw_has(back, 17));
    CHECK_INT(hnsw_count(back), hnsw_count(h) - 1);
    CHECK_ERR(hnsw_check(back, NULL), OK);
    hnsw_free(h);
    hnsw_free(back);
    buf_free(&b);
}

TEST(a_snapshot_of_other_options_is_refused)
{
    struct hnsw *h = make(), *back = NULL;
    struct buf b = saved(h);
    struct hnsw_options other[] = {OPT, OPT, OPT, OPT};
    struct hnsw_source source = {vector_of, NULL};
    uint64_t tag;
    other[0].dim = DIM + 1;
    other[1].m = 5;
    other[2].ef_construction = 21;
    other[3].seed = 10;
    for (int i = 0; i < 4; i++)
        CHECK_ERR(hnsw_load_bytes(b.ptr, b.len, &other[i], &source, &back, &tag, NULL), ERR_FORMAT);
    CHECK_ERR(hnsw_load("/nonexistent/graph", &OPT, &source, &back, &tag, NULL), ERR_NOTFOUND);
    hnsw_free(h);
    buf_free(&b);
}

TEST(a_snapshot_cut_anywhere_is_refused)
{
    struct hnsw *h = make(), *back = NULL;
    struct buf b = saved(h);
    for (size_t n = 0; n < b.len; n += n < 200 || test_slow() ? 1 : 37) {
        char *part = malloc(n + 1);   /* its own block, so that ASan sees a step too far */
        memcpy(part, b.ptr, n);
        CHECK_ERR(load(part, n, NULL, &back), ERR_FORMAT);
        if (n >= HEAD) {              /* and when the header says that this is all */
            uint64_t all = n;
            memcpy(part + HASH_AT - 8, &all, 8);
            recompute_checksum(part, n);
            CHECK_ERR(load(part, n, NULL, &back), ERR_FORMAT);
        }
        free(part);
    }
    hnsw_free(h);
    buf_free(&b);
}

static void note_label(void *arg, uint64_t label)
{
    *(uint64_t *)arg ^= hash64(&label, sizeof(label), 0);
}

/* A label that became another one: whoever compares labels with the truth, as
 * graph.c does at every open, sees that one is missing. */
static bool other_labels(const struct hnsw *a, const struct hnsw *b)
{
    uint64_t labels[2] = {0, 0};
    hnsw_each(a, note_label, &labels[0]);
    hnsw_each(b, note_label, &labels[1]);
    return labels[0] != labels[1];
}

TEST(a_thousand_damaged_snapshots_are_refused_or_change_nothing)
{
    struct hnsw *h = make(), *back = NULL;
    struct buf b = saved(h);
    char *copy = malloc(b.len);
    struct rng r;
    int refused = 0;
    rng_init(&r, 4711);
    for (int i = 0; i < 1000; i++) {
        memcpy(copy, b.ptr, b.len);
        int flips = 1 + (int)rng_below(&r, 3);
        for (int f = 0; f < flips; f++)
            copy[rng_below(&r, b.len)] ^= (char)(1 << rng_below(&r, 8));
        recompute_checksum(copy, b.len);
        enum err_code rc = load(copy, b.len, NULL, &back);
        if (rc) {
            CHECK_INT(rc, ERR_FORMAT);
            refused++;
            continue;
        }
        CHECK_MSG(hnsw_equal(h, back) || other_labels(h, back), "damage %d changed the graph unseen", i);
        hnsw_free(back);
    }
    CHECK_MSG(refused > 900, "%d of 1000 refused", refused);   /* others hit the checksum itself */
    free(copy);
    hnsw_free(h);
    buf_free(&b);
}

TEST(a_damaged_snapshot_with_its_old_checksum_is_refused)
{
    struct hnsw *h = make(), *back = NULL;
    struct buf b = saved(h);
    struct rng r;
    rng_init(&r, 5);
    for (int i = 0; i < 300; i++) {
        size_t at = rng_below(&r, b.len);
        char was = b.ptr[at];
        b.ptr[at] ^= (char)(1 << rng_below(&r, 8));
        CHECK_ERR(load(b.ptr, b.len, NULL, &back), ERR_FORMAT);
        b.ptr[at] = was;
    }
    hnsw_free(h);
    buf_free(&b);
}
