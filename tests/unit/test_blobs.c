#include <dirent.h>
#include <unistd.h>
#include "base/file.h"
#include "tests/stores.h"

static int files_in(const char *folder)
{
    char path[500];
    int n = 0;
    snprintf(path, sizeof(path), "%s/%s", scratch_dir(), folder);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

static void put_file(const char *name, const char *text)
{
    char path[500];
    struct err err = {0};
    snprintf(path, sizeof(path), "%s/%s", scratch_dir(), name);
    CHECK_OK(file_write_atomic(path, str_of(text), &err), &err);
}

static bool have_file(const char *name)
{
    char path[500];
    snprintf(path, sizeof(path), "%s/%s", scratch_dir(), name);
    return file_exists(path);
}

TEST(an_upload_is_hashed_as_it_is_written_and_kept_byte_for_byte)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct err err = {0};
    struct buf back = {0};
    struct blob *b;
    struct added added;
    char *path;
    CHECK_OK(blob_begin(x, 100, &b, &err), &err);
    for (int i = 0; i < 10; i++)
        CHECK_OK(blob_write(b, "0123456789", 10, &err), &err);
    CHECK_OK(blob_finish(b, &err), &err);
    CHECK_INT(blob_size(b), 100);
    struct hash128 h = blob_hash(b);
    struct new_document d = {"c", "n", "", "", NULL, b};
    CHECK_OK(index_add(x, &d, 1, &added, &err), &err);
    CHECK_OK(index_blob_path(x, added.id, &a, &path, &err), &err);
    CHECK_OK(file_read(path, 1000, &back, &err), &err);
    CHECK_INT(back.len, 100);
    struct hash128 want = hash128(back.ptr, back.len);
    CHECK(memcmp(&h, &want, sizeof(h)) == 0);
    CHECK_INT(files_in("blobs/tmp"), 0);
    buf_free(&back);
    arena_deinit(&a);
    index_close(x);
}

TEST(an_upload_past_its_limit_is_refused_and_leaves_nothing)
{
    struct index *x = store_new();
    struct blob *b;
    CHECK_ERR(blob_begin(x, 5, &b, NULL), OK);
    CHECK_ERR(blob_write(b, "12345", 5, NULL), OK);
    CHECK_ERR(blob_write(b, "6", 1, NULL), ERR_LIMIT);
    CHECK_INT(files_in("blobs/tmp"), 1);
    blob_drop(b);
    blob_drop(NULL);
    CHECK_INT(files_in("blobs/tmp"), 0);
    index_close(x);
}

TEST(an_unfinished_upload_is_no_document)
{
    struct index *x = store_new();
    struct added added;
    struct blob *b;
    CHECK_ERR(blob_begin(x, 5, &b, NULL), OK);
    struct new_document d = {"c", "n", "", "", NULL, b};
    CHECK_ERR(index_add(x, &d, 1, &added, NULL), ERR_ARG);
    blob_drop(b);
    index_close(x);
}

TEST(a_file_becomes_a_blob_unless_it_is_none_or_too_large)
{
    struct index *x = store_new();
    struct blob *b;
    char path[500];
    put_file("source", "hello");
    snprintf(path, sizeof(path), "%s/source", scratch_dir());
    CHECK_ERR(blob_from_file(x, path, 5, &b, NULL), OK);
    CHECK_INT(blob_size(b), 5);
    blob_drop(b);
    CHECK_ERR(blob_from_file(x, path, 4, &b, NULL), ERR_LIMIT);
    CHECK_ERR(blob_from_file(x, scratch_dir(), 5, &b, NULL), ERR_ARG);
    CHECK_ERR(blob_from_file(x, "/nonexistent/file", 5, &b, NULL), ERR_NOTFOUND);
    CHECK_INT(files_in("blobs/tmp"), 0);
    index_close(x);
}

TEST(a_duplicate_leaves_no_second_file)
{
    struct index *x = store_new();
    struct added d = store_add(x, "a", "same", NULL);
    CHECK(store_add(x, "a", "same", NULL).duplicate);
    CHECK_INT(files_in("blobs/tmp"), 0);
    char folder[16];
    snprintf(folder, sizeof(folder), "blobs/%.2s", d.id);
    CHECK_INT(files_in(folder), 1);
    index_close(x);
}

/* A store that a crash left: its lock file is not empty. */
static void pretend_crash(void)
{
    char path[500];
    snprintf(path, sizeof(path), "%s/lock", scratch_dir());
    FILE *f = fopen(path, "w");
    CHECK(f);
    fputs("1 \n", f);
    fclose(f);
}

TEST(leftovers_of_a_crash_go_and_foreign_files_stay)
{
    struct index *x = store_new();
    struct added d = store_document(x, "a", "kept");
    char own[64];
    index_close(x);
    snprintf(own, sizeof(own), "blobs/%.2s/%s", d.id, d.id);
    file_make_dirs("/", NULL);
    char dir[500];
    snprintf(dir, sizeof(dir), "%s/blobs/00", scratch_dir());
    CHECK_ERR(file_make_dirs(dir, NULL), OK);
    static const char *const ours[] = {
        "blobs/tmp/0123456789abcdef0123456789abcdef.part",
        "blobs/00/00000000000000000000000000000000", "graphs/1.hnsw.Ab12Cd"};
    static const char *const foreign[] = {
        "README.txt", "blobs/tmp/notes", "blobs/00/photo.jpg", "blobs/stray", "graphs/thing",
        "blobs/tmp/x.part", "carrel.db.bak"};
    for (int i = 0; i < 3; i++)
        put_file(ours[i], "x");
    for (int i = 0; i < 7; i++)
        put_file(foreign[i], "x");
    pretend_crash();
    x = store_open(scratch_dir());
    for (int i = 0; i < 3; i++)
        CHECK_MSG(!have_file(ours[i]), "%s is still there", ours[i]);
    for (int i = 0; i < 7; i++)
        CHECK_MSG(have_file(foreign[i]), "%s is gone", foreign[i]);
    CHECK(have_file(own));
    store_check(x);
    index_close(x);
}
