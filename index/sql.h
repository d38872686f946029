/* index/sql.h - one connection to the store: statements, bindings, rows, errors.
 *
 * SQL texts are literals (a words table's number apart); everything that comes
 * from outside is bound. Statements are prepared once a connection and kept.
 * Bindings, one letter each in `types`: i int64_t, d double, s const char *
 * (NULL binds NULL), t struct str as text, b struct str as blob.
 * Threads   a connection is one owner's at a time.
 * Memory    columns are borrowed until the next step. */
#ifndef CARREL_INDEX_SQL_H
#define CARREL_INDEX_SQL_H
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

extern const char sql_schema[];   /* schema.sql */

struct words;
#define SQL_KEPT 128
struct conn {
    struct conn *next;            /* in the pool of readers */
    sqlite3 *db;
    struct words *words;          /* of the FTS5 tokenizer (postings.c) */
    int64_t n_words;              /* the tokenizer counted since it was last zeroed */
    struct { char *text; sqlite3_stmt *st; } kept[SQL_KEPT];
};

enum sql_mode { SQL_READ, SQL_WRITE, SQL_SCRATCH /* write without syncs */ };
/* Open and harden; the file must exist unless writing. */
enum err_code sql_open(const char *path, enum sql_mode mode, struct conn **out, struct err *err);
void sql_close(struct conn *c);

/* The statement, bound and ready to step; NULL on failure. */
sqlite3_stmt *sql_get(struct conn *c, struct err *err, const char *text, const char *types, ...);
/* Step: true for a row. At the end, and on failure (*rc), the statement is reset. */
bool sql_next(sqlite3_stmt *st, enum err_code *rc, struct err *err);
void sql_done(sqlite3_stmt *st);              /* leave before the last row; NULL is fine */
/* Without rows, or with one that nobody wants. */
enum err_code sql_exec(struct conn *c, struct err *err, const char *text, const char *types, ...);
/* The first column of the first row; ERR_NOTFOUND without one. */
enum err_code sql_int(struct conn *c, int64_t *out, struct err *err, const char *text,
                      const char *types, ...);
struct str sql_blob(sqlite3_stmt *st, int col);
char *sql_text(sqlite3_stmt *st, int col, struct arena *a);   /* "" for NULL; NULL without memory */
void sql_copy(sqlite3_stmt *st, int col, char *out, size_t cap);   /* cut to fit, terminated */
/* What sqlite's last failure means. */
enum err_code sql_fail(sqlite3 *db, const char *what, struct err *err);
#endif
