#include "cmd/client.h"
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { ANSWER_MAX = 256 << 20, CONNECT_MS = 5000 };

struct client {
    CURL *curl;
    char *url;
    char *bearer; /* header line, or NULL */
    const struct stop *stop;
    long status; /* of the last answer, 0 when there was none */
    char reason[CURL_ERROR_SIZE];
};

/* What one exchange needs while it runs. */
struct exchange {
    struct client *client;
    struct buf answer;
    /* of client_events: */
    bool (*on_event)(void *arg, struct str event, const json_t *data);
    void *arg;
    bool left;
};

static bool is_loopback(const char *url)
{
    struct str u = str_of(url);
    return str_starts(u, STR("http://127.")) || str_starts(u, STR("http://localhost")) ||
           str_starts(u, STR("http://[::1]"));
}

enum err_code client_open(const char *url, const char *key, const struct stop *stop,
                          struct client **out, struct err *err)
{
    struct str u = str_of(url);
    while (str_ends(u, STR("/")))
        u.len--;
    if (!str_starts(u, STR("http://")) && !str_starts(u, STR("https://")))
        return err_set(err, ERR_ARG, "server \"%s\": want http://HOST:PORT", url);
    struct client *c = calloc(1, sizeof(*c));
    if (c && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        c->curl = curl_easy_init();
    if (c)
        c->url = str_dup(u);
    if (!c || !c->curl || !c->url) {
        client_close(c);
        return err_set(err, ERR_NOMEM, "a client of %s", url);
    }
    if (key && asprintf(&c->bearer, "Authorization: Bearer %s", key) < 0) {
        c->bearer = NULL;
        client_close(c);
        return err_set(err, ERR_NOMEM, "a client of %s", url);
    }
    c->stop = stop;
    *out = c;
    return OK;
}

void client_close(struct client *c)
{
    if (!c)
        return;
    if (c->curl)
        curl_easy_cleanup(c->curl);
    free(c->url);
    free(c->bearer);
    free(c);
}

const char *client_url(const struct client *c)
{
    return c->url;
}

bool client_denied(const struct client *c)
{
    return c->status == 401 || c->status == 403;
}

static size_t take_answer(char *bytes, size_t one, size_t n, void *arg)
{
    struct exchange *x = arg;
    buf_add(&x->answer, bytes, one * n);
    return x->answer.failed ? 0 : one * n;
}

static int watch_stop(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct exchange *x = arg;
    (void)a, (void)b, (void)c, (void)d;
    return stop_asked(x->client->stop);
}

static enum err_code code_of_status(long status)
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
    long status = x->client->status;
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
        err_wrap(err, code, "%s answered %ld", x->client->url, status);
    json_decref(v);
    return code;
}

static enum err_code transfer_error(struct exchange *x, CURLcode rc, struct err *err)
{
    struct client *c = x->client;
    if (rc == CURLE_ABORTED_BY_CALLBACK || x->left)
        return err_set(err, ERR_CANCELLED, "stopped");
    if (rc == CURLE_WRITE_ERROR)
        return err_set(err, ERR_LIMIT, "the answer of %s is larger than %zu bytes", c->url,
                       x->answer.max);
    if (rc == CURLE_COULDNT_CONNECT)
        return err_set(err, ERR_IO, "no carrel answers at %s; is `carrel serve` running?", c->url);
    return err_set(err, ERR_IO, "%s: %s", c->url, *c->reason ? c->reason : curl_easy_strerror(rc));
}

/* Perform what has been set up on c->curl. */
static enum err_code perform(struct exchange *x, const char *path, struct curl_slist *headers,
                             struct err *err)
{
    struct client *c = x->client;
    char *url = NULL;
    if (asprintf(&url, "%s%s", c->url, path) < 0)
        return err_set(err, ERR_NOMEM, "a request");
    if (c->bearer)
        headers = curl_slist_append(headers, c->bearer);
    headers = curl_slist_append(headers, "Expect:");
    c->status = 0;
    c->reason[0] = 0;
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->reason);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(c->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c->curl, CURLOPT_XFERINFOFUNCTION, watch_stop);
    curl_easy_setopt(c->curl, CURLOPT_XFERINFODATA, x);
    if (is_loopback(c->url))
        curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
    CURLcode rc = curl_easy_perform(c->curl);
    if (rc == CURLE_OK)
        curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &c->status);
    curl_slist_free_all(headers);
    free(url);
    curl_easy_reset(c->curl);
    if (rc != CURLE_OK)
        return transfer_error(x, rc, err);
    return c->status / 100 == 2 ? OK : answer_error(x, err);
}

static void collect_answer(struct exchange *x, struct client *c, size_t max)
{
    *x = (struct exchange){.client = c, .answer = {.max = max}};
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, x);
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
    struct exchange x;
    struct buf sent = {0};
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
    collect_answer(&x, c, ANSWER_MAX);
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
    if (body) {
        json_write(&sent, body);
        headers = curl_slist_append(headers, "Content-Type: application/json");
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, sent.ptr);
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)sent.len);
    }
    enum err_code rc = perform(&x, path, headers, err);
    rc = finish_json(&x, rc, out, err);
    buf_free(&sent);
    return rc;
}

enum err_code client_get(struct client *c, const char *path, size_t max, struct buf *out,
                         struct err *err)
{
    struct exchange x;
    collect_answer(&x, c, max);
    enum err_code rc = perform(&x, path, NULL, err);
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
    struct exchange x;
    struct stat st;
    FILE *f = fopen(path_on_disk, "rbe");
    if (!f || fstat(fileno(f), &st) != 0) {
        enum err_code rc = err_errno(err, "%s", path_on_disk);
        if (f)
            fclose(f);
        return rc;
    }
    collect_answer(&x, c, ANSWER_MAX);
    curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
    curl_easy_setopt(c->curl, CURLOPT_READDATA, f);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)st.st_size);
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
    headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
    enum err_code rc = perform(&x, path, headers, err);
    fclose(f);
    return finish_json(&x, rc, out, err);
}

/* One "event: ...\ndata: ..." block. */
static void give_event(struct exchange *x, struct str block)
{
    struct str event = STR("message"), line;
    struct buf data = {0};
    json_t *v = NULL;
    while (str_split(&block, '\n', &line)) {
        line = str_trim(line);
        if (str_starts(line, STR("event:")))
            event = str_trim(str_sub(line, 6, line.len));
        else if (str_starts(line, STR("data:")))
            buf_str(&data, str_trim(str_sub(line, 5, line.len)));
    }
    if (data.len && json_read(buf_view(&data), &v, NULL) == OK && !x->on_event(x->arg, event, v))
        x->left = true;
    json_decref(v);
    buf_free(&data);
}

static size_t take_events(char *bytes, size_t one, size_t n, void *arg)
{
    struct exchange *x = arg;
    long status = 0;
    buf_add(&x->answer, bytes, one * n);
    curl_easy_getinfo(x->client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 != 2)
        return x->answer.failed ? 0 : one * n; /* an error: kept whole for its message */
    size_t done = 0, end;
    while (!x->left && (end = str_find(buf_view(&x->answer), STR("\n\n"), done)) != SIZE_MAX) {
        give_event(x, str_sub(buf_view(&x->answer), done, end));
        done = end + 2;
    }
    if (done) {
        memmove(x->answer.ptr, x->answer.ptr + done, x->answer.len - done);
        x->answer.len -= done;
        x->answer.ptr[x->answer.len] = 0;
    }
    return x->left || x->answer.failed ? 0 : one * n;
}

enum err_code client_events(struct client *c, const char *path, const json_t *body,
                            bool (*on_event)(void *arg, struct str event, const json_t *data),
                            void *arg, struct err *err)
{
    struct exchange x;
    struct buf sent = {0};
    json_write(&sent, body);
    collect_answer(&x, c, ANSWER_MAX);
    x.on_event = on_event;
    x.arg = arg;
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: text/event-stream");
    headers = curl_slist_append(headers, "Content-Type: application/json");
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take_events);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, sent.ptr);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)sent.len);
    enum err_code rc = perform(&x, path, headers, err);
    buf_free(&x.answer);
    buf_free(&sent);
    return rc;
}
