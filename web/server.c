/* The way of a request: the door hands a checked connection to libmicrohttpd;
 * its thread calls handle() with the head (begin), each piece of the body
 * (take_body), and the end (dispatch). Work goes to a pool while the connection
 * is suspended, so that no connection thread ever waits for a disk or a model;
 * resumed, the connection calls handle() again and gets its answer. */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "web/access.h"
#include "web/door.h"
#include "web/gate.h"
#include "web/pages.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/service.h"
#include "web/stream.h"
#include "web/upload.h"

#define CONNECTION_THREADS 2
#define ASK_THREADS        2          /* answers at a time, each computing */
#define CHAT_THREADS       24         /* with a model: they wait for its one thread */
#define ASK_QUEUE          32         /* questions that may wait: beyond, 429 */
#define WAIT_THREADS       16         /* `wait` uploads and job streams */
#define QUICK_QUEUE        512
#define DRAIN_MAX          (1 << 20)  /* of a refused body, so that the client reads why */

static struct str header(struct request *r, const char *name)
{
    const char *value = NULL;
    size_t n = 0;
    if (MHD_lookup_connection_value_n(r->conn, MHD_HEADER_KIND, name, strlen(name), &value, &n) !=
            MHD_YES || !value)
        return (struct str){NULL, 0};
    return arena_str(&r->arena, (struct str){value, n});
}

/* Its own words when they are harmless, else one of ours. */
static void choose_id(struct request *r)
{
    struct str id = header(r, "X-Request-Id");
    bool ok = id.len >= 1 && id.len < sizeof(r->id);
    for (size_t i = 0; i < id.len && ok; i++)
        ok = (id.ptr[i] >= '0' && id.ptr[i] <= '9') || ((id.ptr[i] | 32) >= 'a' &&
             (id.ptr[i] | 32) <= 'z') || strchr("-_.", id.ptr[i]);
    if (ok) {
        memcpy(r->id, id.ptr, id.len);
        r->id[id.len] = '\0';
        return;
    }
    uint64_t secret;
    rng_secret(&secret, sizeof(secret));
    snprintf(r->id, sizeof(r->id), "%012llx", (unsigned long long)(secret >> 16));
}

static enum MHD_Result add_line(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_n,
                                const char *value, size_t value_n)
{
    struct buf *b = cls;
    (void)kind;
    buf_add(b, key, key_n);
    buf_puts(b, ": ");
    buf_add(b, value ? value : "", value_n);
    buf_puts(b, "\r\n");
    return MHD_YES;
}

/* The head as the library understood it, through the same gate: what it makes
 * of a second request on a connection is judged like the first. */
static bool pass_gate(struct request *r, const char *version)
{
    struct buf head = {.max = 4 * GATE_HEAD_MAX};
    struct gate_head g;
    buf_printf(&head, "%s %.*s %s\r\n", r->method, STR_ARG(r->target), version);
    MHD_get_connection_values_n(r->conn, MHD_HEADER_KIND, add_line, &head);
    buf_puts(&head, "\r\n");
    enum gate_verdict v = head.failed ? GATE_MORE : gate_head(buf_view(&head), &g);
    if (v == GATE_REFUSE)
        reply_refuse(r, g.status, "malformed_request", g.why);
    else if (v == GATE_MORE)
        reply_refuse(r, 431, "malformed_request", "the request head is too long");
    buf_free(&head);
    return v == GATE_OK;
}

static void read_head(struct request *r)
{
    struct str length = header(r, "Content-Length");
    choose_id(r);
    r->host = header(r, "Host");
    r->accept = header(r, "Accept");
    r->type = header(r, "Content-Type");
    r->authorization = header(r, "Authorization");
    r->cookie = header(r, "Cookie");
    r->wants_html = str_find(r->accept, STR("text/html"), 0) != SIZE_MAX;
    r->head_only = strcmp(r->method, "HEAD") == 0;
    if (length.ptr && !str_int(length, 0, INT64_MAX, &r->length))
        r->length = -1;
    r->has_body = r->length > 0 || header(r, "Transfer-Encoding").ptr;
}

static bool check_sender(struct request *r)
{
    struct gate_sender s = {r->host, header(r, "Origin"), header(r, "Sec-Fetch-Site"),
                            header(r, "Sec-Fetch-Mode")};
    bool unsafe = strcmp(r->method, "GET") != 0 && !r->head_only;
    if (!access_host(r))
        reply_refuse(r, 403, "host_not_allowed", "this box does not go by that Host");
    else if (!gate_sender(&s, unsafe))
        reply_refuse(r, 403, "cross_site", "another site may not do that");
    else
        return true;
    return false;
}

static bool is_json_type(struct str type)
{
    struct str rest = type, media;
    if (!type.ptr || !str_split(&rest, ';', &media))
        return true; /* none declared */
    media = str_trim(media);
    return str_ieq(media, STR("application/json")) || str_ends(media, STR("+json"));
}

static bool is_form_type(struct str type)
{
    struct str rest = type, media;
    return !type.ptr || (str_split(&rest, ';', &media) &&
                         str_ieq(str_trim(media), STR("application/x-www-form-urlencoded")));
}

static bool start_upload(struct request *r)
{
    struct err err;
    struct str name = pair_text(r->query, r->n_query, "name");
    enum err_code rc = upload_new(r->web->opt.index, r->type, name,
                                  r->web->opt.max_upload_bytes, &r->upload, &err);
    if (rc == ERR_LIMIT)
        reply_refuse(r, 507, "storage_full", err.msg);
    else if (rc)
        reply_fail(r, rc, &err);
    return rc == OK;
}

/* May a body of that kind and size come? */
static bool expect_body(struct request *r)
{
    const struct route *t = r->route;
    size_t max = t->body == BODY_UPLOAD ? r->web->opt.max_upload_bytes : t->body_max;
    bool safe = strcmp(r->method, "GET") == 0 || r->head_only;
    char text[96];
    if (r->has_body && safe) {
        reply_refuse(r, 400, "malformed_request", "a GET request carries no body");
        return false;
    }
    if (t->body == BODY_NONE)
        max = DRAIN_MAX; /* ignored */
    if (r->length > 0 && (size_t)r->length > max) {
        snprintf(text, sizeof(text), "a body of %lld bytes; here at most %zu are taken",
                 (long long)r->length, max);
        reply_refuse(r, 413, "too_large", text);
        return false;
    }
    if ((t->body == BODY_JSON && !is_json_type(r->type)) ||
        (t->body == BODY_FORM && r->has_body && !is_form_type(r->type))) {
        reply_refuse(r, 415, "unsupported_media_type",
                     t->body == BODY_JSON ? "send application/json"
                                          : "send application/x-www-form-urlencoded");
        return false;
    }
    r->body.max = max + 1;
    return t->body != BODY_UPLOAD || start_upload(r);
}

/* The answer is known before the body: read over a small one, so that the
 * client gets to read the answer; else answer now and close. */
static enum MHD_Result refuse_early(struct request *r)
{
    bool waits = header(r, "Expect").ptr != NULL; /* for our word before it sends */
    if (r->has_body && !waits && r->length <= DRAIN_MAX) {
        r->state = REQUEST_DRAIN;
        return MHD_YES;
    }
    r->state = REQUEST_DONE;
    if (r->failure.status)
        page_failure(r);
    return reply_send(r);
}

static enum MHD_Result begin(struct request *r, const char *method, const char *version)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    r->client = info ? info->socket_context : NULL;
    if (!r->client)
        return MHD_NO;
    snprintf(r->method, sizeof(r->method), "%s", method);
    read_head(r);
    r->body_ms = clock_ms();
    client_expect(r->client, r->body_ms + BODY_GRACE_MS);
    client_receiving(r->client, r->has_body);
    r->state = REQUEST_BODY;
    if (pass_gate(r, version) && check_sender(r) && request_route(r) && access_authorize(r) &&
        expect_body(r))
        return MHD_YES;
    return refuse_early(r);
}

static void take_body(struct request *r, struct str bytes)
{
    struct err err;
    r->received += bytes.len;
    client_expect(r->client, r->body_ms + BODY_GRACE_MS + (double)r->received * 1000 / BODY_RATE);
    if (r->state == REQUEST_DRAIN) {
        if (r->received > DRAIN_MAX)
            client_expect(r->client, 1); /* long past */
        return;
    }
    if (r->route->body == BODY_UPLOAD) {
        enum err_code rc = upload_push(r->upload, bytes, &err);
        r->param = r->upload->param;
        if (rc && r->upload->disk_full)
            reply_refuse(r, 507, "storage_full", err.msg);
        else if (rc)
            reply_fail(r, rc, &err);
    } else {
        buf_str(&r->body, bytes);
        if (r->body.failed || r->body.len >= r->body.max)
            reply_refuse(r, 413, "too_large", "the body is larger than this address takes");
    }
    if (r->failure.status)
        r->state = REQUEST_DRAIN;
}

static enum err_code read_body(struct request *r, struct err *err)
{
    if (r->route->body == BODY_JSON)
        return fields_body(buf_view(&r->body), r->route->fields, r->route->openai, &r->arena,
                           &r->json, &r->param, err);
    if (r->route->body != BODY_FORM || !r->type.ptr)
        return OK;
    static const struct field none[] = {{.type = FIELD_END}};
    enum err_code rc = fields_decode(buf_view(&r->body), &r->arena, &r->form, &r->n_form, err);
    return rc ? rc : fields_pairs(r->form, r->n_form, r->route->fields ? r->route->fields : none,
                                  &r->arena, &r->param, err);
}

/* Run the handler, and see to it that there is an answer. */
static void answer(struct request *r)
{
    struct err err = {0};
    enum err_code rc = read_body(r, &err);
    if (rc == ERR_FORMAT && r->route->body == BODY_JSON)
        reply_refuse(r, 400, "invalid_json", err.msg);
    else if (rc)
        reply_fail(r, rc, &err);
    else if ((rc = r->route->handler(r, &err)) != OK && !r->failure.status)
        reply_fail(r, rc, &err);
    if (r->failure.status)
        page_failure(r);
}

static void work(struct task *t)
{
    struct request *r = (struct request *)t;
    struct MHD_Connection *conn = r->conn;
    answer(r);
    if (r->state != REQUEST_DONE) { /* a stream has resumed it already */
        r->state = REQUEST_DONE;
        MHD_resume_connection(conn);
    }
    request_release(r);
}

static enum MHD_Result dispatch(struct request *r)
{
    struct web *w = r->web;
    struct err err;
    client_expect(r->client, 0);
    client_receiving(r->client, false);
    if (r->state == REQUEST_DRAIN || r->route->runs == RUN_HERE) {
        bool known = r->state == REQUEST_DRAIN;
        r->state = REQUEST_DONE;
        if (!known)
            answer(r);
        else if (r->failure.status)
            page_failure(r);
        return reply_send(r);
    }
    bool waits = r->route->runs == RUN_WAIT || (r->upload && (r->upload->wait ||
                                                pair_bool(r->query, r->n_query, "wait", false)));
    bool asks = r->route->runs == RUN_ASK && (r->route->body != BODY_NONE || r->n_query > 0);
    struct pool *p = waits ? w->waits : asks ? w->asks : w->quick;
    if (p != w->quick)
        client_watch(w->reaper, r->client, &r->stop);
    r->state = REQUEST_WORK;
    r->task.run = work;
    request_keep(r);
    MHD_suspend_connection(r->conn);
    if (pool_push(p, &r->task, &err) == OK)
        return MHD_YES;
    bool stopping = stop_asked(&r->web->stop);
    reply_header(r, "Retry-After", "2");
    reply_refuse(r, stopping ? 503 : 429, stopping ? "stopping" : "too_many_requests", err.msg);
    page_failure(r);
    r->state = REQUEST_DONE;
    request_release(r);
    MHD_resume_connection(r->conn);
    return MHD_YES;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *conn, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_n, void **con_cls)
{
    struct request *r = *con_cls;
    (void)cls;
    (void)conn;
    (void)url;
    if (!r)
        return MHD_NO;
    switch (r->state) {
    case REQUEST_NEW:
        return begin(r, method, version);
    case REQUEST_BODY:
    case REQUEST_DRAIN:
        if (*data_n > 0) {
            take_body(r, (struct str){data, *data_n});
            *data_n = 0;
            return MHD_YES;
        }
        return dispatch(r);
    case REQUEST_DONE:
        return reply_send(r);
    case REQUEST_WORK:
        break; /* suspended: never called */
    }
    return MHD_NO;
}

/* Called with the raw target, before the head is parsed. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *conn)
{
    struct web *w = cls;
    atomic_fetch_add(&w->in_flight, 1);
    return request_new(w, conn, target);
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
                         enum MHD_RequestTerminationCode why)
{
    struct web *w = cls;
    struct request *r = *con_cls;
    (void)conn;
    *con_cls = NULL;
    atomic_fetch_sub(&w->in_flight, 1);
    if (!r)
        return;
    double ms = clock_ms() - r->began_ms;
    if (r->client) {
        client_watch(w->reaper, r->client, NULL);
        client_receiving(r->client, false);
        client_sending(r->client, false);
        client_expect(r->client, clock_ms() + IDLE_MS);
        int status = why == MHD_REQUEST_TERMINATED_COMPLETED_OK ? r->reply.status : 499;
        metrics_request(w->metrics, route_number(r->route), status, ms);
        log_info("web.request", "rid=%s method=%s route=%s status=%d ms=%.1f", r->id, r->method,
                 r->route ? r->route->path : "-", status, ms);
    }
    stop_set(&r->stop);
    request_release(r);
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **ctx,
                          enum MHD_ConnectionNotificationCode what)
{
    struct web *w = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *addr =
            MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        struct address who = address_of(addr->client_addr);
        int fd = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        struct client *c = reaper_add(w->reaper, fd, &who);
        if (c)
            client_expect(c, clock_ms() + HEAD_MS);
        *ctx = c;
    } else if (*ctx) {
        struct address who = reaper_remove(w->reaper, *ctx);
        limit_leave(w->limit, &who);
        atomic_fetch_sub(&w->handed, 1);
        *ctx = NULL;
    }
}

/* Paths are decoded by route.c, once and strictly; the library must not. */
static size_t keep_escapes(void *cls, struct MHD_Connection *conn, char *s)
{
    (void)cls;
    (void)conn;
    return strlen(s);
}

static void library_log(void *cls, const char *fmt, va_list ap)
{
    char text[256];
    (void)cls;
    vsnprintf(text, sizeof(text), fmt, ap);
    log_debug("web.library", "%s", text);
}

static int door_count(void *arg)
{
    return atomic_load(&((struct web *)arg)->handed);
}

static bool door_evict(void *arg, double before_ms)
{
    return reaper_evict(((struct web *)arg)->reaper, before_ms);
}

static bool door_take(void *arg, int fd, const struct sockaddr *sa, unsigned sa_len)
{
    struct web *w = arg;
    atomic_fetch_add(&w->handed, 1);
    bool ok = MHD_add_connection(w->daemon, fd, sa, sa_len) == MHD_YES;
    if (!ok)
        atomic_fetch_sub(&w->handed, 1);
    return ok;
}

static void door_refused(void *arg, int status)
{
    metrics_request(((struct web *)arg)->metrics, -1, status, 0);
}

static void tick(void *arg, double now_ms)
{
    struct web *w = arg;
    reaper_tick(w->reaper, now_ms);
    streams_tick(w->streams, now_ms);
}

static enum err_code start_daemon(struct web *w, struct err *err)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET |
                     MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    unsigned connections = (unsigned)w->opt.max_connections * 2; /* the door counts exactly */
    w->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, handle, w, MHD_OPTION_EXTERNAL_LOGGER, library_log, NULL,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)CONNECTION_THREADS, MHD_OPTION_CONNECTION_LIMIT,
        connections, MHD_OPTION_CONNECTION_TIMEOUT, 30u, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)49152, MHD_OPTION_THREAD_STACK_SIZE, (size_t)512 << 10,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED, on_completed, w,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, w, MHD_OPTION_URI_LOG_CALLBACK, on_target, w,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, w, MHD_OPTION_END);
    return w->daemon ? OK : err_set(err, ERR_IO, "the HTTP library does not start");
}

/* A connection may hold a file beside its socket; the usual soft limit of 1024 is
 * less than that twice over. */
static void raise_file_limit(int connections)
{
    struct rlimit r;
    rlim_t want = (rlim_t)connections * 3 + 256;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= want)
        return;
    r.rlim_cur = r.rlim_max < want ? r.rlim_max : want;
    if (setrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur < want)
        log_warn("web.files", "limit=%ld wanted=%ld", (long)r.rlim_cur, (long)want);
}

static enum err_code start_parts(struct web *w, struct err *err)
{
    struct web_options *o = &w->opt;
    raise_file_limit(o->max_connections);
    w->limit = limit_new(o->max_connections / 4);
    w->reaper = reaper_new();
    w->metrics = metrics_new(route_count());
    w->streams = streams_new();
    if (!w->limit || !w->reaper || !w->metrics || !w->streams)
        return err_set(err, ERR_NOMEM, "the server");
    enum err_code rc = pool_new("quick", o->threads, QUICK_QUEUE, &w->quick, err);
    if (!rc)
        rc = pool_new("ask", llm_n_models(o->llm) > 0 ? CHAT_THREADS : ASK_THREADS, ASK_QUEUE,
                      &w->asks, err);
    if (!rc)
        rc = pool_new("waiting", WAIT_THREADS, 0, &w->waits, err);
    return rc;
}

static enum err_code check_exposure(struct web *w, struct err *err)
{
    if (w->loopback || w->opt.insecure || index_key_count(w->opt.index) > 0)
        return OK;
    return err_set(err, ERR_ARG, "%s can be reached by others and there is no key: make one with "
                   "`carrel key add NAME`, or say --insecure", w->opt.listen);
}

static void note_names(struct web *w)
{
    snprintf(w->host, sizeof(w->host), "%s", door_host(w->door));
    w->loopback = door_is_loopback(w->door);
    w->wildcard = strcmp(w->host, "0.0.0.0") == 0 || strcmp(w->host, "[::]") == 0;
    if (gethostname(w->own_name, sizeof(w->own_name) - 1) != 0)
        w->own_name[0] = '\0';
    const char *shown = strcmp(w->host, "0.0.0.0") == 0 ? "127.0.0.1"
                        : strcmp(w->host, "[::]") == 0  ? "[::1]" : w->host;
    snprintf(w->url, sizeof(w->url), "http://%s:%d", shown, door_port(w->door));
}

enum err_code web_start(const struct web_options *opt, struct web **out, struct err *err)
{
    struct web *w = calloc(1, sizeof(*w));
    if (!w)
        return err_set(err, ERR_NOMEM, "the server");
    w->opt = *opt;
    w->began_ms = clock_ms();
    if (w->opt.threads == 0)
        w->opt.threads = 4;
    if (w->opt.max_connections == 0)
        w->opt.max_connections = 512;
    if (w->opt.max_upload_bytes == 0)
        w->opt.max_upload_bytes = (size_t)256 << 20;
    enum err_code rc = start_parts(w, err);
    struct door_options door = {opt->listen, w->limit, w->opt.max_connections, door_count,
                                door_evict, door_take, door_refused, tick, w};
    if (!rc)
        rc = door_listen(&door, &w->door, err);
    if (!rc) {
        note_names(w);
        rc = check_exposure(w, err);
    }
    if (!rc)
        rc = start_daemon(w, err);
    if (!rc)
        rc = door_open(w->door, err);
    if (rc)
        web_stop(w);
    else
        *out = w;
    return rc;
}

const char *web_url(const struct web *w)
{
    return w->url;
}

/* A moment, 1 s at most, for requests that are being read, run or answered. */
static void let_finish(struct web *w)
{
    for (int i = 0; i < 100 && atomic_load(&w->in_flight) > 0; i++)
        usleep(10000);
}

/* Nothing new comes in; what runs sees its stop; a request that is half read
 * still gets its answer; the pools end when all have answered, so that no
 * connection is suspended any more; the answers get a moment to leave. */
void web_stop(struct web *w)
{
    if (!w)
        return;
    stop_set(&w->stop);
    door_stop(w->door);
    let_finish(w);
    pool_stop(w->waits);
    pool_stop(w->asks);
    pool_stop(w->quick);
    let_finish(w);
    if (w->daemon)
        MHD_stop_daemon(w->daemon);
    door_close(w->door);
    pool_free(w->waits);
    pool_free(w->asks);
    pool_free(w->quick);
    streams_free(w->streams);
    metrics_free(w->metrics);
    reaper_free(w->reaper);
    limit_free(w->limit);
    free(w);
}
