#include "web/reply.h"
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "web/openai.h"
#include "web/stream.h"

void reply_body(struct request *r, int status, const char *static_type)
{
    r->reply.status = status;
    r->reply.type = static_type;
}

void reply_json(struct request *r, int status, json_t *value)
{
    buf_reset(&r->reply.body);
    if (value)
        json_write(&r->reply.body, value);
    else
        r->reply.body.failed = true;
    buf_char(&r->reply.body, '\n');
    json_decref(value);
    reply_body(r, status, "application/json");
}

void reply_text(struct request *r, int status, const char *static_type, struct str text)
{
    buf_reset(&r->reply.body);
    buf_str(&r->reply.body, text);
    reply_body(r, status, static_type);
}

void reply_empty(struct request *r, int status)
{
    buf_reset(&r->reply.body);
    reply_body(r, status, NULL);
}

void reply_header(struct request *r, const char *static_name, const char *value)
{
    struct reply *p = &r->reply;
    char *copy = arena_strz(&r->arena, str_of(value));
    if (!copy || p->n_headers == REPLY_HEADERS)
        return;
    p->headers[p->n_headers].name = static_name;
    p->headers[p->n_headers++].value = copy;
}

void reply_see_other(struct request *r, const char *location)
{
    reply_empty(r, 303);
    reply_header(r, "Location", location);
}

/* RFC 6266 with RFC 8187: a plain name for old readers, the true one beside it. */
static void disposition(struct request *r, const char *name)
{
    struct buf b = {0};
    buf_puts(&b, "attachment; filename=\"");
    for (const char *p = name; *p; p++)
        buf_char(&b, *p >= ' ' && *p < 0x7f && !strchr("\"\\%/", *p) ? *p : '_');
    buf_puts(&b, "\"; filename*=UTF-8''");
    buf_url(&b, str_of(name));
    if (!b.failed)
        reply_header(r, "Content-Disposition", b.ptr);
    buf_free(&b);
}

enum err_code reply_file(struct request *r, const char *path, const char *name, struct err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) != 0) {
        enum err_code rc = err_errno(err, "the original file");
        if (fd >= 0)
            close(fd);
        return rc;
    }
    r->reply.fd = fd;
    r->reply.fd_bytes = (size_t)st.st_size;
    reply_body(r, 200, "application/octet-stream");
    disposition(r, name);
    reply_header(r, "Content-Security-Policy", "default-src 'none'; sandbox");
    return OK;
}

void reply_refuse(struct request *r, int status, const char *static_code, const char *message)
{
    r->failure.status = status;
    r->failure.code = static_code;
    r->failure.param = r->param;
    snprintf(r->failure.message, sizeof(r->failure.message), "%s", message);
}

void reply_fail(struct request *r, enum err_code rc, const struct err *err)
{
    const struct route_error *e = route_error(r->route, rc);
    const char *why = err && err->msg[0] ? err->msg : err_name(rc);
    bool sent = r->has_body || !r->route || r->route->body != BODY_NONE;
    if (rc == ERR_LIMIT && !sent && strcmp(r->method, "GET") != 0 && !r->head_only)
        reply_refuse(r, 507, "storage_full", why); /* nothing came that could be too large */
    else
        reply_refuse(r, e->status, e->code, why);
    if (r->failure.status == 429)
        reply_header(r, "Retry-After", "2");
}

json_t *reply_failure_json(const struct request *r)
{
    if (r->route ? r->route->openai : openai_path(r->path))
        return openai_failure_json(r);
    const struct failure *f = &r->failure;
    json_t *e = json_object(), *o = json_object();
    json_put(e, "code", json_text(str_of(f->code)));
    json_put(e, "message", json_text(str_of(f->message)));
    json_put(e, "param", f->param ? json_text(str_sub(str_of(f->param), 0, 64)) : json_null());
    json_put(e, "request_id", json_text(str_of(r->id)));
    json_put(o, "error", e);
    return o;
}

void reply_deinit(struct reply *p)
{
    buf_free(&p->body);
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    if (p->stream) /* the client left before the answer began */
        stream_closed(p->stream);
    p->stream = NULL;
}

static struct MHD_Response *make(struct request *r, size_t *bytes)
{
    struct reply *p = &r->reply;
    *bytes = 0;
    if (p->stream) {
        struct stream *s = p->stream;
        struct MHD_Response *m = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096,
                                                                   stream_pull, s, stream_closed);
        if (!m)
            stream_closed(s);
        p->stream = NULL;
        return m;
    }
    if (p->fd >= 0) {
        struct MHD_Response *m = MHD_create_response_from_fd64(p->fd_bytes, p->fd);
        *bytes = p->fd_bytes;
        if (m)
            p->fd = -1; /* the response closes it */
        return m;
    }
    size_t n = 0;
    char *body = buf_take(&p->body, &n);
    *bytes = n;
    if (!body || n == 0) {
        free(body);
        return MHD_create_response_from_buffer(0, (void *)(uintptr_t)"", MHD_RESPMEM_PERSISTENT);
    }
    struct MHD_Response *m = MHD_create_response_from_buffer(n, body, MHD_RESPMEM_MUST_FREE);
    if (!m)
        free(body);
    return m;
}

static bool has_header(const struct reply *p, const char *name)
{
    for (int i = 0; i < p->n_headers; i++)
        if (strcmp(p->headers[i].name, name) == 0)
            return true;
    return false;
}

static void add_headers(struct request *r, struct MHD_Response *m)
{
    static const char *const always[][2] = {
        {"Content-Security-Policy",
         "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
         "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cache-Control", "no-store"}};
    const struct reply *p = &r->reply;
    for (size_t i = 0; i < sizeof(always) / sizeof(*always); i++)
        if (!has_header(p, always[i][0]))
            MHD_add_response_header(m, always[i][0], always[i][1]);
    for (int i = 0; i < p->n_headers; i++)
        MHD_add_response_header(m, p->headers[i].name, p->headers[i].value);
    if (p->type)
        MHD_add_response_header(m, "Content-Type", p->type);
    MHD_add_response_header(m, "X-Request-Id", r->id);
    /* Whatever a refused client meant by the bytes behind, they are not a request. */
    if (p->status >= 400 || (r->has_body && r->length < 0))
        MHD_add_response_header(m, "Connection", "close");
}

int reply_send(struct request *r)
{
    size_t bytes = 0;
    bool events = r->reply.stream != NULL;
    if (r->reply.body.failed) {
        buf_free(&r->reply.body);
        r->reply = (struct reply){.status = 503, .type = "text/plain; charset=utf-8", .fd = -1};
        buf_puts(&r->reply.body, "out of memory\n");
    }
    struct MHD_Response *m = make(r, &bytes);
    if (!m)
        return MHD_NO;
    add_headers(r, m);
    double patience = 2.0 * WRITE_GRACE_MS + (double)bytes * 1000 / WRITE_RATE;
    client_expect(r->client, events ? 0 : clock_ms() + patience);
    client_sending(r->client, !events);
    enum MHD_Result ok = MHD_queue_response(r->conn, (unsigned)r->reply.status, m);
    MHD_destroy_response(m);
    return ok;
}
