#include "llm/stops.h"
#include "base/utf8.h"

/* back[i]: the longest proper prefix of text[0..i] that is also its end. At most
 * 255, as a text has at most 256 bytes. */
static void find_borders(struct stops_text *t)
{
    int k = 0;
    t->back[0] = 0;
    for (size_t i = 1; i < t->text.len; i++) {
        while (k > 0 && t->text.ptr[i] != t->text.ptr[k])
            k = t->back[k - 1];
        if (t->text.ptr[i] == t->text.ptr[k])
            k++;
        t->back[i] = (uint8_t)k;
    }
}

enum err_code stops_init(struct stops *s, const struct str *texts, int n, struct err *err)
{
    *s = (struct stops){0};
    if (n < 0 || n > STOPS_MAX)
        return err_set(err, ERR_ARG, "%d stop texts: at most %d", n, STOPS_MAX);
    for (int i = 0; i < n; i++) {
        if (texts[i].len < 1 || texts[i].len > STOPS_BYTES_MAX)
            return err_set(err, ERR_ARG, "stop text %d has %zu bytes: need 1 to %d", i + 1,
                           texts[i].len, STOPS_BYTES_MAX);
        if (!utf8_valid(texts[i]))
            return err_set(err, ERR_ARG, "stop text %d is no UTF-8", i + 1);
        s->texts[i].text = texts[i];
        find_borders(&s->texts[i]);
    }
    s->n = n;
    return OK;
}

/* One byte of the answer; true when the text is whole. */
static bool advance(struct stops_text *t, char c)
{
    while (t->at > 0 && t->text.ptr[t->at] != c)
        t->at = t->back[t->at - 1];
    if (t->text.ptr[t->at] == c)
        t->at++;
    return (size_t)t->at == t->text.len;
}

/* The held bytes and `c` behind them, but for the last `keep`, which may include c. */
static void release(struct buf *out, struct str held, char c, size_t keep)
{
    size_t n = held.len + 1 - keep;
    buf_add(out, held.ptr, n < held.len ? n : held.len);
    if (keep == 0)
        buf_char(out, c);
}

static struct str held_text(const struct stops *s)
{
    const struct stops_text *t = &s->texts[s->longest];
    return str_sub(t->text, 0, (size_t)t->at);
}

/* True: a stop text ends with `c`. */
static bool take_byte(struct stops *s, char c, struct buf *out)
{
    struct str held = held_text(s);
    int longest = 0, whole = -1;
    for (int i = 0; i < s->n; i++) {
        struct stops_text *t = &s->texts[i];
        if (advance(t, c) && (whole < 0 || t->at > s->texts[whole].at))
            whole = i;
        if (t->at > s->texts[longest].at)
            longest = i;
    }
    s->longest = whole < 0 ? longest : whole;
    release(out, held, c, (size_t)s->texts[s->longest].at);
    return whole >= 0;
}

bool stops_take(struct stops *s, struct str text, struct buf *out)
{
    if (s->n == 0) {
        buf_str(out, text);
        return false;
    }
    for (size_t i = 0; i < text.len; i++)
        if (take_byte(s, text.ptr[i], out))
            return true;
    return false;
}

void stops_end(struct stops *s, struct buf *out)
{
    if (s->n > 0)
        buf_str(out, held_text(s));
    for (int i = 0; i < s->n; i++)
        s->texts[i].at = 0;
    s->longest = 0;
}
