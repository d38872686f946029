#include "base/sse.h"
#include "tests/test.h"

/* "event=data;" of each event. */
static bool note(void *arg, struct str event, struct str data)
{
    struct buf *seen = arg;
    buf_printf(seen, "%.*s=%.*s;", STR_ARG(event), STR_ARG(data));
    return str_find(data, STR("STOP"), 0) == SIZE_MAX;
}

static enum err_code feed_in_pieces(struct str text, size_t piece, size_t max, struct buf *seen)
{
    struct sse s;
    enum err_code rc = OK;
    sse_init(&s, max);
    for (size_t i = 0; i < text.len && !rc; i += piece) {
        /* A copy of its own size: reading past a piece is seen by ASan. */
        struct str part = str_sub(text, i, i + piece);
        char *own = malloc(part.len);
        memcpy(own, part.ptr, part.len);
        rc = sse_feed(&s, (struct str){own, part.len}, note, seen, NULL);
        free(own);
    }
    sse_deinit(&s);
    return rc;
}

static void check_events(struct str text, const char *want)
{
    for (size_t piece = 1; piece <= text.len; piece++) {
        struct buf seen = {0};
        CHECK_INT(feed_in_pieces(text, piece, 1000, &seen), OK);
        if (!str_eqz(buf_view(&seen), want))
            test_fail(__FILE__, __LINE__, "in pieces of %zu: \"%s\", want \"%s\"", piece,
                      seen.ptr ? seen.ptr : "", want);
        buf_free(&seen);
    }
}

TEST(sse_gives_the_same_events_however_the_bytes_are_cut)
{
    check_events(STR("data: one\n\ndata:two\n\n"), "message=one;message=two;");
    check_events(STR("event: delta\ndata: x\n\ndata: y\n\n"), "delta=x;message=y;");
    check_events(STR("data: {\"a\":\"\xc3\xa9\"}\n\ndata: [DONE]\n\n"),
                 "message={\"a\":\"\xc3\xa9\"};message=[DONE];");
}

TEST(sse_knows_three_line_ends_and_any_mix_of_them)
{
    check_events(STR("data: a\r\n\r\ndata: b\r\rdata: c\n\n"), "message=a;message=b;message=c;");
    check_events(STR("data: a\r\n\ndata: b\r\n\r"), "message=a;message=b;");
    check_events(STR("event: e\rdata: 1\r\ndata: 2\n\r\n"), "e=1\n2;");
}

/* The examples of the WHATWG text, 9.2.6. */
TEST(sse_reads_the_examples_of_its_specification)
{
    check_events(STR("data: YHOO\ndata: +2\ndata: 10\n\n"), "message=YHOO\n+2\n10;");
    check_events(STR(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"
                     "data:  third event\n\n"),
                 "message=first event;message=second event;message= third event;");
    check_events(STR("data\n\ndata\ndata\n\ndata:"), "message=;message=\n;");
    check_events(STR("data:test\n\ndata: test\n\n"), "message=test;message=test;");
}

TEST(sse_passes_over_comments_unknown_fields_and_a_byte_order_mark)
{
    check_events(STR("\xef\xbb\xbf"
                     "data: a\n: comment\n\n:\n\nretry: 5\nfoo: bar\nid: 1\n\ndata: b\n\n"),
                 "message=a;message=b;");
    check_events(STR("event: lonely\n\ndata: b\n\n"), "message=b;");
    check_events(STR("data : spaced name\n\ndata: x: y\n\n"), "message=x: y;");
}

TEST(sse_does_not_give_an_event_that_was_cut_off)
{
    check_events(STR("data: whole\n\ndata: half\n"), "message=whole;");
    check_events(STR("data: whole\n\ndata: ha"), "message=whole;");
}

TEST(sse_refuses_a_line_or_an_event_past_its_maximum)
{
    char long_line[200] = "data: ";
    memset(long_line + 6, 'x', sizeof(long_line) - 6);
    struct buf seen = {0};
    struct str text = {long_line, sizeof(long_line)};
    for (size_t piece = 1; piece <= text.len; piece += 13)
        CHECK_INT(feed_in_pieces(text, piece, 100, &seen), ERR_LIMIT);
    struct buf lines = {0};
    for (int i = 0; i < 30; i++)
        buf_puts(&lines, "data: 12345\n");
    CHECK_INT(feed_in_pieces(buf_view(&lines), 7, 100, &seen), ERR_LIMIT);
    CHECK_INT(seen.len, 0);
    buf_free(&lines);
    struct buf fits = {0};
    buf_puts(&fits, "data: ");
    for (int i = 0; i < 94; i++)
        buf_char(&fits, 'y');
    buf_puts(&fits, "\n\n");
    CHECK_INT(feed_in_pieces(buf_view(&fits), 9, 100, &seen), OK);
    CHECK(seen.len > 94);
    buf_free(&fits);
    buf_free(&seen);
}

TEST(sse_ends_when_its_reader_has_enough)
{
    struct buf seen = {0};
    CHECK_INT(feed_in_pieces(STR("data: a\n\ndata: STOP\n\ndata: b\n\n"), 100, 100, &seen),
              ERR_CANCELLED);
    CHECK_STR(buf_view(&seen), "message=a;message=STOP;");
    buf_free(&seen);
}
