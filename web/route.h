/* web/route.h - one table: method, path, scope, limits, handler; and one from
 * error codes to statuses.
 *
 * A route that is not in the table does not exist; what the table says is what
 * is enforced (access.c, server.c) and what /openapi.json tells.
 * Threads   immutable. */
#ifndef CARREL_WEB_ROUTE_H
#define CARREL_WEB_ROUTE_H
#include "base/err.h"
#include "base/str.h"
#include "web/fields.h"

struct request;

enum scope {          /* what a key must be allowed; no zero, so that none is forgotten */
    SCOPE_OPEN = 1,   /* health, and what the sign-in page needs */
    SCOPE_QUERY, SCOPE_INGEST, SCOPE_ADMIN
};
enum body_kind { BODY_NONE, BODY_JSON, BODY_FORM, BODY_UPLOAD };
enum runs_in { RUN_HERE, RUN_QUICK, RUN_ASK, RUN_WAIT };   /* connection thread, or a pool */

struct route {
    const char *method;            /* GET serves HEAD, too */
    const char *path;              /* "/v1/documents/{id}" */
    enum scope scope;
    enum runs_in runs;
    enum body_kind body;
    size_t body_max;               /* bytes; of an upload: web_options.max_upload_bytes */
    enum err_code (*handler)(struct request *r, struct err *err);
    const struct field *query;     /* of the query string; NULL: none */
    const struct field *fields;    /* of a JSON or form body */
    const char *about;             /* one sentence; NULL for pages */
    bool openai;                   /* speaks OpenAI's wire format, failures included */
};

#define ROUTE_PARAMS 2
enum route_match { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD };

int route_count(void);
const struct route *route_at(int i);
int route_number(const struct route *r);
/* `path` still percent-encoded, without query. params: views of the {…} segments.
 * allow: the methods that path has, for Allow. */
enum route_match route_find(struct str method, struct str path, const struct route **out,
                            struct str params[ROUTE_PARAMS], char allow[64]);

struct route_error { int status; const char *code; };
/* What a failure of this route (NULL: of none) is on the wire. A question that finds
 * no place is 429: the client shall come again. */
const struct route_error *route_error(const struct route *r, enum err_code code);
const char *scope_name(enum scope s);          /* "open", "query", "ingest", "admin" */
#endif
