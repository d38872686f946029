#include "cmd/cmd.h"
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/utf8.h"

enum cmd_exit cmd_exit_of(enum err_code code)
{
    switch (code) {
    case OK:
        return CMD_OK;
    case ERR_ARG:
        return CMD_USAGE;
    case ERR_NOTFOUND:
        return CMD_NOTHING;
    case ERR_BUSY:
        return CMD_LOCKED;
    case ERR_INCOMPATIBLE:
        return CMD_INCOMPATIBLE;
    default:
        return CMD_FAILED;
    }
}

/* The word that stands in {"error": {"code": ...}}. */
static const char *word_of(int status)
{
    switch (status) {
    case CMD_USAGE:
        return "invalid_argument";
    case CMD_PARTIAL:
        return "partial";
    case CMD_NOTHING:
        return "not_found";
    case CMD_FINDINGS:
        return "findings";
    case CMD_NO_STORE:
        return "no_store";
    case CMD_LOCKED:
        return "locked";
    case CMD_AUTH:
        return "unauthorized";
    case CMD_INCOMPATIBLE:
        return "incompatible";
    default:
        return "failed";
    }
}

/* A signal handler finds its flags in no other way. */
static struct stop stopping;
static volatile sig_atomic_t caught;

static int complain(const struct cmd *c, int status, const char *text)
{
    fflush(stdout);
    if (!caught) /* who ended it knows why it ended */
        fprintf(stderr, "carrel: %s\n", text);
    if (c && c->json)
        cmd_json(json_pack("{s:{s:s,s:o}}", "error", "code", word_of(status), "message",
                           json_text(str_of(text))));
    return cmd_done(status);
}

int cmd_fail(const struct cmd *c, enum err_code code, const struct err *err)
{
    return complain(c, (int)cmd_exit_of(code), err->msg);
}

int cmd_exit_with(const struct cmd *c, enum cmd_exit status, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return complain(c, (int)status, text);
}

/* What a terminal would obey is shown as the replacement character. */
static void put_text(FILE *to, struct str text)
{
    for (size_t i = 0; i < text.len;) {
        uint32_t cp;
        int n = utf8_decode(text, i, &cp);
        bool shown = cp == '\n' || cp == '\t' || !utf8_is_control(cp);
        if (shown && !(cp == 0xFFFD && n == 1))
            fwrite(text.ptr + i, 1, (size_t)n, to);
        else
            fputs("\xEF\xBF\xBD", to);
        i += (size_t)n;
    }
}

void cmd_note(const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    fflush(stdout);
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    put_text(stderr, buf_view(&text));
    fputc('\n', stderr);
    buf_free(&text);
}

void cmd_finding(const struct cmd *c, int *n, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    ++*n;
    if (c->json) {
        cmd_json(json_pack("{s:o}", "finding", json_text(str_of(text))));
        return;
    }
    fputs("finding: ", stdout);
    cmd_text(str_of(text));
    putchar('\n');
}

void cmd_json(json_t *value)
{
    struct buf b = {0};
    if (value)
        json_write(&b, value);
    buf_char(&b, '\n');
    if (!value || b.failed)
        fprintf(stderr, "carrel: no memory to write the result\n");
    else
        fwrite(b.ptr, 1, b.len, stdout);
    fflush(stdout);
    buf_free(&b);
    json_decref(value);
}

void cmd_text(struct str text)
{
    put_text(stdout, text);
}

void cmd_join(struct buf *b, int n, char **words)
{
    for (int i = 0; i < n; i++) {
        buf_puts(b, i ? " " : "");
        buf_puts(b, words[i]);
    }
}

/* `carrel ls | head`: who reads has seen enough. */
static bool reader_left(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

int cmd_done(int status)
{
    if ((fflush(stdout) == 0 && !ferror(stdout)) || reader_left())
        return status;
    fprintf(stderr, "carrel: standard output could not be written\n");
    return status ? status : CMD_FAILED;
}

/* Safe in a handler. */
static void end_by(int number)
{
    signal(number, SIG_DFL);
    raise(number);
}

static void on_signal(int number)
{
    if (number == SIGINT && stop_asked(&stopping))
        end_by(number);
    caught = number;
    stop_set(&stopping);
}

bool cmd_interrupted(void)
{
    return caught;
}

void cmd_end_by_signal(void)
{
    if (caught)
        end_by(caught);
}

struct stop *cmd_catch_signals(void)
{
    struct sigaction act = {.sa_handler = on_signal};
    sigemptyset(&act.sa_mask);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    signal(SIGPIPE, SIG_IGN);
    return &stopping;
}

const char *cmd_neighbour(const char *name)
{
    static char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n <= 0)
        return name;
    path[n] = 0;
    char *slash = strrchr(path, '/');
    size_t room = sizeof(path) - (size_t)(slash + 1 - path);
    return snprintf(slash + 1, room, "%s", name) < (int)room ? path : name;
}
