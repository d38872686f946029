/* web/pages.h - the pages people see: plain forms that work without JavaScript.
 *
 * Text is text: everything that comes from a document, a model or a client goes
 * through buf_html. There is no inline script or style (the CSP forbids both);
 * assets/app.js only adds to what the forms do.
 * Threads   any; one owner per request. */
#ifndef CARREL_WEB_PAGES_H
#define CARREL_WEB_PAGES_H
#include <stdbool.h>
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "web/fields.h"

struct request;

enum err_code page_ask(struct request *r, struct err *err);
enum err_code page_search(struct request *r, struct err *err);
enum err_code page_documents(struct request *r, struct err *err);
enum err_code page_document(struct request *r, struct err *err);
enum err_code page_delete(struct request *r, struct err *err);
enum err_code page_delete_now(struct request *r, struct err *err);
enum err_code page_retry(struct request *r, struct err *err);
enum err_code page_login(struct request *r, struct err *err);
enum err_code page_login_now(struct request *r, struct err *err);
enum err_code page_logout(struct request *r, struct err *err);
enum err_code page_asset(struct request *r, struct err *err);
void page_failure(struct request *r);      /* r->failure, for people */

extern const struct field page_ask_fields[], page_search_query[], page_documents_query[],
    page_document_query[], page_login_fields[], page_asset_query[];

/* For the pages themselves: everything before and behind the content. `tab`:
 * "ask", "search", "documents" or "". Title is plain text. */
void page_open(struct request *r, const char *title, const char *tab);
void page_close(struct request *r, int status);
/* <select> of the collections this request sees; nothing when there is but one. */
void page_collections(struct request *r, const char *chosen);
/* "/documents/ID?start=..&end=..#cited", escaped for an attribute. */
void page_citation_link(struct buf *b, const char *document, uint32_t start, uint32_t end);
/* Does this warning of a document tell only what was left out on purpose, so that
 * nothing is amiss? */
bool page_is_note(const json_t *warning);
void page_bytes(struct buf *b, int64_t n);            /* "4.2 MB" */
#endif
