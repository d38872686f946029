#include "llm/engine_int.h"
#include "tests/test.h"

/* A machine: reading weights takes `read`, a row of arithmetic `row` (they overlap), rows of a
 * prompt at position `at` cost a little more. */
static double machine(double read, double row, int answers, int proposed, int rows, int at)
{
    double work = row * (answers + proposed + rows) * (1 + at / 8192.0);
    return (read > work ? read : work) + 0.05 * read;
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
    double best = 2048 / (2.5 * alone / row); /* passes, were each as long as it may be */
    CHECK_MSG(row * 4 > read || passes < 2.2 * best + 20, "read %g row %g: %d passes, %g would do",
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
