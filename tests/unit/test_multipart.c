/* The form parser: the same parts whatever the pieces it is fed. */
#include "base/rng.h"
#include "tests/test.h"
#include "web/multipart.h"

/* What happened, as text: "(name|filename|type)data." per part. */
static enum err_code on_begin(void *arg, const struct multipart_part *p, struct err *err)
{
    (void)err;
    struct str file = p->filename.ptr ? p->filename : STR("-");
    buf_printf(arg, "(%.*s|%.*s|%.*s)", STR_ARG(p->name), STR_ARG(file), STR_ARG(p->type));
    return OK;
}

static enum err_code on_data(void *arg, struct str s, struct err *err)
{
    (void)err;
    buf_str(arg, s);
    return OK;
}

static enum err_code on_end(void *arg, struct err *err)
{
    (void)err;
    buf_char(arg, '.');
    return OK;
}

/* Parse in pieces that end at `cut` and then every `step` bytes. */
static enum err_code parse(struct str body, size_t cut, size_t step, struct buf *log,
                           struct err *err)
{
    struct multipart_events ev = {on_begin, on_data, on_end, log};
    struct multipart *m = multipart_new(STR("XyZ"), &ev);
    enum err_code rc = OK;
    for (size_t at = 0, n = cut; at < body.len && !rc; at += n, n = step)
        rc = multipart_push(m, str_sub(body, at, at + (n ? n : step)), err), n = n ? n : step;
    if (!rc)
        rc = multipart_finish(m, err);
    multipart_free(m);
    return rc;
}

#define PART(head, data) "--XyZ\r\n" head "\r\n\r\n" data "\r\n"
#define FILE_HEAD(name)  "Content-Disposition: form-data; name=\"file\"; filename=\"" name "\""
#define FIELD(name)      "Content-Disposition: form-data; name=\"" name "\""

static const char whole[] = "preamble\r\n--Xy\r\n"
    PART(FIELD("collection"), "papers")
    PART(FILE_HEAD("a.txt") "\r\nContent-Type: text/plain", "one\r\n--Xy\r\n-\r\r\n--X two")
    PART(FILE_HEAD("b"), "")
    PART("content-disposition:form-data;name=file;filename=c", "\r\n\r\n--XyQ\r")
    "--XyZ--\r\nepilogue --XyZ";
static const char parts[] = "(collection|-|)papers."
                            "(file|a.txt|text/plain)one\r\n--Xy\r\n-\r\r\n--X two."
                            "(file|b|).(file|c|)\r\n\r\n--XyQ\r.";

TEST(multipart_hands_on_names_types_and_bytes)
{
    struct buf log = {0};
    struct err err;
    CHECK_OK(parse((struct str){whole, sizeof(whole) - 1}, sizeof(whole), 1, &log, &err), &err);
    CHECK_STR(buf_view(&log), parts);
    buf_free(&log);
}

TEST(multipart_cut_at_any_byte_gives_the_same_parts)
{
    struct str body = {whole, sizeof(whole) - 1};
    struct err err;
    for (size_t cut = 1; cut < body.len; cut++) {
        struct buf log = {0};
        CHECK_OK(parse(body, cut, body.len, &log, &err), &err);
        CHECK_MSG(str_eqz(buf_view(&log), parts), "cut at %zu gives %s", cut, log.ptr);
        buf_free(&log);
    }
    for (size_t step = 1; step < 9; step++) {
        struct buf log = {0};
        CHECK_OK(parse(body, step, step, &log, &err), &err);
        CHECK_STR(buf_view(&log), parts);
        buf_free(&log);
    }
}

TEST(multipart_truncated_at_any_byte_is_refused)
{
    size_t end = strlen(whole) - strlen("--\r\nepilogue --XyZ");
    struct err err;
    for (size_t n = 0; n <= end + 1; n++) {
        struct buf log = {0};
        CHECK_MSG(parse((struct str){whole, n}, n ? n : 1, 7, &log, &err) == ERR_FORMAT,
                  "%zu bytes are taken for a whole form", n);
        buf_free(&log);
    }
}

TEST(multipart_keeps_bytes_that_look_almost_like_a_delimiter)
{
    struct rng rng;
    rng_init(&rng, 42);
    for (int round = 0; round < 300; round++) {
        struct buf data = {0}, body = {0}, log = {0}, want = {0};
        struct err err;
        for (uint64_t n = rng_below(&rng, 200); n > 0; n--)
            buf_char(&data, "\r\n-XyZ"[rng_below(&rng, 6)]);
        if (str_find(buf_view(&data), STR("\r\n--XyZ"), 0) == SIZE_MAX) {
            buf_puts(&body, "--XyZ\r\n" FILE_HEAD("r") "\r\n\r\n");
            buf_str(&body, buf_view(&data));
            buf_puts(&body, "\r\n--XyZ--");
            buf_puts(&want, "(file|r|)");
            buf_str(&want, buf_view(&data));
            buf_char(&want, '.');
            size_t step = 1 + (size_t)rng_below(&rng, 11);
            CHECK_OK(parse(buf_view(&body), step, step, &log, &err), &err);
            CHECK_MSG(str_eq(buf_view(&log), buf_view(&want)), "seed 42, round %d", round);
        }
        buf_free(&data);
        buf_free(&body);
        buf_free(&log);
        buf_free(&want);
    }
}

TEST(multipart_refuses_parts_it_cannot_name)
{
    static const char *const bad[] = {
        PART("Content-Type: text/plain", "x") "--XyZ--",
        PART("Content-Disposition: attachment; name=\"file\"", "x") "--XyZ--",
        PART("Content-Disposition: form-data; filename=\"x\"", "x") "--XyZ--",
        PART("Content-Disposition: form-data; name=\"x", "x") "--XyZ--",
        PART(FIELD("a") "\r\n" FIELD("b"), "x") "--XyZ--",
        PART("no colon", "x") "--XyZ--",
        "--XyZ\r\n\r\nx\r\n--XyZ--",
        "--XyZfoo\r\n" FIELD("a") "\r\n\r\nx\r\n--XyZ--",
        "nothing of the kind"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct buf log = {0};
        struct err err;
        CHECK_MSG(parse(str_of(bad[i]), 3, 3, &log, &err) == ERR_FORMAT, "case %zu", i);
        buf_free(&log);
    }
}

TEST(multipart_has_maxima_for_headers_and_parts)
{
    struct buf body = {0}, log = {0};
    struct err err;
    buf_puts(&body, "--XyZ\r\nX: ");
    for (int i = 0; i < MULTIPART_HEAD_MAX; i++)
        buf_char(&body, 'a');
    CHECK_ERR(parse(buf_view(&body), 100, 100, &log, &err), ERR_LIMIT);
    buf_reset(&body);
    for (int i = 0; i <= MULTIPART_PARTS_MAX; i++)
        buf_puts(&body, PART(FIELD("a"), ""));
    CHECK_ERR(parse(buf_view(&body), 1000, 1000, &log, &err), ERR_LIMIT);
    buf_free(&body);
    buf_free(&log);
}

TEST(multipart_reads_quoted_names_as_browsers_and_curl_write_them)
{
    static const char body[] = PART(FILE_HEAD("a \\\"b\\\" \\\\ c:\\d;e.pdf"), "x") "--XyZ--";
    struct buf log = {0};
    struct err err;
    CHECK_OK(parse(str_of(body), 5, 5, &log, &err), &err);
    CHECK_STR(buf_view(&log), "(file|a \"b\" \\ c:\\d;e.pdf|)x.");
    buf_free(&log);
}

TEST(multipart_takes_a_backslash_before_the_closing_quote_as_it_is)
{
    static const char body[] = PART(FILE_HEAD("%22a%22\\b\\"), "x") "--XyZ--";
    static const char last[] = PART(FILE_HEAD("C:\\"), "x") "--XyZ--";
    struct buf log = {0};
    struct err err;
    CHECK_OK(parse(str_of(body), 5, 5, &log, &err), &err);
    CHECK_OK(parse(str_of(last), 5, 5, &log, &err), &err);
    CHECK_STR(buf_view(&log), "(file|\"a\"\\b\\|)x.(file|C:\\|)x.");
    buf_free(&log);
}

TEST(multipart_finds_the_boundary_of_a_content_type)
{
    struct str b;
    CHECK(multipart_boundary(STR("multipart/form-data; boundary=abc"), &b));
    CHECK_STR(b, "abc");
    CHECK(!multipart_boundary(STR("Multipart/Form-Data; charset=x; Boundary=\"a b;c\""), &b));
    CHECK(multipart_boundary(STR("Multipart/Form-Data; charset=x; Boundary=\"a b:c\""), &b));
    CHECK_STR(b, "a b:c");
    CHECK(!multipart_boundary(STR("multipart/mixed; boundary=abc"), &b));
    CHECK(!multipart_boundary(STR("multipart/form-data"), &b));
    CHECK(!multipart_boundary(STR("multipart/form-data; boundary="), &b));
    CHECK(!multipart_boundary(STR("multipart/form-data; boundary=a\r\nb"), &b));
}
