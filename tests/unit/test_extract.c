/* tests/unit/test_extract.c - readers in this process by cases, carrel-extract as
 * a program, and results that lie. */
#include "tests/test.h"
#include <signal.h>
#include <unistd.h>
#include "base/file.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "ingest/extract.h"
#include "ingest/extract/charset.h"
#include "ingest/extract/doc.h"
#include "ingest/extract/format.h"
#include "ingest/frame.h"
#include "tests/cases.h"

/* ---- readers, in this process ---- */

static const char *const KINDS[] = {"p", "h", "li", "quote", "code", "table"};

struct reading {
    struct doc doc;
    struct layout layout;
    struct err err;
    enum err_code rc;
};

static struct reading *read_as(struct str bytes, const char *name, const char *mime)
{
    static struct reading r;
    char ext[16];
    const struct format *f;
    struct source s = {.bytes = bytes,
                       .name = name,
                       .mime = mime,
                       .max_text = 8 << 20,
                       .ext = format_extension(name, ext)};
    r = (struct reading){0};
    doc_init(&r.doc, s.max_text);
    r.rc = format_find(&s, &f, &r.err);
    if (!r.rc)
        r.rc = f->read(&s, &r.doc, &r.err);
    if (!r.rc)
        r.rc = doc_ok(&r.doc, &r.layout, &r.err);
    return &r;
}

static void show_as(struct str input, const char *name, struct buf *out)
{
    struct reading *r = read_as(input, name, "");
    if (r->rc) {
        buf_printf(out, "refused: %s", r->err.msg);
    } else {
        for (size_t i = 0; i < r->layout.n_blocks; i++) {
            const struct block *b = &r->layout.blocks[i];
            buf_printf(out, "[%s", KINDS[b->kind]);
            if (b->level)
                buf_printf(out, "%d", b->level);
            buf_printf(out, " %.*s]", STR_ARG(str_sub(buf_view(&r->doc.text), b->start, b->end)));
        }
    }
    for (int i = 0; i < r->doc.n_warnings; i++)
        buf_printf(out, "!%s", r->doc.warnings[i].code);
    doc_deinit(&r->doc);
}

static void show_markdown(struct str input, struct buf *out)
{
    show_as(input, "x.md", out);
}

static void show_html(struct str input, struct buf *out)
{
    show_as(input, "x.html", out);
}

static void show_text(struct str input, struct buf *out)
{
    show_as(input, "x.txt", out);
}

TEST(markdown_reads_as_the_cases_say)
{
    cases_run("tests/cases/markdown.txt", show_markdown);
}

TEST(html_reads_as_the_cases_say)
{
    cases_run("tests/cases/html.txt", show_html);
}

TEST(plain_text_reads_as_the_cases_say)
{
    cases_run("tests/cases/text.txt", show_text);
}

/* The source bytes of every block, with markup taken out, hold the block's words. */
static void check_source(struct str bytes, const struct reading *r)
{
    for (size_t i = 0; i < r->layout.n_blocks; i++) {
        const struct block *b = &r->layout.blocks[i];
        CHECK_MSG(b->src_start != SRC_NONE, "block %zu has no source", i);
        CHECK(b->src_start < b->src_end && b->src_end <= bytes.len);
        struct str src = str_sub(bytes, b->src_start, b->src_end);
        struct str words = str_sub(buf_view(&r->doc.text), b->start, b->end), word;
        size_t at = 0;
        while (str_split(&words, ' ', &word)) {
            bool mark = word.len < 2 || (word.len == 2 && word.ptr[1] == '.');
            if (mark || memchr(word.ptr, '\n', word.len))
                continue;
            size_t found = str_find(src, word, at);
            CHECK_MSG(found != SIZE_MAX, "\"%.*s\" is not in its source \"%.*s\"", STR_ARG(word),
                      STR_ARG(src));
            at = found;
        }
    }
}

TEST(blocks_of_markdown_know_their_bytes)
{
    struct str md = STR("# The *title* here\n\nSome **bold** words and [a link](http://x) too\n\n"
                        "1. first item\n2. second\n\n> quoted words\n\n    code here\n\n"
                        "|head|two|\n|----|---|\n|cell|other|\n");
    struct reading *r = read_as(md, "x.md", "");
    CHECK_OK(r->rc, &r->err);
    CHECK_INT(r->layout.n_blocks, 7);
    check_source(md, r);
    doc_deinit(&r->doc);
}

TEST(blocks_of_html_know_their_bytes)
{
    struct str html =
        STR("<title>T</title><body><h1>The <em>title</em> here</h1><p>Some words that are"
            " long</p><ul><li>first item<li>second one</ul><pre>code here</pre>");
    struct reading *r = read_as(html, "x.html", "");
    CHECK_OK(r->rc, &r->err);
    CHECK_INT(r->layout.n_blocks, 5);
    check_source(html, r);
    CHECK_STR(str_of(r->doc.title), "T");
    doc_deinit(&r->doc);
}

TEST(blocks_of_text_in_another_charset_know_their_bytes)
{
    /* UTF-16LE with a mark: two paragraphs. */
    struct buf b = {0};
    buf_add(&b, "\xFF\xFE", 2);
    for (const char *p = "first words\n\nsecond ones"; *p; p++) {
        buf_char(&b, *p);
        buf_char(&b, 0);
    }
    struct reading *r = read_as(buf_view(&b), "x.txt", "");
    CHECK_OK(r->rc, &r->err);
    CHECK_INT(r->layout.n_blocks, 2);
    CHECK_INT(r->layout.blocks[0].src_start, 2);
    CHECK_INT(r->layout.blocks[0].src_end, 2 + 22);
    CHECK_INT(r->layout.blocks[1].src_start, 2 + 26);
    CHECK_INT(r->layout.blocks[1].src_end, b.len);
    doc_deinit(&r->doc);
    buf_free(&b);
}

TEST(latin_letters_survive_and_the_guess_is_told)
{
    struct reading *r = read_as(STR("Das Caf\xE9 in der Stra\xDF"
                                    "e, f\xFCr uns alle ge\xF6"
                                    "ffnet."),
                                "x.txt", "");
    CHECK_OK(r->rc, &r->err);
    CHECK_STR(buf_view(&r->doc.text), "Das Caf\xC3\xA9 in der Stra\xC3\x9F"
                                      "e, f\xC3\xBCr uns alle ge\xC3\xB6"
                                      "ffnet.");
    CHECK_INT(r->doc.n_warnings, 1);
    CHECK_STR(str_of(r->doc.warnings[0].code), "charset_guessed");
    doc_deinit(&r->doc);
}

TEST(text_becomes_nfc)
{
    struct reading *r = read_as(STR("cafe\xCC\x81 \xE2\x84\xAB"), "x.txt", "");
    CHECK_STR(buf_view(&r->doc.text), "caf\xC3\xA9 \xC3\x85");
    doc_deinit(&r->doc);
}

TEST(kinds_that_are_not_read_say_what_they_are)
{
    static const struct {
        struct str bytes;
        const char *name, *says;
    } CASES[] = {
        {{"PK\3\4....word/document.xml", 24}, "a.docx", "docx files"},
        {{"\x89PNG\r\n\x1A\n", 8}, "a.png", "PNG image files"},
        {{"\x7F"
          "ELF\2\1\1",
          7},
         "a",
         "Linux program files"},
        {{"From: a@b\nTo: c@d\n\nhello", 24}, "a.eml", "e-mail files"},
        {{"<?xml version=\"1.0\"?><a>x</a>", 29}, "a.xml", "XML files"},
        {{"MZ\0\0\0\0", 6}, "a.pdf", "called a PDF"},
        {{"hello", 5}, "a.pdf", "holds no PDF"},
        {{"", 0}, "a.txt", "empty"},
        {{" \n\t\n", 4}, "a.txt", "no text"},
        {{"a\0b\0\0\0\0\0\0\0\1\2\3", 14}, "a.txt", "not text"},
        {{"\x8f\xd1k\x05\xe3Q\x9a\xf0#\xc8\x7f\xb2\x13\xa6W\xee", 16}, "a.bin", "not text"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
        struct reading *r = read_as(CASES[i].bytes, CASES[i].name, "");
        CHECK_MSG(r->rc == ERR_FORMAT && strstr(r->err.msg, CASES[i].says), "%s: %s: want \"%s\"",
                  CASES[i].name, r->rc ? r->err.msg : "read", CASES[i].says);
        doc_deinit(&r->doc);
    }
}

/* ---- the program ---- */

static const char *program(void)
{
    static char path[4200];
    ssize_t n = readlink("/proc/self/exe", path, 4096);
    CHECK(n > 0);
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    strcpy(slash, "/../carrel-extract"); /* path has room */
    if (access(path, X_OK))
        SKIP("carrel-extract is not built");
    return path;
}

static struct extractor *extractor(struct extract_options opt)
{
    struct extractor *x;
    struct err err;
    opt.program = program();
    CHECK_OK(extractor_new(&opt, &x, &err), &err);
    return x;
}

static const char *put_file(const char *name, struct str bytes)
{
    static char path[4200];
    struct err err;
    snprintf(path, sizeof(path), "%s/%s", scratch_dir(), name);
    CHECK_OK(file_write_atomic(path, bytes, &err), &err);
    return path;
}

TEST(the_program_reads_one_file_after_another)
{
    struct extractor *x = extractor((struct extract_options){0});
    for (int i = 0; i < 5; i++) {
        struct arena a = {0};
        struct extracted e;
        struct err err;
        const char *path = put_file("a.md", STR("# Title\n\nwords"));
        CHECK_OK(extract_file(x, path, "a.md", "", NULL, &a, &e, &err), &err);
        CHECK_STR(e.text, "Title\n\nwords");
        CHECK_STR(str_of(e.title), "Title");
        CHECK_STR(str_of(e.mime), "text/markdown");
        CHECK_INT(e.layout.n_blocks, 2);
        path = put_file("b.docx", STR("PK\3\4 word/document.xml"));
        CHECK_ERR(extract_file(x, path, "b.docx", "", NULL, &a, &e, &err), ERR_FORMAT);
        CHECK(strstr(err.msg, "docx files are not read yet"));
        arena_deinit(&a);
    }
    extractor_free(x);
}

TEST(a_file_that_takes_too_long_ends_with_that_reason)
{
    struct buf b = {0};
    for (int i = 0; i < 2000000; i++)
        buf_puts(&b, "words. ");
    struct extractor *x = extractor((struct extract_options){.timeout_ms = 2});
    struct arena a = {0};
    struct extracted e;
    struct err err;
    const char *path = put_file("long.txt", buf_view(&b));
    CHECK_ERR(extract_file(x, path, "long.txt", "", NULL, &a, &e, &err), ERR_FORMAT);
    CHECK_MSG(strstr(err.msg, "longer than 0.002 s"), "%s", err.msg);
    extractor_free(x);
    arena_deinit(&a);
    buf_free(&b);
}

TEST(pages_that_would_take_for_ever_are_refused_at_once)
{
    struct buf deep = {0}, wide = {0};
    for (int i = 0; i < 300000; i++)
        buf_puts(&deep, "<div>");
    buf_puts(&wide, "<p ");
    for (int i = 0; i < 200000; i++)
        buf_printf(&wide, "a%d=1 ", i);
    buf_puts(&wide, ">x");
    struct reading *r = read_as(buf_view(&deep), "x.html", "");
    CHECK_MSG(r->rc == ERR_FORMAT && strstr(r->err.msg, "deep"), "%s", r->err.msg);
    doc_deinit(&r->doc);
    r = read_as(buf_view(&wide), "x.html", "");
    CHECK_MSG(r->rc == ERR_FORMAT && strstr(r->err.msg, "attributes"), "%s", r->err.msg);
    doc_deinit(&r->doc);
    buf_free(&deep);
    buf_free(&wide);
}

TEST(more_text_than_allowed_is_refused)
{
    struct buf b = {0};
    for (int i = 0; i < 300000; i++)
        buf_puts(&b, "many words ");
    struct extractor *x = extractor((struct extract_options){.max_text_bytes = 1 << 20});
    struct arena a = {0};
    struct extracted e;
    struct err err;
    CHECK_ERR(extract_file(x, put_file("a.txt", buf_view(&b)), "a.txt", "", NULL, &a, &e, &err),
              ERR_FORMAT);
    CHECK_MSG(strstr(err.msg, "more than 1 MiB of text"), "%s", err.msg);
    extractor_free(x);
    arena_deinit(&a);
    buf_free(&b);
}

TEST(a_stop_ends_the_reading)
{
    struct stop stop = {0};
    struct extractor *x = extractor((struct extract_options){0});
    struct arena a = {0};
    struct extracted e;
    struct err err;
    stop_set(&stop);
    CHECK_ERR(extract_file(x, put_file("a.txt", STR("x")), "a.txt", "", &stop, &a, &e, &err),
              ERR_CANCELLED);
    extractor_free(x);
    arena_deinit(&a);
}

TEST(a_program_that_is_not_there_is_told)
{
    struct extractor *x;
    struct arena a = {0};
    struct extracted e;
    struct err err;
    CHECK_OK(
        extractor_new(&(struct extract_options){.program = "/nowhere/carrel-extract"}, &x, &err),
        &err);
    CHECK_ERR(extract_file(x, put_file("a.txt", STR("x")), "a.txt", "", NULL, &a, &e, &err),
              ERR_IO);
    CHECK(strstr(err.msg, "/nowhere/carrel-extract"));
    extractor_free(x);
    arena_deinit(&a);
}

/* ---- results that lie ---- */

static struct buf good_result(void)
{
    struct buf out = {0}, packed = {0};
    struct block blocks[2] = {{0, 5, 0, 5, 0, BLOCK_HEADING, 1}, {7, 12, 7, 12, 0, BLOCK_TEXT, 0}};
    struct layout l = {.blocks = blocks, .n_blocks = 2};
    struct warning w = {.code = "charset_guessed", .message = "x", .page = 3};
    struct err err;
    CHECK_OK(layout_encode(&l, &packed, &err), &err);
    frame_begin(&out);
    frame_put(&out, "MIME", STR("text/plain"));
    frame_put(&out, "TITL", STR("a\ntitle"));
    frame_put(&out, "TEXT", STR("Title\n\nw\xC3\xA9rd"));
    frame_put(&out, "LAYO", buf_view(&packed));
    frame_warning(&out, &w);
    frame_end(&out);
    buf_free(&packed);
    return out;
}

TEST(a_result_is_read_back_as_it_was_written)
{
    struct buf b = good_result();
    struct arena a = {0};
    struct extracted e;
    struct err err;
    bool broken;
    CHECK_OK(frame_read(buf_view(&b), 12, &a, &e, &broken, &err), &err);
    CHECK_STR(str_of(e.title), "a title");
    CHECK_INT(e.n_warnings, 1);
    CHECK_INT(e.warnings[0].page, 3);
    CHECK_STR(str_of(e.warnings[0].code), "charset_guessed");
    CHECK_INT(e.layout.n_blocks, 2);
    arena_deinit(&a);
    buf_free(&b);
}

TEST(a_result_cut_anywhere_is_refused)
{
    struct buf b = good_result();
    for (size_t n = 0; n < b.len; n++) {
        struct arena a = {0};
        struct extracted e;
        struct err err;
        bool broken;
        CHECK_ERR(frame_read((struct str){b.ptr, n}, 12, &a, &e, &broken, &err), ERR_FORMAT);
        CHECK(broken);
        arena_deinit(&a);
    }
    buf_free(&b);
}

TEST(a_result_with_ranges_from_elsewhere_is_refused)
{
    struct buf b = good_result();
    struct arena a = {0};
    struct extracted e;
    struct err err;
    bool broken;
    CHECK_ERR(frame_read(buf_view(&b), 11, &a, &e, &broken, &err), ERR_FORMAT);
    CHECK(broken && strstr(err.msg, "outside the file"));
    arena_deinit(&a);
    buf_free(&b);
}

TEST(a_result_with_any_byte_changed_is_whole_or_refused)
{
    struct buf b = good_result();
    for (size_t i = 0; i < b.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            struct arena a = {0};
            struct extracted e;
            struct err err;
            bool broken;
            b.ptr[i] = (char)(b.ptr[i] ^ (1 << bit));
            if (!frame_read(buf_view(&b), 12, &a, &e, &broken, &err)) {
                CHECK(utf8_valid(e.text) && utf8_valid(str_of(e.title)));
                for (size_t k = 0; k < e.layout.n_blocks; k++)
                    CHECK(e.layout.blocks[k].end <= e.text.len);
            }
            b.ptr[i] = (char)(b.ptr[i] ^ (1 << bit));
            arena_deinit(&a);
        }
    }
    buf_free(&b);
}
