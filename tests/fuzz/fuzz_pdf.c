/* tests/fuzz/fuzz_pdf.c - any bytes as a PDF, see read_bytes.h. */
#include "tests/fuzz/read_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return read_bytes(data, size, "pdf", pdf_read);
}
