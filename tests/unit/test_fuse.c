#include "query/fuse.h"
#include "base/rng.h"
#include "tests/test.h"

static const struct fused *of(const struct fused *f, int n, int64_t chunk)
{
    for (int i = 0; i < n; i++)
        if (f[i].chunk == chunk)
            return &f[i];
    test_fail(__FILE__, __LINE__, "chunk %lld is not there", (long long)chunk);
}

TEST(fusion_adds_the_weighted_shares_of_both_sides)
{
    /* base .1: meaning of 1 is 1, of 2 is (.4-.1)/(.6-.1) = .6, of 3 is .2. Words of
     * 2 is 1, of 4 is .5. Not found by meaning (4): as the last candidate, .2. */
    struct near_hit d[] = {{1, .6f}, {2, .4f}, {3, .2f}}, w[] = {{2, 8}, {4, 4}};
    struct arena a = {0};
    struct err err;
    struct fused *f;
    int n;
    CHECK_OK(fuse((struct fuse_side){d, 3, .1}, (struct fuse_side){w, 2, 0}, .4, &a, &f, &n, &err),
             &err);
    CHECK_INT(n, 4);
    CHECK_NEAR(of(f, n, 2)->score, .4 * .6 + .6 * 1, 1e-6);
    CHECK_NEAR(of(f, n, 1)->score, .4 * 1, 1e-6);
    CHECK_NEAR(of(f, n, 4)->score, .4 * .2 + .6 * .5, 1e-6);
    CHECK_NEAR(of(f, n, 3)->score, .4 * .2, 1e-6);
    CHECK_INT(f[0].chunk, 2);
    CHECK_INT(f[1].chunk, 1);
    CHECK_INT(f[2].chunk, 4);
    CHECK_INT(of(f, n, 2)->dense_rank, 2);
    CHECK_INT(of(f, n, 2)->words_rank, 1);
    CHECK_INT(of(f, n, 4)->dense_rank, 0);
    CHECK_NEAR(of(f, n, 4)->words_score, 4, 0);
    arena_deinit(&a);
}

TEST(fusion_of_one_side_keeps_its_order)
{
    struct near_hit w[] = {{9, 3}, {5, 2}, {7, 2}};
    struct arena a = {0};
    struct err err;
    struct fused *f;
    int n;
    CHECK_OK(fuse((struct fuse_side){NULL, 0, 0}, (struct fuse_side){w, 3, 0}, 0, &a, &f, &n, &err),
             &err);
    CHECK_INT(n, 3);
    CHECK_INT(f[0].chunk, 9);
    CHECK_INT(f[1].chunk, 5); /* equal scores: the smaller id first */
    CHECK_INT(f[2].chunk, 7);
    CHECK_OK(fuse((struct fuse_side){w, 3, 0}, (struct fuse_side){NULL, 0, 0}, 1, &a, &f, &n, &err),
             &err);
    CHECK_INT(f[0].chunk, 9);
    arena_deinit(&a);
}

TEST(fusion_of_nothing_is_empty)
{
    struct arena a = {0};
    struct err err;
    struct fused *f;
    int n = 7;
    CHECK_OK(fuse((struct fuse_side){0}, (struct fuse_side){0}, .5, &a, &f, &n, &err), &err);
    CHECK_INT(n, 0);
    arena_deinit(&a);
}

TEST(fusion_refuses_a_weight_outside_of_0_to_1)
{
    struct arena a = {0};
    struct fused *f;
    int n;
    CHECK_ERR(fuse((struct fuse_side){0}, (struct fuse_side){0}, 1.1, &a, &f, &n, NULL), ERR_ARG);
    CHECK_ERR(fuse((struct fuse_side){0}, (struct fuse_side){0}, -.1, &a, &f, &n, NULL), ERR_ARG);
    arena_deinit(&a);
}

TEST(fusion_does_not_hang_on_the_scale_of_bm25_or_a_shift_of_the_cosines)
{
    struct near_hit d[] = {{1, .9f}, {2, .8f}, {3, .7f}},
                    shifted[] = {{1, .5f}, {2, .4f}, {3, .3f}};
    struct near_hit w[] = {{3, 10}, {1, 5}}, scaled[] = {{3, 2}, {1, 1}};
    struct arena a = {0};
    struct err err;
    struct fused *f, *g;
    int n, m;
    CHECK_OK(fuse((struct fuse_side){d, 3, .6}, (struct fuse_side){w, 2, 0}, .5, &a, &f, &n, &err),
             &err);
    CHECK_OK(fuse((struct fuse_side){shifted, 3, .2}, (struct fuse_side){scaled, 2, 0}, .5, &a, &g,
                  &m, &err),
             &err);
    CHECK_INT(n, m);
    for (int i = 0; i < n; i++) {
        CHECK_INT(f[i].chunk, g[i].chunk);
        CHECK_NEAR(f[i].score, g[i].score, 1e-6);
    }
    arena_deinit(&a);
}

TEST(fusion_scores_lie_within_0_to_1_and_fall)
{
    struct rng r;
    rng_init(&r, 3);
    for (int round = 0; round < 200; round++) {
        struct near_hit d[150], w[150];
        int nd = (int)rng_below(&r, 151), nw = (int)rng_below(&r, 151), n;
        float s = 1, b = 30;
        for (int i = 0; i < nd; i++)
            d[i] = (struct near_hit){(int64_t)i * 3, s -= (float)rng_unit(&r) * .01f};
        for (int i = 0; i < nw; i++)
            w[i] = (struct near_hit){(int64_t)i * 2, b -= (float)rng_unit(&r) * .1f};
        struct arena a = {0};
        struct err err;
        struct fused *f;
        CHECK_OK(fuse((struct fuse_side){d, nd, .05}, (struct fuse_side){w, nw, 0}, rng_unit(&r),
                      &a, &f, &n, &err),
                 &err);
        CHECK(n <= nd + nw && n >= (nd > nw ? nd : nw));
        for (int i = 0; i < n; i++) {
            CHECK(f[i].score >= 0 && f[i].score <= 1 + 1e-9);
            CHECK(i == 0 || f[i].score <= f[i - 1].score);
        }
        arena_deinit(&a);
    }
}
