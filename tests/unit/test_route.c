/* The route table: every route has its row in full, and paths match exactly. */
#include "tests/test.h"
#include "web/route.h"

static enum route_match find(const char *method, const char *path, const struct route **r,
                             struct str params[ROUTE_PARAMS], char allow[64])
{
    return route_find(str_of(method), str_of(path), r, params, allow);
}

TEST(route_every_row_has_a_scope_a_handler_and_what_its_body_needs)
{
    for (int i = 0; i < route_count(); i++) {
        const struct route *r = route_at(i);
        CHECK_MSG(r->scope >= SCOPE_OPEN && r->scope <= SCOPE_ADMIN, "%s %s has no scope",
                  r->method, r->path);
        CHECK_MSG(r->handler != NULL, "%s %s has no handler", r->method, r->path);
        CHECK_MSG(r->path[0] == '/', "%s", r->path);
        CHECK_MSG((r->body == BODY_JSON) <= (r->fields != NULL), "%s has no fields", r->path);
        CHECK_MSG((r->body == BODY_JSON || r->body == BODY_FORM) == (r->body_max > 0),
                  "%s %s: body and maximum do not agree", r->method, r->path);
        CHECK_INT(route_number(r), i);
    }
}

TEST(route_only_health_and_signing_in_are_open)
{
    static const char *const open[] = {"/login", "/logout", "/assets/{name}", "/favicon.ico",
                                       "/healthz", "/readyz"};
    for (int i = 0; i < route_count(); i++) {
        const struct route *r = route_at(i);
        bool listed = false;
        for (size_t k = 0; k < sizeof(open) / sizeof(*open); k++)
            listed = listed || strcmp(open[k], r->path) == 0;
        CHECK_MSG((r->scope == SCOPE_OPEN) == listed, "%s %s", r->method, r->path);
    }
}

TEST(route_nothing_that_changes_the_store_is_a_get_or_a_query)
{
    for (int i = 0; i < route_count(); i++) {
        const struct route *r = route_at(i);
        bool query = strcmp(r->method, "GET") == 0 || strcmp(r->path, "/") == 0 ||
                     strcmp(r->path, "/v1/search") == 0 || strcmp(r->path, "/v1/ask") == 0 ||
                     strstr(r->path, "completions");
        CHECK_MSG(query || r->scope != SCOPE_QUERY, "%s %s", r->method, r->path);
    }
}

TEST(route_every_row_finds_itself)
{
    for (int i = 0; i < route_count(); i++) {
        const struct route *want = route_at(i), *got = NULL;
        struct str params[ROUTE_PARAMS];
        char allow[64];
        CHECK_INT(find(want->method, want->path, &got, params, allow), ROUTE_FOUND);
        CHECK_MSG(got == want, "%s %s is shadowed by %s", want->method, want->path, got->path);
    }
}

TEST(route_takes_the_braces_out_of_a_path)
{
    const struct route *r;
    struct str params[ROUTE_PARAMS];
    char allow[64];
    CHECK_INT(find("GET", "/v1/documents/00ff/text", &r, params, allow), ROUTE_FOUND);
    CHECK_STR(params[0], "00ff");
    CHECK(params[1].ptr == NULL);
    CHECK_STR(str_of(r->path), "/v1/documents/{id}/text");
}

TEST(route_head_goes_where_get_goes)
{
    const struct route *a, *b;
    struct str params[ROUTE_PARAMS];
    char allow[64];
    CHECK_INT(find("GET", "/healthz", &a, params, allow), ROUTE_FOUND);
    CHECK_INT(find("HEAD", "/healthz", &b, params, allow), ROUTE_FOUND);
    CHECK(a == b);
}

TEST(route_says_what_a_path_allows)
{
    const struct route *r;
    struct str params[ROUTE_PARAMS];
    char allow[64];
    CHECK_INT(find("PUT", "/v1/documents/1", &r, params, allow), ROUTE_NO_METHOD);
    CHECK_STR(str_of(allow), "GET, HEAD, DELETE, OPTIONS");
    CHECK_INT(find("GET", "/v1/ask", &r, params, allow), ROUTE_NO_METHOD);
    CHECK_STR(str_of(allow), "POST, OPTIONS");
}

TEST(route_paths_that_are_almost_right_are_not_there)
{
    static const char *const wrong[] = {"/v1/documents/", "/v1/documents//text", "/v1", "//", "",
                                        "/v1/documents/a/text/", "/V1/documents", "/healthz/x",
                                        "/v1/documents/a/b/c", "/..", "/%2fhealthz"};
    const struct route *r;
    struct str params[ROUTE_PARAMS];
    char allow[64];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        CHECK_MSG(find("GET", wrong[i], &r, params, allow) == ROUTE_NO_PATH, "\"%s\"", wrong[i]);
}

TEST(route_every_error_code_has_a_status)
{
    for (int c = 0; c < ERR_N; c++) {
        const struct route_error *e = route_error(NULL, (enum err_code)c);
        CHECK_MSG(e->status >= 400 && e->status < 600 && e->code, "%s", err_name((enum err_code)c));
    }
    CHECK_INT(route_error(NULL, ERR_N)->status, 500);
}
