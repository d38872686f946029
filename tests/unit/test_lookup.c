#include "llm/lookup.h"
#include "tests/test.h"

static int propose(const int32_t *ids, int n, int max, int32_t *out)
{
    struct lookup l = {0};
    return lookup_propose(&l, ids, n, max, out);
}

TEST(what_followed_the_last_two_tokens_before_is_proposed)
{
    int32_t ids[] = {1, 7, 8, 20, 21, 22, 23, 24, 9, 7, 8}, out[LOOKUP_MAX];
    CHECK_INT(propose(ids, 11, 8, out), 4);
    for (int i = 0; i < 4; i++)
        CHECK_INT(out[i], 20 + i);
    CHECK_INT(propose(ids, 11, 2, out), 2);
    CHECK_INT(propose(ids, 11, 0, out), 0);
}

TEST(nothing_is_proposed_where_nothing_repeats)
{
    int32_t ids[] = {1, 2, 3, 4, 5, 3}, out[LOOKUP_MAX];
    CHECK_INT(propose(ids, 6, 8, out), 0); /* one token alone says too little */
    CHECK_INT(propose(ids, 2, 8, out), 0);
    CHECK_INT(propose(ids, 1, 8, out), 0);
    CHECK_INT(propose(ids, 0, 8, out), 0);
}

TEST(the_place_that_agrees_longest_wins_and_of_these_the_latest)
{
    int32_t out[LOOKUP_MAX];
    int32_t longest[] = {5, 7, 8, 30, 31, 6, 7, 8, 40, 41, 5, 7, 8};
    CHECK(propose(longest, 13, 8, out) > 0);
    CHECK_INT(out[0], 30);
    int32_t latest[] = {7, 8, 30, 31, 7, 8, 40, 41, 5, 7, 8};
    CHECK(propose(latest, 11, 8, out) > 0);
    CHECK_INT(out[0], 40);
}

TEST(a_text_that_goes_in_circles_is_proposed_in_circles)
{
    int32_t ids[] = {1, 2, 3, 1, 2, 3}, out[LOOKUP_MAX];
    CHECK_INT(propose(ids, 6, 8, out), 4);
    int32_t want[] = {1, 2, 3, 1};
    CHECK(memcmp(out, want, sizeof(want)) == 0);
}

TEST(proposals_grow_while_they_are_accepted_and_pause_while_not)
{
    int32_t ids[64], out[LOOKUP_MAX];
    for (int i = 0; i < 64; i++)
        ids[i] = i % 4;
    struct lookup l = {0};
    CHECK_INT(lookup_propose(&l, ids, 64, LOOKUP_MAX, out), 4);
    lookup_learn(&l, 4, 4);
    CHECK_INT(lookup_propose(&l, ids, 64, LOOKUP_MAX, out), 8);
    lookup_learn(&l, 8, 8);
    CHECK_INT(lookup_propose(&l, ids, 64, LOOKUP_MAX, out), 8);
    lookup_learn(&l, 8, 2);
    CHECK_INT(lookup_propose(&l, ids, 64, LOOKUP_MAX, out), 3);
    int waited = 0, proposed = 0;
    for (int i = 0; i < 1000; i++) {
        int n = lookup_propose(&l, ids, 64, LOOKUP_MAX, out);
        if (n > 0)
            lookup_learn(&l, n, 0);
        proposed += n > 0;
        waited += n == 0;
    }
    CHECK_INT(waited + proposed, 1000);
    CHECK_MSG(proposed <= 21, "%d proposals of 1000 though none ever came true", proposed);
    CHECK(proposed >= 10); /* but it goes on trying */
}
