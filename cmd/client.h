/* cmd/client.h - the HTTP API as a verb sees it, by libcurl.
 *
 * For when a running server holds the store, or --server names one. Loopback
 * addresses never go through a proxy; redirects are not followed.
 * Errors    an answer's status becomes a code (404 NOTFOUND, 400 ARG, 429 and
 *           503 BUSY, ...) and its message the sentence; client_denied tells
 *           whether the last one was 401 or 403.
 * Threads   one owner. Memory  client_close releases all. */
#ifndef CARREL_CMD_CLIENT_H
#define CARREL_CMD_CLIENT_H
#include <stdbool.h>
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "base/thread.h"

struct client;

/* `url` "http://host:port"; `key` may be NULL. */
enum err_code client_open(const char *url, const char *key, const struct stop *stop,
                          struct client **out, struct err *err);
void client_close(struct client *c);         /* NULL is fine */
const char *client_url(const struct client *c);
bool client_denied(const struct client *c);

/* One call with a JSON answer. `body` may be NULL and stays the caller's; *out
 * is yours (json_decref) and may be NULL for an empty answer. */
enum err_code client_call(struct client *c, const char *method, const char *path,
                          const json_t *body, json_t **out, struct err *err);
/* GET with any answer, behind `out`; ERR_LIMIT past `max` bytes. */
enum err_code client_get(struct client *c, const char *path, size_t max, struct buf *out,
                         struct err *err);
/* POST the bytes of file `path_on_disk` to `path`. */
enum err_code client_upload(struct client *c, const char *path, const char *path_on_disk,
                            json_t **out, struct err *err);
/* POST `body` and read server-sent events as they come; `on_event` gives false
 * to leave (ERR_CANCELLED). `data` is borrowed during the call. */
enum err_code client_events(struct client *c, const char *path, const json_t *body,
                            bool (*on_event)(void *arg, struct str event, const json_t *data),
                            void *arg, struct err *err);
#endif
