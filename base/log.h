/* base/log.h - one event, one line, to stderr: `level area.event key=value ...`.
 *
 * error: someone must act. warn: served, but worse. info: a state changed or a
 * request ended. debug: off by default. Never document text, questions,
 * prompts or keys above debug. Values are quoted when they hold spaces,
 * quotes or control characters, so that one event stays one line.
 * Threads   locks inside. Memory  nothing kept. */
#ifndef CARREL_BASE_LOG_H
#define CARREL_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
enum log_level log_level(void);
/* `event` is "area.event"; `fmt` gives the key=value pairs. */
void log_event(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Write `value` quoted if it must be, into out[cap]; returns out. */
const char *log_quote(const char *value, char *out, int cap);
#define log_error(event, ...) log_event(LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  log_event(LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  log_event(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_event(LOG_DEBUG, event, __VA_ARGS__)
#endif
