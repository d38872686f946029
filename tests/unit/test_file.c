#include "base/file.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/map.h"
#include "tests/test.h"

static const char *in_scratch(const char *name)
{
    static char path[4][512];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof(path[0]), "%s/%s", scratch_dir(), name);
    return p;
}

TEST(file_written_is_read_back_and_leaves_no_neighbour)
{
    const char *path = in_scratch("f");
    struct buf b = {0}, big = {0};
    struct err err;
    for (int i = 0; i < 50000; i++)
        buf_printf(&big, "line %d\n", i);
    CHECK_OK(file_write_atomic(path, STR("first"), &err), &err);
    CHECK_OK(file_write_atomic(path, buf_view(&big), &err), &err);
    CHECK_OK(file_read(path, big.len, &b, &err), &err);
    CHECK(str_eq(buf_view(&b), buf_view(&big)));
    struct stat st;
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    CHECK_INT(stat(scratch_dir(), &st), 0);
    CHECK_INT(unlink(path), 0);
    CHECK_INT(rmdir(scratch_dir()), 0);
    buf_free(&b);
    buf_free(&big);
}

TEST(file_read_past_the_limit_leaves_the_buffer_as_it_was)
{
    const char *path = in_scratch("f");
    struct err err;
    struct buf b = {0};
    buf_puts(&b, "kept");
    CHECK_OK(file_write_atomic(path, STR("0123456789"), &err), &err);
    CHECK_ERR(file_read(path, 9, &b, &err), ERR_LIMIT);
    CHECK_STR(buf_view(&b), "kept");
    CHECK_OK(file_read(path, 10, &b, &err), &err);
    CHECK_STR(buf_view(&b), "kept0123456789");
    CHECK_ERR(file_read("/dev/zero", 1000, &b, &err), ERR_LIMIT); /* whose size says nothing */
    CHECK_MSG(strstr(err.msg, "more than 1000 bytes"), "%s", err.msg);
    CHECK_STR(buf_view(&b), "kept0123456789");
    buf_free(&b);
    struct buf tight = {.max = 10};
    CHECK_OK(file_read(path, 100, &tight, &err), &err);
    CHECK_INT(tight.len, 10);
    buf_free(&tight);
}

TEST(file_that_is_not_there_is_said_to_be_missing)
{
    struct buf b = {0};
    struct err err;
    struct map m;
    const char *path = in_scratch("nothing");
    CHECK_ERR(file_read(path, 10, &b, &err), ERR_NOTFOUND);
    CHECK_MSG(strstr(err.msg, path), "%s", err.msg);
    CHECK_ERR(map_open(path, &m, &err), ERR_NOTFOUND);
    CHECK(!file_exists(path) && file_exists(scratch_dir()));
    CHECK_ERR(file_write_atomic(in_scratch("no/such/dir"), STR("x"), &err), ERR_IO);
}

TEST(file_make_dirs_makes_parents_and_minds_what_is_there)
{
    struct err err;
    CHECK_OK(file_make_dirs(in_scratch("a/b//c/"), &err), &err);
    CHECK_OK(file_make_dirs(in_scratch("a/b/c"), &err), &err);
    CHECK(file_exists(in_scratch("a/b/c")));
    CHECK_OK(file_write_atomic(in_scratch("plain"), STR("x"), &err), &err);
    CHECK_ERR(file_make_dirs(in_scratch("plain"), &err), ERR_IO);
    CHECK_ERR(file_make_dirs(in_scratch("plain/below"), &err), ERR_IO);
}

TEST(file_write_to_a_full_disk_is_a_limit)
{
    int fd = open("/dev/full", O_WRONLY);
    if (fd < 0)
        SKIP("no /dev/full");
    struct err err;
    CHECK_ERR(file_write_all(fd, "x", 1, &err), ERR_LIMIT);
    close(fd);
}

TEST(map_shows_the_bytes_of_regular_files_only)
{
    struct map m;
    struct err err;
    CHECK_OK(file_write_atomic(in_scratch("f"), STR("mapped"), &err), &err);
    CHECK_OK(map_open(in_scratch("f"), &m, &err), &err);
    CHECK_STR(((struct str){(const char *)m.ptr, m.len}), "mapped");
    map_close(&m);
    CHECK_OK(file_write_atomic(in_scratch("e"), STR(""), &err), &err);
    CHECK_OK(map_open(in_scratch("e"), &m, &err), &err);
    CHECK(m.ptr != NULL && m.len == 0);
    map_close(&m);
    CHECK_ERR(map_open(scratch_dir(), &m, &err), ERR_IO);
    CHECK_INT(mkfifo(in_scratch("pipe"), 0600), 0);
    CHECK_ERR(map_open(in_scratch("pipe"), &m, &err), ERR_IO);
}

TEST(map_of_a_file_that_is_cut_short_reads_zeros_and_tells)
{
    struct buf pages = {0};
    struct map m, other;
    struct err err = {0};
    size_t page = map_page();
    for (size_t i = 0; i < 4 * page; i++)
        buf_char(&pages, 'x');
    const char *path = in_scratch("f"), *beside = in_scratch("g");
    CHECK_OK(file_write_atomic(path, buf_view(&pages), &err), &err);
    CHECK_OK(file_write_atomic(beside, buf_view(&pages), &err), &err);
    CHECK_OK(map_open(path, &m, &err), &err);
    CHECK_OK(map_open(beside, &other, &err), &err);
    CHECK_INT(truncate(path, (off_t)page), 0);
    CHECK(!map_torn(&m));
    CHECK_INT(m.ptr[2 * page + 7], 0);
    CHECK_INT(m.ptr[4 * page - 1], 0);
    CHECK(map_torn(&m) && !map_torn(&other));
    CHECK_INT(m.ptr[page - 1], 'x');
    CHECK_INT(other.ptr[2 * page + 7], 'x');
    map_close(&m);
    map_close(&other);
    CHECK_OK(map_open(beside, &m, &err), &err); /* a slot that was used begins anew */
    CHECK(!map_torn(&m));
    map_close(&m);
    buf_free(&pages);
}

TEST(map_copies_what_a_later_writer_cannot_change)
{
    struct buf pages = {0};
    struct map m;
    struct err err = {0};
    size_t page = map_page();
    int fd, w;
    for (size_t i = 0; i < 3 * page; i++)
        buf_char(&pages, 'x');
    const char *path = in_scratch("f");
    CHECK_OK(file_write_atomic(path, buf_view(&pages), &err), &err);
    CHECK_OK(map_begin(path, &m, &fd, &err), &err);
    CHECK_OK(map_copy(&m, fd, 0, page + 5, &err), &err);
    CHECK_OK(map_rest(&m, fd, 2 * page, &err), &err);
    CHECK((w = open(path, O_WRONLY)) >= 0);
    CHECK_INT(pwrite(w, "yy", 2, (off_t)page), 2);
    CHECK_INT(pwrite(w, "yy", 2, (off_t)(2 * page)), 2);
    close(w);
    CHECK_INT(m.ptr[page], 'x');
    CHECK_INT(m.ptr[2 * page], 'y');
    CHECK_INT(truncate(path, 0), 0);
    CHECK_INT(m.ptr[page], 'x');
    CHECK_INT(m.ptr[2 * page], 0);
    CHECK(map_torn(&m));
    map_close(&m);
    CHECK_OK(file_write_atomic(path, buf_view(&pages), &err), &err);
    CHECK_INT(close(fd), 0);
    CHECK_OK(map_begin(path, &m, &fd, &err), &err);
    CHECK_INT(truncate(path, 5), 0);
    CHECK_ERR(map_copy(&m, fd, 0, page, &err), ERR_IO);
    CHECK_MSG(strstr(err.msg, "cut short to 5 bytes"), "%s", err.msg);
    map_close(&m);
    close(fd);
    buf_free(&pages);
}
