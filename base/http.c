#include "base/http.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"

enum { CONNECT_MS = 5000, LOOK_MS = 100 };

struct http {
    CURL *easy;
    CURLM *multi; /* keeps the connections */
    const struct http_request *request;
    struct buf headers; /* of the answer that is coming, lines as they came */
    struct buf first;   /* of the first answer of a chain of redirects */
    int64_t received;
    double last_ms;   /* when a byte last moved */
    curl_off_t moved; /* bytes both ways at last_ms */
    int status;
    enum http_fault fault;
    bool left, too_large;
    char reason[CURL_ERROR_SIZE];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool ready;

static void set_up(void)
{
    ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

enum err_code http_new(struct http **out, struct err *err)
{
    pthread_once(&once, set_up);
    struct http *h = ready ? calloc(1, sizeof(*h)) : NULL;
    if (h) {
        h->easy = curl_easy_init();
        h->multi = curl_multi_init();
        h->headers.max = HTTP_HEADER_BYTES_MAX;
    }
    if (!h || !h->easy || !h->multi) {
        http_free(h);
        return err_set(err, ERR_NOMEM, "an HTTP client");
    }
    *out = h;
    return OK;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    if (h->easy)
        curl_easy_cleanup(h->easy);
    if (h->multi)
        curl_multi_cleanup(h->multi);
    buf_free(&h->headers);
    buf_free(&h->first);
    free(h);
}

/* ---- addresses ---- */

static bool is_loopback(const char *host)
{
    struct in_addr four;
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 == 127);
}

static enum err_code read_address(CURLU *u, const char *url, struct http_address *out,
                                  struct err *err)
{
    char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL, *password = NULL;
    enum err_code rc = OK;
    int64_t number = 0;
    if (curl_url_set(u, CURLUPART_URL, url, 0) || curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) ||
        curl_url_get(u, CURLUPART_HOST, &host, 0) ||
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ||
        (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) ||
        strlen(host) >= sizeof(out->host) || !str_int(str_of(port), 1, 65535, &number))
        rc = err_set(err, ERR_ARG, "address \"%.120s\": want https://HOST/... or http://HOST/...",
                     url);
    curl_url_get(u, CURLUPART_USER, &user, 0);
    curl_url_get(u, CURLUPART_PASSWORD, &password, 0);
    if (!rc && (user || password))
        rc = err_set(err, ERR_ARG,
                     "the address of %s holds a user or a password: a key belongs "
                     "in a file",
                     host);
    if (!rc) {
        *out = (struct http_address){.port = (int)number};
        memcpy(out->host, host, strlen(host) + 1);
        out->https = strcmp(scheme, "https") == 0;
        out->loopback = is_loopback(host);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(user);
    curl_free(password);
    return rc;
}

enum err_code http_address(const char *url, struct http_address *out, struct err *err)
{
    CURLU *u = curl_url();
    if (!u)
        return err_set(err, ERR_NOMEM, "an address");
    enum err_code rc = read_address(u, url, out, err);
    curl_url_cleanup(u);
    return rc;
}

static bool same_origin(const struct http_address *a, const struct http_address *b)
{
    return a->https == b->https && a->port == b->port && str_ieq(str_of(a->host), str_of(b->host));
}

/* ---- what libcurl calls ---- */

/* 301, 302, 303, 307, 308: says "look elsewhere". */
static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static size_t take_header(char *bytes, size_t one, size_t n, void *arg)
{
    struct http *h = arg;
    struct str line = {bytes, one * n};
    long status = 0;
    if (str_starts(line, STR("HTTP/")))
        buf_reset(&h->headers); /* 100 Continue, or a proxy's answer, came before */
    buf_str(&h->headers, line);
    h->too_large |= h->headers.failed;
    curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
    h->status = (int)status;
    return h->headers.failed ? 0 : line.len;
}

static size_t take_bytes(char *bytes, size_t one, size_t n, void *arg)
{
    struct http *h = arg;
    const struct http_request *r = h->request;
    size_t size = one * n;
    if (is_redirect(h->status) && r->redirects > 0)
        return size;
    h->received += (int64_t)size;
    if (r->max_bytes && h->received > r->max_bytes) {
        h->too_large = true;
        return 0;
    }
    h->left = r->on_bytes && !r->on_bytes(r->arg, (struct str){bytes, size});
    return h->left ? 0 : size;
}

static size_t give_file(char *to, size_t one, size_t n, void *arg)
{
    const struct http *h = arg;
    size_t got = fread(to, one, n, h->request->file);
    return ferror(h->request->file) ? CURL_READFUNC_ABORT : got;
}

static int watch(void *arg, curl_off_t total_down, curl_off_t down, curl_off_t total_up,
                 curl_off_t up)
{
    struct http *h = arg;
    (void)total_down, (void)total_up;
    if (down + up != h->moved) {
        h->moved = down + up;
        h->last_ms = clock_ms();
    }
    return stop_asked(h->request->stop);
}

/* ---- one request ---- */

static void set_body(struct http *h, const struct http_request *r)
{
    CURL *e = h->easy;
    if (r->body.ptr) {
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, r->body.ptr);
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
    } else if (r->file) {
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_READFUNCTION, give_file);
        curl_easy_setopt(e, CURLOPT_READDATA, h);
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->file_bytes);
    }
    if (r->method)
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->method);
}

static bool add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer)
        *list = longer;
    return longer;
}

/* The request's lines, and the key where it may go. */
static bool make_headers(const struct http_request *r, bool with_key, struct curl_slist **list)
{
    bool ok = add_header(list, "Expect:"); /* do not wait for "100 Continue" */
    for (int i = 0; ok && r->headers && r->headers[i] && i < HTTP_HEADERS_MAX; i++)
        ok = add_header(list, r->headers[i]);
    if (!ok || !r->key || !with_key)
        return ok;
    char *line = NULL;
    if (asprintf(&line, "Authorization: Bearer %s", r->key) < 0)
        return false;
    ok = add_header(list, line);
    free(line);
    return ok;
}

static void set_options(struct http *h, const struct http_request *r, const char *url,
                        const struct http_address *to)
{
    CURL *e = h->easy;
    curl_easy_reset(e);
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_USERAGENT, "carrel");
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, h->reason);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(r->connect_ms ? r->connect_ms : CONNECT_MS));
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, h);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, h);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, watch);
    curl_easy_setopt(e, CURLOPT_XFERINFODATA, h);
    if (to->loopback)
        curl_easy_setopt(e, CURLOPT_PROXY, "");
    if (r->ca_file) /* the folder of the system's stays */
        curl_easy_setopt(e, CURLOPT_CAINFO, r->ca_file);
    set_body(h, r);
}

/* Move bytes until it is done; *result is libcurl's word on the transfer. */
static void drive(struct http *h, CURLcode *result)
{
    int running = 1, left;
    CURLMcode rc = CURLM_OK;
    h->last_ms = clock_ms();
    h->moved = 0;
    *result = CURLE_OK;
    while (rc == CURLM_OK && running) {
        rc = curl_multi_perform(h->multi, &running);
        if (rc != CURLM_OK || !running)
            break;
        double idle = clock_ms() - h->last_ms;
        int wait = LOOK_MS;
        if (stop_asked(h->request->stop)) {
            *result = CURLE_ABORTED_BY_CALLBACK;
            return;
        }
        if (h->request->idle_ms && idle >= h->request->idle_ms) {
            *result = CURLE_OPERATION_TIMEDOUT;
            snprintf(h->reason, sizeof(h->reason), "no byte came for %d ms", h->request->idle_ms);
            return;
        }
        if (h->request->idle_ms && h->request->idle_ms - idle < wait)
            wait = (int)(h->request->idle_ms - idle) + 1;
        rc = curl_multi_poll(h->multi, NULL, 0, wait, NULL);
    }
    if (rc != CURLM_OK)
        *result = CURLE_OUT_OF_MEMORY;
    for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &left));)
        if (m->msg == CURLMSG_DONE)
            *result = m->data.result;
}

static enum http_fault fault_of(CURLcode rc)
{
    switch (rc) {
    case CURLE_OK:
        return HTTP_FINE;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return HTTP_NO_HOST;
    case CURLE_COULDNT_CONNECT:
        return HTTP_UNREACHED;
    case CURLE_OPERATION_TIMEDOUT:
        return HTTP_SILENT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return HTTP_UNTRUSTED;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_URL_MALFORMAT:
    case CURLE_READ_ERROR:
        return HTTP_OTHER;
    default:
        return HTTP_BROKEN;
    }
}

static enum err_code tell(struct http *h, CURLcode rc, const struct http_address *to,
                          struct err *err)
{
    if (h->left || rc == CURLE_ABORTED_BY_CALLBACK) {
        h->fault = h->too_large ? HTTP_OTHER : HTTP_STOPPED;
        return err_set(err, ERR_CANCELLED, "stopped");
    }
    if (h->too_large) {
        h->fault = HTTP_OTHER;
        return err_set(err, ERR_LIMIT, "the answer of %s is larger than %lld bytes", to->host,
                       h->headers.failed ? (long long)HTTP_HEADER_BYTES_MAX
                                         : (long long)h->request->max_bytes);
    }
    h->fault = fault_of(rc);
    const char *why = *h->reason ? h->reason : curl_easy_strerror(rc);
    if (h->fault == HTTP_UNTRUSTED)
        return err_set(err, ERR_IO, "the certificate of %s is not trusted: %.120s", to->host, why);
    return rc ? err_set(err, rc == CURLE_OUT_OF_MEMORY ? ERR_NOMEM : ERR_IO, "%s: %.160s", to->host,
                        why)
              : OK;
}

static enum err_code send_once(struct http *h, const struct http_request *r, const char *url,
                               const struct http_address *to, bool with_key, struct err *err)
{
    struct curl_slist *headers = NULL;
    CURLcode result = CURLE_OUT_OF_MEMORY;
    h->status = 0;
    h->reason[0] = 0;
    h->received = 0;
    buf_reset(&h->headers);
    set_options(h, r, url, to);
    if (make_headers(r, with_key, &headers)) {
        curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, headers);
        if (curl_multi_add_handle(h->multi, h->easy) == CURLM_OK)
            drive(h, &result);
        curl_multi_remove_handle(h->multi, h->easy);
    }
    curl_slist_free_all(headers);
    return tell(h, result, to, err);
}

enum err_code http_check_step(const struct http_address *at, const struct http_address *to,
                              struct err *err)
{
    if (!to->https && (at->https || !to->loopback))
        return err_set(err, ERR_IO, "%s redirects to %s without TLS: not followed", at->host,
                       to->host);
    if (!at->loopback && to->loopback)
        return err_set(err, ERR_IO, "%s redirects to this machine itself (%s): not followed",
                       at->host, to->host);
    return OK;
}

/* Where the answer sends us: *url is replaced (curl_free). Nowhere: false and OK. */
static bool next_hop(struct http *h, struct http_address *at, char **url, int hop,
                     enum err_code *rc, struct err *err)
{
    const char *found = NULL;
    struct http_address to;
    if (!is_redirect(h->status) || h->request->redirects < 1 || h->request->body.ptr ||
        h->request->file)
        return false;
    curl_easy_getinfo(h->easy, CURLINFO_REDIRECT_URL, &found);
    if (!found)
        *rc = err_set(err, ERR_IO, "%s redirects without saying where", at->host);
    else if (hop >= h->request->redirects)
        *rc = err_set(err, ERR_IO, "more than %d redirects, the last one at %s",
                      h->request->redirects, at->host);
    else
        *rc = http_address(found, &to, err) ? ERR_IO : http_check_step(at, &to, err);
    char *copy = *rc ? NULL : str_dup(str_of(found));
    if (*rc || !copy) {
        h->fault = HTTP_REDIRECTED;
        *rc = *rc ? *rc : err_set(err, ERR_NOMEM, "a redirect");
        return false;
    }
    free(*url);
    *url = copy;
    *at = to;
    return true;
}

enum err_code http_send(struct http *h, const struct http_request *r, struct err *err)
{
    struct http_address origin, at;
    h->request = r;
    h->status = 0;
    h->fault = HTTP_OTHER;
    h->left = h->too_large = false;
    buf_reset(&h->first);
    enum err_code rc = http_address(r->url, &origin, err);
    if (!rc && r->ca_file && access(r->ca_file, R_OK) != 0)
        rc = err_errno(err, "%s", r->ca_file);
    if (rc)
        return rc;
    char *url = str_dup(str_of(r->url));
    if (!url)
        return err_set(err, ERR_NOMEM, "a request");
    at = origin;
    for (int hop = 0;; hop++) {
        rc = send_once(h, r, url, &at, same_origin(&origin, &at), err);
        if (hop == 0)
            buf_str(&h->first, buf_view(&h->headers));
        if (rc || !next_hop(h, &at, &url, hop, &rc, err))
            break;
    }
    free(url);
    h->request = NULL;
    return rc;
}

/* ---- what was answered ---- */

int http_status(const struct http *h)
{
    return h->status;
}

enum http_fault http_fault(const struct http *h)
{
    return h->fault;
}

int64_t http_received(const struct http *h)
{
    return h->received;
}

static struct str header_in(const struct buf *headers, const char *name)
{
    struct str rest = buf_view(headers), line;
    while (str_split(&rest, '\n', &line)) {
        size_t colon = str_find(line, STR(":"), 0);
        if (colon != SIZE_MAX && str_ieq(str_sub(line, 0, colon), str_of(name)))
            return str_trim(str_sub(line, colon + 1, line.len));
    }
    return STR("");
}

struct str http_header(const struct http *h, const char *name)
{
    return header_in(&h->headers, name);
}

struct str http_first_header(const struct http *h, const char *name)
{
    return header_in(&h->first, name);
}

int64_t http_retry_after_ms(const struct http *h, int64_t now_ms)
{
    int64_t n;
    if (str_int(http_header(h, "retry-after-ms"), 0, INT32_MAX, &n))
        return n;
    struct str when = http_header(h, "retry-after");
    if (str_int(when, 0, INT32_MAX, &n))
        return n * 1000;
    char text[64];
    if (when.len == 0 || when.len >= sizeof(text))
        return -1;
    memcpy(text, when.ptr, when.len);
    text[when.len] = 0;
    time_t t = curl_getdate(text, NULL);
    if (t == -1)
        return -1;
    n = (int64_t)t * 1000 - now_ms;
    return n > 0 ? n : 0;
}
