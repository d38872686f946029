/* tests/unit/test_chunk.c - what holds of every chunk, on friendly and hostile texts. */
#include "tests/test.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "ingest/chunk.h"
#include "tests/cases.h"

/* A token is a run without white space, or a piece of 12 bytes of a longer one. */
static enum err_code count_words(void *arg, struct str s, int *n, struct err *err)
{
    (void)arg, (void)err;
    *n = 0;
    for (size_t i = 0, run = 0; i < s.len; i++) {
        bool white = strchr(" \n\t\r", s.ptr[i]) != NULL;
        run = white ? 0 : run + 1;
        *n += !white && run % 12 == 1;
    }
    return OK;
}

/* As WordPiece: a word of more than 100 bytes is one token. */
static enum err_code count_unknown(void *arg, struct str s, int *n, struct err *err)
{
    (void)arg, (void)err;
    *n = 0;
    for (size_t i = 0; i < s.len; i++)
        *n += (i == 0 || strchr(" \n\t\r", s.ptr[i - 1])) && !strchr(" \n\t\r", s.ptr[i]);
    return OK;
}

struct made {
    struct chunk *chunks;
    int n;
    struct arena a;
};

static struct made cut(struct str text, const struct layout *l, struct chunk_options opt)
{
    struct made m = {0};
    struct err err = {0};
    if (!opt.count)
        opt.count = count_words;
    CHECK_OK(chunk_text(text, l, &opt, &m.a, &m.chunks, &m.n, &err), &err);
    return m;
}

static bool boundary(struct str s, size_t at)
{
    return at >= s.len || ((unsigned char)s.ptr[at] & 0xC0) != 0x80;
}

static bool white(char c)
{
    return strchr(" \n\t\r\f\v", c) && c;
}

/* In order, on characters, within max_tokens, and nothing that can be read left out. */
static void check_all(struct str text, const struct made *m, int max_tokens, bool overlap)
{
    size_t covered = 0;
    for (int i = 0; i < m->n; i++) {
        const struct chunk *c = &m->chunks[i];
        int tokens;
        CHECK(c->start < c->end && c->end <= text.len);
        CHECK(boundary(text, c->start) && boundary(text, c->end));
        CHECK(i == 0 || c->start >= m->chunks[i - 1].start);
        CHECK(i == 0 || overlap || c->start >= m->chunks[i - 1].end);
        for (size_t k = covered; k < c->start; k++)
            CHECK_MSG(white(text.ptr[k]), "byte %zu lies in no chunk", k);
        covered = c->end > covered ? c->end : covered;
        count_words(NULL, str_sub(text, c->start, c->end), &tokens, NULL);
        CHECK_MSG(c->tokens <= max_tokens, "chunk %d has %d tokens, at most %d", i, c->tokens,
                  max_tokens);
        CHECK(utf8_valid(c->heading));
    }
    for (size_t k = covered; k < text.len; k++)
        CHECK_MSG(white(text.ptr[k]), "byte %zu lies in no chunk", k);
}

static const struct layout NONE;

TEST(an_empty_text_has_no_chunks)
{
    struct made m = cut(STR(" \n\n "), &NONE, (struct chunk_options){0});
    CHECK_INT(m.n, 0);
    arena_deinit(&m.a);
}

TEST(a_short_text_is_one_chunk_without_its_outer_white_space)
{
    struct made m = cut(STR("\n A cat. A dog. \n"), &NONE, (struct chunk_options){0});
    CHECK_INT(m.n, 1);
    CHECK_INT(m.chunks[0].start, 2);
    CHECK_INT(m.chunks[0].end, 15);
    CHECK_INT(m.chunks[0].tokens, 4);
    arena_deinit(&m.a);
}

/* n sentences of about ten words. */
static struct buf sentences(int n, uint64_t seed)
{
    struct buf b = {0};
    struct rng r;
    rng_init(&r, seed);
    for (int i = 0; i < n; i++) {
        buf_puts(&b, "The");
        for (uint64_t k = 6 + rng_below(&r, 8); k; k--)
            buf_printf(&b, " w%llu", (unsigned long long)rng_below(&r, 1000));
        buf_puts(&b, rng_below(&r, 9) ? ". " : ".\n\n");
    }
    return b;
}

TEST(long_running_text_is_cut_between_sentences_into_even_parts)
{
    struct buf b = sentences(200, 1);
    struct made m =
        cut(buf_view(&b), &NONE, (struct chunk_options){.target_tokens = 100, .max_tokens = 140});
    check_all(buf_view(&b), &m, 140, false);
    CHECK(m.n > 15);
    for (int i = 0; i < m.n; i++) {
        CHECK_INT(b.ptr[m.chunks[i].end - 1], '.');
        CHECK_MSG(m.chunks[i].tokens >= 60, "chunk %d has only %d tokens", i, m.chunks[i].tokens);
    }
    arena_deinit(&m.a);
    buf_free(&b);
}

TEST(overlap_repeats_whole_sentences_of_the_chunk_before)
{
    struct buf b = sentences(100, 2);
    struct made m =
        cut(buf_view(&b), &NONE,
            (struct chunk_options){.target_tokens = 100, .max_tokens = 140, .overlap_tokens = 30});
    check_all(buf_view(&b), &m, 140, true);
    int overlaps = 0;
    for (int i = 1; i < m.n; i++) {
        overlaps += m.chunks[i].start < m.chunks[i - 1].end;
        CHECK_INT(strncmp(b.ptr + m.chunks[i].start, "The", 3), 0);
    }
    CHECK(overlaps > m.n / 2);
    arena_deinit(&m.a);
    buf_free(&b);
}

TEST(a_word_of_megabytes_is_cut_between_its_characters)
{
    struct buf b = {0};
    for (int i = 0; i < 700000; i++)
        buf_puts(&b, "\xC3\xA9\xE4\xB8\xAD");
    struct made m = cut(buf_view(&b), &NONE, (struct chunk_options){0});
    check_all(buf_view(&b), &m, CHUNK_MAX, false);
    struct made u = cut(buf_view(&b), &NONE, (struct chunk_options){.count = count_unknown});
    CHECK_MSG(u.n > 100, "%d chunks of 3.5 MB", u.n);
    arena_deinit(&m.a);
    arena_deinit(&u.a);
    buf_free(&b);
}

TEST(cutting_takes_time_in_proportion_to_the_text)
{
    double took[2];
    for (int i = 0; i < 2; i++) {
        size_t n = (size_t)(i + 1) * (4 << 20);
        char *text = malloc(n);
        memset(text, 'A', n);
        double t0 = clock_cpu_ms();
        struct made m = cut((struct str){text, n}, &NONE, (struct chunk_options){0});
        took[i] = clock_cpu_ms() - t0;
        CHECK(m.n > 0);
        arena_deinit(&m.a);
        free(text);
    }
    /* Quadratic work would be 4 times, and of 8 MiB never end. */
    CHECK_MSG(took[1] < 3.2 * took[0] + 50, "4 MiB: %.0f ms, 8 MiB: %.0f ms", took[0], took[1]);
}

/* A document of blocks from lines "kind text": h1..h6, p, c (code), t (table row). */
struct doc {
    struct buf text;
    struct block blocks[4096];
    struct layout l;
};

static void add(struct doc *d, enum block_kind kind, int level, const char *text)
{
    if (d->text.len)
        buf_puts(&d->text, "\n\n");
    struct block *b = &d->blocks[d->l.n_blocks++];
    *b = (struct block){
        .start = (uint32_t)d->text.len, .kind = (uint8_t)kind, .level = (uint8_t)level};
    buf_puts(&d->text, text);
    b->end = (uint32_t)d->text.len;
    d->l.blocks = d->blocks;
}

static void add_words(struct doc *d, const char *word, int n)
{
    struct buf b = {0};
    for (int i = 0; i < n; i++)
        buf_printf(&b, "%s%s", word, i % 10 == 9 ? ". " : " ");
    add(d, BLOCK_TEXT, 0, b.ptr);
    buf_free(&b);
}

TEST(large_sections_are_not_joined_and_know_their_headings)
{
    static struct doc d;
    add(&d, BLOCK_HEADING, 1, "Book");
    add_words(&d, "intro", 30);
    add(&d, BLOCK_HEADING, 2, "First");
    add_words(&d, "one", 250);
    add(&d, BLOCK_HEADING, 2, "Second");
    add_words(&d, "two", 250);
    struct made m = cut(buf_view(&d.text), &d.l, (struct chunk_options){0});
    check_all(buf_view(&d.text), &m, CHUNK_MAX, false);
    CHECK_INT(m.n, 2 + (m.n == 3));
    CHECK_STR(m.chunks[m.n - 1].heading, "Book\nSecond");
    CHECK(str_starts(str_sub(buf_view(&d.text), m.chunks[m.n - 1].start, SIZE_MAX), STR("Second")));
    arena_deinit(&m.a);
    buf_free(&d.text);
}

TEST(small_sections_share_a_chunk_under_the_heading_they_share)
{
    static struct doc d;
    add(&d, BLOCK_HEADING, 1, "Rules");
    for (int i = 0; i < 40; i++) {
        add(&d, BLOCK_HEADING, 2, "Rule");
        add_words(&d, "text", 20);
    }
    struct made m = cut(buf_view(&d.text), &d.l,
                        (struct chunk_options){.target_tokens = 160, .max_tokens = 200});
    check_all(buf_view(&d.text), &m, 200, false);
    CHECK_MSG(m.n < 40, "%d chunks of 40 small sections", m.n);
    for (int i = 0; i < m.n; i++)
        CHECK(str_starts(m.chunks[i].heading, STR("Rules")));
    arena_deinit(&m.a);
    buf_free(&d.text);
}

TEST(a_table_that_fits_stays_whole)
{
    static struct doc d;
    struct buf rows = {0};
    for (int i = 0; i < 40; i++)
        buf_printf(&rows, "row%d | %d | %d\n", i, i, i * i);
    add_words(&d, "before", 250);
    add(&d, BLOCK_TABLE, 0, rows.ptr);
    add_words(&d, "after", 250);
    struct made m = cut(buf_view(&d.text), &d.l, (struct chunk_options){0});
    check_all(buf_view(&d.text), &m, CHUNK_MAX, false);
    int whole = 0;
    for (int i = 0; i < m.n; i++)
        whole += m.chunks[i].start <= d.blocks[1].start && m.chunks[i].end + 1 >= d.blocks[1].end;
    CHECK_INT(whole, 1);
    arena_deinit(&m.a);
    buf_free(&rows);
    buf_free(&d.text);
}

TEST(a_table_that_does_not_fit_is_cut_between_rows)
{
    static struct doc d;
    struct buf rows = {0};
    for (int i = 0; i < 300; i++)
        buf_printf(&rows, "row%d | %d | %d\n", i, i, i * i);
    add(&d, BLOCK_TABLE, 0, rows.ptr);
    struct made m = cut(buf_view(&d.text), &d.l, (struct chunk_options){0});
    check_all(buf_view(&d.text), &m, CHUNK_MAX, false);
    CHECK(m.n > 2);
    for (int i = 0; i < m.n; i++)
        CHECK_INT(strncmp(d.text.ptr + m.chunks[i].start, "row", 3), 0);
    arena_deinit(&m.a);
    buf_free(&rows);
    buf_free(&d.text);
}

TEST(a_heading_never_ends_a_chunk)
{
    static struct doc d;
    for (int i = 0; i < 30; i++) {
        add(&d, BLOCK_HEADING, 1 + i % 3, "A heading of some words");
        add_words(&d, "text", 20 + i * 13 % 170);
    }
    struct made m = cut(buf_view(&d.text), &d.l,
                        (struct chunk_options){.target_tokens = 100, .max_tokens = 120});
    check_all(buf_view(&d.text), &m, 120, false);
    for (int i = 0; i < m.n; i++)
        CHECK(!str_ends(str_sub(buf_view(&d.text), m.chunks[i].start, m.chunks[i].end),
                        STR("some words")));
    arena_deinit(&m.a);
    buf_free(&d.text);
}

/* Random blocks over random bytes of a small alphabet: every promise, many times. */
TEST(the_promises_hold_on_random_documents)
{
    static const char *const PIECES[] = {"a",         "word",
                                         ". ",        "\n\n",
                                         "\n",        " ",
                                         "\xC3\xA9",  "\xE4\xB8\xAD\xE3\x80\x82",
                                         "e\xCC\x81", "supercalifragilisticexpialidocious",
                                         "? ",        "\t",
                                         "1.5"};
    struct rng r;
    rng_init(&r, 7);
    for (int round = 0; round < (test_slow() ? 20000 : 1500); round++) {
        static struct doc d;
        d.l.n_blocks = 0;
        buf_reset(&d.text);
        for (uint64_t n = rng_below(&r, 30); n; n--) {
            struct buf b = {0};
            for (uint64_t k = 1 + rng_below(&r, 60); k; k--)
                buf_puts(&b, PIECES[rng_below(&r, sizeof(PIECES) / sizeof(*PIECES))]);
            uint64_t kind = rng_below(&r, BLOCK_KINDS);
            add(&d, (enum block_kind)kind, kind == BLOCK_HEADING ? 1 + (int)rng_below(&r, 6) : 0,
                b.ptr);
            buf_free(&b);
        }
        int max = 16 + (int)rng_below(&r, 200), target = 8 + (int)rng_below(&r, (uint64_t)max - 7);
        int overlap = (int)rng_below(&r, (uint64_t)target / 2 + 1) * (int)rng_below(&r, 2);
        struct made m =
            cut(buf_view(&d.text), &d.l, (struct chunk_options){target, max, overlap, NULL, NULL});
        check_all(buf_view(&d.text), &m, max, overlap > 0);
        arena_deinit(&m.a);
    }
}

TEST(options_that_make_no_sense_are_refused)
{
    struct arena a = {0};
    struct chunk *chunks;
    struct err err;
    int n;
    struct chunk_options wrong[] = {{.target_tokens = 4},
                                    {.target_tokens = 100, .max_tokens = 50},
                                    {.overlap_tokens = -1},
                                    {.target_tokens = 100, .overlap_tokens = 60}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        wrong[i].count = count_words;
        CHECK_ERR(chunk_text(STR("x"), &NONE, &wrong[i], &a, &chunks, &n, &err), ERR_ARG);
    }
    arena_deinit(&a);
}

/* Cases: the text with "# " headings and blank lines between blocks, at most 12
 * tokens a chunk; expected: [heading path: text] of each chunk. */
static void show(struct str input, struct buf *out)
{
    static struct doc d;
    d = (struct doc){0};
    for (size_t at = 0; at < input.len;) {
        size_t end = str_find(input, STR("\n\n"), at);
        end = end == SIZE_MAX ? input.len : end;
        char *block = str_dup(str_sub(input, at, end));
        size_t level = strspn(block, "#");
        bool table = strstr(block, " | ") != NULL;
        add(&d,
            level   ? BLOCK_HEADING
            : table ? BLOCK_TABLE
                    : BLOCK_TEXT,
            (int)level, block + level + (level > 0));
        free(block);
        at = end + 2;
    }
    struct made m =
        cut(buf_view(&d.text), &d.l, (struct chunk_options){.target_tokens = 10, .max_tokens = 12});
    for (int i = 0; i < m.n; i++) {
        buf_char(out, '[');
        for (size_t k = 0; k < m.chunks[i].heading.len; k++)
            buf_char(out, m.chunks[i].heading.ptr[k] == '\n' ? '/' : m.chunks[i].heading.ptr[k]);
        buf_printf(out, ": %.*s]",
                   STR_ARG(str_sub(buf_view(&d.text), m.chunks[i].start, m.chunks[i].end)));
    }
    arena_deinit(&m.a);
    buf_free(&d.text);
}

TEST(chunks_are_cut_as_the_cases_say)
{
    cases_run("tests/cases/chunk.txt", show);
}
