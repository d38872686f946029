#include "base/clock.h"
#include "base/http.h"
#include "tests/unit/stand_in.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n"

static bool keep(void *arg, struct str bytes)
{
    buf_str(arg, bytes);
    return true;
}

static bool leave(void *arg, struct str bytes)
{
    buf_str(arg, bytes);
    return false;
}

/* One request against scenes; the handle is left open for what it knows. */
struct call {
    struct stand_in server;
    struct http *http;
    struct buf body;
    struct err err;
};

static enum err_code make_call(struct call *c, const struct scene *scenes, int n,
                               struct http_request r)
{
    memset(c, 0, sizeof(*c));
    stand_in_start(&c->server, scenes, n);
    CHECK_OK(http_new(&c->http, &c->err), &c->err);
    r.url = r.url ? r.url : c->server.url;
    r.arg = &c->body;
    r.on_bytes = r.on_bytes ? r.on_bytes : keep;
    enum err_code rc = http_send(c->http, &r, &c->err);
    stand_in_stop(&c->server);
    return rc;
}

static void end_call(struct call *c)
{
    stand_in_deinit(&c->server);
    http_free(c->http);
    buf_free(&c->body);
}

TEST(http_gives_status_headers_and_body_in_whatever_pieces_they_come)
{
    static const char reply[] =
        "HTTP/1.1 404 Not Found\r\nX-One: a b \r\nContent-Length: 5\r\n\r\nhello";
    for (size_t piece = 1; piece < 12; piece++) {
        struct call c;
        const struct scene s[] = {{reply, piece, false}};
        CHECK_OK(make_call(&c, s, 1, (struct http_request){.max_bytes = 5}), &c.err);
        CHECK_INT(http_status(c.http), 404);
        CHECK_STR(http_header(c.http, "x-one"), "a b");
        CHECK_STR(http_header(c.http, "x-two"), "");
        CHECK_STR(buf_view(&c.body), "hello");
        CHECK_INT(http_received(c.http), 5);
        CHECK_INT(http_fault(c.http), HTTP_FINE);
        end_call(&c);
    }
}

TEST(http_sends_method_headers_key_and_body)
{
    static const char *const headers[] = {"Content-Type: text/x", NULL};
    struct call c;
    const struct scene s[] = {{OK_HEAD "Content-Length: 0\r\n\r\n", 0, false}};
    CHECK_OK(
        make_call(&c, s, 1,
                  (struct http_request){
                      .method = "PUT", .headers = headers, .key = "k3y", .body = STR("bytes")}),
        &c.err);
    CHECK(stand_in_saw(&c.server, 0, "PUT /v1 HTTP/1.1\r\n"));
    CHECK(stand_in_saw(&c.server, 0, "Content-Type: text/x\r\n"));
    CHECK(stand_in_saw(&c.server, 0, "Authorization: Bearer k3y\r\n"));
    CHECK(!stand_in_saw(&c.server, 0, "Expect:"));
    CHECK(str_ends(buf_view(&c.server.seen[0]), STR("\r\n\r\nbytes")));
    end_call(&c);
}

TEST(http_refuses_an_answer_past_its_maximum)
{
    struct call c;
    const struct scene s[] = {{OK_HEAD "Content-Length: 6\r\n\r\n123456", 0, false}};
    CHECK_ERR(make_call(&c, s, 1, (struct http_request){.max_bytes = 5}), ERR_LIMIT);
    CHECK_STR(str_of(c.err.msg), "the answer of 127.0.0.1 is larger than 5 bytes");
    end_call(&c);
}

TEST(http_ends_when_its_reader_has_enough)
{
    struct call c;
    const struct scene s[] = {{OK_HEAD "Content-Length: 600\r\n\r\n123456", 0, true}};
    CHECK_ERR(make_call(&c, s, 1, (struct http_request){.on_bytes = leave}), ERR_CANCELLED);
    CHECK_INT(http_fault(c.http), HTTP_STOPPED);
    end_call(&c);
}

TEST(http_gives_up_on_a_silent_server_after_idle_ms)
{
    struct call c;
    const struct scene s[] = {{OK_HEAD "Content-Length: 600\r\n\r\n123456", 0, true}};
    double begun = clock_ms();
    CHECK_ERR(make_call(&c, s, 1, (struct http_request){.idle_ms = 50}), ERR_IO);
    CHECK(clock_ms() - begun >= 50);
    CHECK_INT(http_fault(c.http), HTTP_SILENT);
    CHECK_STR(str_of(c.err.msg), "127.0.0.1: no byte came for 50 ms");
    CHECK_INT(http_status(c.http), 200);
    end_call(&c);
}

static struct stop stop_now;

static void *set_stop(void *arg)
{
    const struct stand_in *s = arg;
    while (!s->served)
        sched_yield();
    stop_set(&stop_now);
    return NULL;
}

TEST(http_ends_when_a_stop_is_set_while_it_waits)
{
    struct stand_in server;
    struct http *h;
    struct err err;
    pthread_t other;
    const struct scene s[] = {{NULL, 0, true}};
    stand_in_start(&server, s, 1);
    CHECK_OK(http_new(&h, &err), &err);
    CHECK_INT(pthread_create(&other, NULL, set_stop, &server), 0);
    struct http_request r = {.url = server.url, .stop = &stop_now};
    CHECK_ERR(http_send(h, &r, &err), ERR_CANCELLED);
    CHECK_INT(http_fault(h), HTTP_STOPPED);
    pthread_join(other, NULL);
    http_free(h);
    stand_in_stop(&server);
    stand_in_deinit(&server);
}

TEST(http_tells_a_lost_connection_from_one_that_was_refused)
{
    struct call c;
    const struct scene cut[] = {{OK_HEAD "Content-Length: 600\r\n\r\n123456", 0, false}};
    CHECK_ERR(make_call(&c, cut, 1, (struct http_request){0}), ERR_IO);
    CHECK_INT(http_fault(c.http), HTTP_BROKEN);
    CHECK_STR(buf_view(&c.body), "123456");
    struct http_request r = {.url = c.server.url}; /* nobody listens there any more */
    CHECK_ERR(http_send(c.http, &r, &c.err), ERR_IO);
    CHECK_INT(http_fault(c.http), HTTP_UNREACHED);
    CHECK_INT(http_status(c.http), 0);
    CHECK_STR(http_header(c.http, "connection"), "");
    end_call(&c);
}

TEST(http_speaks_no_scheme_but_http_and_https)
{
    struct http *h;
    struct err err;
    CHECK_OK(http_new(&h, &err), &err);
    static const char *const bad[] = {"file:///etc/passwd",
                                      "ftp://x/",
                                      "gopher://x/",
                                      "x",
                                      "",
                                      "http://",
                                      "https://me:secret@host/",
                                      "http://a b/",
                                      "http://host:99999/",
                                      "http://h/\r\nX: y"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct http_request r = {.url = bad[i]};
        if (http_send(h, &r, &err) != ERR_ARG)
            test_fail(__FILE__, __LINE__, "\"%s\" is taken for an address", bad[i]);
        CHECK(!strstr(err.msg, "secret"));
    }
    http_free(h);
}

TEST(http_knows_which_addresses_are_this_machine)
{
    static const struct {
        const char *url;
        bool loopback, https;
        int port;
    } c[] = {
        {"http://127.0.0.1:80/x", true, false, 80},
        {"https://127.8.9.1/", true, true, 443},
        {"http://localhost:7171", true, false, 7171},
        {"http://[::1]:9/", true, false, 9},
        {"http://127.0.0.1.example.com/", false, false, 80},
        {"http://localhost.example.com/", false, false, 80},
        {"https://example.com:8443/", false, true, 8443},
        {"http://10.0.0.1/", false, false, 80},
        {"http://[::2]/", false, false, 80},
    };
    for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
        struct http_address a;
        struct err err;
        CHECK_OK(http_address(c[i].url, &a, &err), &err);
        CHECK_MSG(a.loopback == c[i].loopback && a.https == c[i].https && a.port == c[i].port,
                  "%s is read wrong", c[i].url);
    }
}

/* ---- redirects ---- */

static void scene_to(char *out, size_t size, const char *where)
{
    snprintf(out, size,
             "HTTP/1.1 302 Found\r\nX-Hop: first\r\nLocation: %s\r\n"
             "Content-Length: 4\r\nConnection: close\r\n\r\ngone",
             where);
}

TEST(http_follows_redirects_only_where_a_request_allows_them)
{
    struct call c;
    char hop[300];
    scene_to(hop, sizeof(hop), "/other");
    const struct scene s[] = {{hop, 0, false}, {OK_HEAD "Content-Length: 4\r\n\r\nhere", 0, false}};
    CHECK_OK(make_call(&c, s, 2, (struct http_request){0}), &c.err);
    CHECK_INT(http_status(c.http), 302);
    CHECK_INT(c.server.served, 1);
    end_call(&c);
    CHECK_OK(make_call(&c, s, 2, (struct http_request){.redirects = 1, .key = "k3y"}), &c.err);
    CHECK_INT(http_status(c.http), 200);
    CHECK_STR(buf_view(&c.body), "here");
    CHECK_STR(http_header(c.http, "x-hop"), "");
    CHECK_STR(http_first_header(c.http, "x-hop"), "first");
    CHECK(stand_in_saw(&c.server, 1, "GET /other HTTP/1.1\r\n"));
    CHECK(stand_in_saw(&c.server, 1, "Bearer k3y"));
    end_call(&c);
}

TEST(http_gives_up_after_as_many_redirects_as_allowed)
{
    struct call c;
    char hop[300];
    scene_to(hop, sizeof(hop), "/again");
    const struct scene s[] = {{hop, 0, false}, {hop, 0, false}, {hop, 0, false}, {hop, 0, false}};
    CHECK_ERR(make_call(&c, s, 4, (struct http_request){.redirects = 2}), ERR_IO);
    CHECK_STR(str_of(c.err.msg), "more than 2 redirects, the last one at 127.0.0.1");
    CHECK_INT(http_fault(c.http), HTTP_REDIRECTED);
    CHECK_INT(c.server.served, 3);
    end_call(&c);
}

TEST(http_follows_no_redirect_to_plain_http_elsewhere_or_to_another_scheme)
{
    static const char *const bad[] = {"http://example.com/", "file:///etc/passwd",
                                      "ftp://127.0.0.1/", "http://u:p@127.0.0.1/"};
    for (int i = 0; i < 4; i++) {
        struct call c;
        char hop[300];
        scene_to(hop, sizeof(hop), bad[i]);
        const struct scene s[] = {{hop, 0, false}};
        CHECK_ERR(make_call(&c, s, 1, (struct http_request){.redirects = 5}), ERR_IO);
        CHECK_INT(http_fault(c.http), HTTP_REDIRECTED);
        end_call(&c);
    }
}

TEST(http_judges_where_a_redirect_may_lead)
{
    static const struct {
        const char *from, *to;
        bool may;
    } c[] = {
        {"https://a.example/", "https://b.example/", true},
        {"https://a.example/", "http://a.example/", false},
        {"https://a.example/", "http://127.0.0.1/", false},
        {"https://a.example/", "https://localhost/", false},
        {"http://a.example/", "https://a.example/", true},
        {"http://a.example/", "http://b.example/", false},
        {"http://127.0.0.1:1/", "http://127.0.0.1:2/", true},
        {"http://127.0.0.1/", "http://a.example/", false},
        {"http://127.0.0.1/", "https://a.example/", true},
        {"https://127.0.0.1/", "http://127.0.0.1/", false},
    };
    for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
        struct http_address from, to;
        struct err err;
        CHECK_OK(http_address(c[i].from, &from, &err), &err);
        CHECK_OK(http_address(c[i].to, &to, &err), &err);
        CHECK_MSG((http_check_step(&from, &to, &err) == OK) == c[i].may, "%s to %s", c[i].from,
                  c[i].to);
    }
}

TEST(http_forgets_the_headers_of_an_interim_answer)
{
    struct call c;
    const struct scene s[] = {{"HTTP/1.1 103 Early Hints\r\nX-One: early\r\n\r\n" OK_HEAD
                               "Content-Length: 1\r\n\r\nx",
                               0, false}};
    CHECK_OK(make_call(&c, s, 1, (struct http_request){0}), &c.err);
    CHECK_INT(http_status(c.http), 200);
    CHECK_STR(http_header(c.http, "x-one"), "");
    CHECK_STR(http_header(c.http, "content-length"), "1");
    end_call(&c);
}

TEST(http_gives_a_key_to_no_other_origin)
{
    struct stand_in other;
    struct call c;
    char hop[300], where[100];
    const struct scene answer[] = {{OK_HEAD "Content-Length: 4\r\n\r\nhere", 0, false}};
    stand_in_start(&other, answer, 1);
    snprintf(where, sizeof(where), "http://127.0.0.1:%d/x", other.port);
    scene_to(hop, sizeof(hop), where);
    const struct scene s[] = {{hop, 0, false}};
    CHECK_OK(make_call(&c, s, 1, (struct http_request){.redirects = 1, .key = "k3y"}), &c.err);
    stand_in_stop(&other);
    CHECK(stand_in_saw(&c.server, 0, "Bearer k3y"));
    CHECK(stand_in_saw(&other, 0, "GET /x "));
    CHECK(!stand_in_saw(&other, 0, "k3y"));
    stand_in_deinit(&other);
    end_call(&c);
}

/* ---- Retry-After ---- */

static int64_t retry_after(const char *header, int64_t now_ms)
{
    struct call c;
    char reply[300];
    snprintf(reply, sizeof(reply), "HTTP/1.1 429 Slow\r\n%sContent-Length: 0\r\n\r\n", header);
    const struct scene s[] = {{reply, 0, false}};
    CHECK_OK(make_call(&c, s, 1, (struct http_request){0}), &c.err);
    int64_t ms = http_retry_after_ms(c.http, now_ms);
    end_call(&c);
    return ms;
}

TEST(http_reads_retry_after_as_seconds_milliseconds_or_a_date)
{
    const int64_t now = 784111777000; /* RFC 9110's Sun, 06 Nov 1994 08:49:37 GMT */
    CHECK_INT(retry_after("", now), -1);
    CHECK_INT(retry_after("Retry-After: 7\r\n", now), 7000);
    CHECK_INT(retry_after("retry-after-ms: 15\r\nRetry-After: 7\r\n", now), 15);
    CHECK_INT(retry_after("Retry-After: Sun, 06 Nov 1994 08:49:40 GMT\r\n", now), 3000);
    CHECK_INT(retry_after("Retry-After: Sun, 06 Nov 1994 08:49:30 GMT\r\n", now), 0);
    CHECK_INT(retry_after("Retry-After: soon\r\n", now), -1);
    CHECK_INT(retry_after("Retry-After: -7\r\n", now), -1);
}
