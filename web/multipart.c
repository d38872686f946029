/* The delimiter is CRLF "--" boundary, and a CR stands nowhere in it but first.
 * So a broken match restarts only at a CR, and the bytes held back are always a
 * prefix of the delimiter: no look-behind buffer is needed. The body is read as
 * if a CRLF stood before it, which makes the first delimiter like all others. */
#include "web/multipart.h"
#include <stdlib.h>
#include <string.h>

enum state {
    PREAMBLE,     /* before the first delimiter: dropped */
    DATA,         /* of a part */
    AFTER,        /* behind a delimiter: "--", or CRLF */
    HEAD,         /* headers of a part */
    EPILOGUE      /* behind the last delimiter: dropped */
};

struct multipart {
    struct multipart_events ev;
    enum state state;
    char delim[80];
    size_t delim_len, matched;
    char tail[4];               /* behind a delimiter */
    size_t tail_len;
    struct buf head;
    int parts;
    bool failed;
};

static bool boundary_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("'()+_,-./:=? ", c));
}

/* End of the quoted string whose first byte is s[at]. Old curl writes \" for a
 * quote; browsers write %22 and leave a backslash as it is, even before the
 * closing quote: a \" behind which no quote comes is the end. */
static size_t quoted_end(struct str s, size_t at)
{
    while (at < s.len && s.ptr[at] != '"') {
        bool pair = s.ptr[at] == '\\' && at + 1 < s.len;
        if (pair && (s.ptr[at + 1] == '\\' ||
                     (s.ptr[at + 1] == '"' && str_find(s, STR("\""), at + 2) != SIZE_MAX)))
            at++;
        at++;
    }
    return at;
}

/* `key=value` or `key="value"` among the parameters behind the first `;`. */
static bool parameter(struct str header, const char *key, struct str *value)
{
    size_t at = 0;
    struct str want = str_of(key);
    while ((at = str_find(header, STR(";"), at)) != SIZE_MAX) {
        at++;
        while (at < header.len && (header.ptr[at] == ' ' || header.ptr[at] == '\t'))
            at++;
        size_t eq = at;
        while (eq < header.len && header.ptr[eq] != '=' && header.ptr[eq] != ';')
            eq++;
        bool hit = eq < header.len && header.ptr[eq] == '=' &&
                   str_ieq(str_trim(str_sub(header, at, eq)), want);
        at = eq < header.len && header.ptr[eq] == '=' ? eq + 1 : eq;
        size_t end = at;
        if (at < header.len && header.ptr[at] == '"') {
            at++;
            end = quoted_end(header, at);
            if (end >= header.len)
                return false; /* the quote never ends */
        } else {
            while (end < header.len && header.ptr[end] != ';')
                end++;
        }
        if (hit) {
            *value = str_sub(header, at, end);
            return true;
        }
        at = end;
    }
    return false;
}

bool multipart_boundary(struct str type, struct str *boundary)
{
    struct str rest = type, media;
    if (!str_split(&rest, ';', &media) || !str_ieq(str_trim(media), STR("multipart/form-data")))
        return false;
    if (!parameter(type, "boundary", boundary) || boundary->len < 1 || boundary->len > 70)
        return false;
    for (size_t i = 0; i < boundary->len; i++)
        if (!boundary_char(boundary->ptr[i]))
            return false;
    return boundary->ptr[boundary->len - 1] != ' ';
}

struct multipart *multipart_new(struct str boundary, const struct multipart_events *events)
{
    struct multipart *m = calloc(1, sizeof(*m));
    if (!m || boundary.len > 70)
        return free(m), NULL;
    memcpy(m->delim, "\r\n--", 4);
    memcpy(m->delim + 4, boundary.ptr, boundary.len);
    m->delim_len = boundary.len + 4;
    m->matched = 2;
    m->head.max = MULTIPART_HEAD_MAX + 1;
    m->ev = *events;
    return m;
}

void multipart_free(struct multipart *m)
{
    if (!m)
        return;
    buf_free(&m->head);
    free(m);
}

/* Undo the \", \\ and %22 of a quoted string, in place. */
static struct str unquote(char *p, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        bool percent = n - i > 2 && memcmp(p + i, "%22", 3) == 0;
        if (p[i] == '\\' && i + 1 < n && (p[i + 1] == '"' || p[i + 1] == '\\'))
            i++;
        p[k++] = percent ? '"' : p[i];
        i += percent ? 2 : 0;
    }
    return (struct str){p, k};
}

static enum err_code read_disposition(struct str value, struct multipart_part *part,
                                      struct err *err)
{
    struct str rest = value, kind;
    if (part->name.ptr)
        return err_set(err, ERR_FORMAT, "a part with two Content-Disposition headers");
    if (!str_split(&rest, ';', &kind) || !str_ieq(str_trim(kind), STR("form-data")))
        return err_set(err, ERR_FORMAT, "a part's Content-Disposition must be form-data");
    if (!parameter(value, "name", &part->name))
        return err_set(err, ERR_FORMAT, "a part's Content-Disposition has no name");
    struct str file;
    if (parameter(value, "filename", &file))
        part->filename = unquote((char *)(uintptr_t)file.ptr, file.len);
    return OK;
}

/* The part's headers lie in m->head, each ended by CRLF, the last line empty. */
static enum err_code begin_part(struct multipart *m, struct err *err)
{
    struct multipart_part part = {0};
    struct str rest = buf_view(&m->head);
    while (rest.len > 2) {
        size_t end = str_find(rest, STR("\r\n"), 0);
        struct str line = str_sub(rest, 0, end);
        rest = str_sub(rest, end + 2, rest.len);
        size_t colon = str_find(line, STR(":"), 0);
        if (colon == SIZE_MAX || colon == 0 || memchr(line.ptr, '\0', line.len))
            return err_set(err, ERR_FORMAT, "a part's header line is malformed");
        struct str name = str_sub(line, 0, colon);
        struct str value = str_trim(str_sub(line, colon + 1, line.len));
        enum err_code rc = OK;
        if (str_ieq(name, STR("content-disposition")))
            rc = read_disposition(value, &part, err);
        else if (str_ieq(name, STR("content-type")))
            part.type = value;
        if (rc)
            return rc;
    }
    if (!part.name.ptr)
        return err_set(err, ERR_FORMAT, "a part without a Content-Disposition");
    if (++m->parts > MULTIPART_PARTS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d parts", MULTIPART_PARTS_MAX);
    enum err_code rc = m->ev.begin(m->ev.arg, &part, err);
    buf_reset(&m->head);
    m->state = DATA;
    return rc;
}

static enum err_code emit(struct multipart *m, const char *p, size_t n, struct err *err)
{
    if (m->state != DATA || n == 0)
        return OK;
    return m->ev.data(m->ev.arg, (struct str){p, n}, err);
}

/* Scan data up to and including a delimiter; *used bytes were taken. */
static enum err_code scan(struct multipart *m, struct str s, size_t *used, struct err *err)
{
    size_t from = 0, i = 0;
    enum err_code rc = OK;
    while (i < s.len && !rc) {
        if (m->matched == 0) {
            const char *cr = memchr(s.ptr + i, '\r', s.len - i);
            i = cr ? (size_t)(cr - s.ptr) : s.len;
            rc = emit(m, s.ptr + from, i - from, err);
            from = i;
            if (!cr)
                break;
        }
        if (s.ptr[i] == m->delim[m->matched]) {
            i++;
            if (++m->matched == m->delim_len)
                break;
            continue;
        }
        /* What had matched is data after all. */
        size_t held = m->matched;
        m->matched = 0;
        from = i;
        if (!rc)
            rc = emit(m, m->delim, held, err);
    }
    *used = i;
    if (rc || m->matched < m->delim_len)
        return rc;
    bool data = m->state == DATA;
    m->state = AFTER;
    m->matched = m->tail_len = 0;
    return data ? m->ev.end(m->ev.arg, err) : OK;
}

static enum err_code after(struct multipart *m, char c, struct err *err)
{
    if (m->tail_len == 0 && (c == ' ' || c == '\t'))
        return OK; /* transport padding */
    m->tail[m->tail_len++] = c;
    if (m->tail_len < 2)
        return OK;
    if (memcmp(m->tail, "--", 2) == 0)
        m->state = EPILOGUE;
    else if (memcmp(m->tail, "\r\n", 2) == 0)
        m->state = HEAD;
    else
        return err_set(err, ERR_FORMAT, "a multipart delimiter is followed by neither a line end "
                                        "nor \"--\"");
    return OK;
}

static enum err_code head(struct multipart *m, char c, struct err *err)
{
    buf_char(&m->head, c);
    if (m->head.failed || m->head.len > MULTIPART_HEAD_MAX)
        return err_set(err, ERR_LIMIT, "a part's headers are longer than %d bytes",
                       MULTIPART_HEAD_MAX);
    struct str h = buf_view(&m->head);
    if (str_eqz(h, "\r\n") || str_ends(h, STR("\r\n\r\n")))
        return begin_part(m, err);
    return OK;
}

enum err_code multipart_push(struct multipart *m, struct str s, struct err *err)
{
    enum err_code rc = m->failed ? err_set(err, ERR_FORMAT, "the form has failed before") : OK;
    size_t i = 0;
    while (i < s.len && !rc) {
        size_t used = 1;
        if (m->state == EPILOGUE)
            break;
        if (m->state == AFTER)
            rc = after(m, s.ptr[i], err);
        else if (m->state == HEAD)
            rc = head(m, s.ptr[i], err);
        else
            rc = scan(m, str_sub(s, i, s.len), &used, err);
        i += used;
    }
    m->failed = rc != OK;
    return rc;
}

enum err_code multipart_finish(struct multipart *m, struct err *err)
{
    if (m->state != EPILOGUE)
        return err_set(err, ERR_FORMAT, "the form ends before its closing delimiter");
    return OK;
}
