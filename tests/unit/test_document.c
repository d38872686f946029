#include "base/rng.h"
#include "index/document.h"
#include "tests/test.h"

enum { TEXT = 1000 };

static struct block blocks[] = {
    {0, 10, 5, 15, 1, BLOCK_HEADING, 1},
    {12, 400, SRC_NONE, SRC_NONE, 1, BLOCK_TEXT, 0},
    {400, 400, 0, 0, 2, BLOCK_CODE, 0},
    {450, 1000, UINT32_MAX - 2, UINT32_MAX - 1, 2, BLOCK_TABLE, 0},
};
static struct page pages[] = {{0, 420, 595.25f, 842}, {420, 420, 0, 0}, {430, 1000, 842, 595.25f}};
static struct place places[] = {
    {0, 5, 1, 72, 100, 110.5f, 112},   {6, 10, 1, 115, 100.25f, 150, 112},
    {12, 20, 1, 72, 130, 120, 142},    {21, 30, 1, 124, 130, 180, 142},
    {31, 40, 1, 72, 144, 90, 156},     {450, 460, 3, 50, 50, 80, 62},
};
static const struct layout LAYOUT = {blocks, 4, pages, 3, places, 6};

static struct buf encoded(const struct layout *l)
{
    struct buf b = {0};
    struct err err = {0};
    CHECK_OK(layout_encode(l, &b, &err), &err);
    return b;
}

TEST(layout_comes_back_as_it_was)
{
    struct arena a = {0};
    struct layout back;
    struct err err = {0};
    struct buf b = encoded(&LAYOUT);
    CHECK_OK(layout_decode(buf_view(&b), TEXT, &a, &back, &err), &err);
    CHECK_INT(back.n_blocks, 4);
    CHECK_INT(back.n_pages, 3);
    CHECK_INT(back.n_places, 6);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(back.blocks[i].start, blocks[i].start);
        CHECK_INT(back.blocks[i].end, blocks[i].end);
        CHECK_INT(back.blocks[i].src_start, blocks[i].src_start);
        CHECK_INT(back.blocks[i].src_end, blocks[i].src_end);
        CHECK_INT(back.blocks[i].page, blocks[i].page);
        CHECK_INT(back.blocks[i].kind, blocks[i].kind);
        CHECK_INT(back.blocks[i].level, blocks[i].level);
    }
    for (int i = 0; i < 3; i++)
        CHECK(back.pages[i].start == pages[i].start && back.pages[i].end == pages[i].end &&
              back.pages[i].width == pages[i].width && back.pages[i].height == pages[i].height);
    for (int i = 0; i < 6; i++) {
        CHECK(back.places[i].start == places[i].start && back.places[i].end == places[i].end &&
              back.places[i].page == places[i].page);
        CHECK(back.places[i].x0 == places[i].x0 && back.places[i].y0 == places[i].y0 &&
              back.places[i].x1 == places[i].x1 && back.places[i].y1 == places[i].y1);
    }
    buf_free(&b);
    arena_deinit(&a);
}

TEST(layout_places_are_kept_to_a_64th_of_a_point)
{
    struct arena a = {0};
    struct layout back;
    struct place odd[] = {{0, 1, 1, 10.003f, 20.017f, 30.111f, 40.499f}};
    struct layout l = {.places = odd, .n_places = 1};
    struct buf b = encoded(&l);
    CHECK_ERR(layout_decode(buf_view(&b), TEXT, &a, &back, NULL), OK);
    CHECK_NEAR(back.places[0].x0, odd[0].x0, 1 / 128.0);
    CHECK_NEAR(back.places[0].y1, odd[0].y1, 1 / 128.0);
    buf_free(&b);
    arena_deinit(&a);
}

TEST(layout_of_nothing_is_small_and_comes_back)
{
    struct arena a = {0};
    struct layout none = {0}, back;
    struct buf b = encoded(&none);
    CHECK(b.len <= 8);
    CHECK_ERR(layout_decode(buf_view(&b), 0, &a, &back, NULL), OK);
    CHECK_INT(back.n_blocks + back.n_pages + back.n_places, 0);
    buf_free(&b);
    arena_deinit(&a);
}

TEST(layout_that_is_out_of_order_is_not_written)
{
    struct buf b = {0};
    struct block back[] = {{10, 20, 0, 0, 0, 0, 0}, {19, 30, 0, 0, 0, 0, 0}};
    struct block turned[] = {{10, 9, 0, 0, 0, 0, 0}};
    struct block strange[] = {{0, 1, 0, 0, 0, BLOCK_KINDS, 0}};
    struct place hollow[] = {{0, 1, 1, 10, 10, 5, 20}};
    struct place nowhere[] = {{0, 1, 1, 0.0f / 0.0f, 0, 1, 1}};
    CHECK_ERR(layout_encode(&(struct layout){.blocks = back, .n_blocks = 2}, &b, NULL), ERR_ARG);
    CHECK_ERR(layout_encode(&(struct layout){.blocks = turned, .n_blocks = 1}, &b, NULL), ERR_ARG);
    CHECK_ERR(layout_encode(&(struct layout){.blocks = strange, .n_blocks = 1}, &b, NULL), ERR_ARG);
    CHECK_ERR(layout_encode(&(struct layout){.places = hollow, .n_places = 1}, &b, NULL), ERR_ARG);
    CHECK_ERR(layout_encode(&(struct layout){.places = nowhere, .n_places = 1}, &b, NULL), ERR_ARG);
    buf_free(&b);
}

TEST(layout_past_the_end_of_its_text_is_refused)
{
    struct arena a = {0};
    struct layout back;
    struct buf b = encoded(&LAYOUT);
    CHECK_ERR(layout_decode(buf_view(&b), TEXT - 1, &a, &back, NULL), ERR_FORMAT);
    buf_free(&b);
    arena_deinit(&a);
}

TEST(layout_cut_at_any_byte_or_with_one_more_is_refused)
{
    struct arena a = {0};
    struct layout back;
    struct buf b = encoded(&LAYOUT);
    for (size_t n = 0; n < b.len; n++) {
        char *part = malloc(n + 1);
        memcpy(part, b.ptr, n);
        CHECK_ERR(layout_decode((struct str){part, n}, TEXT, &a, &back, NULL), ERR_FORMAT);
        free(part);
    }
    buf_char(&b, 0);
    CHECK_ERR(layout_decode(buf_view(&b), TEXT, &a, &back, NULL), ERR_FORMAT);
    buf_free(&b);
    arena_deinit(&a);
}

static void check_order(const struct layout *l)
{
    uint32_t last = 0;
    for (size_t i = 0; i < l->n_blocks; last = l->blocks[i++].end)
        CHECK(l->blocks[i].start >= last && l->blocks[i].end >= l->blocks[i].start &&
              l->blocks[i].end <= TEXT);
    last = 0;
    for (size_t i = 0; i < l->n_places; last = l->places[i++].end)
        CHECK(l->places[i].start >= last && l->places[i].end <= TEXT &&
              l->places[i].x0 <= l->places[i].x1 && l->places[i].y0 <= l->places[i].y1);
}

TEST(layout_of_damaged_bytes_is_refused_or_in_order)
{
    struct arena a = {0};
    struct layout back;
    struct buf b = encoded(&LAYOUT);
    struct rng r;
    rng_init(&r, 31);
    for (int i = 0; i < 20000; i++) {
        char copy[512];
        CHECK(b.len <= sizeof(copy));
        memcpy(copy, b.ptr, b.len);
        for (int f = 0; f <= i % 3; f++)
            copy[rng_below(&r, b.len)] = (char)rng_next(&r);
        if (layout_decode((struct str){copy, b.len}, TEXT, &a, &back, NULL) == OK)
            check_order(&back);
        arena_reset(&a);
    }
    buf_free(&b);
    arena_deinit(&a);
}

TEST(layout_with_a_boastful_count_allocates_nothing_for_it)
{
    struct arena a = {0};
    struct layout back;
    CHECK_ERR(layout_decode(STR("L\1\xff\xff\xff\xff\x7f"), TEXT, &a, &back, NULL), ERR_FORMAT);
    CHECK(a.used < 4096);
    arena_deinit(&a);
}

TEST(layout_page_is_the_one_a_byte_lies_on)
{
    struct layout none = {0};
    CHECK_INT(layout_page(&none, 5), 0);
    CHECK_INT(layout_page(&LAYOUT, 0), 1);
    CHECK_INT(layout_page(&LAYOUT, 419), 1);
    CHECK_INT(layout_page(&LAYOUT, 430), 3);
    CHECK_INT(layout_page(&LAYOUT, 999), 3);
}

TEST(layout_quads_are_one_rectangle_a_line)
{
    float q[8][4];
    CHECK_INT(layout_quads(&LAYOUT, 0, 40, q, 8), 3);
    CHECK(q[0][0] == 72 && q[0][1] == 100 && q[0][2] == 150 && q[0][3] == 112);
    CHECK(q[1][0] == 72 && q[1][2] == 180 && q[1][1] == 130);
    CHECK(q[2][0] == 72 && q[2][2] == 90);
}

TEST(layout_quads_take_whole_words_stay_on_the_page_and_in_their_room)
{
    float q[8][4];
    CHECK_INT(layout_quads(&LAYOUT, 7, 8, q, 8), 1);      /* inside one word */
    CHECK(q[0][0] == 115 && q[0][2] == 150);
    CHECK_INT(layout_quads(&LAYOUT, 31, 460, q, 8), 1);   /* goes on on page 3 */
    CHECK_INT(layout_quads(&LAYOUT, 0, 40, q, 2), 2);
    CHECK_INT(layout_quads(&LAYOUT, 40, 45, q, 8), 0);    /* no word there */
    CHECK_INT(layout_quads(&LAYOUT, 9, 9, q, 8), 0);
    CHECK_INT(layout_quads(&(struct layout){0}, 0, 9, q, 8), 0);
}
