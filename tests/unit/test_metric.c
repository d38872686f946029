#include "query/metric.h"
#include "base/file.h"
#include "tests/cases.h"
#include "tests/test.h"

static int grades(struct str list, int *out)
{
    struct str one;
    int n = 0;
    int64_t v;
    while (list.len && str_split(&list, ',', &one)) {
        CHECK(str_int(one, -9, 9, &v));
        out[n++] = (int)v;
    }
    return n;
}

static double number(struct str s)
{
    char z[32] = {0};
    memcpy(z, s.ptr, s.len < 31 ? s.len : 31);
    return strtod(z, NULL);
}

TEST(metrics_equal_those_of_an_independent_script)
{
    struct buf file = {0};
    struct err err;
    CHECK_OK(file_read("tests/golden/metric.tsv", 1 << 20, &file, &err), &err);
    struct str rest = buf_view(&file), line, f[5];
    int n = 0;
    str_split(&rest, '\n', &line);
    while (rest.len && str_split(&rest, '\n', &line)) {
        int ranked[64], judged[64];
        for (int i = 0; i < 5; i++)
            CHECK(str_split(&line, '\t', &f[i]));
        int nr = grades(f[0], ranked), nj = grades(f[1], judged);
        CHECK_NEAR(metric_ndcg(ranked, nr, judged, nj, 10), number(f[2]), 1e-9);
        CHECK_NEAR(metric_recall(ranked, nr, judged, nj, 10), number(f[3]), 1e-9);
        CHECK_NEAR(metric_mrr(ranked, nr, 10), number(f[4]), 1e-9);
        n++;
    }
    CHECK_INT(n, 60);
    buf_free(&file);
}

TEST(ndcg_of_the_textbook_example_is_as_printed)
{
    /* Järvelin and Kekäläinen's measure on the grades 3 2 3 0 1 2, all judged:
     * DCG 6.861, ideal 7.141. */
    int ranked[] = {3, 2, 3, 0, 1, 2};
    CHECK_NEAR(metric_ndcg(ranked, 6, ranked, 6, 6), 6.861 / 7.141, 1e-3);
}

TEST(metrics_of_an_empty_ranking_are_zero)
{
    int judged[] = {1};
    CHECK_NEAR(metric_ndcg(NULL, 0, judged, 1, 10), 0, 0);
    CHECK_NEAR(metric_recall(NULL, 0, judged, 1, 10), 0, 0);
    CHECK_NEAR(metric_mrr(NULL, 0, 10), 0, 0);
}

TEST(auc_counts_the_pairs_in_the_right_order)
{
    double yes[] = {.9, .5, .4}, no[] = {.1, .5};
    /* 5 of 6 pairs: .4 lies under .5, and .5 against .5 counts half. */
    CHECK_NEAR(metric_auc(yes, 3, no, 2), 4.5 / 6, 1e-12);
}

static void normal(struct str input, struct buf *out)
{
    struct err err;
    CHECK_OK(metric_normal(input, out, &err), &err);
}

TEST(answers_are_compared_as_the_case_file_says)
{
    cases_run("tests/cases/answer.txt", normal);
}

TEST(an_answer_contains_a_gold_one_on_word_boundaries_only)
{
    CHECK(metric_contains(STR("in 308 points"), STR("308")));
    CHECK(metric_contains(STR("308"), STR("308")));
    CHECK(!metric_contains(STR("in 1308 points"), STR("308")));
    CHECK(!metric_contains(STR("3089"), STR("308")));
    CHECK(metric_contains(STR("3089 and 308"), STR("308")));
    CHECK(!metric_contains(STR("anything"), STR("")));
}

TEST(f1_counts_shared_words_as_often_as_both_have_them)
{
    CHECK_NEAR(metric_f1(STR("cat cat dog"), STR("cat bird")), 2.0 * 1 / 5, 1e-12);
    CHECK_NEAR(metric_f1(STR("cat dog"), STR("cat cat")), 2.0 * 1 / 4, 1e-12);
    CHECK_NEAR(metric_f1(STR("x y"), STR("y x")), 1, 1e-12);
    CHECK_NEAR(metric_f1(STR(""), STR("y")), 0, 0);
}
