#include <string.h>
#include "web/access.h"
#include "web/api.h"
#include "web/keys.h"
#include "web/reply.h"

const struct field api_keys_fields[] = {
    {"name", FIELD_TEXT, 1, 63, true, NULL, "for people"},
    {"scopes", FIELD_TEXT, 1, 63, false, NULL, "of query,ingest,admin; \"query\" when absent"},
    {"collection", FIELD_TEXT, 1, 63, false, NULL, "the only one it sees; all when absent"},
    {.type = FIELD_END}};

static json_t *scopes_json(const char *scopes)
{
    json_t *list = json_array();
    struct str rest = str_of(scopes), one;
    while (rest.len > 0 && str_split(&rest, ',', &one))
        json_array_append_new(list, json_text(one));
    return list;
}

static json_t *key_json(struct request *r, const struct key *k)
{
    json_t *o = json_object();
    json_put(o, "id", json_integer(k->id));
    json_put(o, "name", json_text(str_of(k->name)));
    json_put(o, "prefix", json_text(str_of(k->prefix)));
    json_put(o, "scopes", scopes_json(k->scopes));
    json_put(o, "collection", k->collection[0] ? json_text(str_of(k->collection)) : json_null());
    json_put(o, "created_at", json_text(str_of(request_time(r, k->created_ms))));
    json_put(o, "used_at", k->used_ms ? json_text(str_of(request_time(r, k->used_ms)))
                                      : json_null());
    return o;
}

enum err_code api_keys_list(struct request *r, struct err *err)
{
    struct key *k;
    int n;
    enum err_code rc = index_keys(r->web->opt.index, &r->arena, &k, &n, err);
    if (rc)
        return rc;
    json_t *list = json_array(), *o = json_object();
    for (int i = 0; i < n; i++)
        if (access_sees(r, k[i].collection) || strcmp(k[i].collection, r->who.collection) == 0)
            json_array_append_new(list, key_json(r, &k[i]));
    json_put(o, "keys", list);
    reply_json(r, 200, o);
    return OK;
}

/* A key restricted to a collection makes only such keys. */
static enum err_code chosen_collection(struct request *r, const char **out, struct err *err)
{
    struct str c = field_text(r->json, "collection");
    *out = c.ptr ? arena_strz(&r->arena, c) : r->who.collection[0] ? r->who.collection : NULL;
    if (!*out || access_sees(r, *out))
        return OK;
    r->param = "collection";
    return err_set(err, ERR_NOTFOUND, "there is no collection \"%s\"", *out);
}

enum err_code api_keys_add(struct request *r, struct err *err)
{
    char text[KEY_TEXT_MAX];
    struct key made;
    struct index *x = r->web->opt.index;
    struct str s = field_text(r->json, "scopes"), n = field_text(r->json, "name");
    const char *scopes = s.ptr ? arena_strz(&r->arena, s) : "query", *collection;
    const char *name = arena_strz(&r->arena, n);
    enum err_code rc = chosen_collection(r, &collection, err);
    if (rc)
        return rc;
    if (index_key_count(x) == 0 && !strstr(scopes, "admin")) {
        r->param = "scopes";
        return err_set(err, ERR_ARG, "the first key closes the box to everyone without one: give "
                                     "it the scope admin");
    }
    rc = key_make(x, name, scopes, collection, text, err);
    if (!rc)
        rc = key_find(x, str_of(text), &made, err);
    if (rc)
        return rc;
    json_t *o = key_json(r, &made);
    json_put(o, "key", json_text(str_of(text)));
    reply_json(r, 200, o);
    memset(text, 0, sizeof(text));
    return OK;
}

enum err_code api_keys_remove(struct request *r, struct err *err)
{
    int64_t id = 0;
    struct key *k;
    int n;
    struct index *x = r->web->opt.index;
    enum err_code rc = index_keys(x, &r->arena, &k, &n, err);
    if (rc)
        return rc;
    rc = ERR_NOTFOUND;
    if (str_int(r->params[0], 1, INT64_MAX, &id))
        for (int i = 0; i < n; i++)
            if (k[i].id == id && access_sees(r, k[i].collection))
                rc = index_key_remove(x, id, err);
    if (rc)
        return rc == ERR_NOTFOUND ? err_set(err, rc, "there is no such key") : rc;
    json_t *o = json_object(), *d = json_object();
    json_put(d, "keys", json_integer(1));
    json_put(o, "deleted", d);
    reply_json(r, 200, o);
    return OK;
}
