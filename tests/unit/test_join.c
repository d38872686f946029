#include "query/join.h"
#include "tests/test.h"

static struct hit hit(const char *document, int ordinal, uint32_t start, uint32_t end, double score)
{
    struct hit h = {.start = start, .end = end, .score = score, .text = STR("x")};
    h.chunk = (struct stored_chunk){.ordinal = ordinal, .start = start, .end = end};
    memcpy(h.chunk.document, document, strlen(document) + 1);
    return h;
}

TEST(neighbours_of_one_document_are_joined_at_the_best_ones_place)
{
    struct hit h[] = {hit("a", 4, 400, 500, .9), hit("b", 5, 0, 80, .8), hit("a", 5, 500, 600, .7),
                      hit("a", 3, 300, 400, .6)};
    int n = 4;
    join_hits(h, &n);
    CHECK_INT(n, 2);
    CHECK_INT(h[0].start, 300);
    CHECK_INT(h[0].end, 600);
    CHECK_NEAR(h[0].score, .9, 0);
    CHECK(h[0].text.ptr == NULL);
    CHECK(h[1].text.ptr != NULL);
    CHECK_INT(h[1].n, 2);
}

TEST(an_overlap_of_neighbours_is_told_once)
{
    struct hit h[] = {hit("a", 1, 90, 200, .9), hit("a", 0, 0, 120, .8)};
    int n = 2;
    join_hits(h, &n);
    CHECK_INT(n, 1);
    CHECK_INT(h[0].start, 0);
    CHECK_INT(h[0].end, 200);
}

TEST(a_gap_that_a_later_hit_fills_is_bridged)
{
    struct hit h[] = {hit("a", 1, 100, 200, .9), hit("a", 3, 300, 400, .8),
                      hit("a", 2, 200, 300, .7)};
    int n = 3;
    join_hits(h, &n);
    CHECK_INT(n, 1);
    CHECK_INT(h[0].start, 100);
    CHECK_INT(h[0].end, 400);
}

TEST(distant_chunks_and_long_runs_stay_apart)
{
    struct hit far[] = {hit("a", 1, 100, 200, .9), hit("a", 3, 300, 400, .8)};
    int n = 2;
    join_hits(far, &n);
    CHECK_INT(n, 2);
    struct hit run[JOIN_CHUNKS + 1];
    for (int i = 0; i <= JOIN_CHUNKS; i++)
        run[i] = hit("a", i, (uint32_t)i * 10, (uint32_t)i * 10 + 10, 1 - .1 * i);
    n = JOIN_CHUNKS + 1;
    join_hits(run, &n);
    CHECK_INT(n, 2);
    CHECK_INT(run[0].end, JOIN_CHUNKS * 10);
}
