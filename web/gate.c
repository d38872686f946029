#include "web/gate.h"
#include <string.h>

static bool is_token(char c)
{
    unsigned char u = (unsigned char)c;
    return (u >= '0' && u <= '9') || (u >= 'A' && u <= 'Z') || (u >= 'a' && u <= 'z') ||
           (u && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token_text(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_token(s.ptr[i]))
            return false;
    return s.len > 0;
}

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return s.len > 0;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static enum gate_verdict refuse(struct gate_head *out, int status, const char *why)
{
    out->status = status;
    out->why = why;
    return GATE_REFUSE;
}

/* Headers that may stand once, with what was seen of them. */
enum single { S_HOST, S_LENGTH, S_CODING, S_TYPE, S_AUTH, S_ORIGIN, S_SITE, S_COOKIE, SINGLES };
static const char *const single_name[SINGLES] = {
    "host", "content-length", "transfer-encoding", "content-type",
    "authorization", "origin", "sec-fetch-site", "cookie"};

struct seen {
    struct str value[SINGLES];
    bool have[SINGLES];
    int headers;
    bool http10;
};

/* One line up to CRLF. A bare CR or LF, or a NUL, is refused wherever it is. */
static enum gate_verdict take_line(struct str bytes, size_t *at, struct str *line,
                                   struct gate_head *out)
{
    for (size_t i = *at; i < bytes.len; i++) {
        char c = bytes.ptr[i];
        if (c == '\n')
            return refuse(out, 400, "a line ends in a bare line feed");
        if (c == '\0')
            return refuse(out, 400, "a NUL byte in the request head");
        if (c != '\r')
            continue;
        if (i + 1 == bytes.len)
            return GATE_MORE;
        if (bytes.ptr[i + 1] != '\n')
            return refuse(out, 400, "a bare carriage return in the request head");
        *line = str_sub(bytes, *at, i);
        *at = i + 2;
        return GATE_OK;
    }
    return GATE_MORE;
}

static bool known_method(struct str m)
{
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH",
                                        "OPTIONS", "TRACE", "CONNECT"};
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (str_eqz(m, known[i]))
            return true;
    return false;
}

/* Origin form only (RFC 9112 section 3.2.1), and `*` for OPTIONS. */
static bool good_target(struct str method, struct str target)
{
    if (str_eqz(target, "*"))
        return str_eqz(method, "OPTIONS");
    if (target.len == 0 || target.ptr[0] != '/')
        return false;
    for (size_t i = 0; i < target.len; i++)
        if (target.ptr[i] <= 0x20 || target.ptr[i] >= 0x7f || target.ptr[i] == '#')
            return false;
    return true;
}

static enum gate_verdict judge_request_line(struct str line, struct seen *seen,
                                            struct gate_head *out)
{
    struct str rest = line, version;
    if (!str_split(&rest, ' ', &out->method) || !str_split(&rest, ' ', &out->target) ||
        !str_split(&rest, ' ', &version) || rest.ptr != NULL)
        return refuse(out, 400, "the request line is not METHOD target HTTP/1.1");
    if (!is_token_text(out->method))
        return refuse(out, 400, "the method is not a token");
    if (!known_method(out->method))
        return refuse(out, 501, "the method is not known here");
    if (!good_target(out->method, out->target))
        return refuse(out, 400, "the request target must be a path of visible ASCII");
    seen->http10 = str_eqz(version, "HTTP/1.0");
    if (seen->http10 || str_eqz(version, "HTTP/1.1"))
        return GATE_OK;
    bool form = version.len == 8 && str_starts(version, STR("HTTP/")) && version.ptr[6] == '.' &&
                all_digits(str_sub(version, 5, 6)) && all_digits(str_sub(version, 7, 8));
    return refuse(out, form ? 505 : 400, "the version must be HTTP/1.1");
}

static enum gate_verdict judge_header(struct str line, struct seen *seen, struct gate_head *out)
{
    if (++seen->headers > GATE_HEADERS_MAX)
        return refuse(out, 431, "too many headers");
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return refuse(out, 400, "a folded header line");
    const char *colon = memchr(line.ptr, ':', line.len);
    if (!colon)
        return refuse(out, 400, "a header line without a colon");
    struct str name = {line.ptr, (size_t)(colon - line.ptr)};
    struct str value = str_trim(str_sub(line, name.len + 1, line.len));
    if (!is_token_text(name))
        return refuse(out, 400, "a header name that is not a token");
    for (size_t i = 0; i < value.len; i++)
        if (((unsigned char)value.ptr[i] < 0x20 && value.ptr[i] != '\t') || value.ptr[i] == 0x7f)
            return refuse(out, 400, "a control character in a header value");
    for (int s = 0; s < SINGLES; s++) {
        if (!str_ieq(name, str_of(single_name[s])))
            continue;
        if (seen->have[s])
            return refuse(out, 400, "a header that may stand once stands twice");
        if (s == S_LENGTH && line.ptr[line.len - 1] <= ' ') /* the library answers it twice */
            return refuse(out, 400, "a space behind Content-Length");
        seen->have[s] = true;
        seen->value[s] = value;
    }
    return GATE_OK;
}

/* Exactly one way to know where the body ends (RFC 9112 section 6.3). */
static enum gate_verdict judge_framing(const struct seen *seen, struct gate_head *out)
{
    if (seen->have[S_LENGTH]) {
        struct str n = seen->value[S_LENGTH];
        if (!all_digits(n) || n.len > 18)
            return refuse(out, 400, "Content-Length must be one decimal number");
    }
    if (seen->have[S_CODING]) {
        if (seen->have[S_LENGTH])
            return refuse(out, 400, "Content-Length and Transfer-Encoding together");
        if (seen->http10)
            return refuse(out, 400, "Transfer-Encoding in HTTP/1.0");
        if (!str_ieq(seen->value[S_CODING], STR("chunked")))
            return refuse(out, 501, "the only Transfer-Encoding known here is chunked");
        out->chunked = true;
    }
    return GATE_OK;
}

static enum gate_verdict judge_whole(const struct seen *seen, struct gate_head *out)
{
    struct str name;
    if (!seen->have[S_HOST] && !seen->http10)
        return refuse(out, 400, "a request needs a Host header");
    if (seen->have[S_HOST] && !gate_host(seen->value[S_HOST], &name))
        return refuse(out, 400, "the Host header is not host[:port]");
    out->host = seen->value[S_HOST];
    return judge_framing(seen, out);
}

enum gate_verdict gate_head(struct str bytes, struct gate_head *out)
{
    struct seen seen = {0};
    struct str line;
    size_t at = str_starts(bytes, STR("\r\n")) ? 2 : 0; /* RFC 9112 section 2.2 */
    *out = (struct gate_head){0};
    if (bytes.len > at && !is_token(bytes.ptr[at]) && bytes.ptr[at] != '\r')
        return refuse(out, 400, "this is not HTTP");
    enum gate_verdict v = take_line(bytes, &at, &line, out);
    if (v == GATE_OK)
        v = judge_request_line(line, &seen, out);
    while (v == GATE_OK) {
        v = take_line(bytes, &at, &line, out);
        if (v == GATE_OK && line.len == 0) {
            out->len = at;
            return at > GATE_HEAD_MAX ? refuse(out, 431, "the request head is too long")
                                      : judge_whole(&seen, out);
        }
        if (v == GATE_OK)
            v = judge_header(line, &seen, out);
    }
    if (v == GATE_MORE && bytes.len > GATE_HEAD_MAX)
        return refuse(out, 431, "the request head is too long");
    return v;
}

/* ";name", ";name=token" or ";name="quoted"" behind a chunk size. */
static bool good_extension(struct str s)
{
    struct str field;
    struct str rest = str_sub(s, 1, s.len);
    while (str_split(&rest, ';', &field)) {
        const char *eq = memchr(field.ptr, '=', field.len);
        struct str name = eq ? str_sub(field, 0, (size_t)(eq - field.ptr)) : field;
        struct str value = eq ? str_sub(field, name.len + 1, field.len) : STR("x");
        bool quoted = value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"';
        if (!is_token_text(name) || !(quoted || is_token_text(value)))
            return false;
    }
    return true;
}

/* A size line: digits, then nothing or extensions. */
static bool good_size(struct str line, size_t *size)
{
    size_t i = 0, n = 0;
    while (i < line.len && is_hex(line.ptr[i])) {
        char c = line.ptr[i++];
        n = n * 16 + (size_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
        if (i > 12)
            return false;
    }
    *size = n;
    return i > 0 && (i == line.len || (line.ptr[i] == ';' &&
                                       good_extension(str_sub(line, i, line.len))));
}

bool gate_chunks(struct str body)
{
    struct gate_head unused = {0};
    size_t at = 0, size = 0;
    struct str line;
    for (;;) {
        enum gate_verdict v = take_line(body, &at, &line, &unused);
        if (v == GATE_MORE) { /* even half a size line must look like one */
            struct str half = str_sub(body, at, body.len);
            return half.len == 0 || is_hex(half.ptr[0]);
        }
        if (v == GATE_REFUSE || !good_size(line, &size))
            return false;
        if (size == 0) /* the last; trailers are not read here */
            return true;
        if (size >= body.len - at)
            return true;
        at += size;
        if (body.ptr[at] != '\r' || (at + 1 < body.len && body.ptr[at + 1] != '\n'))
            return false;
        at += 2;
        if (at >= body.len)
            return true;
    }
}

static bool host_char(char c)
{
    return is_hex(c) || (c >= 'g' && c <= 'z') || (c >= 'G' && c <= 'Z') || c == '-' || c == '.' ||
           c == '_';
}

bool gate_host(struct str value, struct str *name)
{
    size_t i = 0;
    if (value.len > 255)
        return false;
    if (value.len > 0 && value.ptr[0] == '[') {
        for (i = 1; i < value.len && (is_hex(value.ptr[i]) || strchr(":.", value.ptr[i])); i++)
            ;
        if (i < 3 || i >= value.len || value.ptr[i] != ']')
            return false;
        i++;
    } else {
        while (i < value.len && host_char(value.ptr[i]))
            i++;
    }
    *name = str_sub(value, 0, i);
    if (i == 0)
        return false;
    struct str port = str_sub(value, i, value.len);
    return port.len == 0 ||
           (port.ptr[0] == ':' && port.len <= 6 && all_digits(str_sub(port, 1, port.len)));
}

/* "http://host:port" or "https://host:port" of the same host. The scheme may
 * differ behind a proxy that ends TLS. */
static bool same_origin(struct str origin, struct str host)
{
    if (str_starts(origin, STR("http://")))
        origin = str_sub(origin, 7, origin.len);
    else if (str_starts(origin, STR("https://")))
        origin = str_sub(origin, 8, origin.len);
    else
        return false;
    return str_ieq(origin, host);
}

bool gate_sender(const struct gate_sender *s, bool unsafe)
{
    bool own = str_eqz(s->site, "same-origin") || str_eqz(s->site, "none");
    if (!unsafe)
        return s->site.len == 0 || own || str_eqz(s->mode, "navigate");
    if (s->site.len > 0 && !own)
        return false;
    if (s->origin.len == 0)
        return true; /* no browser: curl, a client library */
    if (str_eqz(s->origin, "null"))
        return own; /* a form under a strict referrer policy */
    return same_origin(s->origin, s->host);
}
