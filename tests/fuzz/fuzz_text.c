/* tests/fuzz/fuzz_text.c - any bytes as text, see read_bytes.h. */
#include "tests/fuzz/read_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return read_bytes(data, size, "txt", text_read);
}
