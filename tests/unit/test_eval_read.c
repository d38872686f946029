#include "query/eval_read.h"
#include "base/file.h"
#include "tests/test.h"

static const char *set_of(const char *queries, const char *qrels, const char *qa)
{
    const char *dir = scratch_dir(), *name[] = {"queries.jsonl", "qrels.tsv", "qa.jsonl"};
    const char *text[] = {queries, qrels, qa};
    for (int i = 0; i < 3; i++) {
        char path[512];
        struct err err;
        snprintf(path, sizeof(path), "%s/%s", dir, name[i]);
        if (text[i])
            CHECK_OK(file_write_atomic(path, str_of(text[i]), &err), &err);
    }
    return dir;
}

TEST(a_judged_set_keeps_the_queries_that_have_a_relevant_document)
{
    const char *dir =
        set_of("{\"_id\":\"q2\",\"text\":\"two\"}\n{\"_id\":\"q1\",\"text\":\"one\"}\n"
               "{\"_id\":\"q3\",\"text\":\"three\"}\n\n",
               "query-id\tcorpus-id\tscore\nq1\td9\t2\nq2\td1\t0\nq1\td3\t1\n",
               "{\"_id\":\"x\",\"question\":\"why?\",\"answers\":[\"so\"],\"gold\":[\"d3\"]}\n"
               "{\"_id\":\"y\",\"question\":\"how?\",\"answers\":[],\"gold\":[],"
               "\"answerable\":false}");
    struct arena a = {0};
    struct judged_set s;
    struct err err;
    CHECK_OK(eval_read(dir, &a, &s, &err), &err);
    CHECK_INT(s.n_queries, 1);
    CHECK_STR(s.queries[0].text, "one");
    CHECK_INT(s.queries[0].n, 2);
    CHECK_INT(eval_grade(&s.queries[0], "d9"), 2);
    CHECK_INT(eval_grade(&s.queries[0], "d3"), 1);
    CHECK_INT(eval_grade(&s.queries[0], "d1"), 0);
    CHECK_INT(s.n_questions, 2);
    CHECK(s.questions[0].answerable && !s.questions[1].answerable);
    CHECK_STR(str_of(s.questions[0].gold[0]), "d3");
    arena_deinit(&a);
}

TEST(a_malformed_line_is_named)
{
    struct arena a = {0};
    struct judged_set s;
    struct err err;
    const char *dir = set_of("{\"_id\":\"q\"}\n", "h\nq\td\t1\n", NULL);
    CHECK_ERR(eval_read(dir, &a, &s, &err), ERR_FORMAT);
    CHECK(strstr(err.msg, "queries.jsonl line 1") != NULL);
    dir = set_of("{\"_id\":\"q\",\"text\":\"t\"}\n", "h\nq\td\t1\nq d 1\n", NULL);
    CHECK_ERR(eval_read(dir, &a, &s, &err), ERR_FORMAT);
    CHECK(strstr(err.msg, "qrels.tsv line 3") != NULL);
    arena_deinit(&a);
}

TEST(a_folder_without_judgements_is_not_a_set)
{
    struct arena a = {0};
    struct judged_set s;
    CHECK_ERR(eval_read(scratch_dir(), &a, &s, NULL), ERR_NOTFOUND);
    arena_deinit(&a);
}
