#include <string.h>
#include "web/access.h"
#include "web/api.h"
#include "web/reply.h"

const struct field api_collections_fields[] = {
    {"name", FIELD_TEXT, 1, 63, true, NULL, "letters, digits, . _ -"},
    {.type = FIELD_END}};

static json_t *read_or_null(const char *text)
{
    json_t *v = NULL;
    return text && json_read(str_of(text), &v, NULL) == OK ? v : json_null();
}

static json_t *collection_json(struct request *r, const struct collection *c)
{
    json_t *o = json_object();
    json_put(o, "name", json_text(str_of(c->name)));
    json_put(o, "documents", json_integer(c->documents));
    json_put(o, "chunks", json_integer(c->chunks));
    json_put(o, "dimensions", json_integer(c->dim));
    json_put(o, "encoder", read_or_null(c->stamp));
    json_put(o, "settings", read_or_null(c->settings));
    json_put(o, "created_at", json_text(str_of(request_time(r, c->created_ms))));
    return o;
}

enum err_code api_collections_list(struct request *r, struct err *err)
{
    struct collection *c;
    int n;
    enum err_code rc = index_collections(r->web->opt.index, &r->arena, &c, &n, err);
    if (rc)
        return rc;
    json_t *list = json_array(), *o = json_object();
    for (int i = 0; i < n; i++)
        if (access_sees(r, c[i].name))
            json_array_append_new(list, collection_json(r, &c[i]));
    json_put(o, "collections", list);
    reply_json(r, 200, o);
    return OK;
}

/* One that is there and that this key sees; ERR_NOTFOUND else. */
static enum err_code find(struct request *r, struct collection *out, struct err *err)
{
    struct collection *c;
    int n;
    enum err_code rc = index_collections(r->web->opt.index, &r->arena, &c, &n, err);
    for (int i = 0; i < n && !rc; i++)
        if (str_eqz(r->params[0], c[i].name) && access_sees(r, c[i].name)) {
            *out = c[i];
            return OK;
        }
    return rc ? rc : err_set(err, ERR_NOTFOUND, "there is no such collection");
}

enum err_code api_collections_one(struct request *r, struct err *err)
{
    struct collection c;
    enum err_code rc = find(r, &c, err);
    if (!rc)
        reply_json(r, 200, collection_json(r, &c));
    return rc;
}

enum err_code api_collections_add(struct request *r, struct err *err)
{
    struct collection c;
    const char *name;
    enum err_code rc = access_collection(r, field_text(r->json, "name"), &name, err);
    if (!rc)
        rc = ingest_collection(r->web->opt.ingest, name, true, &r->arena, &c, err);
    if (rc) {
        r->param = "name";
        return rc;
    }
    reply_json(r, 200, collection_json(r, &c));
    return OK;
}

enum err_code api_collections_remove(struct request *r, struct err *err)
{
    struct collection c;
    int64_t documents = 0;
    enum err_code rc = find(r, &c, err);
    if (!rc)
        rc = index_collection_remove(r->web->opt.index, c.name, &documents, err);
    if (rc)
        return rc;
    json_t *o = json_object(), *n = json_object();
    json_put(n, "collections", json_integer(1));
    json_put(n, "documents", json_integer(documents));
    json_put(o, "deleted", n);
    reply_json(r, 200, o);
    return OK;
}
