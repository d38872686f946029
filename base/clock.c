#include "base/clock.h"
#include <stdio.h>
#include <time.h>

static double read_ms(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

double clock_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

int64_t clock_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

double clock_cpu_ms(void)
{
    return read_ms(CLOCK_THREAD_CPUTIME_ID);
}

const char *clock_rfc3339(int64_t unix_ms, char out[25])
{
    /* Years 0000 to 9999, the range RFC 3339 has digits for. */
    const int64_t first = -62167219200000, last = 253402300799999;
    unix_ms = unix_ms < first ? first : unix_ms > last ? last : unix_ms;
    int ms = (int)(unix_ms % 1000);
    time_t s = (time_t)(unix_ms / 1000);
    if (ms < 0) {
        ms += 1000;
        s--;
    }
    struct tm tm;
    gmtime_r(&s, &tm);
    char text[72]; /* as wide as the compiler fears six ints to be */
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ms);
    snprintf(out, 25, "%.24s", text);
    return out;
}
