/* Who holds a stream: its writer (the handler) and its response (the library).
 * The connection is suspended exactly while `asleep` is true, and only then may
 * the writer's side touch it: a suspended connection cannot go away. */
#include "web/stream.h"
#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "web/reply.h"

struct stream {
    struct stream *prev, *next;    /* guarded by the list's lock, as is holders */
    struct streams *all;
    int holders;
    pthread_mutex_t lock;          /* guards the rest; taken after the list's */
    pthread_cond_t moved;
    struct buf out;
    size_t sent;                   /* of out */
    bool asleep, ended, closed;
    double written_ms;
    struct MHD_Connection *conn;
    struct stop *stop;             /* the request's; valid while the writer holds */
};

struct streams {
    pthread_mutex_t lock;          /* guards the list */
    struct stream *first;
};

struct streams *streams_new(void)
{
    struct streams *all = calloc(1, sizeof(*all));
    if (all)
        pthread_mutex_init(&all->lock, NULL);
    return all;
}

void streams_free(struct streams *all)
{
    if (!all)
        return;
    pthread_mutex_destroy(&all->lock);
    free(all);
}

static void let_go(struct stream *s)
{
    struct streams *all = s->all;
    pthread_mutex_lock(&all->lock);
    bool last = --s->holders == 0;
    if (last) {
        if (s->prev)
            s->prev->next = s->next;
        else
            all->first = s->next;
        if (s->next)
            s->next->prev = s->prev;
    }
    pthread_mutex_unlock(&all->lock);
    if (!last)
        return;
    buf_free(&s->out);
    pthread_cond_destroy(&s->moved);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

struct stream *stream_begin(struct request *r)
{
    struct streams *all = r->web->streams;
    struct stream *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->moved, &attr);
    pthread_condattr_destroy(&attr);
    s->all = all;
    s->holders = 2;
    s->conn = r->conn;
    s->stop = &r->stop;
    s->written_ms = clock_ms();
    pthread_mutex_lock(&all->lock);
    s->next = all->first;
    if (all->first)
        all->first->prev = s;
    all->first = s;
    pthread_mutex_unlock(&all->lock);
    r->reply.status = 200;
    r->reply.type = "text/event-stream; charset=utf-8";
    r->reply.stream = s;
    r->state = REQUEST_DONE;
    MHD_resume_connection(r->conn);
    return s;
}

/* Called with the lock. */
static void wake(struct stream *s)
{
    if (!s->asleep)
        return;
    s->asleep = false;
    MHD_resume_connection(s->conn);
}

/* Wait for room, the client's leaving, or `ms`. Called with the lock. */
static void wait_moved(struct stream *s, int ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    long ns = t.tv_nsec + (long)(ms % 1000) * 1000000;
    t.tv_sec += ms / 1000 + ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    pthread_cond_timedwait(&s->moved, &s->lock, &t);
}

/* `text`: whole lines of an event, with the empty one that ends it. */
static bool send_text(struct stream *s, const struct buf *text)
{
    pthread_mutex_lock(&s->lock);
    while (s->out.len - s->sent > STREAM_AHEAD_MAX && !s->closed && !stop_asked(s->stop))
        wait_moved(s, 200);
    bool on = !s->closed && !stop_asked(s->stop);
    if (on) {
        buf_str(&s->out, buf_view(text));
        s->written_ms = clock_ms();
        on = !s->out.failed && !text->failed;
        wake(s);
    }
    pthread_mutex_unlock(&s->lock);
    return on;
}

bool stream_event(struct stream *s, const char *event, const json_t *data)
{
    struct buf text = {0};
    buf_printf(&text, "event: %s\ndata: ", event);
    json_write(&text, data); /* compact: no line feed inside */
    buf_puts(&text, "\n\n");
    bool on = send_text(s, &text);
    buf_free(&text);
    return on;
}

bool stream_data(struct stream *s, struct str data)
{
    struct buf text = {0};
    buf_puts(&text, "data: ");
    buf_str(&text, data);
    buf_puts(&text, "\n\n");
    bool on = send_text(s, &text);
    buf_free(&text);
    return on;
}

bool stream_pause(struct stream *s, int ms)
{
    double until = clock_ms() + ms;
    pthread_mutex_lock(&s->lock);
    while (!s->closed && !stop_asked(s->stop) && clock_ms() < until)
        wait_moved(s, ms < 200 ? ms : 200);
    bool on = !s->closed && !stop_asked(s->stop);
    pthread_mutex_unlock(&s->lock);
    return on;
}

void stream_end(struct stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->ended = true;
    s->stop = NULL;
    wake(s);
    pthread_mutex_unlock(&s->lock);
    let_go(s);
}

long stream_pull(void *stream, uint64_t pos, char *out, size_t max)
{
    struct stream *s = stream;
    (void)pos;
    pthread_mutex_lock(&s->lock);
    size_t n = s->out.len - s->sent;
    if (n > max)
        n = max;
    long got = (long)n;
    if (n > 0) {
        memcpy(out, s->out.ptr + s->sent, n);
        s->sent += n;
        if (s->sent == s->out.len) {
            buf_reset(&s->out);
            s->sent = 0;
        }
        pthread_cond_signal(&s->moved);
    } else if (s->ended) {
        got = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        s->asleep = true;
        MHD_suspend_connection(s->conn);
    }
    pthread_mutex_unlock(&s->lock);
    return got;
}

void stream_closed(void *stream)
{
    struct stream *s = stream;
    pthread_mutex_lock(&s->lock);
    s->closed = true;
    if (s->stop)
        stop_set(s->stop);
    pthread_cond_signal(&s->moved);
    pthread_mutex_unlock(&s->lock);
    let_go(s);
}

/* A comment keeps proxies from closing, and finds clients that left silently. */
void streams_tick(struct streams *all, double now_ms)
{
    pthread_mutex_lock(&all->lock);
    for (struct stream *s = all->first; s; s = s->next) {
        pthread_mutex_lock(&s->lock);
        if (!s->ended && !s->closed && now_ms - s->written_ms >= STREAM_BEAT_MS) {
            buf_puts(&s->out, ": still here\n\n");
            s->written_ms = now_ms;
            wake(s);
        }
        if (s->stop && stop_asked(s->stop)) /* let the library notice a closed socket */
            wake(s);
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_unlock(&all->lock);
}
