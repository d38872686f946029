#include "base/log.h"
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static atomic_int log_now = LOG_INFO;

void log_set_level(enum log_level level)
{
    atomic_store(&log_now, (int)level);
}

enum log_level log_level(void)
{
    return (enum log_level)atomic_load(&log_now);
}

/* Line feeds and the like would let a value forge a second event. */
static void one_line(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = ' ';
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    static const char *const name[] = {"error", "warn", "info", "debug"};
    if ((int)level > atomic_load(&log_now))
        return;
    char line[2048];
    int room = (int)sizeof(line) - 1; /* the last byte is for the line feed */
    int n = snprintf(line, (size_t)room, "%s %s", name[level], event);
    if (n < 0 || n >= room)
        n = room - 1;
    if (fmt && *fmt && n < room - 1) {
        line[n++] = ' ';
        va_list ap;
        va_start(ap, fmt);
        int more = vsnprintf(line + n, (size_t)(room - n), fmt, ap);
        va_end(ap);
        n += more < 0 ? 0 : more < room - n ? more : room - n - 1;
    }
    line[n] = '\0';
    one_line(line);
    line[n++] = '\n';
    /* One write, so that lines of several threads do not mix. */
    for (int done = 0; done < n;) {
        ssize_t w = write(STDERR_FILENO, line + done, (size_t)(n - done));
        if (w <= 0)
            return;
        done += (int)w;
    }
}

static bool plain(const char *value)
{
    if (!*value)
        return false;
    for (const char *p = value; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c <= ' ' || c == 0x7f || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return true;
}

const char *log_quote(const char *value, char *out, int cap)
{
    static const char hex[] = "0123456789abcdef";
    if (cap < 3) {
        if (cap > 0)
            out[0] = '\0';
        return out;
    }
    if (!value)
        value = "-";
    if (plain(value) && strlen(value) < (size_t)cap) {
        memcpy(out, value, strlen(value) + 1);
        return out;
    }
    int n = 0;
    out[n++] = '"';
    for (const char *p = value; *p && n + 6 <= cap; p++) { /* the longest escape, a quote, a NUL */
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c == '\n') {
            out[n++] = '\\';
            out[n++] = 'n';
        } else if (c < 0x20 || c == 0x7f) {
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        } else {
            out[n++] = (char)c;
        }
    }
    out[n++] = '"';
    out[n] = '\0';
    return out;
}
