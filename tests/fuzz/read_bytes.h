/* tests/fuzz/read_bytes.h - any bytes through one reader: a document whose
 * ranges hold, or a reason. */
#ifndef CARREL_TESTS_FUZZ_READ_BYTES_H
#define CARREL_TESTS_FUZZ_READ_BYTES_H
#include <stdlib.h>
#include "base/utf8.h"
#include "ingest/extract/doc.h"
#include "ingest/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What carrel checks of a result, done on it. */
static inline void check_result(const struct doc *d, const struct layout *l, size_t src_size)
{
    struct buf out = {0}, packed = {0};
    struct arena a = {0};
    struct extracted e;
    struct err err;
    bool broken;
    if (layout_encode(l, &packed, &err))
        abort();
    frame_begin(&out);
    frame_put(&out, "TITL", str_of(d->title));
    frame_put(&out, "TEXT", buf_view(&d->text));
    frame_put(&out, "LAYO", buf_view(&packed));
    for (int i = 0; i < d->n_warnings; i++)
        frame_warning(&out, &d->warnings[i]);
    frame_end(&out);
    if (frame_read(buf_view(&out), src_size, &a, &e, &broken, &err))
        abort();
    arena_deinit(&a);
    buf_free(&out);
    buf_free(&packed);
}

static inline int read_bytes(const uint8_t *data, size_t size, const char *ext,
                             enum err_code (*read)(const struct source *, struct doc *,
                                                   struct err *))
{
    static struct doc d;
    struct layout l;
    struct err err = {0};
    struct source s = {.bytes = {(const char *)data, size},
                       .name = "x",
                       .mime = "",
                       .ext = ext,
                       .max_text = 16 << 20};
    if (!size)
        return 0;
    doc_init(&d, s.max_text);
    enum err_code rc = read(&s, &d, &err);
    if (!rc)
        rc = doc_ok(&d, &l, &err);
    if (rc && !err.msg[0])
        abort();
    if (!rc)
        check_result(&d, &l, size);
    doc_deinit(&d);
    return 0;
}
#endif
