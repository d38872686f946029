/* tests/fuzz/fuzz_json.c - any bytes as JSON: refused with a sentence, or read,
 * written and read again to the same value. */
#include <stdlib.h>
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *v, *again;
    struct err err = {0};
    struct buf first = {0}, second = {0};
    if (json_read((struct str){(const char *)data, size}, &v, &err)) {
        if (v || !err.msg[0])
            abort();
        return 0;
    }
    json_write(&first, v);
    if (json_read(buf_view(&first), &again, &err))
        abort();
    json_write(&second, again);
    if (!str_eq(buf_view(&first), buf_view(&second)))
        abort();
    struct str s;
    json_opt_str(v, "a", &s, &err);
    json_decref(v);
    json_decref(again);
    buf_free(&first);
    buf_free(&second);
    return 0;
}
