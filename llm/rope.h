/* llm/rope.h - by how many radians a position turns the pairs of a head.
 *
 * Rotary position embedding (J. Su et al. 2021, arXiv:2104.09864) and its
 * stretchings to longer contexts: linear (S. Chen et al. 2023, arXiv:2306.15595),
 * YaRN (B. Peng et al. 2023, arXiv:2309.00071: section 3.4's temperature as a
 * gain of cosine and sine), factors of each frequency from the file (Llama 3.1;
 * LongRoPE, Y. Ding et al. 2024, arXiv:2402.13753).
 * All of them are linear in the position: an angle is position * frequency.
 * Threads   no state. Private to llm/. */
#ifndef CARREL_LLM_ROPE_H
#define CARREL_LLM_ROPE_H

#define ROPE_HALF_MAX 256      /* pairs of a head: half of ATTN_HEAD_MAX */

enum rope_scaling { ROPE_NONE, ROPE_LINEAR, ROPE_YARN };
struct rope_spec {
    enum rope_scaling scaling;
    int n_rot;                 /* dimensions of a head that turn; even */
    double base;               /* > 1 */
    double factor;             /* by how much the context was stretched; > 0 */
    int original;              /* positions before that (YaRN) */
    double extrapolation;      /* share of YaRN's ramp; 1 */
    double beta_fast, beta_slow;  /* turns over `original` between which it ramps; 32, 1 */
    double gain;               /* of cosine and sine, beside YaRN's own; 1 */
};
/* freq[n_rot / 2], radians per position; `factors`[n_rot / 2] divide them (NULL:
 * none). Gives the gain of cosine and sine. */
double rope_freqs(const struct rope_spec *s, const float *factors, double *freq);
/* cosine[n], sine[n] of the pairs at a position, for act_rope. */
void rope_angles(const double *freq, int n, double gain, int pos, float *cosine, float *sine);
#endif
