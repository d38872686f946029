/* tests/fuzz/fuzz_layout.c - two bytes of text length, then any bytes as a
 * layout: refused, or every range in order inside the text, and written again it
 * reads as the same. */
#include <stdlib.h>
#include <string.h>
#include "index/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int yes)
{
    if (!yes)
        abort();
}

static void check_order(const struct layout *l, size_t text_len)
{
    uint32_t last = 0;
    for (size_t i = 0; i < l->n_blocks; last = l->blocks[i++].end)
        must(l->blocks[i].start >= last && l->blocks[i].end >= l->blocks[i].start &&
             l->blocks[i].end <= text_len && l->blocks[i].kind < BLOCK_KINDS);
    last = 0;
    for (size_t i = 0; i < l->n_pages; last = l->pages[i++].end)
        must(l->pages[i].start >= last && l->pages[i].end >= l->pages[i].start &&
             l->pages[i].end <= text_len && l->pages[i].width >= 0);
    last = 0;
    for (size_t i = 0; i < l->n_places; last = l->places[i++].end)
        must(l->places[i].start >= last && l->places[i].end >= l->places[i].start &&
             l->places[i].end <= text_len && l->places[i].x0 <= l->places[i].x1 &&
             l->places[i].y0 <= l->places[i].y1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct layout l, again;
    struct buf once = {0}, twice = {0};
    float quads[4][4];
    if (size < 2)
        return 0;
    size_t text_len = (size_t)data[0] << 8 | data[1];
    if (layout_decode((struct str){(const char *)data + 2, size - 2}, text_len, &a, &l, NULL) == OK) {
        check_order(&l, text_len);
        for (uint32_t at = 0; at <= text_len; at += 1 + (uint32_t)text_len / 8) {
            must(layout_page(&l, at) <= l.n_pages);
            must(layout_quads(&l, at, at + 50, quads, 4) <= 4);
        }
        must(layout_encode(&l, &once, NULL) == OK);
        must(layout_decode(buf_view(&once), text_len, &a, &again, NULL) == OK);
        must(layout_encode(&again, &twice, NULL) == OK);
        must(str_eq(buf_view(&once), buf_view(&twice)));
    }
    buf_free(&once);
    buf_free(&twice);
    arena_deinit(&a);
    return 0;
}
