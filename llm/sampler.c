#include "llm/sampler.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/rng.h"

/* A token is `kept` when it stands at or before the cut in the order of logits from high to
 * low, ties by id. Top-k, top-p and min-p each keep a beginning of that order, so that no
 * vocabulary is ever sorted whole: a histogram of the distance to the greatest logit finds
 * the bin in which a cut lies, and that bin alone is sorted. The draw then walks the
 * kept in the order of their ids.
 *
 * Weights are exp((logit - greatest) / temperature) in single precision, by own arithmetic without
 * fused operations, summed in double precision: the same on any machine. */

enum {
    RECENT = 64,       /* tokens under the repetition penalty */
    LANES = 16,        /* independent chains in a vectorised loop */
    BLOCK = 256,       /* ids whose weights are summed before the sums are */
    BIN_RATE = 64,     /* bins of the histogram for a distance of 1 */
    DISTANCE_MAX = 87, /* exp(-87) is the last normal float; beyond it a token has no weight */
    BINS = BIN_RATE * DISTANCE_MAX + 1
};

struct entry {
    float x;
    int32_t id;
};
struct cut {
    float x;
    int32_t id;
}; /* the last that is kept */

struct sampler {
    struct llm_sampling o;
    int n_vocab;
    struct rng rng;
    int32_t recent[RECENT]; /* a ring */
    int n_recent, next_recent;
    int32_t *counts;  /* [n_vocab] in the answer; NULL without such penalties */
    int32_t *counted; /* [n_vocab] ids that have a count, n_counted */
    int n_counted;
    struct llm_bias *bias; /* [o.n_bias] */
    float *x;              /* [n_vocab] logits as bias, penalties and mask left them */
    float *w;              /* [n_vocab] weights; NULL when greedy */
    struct entry *bin;     /* [n_vocab] the bin that is cut; NULL without cuts */
    double *mass;          /* [BINS]; with bin */
};

static bool in_range(double v, double lo, double hi)
{
    return v >= lo && v <= hi; /* NaN is in no range */
}

static enum err_code check_number(const char *name, double v, double lo, double hi, struct err *err)
{
    if (in_range(v, lo, hi))
        return OK;
    return err_set(err, ERR_ARG, "%s is %g: need %g to %g", name, v, lo, hi);
}

static enum err_code check_bias(const struct llm_sampling *o, int n_vocab, struct err *err)
{
    if (o->n_bias < 0 || o->n_bias > n_vocab || (o->n_bias > 0 && !o->bias))
        return err_set(err, ERR_ARG, "logit_bias has %d entries: need 0 to %d", o->n_bias, n_vocab);
    for (int i = 0; i < o->n_bias; i++) {
        if (o->bias[i].id < 0 || o->bias[i].id >= n_vocab)
            return err_set(err, ERR_ARG, "logit_bias names token %d: need 0 to %d", o->bias[i].id,
                           n_vocab - 1);
        if (!in_range((double)o->bias[i].add, -100, 100))
            return err_set(err, ERR_ARG, "logit_bias of token %d is %g: need -100 to 100",
                           o->bias[i].id, (double)o->bias[i].add);
    }
    return OK;
}

enum err_code sampler_check(const struct llm_sampling *o, int n_vocab, struct err *err)
{
    const struct {
        const char *name;
        double v, lo, hi;
    } table[] = {
        {"temperature", o->temperature, 0, 2},
        {"top_p", o->top_p, 0, 1},
        {"min_p", o->min_p, 0, 1},
        {"presence_penalty", o->presence, -2, 2},
        {"frequency_penalty", o->frequency, -2, 2},
        {"top_k", o->top_k, 0, 1 << 30},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        enum err_code rc = check_number(table[i].name, table[i].v, table[i].lo, table[i].hi, err);
        if (rc)
            return rc;
    }
    if (o->repetition != 0 && !in_range(o->repetition, 0.1, 10))
        return err_set(err, ERR_ARG, "repetition_penalty is %g: need 0 (none) or 0.1 to 10",
                       o->repetition);
    return check_bias(o, n_vocab, err);
}

static bool counts_answer(const struct llm_sampling *o)
{
    return o->presence != 0 || o->frequency != 0;
}

static bool repeats(const struct llm_sampling *o)
{
    return o->repetition != 0 && o->repetition != 1;
}

static bool cuts(const struct llm_sampling *o, int n_vocab)
{
    return (o->top_k > 0 && o->top_k < n_vocab) || (o->top_p > 0 && o->top_p < 1);
}

static bool allocate(struct sampler *s)
{
    size_t n = (size_t)s->n_vocab;
    bool ok = (s->x = malloc(n * sizeof(*s->x))) != NULL;
    if (s->o.n_bias > 0)
        ok &= (s->bias = malloc((size_t)s->o.n_bias * sizeof(*s->bias))) != NULL;
    if (counts_answer(&s->o)) {
        ok &= (s->counts = calloc(n, sizeof(*s->counts))) != NULL;
        ok &= (s->counted = malloc(n * sizeof(*s->counted))) != NULL;
    }
    if (s->o.temperature > 0)
        ok &= (s->w = malloc(n * sizeof(*s->w))) != NULL;
    if (s->o.temperature > 0 && cuts(&s->o, s->n_vocab)) {
        ok &= (s->bin = malloc(n * sizeof(*s->bin))) != NULL;
        ok &= (s->mass = malloc(BINS * sizeof(*s->mass))) != NULL;
    }
    return ok;
}

enum err_code sampler_new(const struct llm_sampling *o, int n_vocab, struct sampler **out,
                          struct err *err)
{
    *out = NULL;
    if (n_vocab < 1)
        return err_set(err, ERR_ARG, "a vocabulary of %d", n_vocab);
    enum err_code rc = sampler_check(o, n_vocab, err);
    if (rc)
        return rc;
    struct sampler *s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(err, ERR_NOMEM, "a sampler");
    s->o = *o;
    s->n_vocab = n_vocab;
    rng_init(&s->rng, o->seed);
    if (!allocate(s)) {
        sampler_free(s);
        return err_set(err, ERR_NOMEM, "a sampler over %d tokens", n_vocab);
    }
    if (s->bias)
        memcpy(s->bias, o->bias, (size_t)o->n_bias * sizeof(*s->bias));
    s->o.bias = s->bias;
    *out = s;
    return OK;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    free(s->bias);
    free(s->counts);
    free(s->counted);
    free(s->x);
    free(s->w);
    free(s->bin);
    free(s->mass);
    free(s);
}

void sampler_saw(struct sampler *s, int32_t id, bool answer)
{
    if (id < 0 || id >= s->n_vocab)
        return;
    s->recent[s->next_recent] = id;
    s->next_recent = (s->next_recent + 1) % RECENT;
    if (s->n_recent < RECENT)
        s->n_recent++;
    if (answer && s->counts && s->counts[id]++ == 0)
        s->counted[s->n_counted++] = id;
}

/* ---- numbers over a whole vocabulary ---- */

/* The greatest, NaN left out; -inf when there is none. */
static float greatest(const float *x, int n)
{
    float m[LANES], best = -INFINITY;
    for (int l = 0; l < LANES; l++)
        m[l] = -INFINITY;
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            m[l] = x[i + l] > m[l] ? x[i + l] : m[l];
    for (int l = 0; l < LANES; l++)
        best = m[l] > best ? m[l] : best;
    for (; i < n; i++)
        best = x[i] > best ? x[i] : best;
    return best;
}

/* w[i] = e^y for y = (x[i] - top) * rate in [-DISTANCE_MAX, 0], else 0 (below, NaN), of LANES
 * numbers: S. Moshier's Cephes expf, 1989, in loops that compilers vectorise. */
static void weigh_lanes(const float *x, float top, float rate, float *w)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    const float lowest = -(float)DISTANCE_MAX;
    float y[LANES], in[LANES], power[LANES];
    int32_t bits[LANES];
    for (int l = 0; l < LANES; l++)
        y[l] = (x[l] - top) * rate;
    for (int l = 0; l < LANES; l++)
        in[l] = y[l] > lowest ? y[l] : lowest;
    for (int l = 0; l < LANES; l++)
        bits[l] = ((int32_t)(in[l] * 1.44269504f + magic - magic) + 127) * (1 << 23);
    memcpy(power, bits, sizeof(power));
    for (int l = 0; l < LANES; l++) {
        float n = in[l] * 1.44269504f + magic - magic;
        float r = in[l] - n * 0.693359375f + n * 2.12194440e-4f;
        float p = 1.9875691500e-4f;
        p = p * r + 1.3981999507e-3f;
        p = p * r + 8.3334519073e-3f;
        p = p * r + 4.1665795894e-2f;
        p = p * r + 1.6666665459e-1f;
        p = p * r + 5.0000001201e-1f;
        w[l] = (p * r * r + r + 1.0f) * power[l];
    }
    for (int l = 0; l < LANES; l++)
        w[l] = y[l] >= lowest ? w[l] : 0.0f;
}

static void weigh(const float *x, int n, float top, float rate, float *w)
{
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        weigh_lanes(x + i, top, rate, w + i);
    if (i == n)
        return;
    float rest[LANES], out[LANES];
    for (int l = 0; l < LANES; l++)
        rest[l] = i + l < n ? x[i + l] : -INFINITY;
    weigh_lanes(rest, top, rate, out);
    memcpy(w + i, out, (size_t)(n - i) * sizeof(*w));
}

/* In the order of ids within each of LANES chains, then over the chains. */
static double sum_block(const float *w, int n)
{
    double s[LANES] = {0}, sum = 0;
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            s[l] += (double)w[i + l];
    for (int l = 0; l < LANES; l++)
        sum += s[l];
    for (; i < n; i++)
        sum += (double)w[i];
    return sum;
}

static int block_at(int i, int n)
{
    return n - i < BLOCK ? n - i : BLOCK;
}

static bool may(const uint64_t *allowed, int32_t id)
{
    return !allowed || (allowed[id / 64] >> (id % 64) & 1);
}

static int32_t first_allowed(const uint64_t *allowed, int n)
{
    for (int32_t id = 0; id < n; id++) {
        if (allowed && allowed[id / 64] == 0)
            id |= 63;
        else if (may(allowed, id))
            return id;
    }
    return -1;
}

static int32_t first_equal(const float *x, int n, float v)
{
    for (int32_t i = 0; i < n; i++)
        if (x[i] == v)
            return i;
    return -1;
}

/* ---- bias, penalties, mask ---- */

static bool seen_before(const struct sampler *s, int i)
{
    for (int j = 0; j < i; j++)
        if (s->recent[j] == s->recent[i])
            return true;
    return false;
}

static void penalize(struct sampler *s)
{
    float r = (float)s->o.repetition;
    for (int i = 0; repeats(&s->o) && i < s->n_recent; i++) {
        float *x = &s->x[s->recent[i]];
        if (!seen_before(s, i))
            *x = *x > 0 ? *x / r : *x * r;
    }
    for (int i = 0; i < s->n_counted; i++) {
        int32_t id = s->counted[i];
        s->x[id] -= (float)(s->o.presence + s->o.frequency * s->counts[id]);
    }
}

static void forbid(float *x, const uint64_t *allowed, int n)
{
    for (int i = 0; i < n; i += 64) {
        uint64_t word = allowed[i / 64];
        int here = n - i < 64 ? n - i : 64;
        if (word == ~(uint64_t)0)
            continue;
        for (int b = 0; b < here; b++)
            x[i + b] = word >> b & 1 ? x[i + b] : -INFINITY;
    }
}

/* The logits as bias, penalties and mask leave them: `logits` itself where nothing does. */
static const float *adjust(struct sampler *s, const float *logits, const uint64_t *allowed)
{
    if (s->o.n_bias == 0 && !repeats(&s->o) && s->n_counted == 0 && !allowed)
        return logits;
    memcpy(s->x, logits, (size_t)s->n_vocab * sizeof(*s->x));
    for (int i = 0; i < s->o.n_bias; i++)
        s->x[s->bias[i].id] += s->bias[i].add;
    penalize(s);
    if (allowed)
        forbid(s->x, allowed, s->n_vocab);
    return s->x;
}

/* +inf is as likely as can be: only such tokens are left, all alike. */
static const float *without_infinity(struct sampler *s, const float *x)
{
    for (int i = 0; i < s->n_vocab; i++)
        s->x[i] = x[i] == INFINITY ? 0.0f : -INFINITY;
    return s->x;
}

/* ---- cuts and the draw ---- */

static bool keeps(struct cut c, float x, int32_t id)
{
    return x > c.x || (x == c.x && id <= c.id);
}

/* Grows as x falls, for whatever rounding: equal bins of unequal x are sorted out later. */
static int bin_of(float x, float top, float rate)
{
    return (int)((top - x) * rate * (float)BIN_RATE);
}

static int by_rank(const void *a, const void *b)
{
    const struct entry *p = a, *q = b;
    if (p->x != q->x)
        return p->x > q->x ? -1 : 1;
    return p->id < q->id ? -1 : 1;
}

/* A token counts 1 for top-k, its weight for top-p. */
static double measure_of(const struct sampler *s, int i, bool by_weight)
{
    return by_weight ? (double)s->w[i] : 1.0;
}

/* Move the cut up to the token at which the measures of the kept, from the most likely on,
 * first reach `want`. */
static void cut_at(struct sampler *s, const float *x, float top, float rate, bool by_weight,
                   double want, struct cut *cut)
{
    memset(s->mass, 0, BINS * sizeof(*s->mass));
    for (int i = 0; i < s->n_vocab; i++)
        if (s->w[i] > 0 && keeps(*cut, x[i], i))
            s->mass[bin_of(x[i], top, rate)] += measure_of(s, i, by_weight);
    double sum = 0;
    int b = 0;
    while (b < BINS && sum + s->mass[b] < want)
        sum += s->mass[b++];
    if (b == BINS)
        return; /* there are not as many */
    int n = 0;
    for (int i = 0; i < s->n_vocab; i++)
        if (s->w[i] > 0 && keeps(*cut, x[i], i) && bin_of(x[i], top, rate) == b)
            s->bin[n++] = (struct entry){x[i], i};
    qsort(s->bin, (size_t)n, sizeof(*s->bin), by_rank);
    int last = 0;
    while (last < n - 1 && (sum += measure_of(s, s->bin[last].id, by_weight)) < want)
        last++;
    *cut = (struct cut){s->bin[last].x, s->bin[last].id};
}

static double sum_weights(const struct sampler *s)
{
    double sum = 0;
    for (int i = 0; i < s->n_vocab; i += BLOCK)
        sum += sum_block(s->w + i, block_at(i, s->n_vocab));
    return sum;
}

/* Take the weight of all that is not kept. */
static void apply_cut(struct sampler *s, const float *x, struct cut cut)
{
    float least = (float)s->o.min_p;
    for (int i = 0; i < s->n_vocab; i++)
        s->w[i] = keeps(cut, x[i], i) && s->w[i] >= least ? s->w[i] : 0.0f;
}

static int32_t draw(struct sampler *s)
{
    double left = rng_unit(&s->rng) * sum_weights(s);
    int n = s->n_vocab, i = 0;
    for (; i + BLOCK < n; i += BLOCK) {
        double sum = sum_block(s->w + i, BLOCK);
        if (left < sum)
            break;
        left -= sum;
    }
    for (; i < n; i++)
        if (s->w[i] > 0 && (left -= (double)s->w[i]) < 0)
            return i;
    while (i > 0 && s->w[i - 1] <= 0) /* by rounding the draw lies behind the end */
        i--;
    return i - 1;
}

/* The weights of all that are kept. */
static double sum_kept(const struct sampler *s, const float *x, struct cut cut)
{
    if (cut.x == -INFINITY)
        return sum_weights(s);
    double sum = 0;
    for (int i = 0; i < s->n_vocab; i++)
        sum += keeps(cut, x[i], i) ? (double)s->w[i] : 0.0;
    return sum;
}

static int32_t sample(struct sampler *s, const float *x, float top)
{
    if (top == INFINITY) {
        x = without_infinity(s, x);
        top = 0;
    }
    struct cut cut = {-INFINITY, s->n_vocab};
    float rate = (float)(1.0 / fmax(s->o.temperature, 1e-6)); /* below: as good as greedy */
    weigh(x, s->n_vocab, top, rate, s->w);
    if (s->o.top_k > 0 && s->o.top_k < s->n_vocab)
        cut_at(s, x, top, rate, false, s->o.top_k, &cut);
    if (s->o.top_p > 0 && s->o.top_p < 1)
        cut_at(s, x, top, rate, true, s->o.top_p * sum_kept(s, x, cut), &cut);
    if (cut.x > -INFINITY || s->o.min_p > 0)
        apply_cut(s, x, cut);
    return draw(s);
}

int32_t sampler_pick(struct sampler *s, const float *logits, const uint64_t *allowed)
{
    const float *x = adjust(s, logits, allowed);
    float top = greatest(x, s->n_vocab);
    if (top == -INFINITY)
        return first_allowed(allowed, s->n_vocab);
    if (s->o.temperature <= 0)
        return first_equal(x, s->n_vocab, top);
    return sample(s, x, top);
}

/* ---- log probabilities ---- */

/* JSON has no infinity; OpenAI writes this for what has no probability to speak of. */
static const float LEAST_LOGPROB = -9999.0f;

struct scale {
    float top;
    double log_sum;
};

static struct scale scale_of(const float *x, int n)
{
    struct scale c = {greatest(x, n), 0};
    float w[BLOCK];
    double sum = 0;
    for (int i = 0; i < n; i += BLOCK) {
        int here = block_at(i, n);
        if (c.top == INFINITY) {
            for (int k = 0; k < here; k++)
                w[k] = x[i + k] == INFINITY;
        } else {
            weigh(x + i, here, c.top, 1, w);
        }
        sum += sum_block(w, here);
    }
    c.log_sum = log(sum);
    return c;
}

static float logprob_of(struct scale c, float x)
{
    double p = (x == c.top ? 0 : (double)x - (double)c.top) - c.log_sum;
    bool any = c.top > -INFINITY;
    return any && p > (double)LEAST_LOGPROB ? (float)p : LEAST_LOGPROB; /* NaN is least, too */
}

float sampler_logprobs(const float *logits, int n_vocab, int32_t id, struct sampler_logprob *top,
                       int n)
{
    struct scale c = scale_of(logits, n_vocab);
    int have = 0;
    for (int32_t i = 0; n > 0 && i < n_vocab; i++) {
        float x = isnan(logits[i]) ? -INFINITY : logits[i];
        if (have == n && x <= top[have - 1].logprob)
            continue;
        int at = have < n ? have++ : n - 1;
        for (; at > 0 && top[at - 1].logprob < x; at--)
            top[at] = top[at - 1];
        top[at] = (struct sampler_logprob){i, x};
    }
    for (int i = 0; i < have; i++)
        top[i].logprob = logprob_of(c, top[i].logprob);
    return logprob_of(c, logits[id]);
}
