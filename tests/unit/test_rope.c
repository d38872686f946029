/* tests/unit/test_rope.c - rotations against their papers' own formulas. */
#include <math.h>
#include "llm/rope.h"
#include "tests/test.h"

static struct rope_spec plain(int n_rot, double base)
{
    return (struct rope_spec){.n_rot = n_rot, .base = base, .factor = 1, .original = 4096,
                              .extrapolation = 1, .beta_fast = 32, .beta_slow = 1, .gain = 1};
}

TEST(rope_turns_pair_i_by_base_to_the_minus_2i_over_n)
{
    double freq[64];
    struct rope_spec s = plain(128, 10000);
    CHECK_NEAR(rope_freqs(&s, NULL, freq), 1, 0);
    for (int i = 0; i < 64; i++)
        CHECK_NEAR(freq[i], exp(-log(10000) * i / 64), 1e-15);
}

TEST(rope_stretches_every_pair_alike_when_it_is_linear)
{
    double freq[32], plain_freq[32];
    struct rope_spec s = plain(64, 500000);
    rope_freqs(&s, NULL, plain_freq);
    s.factor = 4;
    rope_freqs(&s, NULL, freq);                /* no scaling: the factor says nothing */
    CHECK_NEAR(freq[7], plain_freq[7], 0);
    s.scaling = ROPE_LINEAR;
    CHECK_NEAR(rope_freqs(&s, NULL, freq), 1, 0);
    for (int i = 0; i < 32; i++)
        CHECK_NEAR(freq[i], plain_freq[i] / 4, 1e-16);
}

/* Llama 2's heads, 4096 stretched by 16 (arXiv:2309.00071): the pair that turns 32 times over
 * 4096 positions is 64 log(4096 / 64 pi) / log(10000) = 20.9, the one that turns once 45.03. */
TEST(rope_by_yarn_keeps_fast_pairs_stretches_slow_ones_and_ramps_between)
{
    double freq[64], plain_freq[64];
    struct rope_spec s = plain(128, 10000);
    rope_freqs(&s, NULL, plain_freq);
    s.scaling = ROPE_YARN;
    s.factor = 16;
    CHECK_NEAR(rope_freqs(&s, NULL, freq), 1 + .1 * log(16), 1e-15);
    for (int i = 0; i < 64; i++) {
        double ramp = i <= 20 ? 0 : i >= 46 ? 1 : (i - 20) / 26.0;
        CHECK_NEAR(freq[i] / plain_freq[i], 1 - ramp + ramp / 16, 1e-12);
    }
    s.extrapolation = 0;                       /* no ramp, no temperature: linear */
    CHECK_NEAR(rope_freqs(&s, NULL, freq), 1, 0);
    CHECK_NEAR(freq[3], plain_freq[3] / 16, 1e-16);
}

TEST(rope_factors_divide_the_frequencies_after_all_else)
{
    double freq[4], plain_freq[4];
    const float factors[4] = {1, 2, 8, .5f};
    struct rope_spec s = plain(8, 10000);
    s.scaling = ROPE_LINEAR;
    s.factor = 2;
    s.gain = 1.25;
    rope_freqs(&s, NULL, plain_freq);
    CHECK_NEAR(rope_freqs(&s, factors, freq), 1.25, 0);
    for (int i = 0; i < 4; i++)
        CHECK_NEAR(freq[i], plain_freq[i] / (double)factors[i], 1e-16);
}

TEST(rope_angles_stay_exact_at_positions_beyond_a_million)
{
    float c, s;
    double freq = 1;
    rope_angles(&freq, 1, 1, 1 << 20, &c, &s);
    CHECK_NEAR(c, 0.94380839, 1e-7);          /* cos 1048576 */
    CHECK_NEAR(s, 0.33049314, 1e-7);           /* sin 1048576 */
    rope_angles(&freq, 1, 2, 0, &c, &s);
    CHECK_NEAR(c, 2, 0);
    CHECK_NEAR(s, 0, 0);
}
