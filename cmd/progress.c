#include "cmd/progress.h"
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/str.h"

enum { DRAW_MS = 100, LINE_MS = 5000, BAR_MAX = 30 };

void progress_begin(struct progress *p, bool quiet)
{
    *p = (struct progress){
        .quiet = quiet, .terminal = isatty(STDERR_FILENO), .begun_ms = clock_ms()};
    p->last_ms = p->terminal ? 0 : p->begun_ms;
    p->done_at_begin = -1;
}

static int columns(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

static void add_bar(struct buf *b, const struct progress_now *now, int width)
{
    int full = now->total > 0 ? (int)(now->done * width / now->total) : 0;
    buf_char(b, '[');
    for (int i = 0; i < width; i++)
        buf_char(b, i < full ? '#' : '.');
    buf_char(b, ']');
}

/* Time left, from what was done since progress_begin. */
static void add_left(struct buf *b, const struct progress *p, const struct progress_now *now)
{
    int64_t done = now->done - p->done_at_begin;
    double ms = clock_ms() - p->begun_ms;
    if (done < 1 || ms < 1000 || now->total <= now->done)
        return;
    int64_t s = (int64_t)(ms / 1000 * (double)(now->total - now->done) / (double)done + 0.5);
    if (s >= 3600)
        buf_printf(b, "  %lld:%02d:%02d left", (long long)(s / 3600), (int)(s / 60 % 60),
                   (int)(s % 60));
    else
        buf_printf(b, "  %02d:%02d left", (int)(s / 60), (int)(s % 60));
}

static void add_counts(struct buf *b, const struct progress *p, const struct progress_now *now)
{
    if (strcmp(now->unit, "%") == 0)
        buf_printf(b, "  %lld %%", (long long)now->done);
    else
        buf_printf(b, "  %lld/%lld %s", (long long)now->done, (long long)now->total, now->unit);
    if (now->failed)
        buf_printf(b, ", %lld failed", (long long)now->failed);
    double ms = clock_ms() - p->begun_ms;
    if (now->things)
        buf_printf(b, "  %lld %s  %.0f %s/s", (long long)now->n_things, now->things,
                   ms > 0 ? (double)now->n_things * 1000 / ms : 0, now->things);
    add_left(b, p, now);
}

void progress_show(struct progress *p, const struct progress_now *now)
{
    double t = clock_ms();
    if (p->done_at_begin < 0 || now->total != p->total) { /* another stretch of work */
        p->done_at_begin = now->done;
        p->begun_ms = t;
        p->total = now->total;
    }
    if (p->quiet || t - p->last_ms < (p->terminal ? DRAW_MS : LINE_MS))
        return;
    p->last_ms = t;
    struct buf counts = {0}, line = {0};
    add_counts(&counts, p, now);
    buf_printf(&line, "%s  ", now->what);
    int room = columns() - 1, bar = room - (int)(line.len + counts.len) - 2;
    if (p->terminal && bar >= 5)
        add_bar(&line, now, bar < BAR_MAX ? bar : BAR_MAX);
    buf_str(&line, buf_view(&counts));
    if (!line.failed && p->terminal)
        fprintf(stderr, "\r\033[K%.*s", room, line.ptr);
    else if (!line.failed)
        fprintf(stderr, "%s\n", line.ptr);
    p->drawn = true;
    buf_free(&counts);
    buf_free(&line);
}

void progress_end(struct progress *p)
{
    if (p->drawn && p->terminal && !p->quiet)
        fputs("\r\033[K", stderr);
    p->drawn = false;
}
