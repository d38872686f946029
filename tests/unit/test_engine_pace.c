#include <math.h>
#include "llm/engine_int.h"
#include "tests/test.h"

/* A machine: reading weights takes `read`, a row of arithmetic `row` (they overlap), rows of a
 * prompt at position `at` cost a little more. */
static double machine(double read, double row, int answers, int proposed, int rows, int at)
{
    double work = row * (answers + proposed + rows) * (1 + at / 8192.0);
    return (read > work ? read : work) + 0.05 * read;
}

/* For 2,048 rows, were each as long as two of answers alone. */
static int passes_of_twice(double read, double row, int answers)
{
    double work = 2 * machine(read, row, answers, 0, 0, 0) - 0.05 * read;
    int passes = 0;
    for (double at = 0; at < 2048; passes++)
        at += fmin(work / row / (1 + at / 8192) - answers, ENGINE_SLICE_MAX);
    return passes;
}

static void check_pace(double read, double row, int answers)
{
    struct engine_pace p = {0};
    int worst_rows = 0, at = 0;
    double worst = 0, alone = machine(read, row, answers, 0, 0, 0);
    for (int i = 0; i < 8; i++) { /* a prompt alone, then answers alone */
        int rows = engine_pace_rows(&p, 0, 0);
        engine_pace_learn(&p, 0, 0, rows, machine(read, row, 0, 0, rows, 0));
    }
    CHECK(engine_pace_probes(&p, answers));
    engine_pace_learn(&p, answers, 0, 0, alone);
    CHECK(!engine_pace_probes(&p, answers));
    int passes = 0;
    for (; at < 2048; passes++) {
        int rows = engine_pace_rows(&p, answers, 0);
        if (engine_pace_probes(&p, answers))
            rows = 0;
        double ms = machine(read, row, answers, 0, rows, at);
        engine_pace_learn(&p, answers, 0, rows, ms);
        if (ms > worst)
            worst = ms, worst_rows = rows;
        at += rows;
    }
    CHECK_MSG(worst <= 3 * alone, "read %g row %g: %d rows took %g, alone %g", read, row,
              worst_rows, worst, alone);
    int best = passes_of_twice(read, row, answers);
    CHECK_MSG(row * 4 > read || passes < 1.1 * best + 20, "read %g row %g: %d passes, %d would do",
              read, row, passes, best);
}

TEST(slices_keep_an_answers_pace_and_waste_little)
{
    const double row[] = {0.02, 0.1, 0.3, 1, 3, 5};
    for (int i = 0; i < 6; i++)
        for (int answers = 1; answers <= 8; answers *= 2)
            check_pace(20, row[i], answers);
}

TEST(prompts_alone_go_in_large_slices_of_bounded_time)
{
    struct engine_pace p = {0};
    for (int i = 0; i < 10; i++)
        engine_pace_learn(&p, 0, 0, engine_pace_rows(&p, 0, 0), 0.5 * engine_pace_rows(&p, 0, 0));
    CHECK_INT(engine_pace_rows(&p, 0, 0), ENGINE_SLICE_MAX);
    for (int i = 0; i < 40; i++)
        engine_pace_learn(&p, 0, 0, engine_pace_rows(&p, 0, 0), 6.0 * engine_pace_rows(&p, 0, 0));
    CHECK_INT(engine_pace_rows(&p, 0, 0), 100); /* 600 ms */
}

/* Passes of an answer and 2,048 rows of prompts; a pass alone takes what alone(n) says. */
static int passes_for(struct engine_pace *p, double (*alone)(int pass), double row, double *worst)
{
    int n = 0;
    *worst = 0;
    for (int at = 0; at < 2048; n++) {
        bool probe = engine_pace_probes(p, 1);
        int rows = probe ? 0 : engine_pace_rows(p, 1, 0);
        double ms = alone(n) + row * rows;
        engine_pace_learn(p, 1, 0, rows, ms);
        *worst = ms / alone(n) > *worst ? ms / alone(n) : *worst;
        at += rows;
    }
    return n;
}

static double steady(int pass)
{
    (void)pass;
    return 20;
}

/* Half as fast after a while, as a machine that others share may be. */
static double slowing(int pass)
{
    return pass < 20 ? 20 : 40;
}

TEST(a_machine_that_becomes_slower_does_not_stall_prompts)
{
    struct engine_pace a = {0}, b = {0};
    double worst;
    int quiet = passes_for(&a, steady, 1.5, &worst), slowed = passes_for(&b, slowing, 1.5, &worst);
    CHECK_MSG(slowed <= quiet + 20 && worst < 3, "%d passes and %d", quiet, slowed);
}

TEST(one_slow_pass_lengthens_no_other)
{
    struct engine_pace p = {0};
    for (int i = 0; i < 20; i++)
        engine_pace_learn(&p, 1, 0, 0, i == 15 ? 90 : 20 + i % 3);
    for (int i = 0; i < 3; i++) {
        engine_pace_learn(&p, 1, 0, 0, i == 1 ? 90 : 20);
        CHECK(p.alone_ms[0] < 23);
    }
}

TEST(an_answer_waits_for_prompts_like_its_own_but_no_longer_than_a_person_would)
{
    struct engine_pace p = {0};
    CHECK(!engine_pace_waits(&p, 600, 0)); /* for nobody */
    CHECK(engine_pace_waits(&p, 600, 7 * 600));
    CHECK(!engine_pace_waits(&p, 600, 8 * 600));
    CHECK(engine_pace_waits(&p, 0, 200)); /* all its prompt was known */
    CHECK(!engine_pace_waits(&p, 0, 600));
    for (int i = 0; i < 40; i++)
        engine_pace_learn(&p, 0, 0, 100, 400);
    CHECK(engine_pace_waits(&p, 600, 2400)); /* 9.6 seconds */
    CHECK(!engine_pace_waits(&p, 600, 2600));
}
