/* tests/fuzz/fuzz_sse.c - any bytes as server-sent events: the same events whole,
 * byte by byte and cut anywhere; nothing past the maximum. */
#include <stdlib.h>
#include "base/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 512 };

static bool note(void *arg, struct str event, struct str data)
{
    struct buf *seen = arg;
    if (data.len > MOST || event.len > MOST)
        abort();
    buf_printf(seen, "%zu:", event.len);
    buf_str(seen, event);
    buf_printf(seen, "%zu:", data.len);
    buf_str(seen, data);
    return true;
}

static enum err_code read_all(struct str bytes, size_t piece, struct buf *seen)
{
    struct sse s;
    struct err err = {0};
    enum err_code rc = OK;
    sse_init(&s, MOST);
    for (size_t i = 0; i < bytes.len && !rc; i += piece)
        rc = sse_feed(&s, str_sub(bytes, i, i + piece), note, seen, &err);
    if (rc && !err.msg[0])
        abort();
    sse_deinit(&s);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct str bytes = {(const char *)data + 1, size - 1};
    struct buf whole = {0}, single = {0}, cut = {0};
    enum err_code a = read_all(bytes, bytes.len, &whole);
    enum err_code b = read_all(bytes, 1, &single);
    enum err_code c = read_all(bytes, (size_t)data[0] + 1, &cut);
    if (a != b || a != c || !str_eq(buf_view(&whole), buf_view(&single)) ||
        !str_eq(buf_view(&whole), buf_view(&cut)))
        abort();
    buf_free(&whole);
    buf_free(&single);
    buf_free(&cut);
    return 0;
}
