/* web/reply.h - the answer to a request: JSON, text, a file, events, a failure.
 *
 * A handler calls one of these once and returns; the server sends it, with the
 * security headers that every answer carries.
 * Threads   the request's owner. Memory  in the request. */
#ifndef CARREL_WEB_REPLY_H
#define CARREL_WEB_REPLY_H
#include "web/request.h"

void reply_json(struct request *r, int status, json_t *value);   /* takes value over */
/* The body so far lies in r->reply.body. */
void reply_body(struct request *r, int status, const char *static_type);
void reply_text(struct request *r, int status, const char *static_type, struct str text);
void reply_empty(struct request *r, int status);
/* The file's bytes as a download called `name`; opaque to a browser. */
enum err_code reply_file(struct request *r, const char *path, const char *name, struct err *err);
void reply_see_other(struct request *r, const char *location);
void reply_header(struct request *r, const char *static_name, const char *value);
/* Failures: with a status of their own, or as route_error() maps the code. */
void reply_refuse(struct request *r, int status, const char *static_code, const char *message);
void reply_fail(struct request *r, enum err_code rc, const struct err *err);
/* The failure as API.md writes it. */
json_t *reply_failure_json(const struct request *r);
void reply_deinit(struct reply *p);
/* Queue it on the connection (an enum MHD_Result). Connection's thread only. */
int reply_send(struct request *r);
#endif
