#include "query/cite.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "tests/cases.h"
#include "tests/test.h"

#define PASSAGES 8

static struct cited run(struct str answer, const struct cite_passage *p, int n, struct arena *a)
{
    struct cited c;
    struct err err;
    struct cite_request r = {.answer = answer, .passages = p, .n_passages = n};
    CHECK_OK(cite(&r, a, &c, &err), &err);
    return c;
}

static void show(struct str input, struct buf *out)
{
    struct cite_passage p[PASSAGES] = {0};
    struct arena a = {0};
    size_t at = str_find(input, STR(" | "), 0);
    struct str answer = str_sub(input, 0, at);
    int n = 0;
    while (at != SIZE_MAX) {
        size_t next = str_find(input, STR(" | "), at + 3);
        struct str text = str_sub(input, at + 3, next);
        p[n++] = (struct cite_passage){.text = text, .stored = text};
        at = next;
    }
    struct cited c = run(answer, p, n, &a);
    buf_str(out, c.answer);
    for (int i = 0; i < c.n; i++) {
        const struct citation *ct = &c.citations[i];
        buf_printf(out, " {%d: ", ct->n);
        buf_str(out, str_sub(c.answer, ct->answer_start, ct->answer_end));
        buf_puts(out, " -> ");
        buf_str(out, str_sub(p[ct->n - 1].stored, ct->start, ct->end));
        buf_char(out, '}');
    }
    arena_deinit(&a);
}

TEST(citations_are_what_the_case_file_says)
{
    cases_run("tests/cases/cite.txt", show);
}

TEST(a_citation_counts_from_the_start_of_the_stored_text)
{
    struct str stored = STR("Heading\n\nThe sky is blue. It is day.");
    struct cite_passage p = {.text = str_sub(stored, 9, stored.len), .start = 9, .stored = stored};
    struct arena a = {0};
    struct cited c = run(STR("It is day. [1]"), &p, 1, &a);
    CHECK_INT(c.n, 1);
    CHECK_STR(str_sub(stored, c.citations[0].start, c.citations[0].end), "It is day.");
    CHECK(c.citations[0].exact);
    CHECK_NEAR(c.citations[0].support, 1, 0);
    arena_deinit(&a);
}

TEST(a_citation_whose_bytes_are_gone_is_dropped_and_counted)
{
    struct str text = STR("The sky is blue."), other = STR("The sky is grey.");
    struct cite_passage changed = {.text = text, .stored = other};
    struct cite_passage gone = {.text = text};
    struct cite_passage moved = {.text = text, .start = 1, .stored = text};
    const struct cite_passage *all[] = {&changed, &gone, &moved};
    for (int i = 0; i < 3; i++) {
        struct arena a = {0};
        struct cited c = run(STR("The sky is blue. [1]"), all[i], 1, &a);
        CHECK_INT(c.n, 0);
        CHECK_INT(c.claims.dropped, 1);
        CHECK_STR(c.answer, "The sky is blue.");
        arena_deinit(&a);
    }
}

TEST(support_is_the_share_of_a_claims_words_in_the_quote)
{
    struct str text = STR("The largest upload has 64 MiB.");
    struct cite_passage p = {.text = text, .stored = text};
    struct arena a = {0};
    /* upload, 64 (twice), MiB of upload, 64, MiB: all; with 65 for 64: 2 of 4. */
    struct cited c = run(STR("Uploads: 64 MiB [1]"), &p, 1, &a);
    CHECK_NEAR(c.citations[0].support, 1, 1e-9);
    c = run(STR("Uploads: 65 MiB [1]"), &p, 1, &a);
    CHECK_NEAR(c.citations[0].support, .5, 1e-9);
    arena_deinit(&a);
}

TEST(statements_without_a_mark_are_counted_as_bare)
{
    struct str text = STR("The sky is blue. It is day.");
    struct cite_passage p = {.text = text, .stored = text};
    struct arena a = {0};
    struct cited c = run(STR("I think so. The sky is blue. [1] Surely."), &p, 1, &a);
    CHECK_INT(c.n, 1);
    CHECK_INT(c.claims.bare, 2);
    CHECK_STR(str_sub(c.answer, c.citations[0].answer_start, c.citations[0].answer_end),
              "The sky is blue.");
    arena_deinit(&a);
}

/* Pieces that decide: marks, brackets, stops, white space, wide and bad bytes. */
static void random_text(struct rng *r, int pieces, struct buf *b)
{
    static const char *const piece[] = {"[1]",    "[2]",  "[",        "]",      "7",      ". ",
                                        "? ",     "\n",   "\n\n",     " ",      "alpha ", "beta",
                                        "gamma ", "é",    "中文",     "\u200b", "(3)",    "[99]",
                                        "a",      "\xff", "\xe4\xb8", "[[1]]",  "\t",     "The "};
    buf_reset(b);
    for (int i = 0; i < pieces; i++)
        buf_puts(b, piece[rng_below(r, sizeof(piece) / sizeof(*piece))]);
}

TEST(every_citation_of_random_answers_is_bytes_of_its_text)
{
    struct rng r;
    rng_init(&r, 11);
    struct buf raw = {0}, text[3] = {{0}};
    int seen = 0;
    for (int round = 0; round < 3000; round++) {
        struct arena a = {0};
        struct cite_passage p[2];
        for (int i = 0; i < 2; i++) {
            random_text(&r, (int)rng_below(&r, 40), &raw);
            buf_reset(&text[i]);
            utf8_repair(buf_view(&raw), &text[i]);
            struct str s = buf_view(&text[i]);
            size_t from = utf8_floor(s, rng_below(&r, s.len + 1));
            size_t to = utf8_ceil(s, from + rng_below(&r, s.len - from + 1));
            p[i] = (struct cite_passage){
                .text = str_sub(s, from, to), .start = (uint32_t)from, .stored = s};
        }
        random_text(&r, (int)rng_below(&r, 30), &text[2]);
        struct cited c = run(buf_view(&text[2]), p, 2, &a);
        struct cite_mark *m;
        int n;
        CHECK_OK(cite_marks(c.answer, &a, &m, &n, NULL), (&(struct err){0}));
        CHECK_INT(n, c.n); /* a number with no citation never appears */
        for (int i = 0; i < c.n; i++) {
            const struct citation *ct = &c.citations[i];
            CHECK_INT(ct->n, m[i].n);
            CHECK(ct->n == 1 || ct->n == 2);
            const struct cite_passage *from = &p[ct->n - 1];
            CHECK(ct->start >= from->start && ct->end <= from->start + from->text.len);
            CHECK(ct->start < ct->end && ct->end <= from->stored.len);
            CHECK(utf8_valid(str_sub(from->stored, ct->start, ct->end)));
            CHECK(ct->answer_start < ct->answer_end && ct->answer_end <= m[i].start);
            size_t s, e;
            struct str claim = str_sub(c.answer, ct->answer_start, ct->answer_end);
            struct str quote = str_sub(from->stored, ct->start, ct->end);
            if (ct->exact)
                CHECK(cite_locate(claim, quote, &a, &s, &e) && s == 0 && e == quote.len);
            seen++;
        }
        arena_deinit(&a);
    }
    CHECK(seen > 300);
    buf_free(&raw);
    for (int i = 0; i < 3; i++)
        buf_free(&text[i]);
}
