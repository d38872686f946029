/* The strict look at request heads: RFC 9112, and what browsers say of senders. */
#include "tests/test.h"
#include "web/gate.h"

static enum gate_verdict judge(const char *head, struct gate_head *out)
{
    return gate_head(str_of(head), out);
}

static int refused_with(const char *head)
{
    struct gate_head g;
    return judge(head, &g) == GATE_REFUSE ? g.status : 0;
}

#define GET  "GET / HTTP/1.1\r\n"
#define HOST "Host: localhost:7171\r\n"

TEST(gate_passes_a_plain_request_and_says_where_its_head_ends)
{
    struct gate_head g;
    CHECK_INT(judge(GET HOST "Accept: */*\r\n\r\nrest", &g), GATE_OK);
    CHECK_INT(g.len, strlen(GET HOST "Accept: */*\r\n\r\n"));
    CHECK_STR(g.method, "GET");
    CHECK_STR(g.target, "/");
    CHECK_STR(g.host, "localhost:7171");
}

TEST(gate_wants_more_at_every_cut_of_a_good_head)
{
    const char *whole = "POST /v1/search?x=1 HTTP/1.1\r\n" HOST "Content-Length: 12\r\n\r\n";
    struct gate_head g;
    for (size_t n = 0; n < strlen(whole); n++)
        CHECK_MSG(gate_head((struct str){whole, n}, &g) == GATE_MORE, "cut at %zu: %s", n, g.why);
    CHECK_INT(judge(whole, &g), GATE_OK);
}

TEST(gate_refuses_heads_that_two_parsers_could_read_in_two_ways)
{
    static const char *const bad[] = {
        GET HOST HOST "\r\n",
        GET "\r\n",
        GET "Host:\r\n\r\n",
        GET "Host: a, b\r\n\r\n",
        GET "Host: user@localhost\r\n\r\n",
        GET HOST "X-Test : 1\r\n\r\n",
        GET HOST " folded: 1\r\n\r\n",
        GET HOST "X: 1\r\n 2\r\n\r\n",
        GET HOST ": empty name\r\n\r\n",
        GET HOST "no colon\r\n\r\n",
        GET HOST "X: a\x01"
                 "b\r\n\r\n",
        GET HOST "X: 1\n\r\n",
        "GET / HTTP/1.1\rHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\n" HOST "\r\n",
        "GET / HTTP/1.1 \r\n" HOST "\r\n",
        "GET / http/1.1\r\n" HOST "\r\n",
        "GET / HTTP/1\r\n" HOST "\r\n",
        "GET http://localhost/ HTTP/1.1\r\n" HOST "\r\n",
        "GET * HTTP/1.1\r\n" HOST "\r\n",
        "GET /a#b HTTP/1.1\r\n" HOST "\r\n",
        "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
        "\x16\x03\x01"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK_MSG(refused_with(bad[i]) == 400, "case %zu is refused with %d", i,
                  refused_with(bad[i]));
}

TEST(gate_refuses_a_nul_in_the_head)
{
    static const char head[] = "GET /a\0b HTTP/1.1\r\n" HOST "\r\n";
    struct gate_head g;
    CHECK_INT(gate_head((struct str){head, sizeof(head) - 1}, &g), GATE_REFUSE);
    CHECK_INT(g.status, 400);
}

TEST(gate_names_what_it_does_not_know)
{
    CHECK_INT(refused_with("BREW / HTTP/1.1\r\n" HOST "\r\n"), 501);
    CHECK_INT(refused_with("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n"), 501);
    CHECK_INT(refused_with("GET / HTTP/9.9\r\n" HOST "\r\n"), 505);
}

TEST(gate_refuses_a_head_that_never_ends)
{
    struct buf b = {0};
    struct gate_head g;
    buf_puts(&b, GET HOST "X: ");
    for (int i = 0; i < GATE_HEAD_MAX; i++)
        buf_char(&b, 'a');
    CHECK_INT(gate_head(buf_view(&b), &g), GATE_REFUSE);
    CHECK_INT(g.status, 431);
    buf_reset(&b);
    buf_puts(&b, GET HOST);
    for (int i = 0; i <= GATE_HEADERS_MAX; i++)
        buf_puts(&b, "A: b\r\n");
    CHECK_INT(gate_head(buf_view(&b), &g), GATE_REFUSE);
    CHECK_INT(g.status, 431);
    buf_free(&b);
}

TEST(gate_judges_chunk_sizes_as_far_as_they_have_come)
{
    static const char *const good[] = {"", "5", "5\r", "5\r\nhel", "5\r\nhello\r", "5\r\nhello\r\n",
                                       "5\r\nhello\r\n0\r\n\r\n",
                                       "A\r\n0123456789\r\n0\r\n\r\n",
                                       "5;a=b;c=\"d\"\r\nhello\r\n0\r\n\r\n"};
    static const char *const bad[] = {"0x5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n",
                                      "+5\r\nhello\r\n", "-1\r\n", "\r\n",
                                      "5;bad[=x\r\nhello\r\n0\r\n\r\n", "1_0\r\nx",
                                      "5\r\nhello0\r\n\r\n", "5\nhello",
                                      "FFFFFFFFFFFFFFFF0\r\nhello\r\n"};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        CHECK_MSG(gate_chunks(str_of(good[i])), "good case %zu", i);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK_MSG(!gate_chunks(str_of(bad[i])), "bad case %zu", i);
}

TEST(gate_reads_the_host_part_of_a_host)
{
    struct str name;
    CHECK(gate_host(STR("box.example:7171"), &name));
    CHECK_STR(name, "box.example");
    CHECK(gate_host(STR("[::1]:80"), &name));
    CHECK_STR(name, "[::1]");
    static const char *const bad[] = {"", ":80", "[]", "[::1", "a:b", "a:123456", "a b", "a/b",
                                      "[::1]x", "a,b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK_MSG(!gate_host(str_of(bad[i]), &name),
                  "\"%s\" is taken for a host", bad[i]);
}

/* host, origin, site, mode -> may it read, may it change? */
TEST(gate_lets_no_foreign_page_change_or_load_anything)
{
    static const struct { const char *origin, *site, *mode; bool read, change; } cases[] = {
        {"", "", "", true, true},                                       /* curl */
        {"http://localhost:7171", "same-origin", "cors", true, true},   /* our own script */
        {"https://localhost:7171", "", "", true, true},                 /* behind a TLS proxy */
        {"null", "same-origin", "navigate", true, true},                /* our own form */
        {"", "none", "navigate", true, true},                           /* typed address */
        {"http://evil.example", "cross-site", "cors", false, false},
        {"http://evil.example", "cross-site", "navigate", true, false}, /* a link; a posted form */
        {"http://evil.example", "", "", true, false},                   /* an old browser */
        {"null", "", "", true, false},                                  /* a sandboxed frame */
        {"null", "cross-site", "navigate", true, false},
        {"", "cross-site", "no-cors", false, false},                    /* an <img> elsewhere */
        {"http://localhost:8080", "same-site", "cors", false, false},   /* another port of ours */
        {"http://localhost:7171.evil.example", "", "", true, false},
        {"file://", "", "", true, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct gate_sender s = {STR("localhost:7171"), str_of(cases[i].origin),
                                str_of(cases[i].site), str_of(cases[i].mode)};
        CHECK_MSG(gate_sender(&s, false) == cases[i].read, "case %zu reads", i);
        CHECK_MSG(gate_sender(&s, true) == cases[i].change, "case %zu changes", i);
    }
}
