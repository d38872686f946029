/* tests/fuzz/fuzz_html.c - any bytes as html, see read_bytes.h. */
#include "tests/fuzz/read_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return read_bytes(data, size, "html", html_read);
}
