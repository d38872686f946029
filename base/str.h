/* base/str.h - views to read, buffers to build.
 *
 * struct str   {ptr, len}, borrowed bytes, not terminated, may hold NULs.
 * struct buf   growing bytes with a stated maximum; always terminated by a
 *              NUL that `len` does not count. A failed append (no memory, or
 *              past `max`) sets `failed`, changes nothing and makes all later
 *              appends no-ops: check once, at the end, with buf_ok.
 * Threads   no state. Memory  buf_free releases; the zero value is an empty
 *              buffer with the maximum BUF_MAX. */
#ifndef CARREL_BASE_STR_H
#define CARREL_BASE_STR_H
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct str { const char *ptr; size_t len; };

#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
#define STR_ARG(s) (int)(s).len, (s).ptr /* for "%.*s" */

struct str str_of(const char *z);                      /* NULL gives the empty view */
struct str str_sub(struct str s, size_t start, size_t end); /* [start, end), clamped */
bool str_eq(struct str a, struct str b);
bool str_eqz(struct str a, const char *z);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_ieq(struct str a, struct str b);              /* ASCII case folded */
struct str str_trim(struct str s);                     /* ASCII space off both ends */
/* Offset of the first `needle` at or after `from`, or SIZE_MAX. */
size_t str_find(struct str s, struct str needle, size_t from);
/* Cut *rest at the first `sep`; false when *rest was exhausted (ptr NULL). */
bool str_split(struct str *rest, char sep, struct str *field);
char *str_dup(struct str s);                           /* yours; NULL without memory */
/* All of `s` as a decimal integer in [min, max], else false. */
bool str_int(struct str s, int64_t min, int64_t max, int64_t *out);
/* Edit distance (Levenshtein) of at most 64 bytes each; for "did you mean". */
int str_distance(struct str a, struct str b);

#define BUF_MAX ((size_t)1 << 31)

struct buf { char *ptr; size_t len, cap, max; bool failed; };

void buf_free(struct buf *b);
void buf_reset(struct buf *b);                         /* empty, keeps the memory */
bool buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_str(struct buf *b, struct str s);
void buf_puts(struct buf *b, const char *z);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);
/* Text as HTML text or attribute value: & < > " ' escaped. */
void buf_html(struct buf *b, struct str s);
/* Percent-encoding of all but RFC 3986 unreserved bytes. */
void buf_url(struct buf *b, struct str s);
struct str buf_view(const struct buf *b);              /* borrowed, until the next change */
/* OK, or ERR_NOMEM / ERR_LIMIT naming `what`. */
enum err_code buf_ok(const struct buf *b, const char *what, struct err *err);
/* Hand the bytes over (yours, release with free); NULL when failed. */
char *buf_take(struct buf *b, size_t *len);
#endif
