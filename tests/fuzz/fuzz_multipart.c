/* The form parser on any bytes: whole and in pieces it says the same. The first
 * byte chooses the size of the pieces. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include "web/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static enum err_code on_begin(void *arg, const struct multipart_part *p, struct err *err)
{
    (void)err;
    buf_char(arg, '(');
    buf_str(arg, p->name);
    buf_char(arg, '|');
    buf_str(arg, p->filename);
    buf_char(arg, '|');
    buf_str(arg, p->type);
    buf_char(arg, ')');
    return OK;
}

static enum err_code on_data(void *arg, struct str s, struct err *err)
{
    (void)err;
    buf_str(arg, s);
    return OK;
}

static enum err_code on_end(void *arg, struct err *err)
{
    (void)err;
    buf_char(arg, '.');
    return OK;
}

static enum err_code parse(struct str body, size_t step, struct buf *log)
{
    struct multipart_events ev = {on_begin, on_data, on_end, log};
    struct multipart *m = multipart_new(STR("b"), &ev);
    struct err err;
    enum err_code rc = OK;
    for (size_t at = 0; at < body.len && !rc; at += step)
        rc = multipart_push(m, str_sub(body, at, at + step), &err);
    if (!rc)
        rc = multipart_finish(m, &err);
    multipart_free(m);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    struct str body = {(const char *)data + 1, n - 1}, boundary;
    struct buf whole = {0}, pieces = {0};
    enum err_code a = parse(body, n, &whole);
    enum err_code b = parse(body, 1 + data[0] % 17, &pieces);
    assert(a == b);
    if (!a)
        assert(str_eq(buf_view(&whole), buf_view(&pieces)));
    buf_free(&whole);
    buf_free(&pieces);
    multipart_boundary(body, &boundary);
    return 0;
}
