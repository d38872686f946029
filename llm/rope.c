#include "llm/rope.h"
#include <math.h>

/* The pair that turns `turns` times over the original context (YaRN, eq. 17's inverse). */
static double pair_of(const struct rope_spec *s, double turns)
{
    return s->n_rot * log(s->original / (turns * 2 * M_PI)) / (2 * log(s->base));
}

/* 1 for pairs that turn often and keep their frequency, 0 for those that are
 * stretched by the whole factor (YaRN, eq. 18). */
static double kept_share(const struct rope_spec *s, int pair)
{
    double low = floor(pair_of(s, s->beta_fast)), high = ceil(pair_of(s, s->beta_slow));
    low = low > 0 ? low : 0;
    high = high < s->n_rot - 1 ? high : s->n_rot - 1;
    double width = high - low > .001 ? high - low : .001, y = (pair - low) / width;
    return (1 - (y < 0 ? 0 : y > 1 ? 1 : y)) * s->extrapolation;
}

double rope_freqs(const struct rope_spec *s, const float *factors, double *freq)
{
    for (int i = 0; i < s->n_rot / 2; i++) {
        double kept = s->scaling == ROPE_YARN ? kept_share(s, i) : 0;
        double stretch = s->scaling == ROPE_NONE ? 1 : 1 / s->factor;
        freq[i] = pow(s->base, -2.0 * i / s->n_rot) * (stretch * (1 - kept) + kept);
        if (factors)
            freq[i] /= factors[i];
    }
    return s->scaling == ROPE_YARN && s->extrapolation != 0 ? s->gain * (1 + .1 * log(s->factor))
                                                            : s->gain;
}

void rope_angles(const double *freq, int n, double gain, int pos, float *cosine, float *sine)
{
    for (int i = 0; i < n; i++) {
        double angle = pos * freq[i];
        cosine[i] = (float)(cos(angle) * gain);
        sine[i] = (float)(sin(angle) * gain);
    }
}
