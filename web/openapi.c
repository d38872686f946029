/* OpenAPI 3.1 from the route table: what is enforced is what is told. */
#include <string.h>
#include "web/api.h"
#include "web/reply.h"
#include "web/route.h"

/* What no whole number of JSON's readers reaches is no bound (and none that fits json_int_t). */
static void put_bound(json_t *o, const char *name, double bound)
{
    const double most = 9007199254740992.0; /* 2^53 */
    if (bound >= -most && bound <= most)
        json_put(o, name, json_integer((json_int_t)bound));
}

static json_t *schema_of(const struct field *f)
{
    static const char *const types[] = {"",        "string", "integer", "number",
                                        "boolean", "object", "array"};
    json_t *o = json_object();
    if (f->type != FIELD_ANY)
        json_put(o, "type", json_text(str_of(types[f->type])));
    if (f->about)
        json_put(o, "description", json_text(str_of(f->about)));
    if (f->choices) {
        json_t *list = json_array();
        struct str rest = str_of(f->choices), one;
        while (str_split(&rest, '|', &one))
            json_array_append_new(list, json_text(one));
        json_put(o, "enum", list);
    } else if (f->type == FIELD_TEXT) {
        json_put(o, "minLength", json_integer((json_int_t)f->min));
        json_put(o, "maxLength", json_integer((json_int_t)f->max));
    } else if (f->type == FIELD_INT || f->type == FIELD_NUMBER) {
        put_bound(o, "minimum", f->min);
        put_bound(o, "maximum", f->max);
    }
    return o;
}

static json_t *object_schema(const struct field *f, bool closed)
{
    json_t *o = json_object(), *properties = json_object(), *required = json_array();
    for (; f && f->type != FIELD_END; f++) {
        json_put(properties, f->name, schema_of(f));
        if (f->required)
            json_array_append_new(required, json_text(str_of(f->name)));
    }
    json_put(o, "type", json_text(STR("object")));
    json_put(o, "additionalProperties", json_boolean(!closed));
    json_put(o, "properties", properties);
    json_put(o, "required", required);
    return o;
}

static json_t *content_of(const char *type, json_t *schema)
{
    json_t *body = json_object(), *content = json_object(), *media = json_object();
    json_put(media, "schema", schema);
    json_put(content, type, media);
    json_put(body, "content", content);
    return body;
}

/* The form of /v1/documents, the one body that is not in a field table. */
static json_t *upload_schema(void)
{
    json_t *o = json_object(), *p = json_object(), *file = json_object();
    const char *const texts[] = {"collection", "metadata", "wait"};
    json_put(file, "type", json_text(STR("string")));
    json_put(file, "format", json_text(STR("binary")));
    json_put(p, "file", file);
    for (size_t i = 0; i < 3; i++) {
        json_t *s = json_object();
        json_put(s, "type", json_text(STR("string")));
        json_put(p, texts[i], s);
    }
    json_put(o, "type", json_text(STR("object")));
    json_put(o, "properties", p);
    return o;
}

static void add_parameters(json_t *op, const struct route *t)
{
    json_t *list = json_array();
    struct str rest = str_of(t->path), one;
    while (str_split(&rest, '/', &one)) {
        if (one.len < 3 || one.ptr[0] != '{')
            continue;
        json_t *p = json_object(), *s = json_object();
        json_put(s, "type", json_text(STR("string")));
        json_put(p, "name", json_text(str_sub(one, 1, one.len - 1)));
        json_put(p, "in", json_text(STR("path")));
        json_put(p, "required", json_true());
        json_put(p, "schema", s);
        json_array_append_new(list, p);
    }
    for (const struct field *f = t->query; f && f->type != FIELD_END; f++) {
        json_t *p = json_object();
        json_put(p, "name", json_text(str_of(f->name)));
        json_put(p, "in", json_text(STR("query")));
        json_put(p, "required", json_boolean(f->required));
        json_put(p, "schema", schema_of(f));
        json_array_append_new(list, p);
    }
    json_put(op, "parameters", list);
}

static json_t *operation(const struct route *t)
{
    json_t *op = json_object(), *answers = json_object(), *ok = json_object();
    json_t *failure = json_object();
    json_put(op, "summary", json_text(str_of(t->about ? t->about : "A page for people.")));
    json_put(op, "x-scope", json_text(str_of(scope_name(t->scope))));
    if (t->scope == SCOPE_OPEN)
        json_put(op, "security", json_array());
    add_parameters(op, t);
    if (t->body == BODY_JSON)
        json_put(op, "requestBody", content_of("application/json", object_schema(t->fields, !t->openai)));
    else if (t->body == BODY_FORM)
        json_put(op, "requestBody",
                 content_of("application/x-www-form-urlencoded", object_schema(t->fields, !t->openai)));
    else if (t->body == BODY_UPLOAD)
        json_put(op, "requestBody", content_of("multipart/form-data", upload_schema()));
    json_put(ok, "description", json_text(STR("done")));
    json_put(failure, "$ref", json_text(STR("#/components/responses/Failure")));
    json_put(answers, "2XX", ok);
    json_put(answers, "default", failure);
    json_put(op, "responses", answers);
    return op;
}

static json_t *components(void)
{
    json_t *o = json_object(), *schemes = json_object(), *bearer = json_object();
    json_t *responses = json_object(), *schema = json_object(), *properties = json_object();
    json_t *text = json_object();
    static const char *const members[] = {"code", "message", "param", "request_id"};
    json_put(bearer, "type", json_text(STR("http")));
    json_put(bearer, "scheme", json_text(STR("bearer")));
    json_put(schemes, "key", bearer);
    json_put(text, "type", json_pack("[s,s]", "string", "null"));
    json_t *inner = json_object();
    for (size_t i = 0; i < 4; i++)
        json_object_set(properties, members[i], text);
    json_decref(text);
    json_put(inner, "type", json_text(STR("object")));
    json_put(inner, "properties", properties);
    json_put(schema, "type", json_text(STR("object")));
    json_put(schema, "properties", json_pack("{s:o}", "error", inner));
    json_t *failure = content_of("application/json", schema);
    json_put(failure, "description", json_text(STR("what was wrong, in a sentence")));
    json_put(responses, "Failure", failure);
    json_put(o, "securitySchemes", schemes);
    json_put(o, "responses", responses);
    return o;
}

static void lower_method(const char *method, char out[12])
{
    size_t i = 0;
    for (; method[i] && i < 11; i++)
        out[i] = (char)(method[i] | 32);
    out[i] = '\0';
}

enum err_code api_openapi(struct request *r, struct err *err)
{
    json_t *o = json_object(), *info = json_object(), *paths = json_object();
    (void)err;
    for (int i = 0; i < route_count(); i++) {
        const struct route *t = route_at(i);
        char method[12];
        lower_method(t->method, method);
        if (!json_object_get(paths, t->path))
            json_put(paths, t->path, json_object());
        json_put(json_object_get(paths, t->path), method, operation(t));
    }
    json_put(info, "title", json_text(STR("carrel")));
    json_put(info, "version", json_text(str_of(r->web->opt.version)));
    json_put(o, "openapi", json_text(STR("3.1.0")));
    json_put(o, "info", info);
    json_put(o, "security", json_pack("[{s:[]}]", "key"));
    json_put(o, "paths", paths);
    json_put(o, "components", components());
    reply_json(r, 200, o);
    return OK;
}
