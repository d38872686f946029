/* The loss against plain loops in doubles, and its gradient against differences. */
#include <math.h>
#include "tests/test.h"
#include "base/rng.h"
#include "embed/contrast.h"
#include "model/gemm.h"

enum { PIECES = 12, DIM = 8, BATCH = 5, TEXTS = 2 * BATCH };

struct problem {
    float rows[PIECES * DIM];
    struct bags bags;
    float scale;
};

/* Texts of three to five random pieces; passages 1 and 3 are the same text. */
static void make_problem(struct problem *p, uint64_t seed)
{
    struct rng rng;
    struct err err = {0};
    rng_init(&rng, seed);
    p->scale = 5;
    for (int i = 0; i < PIECES * DIM; i++)
        p->rows[i] = (float)rng_normal(&rng);
    CHECK_OK(bags_new(&p->bags, BATCH, PIECES, &err), &err);
    for (int t = 0, at = 0; t < TEXTS; t++) {
        int n = 3 + (int)rng_below(&rng, 3), first = (int)rng_below(&rng, PIECES);
        for (int i = 0; i < n; i++, at++) {
            p->bags.ids[at] = (first + 2 * i) % PIECES;
            p->bags.weights[at] = (float)(1 + rng_unit(&rng));
        }
        p->bags.start[t + 1] = at;
        p->bags.same[t] = (uint64_t)t;
    }
    p->bags.same[BATCH + 3] = p->bags.same[BATCH + 1];
}

static void text_vector(const struct problem *p, const double *rows, int t, double *out)
{
    double length = 0;
    memset(out, 0, DIM * sizeof(*out));
    for (int i = p->bags.start[t]; i < p->bags.start[t + 1]; i++)
        for (int d = 0; d < DIM; d++)
            out[d] += (double)p->bags.weights[i] * rows[p->bags.ids[i] * DIM + d];
    for (int d = 0; d < DIM; d++)
        length += out[d] * out[d];
    for (int d = 0; d < DIM; d++)
        out[d] /= sqrt(length);
}

static bool is_negative(const struct problem *p, int i, int k)
{
    const uint64_t *same = p->bags.same;
    return same[i] != same[k] && same[BATCH + i] != same[BATCH + k];
}

/* The definition at the top of contrast.h. */
static double plain_loss(const struct problem *p, const double *rows)
{
    double z[TEXTS][DIM], e[BATCH][BATCH], loss = 0;
    for (int t = 0; t < TEXTS; t++)
        text_vector(p, rows, t, z[t]);
    for (int i = 0; i < BATCH; i++) {
        for (int k = 0; k < BATCH; k++) {
            double dot = 0;
            for (int d = 0; d < DIM; d++)
                dot += z[i][d] * z[BATCH + k][d];
            e[i][k] = i == k || is_negative(p, i, k) ? exp((double)p->scale * dot) : 0;
        }
    }
    for (int i = 0; i < BATCH; i++) {
        double row = 0, col = 0;
        for (int k = 0; k < BATCH; k++) {
            row += e[i][k];
            col += e[k][i];
        }
        loss -= (log(e[i][i] / row) + log(e[i][i] / col)) / 2;
    }
    return loss / BATCH;
}

static void gradient_of(const struct contrast *c, const struct problem *p, double *out)
{
    memset(out, 0, PIECES * DIM * sizeof(*out));
    for (int t = 0; t < TEXTS; t++)
        for (int i = p->bags.start[t]; i < p->bags.start[t + 1]; i++)
            for (int d = 0; d < DIM; d++)
                out[p->bags.ids[i] * DIM + d] +=
                    (double)p->bags.weights[i] * (double)c->dz[t * DIM + d];
}

TEST(contrast_loss_is_what_its_definition_gives)
{
    struct problem p;
    struct contrast c;
    struct err err = {0};
    double rows[PIECES * DIM];
    CHECK_OK(gemm_init(&err), &err);
    make_problem(&p, 1);
    for (int i = 0; i < PIECES * DIM; i++)
        rows[i] = (double)p.rows[i];
    CHECK_OK(contrast_new(&c, DIM, BATCH, p.scale, NULL, &err), &err);
    CHECK_NEAR(contrast_step(&c, p.rows, &p.bags), plain_loss(&p, rows), 1e-5);
    contrast_deinit(&c);
    bags_deinit(&p.bags);
}

TEST(contrast_gradient_is_the_slope_of_the_loss)
{
    const double h = 1e-5;
    struct problem p;
    struct contrast c;
    struct err err = {0};
    double rows[PIECES * DIM], got[PIECES * DIM];
    CHECK_OK(gemm_init(&err), &err);
    make_problem(&p, 2);
    for (int i = 0; i < PIECES * DIM; i++)
        rows[i] = (double)p.rows[i];
    CHECK_OK(contrast_new(&c, DIM, BATCH, p.scale, NULL, &err), &err);
    contrast_step(&c, p.rows, &p.bags);
    gradient_of(&c, &p, got);
    for (int i = 0; i < PIECES * DIM; i++) {
        double keep = rows[i];
        rows[i] = keep + h;
        double up = plain_loss(&p, rows);
        rows[i] = keep - h;
        double down = plain_loss(&p, rows);
        rows[i] = keep;
        CHECK_NEAR(got[i], (up - down) / (2 * h), 2e-6);
    }
    contrast_deinit(&c);
    bags_deinit(&p.bags);
}

TEST(contrast_gives_the_same_bits_to_any_team)
{
    struct problem p;
    struct contrast one, three;
    struct team *team = NULL;
    struct err err = {0};
    CHECK_OK(gemm_init(&err), &err);
    CHECK_OK(team_new(3, &team, &err), &err);
    make_problem(&p, 3);
    CHECK_OK(contrast_new(&one, DIM, BATCH, p.scale, NULL, &err), &err);
    CHECK_OK(contrast_new(&three, DIM, BATCH, p.scale, team, &err), &err);
    double a = contrast_step(&one, p.rows, &p.bags), b = contrast_step(&three, p.rows, &p.bags);
    CHECK(a == b);
    CHECK(memcmp(one.dz, three.dz, sizeof(float) * TEXTS * DIM) == 0);
    contrast_deinit(&one);
    contrast_deinit(&three);
    bags_deinit(&p.bags);
    team_free(team);
}

TEST(contrast_survives_a_text_whose_vector_is_zero)
{
    struct problem p;
    struct contrast c;
    struct err err = {0};
    CHECK_OK(gemm_init(&err), &err);
    make_problem(&p, 4);
    for (int i = p.bags.start[2]; i < p.bags.start[3]; i++)
        p.bags.weights[i] = 0;
    CHECK_OK(contrast_new(&c, DIM, BATCH, p.scale, NULL, &err), &err);
    CHECK(isfinite(contrast_step(&c, p.rows, &p.bags)));
    for (int i = 0; i < TEXTS * DIM; i++)
        CHECK(isfinite(c.dz[i]));
    contrast_deinit(&c);
    bags_deinit(&p.bags);
}

TEST(contrast_new_refuses_a_scale_whose_exponents_would_vanish)
{
    struct contrast c;
    struct err err = {0};
    CHECK_ERR(contrast_new(&c, DIM, BATCH, 41, NULL, &err), ERR_ARG);
    CHECK_ERR(contrast_new(&c, DIM, 1, 20, NULL, &err), ERR_ARG);
}
