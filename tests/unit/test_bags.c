#include <math.h>
#include "tests/test.h"
#include "embed/bags.h"

enum { PIECES = 10 };
static const char *const names[PIECES] = {"[UNK]", "one", "two", "six", "ten",
                                          ".",     "red", "sea", "sky", "sun"};

struct made {
    struct pairs pairs;
    struct wordpiece *w;
    struct corpus c;
};

static void add(struct pairs *p, const char *q, const char *text, int source)
{
    p->v = realloc(p->v, (p->n + 1) * sizeof(*p->v));
    p->v[p->n++] = (struct pair){str_of(q), str_of(text), source};
    p->n_sources = source < p->n_sources ? p->n_sources : source + 1;
}

static void make(struct made *m)
{
    struct str list[PIECES];
    struct err err = {0};
    for (int i = 0; i < PIECES; i++)
        list[i] = str_of(names[i]);
    CHECK_OK(wordpiece_new(list, PIECES, &m->w, &err), &err);
    CHECK_OK(corpus_new(&m->c, &m->pairs, m->w, NULL, &err), &err);
}

static void unmake(struct made *m)
{
    free(m->pairs.v);
    wordpiece_free(m->w);
    corpus_deinit(&m->c);
}

TEST(corpus_keeps_pairs_that_have_known_words_on_both_sides)
{
    struct made m = {0};
    add(&m.pairs, "one two", "red sea zebra", 0);
    add(&m.pairs, "zebra", "red sea", 0);
    add(&m.pairs, "one", "zebra", 0);
    make(&m);
    CHECK_INT(m.c.n, 1);
    CHECK_INT(m.c.pairs[0].n_query, 2);
    CHECK_INT(m.c.pairs[0].n_passage, 2);
    CHECK_INT(m.c.texts_with[6], 1);
    CHECK_INT(m.c.texts_with[8], 0);
    unmake(&m);
}

TEST(bags_hold_distinct_pieces_weighted_by_the_logarithm_of_their_count)
{
    struct made m = {0};
    struct plan p;
    struct bags b;
    struct rng rng;
    struct err err = {0};
    add(&m.pairs, "one two", "red sea red red", 0);
    add(&m.pairs, "one two", "sky", 0);
    make(&m);
    rng_init(&rng, 1);
    CHECK_OK(plan_new(&p, &m.c, 2, -1, &rng, &err), &err);
    CHECK_OK(bags_new(&b, 2, PIECES, &err), &err);
    CHECK_INT(p.n_batches, 1);
    bags_fill(&b, &m.c, &p, 0, &rng);
    int t = p.items[0].pair == 0 ? 2 : 3;
    CHECK_INT(b.start[t + 1] - b.start[t], 2);
    CHECK_INT(b.ids[b.start[t]], 6);
    CHECK_NEAR((double)b.weights[b.start[t]], 1 + log(3), 1e-6);
    CHECK_NEAR((double)b.weights[b.start[t] + 1], 1, 0);
    CHECK(b.same[0] == b.same[1] && b.same[2] != b.same[3]);
    bags_deinit(&b);
    plan_deinit(&p);
    unmake(&m);
}

TEST(plan_asks_with_a_sentence_for_the_others)
{
    struct made m = {0};
    struct plan p;
    struct rng rng;
    struct err err = {0};
    add(&m.pairs, "one", "red sea red sea red. one two six ten one. sky sun sky sun sky.", 0);
    add(&m.pairs, "two", "red sea.", 0);
    make(&m);
    rng_init(&rng, 5);
    CHECK_OK(plan_new(&p, &m.c, 3, 1, &rng, &err), &err);
    CHECK_INT(p.n_batches, 1);
    int views = 0;
    for (int i = 0; i < 3; i++) {
        if (p.items[i].view_end == 0)
            continue;
        views++;
        CHECK_INT(p.items[i].pair, 0);
        CHECK_INT(p.items[i].view_start % 6, 0);
        CHECK_INT(p.items[i].view_end - p.items[i].view_start, 6);
    }
    CHECK_INT(views, 1);
    plan_deinit(&p);
    unmake(&m);
}

TEST(plan_holds_every_pair_once_and_batches_of_one_source)
{
    enum { EACH = 40, SOURCES = 3, SIZE = 8 };
    struct made m = {0};
    struct plan p;
    struct rng rng;
    struct err err = {0};
    static int seen[EACH * SOURCES];
    for (int i = 0; i < EACH * SOURCES; i++)
        add(&m.pairs, "one", "red sea", i % SOURCES);
    make(&m);
    rng_init(&rng, 9);
    CHECK_OK(plan_new(&p, &m.c, SIZE, -1, &rng, &err), &err);
    CHECK_INT(p.n_batches, EACH * SOURCES / SIZE);
    for (size_t b = 0; b < p.n_batches; b++) {
        const struct plan_item *items = p.items + b * SIZE;
        for (int i = 0; i < SIZE; i++) {
            seen[items[i].pair]++;
            CHECK_INT(m.c.pairs[items[i].pair].source, m.c.pairs[items[0].pair].source);
        }
    }
    for (int i = 0; i < EACH * SOURCES; i++)
        CHECK_INT(seen[i], 1);
    plan_deinit(&p);
    unmake(&m);
}
