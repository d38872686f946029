#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "index/jobs.h"
#include "web/access.h"
#include "web/api.h"
#include "web/reply.h"
#include "web/upload.h"

#define WAIT_MS_MAX (10 * 60 * 1000)

const struct field api_documents_add_query[] = {
    {"name", FIELD_TEXT, 1, 1024, false, NULL, "of a raw body"},
    {"collection", FIELD_TEXT, 1, 63, false, NULL, "made when it is new"},
    {"metadata", FIELD_TEXT, 2, UPLOAD_FIELD_MAX, false, NULL, "a JSON object"},
    {"wait", FIELD_BOOL, 0, 0, false, NULL, "answer when each is ready or failed"},
    {.type = FIELD_END}};

const struct field api_documents_list_query[] = {
    {"collection", FIELD_TEXT, 1, 63, false, NULL, NULL},
    {"state", FIELD_TEXT, 0, 0, false, "queued|running|ready|failed", NULL},
    {"name", FIELD_TEXT, 1, 1024, false, NULL, "exactly"},
    {"limit", FIELD_INT, 1, 1000, false, NULL, "50 when absent"},
    {"cursor", FIELD_TEXT, 1, 20, false, NULL, "next_cursor of the page before"},
    {.type = FIELD_END}};

const struct field api_documents_text_query[] = {
    {"start", FIELD_INT, 0, UINT32_MAX, false, NULL, "first byte"},
    {"end", FIELD_INT, 0, UINT32_MAX, false, NULL, "one past the last byte"},
    {.type = FIELD_END}};

static json_t *json_or(const char *text, json_t *fallback)
{
    json_t *v = NULL;
    if (!text || !text[0] || json_read(str_of(text), &v, NULL) != OK)
        return fallback;
    json_decref(fallback);
    return v;
}

/* What `done` and `total` count in a stage. */
static const char *unit_of(const char *stage)
{
    if (strcmp(stage, "embed") == 0 || strcmp(stage, "index") == 0)
        return "chunks";
    return strcmp(stage, "extract") == 0 ? "pages" : "steps";
}

json_t *api_document_json(struct request *r, const struct document *d)
{
    json_t *o = json_object(), *p = json_object();
    json_put(p, "done", json_integer(d->done));
    json_put(p, "total", json_integer(d->total));
    json_put(p, "unit", json_text(str_of(unit_of(d->stage ? d->stage : ""))));
    json_put(o, "id", json_text(str_of(d->id)));
    json_put(o, "collection", json_text(str_of(d->collection)));
    json_put(o, "name", json_text(str_of(d->name)));
    json_put(o, "title", json_text(str_of(d->title)));
    json_put(o, "uri", d->uri && d->uri[0] ? json_text(str_of(d->uri)) : json_null());
    json_put(o, "mime", json_text(str_of(d->mime)));
    json_put(o, "size_bytes", json_integer(d->size_bytes));
    json_put(o, "state", json_text(str_of(document_state_name(d->state))));
    json_put(o, "stage", d->stage && d->stage[0] ? json_text(str_of(d->stage)) : json_null());
    json_put(o, "progress", p);
    json_put(o, "error", d->error && d->error[0] ? json_text(str_of(d->error)) : json_null());
    json_put(o, "warnings", json_or(d->warnings, json_array()));
    json_put(o, "pages", json_integer(d->pages));
    json_put(o, "chunks", json_integer(d->chunks));
    json_put(o, "tokens", json_integer(d->tokens));
    json_put(o, "text_bytes", json_integer(d->text_bytes));
    json_put(o, "job_id", d->job ? json_integer(d->job) : json_null());
    json_put(o, "created_at", json_text(str_of(request_time(r, d->created_ms))));
    json_put(o, "updated_at", json_text(str_of(request_time(r, d->updated_ms))));
    json_put(o, "metadata", json_or(d->metadata, json_object()));
    return o;
}

/* Form field, else query field. */
static struct str wanted(struct request *r, const char *form, const char *query)
{
    return form ? str_of(form) : pair_text(r->query, r->n_query, query);
}

static enum err_code check_metadata(struct request *r, struct str text, struct err *err)
{
    json_t *v = NULL;
    if (!text.ptr)
        return OK;
    r->param = "metadata";
    if (json_read(text, &v, err) != OK)
        return err_wrap(err, ERR_ARG, "metadata");
    bool ok = json_is_object(v);
    json_decref(v);
    if (!ok)
        return err_set(err, ERR_ARG, "metadata must be a JSON object");
    r->param = NULL;
    return OK;
}

/* Durably accepted when OK. A full disk is the box's fault: 507. */
static enum err_code accept_files(struct request *r, const char *collection, const char *metadata,
                                  struct added *added, struct err *err)
{
    struct upload *u = r->upload;
    struct collection c;
    struct new_document docs[UPLOAD_FILES_MAX];
    struct index *x = r->web->opt.index;
    enum err_code rc = ingest_collection(r->web->opt.ingest, collection, true, &r->arena, &c, err);
    if (rc) {
        r->param = rc == ERR_ARG ? "collection" : NULL;
        return rc;
    }
    rc = upload_finish(u, err);
    if (rc && !u->disk_full) {
        r->param = u->param;
        return rc;
    }
    for (int i = 0; i < u->n_files; i++)
        docs[i] = (struct new_document){.collection = collection, .name = u->files[i].name,
                                        .uri = "", .mime = u->files[i].mime,
                                        .metadata = metadata, .blob = u->files[i].blob};
    if (!rc)
        rc = index_add(x, docs, u->n_files, added, err);
    if (rc == ERR_LIMIT) {
        reply_refuse(r, 507, "storage_full", err->msg);
        return rc;
    }
    for (int i = 0; i < u->n_files && !rc; i++)
        u->files[i].blob = NULL; /* taken over */
    return rc;
}

/* Wait for each; states as they are when the time is up or the client has left. */
static bool wait_for(struct request *r, struct added *added, int n)
{
    struct index *x = r->web->opt.index;
    bool all = true;
    for (int i = 0; i < n; i++) {
        struct document d;
        if (jobs_wait_document(x, added[i].id, WAIT_MS_MAX, &r->stop, NULL) != OK)
            all = false;
        if (index_document(x, added[i].id, &r->arena, &d, NULL) == OK)
            added[i].state = d.state;
    }
    return all;
}

static json_t *added_json(const struct upload *u, const struct added *added)
{
    json_t *list = json_array(), *o = json_object();
    for (int i = 0; i < u->n_files; i++) {
        json_t *d = json_object();
        json_put(d, "id", json_text(str_of(added[i].id)));
        json_put(d, "name", json_text(str_of(u->files[i].name)));
        json_put(d, "state", json_text(str_of(document_state_name(added[i].state))));
        json_put(d, "job_id", added[i].job ? json_integer(added[i].job) : json_null());
        json_put(d, "duplicate", json_boolean(added[i].duplicate));
        json_array_append_new(list, d);
    }
    json_put(o, "documents", list);
    return o;
}

enum err_code api_documents_add(struct request *r, struct err *err)
{
    struct upload *u = r->upload;
    struct added added[UPLOAD_FILES_MAX];
    const char *collection;
    struct str metadata = wanted(r, u->metadata, "metadata");
    bool wait = u->wait || pair_bool(r->query, r->n_query, "wait", false), done = true;
    if (!u->form && !pair_text(r->query, r->n_query, "name").ptr) {
        r->param = "name";
        return err_set(err, ERR_ARG, "a raw body needs ?name=, a form the type "
                                     "multipart/form-data");
    }
    struct str name = wanted(r, u->collection, "collection");
    if (name.ptr && name.len == 0)
        name.ptr = NULL; /* a form's empty field */
    enum err_code rc = access_collection(r, name, &collection, err);
    if (!rc)
        rc = check_metadata(r, metadata.len > 0 ? metadata : (struct str){NULL, 0}, err);
    if (!rc)
        rc = accept_files(r, collection,
                          metadata.len > 0 ? arena_strz(&r->arena, metadata) : NULL, added, err);
    if (rc)
        return rc;
    for (int i = 0; i < u->n_files; i++)
        done = done && added[i].duplicate;
    if (wait)
        done = wait_for(r, added, u->n_files);
    if (r->wants_html)
        reply_see_other(r, "/documents#list");
    else
        reply_json(r, done ? 200 : 202, added_json(u, added));
    return OK;
}

enum err_code api_documents_list(struct request *r, struct err *err)
{
    struct str state = pair_text(r->query, r->n_query, "state");
    struct str cursor = pair_text(r->query, r->n_query, "cursor");
    struct str collection = pair_text(r->query, r->n_query, "collection");
    struct str name = pair_text(r->query, r->n_query, "name");
    struct document_filter f = {.state = -1,
                                .limit = (int)pair_int(r->query, r->n_query, "limit", 50)};
    struct document *docs;
    int n;
    int64_t next;
    char text[24];
    for (int s = 0; s < DOC_STATES && state.ptr; s++)
        if (str_eqz(state, document_state_name((enum document_state)s)))
            f.state = s;
    if (cursor.ptr && !str_int(cursor, 1, INT64_MAX, &f.cursor)) {
        r->param = "cursor";
        return err_set(err, ERR_ARG, "cursor is not one of ours");
    }
    enum err_code rc = OK;
    if (collection.ptr || r->who.collection[0])
        rc = access_collection(r, collection, &f.collection, err);
    f.name = name.ptr ? arena_strz(&r->arena, name) : NULL;
    if (!rc)
        rc = index_documents(r->web->opt.index, &f, &r->arena, &docs, &n, &next, err);
    if (rc)
        return rc;
    json_t *list = json_array(), *o = json_object();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, api_document_json(r, &docs[i]));
    snprintf(text, sizeof(text), "%lld", (long long)next);
    json_put(o, "documents", list);
    json_put(o, "next_cursor", next ? json_text(str_of(text)) : json_null());
    reply_json(r, 200, o);
    return OK;
}

enum err_code api_documents_one(struct request *r, struct err *err)
{
    struct document d;
    enum err_code rc = access_document(r, r->params[0], &d, err);
    if (!rc)
        reply_json(r, 200, api_document_json(r, &d));
    return rc;
}

enum err_code api_documents_remove(struct request *r, struct err *err)
{
    struct document d;
    struct removed gone;
    enum err_code rc = access_document(r, r->params[0], &d, err);
    if (!rc)
        rc = index_remove(r->web->opt.index, d.id, &gone, err);
    if (rc)
        return rc;
    json_t *o = json_object(), *n = json_object();
    json_put(n, "documents", json_integer(gone.documents));
    json_put(n, "chunks", json_integer(gone.chunks));
    json_put(n, "vectors", json_integer(gone.vectors));
    json_put(n, "answers", json_integer(gone.answers));
    json_put(o, "deleted", n);
    reply_json(r, 200, o);
    return OK;
}

static enum err_code text_range(struct request *r, struct str text, struct err *err)
{
    int64_t start = pair_int(r->query, r->n_query, "start", 0);
    int64_t end = pair_int(r->query, r->n_query, "end", (int64_t)text.len);
    r->param = start > (int64_t)text.len ? "start" : "end";
    if (start > (int64_t)text.len || end > (int64_t)text.len)
        return err_set(err, ERR_ARG, "the text has %zu bytes", text.len);
    if (start > end)
        return err_set(err, ERR_ARG, "start %lld lies behind end %lld", (long long)start,
                       (long long)end);
    bool cut = utf8_floor(text, (size_t)start) != (size_t)start;
    r->param = cut ? "start" : "end";
    if (cut || utf8_floor(text, (size_t)end) != (size_t)end)
        return err_set(err, ERR_ARG, "%s lies inside a character", r->param);
    r->param = NULL;
    reply_text(r, 200, "text/plain; charset=utf-8",
               str_sub(text, (size_t)start, (size_t)end));
    return OK;
}

enum err_code api_documents_text(struct request *r, struct err *err)
{
    struct document d;
    struct str text;
    enum err_code rc = access_document(r, r->params[0], &d, err);
    if (!rc)
        rc = index_text(r->web->opt.index, d.id, &r->arena, &text, err);
    return rc ? rc : text_range(r, text, err);
}

enum err_code api_documents_content(struct request *r, struct err *err)
{
    struct document d;
    char *path;
    enum err_code rc = access_document(r, r->params[0], &d, err);
    if (!rc)
        rc = index_blob_path(r->web->opt.index, d.id, &r->arena, &path, err);
    return rc ? rc : reply_file(r, path, d.name, err);
}

static json_t *heading_json(const char *heading)
{
    json_t *list = json_array();
    struct str rest = str_of(heading), one;
    while (rest.len > 0 && str_split(&rest, '\n', &one))
        json_array_append_new(list, json_text(one));
    return list;
}

enum err_code api_documents_chunks(struct request *r, struct err *err)
{
    struct document d;
    struct stored_chunk *c;
    int n;
    enum err_code rc = access_document(r, r->params[0], &d, err);
    if (!rc)
        rc = index_chunks_of(r->web->opt.index, d.id, &r->arena, &c, &n, err);
    if (rc)
        return rc;
    json_t *list = json_array(), *o = json_object();
    for (int i = 0; i < n; i++) {
        json_t *k = json_object();
        json_put(k, "id", json_integer(c[i].id));
        json_put(k, "start", json_integer(c[i].start));
        json_put(k, "end", json_integer(c[i].end));
        json_put(k, "page", c[i].page ? json_integer(c[i].page) : json_null());
        json_put(k, "heading", heading_json(c[i].heading));
        json_put(k, "tokens", json_integer(c[i].tokens));
        json_array_append_new(list, k);
    }
    json_put(o, "chunks", list);
    reply_json(r, 200, o);
    return OK;
}
