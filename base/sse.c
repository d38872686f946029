#include "base/sse.h"
#include <string.h>

void sse_init(struct sse *s, size_t max)
{
    *s = (struct sse){
        .max = max, .line = {.max = max}, .event = {.max = max}, .data = {.max = max + 1}};
}

void sse_deinit(struct sse *s)
{
    buf_free(&s->line);
    buf_free(&s->event);
    buf_free(&s->data);
}

/* "name: value", "name:value", "name", or a comment. */
static void take_field(struct sse *s, struct str line)
{
    size_t colon = str_find(line, STR(":"), 0);
    struct str name = str_sub(line, 0, colon), value = STR("");
    if (colon != SIZE_MAX)
        value = str_sub(line, colon + 1, line.len);
    if (str_starts(value, STR(" ")))
        value = str_sub(value, 1, value.len);
    if (str_eqz(name, "data")) {
        buf_str(&s->data, value);
        buf_char(&s->data, '\n');
        s->has_data = true;
    } else if (str_eqz(name, "event")) {
        buf_reset(&s->event);
        buf_str(&s->event, value);
    }
}

/* An empty line. False: fn wants no more. */
static bool end_event(struct sse *s, bool (*fn)(void *arg, struct str event, struct str data),
                      void *arg)
{
    bool more = true;
    if (s->has_data) {
        struct str data = buf_view(&s->data), event = buf_view(&s->event);
        more = fn(arg, event.len ? event : STR("message"), str_sub(data, 0, data.len - 1));
    }
    s->has_data = false;
    buf_reset(&s->data);
    buf_reset(&s->event);
    return more;
}

static struct str without_mark(struct sse *s, struct str line)
{
    if (!s->begun && str_starts(line, STR("\xef\xbb\xbf")))
        line = str_sub(line, 3, line.len);
    s->begun = true;
    return line;
}

/* Bytes up to the next CR or LF. */
static size_t line_length(struct str bytes)
{
    const char *lf = memchr(bytes.ptr, '\n', bytes.len);
    size_t n = lf ? (size_t)(lf - bytes.ptr) : bytes.len;
    const char *cr = memchr(bytes.ptr, '\r', n);
    return cr ? (size_t)(cr - bytes.ptr) : n;
}

static enum err_code too_long(const struct sse *s, struct err *err)
{
    return err_set(err, ERR_LIMIT, "a server-sent event is longer than %zu bytes", s->max);
}

enum err_code sse_feed(struct sse *s, struct str bytes,
                       bool (*fn)(void *arg, struct str event, struct str data), void *arg,
                       struct err *err)
{
    while (bytes.len) {
        if (s->after_cr && bytes.ptr[0] == '\n')
            bytes = str_sub(bytes, 1, bytes.len);
        s->after_cr = false;
        if (!bytes.len)
            break;
        size_t n = line_length(bytes);
        buf_add(&s->line, bytes.ptr, n);
        if (s->line.failed)
            return too_long(s, err);
        if (n == bytes.len)
            break;
        s->after_cr = bytes.ptr[n] == '\r';
        bytes = str_sub(bytes, n + 1, bytes.len);
        struct str line = without_mark(s, buf_view(&s->line));
        if (line.len)
            take_field(s, line);
        else if (!end_event(s, fn, arg))
            return err_set(err, ERR_CANCELLED, "stopped");
        if (s->data.failed || s->event.failed)
            return too_long(s, err);
        buf_reset(&s->line);
    }
    return OK;
}
