/* Conversations: who said what, in order. */
#include <string.h>
#include "base/clock.h"
#include "base/hash.h"
#include "base/rng.h"
#include "index/index_int.h"

struct saying {
    uint8_t raw[16];
    bool fresh;
    const char *role;
    struct str content;
};

static enum err_code say(struct conn *c, void *arg, struct err *err)
{
    const struct saying *s = arg;
    int64_t now = clock_now_ms();
    struct str id = {(const char *)s->raw, 16};
    enum err_code rc;
    if (s->fresh) {
        rc = sql_exec(c, err, "INSERT INTO conversations VALUES (?1, ?2, ?2)", "bi", id, now);
    } else {
        rc = sql_exec(c, err, "UPDATE conversations SET updated_ms = ?2 WHERE id = ?1", "bi", id,
                      now);
        if (!rc && sqlite3_changes(c->db) == 0)
            rc = err_set(err, ERR_NOTFOUND, "no such conversation");
    }
    if (!rc)
        rc = sql_exec(c, err, "INSERT INTO messages (conversation, role, content, created_ms) "
                              "VALUES (?1, ?2, ?3, ?4)",
                      "bsti", id, s->role, s->content, now);
    return rc;
}

enum err_code index_conversation_add(struct index *x, char id[33], const char *role,
                                     struct str content, struct err *err)
{
    struct saying s = {.fresh = id[0] == '\0', .role = role, .content = content};
    if (strlen(role) < 1 || strlen(role) > 15 || content.len > (size_t)16 << 20)
        return err_set(err, ERR_ARG, "a message of %zu bytes by \"%.20s\"", content.len, role);
    if (s.fresh)
        rng_secret(s.raw, sizeof(s.raw));
    else if (!hash_unhex(str_of(id), s.raw, 16))
        return err_set(err, ERR_NOTFOUND, "no conversation \"%.40s\"", id);
    enum err_code rc = writer_run(&x->writer, say, NULL, &s, err);
    if (!rc && s.fresh)
        hash_hex(s.raw, 16, id);
    return rc;
}

enum err_code index_conversation(struct index *x, const char *id, struct arena *a,
                                 struct message **out, int *n, struct err *err)
{
    uint8_t raw[16];
    int64_t count = 0;
    *n = 0;
    if (!hash_unhex(str_of(id), raw, 16))
        return err_set(err, ERR_NOTFOUND, "no conversation \"%.40s\"", id);
    struct conn *c = reader_begin(x, err);
    if (!c)
        return ERR_IO;
    struct str key = {(const char *)raw, 16};
    sqlite3_stmt *st = NULL;
    enum err_code rc = sql_int(c, &count, err,
                               "SELECT count(*) FROM messages WHERE conversation = ?1", "b", key);
    if (!rc && count == 0)
        rc = err_set(err, ERR_NOTFOUND, "no conversation %s", id);
    if (!rc && !(*out = arena_alloc(a, (size_t)count, sizeof(**out))))
        rc = err_set(err, ERR_NOMEM, "%lld messages", (long long)count);
    if (!rc && !(st = sql_get(c, err, "SELECT role, content, created_ms FROM messages "
                                      "WHERE conversation = ?1 ORDER BY id", "b", key)))
        rc = ERR_IO;
    while (!rc && *n < count && sql_next(st, &rc, err)) {
        struct message *m = &(*out)[(*n)++];
        sql_copy(st, 0, m->role, sizeof(m->role));
        m->content = sql_text(st, 1, a);
        m->created_ms = sqlite3_column_int64(st, 2);
        if (!m->content)
            rc = err_set(err, ERR_NOMEM, "a message");
    }
    sql_done(st);
    reader_end(x, c);
    return rc;
}
