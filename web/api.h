/* web/api.h - the handlers behind route.c, and the fields they take.
 *
 * Each gets a request whose route, key, query and body have been checked, and
 * calls one reply_* function. An error code it returns becomes the failure that
 * route_error() says, with r->param as the field.
 * Threads   any; one owner per request. */
#ifndef CARREL_WEB_API_H
#define CARREL_WEB_API_H
#include "base/err.h"
#include "web/fields.h"

struct request;
struct document;
struct job;

enum err_code api_documents_add(struct request *r, struct err *err);
enum err_code api_documents_list(struct request *r, struct err *err);
enum err_code api_documents_one(struct request *r, struct err *err);
enum err_code api_documents_remove(struct request *r, struct err *err);
enum err_code api_documents_text(struct request *r, struct err *err);
enum err_code api_documents_content(struct request *r, struct err *err);
enum err_code api_documents_chunks(struct request *r, struct err *err);
enum err_code api_search(struct request *r, struct err *err);
enum err_code api_ask(struct request *r, struct err *err);
enum err_code api_jobs_list(struct request *r, struct err *err);
enum err_code api_jobs_one(struct request *r, struct err *err);
enum err_code api_jobs_cancel(struct request *r, struct err *err);
enum err_code api_jobs_retry(struct request *r, struct err *err);
enum err_code api_jobs_events(struct request *r, struct err *err);
enum err_code api_collections_list(struct request *r, struct err *err);
enum err_code api_collections_add(struct request *r, struct err *err);
enum err_code api_collections_one(struct request *r, struct err *err);
enum err_code api_collections_remove(struct request *r, struct err *err);
enum err_code api_keys_list(struct request *r, struct err *err);
enum err_code api_keys_add(struct request *r, struct err *err);
enum err_code api_keys_remove(struct request *r, struct err *err);
enum err_code api_status(struct request *r, struct err *err);
enum err_code api_healthz(struct request *r, struct err *err);
enum err_code api_readyz(struct request *r, struct err *err);
enum err_code api_metrics(struct request *r, struct err *err);
enum err_code api_openapi(struct request *r, struct err *err);
/* OpenAI's wire format (openai.h). */
enum err_code api_models(struct request *r, struct err *err);
enum err_code api_model(struct request *r, struct err *err);
enum err_code api_openai_chat(struct request *r, struct err *err);
enum err_code api_openai_text(struct request *r, struct err *err);

extern const struct field api_documents_add_query[], api_documents_list_query[],
    api_documents_text_query[], api_search_fields[], api_ask_fields[], api_jobs_list_query[],
    api_collections_fields[], api_keys_fields[], openai_chat_fields[], openai_text_fields[];

/* Shared shapes. NULL without memory. */
json_t *api_document_json(struct request *r, const struct document *d);
json_t *api_job_json(struct request *r, const struct job *j);
#endif
