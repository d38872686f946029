#include <unistd.h>
#include "tests/test.h"
#include "base/file.h"
#include "embed/pairs.h"

static const char *write_lines(const char *name, const char *text)
{
    static char path[512];
    struct err err = {0};
    snprintf(path, sizeof(path), "%s/%s", scratch_dir(), name);
    CHECK_OK(file_write_atomic(path, str_of(text), &err), &err);
    return path;
}

TEST(pairs_read_keeps_texts_and_sources)
{
    struct pairs p = {0};
    struct err err = {0};
    struct buf names = {0};
    CHECK_OK(pairs_read(&p,
                        write_lines("a.jsonl",
                                    "{\"q\":\"what\",\"p\":\"that\",\"src\":\"wiki\",\"more\":1}\n"
                                    "\n"
                                    "{\"p\":\"caf\\u00e9\",\"q\":\"where\"}\n"
                                    "{\"q\":\"who\",\"p\":\"she\",\"src\":\"wiki\"}"),
                        NULL, NULL, &err),
             &err);
    CHECK_INT(p.n, 3);
    CHECK_STR(p.v[0].q, "what");
    CHECK_STR(p.v[1].p, "caf\xc3\xa9");
    CHECK_STR(p.sources[p.v[1].source], "a.jsonl");
    CHECK_INT(p.v[2].source, p.v[0].source);
    CHECK_INT(p.counts[p.v[0].source], 2);
    pairs_name_sources(&p, &names);
    CHECK_STR(buf_view(&names), "a.jsonl, wiki");
    buf_free(&names);
    pairs_deinit(&p);
}

TEST(pairs_read_leaves_out_the_sources_named_and_their_kinds)
{
    struct pairs p = {0};
    struct err err = {0};
    const char *path = write_lines("b.jsonl", "{\"q\":\"1\",\"p\":\"x\",\"src\":\"git\"}\n"
                                              "{\"q\":\"2\",\"p\":\"x\",\"src\":\"git-ict\"}\n"
                                              "{\"q\":\"3\",\"p\":\"x\",\"src\":\"github\"}\n"
                                              "{\"q\":\"4\",\"p\":\"x\",\"src\":\"ansible\"}\n");
    CHECK_OK(pairs_read(&p, path, "ansible,git", NULL, &err), &err);
    CHECK_INT(p.n, 1);
    CHECK_STR(p.v[0].q, "3");
    CHECK_INT(p.skipped, 3);
    pairs_deinit(&p);
}

TEST(pairs_read_opens_what_xz_packed)
{
    struct pairs p = {0};
    struct err err = {0};
    char command[1100];
    const char *path = write_lines("c.jsonl", "{\"q\":\"one\",\"p\":\"two\"}\n");
    snprintf(command, sizeof(command), "xz -c '%s' > '%s.xz'", path, path);
    if (system(command) != 0)
        SKIP("no xz");
    snprintf(command, sizeof(command), "%s.xz", path);
    CHECK_OK(pairs_read(&p, command, NULL, NULL, &err), &err);
    CHECK_INT(p.n, 1);
    CHECK_STR(p.v[0].p, "two");
    pairs_deinit(&p);
}

static void refuses(const char *text, const char *where)
{
    struct pairs p = {0};
    struct err err = {0};
    CHECK_ERR(pairs_read(&p, write_lines("bad.jsonl", text), NULL, NULL, &err), ERR_FORMAT);
    CHECK_MSG(strstr(err.msg, where), "\"%s\" does not name %s", err.msg, where);
    pairs_deinit(&p);
}

TEST(pairs_read_names_the_line_that_is_wrong)
{
    refuses("{\"q\":\"a\",\"p\":\"b\"}\n{\"q\":\"a\"\n", "bad.jsonl line 2");
    refuses("[1]\n", "line 1");
    refuses("{\"q\":\"a\"}\n", "\"p\"");
    refuses("{\"q\":7,\"p\":\"b\"}\n", "line 1");
}

TEST(pairs_read_refuses_what_xz_cannot_read_to_its_end)
{
    struct pairs p = {0};
    struct err err = {0};
    if (system("xz --version > /dev/null 2>&1") != 0)
        SKIP("no xz");
    int saved = dup(2);
    CHECK(freopen("/dev/null", "w", stderr));
    enum err_code rc = pairs_read(&p, write_lines("d.jsonl.xz", "not xz at all"), NULL, NULL, &err);
    dup2(saved, 2);
    CHECK_INT(rc, ERR_FORMAT);
    pairs_deinit(&p);
}

TEST(pairs_read_of_no_file_is_an_io_error)
{
    struct pairs p = {0};
    struct err err = {0};
    CHECK_ERR(pairs_read(&p, "/nowhere/at/all.jsonl", NULL, NULL, &err), ERR_IO);
    pairs_deinit(&p);
}
