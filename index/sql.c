#include "index/sql.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "base/words.h"
#include "index/postings.h"

enum err_code sql_fail(sqlite3 *db, const char *what, struct err *err)
{
    static const struct { int theirs; enum err_code ours; } table[] = {
        {SQLITE_NOMEM, ERR_NOMEM},    {SQLITE_FULL, ERR_LIMIT},       {SQLITE_TOOBIG, ERR_LIMIT},
        {SQLITE_BUSY, ERR_BUSY},      {SQLITE_LOCKED, ERR_BUSY},      {SQLITE_CORRUPT, ERR_FORMAT},
        {SQLITE_NOTADB, ERR_FORMAT},  {SQLITE_CONSTRAINT, ERR_ARG},   {SQLITE_INTERRUPT, ERR_CANCELLED},
        {SQLITE_MISMATCH, ERR_ARG},
    };
    int code = sqlite3_errcode(db) & 0xff;
    enum err_code rc = ERR_IO;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (table[i].theirs == code)
            rc = table[i].ours;
    return err_set(err, rc, "%s: %s", what, sqlite3_errmsg(db));
}

/* The reason first: a statement may be longer than a sentence has room. */
static enum err_code statement_failed(sqlite3 *db, const char *text, struct err *err)
{
    struct err why = {0};
    enum err_code rc = sql_fail(db, "SQLite", &why);
    return err_set(err, rc, "%s (in \"%.60s\")", why.msg, text);
}

/* ---- opening: reference list in ARCHITECTURE.md, "hostile store files" */

static int harden(sqlite3 *db)
{
    static const struct { int limit, value; } limits[] = {
        {SQLITE_LIMIT_LENGTH, 512 << 20},      {SQLITE_LIMIT_SQL_LENGTH, 64 << 10},
        {SQLITE_LIMIT_COLUMN, 64},             {SQLITE_LIMIT_EXPR_DEPTH, 64},
        {SQLITE_LIMIT_COMPOUND_SELECT, 8},     {SQLITE_LIMIT_VDBE_OP, 25000},
        {SQLITE_LIMIT_FUNCTION_ARG, 16},       {SQLITE_LIMIT_ATTACHED, 1},
        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 64},{SQLITE_LIMIT_VARIABLE_NUMBER, 64},
        {SQLITE_LIMIT_TRIGGER_DEPTH, 4},       {SQLITE_LIMIT_WORKER_THREADS, 0},
    };
    int rc = sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (!rc)
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (!rc)
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    if (!rc)
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    if (!rc)
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
        sqlite3_limit(db, limits[i].limit, limits[i].value);
    sqlite3_busy_timeout(db, 5000);
    return rc;
}

static const char *pragmas(enum sql_mode mode)
{
    switch (mode) {
    case SQL_READ:
        return "PRAGMA query_only=ON; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0;"
               "PRAGMA cache_size=-8000; PRAGMA temp_store=MEMORY;";
    case SQL_SCRATCH:
        return "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA cell_size_check=ON;"
               "PRAGMA cache_size=-16000; PRAGMA temp_store=MEMORY;";
    case SQL_WRITE:
        break;
    }
    return "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cell_size_check=ON;"
           "PRAGMA secure_delete=ON; PRAGMA journal_size_limit=67108864; PRAGMA mmap_size=0;"
           "PRAGMA cache_size=-16000; PRAGMA temp_store=MEMORY;";
}

enum err_code sql_open(const char *path, enum sql_mode mode, struct conn **out, struct err *err)
{
    *out = NULL;
    struct conn *c = calloc(1, sizeof(*c));
    if (!c)
        return err_set(err, ERR_NOMEM, "a connection");
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                (mode == SQL_READ ? SQLITE_OPEN_READONLY
                                  : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    enum err_code rc = OK;
    if (sqlite3_open_v2(path, &c->db, flags, NULL) != SQLITE_OK || harden(c->db) != SQLITE_OK ||
        sqlite3_exec(c->db, pragmas(mode), NULL, NULL, NULL) != SQLITE_OK)
        rc = c->db ? sql_fail(c->db, path, err) : err_set(err, ERR_NOMEM, "a connection");
    if (!rc)
        rc = postings_register(c, err);
    if (rc) {
        sql_close(c);
        return rc;
    }
    *out = c;
    return OK;
}

void sql_close(struct conn *c)
{
    if (!c)
        return;
    for (int i = 0; i < SQL_KEPT; i++) {
        sqlite3_finalize(c->kept[i].st);
        free(c->kept[i].text);
    }
    sqlite3_close_v2(c->db);
    words_free(c->words);
    free(c);
}

/* ---- statements */

static sqlite3_stmt *prepared(struct conn *c, const char *text, struct err *err)
{
    uint32_t slot = 2166136261u;
    for (const char *p = text; *p; p++)
        slot = (slot ^ (uint8_t)*p) * 16777619u;
    slot %= SQL_KEPT;
    for (int i = 0; i < 4; i++, slot = (slot + 1) % SQL_KEPT) {
        bool here = c->kept[slot].text && strcmp(c->kept[slot].text, text) == 0;
        if (here && !sqlite3_stmt_busy(c->kept[slot].st))
            return c->kept[slot].st;
        if (!c->kept[slot].text)
            break;
    }
    while (c->kept[slot].st && sqlite3_stmt_busy(c->kept[slot].st))
        slot = (slot + 1) % SQL_KEPT;
    sqlite3_stmt *st = NULL;
    char *copy = str_dup(str_of(text));
    if (!copy || sqlite3_prepare_v3(c->db, text, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL)) {
        if (copy)
            statement_failed(c->db, text, err);
        else
            err_set(err, ERR_NOMEM, "a statement");
        free(copy);
        return NULL;
    }
    sqlite3_finalize(c->kept[slot].st);
    free(c->kept[slot].text);
    c->kept[slot].st = st;
    c->kept[slot].text = copy;
    return st;
}

static int bind_bytes(sqlite3_stmt *st, int at, struct str s, char type)
{
    const char *p = s.ptr ? s.ptr : "";
    return type == 't' ? sqlite3_bind_text64(st, at, p, s.len, SQLITE_STATIC, SQLITE_UTF8)
                       : sqlite3_bind_blob64(st, at, p, s.len, SQLITE_STATIC);
}

static int bind(sqlite3_stmt *st, const char *types, va_list ap)
{
    int rc = SQLITE_OK;
    for (int at = 1; *types && !rc; types++, at++)
        switch (*types) {
        case 'i':
            rc = sqlite3_bind_int64(st, at, va_arg(ap, int64_t));
            break;
        case 'd':
            rc = sqlite3_bind_double(st, at, va_arg(ap, double));
            break;
        case 's':
            rc = sqlite3_bind_text(st, at, va_arg(ap, const char *), -1, SQLITE_STATIC);
            break;
        default:
            rc = bind_bytes(st, at, va_arg(ap, struct str), *types);
        }
    return rc;
}

static sqlite3_stmt *get(struct conn *c, struct err *err, const char *text, const char *types,
                         va_list ap)
{
    sqlite3_stmt *st = prepared(c, text, err);
    if (st && bind(st, types, ap) != SQLITE_OK) {
        statement_failed(c->db, text, err);
        return NULL;
    }
    return st;
}

sqlite3_stmt *sql_get(struct conn *c, struct err *err, const char *text, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    sqlite3_stmt *st = get(c, err, text, types, ap);
    va_end(ap);
    return st;
}

bool sql_next(sqlite3_stmt *st, enum err_code *rc, struct err *err)
{
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        return true;
    *rc = OK;
    if (step != SQLITE_DONE)
        *rc = statement_failed(sqlite3_db_handle(st), sqlite3_sql(st), err);
    sql_done(st);
    return false;
}

void sql_done(sqlite3_stmt *st)
{
    sqlite3_reset(st);
    if (st)
        sqlite3_clear_bindings(st);
}

/* sql_get failed and told `err`, or nobody if err is NULL. */
static enum err_code code_of(struct conn *c, const struct err *err)
{
    if (err && err->code)
        return err->code;
    return sqlite3_errcode(c->db) == SQLITE_OK ? ERR_NOMEM : sql_fail(c->db, "statement", NULL);
}

enum err_code sql_exec(struct conn *c, struct err *err, const char *text, const char *types, ...)
{
    va_list ap;
    enum err_code rc = OK;
    va_start(ap, types);
    sqlite3_stmt *st = get(c, err, text, types, ap);
    va_end(ap);
    if (!st)
        return code_of(c, err);
    while (sql_next(st, &rc, err))
        ;
    return rc;
}

enum err_code sql_int(struct conn *c, int64_t *out, struct err *err, const char *text,
                      const char *types, ...)
{
    va_list ap;
    enum err_code rc = OK;
    va_start(ap, types);
    sqlite3_stmt *st = get(c, err, text, types, ap);
    va_end(ap);
    if (!st)
        return code_of(c, err);
    if (sql_next(st, &rc, err)) {
        *out = sqlite3_column_int64(st, 0);
        sql_done(st);
        return OK;
    }
    return rc ? rc : err_set(err, ERR_NOTFOUND, "no such row");
}

struct str sql_blob(sqlite3_stmt *st, int col)
{
    const char *p = sqlite3_column_blob(st, col);
    return (struct str){p ? p : "", p ? (size_t)sqlite3_column_bytes(st, col) : 0};
}

char *sql_text(sqlite3_stmt *st, int col, struct arena *a)
{
    return arena_strz(a, sql_blob(st, col));
}

void sql_copy(sqlite3_stmt *st, int col, char *out, size_t cap)
{
    struct str s = sql_blob(st, col);
    size_t n = s.len < cap - 1 ? s.len : cap - 1;
    memcpy(out, s.ptr, n);
    out[n] = '\0';
}
