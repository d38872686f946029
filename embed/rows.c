#include "embed/rows.h"
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 64 };

enum err_code rows_copy(const struct tensor *t, struct tensor *out, struct err *err)
{
    size_t n = (t->size_bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    void *own = aligned_alloc(LINE_BYTES, n);
    if (!own)
        return err_set(err, ERR_NOMEM, "%zu MiB of token vectors", n >> 20);
    memcpy(own, t->data, t->size_bytes);
    *out = *t;
    out->data = own;
    return OK;
}

void rows_free(struct tensor *t)
{
    free((void *)(uintptr_t)t->data);
    *t = (struct tensor){0};
}
