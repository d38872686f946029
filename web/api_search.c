#include <math.h>
#include <string.h>
#include "web/access.h"
#include "web/api.h"
#include "web/reply.h"

const struct field api_search_fields[] = {
    {"query", FIELD_TEXT, 1, QUESTION_BYTES_MAX, true, NULL, "what to look for"},
    {"collection", FIELD_TEXT, 1, 63, false, NULL, "\"default\" when absent"},
    {"top_k", FIELD_INT, 1, SEARCH_TOP_K_MAX, false, NULL, "10 when absent"},
    {"mode", FIELD_TEXT, 0, 0, false, "hybrid|dense|words", "hybrid when absent"},
    {"filter", FIELD_OBJECT, 0, 0, false, NULL, "{field: value | [values]} over metadata"},
    {"explain", FIELD_BOOL, 0, 0, false, NULL, "tell the scores of each side"},
    {.type = FIELD_END}};

/* The filter as text for index/, in arena; NULL when there is none. */
static enum err_code filter_text(struct request *r, const char **out, struct err *err)
{
    const json_t *f = json_object_get(r->json, "filter");
    struct buf b = {0};
    *out = NULL;
    if (!json_is_object(f) || json_object_size(f) == 0)
        return OK;
    json_write(&b, f);
    enum err_code rc = buf_ok(&b, "the filter", err);
    if (!rc && !(*out = arena_strz(&r->arena, buf_view(&b))))
        rc = err_set(err, ERR_NOMEM, "the filter");
    buf_free(&b);
    return rc;
}

enum err_code api_search(struct request *r, struct err *err)
{
    struct search_request q = {.query = field_text(r->json, "query"),
                               .top_k = (int)field_int(r->json, "top_k", 0),
                               .explain = field_bool(r->json, "explain", false)};
    struct search_result found = {0};
    struct str mode = field_text(r->json, "mode");
    enum err_code rc = access_collection(r, field_text(r->json, "collection"), &q.collection, err);
    if (!rc && mode.ptr)
        rc = search_mode_parse(mode, &q.mode, err);
    if (!rc)
        rc = filter_text(r, &q.filter, err);
    if (!rc)
        rc = query_search(r->web->opt.query, &q, &r->arena, &found, err);
    if (rc)
        return rc;
    metrics_search(r->web->metrics, &found.ms, found.n_hits);
    reply_json(r, 200, query_search_json(&q, &found));
    return OK;
}
