#include "web/route.h"
#include <stdio.h>
#include <string.h>
#include "web/api.h"
#include "web/pages.h"

#define SMALL ((size_t)64 << 10)       /* a JSON body; a question has at most 8 KiB */
#define LARGE ((size_t)2 << 20)       /* a conversation */
#define FORM  ((size_t)32 << 10)

static const struct route table[] = {
    {"GET", "/", SCOPE_QUERY, RUN_ASK, BODY_NONE, 0, page_ask, page_ask_fields, NULL, NULL},
    {"POST", "/", SCOPE_QUERY, RUN_ASK, BODY_FORM, FORM, page_ask, NULL, page_ask_fields, NULL},
    {"GET", "/search", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0, page_search, page_search_query, NULL,
     NULL},
    {"GET", "/documents", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0, page_documents,
     page_documents_query, NULL, NULL},
    {"GET", "/documents/{id}", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0, page_document,
     page_document_query, NULL, NULL},
    {"GET", "/documents/{id}/delete", SCOPE_INGEST, RUN_QUICK, BODY_NONE, 0, page_delete, NULL,
     NULL, NULL},
    {"POST", "/documents/{id}/delete", SCOPE_INGEST, RUN_QUICK, BODY_FORM, FORM, page_delete_now,
     NULL, NULL, NULL},
    {"POST", "/documents/{id}/retry", SCOPE_INGEST, RUN_QUICK, BODY_FORM, FORM, page_retry, NULL,
     NULL, NULL},
    {"GET", "/login", SCOPE_OPEN, RUN_QUICK, BODY_NONE, 0, page_login, page_login_fields, NULL,
     NULL},
    {"POST", "/login", SCOPE_OPEN, RUN_QUICK, BODY_FORM, FORM, page_login_now, NULL,
     page_login_fields, NULL},
    {"POST", "/logout", SCOPE_OPEN, RUN_QUICK, BODY_FORM, FORM, page_logout, NULL, NULL, NULL},
    {"GET", "/assets/{name}", SCOPE_OPEN, RUN_HERE, BODY_NONE, 0, page_asset, page_asset_query,
     NULL, NULL},
    {"GET", "/favicon.ico", SCOPE_OPEN, RUN_HERE, BODY_NONE, 0, page_asset, NULL, NULL, NULL},

    {"POST", "/v1/documents", SCOPE_INGEST, RUN_QUICK, BODY_UPLOAD, 0, api_documents_add,
     api_documents_add_query, NULL,
     "Store one or more files (multipart/form-data, or one raw body) and queue them for reading."},
    {"GET", "/v1/documents", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0, api_documents_list,
     api_documents_list_query, NULL, "List documents, newest first."},
    {"GET", "/v1/documents/{id}", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0, api_documents_one, NULL,
     NULL, "One document: state, progress, warnings, counts."},
    {"DELETE", "/v1/documents/{id}", SCOPE_INGEST, RUN_QUICK, BODY_NONE, 0, api_documents_remove,
     NULL, NULL, "Delete a document with its text, chunks, vectors and cached answers."},
    {"GET", "/v1/documents/{id}/text", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0, api_documents_text,
     api_documents_text_query, NULL, "The stored text, or the bytes [start, end) of it."},
    {"GET", "/v1/documents/{id}/content", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0,
     api_documents_content, NULL, NULL, "The original bytes, as a download."},
    {"GET", "/v1/documents/{id}/chunks", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0,
     api_documents_chunks, NULL, NULL, "The chunks the text was cut into."},
    {"POST", "/v1/search", SCOPE_QUERY, RUN_QUICK, BODY_JSON, SMALL, api_search, NULL,
     api_search_fields, "Find passages by meaning and by words."},
    {"POST", "/v1/ask", SCOPE_QUERY, RUN_ASK, BODY_JSON, SMALL, api_ask, NULL, api_ask_fields,
     "Answer a question from the documents, every claim cited; optionally as events."},
    {"POST", "/v1/chat/completions", SCOPE_QUERY, RUN_ASK, BODY_JSON, LARGE, api_openai_chat, NULL,
     openai_chat_fields, "OpenAI's chat completions, by a model or from the documents.", true},
    {"POST", "/v1/completions", SCOPE_QUERY, RUN_ASK, BODY_JSON, LARGE, api_openai_text, NULL,
     openai_text_fields, "OpenAI's completions: a text goes on.", true},
    {"GET", "/v1/models", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0, api_models, NULL, NULL,
     "The models there are, as OpenAI lists them.", true},
    {"GET", "/v1/models/{id}", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0, api_model, NULL, NULL,
     "One model.", true},
    {"GET", "/v1/models/{owner}/{id}", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0, api_model, NULL, NULL,
     "One model whose name has a slash.", true},
    {"GET", "/v1/jobs", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0, api_jobs_list, api_jobs_list_query,
     NULL, "List jobs, newest first."},
    {"GET", "/v1/jobs/{id}", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0, api_jobs_one, NULL, NULL,
     "One job: state, stage, progress, error."},
    {"POST", "/v1/jobs/{id}/cancel", SCOPE_INGEST, RUN_QUICK, BODY_NONE, 0, api_jobs_cancel, NULL,
     NULL, "Cancel a job that has not ended."},
    {"POST", "/v1/jobs/{id}/retry", SCOPE_INGEST, RUN_QUICK, BODY_NONE, 0, api_jobs_retry, NULL,
     NULL, "Queue a failed or cancelled job again."},
    {"GET", "/v1/jobs/{id}/events", SCOPE_QUERY, RUN_WAIT, BODY_NONE, 0, api_jobs_events, NULL,
     NULL, "A job's progress as server-sent events, until it ends."},
    {"GET", "/v1/collections", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0, api_collections_list, NULL,
     NULL, "List collections."},
    {"POST", "/v1/collections", SCOPE_INGEST, RUN_QUICK, BODY_JSON, SMALL, api_collections_add,
     NULL, api_collections_fields, "Make a collection (or find it)."},
    {"GET", "/v1/collections/{name}", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0, api_collections_one,
     NULL, NULL, "One collection: counts, encoder, settings."},
    {"DELETE", "/v1/collections/{name}", SCOPE_ADMIN, RUN_QUICK, BODY_NONE, 0,
     api_collections_remove, NULL, NULL, "Delete a collection with all its documents."},
    {"GET", "/v1/keys", SCOPE_ADMIN, RUN_QUICK, BODY_NONE, 0, api_keys_list, NULL, NULL,
     "List keys (never their text)."},
    {"POST", "/v1/keys", SCOPE_ADMIN, RUN_QUICK, BODY_JSON, SMALL, api_keys_add, NULL,
     api_keys_fields, "Make a key; its text is shown this once."},
    {"DELETE", "/v1/keys/{id}", SCOPE_ADMIN, RUN_QUICK, BODY_NONE, 0, api_keys_remove, NULL, NULL,
     "Revoke a key at once."},
    {"GET", "/v1/status", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0, api_status, NULL, NULL,
     "Versions, models, counts, queue, kernels in use."},
    {"GET", "/healthz", SCOPE_OPEN, RUN_HERE, BODY_NONE, 0, api_healthz, NULL, NULL,
     "The process answers."},
    {"GET", "/readyz", SCOPE_OPEN, RUN_QUICK, BODY_NONE, 0, api_readyz, NULL, NULL,
     "The store answers, too."},
    {"GET", "/metrics", SCOPE_QUERY, RUN_QUICK, BODY_NONE, 0, api_metrics, NULL, NULL,
     "Counters in Prometheus text format."},
    {"GET", "/openapi.json", SCOPE_QUERY, RUN_HERE, BODY_NONE, 0, api_openapi, NULL, NULL,
     "This interface, as OpenAPI 3.1."},
};

/* ERR_LIMIT and ERR_FORMAT are said about what a client sent; handlers that
 * meet a full disk answer 507 themselves (api_documents.c). */
static const struct route_error errors[ERR_N] = {
    [OK] = {500, "internal"},
    [ERR_ARG] = {422, "invalid_argument"},
    [ERR_NOMEM] = {503, "out_of_memory"},
    [ERR_IO] = {500, "internal"},
    [ERR_FORMAT] = {400, "malformed"},
    [ERR_LIMIT] = {413, "too_large"},
    [ERR_NOTFOUND] = {404, "not_found"},
    [ERR_BUSY] = {503, "busy"},
    [ERR_CANCELLED] = {503, "cancelled"},
    [ERR_INCOMPATIBLE] = {409, "incompatible"},
};

/* Its clients know 400 for all that is wrong with a request. */
static const struct route_error openai_errors[ERR_N] = {
    [ERR_ARG] = {400, "invalid_value"},
    [ERR_LIMIT] = {400, "context_length_exceeded"},
    [ERR_NOTFOUND] = {404, "model_not_found"},
    [ERR_BUSY] = {429, "rate_limit_exceeded"},
};
static const struct route_error too_many = {429, "too_many_requests"};

int route_count(void)
{
    return (int)(sizeof(table) / sizeof(*table));
}

const struct route *route_at(int i)
{
    return &table[i];
}

int route_number(const struct route *r)
{
    return r ? (int)(r - table) : -1;
}

/* Segment by segment; a {…} segment takes any text that is not empty. */
static bool matches(const char *pattern, struct str path, struct str params[ROUTE_PARAMS])
{
    struct str want = str_of(pattern), w, p;
    int n = 0;
    for (int i = 0; i < ROUTE_PARAMS; i++)
        params[i] = (struct str){NULL, 0};
    while (str_split(&want, '/', &w)) {
        if (!str_split(&path, '/', &p))
            return false;
        if (w.len > 0 && w.ptr[0] == '{') {
            if (p.len == 0)
                return false;
            params[n++] = p;
        } else if (!str_eq(w, p)) {
            return false;
        }
    }
    return path.ptr == NULL;
}

static void allow_method(char allow[64], const char *method)
{
    size_t n = strlen(allow);
    bool get = strcmp(method, "GET") == 0;
    snprintf(allow + n, 64 - n, "%s%s%s", n ? ", " : "", method, get ? ", HEAD" : "");
}

enum route_match route_find(struct str method, struct str path, const struct route **out,
                            struct str params[ROUTE_PARAMS], char allow[64])
{
    struct str want = str_eqz(method, "HEAD") ? STR("GET") : method;
    struct str got[ROUTE_PARAMS];
    enum route_match m = ROUTE_NO_PATH;
    allow[0] = '\0';
    if (str_eqz(path, "*")) { /* OPTIONS * (RFC 9110 section 9.3.7) */
        snprintf(allow, 64, "GET, HEAD, POST, DELETE, OPTIONS");
        return ROUTE_NO_METHOD;
    }
    for (int i = 0; i < route_count(); i++) {
        if (!matches(table[i].path, path, got))
            continue;
        if (str_eqz(want, table[i].method)) {
            memcpy(params, got, sizeof(got));
            *out = &table[i];
            return ROUTE_FOUND;
        }
        allow_method(allow, table[i].method);
        m = ROUTE_NO_METHOD;
    }
    if (m == ROUTE_NO_METHOD)
        allow_method(allow, "OPTIONS");
    return m;
}

const struct route_error *route_error(const struct route *r, enum err_code code)
{
    if ((unsigned)code >= ERR_N)
        code = OK;
    if (r && r->openai && openai_errors[code].status)
        return &openai_errors[code];
    return code == ERR_BUSY && r && r->runs == RUN_ASK ? &too_many : &errors[code];
}

const char *scope_name(enum scope s)
{
    static const char *const name[] = {"", "open", "query", "ingest", "admin"};
    return name[s];
}
