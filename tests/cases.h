/* tests/cases.h - text in, text out: files of lines `input => expected`.
 *
 * Lines that are empty or begin with `#` are left out. In both halves \n, \t,
 * \f, \r, \\ and \u{1F600} mean what they mean in C. The tests run in the
 * repository's root, where tests/cases/ lies. */
#ifndef CARREL_TESTS_CASES_H
#define CARREL_TESTS_CASES_H
#include "base/file.h"
#include "base/utf8.h"
#include "tests/test.h"

static struct str cases_unescape(struct str s, struct buf *b)
{
    buf_reset(b);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != '\\' || i + 1 == s.len) {
            buf_char(b, s.ptr[i]);
            continue;
        }
        char c = s.ptr[++i];
        if (c == 'u') {
            utf8_encode(b, (uint32_t)strtoul(s.ptr + i + 2, NULL, 16));
            while (i < s.len && s.ptr[i] != '}')
                i++;
        } else {
            buf_char(b, c == 'n' ? '\n' : c == 't' ? '\t' : c == 'f' ? '\f' : c == 'r' ? '\r' : c);
        }
    }
    return buf_view(b);
}

/* Call fn(input) on every case; what it leaves in `out` must equal `expected`. */
static inline void cases_run(const char *path, void (*fn)(struct str input, struct buf *out))
{
    struct err err = {0};
    struct buf file = {0}, input = {0}, want = {0}, out = {0};
    CHECK_OK(file_read(path, 1 << 20, &file, &err), &err);
    struct str rest = buf_view(&file), line;
    int n = 0, wrong = 0;
    for (int number = 1; str_split(&rest, '\n', &line); number++) {
        size_t arrow = str_find(line, STR(" => "), 0);
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        CHECK_MSG(arrow != SIZE_MAX, "%s:%d has no ` => `", path, number);
        struct str given = cases_unescape(str_sub(line, 0, arrow), &input);
        struct str expected = cases_unescape(str_sub(line, arrow + 4, line.len), &want);
        buf_reset(&out);
        fn(given, &out);
        n++;
        if (str_eq(buf_view(&out), expected))
            continue;
        wrong++;
        printf("%s:%d: got  %s\n    %s:%d: want %s\n", path, number, out.ptr ? out.ptr : "", path,
               number, want.ptr ? want.ptr : "");
    }
    buf_free(&file);
    buf_free(&input);
    buf_free(&want);
    buf_free(&out);
    fflush(stdout);
    CHECK_MSG(wrong == 0, "%d of %d cases in %s", wrong, n, path);
    CHECK(n > 0);
}
#endif
