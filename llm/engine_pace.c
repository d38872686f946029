/* llm/engine_pace.c - prompts are computed in slices that running answers can bear.
 *
 * A pass of answers alone takes a time of its own, almost the same for one answer as for
 * eight: reading the weights. Rows are added to it until it takes TARGET times as long. How
 * many that are is found by trying: arithmetic hides behind reading at first, then adds up, and
 * depends on kernels, on how far the prompt has come, and on what else the machine
 * does; so there is no formula but the last pass. */
#include <math.h>
#include "llm/engine_int.h"

static const double TARGET = 2;    /* of the promised 3, for p99 and not the mean */
static const double BULK_MS = 600; /* a pass of prompts only: what a reader who leaves may wait */
static const double WAIT_MS = 10e3; /* for others: a person's attention (J. Nielsen, "Usability
                                       Engineering", 1993, section 5.5) */
enum {
    ROWS_MIN = 4,       /* a prompt goes on, whatever it costs */
    ROWS_FIRST = 64,    /* before anything is measured */
    ROWS_BULK_MIN = 32, /* below, kernels do not pay */
    AGE_MAX = 32,       /* passes with prompts that an idle time is believed for */
    WAIT_TIMES = 7,     /* its own prompt, as one of eight alike; who came with little waits
                           little */
};

static int bucket_of(int n_answers)
{
    int b = 0;
    while (b < PACE_BUCKETS - 1 && 1 << b < n_answers)
        b++;
    return b;
}

static int clamp(double rows, int least, int most)
{
    return rows < least ? least : rows > most ? most : (int)rows;
}

bool engine_pace_probes(const struct engine_pace *p, int n_answers)
{
    int b = bucket_of(n_answers);
    return n_answers > 0 && (p->alone_ms[b] <= 0 || p->age[b] >= AGE_MAX);
}

/* Before anything was tried: a row costs at least what it costs in bulk; take that twice. */
static double first_guess(const struct engine_pace *p, double alone_ms)
{
    return p->bulk_row_ms > 0 ? (TARGET - 1) * alone_ms / (2 * p->bulk_row_ms) : ROWS_MIN;
}

int engine_pace_rows(struct engine_pace *p, int n_answers, int n_proposed)
{
    if (n_answers == 0) {
        if (p->bulk_row_ms <= 0)
            return ROWS_FIRST;
        return clamp(BULK_MS / p->bulk_row_ms, ROWS_BULK_MIN, ENGINE_SLICE_MAX);
    }
    if (p->rows <= 0)
        p->rows = first_guess(p, p->alone_ms[bucket_of(n_answers)]);
    return clamp(p->rows - n_proposed, ROWS_MIN, ENGINE_SLICE_MAX);
}

bool engine_pace_waits(const struct engine_pace *p, int own, int rest)
{
    int64_t most = (int64_t)WAIT_TIMES * (own > ROWS_BULK_MIN ? own : ROWS_BULK_MIN);
    return rest > 0 && rest <= most && rest * p->bulk_row_ms <= WAIT_MS;
}

static double median(const double v[3])
{
    double least = fmin(v[0], fmin(v[1], v[2])), most = fmax(v[0], fmax(v[1], v[2]));
    return v[0] + v[1] + v[2] - least - most;
}

/* One slow pass met another's work on the machine; two of three say that it is slower now. */
static void learn_alone(struct engine_pace *p, int b, double ms)
{
    double *v = p->last_ms[b];
    bool first = v[0] <= 0;
    v[2] = first ? ms : v[1];
    v[1] = first ? ms : v[0];
    v[0] = ms;
    p->alone_ms[b] = median(v);
    p->age[b] = 0;
}

/* Down at once, up by a quarter at most: a pass too long is worse than one too short. A pass of
 * fewer rows than it might have had says nothing of how many it could bear. */
static void learn_rows(struct engine_pace *p, int b, int rows, double ms)
{
    double over = ms / p->alone_ms[b] - 1, factor = over > 0.1 ? (TARGET - 1) / over : 2;
    p->age[b]++;
    if (factor < 1)
        p->rows *= factor > 0.5 ? factor : 0.5;
    else if (rows >= 0.75 * p->rows)
        p->rows *= factor < 1.5 ? (1 + factor) / 2 : 1.25;
    p->rows = p->rows < ROWS_MIN           ? ROWS_MIN
              : p->rows > ENGINE_SLICE_MAX ? ENGINE_SLICE_MAX
                                           : p->rows;
}

void engine_pace_learn(struct engine_pace *p, int n_answers, int n_proposed, int n_prompt_rows,
                       double ms)
{
    int b = bucket_of(n_answers);
    if (n_answers == 0 && n_prompt_rows >= ROWS_BULK_MIN) {
        double row = ms / n_prompt_rows;
        p->bulk_row_ms = p->bulk_row_ms <= 0 ? row : 0.7 * p->bulk_row_ms + 0.3 * row;
    } else if (n_answers > 0 && n_prompt_rows == 0 && n_proposed == 0) {
        learn_alone(p, b, ms);
    } else if (n_answers > 0 && n_prompt_rows > 0 && p->alone_ms[b] > 0 && p->rows > 0) {
        learn_rows(p, b, n_prompt_rows + n_proposed, ms);
    }
}
