#include "cmd/fetch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cmd/shape.h"
#include "index/jobs.h"
#include "web/keys.h"

enum { TEXT_MAX = 256 << 20 };

/* ---- small change ---- */

/* "{name: [...], next_cursor: ...}"; takes `list` over. */
static enum err_code page_of(const char *name, json_t *list, int64_t next, json_t **out,
                             struct err *err)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)next);
    *out = list ? json_pack("{s:o,s:o}", name, list, "next_cursor",
                            next ? json_string(text) : json_null())
                : NULL;
    return *out ? OK : err_set(err, ERR_NOMEM, "a list of %s", name);
}

static enum err_code one_of(json_t *v, json_t **out, struct err *err)
{
    *out = v;
    return v ? OK : err_set(err, ERR_NOMEM, "an answer");
}

static bool read_cursor(const char *cursor, int64_t *out, struct err *err)
{
    *out = 0;
    if (!cursor || str_int(str_of(cursor), 0, INT64_MAX, out))
        return true;
    err_set(err, ERR_ARG, "cursor \"%s\": want the next_cursor of a list", cursor);
    return false;
}

static void add_query(struct buf *b, const char *key, const char *value)
{
    if (!value)
        return;
    buf_printf(b, "%c%s=", memchr(b->ptr, '?', b->len) ? '&' : '?', key);
    buf_url(b, str_of(value));
}

static enum err_code call(struct target *t, const char *method, struct buf *path,
                          const json_t *body, json_t **out, struct err *err)
{
    enum err_code rc = buf_ok(path, "a request", err);
    if (!rc)
        rc = client_call(t->client, method, path->ptr, body, out, err);
    buf_free(path);
    return rc;
}

/* ---- documents ---- */

static int state_of(const char *name, struct err *err)
{
    if (!name)
        return -1;
    for (int s = 0; s < DOC_STATES; s++)
        if (strcmp(document_state_name((enum document_state)s), name) == 0)
            return s;
    err_set(err, ERR_ARG, "state \"%s\": want queued, running, ready or failed", name);
    return -2;
}

static enum err_code local_documents(struct target *t, const struct document_filter *f,
                                     json_t **out, struct err *err)
{
    struct arena a = {0};
    struct document *docs = NULL;
    int n = 0;
    int64_t next = 0;
    enum err_code rc = index_documents(t->rooms.index, f, &a, &docs, &n, &next, err);
    json_t *list = rc ? NULL : json_array();
    for (int i = 0; i < n && list; i++)
        json_array_append_new(list, shape_document(&docs[i]));
    if (!rc)
        rc = page_of("documents", list, next, out, err);
    arena_deinit(&a);
    return rc;
}

enum err_code fetch_documents(struct target *t, const char *collection, const char *state,
                              int limit, const char *cursor, json_t **out, struct err *err)
{
    struct document_filter f = {
        .collection = collection, .limit = limit, .state = state_of(state, err)};
    if (f.state == -2 || !read_cursor(cursor, &f.cursor, err))
        return ERR_ARG;
    if (!t->client)
        return local_documents(t, &f, out, err);
    struct buf path = {0};
    buf_printf(&path, "/v1/documents?limit=%d", limit);
    add_query(&path, "collection", collection);
    add_query(&path, "state", state);
    add_query(&path, "cursor", cursor);
    return call(t, "GET", &path, NULL, out, err);
}

enum err_code fetch_document(struct target *t, const char *id, json_t **out, struct err *err)
{
    if (t->client) {
        struct buf path = {0};
        buf_printf(&path, "/v1/documents/%s", id);
        return call(t, "GET", &path, NULL, out, err);
    }
    struct arena a = {0};
    struct document d;
    enum err_code rc = index_document(t->rooms.index, id, &a, &d, err);
    if (!rc)
        rc = one_of(shape_document(&d), out, err);
    arena_deinit(&a);
    return rc;
}

enum err_code fetch_chunks(struct target *t, const char *id, json_t **out, struct err *err)
{
    if (t->client) {
        struct buf path = {0};
        buf_printf(&path, "/v1/documents/%s/chunks", id);
        return call(t, "GET", &path, NULL, out, err);
    }
    struct arena a = {0};
    struct stored_chunk *chunks = NULL;
    int n = 0;
    enum err_code rc = index_chunks_of(t->rooms.index, id, &a, &chunks, &n, err);
    json_t *list = rc ? NULL : json_array();
    for (int i = 0; i < n && list; i++)
        json_array_append_new(list, shape_chunk(&chunks[i]));
    if (!rc)
        rc = one_of(list ? json_pack("{s:o}", "chunks", list) : NULL, out, err);
    arena_deinit(&a);
    return rc;
}

enum err_code fetch_text(struct target *t, const char *id, int64_t start, int64_t end,
                         struct buf *out, struct err *err)
{
    if (t->client) {
        char path[160];
        if (end < 0)
            snprintf(path, sizeof(path), "/v1/documents/%s/text", id);
        else
            snprintf(path, sizeof(path), "/v1/documents/%s/text?start=%lld&end=%lld", id,
                     (long long)start, (long long)end);
        return client_get(t->client, path, TEXT_MAX, out, err);
    }
    struct arena a = {0};
    struct str text;
    enum err_code rc = index_text(t->rooms.index, id, &a, &text, err);
    if (!rc && end < 0)
        end = (int64_t)text.len;
    if (!rc && (start > end || end > (int64_t)text.len))
        rc = err_set(err, ERR_ARG, "range %lld-%lld: the text has %zu bytes", (long long)start,
                     (long long)end, text.len);
    if (!rc) {
        buf_str(out, str_sub(text, (size_t)start, (size_t)end));
        rc = buf_ok(out, "the text", err);
    }
    arena_deinit(&a);
    return rc;
}

enum err_code fetch_remove(struct target *t, const char *id, json_t **out, struct err *err)
{
    if (t->client) {
        struct buf path = {0};
        buf_printf(&path, "/v1/documents/%s", id);
        return call(t, "DELETE", &path, NULL, out, err);
    }
    struct removed r = {0};
    enum err_code rc = index_remove(t->rooms.index, id, &r, err);
    if (rc)
        return rc;
    return one_of(json_pack("{s:{s:I,s:I,s:I,s:I}}", "deleted", "documents",
                            (json_int_t)r.documents, "chunks", (json_int_t)r.chunks, "vectors",
                            (json_int_t)r.vectors, "answers", (json_int_t)r.answers),
                  out, err);
}

static bool is_hex(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!strchr("0123456789abcdef", s.ptr[i]) || !s.ptr[i])
            return false;
    return true;
}

/* Looks at every document of one page; counts those that `word` means. */
static void match_page(const json_t *page, struct str word, bool digits, char id[33], int *found)
{
    size_t i;
    json_t *d;
    json_array_foreach(json_object_get(page, "documents"), i, d)
    {
        const char *this_id = json_string_value(json_object_get(d, "id"));
        const char *name = json_string_value(json_object_get(d, "name"));
        bool hit = (digits && this_id && str_starts(str_of(this_id), word)) ||
                   (name && str_eqz(word, name));
        if (hit && this_id && strlen(this_id) == 32) {
            memcpy(id, this_id, 33);
            ++*found;
        }
    }
}

enum err_code fetch_resolve(struct target *t, struct str word, char id[33], struct err *err)
{
    bool digits = word.len >= 4 && word.len <= 32 && is_hex(word);
    if (digits && word.len == 32) {
        memcpy(id, word.ptr, 32);
        id[32] = 0;
        return OK;
    }
    int found = 0;
    json_t *page = NULL;
    char *cursor = NULL;
    enum err_code rc;
    do {
        rc = fetch_documents(t, NULL, NULL, 1000, cursor, &page, err);
        free(cursor);
        cursor = NULL;
        if (rc)
            return rc;
        match_page(page, word, digits, id, &found);
        const char *next = json_string_value(json_object_get(page, "next_cursor"));
        cursor = next ? strdup(next) : NULL;
        json_decref(page);
    } while (cursor);
    if (found == 1)
        return OK;
    if (found > 1)
        return err_set(err, ERR_ARG, "\"%.*s\" means %d documents; give more of the id (carrel ls)",
                       STR_ARG(str_sub(word, 0, 80)), found);
    return err_set(err, ERR_NOTFOUND, "there is no document \"%.*s\"; `carrel ls` lists them",
                   STR_ARG(str_sub(word, 0, 80)));
}

/* ---- jobs ---- */

static enum err_code local_jobs(struct target *t, int state, int limit, int64_t cursor,
                                json_t **out, struct err *err)
{
    struct arena a = {0};
    struct job *jobs = NULL;
    int n = 0;
    int64_t next = 0;
    enum err_code rc = jobs_list(t->rooms.index, state, limit, cursor, &a, &jobs, &n, &next, err);
    json_t *list = rc ? NULL : json_array();
    for (int i = 0; i < n && list; i++)
        json_array_append_new(list, shape_job(&jobs[i]));
    if (!rc)
        rc = page_of("jobs", list, next, out, err);
    arena_deinit(&a);
    return rc;
}

enum err_code fetch_jobs(struct target *t, const char *state, int limit, const char *cursor,
                         json_t **out, struct err *err)
{
    int s = -1;
    int64_t at;
    for (int i = 0; state && i < JOB_STATES; i++)
        if (strcmp(job_state_name((enum job_state)i), state) == 0)
            s = i;
    if (state && s < 0)
        return err_set(err, ERR_ARG,
                       "state \"%s\": want queued, running, done, failed or cancelled", state);
    if (!read_cursor(cursor, &at, err))
        return ERR_ARG;
    if (!t->client)
        return local_jobs(t, s, limit, at, out, err);
    struct buf path = {0};
    buf_printf(&path, "/v1/jobs?limit=%d", limit);
    add_query(&path, "state", state);
    add_query(&path, "cursor", cursor);
    return call(t, "GET", &path, NULL, out, err);
}

enum err_code fetch_job(struct target *t, int64_t id, json_t **out, struct err *err)
{
    if (t->client) {
        struct buf path = {0};
        buf_printf(&path, "/v1/jobs/%lld", (long long)id);
        return call(t, "GET", &path, NULL, out, err);
    }
    struct arena a = {0};
    struct job j;
    enum err_code rc = jobs_find(t->rooms.index, id, &a, &j, err);
    if (!rc)
        rc = one_of(shape_job(&j), out, err);
    arena_deinit(&a);
    return rc;
}

enum err_code fetch_job_act(struct target *t, int64_t id, const char *act, json_t **out,
                            struct err *err)
{
    if (t->client) {
        struct buf path = {0};
        buf_printf(&path, "/v1/jobs/%lld/%s", (long long)id, act);
        return call(t, "POST", &path, NULL, out, err);
    }
    enum err_code rc = strcmp(act, "cancel") == 0 ? jobs_cancel(t->rooms.index, id, err)
                                                  : jobs_retry(t->rooms.index, id, err);
    return rc ? rc : fetch_job(t, id, out, err);
}

/* ---- collections ---- */

enum err_code fetch_collections(struct target *t, json_t **out, struct err *err)
{
    if (t->client)
        return client_call(t->client, "GET", "/v1/collections", NULL, out, err);
    struct arena a = {0};
    struct collection *found = NULL;
    int n = 0;
    enum err_code rc = index_collections(t->rooms.index, &a, &found, &n, err);
    json_t *list = rc ? NULL : json_array();
    for (int i = 0; i < n && list; i++)
        json_array_append_new(list, shape_collection(&found[i]));
    if (!rc)
        rc = one_of(list ? json_pack("{s:o}", "collections", list) : NULL, out, err);
    arena_deinit(&a);
    return rc;
}

enum err_code fetch_collection_make(struct target *t, const char *name, json_t **out,
                                    struct err *err)
{
    if (t->client) {
        json_t *body = json_pack("{s:s}", "name", name);
        enum err_code rc = client_call(t->client, "POST", "/v1/collections", body, out, err);
        json_decref(body);
        return rc;
    }
    struct arena a = {0};
    struct collection c;
    enum err_code rc = ingest_collection(t->rooms.ingest, name, true, &a, &c, err);
    if (!rc)
        rc = one_of(shape_collection(&c), out, err);
    arena_deinit(&a);
    return rc;
}

enum err_code fetch_collection_remove(struct target *t, const char *name, json_t **out,
                                      struct err *err)
{
    if (t->client) {
        struct buf path = {0};
        buf_puts(&path, "/v1/collections/");
        buf_url(&path, str_of(name));
        return call(t, "DELETE", &path, NULL, out, err);
    }
    int64_t documents = 0;
    enum err_code rc = index_collection_remove(t->rooms.index, name, &documents, err);
    if (rc)
        return rc;
    return one_of(json_pack("{s:{s:I}}", "deleted", "documents", (json_int_t)documents), out, err);
}

/* ---- keys ---- */

enum err_code fetch_keys(struct target *t, json_t **out, struct err *err)
{
    if (t->client)
        return client_call(t->client, "GET", "/v1/keys", NULL, out, err);
    struct arena a = {0};
    struct key *keys = NULL;
    int n = 0;
    enum err_code rc = index_keys(t->rooms.index, &a, &keys, &n, err);
    json_t *list = rc ? NULL : json_array();
    for (int i = 0; i < n && list; i++)
        json_array_append_new(list, shape_key(&keys[i]));
    if (!rc)
        rc = one_of(list ? json_pack("{s:o}", "keys", list) : NULL, out, err);
    arena_deinit(&a);
    return rc;
}

enum err_code fetch_key_make(struct target *t, const char *name, const char *scopes,
                             const char *collection, json_t **out, struct err *err)
{
    if (t->client) {
        json_t *body =
            json_pack("{s:s,s:s,s:s*}", "name", name, "scopes", scopes, "collection", collection);
        enum err_code rc = client_call(t->client, "POST", "/v1/keys", body, out, err);
        json_decref(body);
        return rc;
    }
    char text[KEY_TEXT_MAX];
    enum err_code rc = key_make(t->rooms.index, name, scopes, collection, text, err);
    if (rc)
        return rc;
    struct key made;
    rc = key_find(t->rooms.index, str_of(text), &made, err);
    json_t *k = rc ? NULL : shape_key(&made);
    if (k)
        json_put(k, "key", json_string(text));
    return rc ? rc : one_of(k, out, err);
}

enum err_code fetch_key_remove(struct target *t, int64_t id, struct err *err)
{
    if (!t->client)
        return index_key_remove(t->rooms.index, id, err);
    struct buf path = {0};
    json_t *out = NULL;
    buf_printf(&path, "/v1/keys/%lld", (long long)id);
    enum err_code rc = call(t, "DELETE", &path, NULL, &out, err);
    json_decref(out);
    return rc;
}

/* ---- search, ask, status ---- */

static const char *member(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

enum err_code fetch_search(struct target *t, const json_t *request, json_t **out, struct err *err)
{
    if (t->client)
        return client_call(t->client, "POST", "/v1/search", request, out, err);
    const struct config *c = t->rooms.config;
    const char *mode = member(request, "mode");
    struct search_request r = {
        .query = str_of(member(request, "query")),
        .collection = member(request, "collection"),
        .top_k = (int)json_integer_value(json_object_get(request, "top_k")),
        .explain = json_is_true(json_object_get(request, "explain")),
    };
    if (!r.top_k)
        r.top_k = c->search.top_k;
    char *filter = json_dumps(json_object_get(request, "filter"), JSON_COMPACT);
    r.filter = filter;
    struct arena a = {0};
    struct search_result found = {0};
    enum err_code rc = search_mode_parse(str_of(mode ? mode : c->search.mode), &r.mode, err);
    if (!rc)
        rc = query_search(t->rooms.query, &r, &a, &found, err);
    if (!rc)
        rc = one_of(query_search_json(&r, &found), out, err);
    arena_deinit(&a);
    free(filter);
    return rc;
}

struct listening {
    bool (*delta)(void *arg, struct str text);
    void *arg;
    struct buf answer;
    json_t *done;
    char error[240];
};

static bool on_ask_event(void *arg, struct str event, const json_t *data)
{
    struct listening *l = arg;
    if (str_eqz(event, "delta")) {
        const char *text = member(data, "text");
        buf_puts(&l->answer, text ? text : "");
        return !text || l->delta(l->arg, str_of(text));
    }
    if (str_eqz(event, "done"))
        l->done = json_deep_copy(data);
    if (str_eqz(event, "error")) {
        const char *m = member(json_object_get(data, "error"), "message");
        snprintf(l->error, sizeof(l->error), "%s", m ? m : "the server broke off");
    }
    return true;
}

static enum err_code ask_server(struct target *t, const json_t *request,
                                bool (*delta)(void *arg, struct str text), void *arg, json_t **out,
                                struct err *err)
{
    if (!delta)
        return client_call(t->client, "POST", "/v1/ask", request, out, err);
    struct listening l = {.delta = delta, .arg = arg};
    json_t *body = json_copy((json_t *)request);
    json_object_set_new(body, "stream", json_true());
    enum err_code rc = client_events(t->client, "/v1/ask", body, on_ask_event, &l, err);
    if (!rc && *l.error)
        rc = err_set(err, ERR_IO, "%s", l.error);
    else if (!rc && !l.done)
        rc =
            err_set(err, ERR_IO, "%s broke off in the middle of the answer", client_url(t->client));
    if (!rc) {
        json_put(l.done, "answer", json_text(buf_view(&l.answer)));
        *out = l.done;
        l.done = NULL;
    }
    json_decref(l.done);
    json_decref(body);
    buf_free(&l.answer);
    return rc;
}

enum err_code fetch_ask(struct target *t, const json_t *request,
                        bool (*delta)(void *arg, struct str text), void *arg, json_t **out,
                        struct err *err)
{
    if (t->client)
        return ask_server(t, request, delta, arg, out, err);
    struct ask_request r = {
        .question = str_of(member(request, "question")),
        .collection = member(request, "collection"),
        .conversation = member(request, "conversation_id"),
        .top_k = (int)json_integer_value(json_object_get(request, "top_k")),
        .sampling.temperature = llm_temperature(t->rooms.llm),
    };
    struct ask_events events = {.delta = delta, .arg = arg};
    return query_ask(t->rooms.query, &r, delta ? &events : NULL, t->stop, out, err);
}

enum err_code fetch_status(struct target *t, json_t **out, struct err *err)
{
    if (t->client)
        return client_call(t->client, "GET", "/v1/status", NULL, out, err);
    struct index_counts n = {0};
    enum err_code rc = index_counts(t->rooms.index, &n, err);
    if (rc)
        return rc;
    json_t *documents = json_object();
    for (int s = 0; s < DOC_STATES; s++)
        json_put(documents, document_state_name((enum document_state)s),
                 json_integer(n.documents[s]));
    return one_of(json_pack("{s:s,s:{s:o,s:I,s:I,s:I,s:I,s:I,s:I},s:{s:I,s:I}}", "version",
                            CARREL_VERSION, "store", "documents", documents, "chunks",
                            (json_int_t)n.chunks, "vectors", (json_int_t)n.vectors, "answers",
                            (json_int_t)n.answers, "database_bytes", (json_int_t)n.db_bytes,
                            "blob_bytes", (json_int_t)n.blob_bytes, "graph_nodes",
                            (json_int_t)n.graph_nodes, "queue", "jobs_waiting",
                            (json_int_t)n.jobs_waiting, "jobs_running", (json_int_t)n.jobs_running),
                  out, err);
}
