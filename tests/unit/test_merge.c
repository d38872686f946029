#include "tests/test.h"
#include "base/rng.h"
#include "embed/merge.h"

/* Words over letters a.. as symbols 0..; `spaced` has one word a field. */
static size_t spell(const char *spaced, const int64_t *counts, int32_t *symbols,
                    struct merge_word *words)
{
    struct str rest = str_of(spaced), field;
    size_t n = 0;
    while (str_split(&rest, ' ', &field)) {
        words[n] = (struct merge_word){symbols, (int)field.len, counts[n]};
        for (size_t i = 0; i < field.len; i++)
            *symbols++ = field.ptr[i] - 'a';
        n++;
    }
    return n;
}

TEST(merge_learn_joins_the_most_frequent_pair_first)
{
    /* Pairs: ab 5 + 3, bc 5, bd 3, then (ab)c 5, (ab)d 3. */
    const int64_t counts[] = {5, 3};
    int32_t symbols[16];
    struct merge_word words[2];
    struct merge out[8];
    struct err err = {0};
    int n = 0;
    size_t n_words = spell("abc abd", counts, symbols, words);
    CHECK_OK(merge_learn(words, n_words, 26, 8, out, &n, &err), &err);
    CHECK_INT(n, 3);
    CHECK_INT(out[0].left, 0);
    CHECK_INT(out[0].right, 1);
    CHECK_INT(out[1].left, 26);
    CHECK_INT(out[1].right, 2);
    CHECK_INT(out[2].left, 26);
    CHECK_INT(out[2].right, 3);
    CHECK_INT(words[0].n, 1);
    CHECK_INT(words[0].symbols[0], 27);
}

TEST(merge_learn_takes_pairs_of_a_run_from_the_left)
{
    const int64_t counts[] = {4};
    int32_t symbols[16];
    struct merge_word words[1];
    struct merge out[1];
    struct err err = {0};
    int n = 0;
    spell("aaaaa", counts, symbols, words);
    CHECK_OK(merge_learn(words, 1, 26, 1, out, &n, &err), &err);
    CHECK_INT(n, 1);
    CHECK_INT(words[0].n, 3);
    CHECK_INT(words[0].symbols[0], 26);
    CHECK_INT(words[0].symbols[1], 26);
    CHECK_INT(words[0].symbols[2], 0);
}

TEST(merge_learn_leaves_pairs_that_occur_once)
{
    const int64_t counts[] = {1, 1};
    int32_t symbols[16];
    struct merge_word words[2];
    struct merge out[4];
    struct err err = {0};
    int n = 7;
    spell("abc xyz", counts, symbols, words);
    CHECK_OK(merge_learn(words, 2, 26, 4, out, &n, &err), &err);
    CHECK_INT(n, 0);
}

enum { LETTERS = 6, WORDS = 300, LENGTH = 9, MERGES = 60 };

/* What algorithm 1 says, counting everything anew for each merge. */
static int merge_slowly(struct merge_word *words, struct merge *out)
{
    int made = 0;
    for (; made < MERGES; made++) {
        static int64_t counts[LETTERS + MERGES][LETTERS + MERGES];
        int64_t best = 1;
        memset(counts, 0, sizeof(counts));
        for (int w = 0; w < WORDS; w++)
            for (int i = 0; i + 1 < words[w].n; i++)
                counts[words[w].symbols[i]][words[w].symbols[i + 1]] += words[w].count;
        for (int a = 0; a < LETTERS + made; a++)
            for (int b = 0; b < LETTERS + made; b++)
                if (counts[a][b] > best) {
                    best = counts[a][b];
                    out[made] = (struct merge){a, b};
                }
        if (best < 2)
            break;
        for (int w = 0; w < WORDS; w++) {
            int n = 0;
            for (int i = 0; i < words[w].n; i++, n++) {
                bool here = i + 1 < words[w].n && words[w].symbols[i] == out[made].left &&
                            words[w].symbols[i + 1] == out[made].right;
                words[w].symbols[n] = here ? LETTERS + made : words[w].symbols[i];
                i += here;
            }
            words[w].n = n;
        }
    }
    return made;
}

TEST(merge_learn_agrees_with_counting_everything_anew)
{
    static int32_t fast[WORDS][LENGTH], slow[WORDS][LENGTH];
    static struct merge_word a[WORDS], b[WORDS];
    struct merge got[MERGES], want[MERGES];
    struct rng rng;
    struct err err = {0};
    int n = 0;
    rng_init(&rng, 11);
    for (int w = 0; w < WORDS; w++) {
        int length = 2 + (int)rng_below(&rng, LENGTH - 1);
        int64_t count = 1 + (int64_t)rng_below(&rng, 9);
        for (int i = 0; i < length; i++)
            fast[w][i] = slow[w][i] = (int32_t)rng_below(&rng, LETTERS);
        a[w] = (struct merge_word){fast[w], length, count};
        b[w] = (struct merge_word){slow[w], length, count};
    }
    CHECK_OK(merge_learn(a, WORDS, LETTERS, MERGES, got, &n, &err), &err);
    CHECK_INT(n, merge_slowly(b, want));
    for (int i = 0; i < n; i++) {
        CHECK_INT(got[i].left, want[i].left);
        CHECK_INT(got[i].right, want[i].right);
    }
}
