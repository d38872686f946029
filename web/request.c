#include "web/request.h"
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "web/reply.h"
#include "web/upload.h"

struct request *request_new(struct web *w, struct MHD_Connection *c, const char *target)
{
    struct request *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->refs = 1;
    r->web = w;
    r->conn = c;
    r->stop.parent = &w->stop;
    r->reply.fd = -1;
    r->length = -1;
    r->began_ms = clock_ms();
    r->target = arena_str(&r->arena, str_of(target));
    if (!r->target.ptr) {
        request_release(r);
        return NULL;
    }
    return r;
}

void request_keep(struct request *r)
{
    atomic_fetch_add(&r->refs, 1);
}

void request_release(struct request *r)
{
    if (atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    upload_free(r->upload);
    json_decref(r->json);
    buf_free(&r->body);
    reply_deinit(&r->reply);
    arena_deinit(&r->arena);
    free(r);
}

static bool decode_params(struct request *r)
{
    for (int i = 0; i < ROUTE_PARAMS; i++) {
        if (!r->params[i].ptr)
            continue;
        r->params[i] = fields_unescape(r->params[i], false, &r->arena);
        if (!r->params[i].ptr)
            return false;
    }
    return true;
}

static bool read_query(struct request *r, struct str query)
{
    static const struct field none[] = {{.type = FIELD_END}};
    struct err err;
    enum err_code rc = fields_decode(query, &r->arena, &r->query, &r->n_query, &err);
    if (!rc)
        rc = fields_pairs(r->query, r->n_query, r->route->query ? r->route->query : none, &r->arena,
                          &r->param, &err);
    if (rc)
        reply_fail(r, rc, &err);
    return rc == OK;
}

bool request_route(struct request *r)
{
    char allow[64];
    const char *mark = memchr(r->target.ptr, '?', r->target.len);
    size_t cut = mark ? (size_t)(mark - r->target.ptr) : r->target.len;
    r->path = str_sub(r->target, 0, cut);
    struct str query = str_sub(r->target, mark ? cut + 1 : cut, r->target.len);
    enum route_match m = route_find(str_of(r->method), r->path, &r->route, r->params, allow);
    if (m == ROUTE_NO_PATH) {
        reply_refuse(r, 404, "not_found", "there is nothing at this address");
        return false;
    }
    if (m == ROUTE_NO_METHOD) {
        reply_header(r, "Allow", allow);
        if (strcmp(r->method, "OPTIONS") == 0)
            reply_empty(r, 204);
        else
            reply_refuse(r, 405, "method_not_allowed", "this address does not know that method");
        return false;
    }
    if (!decode_params(r)) {
        reply_refuse(r, 400, "malformed_request", "the path is not percent-encoded UTF-8");
        return false;
    }
    return read_query(r, query);
}

const char *request_collection(struct request *r, struct str wanted)
{
    if (wanted.ptr)
        return arena_strz(&r->arena, wanted);
    return r->who.collection[0] ? r->who.collection : "default";
}

const char *request_time(struct request *r, int64_t unix_ms)
{
    char text[25];
    return arena_strz(&r->arena, str_of(clock_rfc3339(unix_ms, text)));
}
