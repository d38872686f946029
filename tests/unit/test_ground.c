#include "query/ground.h"
#include <math.h>
#include "query/rarity.h"
#include "tests/test.h"

TEST(the_evidence_gate_opens_at_its_threshold)
{
    CHECK(ground_opens(.3, .3));
    CHECK(!ground_opens(.2999, .3));
    CHECK(ground_opens(0, 0));
}

TEST(grounded_says_how_much_of_an_answer_stands_on_citations)
{
    struct ground_claims all = {.citations = 2, .least_support = 1};
    struct ground_claims bare = {.citations = 2, .bare = 1, .least_support = 1};
    struct ground_claims dropped = {.citations = 2, .dropped = 1, .least_support = 1};
    struct ground_claims weak = {.citations = 2, .least_support = .3};
    struct ground_claims none = {0};
    CHECK_STR(str_of(ground_name(ground_of(.9, &all))), "full");
    CHECK_STR(str_of(ground_name(ground_of(.4, &all))), "partial");
    CHECK_STR(str_of(ground_name(ground_of(.9, &bare))), "partial");
    CHECK_STR(str_of(ground_name(ground_of(.9, &dropped))), "partial");
    CHECK_STR(str_of(ground_name(ground_of(.9, &weak))), "partial");
    CHECK_STR(str_of(ground_name(ground_of(.9, &none))), "none");
}

TEST(rarity_falls_as_more_chunks_have_the_stem_and_stays_above_zero)
{
    double last = 2 * rarity_formula(0, 1000); /* of an absent stem it is half */
    for (int with = 1; with <= 1000; with++) {
        double r = rarity_formula(with, 1000);
        CHECK(r > 0 && r < last);
        last = r;
    }
    /* by hand: n = 10 + 4, N = 1000 + 200 */
    CHECK_NEAR(rarity_formula(10, 1000), log(1 + 1186.5 / 14.5), 1e-12);
}

TEST(rarity_in_a_tiny_store_does_not_punish_an_absent_word)
{
    CHECK(rarity_formula(0, 3) < rarity_formula(2, 3));
}
