/* cmd/fetch.h - one question, asked of the rooms or of the server that holds the store.
 *
 * Results have the shapes of the HTTP API, whoever answers.
 * Threads   one owner. Memory  JSON results are yours (json_decref). */
#ifndef CARREL_CMD_FETCH_H
#define CARREL_CMD_FETCH_H
#include <stdint.h>
#include "cmd/target.h"

/* {"documents": [Document], "next_cursor"}; `state` a name or NULL. */
enum err_code fetch_documents(struct target *t, const char *collection, const char *state,
                              int limit, const char *cursor, json_t **out, struct err *err);
/* Document. */
enum err_code fetch_document(struct target *t, const char *id, json_t **out, struct err *err);
/* {"chunks": [...]}. */
enum err_code fetch_chunks(struct target *t, const char *id, json_t **out, struct err *err);
/* Stored bytes [start, end) behind `out`; end < 0: to the last. ERR_ARG past it. */
enum err_code fetch_text(struct target *t, const char *id, int64_t start, int64_t end,
                         struct buf *out, struct err *err);
/* {"deleted": {...}}. */
enum err_code fetch_remove(struct target *t, const char *id, json_t **out, struct err *err);
/* The 32 digits of the document that `word` means: an id, its unique beginning
 * (4 digits or more), or a name. ERR_NOTFOUND; ERR_ARG when it means several. */
enum err_code fetch_resolve(struct target *t, struct str word, char id[33], struct err *err);

/* {"jobs": [Job], "next_cursor"}, Job. */
enum err_code fetch_jobs(struct target *t, const char *state, int limit, const char *cursor,
                         json_t **out, struct err *err);
enum err_code fetch_job(struct target *t, int64_t id, json_t **out, struct err *err);
/* `act`: "cancel" or "retry". */
enum err_code fetch_job_act(struct target *t, int64_t id, const char *act, json_t **out,
                            struct err *err);

/* {"collections": [Collection]}, Collection, {"deleted": {"documents"}}. */
enum err_code fetch_collections(struct target *t, json_t **out, struct err *err);
enum err_code fetch_collection_make(struct target *t, const char *name, json_t **out,
                                    struct err *err);
enum err_code fetch_collection_remove(struct target *t, const char *name, json_t **out,
                                      struct err *err);

/* {"keys": [{"id", "name", "prefix", "scopes", "collection", ...}]}, {"id", "key", ...}. */
enum err_code fetch_keys(struct target *t, json_t **out, struct err *err);
enum err_code fetch_key_make(struct target *t, const char *name, const char *scopes,
                             const char *collection, json_t **out, struct err *err);
enum err_code fetch_key_remove(struct target *t, int64_t id, struct err *err);

/* The reply of /v1/search to this body (query, collection, top_k, mode, filter, explain). */
enum err_code fetch_search(struct target *t, const json_t *request, json_t **out, struct err *err);
/* The reply of /v1/ask; `delta`, when not NULL, hears the answer as it comes. */
enum err_code fetch_ask(struct target *t, const json_t *request,
                        bool (*delta)(void *arg, struct str text), void *arg, json_t **out,
                        struct err *err);
/* What the store holds: {"documents": {...}, "chunks", ...}. */
enum err_code fetch_status(struct target *t, json_t **out, struct err *err);
#endif
