/* A filter over metadata, resolved to the chunks it allows.
 *
 * A document's chunks have consecutive ids, so a set of documents is a short
 * list of spans, and asking whether a chunk belongs is a binary search.
 *
 * Looking at 25,000 documents took 70 ms while SQLite read the JSON of each.
 * Now equal metadata is read once (documents of a kind carry the same), and a
 * shelf remembers its last filters until one of its documents changes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/json.h"
#include "index/index_int.h"

#define FIELDS_MAX 16
#define VALUES_MAX 256

#define MEMO 256   /* metadata texts whose verdict is remembered during one walk */

/* Does one document pass one field? Values are compared as JSON
 * compares them: text with text, numbers with numbers, true with true. A list in
 * the metadata passes when any of its members does. */
static const char *const METADATA =
    "SELECT 1 FROM json_each(?1, ?2) WHERE "
    "(?3 = 't' AND type = 'text' AND value = ?4) OR "
    "(?3 = 'n' AND type IN ('integer', 'real') AND value = ?5) OR "
    "(?3 = 'b' AND type = CASE WHEN ?5 THEN 'true' ELSE 'false' END) OR "
    "(?3 = 'z' AND type = 'null') LIMIT 1";

static enum err_code check_value(const char *field, const json_t *v, struct err *err)
{
    if (json_is_string(v) || json_is_number(v) || json_is_boolean(v) || json_is_null(v))
        return OK;
    return err_set(err, ERR_ARG, "filter.%.64s: want a text, number, true, false, null or a list "
                                 "of them", field);
}

static enum err_code check(const json_t *f, struct err *err)
{
    const char *key;
    json_t *v, *one;
    size_t i;
    enum err_code rc = OK;
    if (!json_is_object(f) || json_object_size(f) > FIELDS_MAX)
        return err_set(err, ERR_ARG, "filter: want an object of at most %d fields", FIELDS_MAX);
    json_object_foreach ((json_t *)f, key, v) {
        if (strlen(key) > 128 || strchr(key, '"'))
            return err_set(err, ERR_ARG, "filter: a field's name has at most 128 bytes, no quotes");
        if (!json_is_array(v))
            rc = check_value(key, v, err);
        else if (json_array_size(v) > VALUES_MAX)
            rc = err_set(err, ERR_ARG, "filter.%s: more than %d values", key, VALUES_MAX);
        else
            json_array_foreach (v, i, one)
                rc = rc ? rc : check_value(key, one, err);
        if (rc)
            return rc;
    }
    return OK;
}

/* The columns a filter reads of a document. */
struct row { struct str metadata, name, mime, id; };

static enum err_code in_metadata(struct conn *c, const struct row *r, const char *path,
                                 const json_t *v, bool *yes, struct err *err)
{
    enum err_code rc = OK;
    const char *type = json_is_string(v)    ? "t"
                       : json_is_number(v)  ? "n"
                       : json_is_boolean(v) ? "b"
                                            : "z";
    double number = json_is_number(v) ? json_number_value(v) : json_is_true(v);
    sqlite3_stmt *st = sql_get(c, err, METADATA, "tsssd", r->metadata, path, type,
                               json_string_value(v), number);
    if (!st)
        return ERR_IO;
    *yes = sql_next(st, &rc, err);
    sql_done(st);
    return rc;
}

static enum err_code matches(struct conn *c, const struct row *r, const char *field,
                             const json_t *v, bool *yes, struct err *err)
{
    char path[160];
    struct str text = json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)}
                                        : (struct str){0};
    if (strcmp(field, "name") == 0) {
        *yes = text.ptr && str_eq(text, r->name);
    } else if (strcmp(field, "mime") == 0) {
        *yes = text.ptr && str_eq(text, r->mime);
    } else if (strcmp(field, "document_id") == 0) {
        uint8_t raw[16];
        *yes = text.ptr && hash_unhex(text, raw, 16) &&
               str_eq((struct str){(char *)raw, 16}, r->id);
    } else {
        snprintf(path, sizeof(path), "$.\"%s\"", field);
        return in_metadata(c, r, path, v, yes, err);
    }
    return OK;
}

static enum err_code any_matches(struct conn *c, const struct row *r, const char *field,
                                 const json_t *v, bool *any, struct err *err)
{
    enum err_code rc = OK;
    *any = false;
    if (!json_is_array(v))
        return matches(c, r, field, v, any, err);
    for (size_t i = 0; i < json_array_size(v) && !*any && !rc; i++)
        rc = matches(c, r, field, json_array_get(v, i), any, err);
    return rc;
}

static bool is_column(const char *field)
{
    return strcmp(field, "name") == 0 || strcmp(field, "mime") == 0 ||
           strcmp(field, "document_id") == 0;
}

/* All fields of one sort: columns of the row, or members of its metadata. */
static enum err_code passes(struct conn *c, const struct row *r, const json_t *f, bool columns,
                            bool *yes, struct err *err)
{
    const char *key;
    json_t *v;
    *yes = true;
    json_object_foreach ((json_t *)f, key, v) {
        if (is_column(key) != columns)
            continue;
        enum err_code rc = any_matches(c, r, key, v, yes, err);
        if (rc || !*yes)
            return rc;
    }
    return OK;
}

struct memo { char *text; size_t len; bool yes; };

/* As passes, for metadata: texts seen before are compared, not read. */
static enum err_code metadata_passes(struct conn *c, const struct row *r, const json_t *f,
                                     struct memo *memo, bool *yes, struct err *err)
{
    struct memo *m = &memo[hash64(r->metadata.ptr, r->metadata.len, 0) % MEMO];
    if (m->text && m->len == r->metadata.len && memcmp(m->text, r->metadata.ptr, m->len) == 0) {
        *yes = m->yes;
        return OK;
    }
    enum err_code rc = passes(c, r, f, false, yes, err);
    free(m->text);
    *m = (struct memo){rc ? NULL : memdup(r->metadata.ptr, r->metadata.len), r->metadata.len, *yes};
    return rc;
}

static enum err_code add_span(struct filter *out, size_t *cap, struct span s, struct err *err)
{
    if (out->n > 0 && out->spans[out->n - 1].last == s.first) {
        out->spans[out->n - 1].last = s.last;
    } else {
        if (out->n == *cap) {
            *cap = *cap ? 2 * *cap : 64;
            struct span *v = realloc(out->spans, *cap * sizeof(*v));
            if (!v)
                return err_set(err, ERR_NOMEM, "a filter");
            out->spans = v;
        }
        out->spans[out->n++] = s;
    }
    out->chunks += s.last - s.first;
    return OK;
}

static enum err_code walk_rows(struct conn *c, sqlite3_stmt *st, const json_t *f,
                               struct memo *memo, struct filter *out, struct err *err)
{
    enum err_code rc = OK;
    size_t cap = 0;
    while (!rc && sql_next(st, &rc, err)) {
        struct row r = {sql_blob(st, 0), sql_blob(st, 1), sql_blob(st, 2), sql_blob(st, 3)};
        int64_t first = sqlite3_column_int64(st, 4);
        struct span s = {first, first + sqlite3_column_int64(st, 5)};
        bool yes;
        rc = passes(c, &r, f, true, &yes, err);
        if (!rc && yes)
            rc = metadata_passes(c, &r, f, memo, &yes, err);
        if (!rc && yes)
            rc = add_span(out, &cap, s, err);
    }
    sql_done(st);
    return rc;
}

static enum err_code walk(struct conn *c, const struct shelf *s, const json_t *f,
                          struct filter *out, struct err *err)
{
    sqlite3_stmt *st = sql_get(
        c, err, "SELECT metadata, name, mime, id, first_chunk, chunks FROM documents "
                "WHERE collection = ?1 AND state = ?2 AND chunks > 0 ORDER BY first_chunk",
        "ii", s->id, (int64_t)DOC_READY);
    struct memo *memo = calloc(MEMO, sizeof(*memo));
    enum err_code rc = st && memo ? walk_rows(c, st, f, memo, out, err)
                                  : err_set(err, ERR_NOMEM, "a filter");
    for (int i = 0; memo && i < MEMO; i++)
        free(memo[i].text);
    free(memo);
    return rc;
}

/* ---- the last filters of a shelf */

static bool recall(struct shelf *s, uint64_t changes, const char *json, struct arena *a,
                   struct filter *out)
{
    bool found = false;
    pthread_mutex_lock(&s->filters_lock);
    for (int i = 0; i < FILTERS_KEPT && !found; i++) {
        const struct kept_filter *k = &s->filters[i];
        if (!k->json || k->changes != changes || strcmp(k->json, json) != 0)
            continue;
        struct span *spans = arena_alloc(a, k->filter.n + 1, sizeof(*spans));
        found = spans != NULL;
        if (found) {
            if (k->filter.n)
                memcpy(spans, k->filter.spans, k->filter.n * sizeof(*spans));
            *out = k->filter;
            out->spans = spans;
        }
    }
    pthread_mutex_unlock(&s->filters_lock);
    return found;
}

/* Takes over the spans. */
static void remember(struct shelf *s, uint64_t changes, const char *json, struct filter f)
{
    char *copy = str_dup(str_of(json));
    pthread_mutex_lock(&s->filters_lock);
    struct kept_filter *k = &s->filters[s->next_filter++ % FILTERS_KEPT];
    free(k->json);
    free(k->filter.spans);
    *k = (struct kept_filter){copy, changes, f};
    pthread_mutex_unlock(&s->filters_lock);
}

static enum err_code read_anew(struct conn *c, const struct shelf *s, const char *json,
                               struct filter *out, struct err *err)
{
    json_t *f = NULL;
    enum err_code rc = json_read(str_of(json), &f, err);
    if (rc == ERR_FORMAT)
        rc = err_wrap(err, ERR_ARG, "filter");
    if (!rc)
        rc = check(f, err);
    if (!rc && json_object_size(f) > 0) {
        out->all = false;
        rc = walk(c, s, f, out, err);
    }
    json_decref(f);
    return rc;
}

enum err_code filter_read(struct conn *c, struct shelf *s, uint64_t changes, const char *json,
                          struct arena *a, struct filter *out, struct err *err)
{
    *out = (struct filter){.all = true};
    if (!json || !*json || recall(s, changes, json, a, out))
        return OK;
    struct filter f = {.all = true};
    enum err_code rc = read_anew(c, s, json, &f, err);
    struct span *spans = rc ? NULL : arena_alloc(a, f.n + 1, sizeof(*spans));
    if (!rc && !spans)
        rc = err_set(err, ERR_NOMEM, "a filter");
    if (rc) {
        free(f.spans);
        return rc;
    }
    if (f.n)
        memcpy(spans, f.spans, f.n * sizeof(*spans));
    *out = f;
    out->spans = spans;
    remember(s, changes, json, f);
    return OK;
}

bool filter_keeps(const struct filter *f, int64_t chunk)
{
    size_t low = 0, high = f->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (f->spans[mid].last <= chunk)
            low = mid + 1;
        else
            high = mid;
    }
    return f->all || (low < f->n && f->spans[low].first <= chunk);
}
