/* Words, through the front door: what is found, and in which order. */
#include <math.h>
#include "base/words.h"
#include "tests/stores.h"

static int find(struct index *x, const char *query, struct near_hit *hits)
{
    struct err err = {0};
    int n;
    CHECK_OK(index_words(x, "c", str_of(query), 100, NULL, hits, &n, &err), &err);
    return n;
}

TEST(words_are_found_in_every_form)
{
    struct index *x = store_new();
    struct near_hit h[100];
    store_document(x, "a", "The quick runners were running\nStra\xc3\x9f" "e und Gr\xc3\xb6\xc3\x9f" "e\nPlain");
    CHECK_INT(find(x, "RUN", h), 1);
    CHECK_INT(find(x, "runner quickly", h), 1);
    CHECK_INT(find(x, "strasse", h), 1);
    CHECK_INT(find(x, "plains", h), 1);
    CHECK_INT(find(x, "unknown", h), 0);
    CHECK_INT(find(x, "", h), 0);
    CHECK_INT(find(x, " \n.,;!?()\"'*^:-+ ", h), 0);
    index_close(x);
}

TEST(query_syntax_is_only_text)
{
    struct index *x = store_new();
    struct near_hit h[100];
    store_document(x, "a", "near miss\nnot and or\ncolumn text");
    static const char *const hostile[] = {
        "\"", "\"\"\"", "a AND", "NEAR(miss, 3", "text:column", "*", "^near", "- not", "near*",
        "'; DROP TABLE documents; --", "{text}: x", "(((", "\\", "%s%n",
    };
    for (size_t i = 0; i < sizeof(hostile) / sizeof(*hostile); i++)
        (void)find(x, hostile[i], h);   /* an error would fail in find */
    CHECK_INT(find(x, "text:column", h), 1);
    CHECK_INT(find(x, "NOT near", h), 1);
    index_close(x);
}

TEST(chinese_and_japanese_are_found_by_pairs_of_characters)
{
    struct index *x = store_new();
    struct near_hit h[100];
    store_document(x, "a", "\xe6\x9d\xb1\xe4\xba\xac\xe9\x83\xbd\xe3\x81\xae\xe5\x9b\xb3\xe6\x9b\xb8"
                           "\xe9\xa4\xa8\n\xe4\xba\xac\xe9\x83\xbd\n\xe6\x9d\xb1\xe6\xb5\xb7");
    CHECK_INT(find(x, "\xe4\xba\xac\xe9\x83\xbd", h), 2);                 /* both hold the pair */
    CHECK_INT(find(x, "\xe6\x9d\xb1\xe4\xba\xac", h), 1);                 /* not the one with the first only */
    CHECK_INT(find(x, "\xe6\x9d\xb1", h), 2);                             /* a lone character */
    CHECK_INT(find(x, "\xe5\x9b\xb3\xe6\x9b\xb8\xe9\xa4\xa8", h), 1);
    index_close(x);
}

TEST(function_words_count_only_where_there_is_nothing_else)
{
    struct index *x = store_new();
    struct near_hit h[100];
    store_document(x, "a", "the who\nwhat is the answer\nan answer");
    CHECK_INT(find(x, "what is the answer", h), 2);   /* not "the who" */
    CHECK_INT(find(x, "the who", h), 2);
    index_close(x);
}

/* BM25 as in its book, over the words that base/words.h finds. */
struct count { const char *stem; int tf, words; };

static bool count_word(void *arg, const struct word *w)
{
    struct count *c = arg;
    c->words += w->kind != WORD_CJK_PAIR;
    c->tf += str_eqz(w->stem, c->stem);
    return true;
}

TEST(scores_are_bm25_with_k1_09_and_b_04)
{
    static const char *const docs[] = {"apple banana apple", "banana", "cherry apple pie with cream",
                                       "nothing here", "apple"};
    enum { N = 5 };
    struct index *x = store_new();
    struct words *words;
    struct near_hit h[100];
    struct count apple[N], banana[N];
    double total = 0;
    char text[200] = "";
    CHECK_ERR(words_new(&words, NULL), OK);
    for (int i = 0; i < N; i++) {
        apple[i] = (struct count){"appl", 0, 0};
        banana[i] = (struct count){"banana", 0, 0};
        words_each(words, str_of(docs[i]), count_word, &apple[i], NULL);
        words_each(words, str_of(docs[i]), count_word, &banana[i], NULL);
        total += apple[i].words;
        strcat(text, docs[i]);
        strcat(text, i < N - 1 ? "\n" : "");
    }
    words_free(words);
    store_document(x, "a", text);
    CHECK_INT(find(x, "apples banana banana", h), 4);
    for (int i = 0; i < 4; i++) {
        int d = (int)h[i].chunk - 1;
        double norm = 0.9 * (1 - 0.4 + 0.4 * apple[d].words / (total / N));
        double idf_apple = log(1 + (N - 3 + 0.5) / (3 + 0.5));
        double idf_banana = log(1 + (N - 2 + 0.5) / (2 + 0.5));
        double want = idf_apple * 1.9 * apple[d].tf / (apple[d].tf + norm) +
                      2 * idf_banana * 1.9 * banana[d].tf / (banana[d].tf + norm);
        CHECK_NEAR(h[i].score, want, 1e-4);
        CHECK(i == 0 || h[i - 1].score >= h[i].score);
    }
    index_close(x);
}

TEST(the_heading_path_is_searched_but_not_twice)
{
    struct index *x = store_new();
    struct err err = {0};
    struct near_hit h[100];
    float zero[2][STORE_DIM] = {{0}};
    const char *text = "Install\nRun the program.\nMore of it.";
    struct chunk chunks[] = {{0, 24, 0, 5, STR("Guide\nInstall")}, {25, 36, 0, 3, STR("Guide\nInstall")}};
    struct content c = {.text = str_of(text), .title = "", .mime = "", .chunks = chunks,
                        .n_chunks = 2, .vectors = zero[0]};
    struct added d = store_add(x, "a", text, NULL);
    CHECK_OK(index_put(x, d.id, &c, &err), &err);
    CHECK_INT(find(x, "guide", h), 2);
    CHECK_INT(find(x, "install", h), 2);
    /* 5 words against 5: equal lengths and counts give equal scores */
    CHECK_NEAR(h[0].score, h[1].score, 1e-6);
    store_check(x);
    index_close(x);
}

TEST(word_counts_tell_how_many_chunks_hold_a_stem)
{
    struct index *x = store_new();
    struct err err = {0};
    struct str stems[] = {STR("run"), STR("absent"), STR("shoe"), STR("\"")};
    int64_t counts[4], total;
    struct added d = store_document(x, "a", "running shoes\nruns\nshoe");
    store_document(x, "b", "run");
    CHECK_OK(index_word_counts(x, "c", stems, 4, counts, &total, &err), &err);
    CHECK(counts[0] == 3 && counts[1] == 0 && counts[2] == 2 && counts[3] == 0 && total == 4);
    CHECK_OK(index_remove(x, d.id, NULL, &err), &err);
    CHECK_OK(index_word_counts(x, "c", stems, 4, counts, &total, &err), &err);
    CHECK(counts[0] == 1 && counts[2] == 0 && total == 1);
    index_close(x);
}

TEST(the_best_k_are_the_first_k_of_all)
{
    struct index *x = store_new();
    struct near_hit all[200], some[7];
    struct err err = {0};
    char text[4000] = "";
    struct rng r;
    int n, k;
    rng_init(&r, 3);
    for (int line = 0; line < 60; line++) {
        for (uint64_t w = 1 + rng_below(&r, 6); w > 0; w--)
            strcat(text, rng_below(&r, 3) ? "word " : "other ");
        strcat(text, line < 59 ? "\n" : "");
    }
    store_document(x, "a", text);
    CHECK_OK(index_words(x, "c", STR("word"), 200, NULL, all, &n, &err), &err);
    CHECK(n > 20);
    CHECK_OK(index_words(x, "c", STR("word"), 7, NULL, some, &k, &err), &err);
    CHECK_INT(k, 7);
    for (int i = 0; i < 7; i++)
        CHECK(all[i].chunk == some[i].chunk && all[i].score == some[i].score);
    for (int i = 1; i < n; i++)
        CHECK(all[i - 1].score > all[i].score ||
              (all[i - 1].score == all[i].score && all[i - 1].chunk < all[i].chunk));
    index_close(x);
}
