#include "cmd/shape.h"
#include <string.h>
#include "base/clock.h"

static json_t *time_or_null(int64_t unix_ms)
{
    char text[25];
    return unix_ms > 0 ? json_string(clock_rfc3339(unix_ms, text)) : json_null();
}

static json_t *text_or_null(const char *z)
{
    return z && *z ? json_text(str_of(z)) : json_null();
}

/* Stored JSON text; what does not parse (it was checked on the way in) is `fallback`. */
static json_t *stored_json(const char *text, json_t *fallback)
{
    json_t *v = NULL;
    if (!text || !*text || json_read(str_of(text), &v, NULL))
        return fallback;
    json_decref(fallback);
    return v;
}

static json_t *progress_of(const char *stage, int64_t done, int64_t total)
{
    bool chunks = stage && (strcmp(stage, "embed") == 0 || strcmp(stage, "index") == 0);
    return json_pack("{s:I,s:I,s:s}", "done", (json_int_t)done, "total", (json_int_t)total, "unit",
                     chunks ? "chunks" : "pages");
}

static json_t *parts_of(const char *joined, char separator)
{
    json_t *list = json_array();
    struct str rest = str_of(joined), part;
    while (list && rest.len && str_split(&rest, separator, &part))
        if (json_array_append_new(list, json_text(part)) != 0)
            break;
    return list;
}

json_t *shape_document(const struct document *d)
{
    json_t *o = json_object();
    bool ok = o && json_put(o, "id", json_string(d->id)) &&
              json_put(o, "collection", json_string(d->collection)) &&
              json_put(o, "name", json_text(str_of(d->name))) &&
              json_put(o, "title", text_or_null(d->title)) &&
              json_put(o, "uri", text_or_null(d->uri)) &&
              json_put(o, "mime", text_or_null(d->mime)) &&
              json_put(o, "size_bytes", json_integer(d->size_bytes)) &&
              json_put(o, "text_bytes", json_integer(d->text_bytes)) &&
              json_put(o, "state", json_string(document_state_name(d->state))) &&
              json_put(o, "stage", text_or_null(d->stage)) &&
              json_put(o, "progress", progress_of(d->stage, d->done, d->total)) &&
              json_put(o, "error", text_or_null(d->error)) &&
              json_put(o, "warnings", stored_json(d->warnings, json_array())) &&
              json_put(o, "pages", json_integer(d->pages)) &&
              json_put(o, "chunks", json_integer(d->chunks)) &&
              json_put(o, "tokens", json_integer(d->tokens)) &&
              json_put(o, "created_at", time_or_null(d->created_ms)) &&
              json_put(o, "updated_at", time_or_null(d->updated_ms)) &&
              json_put(o, "metadata", stored_json(d->metadata, json_object()));
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

json_t *shape_job(const struct job *j)
{
    return json_pack(
        "{s:I,s:s,s:o,s:s,s:s,s:o,s:o,s:i,s:o,s:o,s:o,s:o}", "id", (json_int_t)j->id, "document_id",
        j->document, "document_name", json_text(str_of(j->document_name)), "collection",
        j->collection, "state", job_state_name(j->state), "stage", text_or_null(j->stage),
        "progress", progress_of(j->stage, j->done, j->total), "attempts", j->attempts, "error",
        text_or_null(j->error), "created_at", time_or_null(j->created_ms), "started_at",
        time_or_null(j->started_ms), "finished_at", time_or_null(j->finished_ms));
}

json_t *shape_collection(const struct collection *c)
{
    return json_pack("{s:s,s:I,s:I,s:i,s:o,s:o,s:o}", "name", c->name, "documents",
                     (json_int_t)c->documents, "chunks", (json_int_t)c->chunks, "dimensions",
                     c->dim, "encoder", stored_json(c->stamp, json_null()), "settings",
                     stored_json(c->settings, json_object()), "created_at",
                     time_or_null(c->created_ms));
}

json_t *shape_key(const struct key *k)
{
    return json_pack("{s:I,s:s,s:s,s:o,s:o,s:o,s:o}", "id", (json_int_t)k->id, "name", k->name,
                     "prefix", k->prefix, "scopes", parts_of(k->scopes, ','), "collection",
                     text_or_null(k->collection), "created_at", time_or_null(k->created_ms),
                     "used_at", time_or_null(k->used_ms));
}

json_t *shape_chunk(const struct stored_chunk *k)
{
    return json_pack("{s:I,s:I,s:I,s:o,s:o,s:i}", "id", (json_int_t)k->id, "start",
                     (json_int_t)k->start, "end", (json_int_t)k->end, "page",
                     k->page ? json_integer(k->page) : json_null(), "heading",
                     parts_of(k->heading, '\n'), "tokens", k->tokens);
}
