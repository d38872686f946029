#include "query/claim.h"
#include <math.h>
#include "base/rng.h"
#include "base/utf8.h"
#include "tests/cases.h"
#include "tests/test.h"

#define PASSAGES 8

static struct claims check(struct str answer, bool json, const struct cite_passage *p, int n,
                           struct arena *a)
{
    struct claims c;
    struct err err;
    struct claim_request r = {.answer = answer, .json = json, .passages = p, .n_passages = n};
    CHECK_OK(claim_check(&r, a, &c, &err), &err);
    return c;
}

static int passages_of(struct str input, struct cite_passage *p, struct str *answer)
{
    size_t at = str_find(input, STR(" | "), 0);
    int n = 0;
    *answer = str_sub(input, 0, at);
    while (at != SIZE_MAX) {
        size_t next = str_find(input, STR(" | "), at + 3);
        struct str text = str_sub(input, at + 3, next);
        p[n++] = (struct cite_passage){.text = text, .stored = text};
        at = next;
    }
    return n;
}

static void show_as(struct str input, bool json, struct buf *out)
{
    struct cite_passage p[PASSAGES] = {0};
    struct arena a = {0};
    struct str answer;
    int n = passages_of(input, p, &answer);
    struct claims c = check(answer, json, p, n, &a);
    buf_puts(out, ground_name(claim_grounded(1, &c)));
    for (int i = 0; i < c.n; i++) {
        const struct citation *ct = &c.citations[i];
        buf_printf(out, " {%d ", ct->n);
        buf_str(out, str_sub(answer, ct->answer_start, ct->answer_end));
        buf_puts(out, " -> ");
        buf_str(out, str_sub(p[ct->n - 1].stored, ct->start, ct->end));
        buf_printf(out, " %.2f}", ct->support);
    }
    for (int i = 0; i < c.n_unsupported; i++) {
        buf_puts(out, " (not: ");
        buf_str(out, str_sub(answer, c.unsupported[i].start, c.unsupported[i].end));
        buf_char(out, ')');
    }
    arena_deinit(&a);
}

static void show(struct str input, struct buf *out)
{
    show_as(input, false, out);
}

static void show_json(struct str input, struct buf *out)
{
    show_as(input, true, out);
}

TEST(claims_stand_on_what_the_case_file_says)
{
    cases_run("tests/cases/cite_claim.txt", show);
}

TEST(claims_of_json_answers_stand_on_what_the_case_file_says)
{
    cases_run("tests/cases/cite_json.txt", show_json);
}

TEST(a_mark_whose_bytes_are_gone_is_lost_and_its_claim_does_not_stand)
{
    struct cite_passage p = {.text = STR("The sky is blue."), .stored = STR("")};
    struct arena a = {0};
    struct claims c = check(STR("The sky is blue [1]."), false, &p, 1, &a);
    CHECK_INT(c.n, 0);
    CHECK_INT(c.lost, 1);
    CHECK_INT(c.n_unsupported, 1);
    CHECK_INT(claim_grounded(1, &c), GROUNDED_NONE);
    arena_deinit(&a);
}

TEST(little_evidence_leaves_an_answer_partly_grounded_at_best)
{
    struct cite_passage p = {.text = STR("The sky is blue."), .stored = STR("The sky is blue.")};
    struct arena a = {0};
    struct claims c = check(STR("The sky is blue [1]."), false, &p, 1, &a);
    CHECK_INT(claim_grounded(GROUND_FULL_EVIDENCE, &c), GROUNDED_FULL);
    CHECK_INT(claim_grounded(GROUND_FULL_EVIDENCE - .01, &c), GROUNDED_PARTIAL);
    arena_deinit(&a);
}

static enum err_code half(void *arg, struct str claim, const struct str *texts, int n, double *out,
                          struct err *err)
{
    (void)claim, (void)texts, (void)err;
    for (int i = 0; i < n; i++)
        out[i] = *(double *)arg;
    return OK;
}

TEST(support_is_half_words_and_half_meaning_and_little_when_a_number_is_missing)
{
    struct arena a = {0};
    struct err err;
    struct support s;
    double like = .5;
    struct support_how how = {.likeness = half, .arg = &like};
    CHECK_OK(words_new(&how.words, &err), &err);
    struct str text = STR("Members pay 12 euros a year. Children pay nothing.");
    CHECK_OK(support_find(&how, STR("Each member pays 12 euros"), text, &a, &s, &err), &err);
    /* member, pay, euro once and 12 twice: all there; (1 + .5) / 2 */
    CHECK_NEAR(s.value, .75, 1e-9);
    CHECK_STR(str_sub(text, s.start, s.end), "Members pay 12 euros a year.");
    CHECK_OK(support_find(&how, STR("Each member pays 13 euros"), text, &a, &s, &err), &err);
    CHECK_NEAR(s.value, SUPPORT_NUMBERS, 1e-9);
    how.likeness = NULL;
    CHECK_OK(support_find(&how, STR("Each member pays 12 pounds"), text, &a, &s, &err), &err);
    CHECK_NEAR(s.value, .8, 1e-9);
    words_free(how.words);
    arena_deinit(&a);
}

TEST(numbers_are_compared_as_numbers)
{
    CHECK(support_numbers(STR("1,200 books in 2019"), STR("In 2019: 1200.")));
    CHECK(support_numbers(STR("2.50 euros"), STR("2.5 euros")));
    CHECK(support_numbers(STR("no number"), STR("")));
    CHECK(!support_numbers(STR("12 books"), STR("120 books")));
    CHECK(!support_numbers(STR("12 books"), STR("1.2 books")));
}

/* Whatever the answer: ranges are inside, quotes are bytes of their passage, one citation a mark. */
TEST(every_mark_of_a_random_answer_has_a_citation_that_can_be_checked)
{
    static const char *const piece[] = {"[1]",   "[2]",    ". ",  "? ",  "\n",  "\n\n", " ",  "alpha ",
                                        "beta",  "gamma ", "é",   "中文", "(3)", "12 ",  ": ", "- ",
                                        "1. ",   "The ",   "# ",  "[1][2]", "\xff", "It is", "12"};
    struct rng r;
    struct buf b[3] = {{0}};
    int seen = 0;
    rng_init(&r, 13);
    for (int round = 0; round < 4000; round++) {
        struct arena a = {0};
        struct cite_passage p[2];
        for (int i = 0; i < 3; i++) {
            struct buf raw = {0};
            for (int k = (int)rng_below(&r, 30) + (i < 2); k > 0; k--)
                buf_puts(&raw, piece[rng_below(&r, sizeof(piece) / sizeof(*piece))]);
            buf_reset(&b[i]);
            utf8_repair(buf_view(&raw), &b[i]);
            buf_free(&raw);
            if (i < 2)
                buf_puts(&b[i], "x");
        }
        for (int i = 0; i < 2; i++)
            p[i] = (struct cite_passage){.text = buf_view(&b[i]), .stored = buf_view(&b[i])};
        struct str answer = buf_view(&b[2]);
        struct cite_mark *m;
        int n;
        CHECK_OK(cite_marks(answer, &a, &m, &n, NULL), (&(struct err){0}));
        struct claims c = check(answer, false, p, 2, &a);
        CHECK_INT(c.n, n);
        CHECK_INT(c.lost, 0);
        for (int i = 0; i < c.n; i++) {
            const struct citation *ct = &c.citations[i];
            CHECK_INT(ct->n, m[i].n);
            CHECK(ct->start < ct->end && ct->end <= p[ct->n - 1].stored.len);
            CHECK(utf8_valid(str_sub(p[ct->n - 1].stored, ct->start, ct->end)));
            CHECK(ct->answer_start < ct->answer_end && ct->answer_end <= answer.len);
            CHECK(ct->answer_start <= m[i].start);
            CHECK(ct->support >= 0 && ct->support <= 1);
            seen++;
        }
        for (int i = 0; i < c.n_unsupported; i++)
            CHECK(c.unsupported[i].start < c.unsupported[i].end && c.unsupported[i].end <= answer.len);
        CHECK_INT(c.supported + c.n_unsupported, c.n_claims);
        arena_deinit(&a);
    }
    CHECK(seen > 3000);
    for (int i = 0; i < 3; i++)
        buf_free(&b[i]);
}
