/* base/clock.h - time: monotonic to measure, RFC 3339 UTC to tell. */
#ifndef CARREL_BASE_CLOCK_H
#define CARREL_BASE_CLOCK_H
#include <stdint.h>

double clock_ms(void);                     /* monotonic */
int64_t clock_now_ms(void);                /* Unix time, milliseconds */
double clock_cpu_ms(void);                 /* processor time of this thread */
/* "2026-11-20T18:01:02.345Z" into out[25]; returns out. */
const char *clock_rfc3339(int64_t unix_ms, char out[25]);
#endif
