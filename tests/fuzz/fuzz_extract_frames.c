/* tests/fuzz/fuzz_extract_frames.c - any bytes as the result of carrel-extract. */
#include <stdlib.h>
#include "base/utf8.h"
#include "ingest/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct extracted e;
    struct err err = {0};
    bool broken;
    enum err_code rc =
        frame_read((struct str){(const char *)data, size}, 1000, &a, &e, &broken, &err);
    if (rc && !err.msg[0] && broken)
        abort();
    if (!rc) {
        if (!utf8_valid(e.text) || !utf8_valid(str_of(e.title)))
            abort();
        for (size_t i = 0; i < e.layout.n_blocks; i++)
            if (e.layout.blocks[i].end > e.text.len ||
                !utf8_valid(str_sub(e.text, e.layout.blocks[i].start, e.layout.blocks[i].end)))
                abort();
    }
    arena_deinit(&a);
    return 0;
}
