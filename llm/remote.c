#include "llm/remote_int.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/rng.h"

enum { TIMEOUT_MS = 60000, CONNECT_MAX_MS = 10000, ATTEMPTS = 3, KEY_FILE_MAX = 4096 };
enum { KEY_PART_MIN = 4 }; /* bytes of a key that are too many to tell */
enum { WAIT_FIRST_MS = 500, WAIT_MAX_MS = 8000, ASKED_WAIT_MAX_MS = 30000, SLICE_MS = 20 };

/* ---- opening ---- */

/* The first line, visible ASCII only: nothing that could end a header. */
static enum err_code read_key(const char *path, char **out, struct err *err)
{
    struct buf text = {0};
    struct err why;
    struct str rest, line = STR("");
    enum err_code rc = file_read(path, KEY_FILE_MAX, &text, &why);
    if (rc) {
        buf_free(&text);
        return err_set(err, ERR_ARG, "key file %s", why.msg);
    }
    rest = buf_view(&text);
    str_split(&rest, '\n', &line);
    line = str_trim(line);
    bool good = line.len > 0;
    for (size_t i = 0; i < line.len; i++)
        good = good && line.ptr[i] > 0x20 && line.ptr[i] < 0x7f;
    if (!good)
        rc = err_set(err, ERR_ARG, "key file %s: its first line is no key", path);
    else if (!(*out = str_dup(line)))
        rc = err_set(err, ERR_NOMEM, "a key");
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    buf_free(&text);
    return rc;
}

static enum err_code set_texts(struct remote *r, const struct llm_remote_options *opt,
                               const struct http_address *at, struct err *err)
{
    struct str url = str_of(opt->url);
    while (str_ends(url, STR("/")))
        url.len--;
    r->url = str_dup(url);
    r->model = str_dup(str_of(opt->model));
    r->name = str_dup(str_of(opt->name && *opt->name ? opt->name : at->host));
    r->ca_file = opt->ca_file ? str_dup(str_of(opt->ca_file)) : NULL;
    if (!r->url || !r->model || !r->name || (opt->ca_file && !r->ca_file))
        return err_set(err, ERR_NOMEM, "a remote generator");
    return opt->key_file && *opt->key_file ? read_key(opt->key_file, &r->key, err) : OK;
}

enum err_code remote_open(const struct llm_remote_options *opt, struct remote **out,
                          struct err *err)
{
    struct http_address at;
    if (!opt->url || !opt->model || !*opt->model)
        return err_set(err, ERR_ARG, "a remote generator needs a url and a model");
    enum err_code rc = http_address(opt->url, &at, err);
    if (rc)
        return rc;
    if (strpbrk(opt->url, "?#"))
        return err_set(err, ERR_ARG, "remote url \"%.120s\": want no ? and no #", opt->url);
    struct remote *r = calloc(1, sizeof(*r));
    if (!r)
        return err_set(err, ERR_NOMEM, "a remote generator");
    pthread_mutex_init(&r->lock, NULL);
    r->timeout_ms = opt->timeout_ms ? opt->timeout_ms : TIMEOUT_MS;
    r->attempts = opt->attempts ? opt->attempts : ATTEMPTS;
    rc = set_texts(r, opt, &at, err);
    if (rc) {
        remote_close(r);
        return rc;
    }
    if (r->key && !at.https && !at.loopback)
        log_warn("llm.remote", "name=%s msg=\"its key travels without TLS\"", r->name);
    *out = r;
    return OK;
}

void remote_close(struct remote *r)
{
    if (!r)
        return;
    for (int i = 0; i < r->n_idle; i++)
        http_free(r->idle[i]);
    pthread_mutex_destroy(&r->lock);
    if (r->key)
        explicit_bzero(r->key, strlen(r->key));
    free(r->key);
    free(r->name);
    free(r->url);
    free(r->model);
    free(r->ca_file);
    free(r);
}

const char *remote_name(const struct remote *r)
{
    return r->name;
}

/* ---- connections ---- */

static enum err_code take_http(struct remote *r, struct http **out, struct err *err)
{
    *out = NULL;
    pthread_mutex_lock(&r->lock);
    if (r->n_idle)
        *out = r->idle[--r->n_idle];
    pthread_mutex_unlock(&r->lock);
    return *out ? OK : http_new(out, err);
}

static void give_http(struct remote *r, struct http *h)
{
    pthread_mutex_lock(&r->lock);
    if (r->n_idle < REMOTE_IDLE_MAX) {
        r->idle[r->n_idle++] = h;
        h = NULL;
    }
    pthread_mutex_unlock(&r->lock);
    http_free(h);
}

/* ---- what an attempt came to ---- */

struct attempt {
    enum err_code rc;
    struct err why;
    int status;
    bool again;      /* another one may go better */
    int64_t wait_ms; /* as the server asks; -1: it does not */
    double begun_ms;
};

static bool may_try_again(int status)
{
    return status == 408 || status == 429 || status >= 500;
}

static enum err_code code_of_status(int status, struct str word)
{
    if (status == 429)
        return ERR_BUSY;
    if (status == 413 || str_eqz(word, "context_length_exceeded"))
        return ERR_LIMIT;
    return status == 400 || status == 422 ? ERR_ARG : ERR_IO;
}

/* No 2xx: the sentence. */
static void judge_status(struct remote *r, const struct remote_answer *a, struct attempt *t)
{
    json_t *v = NULL;
    struct str word, said = remote_error_text(&a->body, &v, &word);
    if (t->status == 401 || t->status == 403)
        t->rc = err_set(&t->why, ERR_IO, "%s refuses the key (%d): see its key_file", r->name,
                        t->status);
    else
        t->rc = err_set(&t->why, code_of_status(t->status, word), "%s answered %d%s%.*s", r->name,
                        t->status, said.len ? ": " : "", (int)(said.len < 160 ? said.len : 160),
                        said.len ? said.ptr : "");
    t->again = may_try_again(t->status) && !str_eqz(word, "insufficient_quota");
    struct str wish = http_header(a->http, "x-should-retry");
    if (str_ieq(wish, STR("true")) || str_ieq(wish, STR("false")))
        t->again = str_ieq(wish, STR("true"));
    /* Newer OpenAI models refuse the old word by name; ask again with theirs. */
    if (t->status == 400 && str_find(said, STR("max_completion_tokens"), 0) != SIZE_MAX &&
        !atomic_exchange(&r->new_limit_word, true)) {
        t->again = true;
        t->wait_ms = 0;
    }
    json_decref(v);
}

static void judge(struct remote *r, struct remote_answer *a, enum err_code sent, struct attempt *t)
{
    enum http_fault fault = http_fault(a->http);
    bool lost = fault == HTTP_NO_HOST || fault == HTTP_UNREACHED || fault == HTTP_BROKEN;
    t->status = http_status(a->http);
    /* Behind [DONE] nothing counts: neither more bytes nor silence. */
    if (a->done && !a->failed && t->status / 100 == 2 &&
        (fault == HTTP_STOPPED || fault == HTTP_SILENT))
        sent = OK;
    t->wait_ms = http_retry_after_ms(a->http, clock_now_ms());
    if (sent == ERR_CANCELLED && !a->failed && fault == HTTP_STOPPED && !a->body.failed) {
        t->rc = err_set(&t->why, ERR_CANCELLED, "stopped");
        return;
    }
    if (t->status && t->status / 100 != 2) {
        judge_status(r, a, t);
        return;
    }
    if (a->body.failed)
        t->rc = err_set(&t->why, ERR_IO, "%s answers more than %d bytes", r->name,
                        REMOTE_ANSWER_MAX);
    else if (sent && !a->failed && !(lost && a->finished)) {
        /* ERR_LIMIT is for a prompt that is too long, which this is not. */
        t->rc = err_wrap(&t->why, sent == ERR_LIMIT ? ERR_IO : sent, "%s", r->name);
        if (fault == HTTP_UNTRUSTED)
            t->rc = err_set(&t->why, ERR_IO, "%.190s (see llm.ca_file)", t->why.msg);
        t->again = lost;
    } else {
        t->rc = remote_answer_end(a, &t->why);
        t->again = t->rc && (a->failed ? may_try_again(a->said_status) : t->rc == ERR_IO);
    }
    t->again = t->again && !a->begun;
}

/* A server that quotes the key back at us must not make us print it. */
static void hide_key(const struct remote *r, char *text)
{
    size_t n = r->key ? strlen(r->key) : 0;
    for (char *at; n && (at = strstr(text, r->key));)
        memset(at, '*', n);
    size_t len = strlen(text);
    for (size_t k = n < len ? n : len; k >= KEY_PART_MIN; k--) /* cut in its middle */
        if (memcmp(text + len - k, r->key, k) == 0)
            memset(text + len - k, '*', k);
}

static const char *log_word(const struct attempt *t)
{
    return t->rc ? err_name(t->rc) : "none";
}

/* Into the log (without the server's words) and into the usage. */
static void note_attempt(const struct remote *r, const struct attempt *t, struct llm_usage *u)
{
    char name[128];
    double ms = clock_ms() - t->begun_ms;
    log_event(t->rc && t->rc != ERR_CANCELLED ? LOG_WARN : LOG_INFO, "llm.attempt",
              "remote=%s status=%d error=%s again=%d ms=%.0f", log_quote(r->name, name, 128),
              t->status, log_word(t), t->again, ms);
    if (u->n_attempts == LLM_ATTEMPTS_MAX)
        u->n_attempts--; /* the last one matters more than the one before */
    struct llm_attempt *to = &u->attempts[u->n_attempts++];
    *to = (struct llm_attempt){.status = t->status, .ms = ms};
    snprintf(to->name, sizeof(to->name), "%s", r->name);
    if (t->rc)
        snprintf(to->error, sizeof(to->error), "%.119s", t->why.msg);
}

/* ---- one attempt, and more ---- */

static enum err_code send_request(struct remote *r, struct remote_answer *a, const char *url,
                                  struct str body, const struct stop *stop, struct err *err)
{
    static const char *const headers[] = {"Content-Type: application/json",
                                          "Accept: text/event-stream, application/json", NULL};
    const struct http_request q = {
        .url = url,
        .headers = headers,
        .key = r->key,
        .ca_file = r->ca_file,
        .body = body,
        .connect_ms = r->timeout_ms < CONNECT_MAX_MS ? r->timeout_ms : CONNECT_MAX_MS,
        .idle_ms = r->timeout_ms,
        .max_bytes = REMOTE_ANSWER_MAX,
        .stop = stop,
        .on_bytes = remote_answer_take,
        .arg = a,
    };
    return http_send(a->http, &q, err);
}

/* The answer's figures; begun_ms is when the first attempt began. */
static void fill_reply(const struct remote *r, const struct remote_answer *a,
                       const struct attempt *t, double begun_ms, struct llm_chat_reply *out)
{
    size_t asked = a->request->prompt.len;
    for (int i = 0; i < a->request->n_messages; i++)
        asked += a->request->messages[i].content.len;
    struct llm_usage *u = &out->usage;
    double now = clock_ms(), first = a->first_ms > 0 ? a->first_ms : now;
    out->finish = a->finish;
    snprintf(out->model, sizeof(out->model), "%s", r->name);
    u->prompt_tokens = a->prompt_tokens >= 0 ? a->prompt_tokens : (int)((asked + 2) / 3);
    u->completion_tokens =
        a->completion_tokens >= 0 ? a->completion_tokens : (int)((a->text_bytes + 2) / 3);
    u->cached_tokens = a->cached_tokens >= 0 ? a->cached_tokens : 0;
    u->wait_ms = t->begun_ms - begun_ms;
    u->prefill_ms = first - t->begun_ms;
    u->decode_ms = now - first;
}

static void try_once(struct remote *r, struct remote_answer *a, const struct stop *stop,
                     struct attempt *t)
{
    struct buf body = {0}, url = {0};
    *t = (struct attempt){.wait_ms = -1, .begun_ms = clock_ms()};
    buf_printf(&url, "%s/%s", r->url, a->request->n_messages ? "chat/completions" : "completions");
    t->rc = remote_ask(r, a->request, &body, &t->why);
    if (!t->rc)
        t->rc = buf_ok(&url, "an address", &t->why);
    if (!t->rc)
        t->rc = take_http(r, &a->http, &t->why);
    if (!t->rc) {
        judge(r, a, send_request(r, a, url.ptr, buf_view(&body), stop, &t->why), t);
        hide_key(r, t->why.msg);
        give_http(r, a->http);
    }
    buf_free(&body);
    buf_free(&url);
}

static int64_t backoff_ms(int attempt)
{
    uint32_t dice;
    int64_t most = WAIT_FIRST_MS << (attempt < 5 ? attempt : 5);
    if (most > WAIT_MAX_MS)
        most = WAIT_MAX_MS;
    rng_secret(&dice, sizeof(dice));
    return most / 2 + (int64_t)dice % (most / 2 + 1); /* so that clients do not come back at once */
}

static enum err_code wait_for(int64_t ms, const struct stop *stop, struct err *err)
{
    const struct timespec slice = {.tv_nsec = SLICE_MS * 1000000L};
    for (double end = clock_ms() + (double)ms; clock_ms() < end && !stop_asked(stop);)
        nanosleep(&slice, NULL);
    return stop_check(stop, err);
}

enum err_code remote_chat(struct remote *r, const struct llm_chat *req,
                          bool (*emit)(void *arg, const struct llm_piece *piece), void *arg,
                          const struct stop *stop, struct llm_chat_reply *out, struct err *err)
{
    double begun_ms = clock_ms();
    for (int i = 0;; i++) {
        struct attempt t;
        struct remote_answer a = {.name = r->name, .request = req, .emit = emit, .arg = arg};
        remote_answer_init(&a);
        try_once(r, &a, stop, &t);
        if (t.wait_ms > ASKED_WAIT_MAX_MS || i + 1 >= r->attempts)
            t.again = false;
        note_attempt(r, &t, &out->usage);
        if (!t.rc)
            fill_reply(r, &a, &t, begun_ms, out);
        remote_answer_deinit(&a);
        if (!t.again)
            return t.rc ? err_set(err, t.rc, "%s", t.why.msg) : OK;
        enum err_code rc = wait_for(t.wait_ms >= 0 ? t.wait_ms : backoff_ms(i), stop, err);
        if (rc)
            return rc;
    }
}
