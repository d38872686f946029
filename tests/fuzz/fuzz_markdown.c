/* tests/fuzz/fuzz_markdown.c - any bytes as markdown, see read_bytes.h. */
#include "tests/fuzz/read_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return read_bytes(data, size, "md", markdown_read);
}
