#include "query/eval.h"
#include <math.h>
#include "tests/unit/box.h"

static const char *const NAME[] = {"whale", "oak", "clock"};
static const char *const TEXT[] = {
    "The blue whale is the largest animal. It weighs 150 tonnes.",
    "The oak keeps its leaves until autumn. Jays bury its acorns.",
    "The clock in the tower was built in 1611 by Anna Weber.",
};

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[512];
    struct err err;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    CHECK_OK(file_write_atomic(path, str_of(text), &err), &err);
}

static double at(const json_t *o, const char *outer, const char *key)
{
    const json_t *v = json_object_get(json_object_get(o, outer), key);
    CHECK_MSG(json_is_number(v), "%s.%s is no number", outer, key);
    return json_number_value(v);
}

static void say(void *arg, const char *what, int done, int total)
{
    CHECK(what && done >= 0 && done < total);
    ++*(int *)arg;
}

TEST(an_evaluation_of_a_set_done_by_hand_gives_the_same)
{
    struct box b;
    struct err err;
    json_t *o = NULL;
    int told = 0;
    box_open(&b);
    char dir[512];
    snprintf(dir, sizeof(dir), "%s/judged", scratch_dir());
    CHECK_OK(file_make_dirs(dir, &err), &err);
    for (int i = 0; i < 3; i++)
        box_add(&b, NAME[i], str_of(TEXT[i]));
    write_file(dir, "queries.jsonl",
               "{\"_id\":\"1\",\"text\":\"largest animal whale\"}\n"
               "{\"_id\":\"2\",\"text\":\"acorns of the oak\"}\n"
               "{\"_id\":\"3\",\"text\":\"tower clock\"}\n");
    /* Words find whale for 1 and oak for 2; the judge wants another for 2 as well, not found
     * by words, and nothing is judged for 3. */
    write_file(dir, "qrels.tsv", "q\td\tg\n1\twhale\t1\n2\toak\t1\n2\tclock\t2\n");
    write_file(
        dir, "qa.jsonl",
        "{\"_id\":\"1\",\"question\":\"Who built the clock in the tower?\",\"answers\":[\"Anna "
        "Weber\"],\"gold\":[\"clock\"]}\n"
        "{\"_id\":\"2\",\"question\":\"Which planet has rings of ice?\",\"answers\":[],"
        "\"gold\":[],\"answerable\":false}\n");
    CHECK_OK(eval_run(b.query, dir, "default", &(struct eval_progress){say, &told}, NULL, &o, &err),
             &err);
    CHECK_INT(box_int(o, NULL, "documents"), 3);
    CHECK_INT(box_int(o, NULL, "queries"), 2);
    double ideal = 2 + 1 / log2(3);
    CHECK_NEAR(at(o, "words", "ndcg_at_10"), (1 + 1 / ideal) / 2, 1e-9);
    CHECK_NEAR(at(o, "words", "recall_at_10"), (1 + .5) / 2, 1e-9);
    CHECK_NEAR(at(o, "words", "mrr_at_10"), 1, 1e-9);
    CHECK_NEAR(at(o, "hybrid", "recall_at_100"), 1, 1e-9); /* three documents: all found */
    CHECK_NEAR(at(o, "answers", "contains_gold"), 1, 1e-9);
    CHECK_NEAR(at(o, "answers", "citations_gold"), 1, 1e-9);
    CHECK_NEAR(at(o, "refusals", "unanswerable_refused"), 1, 1e-9);
    CHECK_NEAR(at(o, "refusals", "answerable_refused"), 0, 1e-9);
    CHECK_INT(told, 3 * 2 + 2);
    json_decref(o);
    box_close(&b);
}

TEST(an_evaluation_stops_when_asked)
{
    struct box b;
    struct err err;
    struct stop stop = {0};
    json_t *o = NULL;
    box_open(&b);
    const char *dir = scratch_dir();
    write_file(dir, "queries.jsonl", "{\"_id\":\"1\",\"text\":\"whale\"}\n");
    write_file(dir, "qrels.tsv", "q\td\tg\n1\twhale\t1\n");
    stop_set(&stop);
    CHECK_ERR(eval_run(b.query, dir, "default", NULL, &stop, &o, &err), ERR_CANCELLED);
    CHECK(o == NULL);
    box_close(&b);
}
