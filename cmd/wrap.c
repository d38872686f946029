#include "cmd/wrap.h"
#include <sys/ioctl.h>
#include <unistd.h>
#include "base/utf8.h"

enum { COLUMNS_MAX = 100, COLUMNS_MIN = 20 };

int wrap_columns(void)
{
    struct winsize s;
    if (!isatty(STDOUT_FILENO))
        return 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &s) != 0 || s.ws_col < COLUMNS_MIN)
        return 80;
    return s.ws_col < COLUMNS_MAX ? s.ws_col : COLUMNS_MAX;
}

static void new_line(struct wrap *w, struct buf *out)
{
    buf_char(out, '\n');
    for (w->column = 0; w->column < w->indent; w->column++)
        buf_char(out, ' ');
}

static void put_word(struct wrap *w, struct buf *out)
{
    if (!w->word.len)
        return;
    bool begins = w->column <= w->indent;
    if (!begins && w->column + w->blank + w->word_width > w->width) {
        new_line(w, out);
    } else if (w->blank && !begins) {
        buf_char(out, ' ');
        w->column++;
    }
    buf_str(out, buf_view(&w->word));
    w->column += w->word_width;
    w->word.len = 0;
    w->word_width = 0;
    w->blank = false;
}

void wrap_add(struct wrap *w, struct str text, struct buf *out)
{
    if (!w->width) {
        buf_str(out, text);
        return;
    }
    for (size_t i = 0; i < text.len;) {
        uint32_t cp;
        int len = utf8_decode(text, i, &cp);
        bool wide = utf8_is_cjk(cp);
        if (wide || utf8_is_space(cp))
            put_word(w, out);
        if (cp == '\n') {
            new_line(w, out);
            w->blank = false;
        } else if (utf8_is_space(cp)) {
            w->blank = true;
        } else {
            buf_add(&w->word, text.ptr + i, (size_t)len);
            w->word_width += wide ? 2 : !utf8_is_mark(cp);
        }
        i += (size_t)len;
    }
}

void wrap_end(struct wrap *w, struct buf *out)
{
    put_word(w, out);
    buf_free(&w->word);
    w->column = 0;
    w->blank = false;
}
