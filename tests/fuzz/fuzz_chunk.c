/* tests/fuzz/fuzz_chunk.c - any text with any blocks: every byte that is not white
 * space lies in a chunk, chunks lie in order on characters and within their size.
 * The first bytes choose the sizes and the blocks, the rest is the text. */
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "ingest/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD   20
#define BLOCKS 16

static enum err_code count(void *arg, struct str s, int *n, struct err *err)
{
    (void)arg, (void)err;
    *n = 0;
    for (size_t i = 0, run = 0; i < s.len; i++) {
        run = strchr(" \n\t\r", s.ptr[i]) && s.ptr[i] ? 0 : run + 1;
        *n += run % 8 == 1;
    }
    return OK;
}

static bool white(char c)
{
    return c && strchr(" \n\t\r\f\v", c);
}

static void check(struct str text, const struct chunk *chunks, int n, int max)
{
    size_t at = 0;
    for (int i = 0; i <= n; i++) {
        size_t start = i < n ? chunks[i].start : text.len;
        for (; at < start; at++)
            if (!white(text.ptr[at]))
                abort();
        if (i == n)
            return;
        if (chunks[i].end <= chunks[i].start || chunks[i].end > text.len || chunks[i].tokens > max)
            abort();
        if (utf8_floor(text, chunks[i].start) != chunks[i].start ||
            utf8_floor(text, chunks[i].end) != chunks[i].end)
            abort();
        at = chunks[i].end > at ? chunks[i].end : at;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD)
        return 0;
    struct buf b = {0};
    utf8_repair((struct str){(const char *)data + HEAD, size - HEAD}, &b);
    struct str text = buf_view(&b);
    struct block blocks[BLOCKS];
    struct layout l = {.blocks = blocks};
    size_t at = 0;
    for (int i = 0; i < BLOCKS && at < text.len; i++) {
        size_t start = utf8_floor(text, at), end = utf8_ceil(text, at + data[4 + i] % 64 + 1);
        end = end > text.len ? text.len : end;
        uint8_t kind = data[4 + i] % BLOCK_KINDS;
        blocks[l.n_blocks++] =
            (struct block){.start = (uint32_t)start,
                           .end = (uint32_t)end,
                           .kind = kind,
                           .level = kind == BLOCK_HEADING ? 1 + data[4 + i] / 64 : 0};
        at = utf8_ceil(text, end + data[4 + i] / 32);
    }
    int max = 12 + data[0], target = 8 + data[1] % (max - 7);
    struct chunk_options opt = {.target_tokens = target,
                                .max_tokens = max,
                                .count = count,
                                .overlap_tokens = data[2] % (target / 2 + 1)};
    struct arena a = {0};
    struct chunk *chunks;
    struct err err;
    int n;
    if (chunk_text(text, &l, &opt, &a, &chunks, &n, &err))
        abort();
    check(text, chunks, n, max);
    arena_deinit(&a);
    buf_free(&b);
    return 0;
}
