#include "cmd/client.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/http.h"
#include "base/sse.h"

enum { ANSWER_MAX = 256 << 20 };

struct client {
    struct http *http;
    char *url;
    char *key; /* or NULL */
    const struct stop *stop;
};

/* What one exchange needs while it runs. */
struct exchange {
    struct client *client;
    struct buf answer;
    /* of client_events: */
    struct sse sse;
    enum err_code failed; /* why the events ended */
    struct err why;
    bool (*on_event)(void *arg, struct str event, const json_t *data);
    void *arg;
};

enum err_code client_open(const char *url, const char *key, const struct stop *stop,
                          struct client **out, struct err *err)
{
    struct str u = str_of(url);
    while (str_ends(u, STR("/")))
        u.len--;
    if (!str_starts(u, STR("http://")) && !str_starts(u, STR("https://")))
        return err_set(err, ERR_ARG, "server \"%s\": want http://HOST:PORT", url);
    struct client *c = calloc(1, sizeof(*c));
    if (c) {
        c->url = str_dup(u);
        c->key = key ? str_dup(str_of(key)) : NULL;
        c->stop = stop;
    }
    if (!c || !c->url || (key && !c->key) || http_new(&c->http, err)) {
        client_close(c);
        return err_set(err, ERR_NOMEM, "a client of %s", url);
    }
    *out = c;
    return OK;
}

void client_close(struct client *c)
{
    if (!c)
        return;
    http_free(c->http);
    free(c->url);
    free(c->key);
    free(c);
}

const char *client_url(const struct client *c)
{
    return c->url;
}

bool client_denied(const struct client *c)
{
    int status = http_status(c->http);
    return status == 401 || status == 403;
}

static bool take_answer(void *arg, struct str bytes)
{
    struct exchange *x = arg;
    buf_str(&x->answer, bytes);
    return !x->answer.failed;
}

static enum err_code code_of_status(int status)
{
    switch (status) {
    case 400:
    case 401:
    case 403:
    case 405:
    case 422:
        return ERR_ARG;
    case 404:
        return ERR_NOTFOUND;
    case 409:
        return ERR_ARG; /* but for "incompatible", see answer_error */
    case 411:
    case 413:
    case 507:
        return ERR_LIMIT;
    case 415:
        return ERR_FORMAT;
    case 429:
    case 503:
        return ERR_BUSY;
    default:
        return ERR_IO;
    }
}

/* The server's own sentence, where its answer has one. */
static enum err_code answer_error(struct exchange *x, struct err *err)
{
    int status = http_status(x->client->http);
    enum err_code code = code_of_status(status);
    json_t *v = NULL;
    const char *said = NULL, *word = NULL;
    if (json_read(buf_view(&x->answer), &v, NULL) == OK) {
        const json_t *e = json_object_get(v, "error");
        said = json_string_value(json_object_get(e, "message"));
        word = json_string_value(json_object_get(e, "code"));
    }
    if (word && strcmp(word, "incompatible") == 0)
        code = ERR_INCOMPATIBLE;
    if (status == 401)
        err_set(err, code,
                "%s wants a key: give --key-file FILE or set CARREL_KEY_FILE "
                "(carrel key add NAME makes one)",
                x->client->url);
    else
        err_set(err, code, "%s", said ? said : "the server gave no reason");
    if (!said && status != 401)
        err_wrap(err, code, "%s answered %d", x->client->url, status);
    json_decref(v);
    return code;
}

static enum err_code transfer_error(struct exchange *x, enum err_code rc, struct err *err)
{
    struct client *c = x->client;
    if (x->failed)
        return err_set(err, x->failed, "%s", x->why.msg);
    if (x->answer.failed)
        return buf_ok(&x->answer, "an answer", err);
    if (http_fault(c->http) == HTTP_UNREACHED)
        return err_set(err, ERR_IO, "no carrel answers at %s; is `carrel serve` running?", c->url);
    return rc;
}

/* Send `r` to `path` and wait for the answer. */
static enum err_code perform(struct exchange *x, const char *path, struct http_request *r,
                             struct err *err)
{
    struct client *c = x->client;
    char *url = NULL;
    if (asprintf(&url, "%s%s", c->url, path) < 0)
        return err_set(err, ERR_NOMEM, "a request");
    r->url = url;
    r->key = c->key;
    r->stop = c->stop;
    r->arg = x;
    r->on_bytes = r->on_bytes ? r->on_bytes : take_answer;
    enum err_code rc = http_send(c->http, r, err);
    free(url);
    if (rc)
        return transfer_error(x, rc, err);
    return http_status(c->http) / 100 == 2 ? OK : answer_error(x, err);
}

static enum err_code finish_json(struct exchange *x, enum err_code rc, json_t **out,
                                 struct err *err)
{
    *out = NULL;
    if (!rc && x->answer.len)
        rc = json_read(buf_view(&x->answer), out, err);
    buf_free(&x->answer);
    return rc;
}

enum err_code client_call(struct client *c, const char *method, const char *path,
                          const json_t *body, json_t **out, struct err *err)
{
    static const char *const bare[] = {"Accept: application/json", NULL};
    static const char *const with_body[] = {"Accept: application/json",
                                            "Content-Type: application/json", NULL};
    struct exchange x = {.client = c};
    struct buf sent = {0};
    struct http_request r = {
        .method = method, .headers = body ? with_body : bare, .max_bytes = ANSWER_MAX};
    if (body) {
        json_write(&sent, body);
        r.body = buf_view(&sent);
    }
    enum err_code rc = buf_ok(&sent, "a request", err);
    if (!rc)
        rc = perform(&x, path, &r, err);
    rc = finish_json(&x, rc, out, err);
    buf_free(&sent);
    return rc;
}

enum err_code client_get(struct client *c, const char *path, size_t max, struct buf *out,
                         struct err *err)
{
    struct exchange x = {.client = c};
    struct http_request r = {.max_bytes = (int64_t)max};
    enum err_code rc = perform(&x, path, &r, err);
    if (!rc) {
        buf_str(out, buf_view(&x.answer));
        rc = buf_ok(out, path, err);
    }
    buf_free(&x.answer);
    return rc;
}

enum err_code client_upload(struct client *c, const char *path, const char *path_on_disk,
                            json_t **out, struct err *err)
{
    static const char *const headers[] = {"Accept: application/json",
                                          "Content-Type: application/octet-stream", NULL};
    struct exchange x = {.client = c};
    struct stat st;
    FILE *f = fopen(path_on_disk, "rbe");
    if (!f || fstat(fileno(f), &st) != 0) {
        enum err_code rc = err_errno(err, "%s", path_on_disk);
        if (f)
            fclose(f);
        return rc;
    }
    struct http_request r = {
        .headers = headers, .file = f, .file_bytes = st.st_size, .max_bytes = ANSWER_MAX};
    enum err_code rc = perform(&x, path, &r, err);
    fclose(f);
    return finish_json(&x, rc, out, err);
}

static bool give_event(void *arg, struct str event, struct str data)
{
    struct exchange *x = arg;
    json_t *v = NULL;
    bool more = json_read(data, &v, NULL) != OK || x->on_event(x->arg, event, v);
    json_decref(v);
    return more;
}

static bool take_events(void *arg, struct str bytes)
{
    struct exchange *x = arg;
    if (http_status(x->client->http) / 100 != 2)
        return take_answer(x, bytes); /* an error: kept whole for its message */
    x->failed = sse_feed(&x->sse, bytes, give_event, x, &x->why);
    return !x->failed;
}

enum err_code client_events(struct client *c, const char *path, const json_t *body,
                            bool (*on_event)(void *arg, struct str event, const json_t *data),
                            void *arg, struct err *err)
{
    static const char *const headers[] = {"Accept: text/event-stream",
                                          "Content-Type: application/json", NULL};
    struct exchange x = {
        .client = c, .answer = {.max = ANSWER_MAX}, .on_event = on_event, .arg = arg};
    struct buf sent = {0};
    json_write(&sent, body);
    sse_init(&x.sse, ANSWER_MAX);
    struct http_request r = {.headers = headers, .body = buf_view(&sent), .on_bytes = take_events};
    enum err_code rc = buf_ok(&sent, "a request", err);
    if (!rc)
        rc = perform(&x, path, &r, err);
    sse_deinit(&x.sse);
    buf_free(&x.answer);
    buf_free(&sent);
    return rc;
}
