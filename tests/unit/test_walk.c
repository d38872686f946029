#include "cmd/walk.h"
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "tests/test.h"

static void write_file(const char *relative, const char *text)
{
    char path[600], *slash;
    struct err err;
    snprintf(path, sizeof(path), "%s/%s", scratch_dir(), relative);
    slash = strrchr(path, '/');
    *slash = 0;
    CHECK_OK(file_make_dirs(path, &err), &err);
    *slash = '/';
    CHECK_OK(file_write_atomic(path, str_of(text), &err), &err);
}

static const char *below(const char *relative)
{
    static char path[600];
    snprintf(path, sizeof(path), "%s/%s", scratch_dir(), relative);
    return path;
}

/* The names that walking `relative` finds, joined by spaces. */
static const char *names_of(const char *relative)
{
    static char names[2000];
    struct walk w = {0};
    struct err err;
    CHECK_OK(walk_add(&w, below(relative), NULL, &err), &err);
    names[0] = 0;
    for (size_t i = 0; i < w.n; i++) {
        strcat(names, i ? " " : "");
        strcat(names, w.files[i].name);
    }
    walk_free(&w);
    return names;
}

TEST(walk_names_files_by_their_path_from_the_parent_of_the_folder)
{
    write_file("docs/b.txt", "b");
    write_file("docs/a/c.txt", "c");
    CHECK_STR(str_of(names_of("docs")), "docs/a/c.txt docs/b.txt");
    CHECK_STR(str_of(names_of("docs/")), "docs/a/c.txt docs/b.txt");
    CHECK_STR(str_of(names_of("docs/a/..")), "docs/a/c.txt docs/b.txt");
    CHECK_STR(str_of(names_of("docs/a")), "a/c.txt");
    CHECK_STR(str_of(names_of("docs/b.txt")), "b.txt");
}

TEST(walk_leaves_out_hidden_files_and_takes_one_that_is_named)
{
    write_file("d/.git/config", "x");
    write_file("d/.hidden", "x");
    write_file("d/seen", "x");
    CHECK_STR(str_of(names_of("d")), "d/seen");
    CHECK_STR(str_of(names_of("d/.hidden")), ".hidden");
}

TEST(walk_obeys_carrelignore_below_its_folder)
{
    write_file("d/.carrelignore", "# what we do not want\n*.bak\nold/\n/top.txt\nsub/x.*\n\n");
    write_file("d/a.bak", "");
    write_file("d/top.txt", "");
    write_file("d/old/a.txt", "");
    write_file("d/sub/a.bak", "");
    write_file("d/sub/old", "a file, no folder");
    write_file("d/sub/top.txt", "");
    write_file("d/sub/x.txt", "");
    CHECK_STR(str_of(names_of("d")), "d/sub/old d/sub/top.txt");
    CHECK_STR(str_of(names_of("d/sub")), "sub/a.bak sub/old sub/top.txt sub/x.txt");
}

TEST(walk_follows_links_to_files_but_not_to_folders)
{
    char target[600];
    write_file("d/a/real.txt", "x");
    snprintf(target, sizeof(target), "%s", below("d/a/real.txt"));
    CHECK(symlink(target, below("d/link.txt")) == 0);
    CHECK(symlink("..", below("d/a/loop")) == 0);
    CHECK(symlink("nowhere", below("d/dangling")) == 0);
    CHECK_STR(str_of(names_of("d")), "d/a/real.txt d/link.txt");
}

TEST(walk_passes_over_what_is_no_file)
{
    write_file("d/a", "x");
    CHECK(mkfifo(below("d/pipe"), 0600) == 0);
    CHECK_STR(str_of(names_of("d")), "d/a");
}

TEST(walk_makes_names_utf8_without_controls)
{
    write_file("d/caf\xe9\n.txt", "x");
    CHECK_STR(str_of(names_of("d")), "d/caf\xEF\xBF\xBD_.txt");
}

TEST(walk_refuses_two_files_of_one_name_but_not_one_file_twice)
{
    struct walk w = {0};
    struct err err;
    write_file("x/a.txt", "1");
    write_file("y/a.txt", "2");
    CHECK_OK(walk_add(&w, below("x/a.txt"), NULL, &err), &err);
    CHECK_OK(walk_add(&w, below("x/a.txt"), NULL, &err), &err);
    CHECK_OK(walk_check(&w, &err), &err);
    CHECK_OK(walk_add(&w, below("y/a.txt"), NULL, &err), &err);
    CHECK_ERR(walk_check(&w, &err), ERR_ARG);
    walk_free(&w);
}

TEST(walk_of_nothing_says_so)
{
    struct walk w = {0};
    struct err err;
    CHECK_ERR(walk_add(&w, below("nowhere"), NULL, &err), ERR_NOTFOUND);
    CHECK_INT(w.n, 0);
    walk_free(&w);
}
