#include "tests/test.h"
#include "embed/learn.h"
#include "model/wordpiece.h"

static void add(struct pairs *p, const char *q, const char *text)
{
    p->v = realloc(p->v, (p->n + 1) * sizeof(*p->v));
    p->v[p->n++] = (struct pair){str_of(q), str_of(text), 0};
}

static bool has(const struct learned *l, const char *piece)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eqz(l->pieces[i], piece))
            return true;
    return false;
}

/* `n` times the same two texts. */
static void learn_from(const char *q, const char *text, int n, int pieces, struct learned *out)
{
    struct pairs p = {0};
    struct err err = {0};
    const struct learn_options opt = {.pieces = pieces, .min_char = 3, .min_piece = 2};
    for (int i = 0; i < n; i++)
        add(&p, q, text);
    CHECK_OK(learn_pieces(&p, &opt, NULL, out, &err), &err);
    free(p.v);
}

TEST(learn_pieces_makes_whole_words_of_frequent_ones)
{
    struct learned l;
    learn_from("Caf\xc3\xa9 ROBOTS", "robots, in a cafe!", 10, 400, &l);
    CHECK_STR(l.pieces[0], "[UNK]");
    CHECK(has(&l, "robots") && has(&l, "cafe") && has(&l, "in") && has(&l, ",") && has(&l, "!"));
    CHECK(!has(&l, "ROBOTS") && !has(&l, "caf\xc3\xa9"));
    CHECK_INT(l.n_words, 6);
    learned_free(&l);
}

TEST(learn_pieces_covers_every_character_that_is_used)
{
    /* Greek, Cyrillic, an ideograph, symbols: each must get a piece. */
    const char *text = "zyxw \xce\xb1\xce\xb2\xce\xb3 \xd0\xb6\xd1\x83\xd0\xba "
                       "\xe4\xb8\xad\xe6\x96\x87 x=\xe2\x82\xac"
                       "5 a-b_c";
    struct learned l;
    struct wordpiece *w = NULL;
    struct err err = {0};
    int32_t ids[64];
    size_t n = 0;
    learn_from("q", text, 5, 400, &l);
    CHECK_OK(wordpiece_new(l.pieces, l.n, &w, &err), &err);
    CHECK_OK(wordpiece_encode(w, str_of(text), ids, NULL, 64, &n, &err), &err);
    CHECK(n >= 13);
    for (size_t i = 0; i < n; i++)
        CHECK(ids[i] != wordpiece_unk(w));
    CHECK_OK(
        wordpiece_encode(w, STR("unseen0words987ofasciiletters jkvq"), ids, NULL, 64, &n, &err),
        &err);
    for (size_t i = 0; i < n; i++)
        CHECK(ids[i] != wordpiece_unk(w));
    wordpiece_free(w);
    learned_free(&l);
}

TEST(learn_pieces_leaves_out_characters_that_are_rare)
{
    struct pairs p = {0};
    struct learned l;
    struct err err = {0};
    const struct learn_options opt = {.pieces = 400, .min_char = 3, .min_piece = 2};
    add(&p, "\xd0\xb6 \xd0\xb6", "plain");
    add(&p, "\xd1\x83", "plain");
    add(&p, "\xd1\x83", "\xd1\x83 plain");
    CHECK_OK(learn_pieces(&p, &opt, NULL, &l, &err), &err);
    CHECK(has(&l, "\xd1\x83") && !has(&l, "\xd0\xb6"));
    free(p.v);
    learned_free(&l);
}

TEST(learn_pieces_keeps_to_the_size_that_is_asked)
{
    struct pairs p = {0};
    struct learned small, large;
    struct err err = {0};
    static char words[2000][8];
    struct learn_options opt = {.pieces = 200, .min_piece = 1};
    for (int i = 0; i < 2000; i++) {
        snprintf(words[i], sizeof(words[i]), "w%c%c%c", 'a' + i % 26, 'a' + i / 26 % 26,
                 'a' + i % 7);
        add(&p, words[i], words[i]);
        add(&p, "common words", "common words");
    }
    CHECK_OK(learn_pieces(&p, &opt, NULL, &small, &err), &err);
    opt.pieces = 500;
    CHECK_OK(learn_pieces(&p, &opt, NULL, &large, &err), &err);
    CHECK_INT(small.n, 200);
    CHECK_INT(large.n, 500);
    CHECK(has(&small, "common") && has(&large, "common"));
    free(p.v);
    learned_free(&small);
    learned_free(&large);
}

TEST(learn_pieces_refuses_a_vocabulary_smaller_than_its_characters)
{
    struct pairs p = {0};
    struct learned l;
    struct err err = {0};
    const struct learn_options opt = {.pieces = 130};
    add(&p, "q", "p");
    CHECK_ERR(learn_pieces(&p, &opt, NULL, &l, &err), ERR_ARG);
    free(p.v);
}
