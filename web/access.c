#include "web/access.h"
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "base/clock.h"
#include "base/hash.h"
#include "web/gate.h"
#include "web/keys.h"
#include "web/reply.h"

static struct str bearer(struct str header)
{
    if (header.len < 7 || !str_ieq(str_sub(header, 0, 7), STR("Bearer ")))
        return (struct str){NULL, 0};
    return str_trim(str_sub(header, 7, header.len));
}

static struct str cookie_key(struct str header)
{
    struct str rest = header, one;
    while (header.len > 0 && str_split(&rest, ';', &one)) {
        one = str_trim(one);
        if (str_starts(one, STR(ACCESS_COOKIE "=")))
            return str_sub(one, sizeof(ACCESS_COOKIE), one.len);
    }
    return (struct str){NULL, 0};
}

/* admin may do all; ingest and query stand for themselves. */
static unsigned scopes_of(const char *text)
{
    unsigned bits = 1u << SCOPE_OPEN;
    struct str rest = str_of(text), one;
    while (rest.len > 0 && str_split(&rest, ',', &one)) {
        one = str_trim(one);
        for (enum scope s = SCOPE_QUERY; s <= SCOPE_ADMIN; s++)
            if (str_eqz(one, scope_name(s)))
                bits |= s == SCOPE_ADMIN ? ~0u : 1u << s;
    }
    return bits;
}

static bool ask_for_key(struct request *r)
{
    if (r->wants_html && strcmp(r->method, "GET") == 0) {
        struct buf to = {0};
        buf_puts(&to, "/login?next=");
        buf_url(&to, r->target);
        if (!to.failed)
            reply_see_other(r, to.ptr);
        buf_free(&to);
        return false;
    }
    reply_header(r, "WWW-Authenticate", "Bearer realm=\"carrel\"");
    reply_refuse(r, 401, "unauthorized", "this needs a key: Authorization: Bearer KEY");
    return false;
}

/* Wrong keys are counted by address; a right one passes whatever its neighbours do. */
static void count_failure(struct request *r)
{
    char text[16];
    int wait = limit_failures(r->web->limit, client_address(r->client), clock_ms(), true);
    if (wait == 0)
        return;
    snprintf(text, sizeof(text), "%d", wait);
    reply_header(r, "Retry-After", text);
    reply_refuse(r, 429, "too_many_requests", "too many wrong keys from your address");
}

bool access_key(struct request *r, struct str text, struct key *out)
{
    struct err err;
    enum err_code rc = key_find(r->web->opt.index, text, out, &err);
    if (rc == ERR_NOTFOUND)
        count_failure(r);
    else if (rc)
        reply_fail(r, rc, &err);
    return rc == OK;
}

static bool identify(struct request *r)
{
    struct key key;
    struct str text = bearer(r->authorization);
    if (!text.ptr)
        text = cookie_key(r->cookie);
    if (!text.ptr)
        return ask_for_key(r);
    if (!access_key(r, text, &key))
        return r->failure.status ? false : ask_for_key(r);
    r->who.key = key.id;
    r->who.scopes = scopes_of(key.scopes);
    memcpy(r->who.collection, key.collection, sizeof(r->who.collection));
    return true;
}

bool access_authorize(struct request *r)
{
    enum scope need = r->route->scope;
    bool keyless = index_key_count(r->web->opt.index) == 0 &&
                   (r->web->loopback || r->web->opt.insecure);
    if (keyless || need == SCOPE_OPEN) {
        r->who = (struct principal){.anonymous = true, .scopes = keyless ? ~0u : 1u << SCOPE_OPEN};
        return true;
    }
    if (!identify(r))
        return false;
    if (r->who.scopes & (1u << need))
        return true;
    char text[80];
    snprintf(text, sizeof(text), "this key lacks the scope \"%s\"", scope_name(need));
    reply_refuse(r, 403, "forbidden", text);
    return false;
}

bool access_sees(const struct request *r, const char *collection)
{
    return !r->who.collection[0] || strcmp(r->who.collection, collection) == 0;
}

enum err_code access_document(struct request *r, struct str id, struct document *out,
                              struct err *err)
{
    uint8_t raw[16];
    char text[33];
    enum err_code rc = ERR_NOTFOUND;
    if (hash_unhex(id, raw, 16)) {
        memcpy(text, id.ptr, 32);
        text[32] = '\0';
        rc = index_document(r->web->opt.index, text, &r->arena, out, err);
    }
    if (!rc && !access_sees(r, out->collection))
        rc = ERR_NOTFOUND;
    return rc == ERR_NOTFOUND ? err_set(err, rc, "there is no such document") : rc;
}

enum err_code access_collection(struct request *r, struct str wanted, const char **name,
                                struct err *err)
{
    *name = request_collection(r, wanted);
    if (!*name)
        return err_set(err, ERR_NOMEM, "a collection's name");
    if (access_sees(r, *name))
        return OK;
    r->param = "collection";
    return err_set(err, ERR_NOTFOUND, "there is no collection \"%s\"", *name);
}

/* The address the connection came to, as a URL writes it. */
static bool is_local_address(const struct request *r, struct str name)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct sockaddr_storage sa;
    socklen_t n = sizeof(sa);
    char text[INET6_ADDRSTRLEN + 2] = "", *p = text;
    if (!info || getsockname(info->connect_fd, (struct sockaddr *)&sa, &n) != 0)
        return false;
    if (sa.ss_family == AF_INET) {
        inet_ntop(AF_INET, &((struct sockaddr_in *)&sa)->sin_addr, p, INET6_ADDRSTRLEN);
        return str_eqz(name, text);
    }
    struct sockaddr_in6 *in = (struct sockaddr_in6 *)&sa;
    if (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr)) {
        inet_ntop(AF_INET, in->sin6_addr.s6_addr + 12, p, INET6_ADDRSTRLEN);
        return str_eqz(name, text);
    }
    inet_ntop(AF_INET6, &in->sin6_addr, p, INET6_ADDRSTRLEN);
    return name.len > 2 && str_ieq(str_sub(name, 1, name.len - 1), str_of(text));
}

/* box, or box.local, or box.lan: our own name, bare or under a local domain. */
static bool is_own_name(const struct web *w, struct str name)
{
    struct str own = str_of(w->own_name);
    if (own.len == 0 || w->loopback || !str_ieq(str_sub(name, 0, own.len), own))
        return false;
    struct str rest = str_sub(name, own.len, name.len);
    return rest.len == 0 || str_ieq(rest, STR(".local")) || str_ieq(rest, STR(".lan")) ||
           str_ieq(rest, STR(".home.arpa")) || str_ieq(rest, STR(".internal"));
}

bool access_host(const struct request *r)
{
    static const char *const loopback[] = {"localhost", "127.0.0.1", "[::1]"};
    struct str name;
    if (r->host.len == 0) /* HTTP/1.0 without one: no browser */
        return true;
    if (!gate_host(r->host, &name))
        return false;
    for (size_t i = 0; i < sizeof(loopback) / sizeof(*loopback); i++)
        if (str_ieq(name, str_of(loopback[i])))
            return true;
    struct str rest = str_of(r->web->opt.hosts), one;
    while (rest.len > 0 && str_split(&rest, ',', &one))
        if (str_ieq(name, str_trim(one)))
            return true;
    return str_ieq(name, str_of(r->web->host)) || is_local_address(r, name) ||
           is_own_name(r->web, name);
}
